#!/usr/bin/env bash
# Redis of the system's package: install FOLDER | start FOLDER DATA PORT | stop DATA
# URL: redis://127.0.0.1:PORT/0
set -euo pipefail
# shellcheck source=tests/services/lib.sh
. "$(dirname "$0")/lib.sh"

case ${1:?verb} in
install) command -v redis-server >/dev/null 2>&1 || install_packages redis-server ;;
start)
  data=${3:?data} port=${4:?port}
  mkdir -p "$data"
  alive "$data" && exit 0
  redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no --dir "$data" </dev/null >>"$data/log" 2>&1 &
  echo $! >"$data/pid"
  ready() { redis-cli -p "$port" ping 2>/dev/null | grep -q PONG; }
  await "$data" "$data/log" ready
  ;;
stop) stop "${2:?data}" ;;
*) exit 2 ;;
esac
