#!/usr/bin/env bash
# Helm: install FOLDER puts it into FOLDER/helm, and the definitions of others' kinds that the charts use into FOLDER/crds.
set -euo pipefail
version=v3.22.0 keda=v2.18.0 operator=v0.85.0
stamp="$version $keda $operator"
mkdir -p "${2:?folder}"
folder=$(cd "$2" && pwd)
[ "${1:?verb}" = install ] || exit 2
[ "$(cat "$folder/installed" 2>/dev/null)" = "$stamp" ] && exit 0
command -v go >/dev/null 2>&1 || {
  printf 'error: go is missing\nhint: install Go 1.26 or newer: https://go.dev/doc/install\n' >&2
  exit 1
}
CGO_ENABLED=0 GOBIN=$folder go install -trimpath -ldflags '-s -w' "helm.sh/helm/v3/cmd/helm@$version"
mkdir -p "$folder/crds"
# Modules hold the definitions beside their code.
module() { (cd / && go mod download -json "$1") | sed -n 's/^\t"Dir": "\(.*\)",*$/\1/p'; }
cat "$(module "github.com/kedacore/keda/v2@$keda")/config/crd/bases/keda.sh_scaledobjects.yaml" >"$folder/crds/scaledobjects.yaml"
cat "$(module "github.com/prometheus-operator/prometheus-operator@$operator")/example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml" \
  >"$folder/crds/podmonitors.yaml"
echo "$stamp" >"$folder/installed"
