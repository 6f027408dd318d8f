#!/usr/bin/env bash
# Starts etcd, the API server (RBAC, NodeRestriction, Pod Security, an audit log) and the controller
# manager; the scheduler comes with the first node. Does nothing when they run.
. "$(dirname "$0")/lib.sh"
is_running apiserver && is_running controller-manager && exit 0

if [ "$(id -u)" = 0 ] && ip link show "$BRIDGE" >/dev/null 2>&1; then
  # Two clusters would share addresses, ports and rules, and end each other.
  [ -e "$RUN/bridge" ] || die "the interface $BRIDGE is there: another cluster runs; end it with its KUBE_ROOT, or ip link del $BRIDGE"
elif [ "$(id -u)" = 0 ]; then
  touch "$RUN/bridge"
  ip link add "$BRIDGE" type bridge
  ip addr add "$API_IP/32" dev "$BRIDGE"
  ip link set "$BRIDGE" up
fi
"$HERE/pki.sh"

# Durability of the test cluster itself is worth nothing.
rm -rf "$VAR/etcd"
start etcd "$BIN/etcd" --name e2e --data-dir "$VAR/etcd" --unsafe-no-fsync --log-level warn \
  --listen-client-urls http://127.0.0.1:12379 --advertise-client-urls http://127.0.0.1:12379 \
  --listen-peer-urls http://127.0.0.1:12380 --initial-advertise-peer-urls http://127.0.0.1:12380 \
  --initial-cluster e2e=http://127.0.0.1:12380
await 20 etcd curl -sf http://127.0.0.1:12379/health

cat >"$ETC/admission.yaml" <<'K'
apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: PodSecurity
  configuration:
    apiVersion: pod-security.admission.config.k8s.io/v1
    kind: PodSecurityConfiguration
    defaults: {enforce: baseline, enforce-version: latest}
    exemptions: {namespaces: [kube-system]}
K
# Who asked for what and what came of it; bodies are nobody's business.
cat >"$ETC/audit.yaml" <<'K'
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  userGroups: [system:nodes, system:masters]
- level: None
  users: [system:kube-controller-manager, system:kube-scheduler, system:kube-proxy, system:apiserver]
- level: None
  userGroups: ["system:serviceaccounts:kube-system"]
- level: Metadata
K
start apiserver "$BIN/kube-apiserver" --etcd-servers=http://127.0.0.1:12379 \
  --bind-address=0.0.0.0 --advertise-address="$API_IP" --secure-port=6443 \
  --tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key" --client-ca-file="$PKI/ca.crt" \
  --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction --allow-privileged=true \
  --admission-control-config-file="$ETC/admission.yaml" \
  --audit-policy-file="$ETC/audit.yaml" --audit-log-path="$LOGS/audit.log" --audit-log-mode=blocking \
  --service-cluster-ip-range="$SERVICES" --service-account-issuer=https://kubernetes.default.svc.cluster.local \
  --service-account-key-file="$PKI/service-accounts.pub" --service-account-signing-key-file="$PKI/service-accounts.key" \
  --default-not-ready-toleration-seconds=20 --default-unreachable-toleration-seconds=20 \
  --kubelet-client-certificate="$PKI/apiserver-kubelet-client.crt" --kubelet-client-key="$PKI/apiserver-kubelet-client.key" \
  --kubelet-certificate-authority="$PKI/ca.crt" --kubelet-preferred-address-types=InternalIP \
  --requestheader-client-ca-file="$PKI/front-proxy-ca.crt" --requestheader-allowed-names=front-proxy-client \
  --requestheader-extra-headers-prefix=X-Remote-Extra- --requestheader-group-headers=X-Remote-Group \
  --requestheader-username-headers=X-Remote-User \
  --proxy-client-cert-file="$PKI/front-proxy-client.crt" --proxy-client-key-file="$PKI/front-proxy-client.key"
await 90 apiserver kube get --raw /readyz

# Only now: it ends when it cannot read its configuration from a ready API server.
start controller-manager "$BIN/kube-controller-manager" --kubeconfig="$PKI/controller-manager.kubeconfig" \
  --authentication-kubeconfig="$PKI/controller-manager.kubeconfig" --authorization-kubeconfig="$PKI/controller-manager.kubeconfig" \
  --bind-address=127.0.0.1 --service-account-private-key-file="$PKI/service-accounts.key" --root-ca-file="$PKI/ca.crt" \
  --cluster-signing-cert-file="$PKI/ca.crt" --cluster-signing-key-file="$PKI/ca.key" --use-service-account-credentials=true \
  --leader-elect=false --node-monitor-period=2s --node-monitor-grace-period=16s --allocate-node-cidrs=false
await 60 controller-manager kube -n default get serviceaccount default
