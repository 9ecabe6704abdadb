#!/usr/bin/env bash
# Entry point of standin/postgres:17: an empty PGDATA becomes a database, then postgres takes this process over.
#
# Reads what the official image reads: POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB (each also as NAME_FILE),
# POSTGRES_INITDB_ARGS, POSTGRES_HOST_AUTH_METHOD and *.sql and *.sh from /docker-entrypoint-initdb.d.
set -euo pipefail

[[ "${1:-postgres}" == -* ]] && set -- postgres "$@"
[[ "${1:-}" == postgres ]] || exec "$@"

if [[ "$(id -u)" == 0 ]]; then
  install -d -o postgres -g postgres -m 700 "$PGDATA"
  find "$PGDATA" \! -user postgres -exec chown postgres:postgres {} +
  exec setpriv --reuid postgres --regid postgres --init-groups "$0" "$@"
fi

for name in POSTGRES_USER POSTGRES_PASSWORD POSTGRES_DB; do
  file="${name}_FILE"
  [[ -z "${!file:-}" ]] || export "$name=$(<"${!file}")"
done
user="${POSTGRES_USER:-postgres}"
database="${POSTGRES_DB:-$user}"
method="${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}"

initialise() {
  if [[ -z "${POSTGRES_PASSWORD:-}" && "$method" != trust ]]; then
    echo "error: the database is new and POSTGRES_PASSWORD is not set" >&2
    echo "  try: docker run --env POSTGRES_PASSWORD=..." >&2
    exit 1
  fi
  local psql=(psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$user")
  # shellcheck disable=SC2086 # POSTGRES_INITDB_ARGS holds several arguments
  initdb --username "$user" ${POSTGRES_PASSWORD:+--pwfile=<(echo "$POSTGRES_PASSWORD")} \
    --auth-local=trust --auth-host="$method" ${POSTGRES_INITDB_ARGS:-} >&2
  echo "host all all all $method" >>"$PGDATA/pg_hba.conf"
  # No one outside must meet a half-made database: until it is done, the unix socket only.
  pg_ctl --wait --options "-c listen_addresses=''" start >&2
  if [[ "$database" != postgres ]]; then
    "${psql[@]}" --dbname postgres --set name="$database" <<<'CREATE DATABASE :"name"' >&2
  fi
  for file in /docker-entrypoint-initdb.d/*; do
    case "$file" in
      *.sh) bash "$file" >&2 ;;
      *.sql) "${psql[@]}" --dbname "$database" --file "$file" >&2 ;;
    esac
  done
  pg_ctl --wait --mode fast stop >&2
  echo "postgres: the new database is ready, starting" >&2
}

[[ -s "$PGDATA/PG_VERSION" ]] || initialise
exec "$@"
