#!/usr/bin/env bash
# PostgreSQL of the system's package: install FOLDER | start FOLDER DATA PORT | stop DATA
# URL: postgres://postgres:postgres@127.0.0.1:PORT/postgres
set -euo pipefail
# shellcheck source=tests/services/lib.sh
. "$(dirname "$0")/lib.sh"

programs() { find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -1; }
# It refuses to run as root.
as_user() { if [ "$(id -u)" -eq 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }

case ${1:?verb} in
install)
  [ -n "$(programs)" ] && exit 0
  # Keeps the package from making and starting a server of its own.
  if [ "$(id -u)" -eq 0 ]; then
    mkdir -p /etc/postgresql-common
    [ -f /etc/postgresql-common/createcluster.conf ] || echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
  fi
  install_packages postgresql
  ;;
start)
  data=${3:?data} port=${4:?port} bin=$(programs)
  mkdir -p "$data"
  alive "$data" && exit 0
  [ "$(id -u)" -ne 0 ] || chown postgres "$data"
  if [ ! -f "$data/db/PG_VERSION" ]; then
    as_user sh -c "umask 077; printf postgres >'$data/password'"
    # Text sorts as it usually does in databases, not by bytes.
    as_user "$bin/initdb" -D "$data/db" -U postgres -A scram-sha-256 --pwfile="$data/password" -E UTF8 --locale=C --locale-provider=icu --icu-locale=en-US --no-sync >"$data/initdb.log"
  fi
  rm -f "$data/db/postmaster.pid"
  # Commits must survive kill -9 of the server, not a power cut.
  as_user "$bin/postgres" -D "$data/db" -p "$port" -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
    -c fsync=off -c shared_buffers=64MB -c max_connections=150 </dev/null >>"$data/log" 2>&1 &
  echo $! >"$data/pid"
  ready() { as_user "$bin/pg_isready" -q -h 127.0.0.1 -p "$port"; }
  await "$data" "$data/log" ready
  # The process that runs as root is only the one that changed its user.
  head -1 "$data/db/postmaster.pid" >"$data/pid"
  ;;
stop) stop "${2:?data}" ;;
*) exit 2 ;;
esac
