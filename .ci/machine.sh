# shellcheck shell=bash
# Sourced by engine.sh and images.sh: how they speak, and the package mirror that this machine's own settings name.

say() { echo "$(basename "$0" .sh): $*" >&2; }

# fail WHAT TRY
fail() {
  say "error: $1"
  say "  try: $2"
  exit 1
}

apt() { DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 --no-install-recommends "$@"; }

# As apt understands its sources: in either file format, and before any update.
mirror() {
  local codename uri
  # shellcheck disable=SC1091 # the system's own file
  codename="$(. /etc/os-release && echo "$VERSION_CODENAME")"
  uri="$(apt-get update --print-uris | sed -nE "s|^'(.*)/dists/$codename/InRelease' .*|\1|p" | sed -n 1p)"
  [[ -n "$uri" ]] || fail "apt's sources name no mirror of $codename" "apt-get update --print-uris"
  echo "$uri"
}
