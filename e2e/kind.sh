#!/usr/bin/env bash
# e2e/kind.sh [SCENARIO...]: the scenarios of `rmq-e2e kube` on kind, for machines with Docker and kind.
# Clients run beside the cluster, so routes to its pods and services are added (root) and taken away.
set -euo pipefail
cd "$(dirname "$0")/.."
name=rmq-e2e
images=target/images
for tool in docker kind kubectl; do
  command -v "$tool" >/dev/null || { echo "kind.sh: $tool is not installed" >&2; exit 1; }
done

work=$(mktemp -d)
node() { docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$1"; }
cleanup() {
  while read -r net; do ip route del "$net" 2>/dev/null || true; done <"$work/routes"
  kind delete cluster --name "$name" || true
  rm -rf "$work"
}
: >"$work/routes"
trap cleanup EXIT

cat >"$work/kind.yaml" <<'K'
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
nodes: [{role: control-plane}, {role: worker}, {role: worker}, {role: worker}]
networking: {podSubnet: 10.244.0.0/16, serviceSubnet: 10.96.0.0/16}
K
kind create cluster --name "$name" --config "$work/kind.yaml" --kubeconfig "$work/kubeconfig" --wait 120s
export KUBECONFIG=$work/kubeconfig
kubectl get nodes -o 'jsonpath={range .items[*]}{.metadata.name} {.spec.podCIDR}{"\n"}{end}' |
  while read -r member net; do
    ip route replace "$net" via "$(node "$member")"
    echo "$net" >>"$work/routes"
  done
# Any node's proxy forwards what is sent to a service.
ip route replace 10.96.0.0/16 via "$(node "$name-control-plane")"
echo 10.96.0.0/16 >>"$work/routes"

cargo xtask images --out "$images" --tag "$(cargo pkgid -p rmq-broker | sed 's/.*[#@]//')" --tag next
for archive in "$images"/*.tar; do kind load image-archive --name "$name" "$archive"; done
cargo build --release -p rmq-e2e
"${CARGO_TARGET_DIR:-target}/release/rmq-e2e" kube --images "$images" "$@"
