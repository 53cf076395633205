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

# Installs packages of the system where it can.
install_packages() {
  command -v apt-get >/dev/null 2>&1 || {
    printf 'error: %s is missing\nhint: install it with the package manager of this machine\n' "$1" >&2
    exit 1
  }
  as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo)
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" apt-get install -y -qq "$@"
}

if ! command -v cargo >/dev/null 2>&1 && [ -x "$HOME/.cargo/bin/cargo" ]; then
  PATH="$HOME/.cargo/bin:$PATH"
fi
command -v cargo >/dev/null 2>&1 || {
  printf 'error: cargo is missing\nhint: install Rust with rustup\n' >&2
  exit 1
}
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/kgrca/target}"
# The binaries stand beside each other: tests start them as people do.
cargo build --locked -p kgrca-cli -p kgrca-daemon
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
cargo test --locked --workspace --no-fail-fast
