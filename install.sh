#!/usr/bin/env bash
# Checks the toolchain, installs what the build needs, builds, and installs the binaries,
# completions and man pages. --demo then explains a recorded incident on embedded stores.
set -euo pipefail
cd "$(dirname "$0")"

usage() {
  cat <<'TXT'
usage: ./install.sh [--demo | --cli] [--prefix DIR]

  --demo        install, then explain a recorded incident on embedded stores
  --cli         install only the kgrca command: analyze, eval, fault, and the client of a server.
                Also started by `kubectl kgrca`.
                Needs a C compiler, but no C++, OpenSSL or SQLite
  --prefix DIR  install into DIR/bin and DIR/share (default: ~/.local)
TXT
}

prefix="${PREFIX:-$HOME/.local}"
demo=false
cli_only=false
needs_only=false
while [ $# -gt 0 ]; do
  case "$1" in
    --demo) demo=true ;;
    --cli) cli_only=true ;;
    # Only installs what the build needs: for tests/run.sh.
    --needs-only) needs_only=true ;;
    --prefix) prefix="${2:?--prefix needs a directory}"; shift ;;
    -h | --help) usage; exit 0 ;;
    *)
      printf 'error: unknown option %s\nhint: ./install.sh --help\n' "$1" >&2
      exit 2
      ;;
  esac
  shift
done
if [ "$demo" = true ] && [ "$cli_only" = true ]; then
  printf 'error: --demo needs the server, which --cli leaves out\nhint: choose one of them\n' >&2
  exit 2
fi

fail() {
  printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
  exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

# install_packages HINT PACKAGE...: with apt-get where that is possible, else fails with the hint.
install_packages() {
  local hint="$1"
  shift
  local as_root=()
  if [ "$(id -u)" != 0 ]; then
    has sudo || fail "build tools are missing" "$hint"
    as_root=(sudo)
  fi
  has apt-get || fail "build tools are missing" "$hint"
  "${as_root[@]}" apt-get update -q
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -yq "$@"
}

needed=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
if ! has cargo && [ -x "$HOME/.cargo/bin/cargo" ]; then
  PATH="$HOME/.cargo/bin:$PATH"
fi
has cargo || fail "cargo is missing" "install Rust $needed or later with rustup, then run this again"
have=$(cargo --version | cut -d ' ' -f 2)
oldest=$(printf '%s\n%s\n' "$needed" "$have" | sort -V | head -n 1)
[ "$oldest" = "$needed" ] || fail "cargo $have is older than $needed" "rustup update stable"

if [ "$cli_only" = true ]; then
  has cc || install_packages "install gcc with your package manager" gcc libc6-dev
else
  # SQLite and the Kafka client are built from source; the latter against the system's OpenSSL.
  if ! has cc || ! has c++ || ! has make || ! has pkg-config || ! pkg-config --exists openssl; then
    install_packages \
      "install gcc, g++, make, pkg-config and libssl-dev (openssl-devel) with your package manager" \
      gcc g++ libc6-dev make pkg-config libssl-dev
  fi
fi
[ "$needs_only" = false ] || exit 0

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/kgrca/target}"
binaries=(kgrca)
packages=(--package kgrca-cli)
if [ "$cli_only" = false ]; then
  binaries+=(kgrcad)
  packages+=(--package kgrca-daemon)
fi
cargo build --release --locked "${packages[@]}"

bin="$prefix/bin"
share="$prefix/share"
mkdir -p "$bin" "$share/bash-completion/completions" "$share/zsh/site-functions" \
  "$share/fish/vendor_completions.d" "$share/man/man1"
for binary in "${binaries[@]}"; do
  install -m 755 "$CARGO_TARGET_DIR/release/$binary" "$bin/"
done
# As a plugin of kubectl: `kubectl kgrca`.
ln -sf kgrca "$bin/kubectl-kgrca"
install -m 644 completions/kgrca.bash "$share/bash-completion/completions/kgrca"
install -m 644 completions/_kgrca "$share/zsh/site-functions/_kgrca"
install -m 644 completions/kgrca.fish "$share/fish/vendor_completions.d/kgrca.fish"
install -m 644 man/*.1 "$share/man/man1/"
printf 'installed %s in %s\n' "${binaries[*]}" "$bin"
case ":$PATH:" in
  *":$bin:"*) ;;
  *) printf 'hint: add %s to PATH\n' "$bin" ;;
esac
if [ "$demo" = true ]; then
  "$bin/kgrca" demo
fi
