#!/usr/bin/env bash
# Helm: install FOLDER puts it into FOLDER/helm.
set -euo pipefail
version=v3.22.0
mkdir -p "${2:?folder}"
folder=$(cd "$2" && pwd)
[ "${1:?verb}" = install ] || exit 2
[ "$(cat "$folder/installed" 2>/dev/null)" = "$version" ] && exit 0
command -v go >/dev/null 2>&1 || {
  printf 'error: go is missing\nhint: install Go 1.26 or newer: https://go.dev/doc/install\n' >&2
  exit 1
}
CGO_ENABLED=0 GOBIN=$folder go install -trimpath -ldflags '-s -w' "helm.sh/helm/v3/cmd/helm@$version"
echo "$version" >"$folder/installed"
