#!/usr/bin/env bash
# Builds stand-ins for the base images: usage .ci/images.sh (wants .ci/engine.sh to have run)
#
# CI machines reach Debian's packages and a package index, but no image registry. So the base images are made here,
# from Debian 13 packages, and know what this machine knows: its mirror, its certificate authorities, its index.
#   standin/python:3.13-slim-trixie  for python:3.13-slim-trixie
#   standin/python-fresh:3.13        the same with make and git: a fresh machine to try the README on
#   standin/postgres:17              for postgres:17 (entry point: .ci/postgres-entrypoint.sh)
#   standin/registry:2               for registry:3
# An image is built again when this folder's images.sh or entry point, or what it took from the machine, has changed.
set -euo pipefail

HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
# shellcheck source=SCRIPTDIR/machine.sh
. "$HERE/machine.sh"
WORK="$(mktemp -d)"
trap 'rm -rf --one-file-system "$WORK"' EXIT

# What pip was told here, less what names files of this machine; where two places say the same, the first one counts.
pip_conf() {
  echo '[global]'
  { python3 -m pip config list 2>/dev/null || true; } |
    sed -nE "s/^.*\.(index-url|extra-index-url|trusted-host|default-timeout)='(.*)'\$/\1 = \2/p" |
    sed -E 's/\\n/ /g; s/ file:[^ ]*//g; / = *$/d; / =/!d' | awk -F' = ' '!seen[$1]++'
}

# The same for uv, which does not read pip's settings.
uv_toml() {
  echo 'system-certs = true'
  sed -nE 's/^index-url = (.*)/index-url = "\1"/p' "$WORK/pip.conf"
  sed -nE 's/^extra-index-url = (.*)/\1/p' "$WORK/pip.conf" | xargs -r printf '"%s", ' | sed 's/.*/extra-index-url = [&]\n/'
}

pip_conf >"$WORK/pip.conf"
uv_toml >"$WORK/uv.toml"
CA_BUNDLE="${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}"
HASH="$(cat "$HERE"/{images,postgres-entrypoint}.sh "$WORK"/{pip.conf,uv.toml} "$CA_BUNDLE" | sha256sum | cut -c1-16)"

is_current() { [[ "$(docker image inspect -f '{{index .Config.Labels "standin.hash"}}' "$1" 2>/dev/null)" == "$HASH" ]]; }

# build TAG: the Dockerfile comes on stdin, the context is this folder.
build() {
  local started=$SECONDS
  docker build --progress=plain --label "standin.hash=$HASH" --tag "$1" --file - "$HERE" >"$WORK/log" 2>&1 ||
    { tail -n 40 "$WORK/log" >&2 && fail "$1 did not build" "read the lines above"; }
  say "$1: built in $((SECONDS - started)) s"
}

build_debian() {
  local root="$WORK/root" started=$SECONDS uri
  uri="$(mirror)"
  command -v debootstrap >/dev/null || { apt update && apt install debootstrap; } >"$WORK/log" 2>&1 ||
    fail "debootstrap cannot be installed" "apt-get install debootstrap"
  say "standin/debian:trixie: debootstrap"
  debootstrap --variant=minbase --include=ca-certificates trixie "$root" "$uri" >"$WORK/log" 2>&1 ||
    { tail -n 20 "$WORK/log" >&2 && fail "debootstrap stopped" "read the lines above"; }
  # As in Docker's own Debian images: packages start no services, dpkg does not wait for the disk, apt keeps no caches.
  printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
  chmod +x "$root/usr/sbin/policy-rc.d"
  echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/docker"
  echo 'APT::Keep-Downloaded-Packages "false"; Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";' >"$root/etc/apt/apt.conf.d/docker-clean"
  # One file per authority, so that OpenSSL's hashed directory knows them as well as the bundle.
  : >"$root/etc/ca-certificates.conf"
  awk -v dir="$root/usr/local/share/ca-certificates" \
    '/BEGIN CERT/ { close(file); file = sprintf("%s/machine-%03d.crt", dir, ++n) } file { print > file }' "$CA_BUNDLE"
  chroot "$root" update-ca-certificates --fresh >"$WORK/log" 2>&1
  install -D -m 644 "$WORK/pip.conf" "$root/etc/pip.conf"
  install -D -m 644 "$WORK/uv.toml" "$root/etc/uv/uv.toml"
  rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*
  tar -C "$root" -c . | docker import --change "LABEL standin.hash=$HASH" --change 'CMD ["bash"]' - standin/debian:trixie >/dev/null
  say "standin/debian:trixie: built in $((SECONDS - started)) s"
}

