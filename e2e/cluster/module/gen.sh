#!/usr/bin/env bash
# gen.sh VERSION (v1.34.4): writes go.mod for that Kubernetes; then `go mod tidy`. Its parts are
# modules that it replaces by folders of its own repository: here by their releases.
set -euo pipefail
cd "$(dirname "$0")"
version=$1
parts=v0.${version#v1.}
original=$(go mod download -json "k8s.io/kubernetes@$version" | awk -F'"' '$2 == "GoMod" {print $4}')
{
  echo "module rmq.test/kube"
  echo
  grep -E '^go ' "$original"
  echo
  grep -E '^godebug ' "$original" || true
  echo "require k8s.io/kubernetes $version"
  echo
  echo "replace ("
  grep -E '^	k8s.io/[a-z0-9-]+ => ./staging' "$original" | awk -v parts="$parts" '{print "\t" $1 " => " $1 " " parts}'
  # Whatever else it replaces.
  awk '/^replace \(/ {inside = 1; next} inside && /^\)/ {inside = 0} inside && /=>/ && !/staging/' "$original"
  echo ")"
} >go.mod
