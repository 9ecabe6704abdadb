#!/usr/bin/env bash
# Gives this machine a running Docker engine: usage .ci/engine.sh
#
# CI machines (Debian 12, root) come without one. Debian 13's packages run on them: engine, compose, buildx.
# An apt pin lets only those packages in from Debian 13, so the machine stays what it is otherwise. The mirror
# is the one that the machine's own apt sources name. Does nothing when the engine already answers; the engine
# outlives this script, and ENGINE_LOG is where it writes.
set -euo pipefail

HERE="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
# shellcheck source=SCRIPTDIR/machine.sh
. "$HERE/machine.sh"
ENGINE_LOG="${ENGINE_LOG:-/var/log/dockerd.log}"
PACKAGES=(docker.io docker-cli docker-compose docker-buildx containerd)

answers() { docker version >/dev/null 2>&1; }

install_engine() {
  local uri
  uri="$(mirror)"
  say "installing ${PACKAGES[*]}"
  echo "deb $uri trixie main" >/etc/apt/sources.list.d/docker-engine.list
  cat >/etc/apt/preferences.d/docker-engine <<PIN
Package: *
Pin: release n=trixie
Pin-Priority: -1

Package: ${PACKAGES[*]}
Pin: release n=trixie
Pin-Priority: 990
PIN
  { apt update && apt install "${PACKAGES[@]}" iptables procps; } >>"$ENGINE_LOG" 2>&1 ||
    { tail -n 20 "$ENGINE_LOG" >&2 && fail "the engine cannot be installed" "less $ENGINE_LOG"; }
}

start_engine() {
  if ! pgrep -x dockerd >/dev/null; then
    rm -f /var/run/docker.pid # left by an engine that was killed; a new one would refuse to start
    setsid dockerd >>"$ENGINE_LOG" 2>&1 </dev/null 9>&- &
  fi
  for _ in {1..120}; do
    answers && return
    pgrep -x dockerd >/dev/null || break
    sleep 0.5
  done
  tail -n 20 "$ENGINE_LOG" >&2 || true
  fail "dockerd does not answer" "less $ENGINE_LOG"
}

exec 9>/tmp/docker-engine.lock # two callers at once: the second one waits and then finds it done
flock 9
if ! { command -v dockerd && docker compose version && docker buildx version; } >/dev/null 2>&1; then
  install_engine
fi
answers || start_engine
docker version --format 'docker engine {{.Server.Version}}, client {{.Client.Version}}' |
  sed "s/\$/, compose $(docker compose version --short), $(docker buildx version | cut -d' ' -f2)/"
