#!/usr/bin/env bash
# Installs what the tests need and runs them.
#   ./tests/run.sh          everything
#   ./tests/run.sh --fast   unit tests and the suite: no server, nothing to install but the build's own needs
#   ./tests/run.sh --soak   everything, with the long counts
set -euo pipefail
cd "$(dirname "$0")/.."

usage='usage: ./tests/run.sh [--fast | --soak]'
fast=false
export KGRCA_SOAK=0
for argument in "$@"; do
  case "$argument" in
    --fast) fast=true ;;
    --soak) KGRCA_SOAK=1 ;;
    -h | --help)
      printf '%s\n' "$usage"
      exit 0
      ;;
    *)
      printf 'error: unknown option %s\n%s\n' "$argument" "$usage" >&2
      exit 2
      ;;
  esac
done

. tests/services/lib.sh
./install.sh --needs-only

if ! command -v cargo >/dev/null 2>&1 && [ -x "$HOME/.cargo/bin/cargo" ]; then
  PATH="$HOME/.cargo/bin:$PATH"
fi
cache="${XDG_CACHE_HOME:-$HOME/.cache}/kgrca"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$cache/target}"
# Tests start the binaries as people do. They are built for the whole workspace, as the tests are, so
# that dependencies of both are compiled once.
cargo build --locked --workspace --bins
export KGRCA_BIN="$CARGO_TARGET_DIR/debug"

if [ "$fast" = true ]; then
  # With --package, dependencies would be compiled again with fewer features.
  exec cargo test --locked --workspace --lib --bins --test suite --test sim --test fuzz --no-fail-fast
fi

# Tools that check the API's document: Python programs in an environment of their own, and a Node program.
tools=$(tests/services/openapi.sh install "$cache/openapi")
export KGRCA_OPENAPI_TOOLS="$tools"
command -v ps >/dev/null 2>&1 || install_packages procps
if ! command -v syslog-ng >/dev/null 2>&1 || ! syslog-ng --version | grep http >/dev/null; then
  install_packages syslog-ng-core syslog-ng-mod-http
fi
command -v curl >/dev/null 2>&1 || install_packages curl
command -v openssl >/dev/null 2>&1 || install_packages openssl
# Servers: what is slow to install is kept in the cache, their data is not. Servers that tests share
# are stopped when this script exits.
export KGRCA_SERVICES="$cache/services"
for service in postgres redis kafka neo4j vault kube helm promtool; do
  tests/services/$service.sh install "$KGRCA_SERVICES/$service"
done
KGRCA_SERVICES_DATA=$(mktemp -d)
export KGRCA_SERVICES_DATA
# Servers that do not run as root read it.
chmod 755 "$KGRCA_SERVICES_DATA"
end_services() {
  for data in "$KGRCA_SERVICES_DATA"/*/; do stop "${data%/}"; done
  rm -rf "$KGRCA_SERVICES_DATA"
}
trap end_services EXIT
if [ "$KGRCA_SOAK" = 1 ]; then
  tests/fuzz/run.sh 3600
  seeds=20000
  skipped=()
else
  tests/fuzz/run.sh 45
  seeds=1000
  # What takes minutes: hundreds of commands, and on servers what was run on embedded stores before.
  skipped=(--skip fixes::each_fix_is_a_command_that_kubectl_has)
  for attacks in answers bodies many memory query state work; do
    skipped+=(--skip "hostile_on_servers::$attacks::")
  done
  printf 'left out, run by ./tests/run.sh --soak: long counts, and%s\n' "${skipped[*]//--skip/}"
fi
# A simulated world spends most of its time in core and the daemon, which are otherwise not optimized. All
# other crates are shared with the rest of the tests.
KGRCA_SEEDS=${KGRCA_SEEDS:-$seeds} cargo test --locked --workspace --test sim \
  --config profile.dev.package.kgrca-core.opt-level=1 --config profile.dev.package.kgrca-daemon.opt-level=1 \
  no_seed_violates_an_invariant -- --nocapture
cargo test --locked --workspace --no-fail-fast -- "${skipped[@]}"
if [ "$KGRCA_SOAK" = 1 ]; then
  # How long hostile tenants delay others, measured on a daemon that is optimized. The tests and all other
  # crates are those of above.
  cargo build --locked --workspace --bins \
    --config profile.dev.package.kgrca-core.opt-level=2 --config profile.dev.package.kgrca-daemon.opt-level=2
  KGRCA_OPTIMIZED=1 cargo test --locked --workspace --test suite --test real -- \
    --test-threads 1 --nocapture hostile
fi
