#!/usr/bin/env bash
# node.sh NUMBER: starts that node, or what is not running of it: containerd and a kubelet of its
# own. The first brings the scheduler and the proxy along. All nodes share this kernel, thus also the
# bridge of the pods, their addresses and the proxy's rules.
. "$(dirname "$0")/lib.sh"
number=$1
node=$(node_name "$number")
ip=$BRIDGE_NET.$number
state=$VAR/node-$number
run=$RUN/node-$number
mkdir -p "$state" "$run" "$ETC/cni"
socket=$run/containerd.sock

"$HERE/pki.sh" "$number"
# Not by a pipe to grep -q: it may end before ip has said everything, and then ip fails.
[[ $(ip addr show dev "$BRIDGE") == *" $ip/32"* ]] || ip addr add "$ip/32" dev "$BRIDGE"
sysctl -qw net.ipv4.ip_forward=1

# A cgroup of its own in every hierarchy; the first node has the root.
cgroup=/
if [ "$number" != 1 ]; then
  cgroup=/e2e-$number
  awk '$3 == "cgroup" {print $2}' /proc/mounts | while read -r hierarchy; do
    mkdir -p "$hierarchy$cgroup"
    if [ -f "$hierarchy$cgroup/cpuset.cpus" ]; then
      cat "$hierarchy/cpuset.cpus" >"$hierarchy$cgroup/cpuset.cpus"
      cat "$hierarchy/cpuset.mems" >"$hierarchy$cgroup/cpuset.mems"
    fi
  done
fi

cat >"$ETC/cni/10-pods.conflist" <<K
{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "isDefaultGateway": true, "hairpinMode": true, "ipMasq": true,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$PODS"}]], "dataDir": "$VAR/cni-addresses"}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
K
# restrict_oom_score_adj: where the machine may not lower scores, runc would fail.
cat >"$ETC/containerd-$number.toml" <<K
version = 2
root = "$state/containerd"
state = "$run/containerd"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "$socket"
[plugins."io.containerd.internal.v1.opt"]
  path = "$state/containerd-opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "rmq.test/pause:1"
  restrict_oom_score_adj = true
  disable_apparmor = true
  enable_selinux = false
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$ETC/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
K
is_running "containerd-$number" || start "containerd-$number" containerd -c "$ETC/containerd-$number.toml"
await 20 "containerd-$number" ctr --connect-timeout 1s -a "$socket" version
for archive in "$VAR"/images/*.tar; do
  ctr -a "$socket" -n k8s.io images import "$archive" >/dev/null
done

# Pods resolve names of the cluster and of nothing else.
printf 'nameserver 127.0.0.1\n' >"$ETC/resolv.conf"
cat >"$ETC/kubelet-$number.yaml" <<K
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $ip
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $PKI/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $PKI/kubelet-$number-serving.crt
tlsPrivateKeyFile: $PKI/kubelet-$number-serving.key
containerRuntimeEndpoint: unix://$socket
cgroupDriver: cgroupfs
cgroupRoot: $cgroup
failCgroupV1: false
enforceNodeAllocatable: [pods]
failSwapOn: false
oomScoreAdj: 0
clusterDNS: [$API_IP]
clusterDomain: cluster.local
resolvConf: $ETC/resolv.conf
podLogsDir: $state/pod-logs
volumePluginDir: $state/volume-plugins
healthzPort: 0
# Two nodes on one small machine: what pods ask for is not what they use.
systemReserved: {}
imageGCHighThresholdPercent: 100
# The machine's disk is not the nodes': what others leave of it is enough as long as there is something.
evictionHard: {memory.available: "100Mi", nodefs.available: "200Mi", imagefs.available: "200Mi", nodefs.inodesFree: "1%"}
evictionPressureTransitionPeriod: 10s
# The defaults are minutes; a test waits for each of these.
syncFrequency: 5s
nodeStatusUpdateFrequency: 4s
nodeLeaseDurationSeconds: 12
configMapAndSecretChangeDetectionStrategy: Watch
registryPullQPS: 0
K
# The first node's cgroup root is the default one: naming it would be refused where it is not mounted whole.
if [ "$number" = 1 ]; then sed -i '/^cgroupRoot:/d' "$ETC/kubelet-1.yaml"; fi
is_running "kubelet-$number" || start "kubelet-$number" "$BIN/kubelet" --config="$ETC/kubelet-$number.yaml" \
  --kubeconfig="$PKI/kubelet-$number.kubeconfig" --node-ip="$ip" --hostname-override="$node" \
  --root-dir="$state/kubelet" --cert-dir="$state/kubelet-pki" --v=1

if [ "$number" = 1 ]; then
  is_running scheduler || start scheduler "$BIN/kube-scheduler" --kubeconfig="$PKI/scheduler.kubeconfig" \
    --authentication-kubeconfig="$PKI/scheduler.kubeconfig" --authorization-kubeconfig="$PKI/scheduler.kubeconfig" \
    --bind-address=127.0.0.1 --leader-elect=false
  # The proxy leaves connection tracking alone: it is the machine's. It ends when its file is written
  # anew.
  is_running proxy || cat >"$ETC/proxy.yaml" <<K
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $PKI/proxy.kubeconfig}
mode: ${KUBE_PROXY_MODE:-nftables}
clusterCIDR: $PODS
hostnameOverride: $node
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
oomScoreAdj: 0
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
nftables: {syncPeriod: 30s, minSyncPeriod: 0s}
iptables: {syncPeriod: 30s, minSyncPeriod: 0s}
nodePortAddresses: ["$ip/32"]
K
  is_running proxy || start proxy "$BIN/kube-proxy" --config="$ETC/proxy.yaml"
fi

is_ready() {
  [ "$(kube get node "$node" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')" = True ]
}
await 60 "kubelet-$number" is_ready
