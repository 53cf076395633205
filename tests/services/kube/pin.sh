#!/usr/bin/env bash
# Writes go.mod and go.sum for a version of Kubernetes: pin.sh v1.34.4
# What Kubernetes takes from its own staging folders is published as k8s.io/*, v1.N.P there being v0.N.P.
set -euo pipefail
cd "$(dirname "$0")"
version=${1:?version}
published=v0.${version#v1.}
source=$(cd / && go mod download -json "k8s.io/kubernetes@$version" | sed -n 's/^\t"Dir": "\(.*\)",*$/\1/p')
etcd=$(sed -n 's|^\tgo.etcd.io/etcd/client/v3 \(v[^ ]*\).*|\1|p' "$source/go.mod")
{
  printf 'module kube\n\n'
  grep '^go ' "$source/go.mod"
  grep '^godebug ' "$source/go.mod"
  printf 'require (\n\tgo.etcd.io/etcd/server/v3 %s\n\tk8s.io/kubernetes %s\n)\nreplace (\n' "$etcd" "$version"
  sed -n 's|^\t\(k8s.io/[^ ]*\) => ./staging/.*|\1|p' "$source/go.mod" | while read -r module; do
    case $module in
    # Named there and used by nothing.
    k8s.io/sample-*) printf '\t%s => ./unused\n' "$module" ;;
    *) printf '\t%s => %s %s\n' "$module" "$module" "$published" ;;
    esac
  done
  printf ')\n'
} >go.mod.new
mv go.mod.new go.mod
rm -f go.sum
go mod tidy
