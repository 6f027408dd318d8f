#!/usr/bin/env bash
# up.sh [--nodes N]: a real Kubernetes on this machine, without a registry: the control plane alone
# (the default; it needs no root), or with N nodes, cluster DNS and a default storage class (Debian,
# root). Builds what is missing. Prints the path of the kubeconfig. down.sh ends it.
. "$(dirname "$0")/lib.sh"
nodes=0
if [ "${1:-}" = --nodes ]; then nodes=$2; fi

mkdir -p "$ETC" "$LOGS" "$RUN" "$VAR/images" "$ROOT/bin"
if [ "$nodes" -gt 0 ]; then
  [ "$(id -u)" = 0 ] || die "nodes need root"
  missing=()
  for pair in containerd:containerd runc:runc iptables:iptables nft:nftables conntrack:conntrack ip:iproute2; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
  done
  [ -d /usr/lib/cni ] || missing+=(containernetworking-plugins)
  if [ ${#missing[@]} -gt 0 ]; then
    command -v apt-get >/dev/null || die "missing: ${missing[*]}"
    # Nothing that is installed here may start a service of its own.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
      printf '#!/bin/sh\nexit 101\n' >"$policy"
      chmod +x "$policy"
      trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    say "installing ${missing[*]}"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; } \
      >"$LOGS/apt.log" 2>&1 || die "cannot install ${missing[*]}: see $LOGS/apt.log"
  fi
fi
"$HERE/build.sh" kubernetes >/dev/null
# For whoever uses the cluster: the machine's own, or the one that was built.
ln -sf "$KUBECTL" "$ROOT/bin/kubectl"
"$HERE/control-plane.sh"

if [ "$nodes" -gt 0 ]; then
  [ -f "$VAR/images/pause.tar" ] || "$HERE/image.sh" rmq.test/pause:1 "$BIN/pause" "$VAR/images/pause.tar"
  is_running dns || start dns "$BIN/minidns" -kubeconfig "$ADMIN" -listen "$API_IP:53"
  mkdir -p "$VAR/volumes"
  is_running provisioner || start provisioner "$BIN/provisioner" -kubeconfig "$ADMIN" -dir "$VAR/volumes"
  kube apply -f - >/dev/null <<'K'
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: directory, annotations: {storageclass.kubernetes.io/is-default-class: "true"}}
provisioner: rmq.test/directory
volumeBindingMode: WaitForFirstConsumer
allowVolumeExpansion: true
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: fixed}
provisioner: rmq.test/directory
volumeBindingMode: WaitForFirstConsumer
allowVolumeExpansion: false
K
  for number in $(seq "$nodes"); do "$HERE/node.sh" "$number"; done
fi
echo "$ADMIN"
