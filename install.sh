#!/usr/bin/env bash
# Checks for the toolchain, installs what the build needs, builds, and installs both binaries, completions and man pages.
# With --demo it then explains a recorded incident on embedded stores.
set -euo pipefail
cd "$(dirname "$0")"

prefix="${PREFIX:-$HOME/.local}"
demo=false
needs_only=false
while [ $# -gt 0 ]; do
  case "$1" in
    --demo) demo=true ;;
    # What the build needs, and no build: for the tests' own script.
    --needs-only) needs_only=true ;;
    --prefix) prefix="${2:?--prefix needs a folder}"; shift ;;
    -h | --help)
      printf 'usage: ./install.sh [--demo] [--prefix FOLDER]   (default folder: ~/.local)\n'
      exit 0
      ;;
    *)
      printf 'error: unknown option %s\nhint: ./install.sh --help\n' "$1" >&2
      exit 2
      ;;
  esac
  shift
done

fail() {
  printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
  exit 1
}

needed=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
if ! command -v cargo >/dev/null 2>&1 && [ -x "$HOME/.cargo/bin/cargo" ]; then
  PATH="$HOME/.cargo/bin:$PATH"
fi
command -v cargo >/dev/null 2>&1 || fail "cargo is missing" "install Rust $needed or newer with rustup, then run this again"
have=$(cargo --version | cut -d ' ' -f 2)
oldest=$(printf '%s\n%s\n' "$needed" "$have" | sort -V | head -n 1)
[ "$oldest" = "$needed" ] || fail "cargo $have is older than $needed" "rustup update stable"

# SQLite and the Kafka client are built from source; the latter with the system's OpenSSL.
if ! command -v cc >/dev/null 2>&1 || ! command -v c++ >/dev/null 2>&1 || ! command -v make >/dev/null 2>&1 ||
  ! command -v pkg-config >/dev/null 2>&1 || ! pkg-config --exists openssl; then
  if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    apt-get update -q && apt-get install -yq gcc g++ libc6-dev make pkg-config libssl-dev
  else
    fail "a C compiler, make, pkg-config or the headers of OpenSSL are missing" \
      "install gcc, g++, make, pkg-config and libssl-dev (openssl-devel) with the package manager of this machine"
  fi
fi
[ "$needs_only" = false ] || exit 0

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/kgrca/target}"
cargo build --release --locked -p kgrca-cli -p kgrca-daemon

bin="$prefix/bin"
mkdir -p "$bin" "$prefix/share/bash-completion/completions" "$prefix/share/zsh/site-functions" \
  "$prefix/share/fish/vendor_completions.d" "$prefix/share/man/man1"
install -m 755 "$CARGO_TARGET_DIR/release/kgrca" "$CARGO_TARGET_DIR/release/kgrcad" "$bin/"
install -m 644 completions/kgrca.bash "$prefix/share/bash-completion/completions/kgrca"
install -m 644 completions/_kgrca "$prefix/share/zsh/site-functions/_kgrca"
install -m 644 completions/kgrca.fish "$prefix/share/fish/vendor_completions.d/kgrca.fish"
install -m 644 man/*.1 "$prefix/share/man/man1/"
printf 'installed kgrca and kgrcad in %s\n' "$bin"
case ":$PATH:" in
  *":$bin:"*) ;;
  *) printf 'hint: add %s to PATH\n' "$bin" ;;
esac
if [ "$demo" = true ]; then
  "$bin/kgrca" demo
fi
