#!/usr/bin/env bash
# Prometheus' tool for rules: install FOLDER puts it into FOLDER/promtool. Of its package nothing else is wanted, and no server
# is to start: it is unpacked, not installed.
set -euo pipefail
mkdir -p "${2:?folder}"
folder=$(cd "$2" && pwd)
[ "${1:?verb}" = install ] || exit 2
[ -x "$folder/promtool" ] && exit 0
command -v apt-get >/dev/null 2>&1 || {
  printf 'error: promtool is missing\nhint: put it into %s\n' "$folder" >&2
  exit 1
}
unpacked=$(mktemp -d)
trap 'rm -rf "$unpacked"' EXIT
# Whoever fetches without being root must be able to write there.
chmod 777 "$unpacked"
cd "$unpacked"
apt-get download -q prometheus >/dev/null || { apt-get update -q >/dev/null && apt-get download -q prometheus >/dev/null; }
dpkg-deb -x prometheus_*.deb .
cp usr/bin/promtool "$folder/promtool"