docker version >/dev/null 2>&1 || fail "no Docker engine answers" ".ci/engine.sh"
is_current standin/debian:trixie || build_debian

# pip installs itself from the wheel that venv brings: into /usr/local, as in the official image.
is_current standin/python:3.13-slim-trixie || build standin/python:3.13-slim-trixie <<'DOCKERFILE'
FROM standin/debian:trixie
RUN apt-get -qq update && apt-get -qq install --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/* /usr/lib/python3.13/EXTERNALLY-MANAGED \
    && ln -s /usr/bin/python3.13 /usr/local/bin/python && ln -s /usr/bin/python3.13 /usr/local/bin/python3 \
    && PYTHONPATH=$(echo /usr/share/python-wheels/pip-*.whl) python3 -m pip install --no-cache-dir --no-index \
       --root-user-action=ignore --find-links /usr/share/python-wheels pip
CMD ["python3"]
DOCKERFILE

is_current standin/python-fresh:3.13 || build standin/python-fresh:3.13 <<'DOCKERFILE'
FROM standin/python:3.13-slim-trixie
RUN apt-get -qq update && apt-get -qq install --no-install-recommends make git \
    && rm -rf /var/lib/apt/lists/*
CMD ["bash"]
DOCKERFILE

# The fixed user id and the open, owned data directory let the image run without root on a new named volume.
is_current standin/postgres:17 || build standin/postgres:17 <<'DOCKERFILE'
FROM standin/debian:trixie
RUN groupadd --system --gid 999 postgres \
    && useradd --system --uid 999 --gid 999 --home-dir /var/lib/postgresql --shell /bin/bash postgres \
    && apt-get -qq update && apt-get -qq install --no-install-recommends postgresql-common \
    && echo "create_main_cluster = false" >/etc/postgresql-common/createcluster.conf \
    && apt-get -qq install --no-install-recommends postgresql-17 \
    && rm -rf /var/lib/apt/lists/* \
    && sed -i "s/^#listen_addresses = .*/listen_addresses = '*'/" /usr/share/postgresql/17/postgresql.conf.sample \
    && install -d -o postgres -g postgres -m 1777 /var/lib/postgresql/data \
    && install -d -o postgres -g postgres -m 3777 /var/run/postgresql && mkdir /docker-entrypoint-initdb.d
ENV LANG=C.UTF-8 PGDATA=/var/lib/postgresql/data PG_MAJOR=17 \
    PATH=/usr/lib/postgresql/17/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
COPY --chmod=755 postgres-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
VOLUME /var/lib/postgresql/data
STOPSIGNAL SIGINT
EXPOSE 5432
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]
DOCKERFILE

is_current standin/registry:2 || build standin/registry:2 <<'DOCKERFILE'
FROM standin/debian:trixie
RUN apt-get -qq update && apt-get -qq install --no-install-recommends docker-registry wget && rm -rf /var/lib/apt/lists/*
RUN printf 'version: 0.1\nstorage: {filesystem: {rootdirectory: /var/lib/registry}}\nhttp: {addr: ":5000"}\n' >/etc/registry.yml
EXPOSE 5000
CMD ["docker-registry", "serve", "/etc/registry.yml"]
DOCKERFILE

is_current standin/prometheus:2 || build standin/prometheus:2 <<'DOCKERFILE'
FROM standin/debian:trixie
RUN apt-get -qq update && apt-get -qq install --no-install-recommends prometheus promtool && rm -rf /var/lib/apt/lists/*
ENTRYPOINT ["prometheus"]
DOCKERFILE

is_current standin/alertmanager:0 || build standin/alertmanager:0 <<'DOCKERFILE'
FROM standin/debian:trixie
RUN apt-get -qq update && apt-get -qq install --no-install-recommends prometheus-alertmanager && rm -rf /var/lib/apt/lists/*
ENTRYPOINT ["prometheus-alertmanager"]
DOCKERFILE
docker image ls --filter reference='standin/*'  --format '{{.Repository}}:{{.Tag}} {{.Size}}'
