#!/usr/bin/env bash
# Builds what a release publishes: statically linked kgrca and kgrcad for Linux, an archive for
# each target, checksums, a manifest for krew and a CycloneDX SBOM. docs/release.md says what it needs.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'TXT'
usage: deploy/release.sh [--out DIR] [TARGET...]

  --out DIR  write archives, SHA256SUMS and SBOMs there (default: target/dist-archives)
  TARGET     x86_64-unknown-linux-gnu or aarch64-unknown-linux-gnu (default: this machine's)
TXT
}

fail() {
  printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
  exit 1
}

out=""
targets=()
while [ $# -gt 0 ]; do
  case "$1" in
    --out) out="${2:?--out needs a directory}"; shift ;;
    -h | --help) usage; exit 0 ;;
    *-linux-gnu) targets+=("$1") ;;
    *) fail "unknown target $1" "deploy/release.sh --help" ;;
  esac
  shift
done
./install.sh --needs-only
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
out="${out:-$CARGO_TARGET_DIR/dist-archives}"
host=$(rustc --version --verbose | sed -n 's/^host: //p')
[ "${#targets[@]}" -gt 0 ] || targets=("$host")
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)

# The C libraries go into the binary as well. With a target named, the flags hold for it alone and
# not for build scripts and macros, which must stay dynamic.
build() {
  local target="$1" upper
  upper=$(printf '%s' "$target" | tr 'a-z-' 'A-Z_')
  [ -d "$(rustc --print target-libdir --target "$target")" ] ||
    fail "the standard library for $target is missing" "rustup target add $target"
  if [ "$target" != "$host" ]; then
    local prefix="${target/-unknown/}"
    command -v "$prefix-gcc" >/dev/null 2>&1 ||
      fail "no cross compiler for $target" "install gcc and g++ for $prefix, and its libssl-dev"
    export "CARGO_TARGET_${upper}_LINKER=$prefix-gcc" PKG_CONFIG_ALLOW_CROSS=1
  fi
  env OPENSSL_STATIC=1 "CARGO_TARGET_${upper}_RUSTFLAGS=-C target-feature=+crt-static" \
    cargo build --locked --profile dist --target "$target" \
    --package kgrca-cli --package kgrca-daemon
}

# A binary that asks for a loader is not static, whatever the flags were.
check_static() {
  if readelf --program-headers "$1" | grep -q INTERP; then
    fail "$1 is linked dynamically" "readelf --dynamic $1 names the libraries"
  fi
}

pack() {
  local target="$1" name="kgrca-$version-$1" folder
  folder=$(mktemp -d)
  mkdir -p "$folder/$name"
  for binary in kgrca kgrcad; do
    check_static "$CARGO_TARGET_DIR/$target/dist/$binary"
    install -m 755 "$CARGO_TARGET_DIR/$target/dist/$binary" "$folder/$name/"
  done
  cp -r LICENSE README.md completions man "$folder/$name/"
  # The same input gives the same archive: names in order, no owner, the commit's time.
  tar --create --sort=name --owner=0 --group=0 --numeric-owner \
    --mtime="@$(git log -1 --format=%ct)" --directory "$folder" "$name" |
    gzip --no-name --best >"$out/$name.tar.gz"
  rm -rf "$folder"
}

sbom() {
  local tools="$CARGO_TARGET_DIR/tools" package
  [ -x "$tools/bin/cargo-cyclonedx" ] ||
    cargo install --locked --quiet --root "$tools" cargo-cyclonedx --version 0.5.9
  for package in cli daemon; do
    "$tools/bin/cargo-cyclonedx" cyclonedx --format json --spec-version 1.5 --target "$1" \
      --manifest-path "$package/Cargo.toml" --override-filename "sbom-$1"
    mv "$package/sbom-$1.json" "$out/kgrca-$package-$version-$1.cdx.json"
  done
  # It writes one for every member of the workspace.
  git clean -fq -- '*sbom-*.json'
}

# The manifest of the kubectl plugin, with the checksums of those archives that were made.
krew() {
  local edits=(-e "s/@VERSION@/$version/g" -e '/^#/d') target sum
  for target in "${targets[@]}"; do
    sum=$(sha256sum <"$out/kgrca-$version-$target.tar.gz")
    edits+=(-e "s/@$target@/${sum%% *}/")
  done
  sed "${edits[@]}" deploy/krew/kgrca.yaml >"$out/kgrca.yaml"
}

mkdir -p "$out"
for target in "${targets[@]}"; do
  build "$target"
  pack "$target"
  sbom "$target"
done
krew
(cd "$out" && sha256sum -- *.tar.gz *.cdx.json >SHA256SUMS)
printf 'wrote %s\n' "$out"
