#!/usr/bin/env bash
# Installs what the tests need and runs them all. --soak runs the long counts.
set -euo pipefail
cd "$(dirname "$0")/.."

export KGRCA_SOAK=0
for argument in "$@"; do
  case "$argument" in
    --soak) KGRCA_SOAK=1 ;;
    *)
      printf 'error: unknown option %s\nusage: ./tests/run.sh [--soak]\n' "$argument" >&2
      exit 2
      ;;
  esac
done

. tests/services/lib.sh
./install.sh --needs-only

if ! command -v cargo >/dev/null 2>&1 && [ -x "$HOME/.cargo/bin/cargo" ]; then
  PATH="$HOME/.cargo/bin:$PATH"
fi
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/kgrca/target}"
# The binaries stand beside each other: tests start them as people do. Of the whole workspace, as the tests are: what both
# need is compiled once.
cargo build --locked --workspace --bins
export KGRCA_BIN="$CARGO_TARGET_DIR/debug"
# The tool that checks the API against its own document: a Python program, in a folder of its own.
python="${XDG_CACHE_HOME:-$HOME/.cache}/kgrca/python"
if [ ! -x "$python/bin/schemathesis" ]; then
  if ! python3 -m venv --help >/dev/null 2>&1 || ! python3 -c 'import ensurepip' >/dev/null 2>&1; then
    install_packages python3 python3-venv
  fi
  rm -rf "$python"
  python3 -m venv "$python"
  "$python/bin/pip" install --quiet 'schemathesis==4.32.5'
fi
export KGRCA_SCHEMATHESIS="$python/bin/schemathesis"
# Real servers: what is costly to install is kept, what they write is not. Those that tests share end with this script.
command -v ps >/dev/null 2>&1 || install_packages procps
if ! command -v syslog-ng >/dev/null 2>&1 || ! syslog-ng --version | grep http >/dev/null; then
  install_packages syslog-ng-core syslog-ng-mod-http
fi
command -v curl >/dev/null 2>&1 || install_packages curl
command -v openssl >/dev/null 2>&1 || install_packages openssl
export KGRCA_SERVICES="${XDG_CACHE_HOME:-$HOME/.cache}/kgrca/services"
for service in postgres redis kafka neo4j kube helm promtool; do
  tests/services/$service.sh install "$KGRCA_SERVICES/$service"
done
KGRCA_SERVICES_DATA=$(mktemp -d)
export KGRCA_SERVICES_DATA
# Servers that do not run as root look into it.
chmod 755 "$KGRCA_SERVICES_DATA"
end_services() {
  for data in "$KGRCA_SERVICES_DATA"/*/; do stop "${data%/}"; done
  rm -rf "$KGRCA_SERVICES_DATA"
}
trap end_services EXIT
cargo test --locked --workspace --no-fail-fast
