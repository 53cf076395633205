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
cargo test --locked --workspace --no-fail-fast
