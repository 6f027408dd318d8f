#!/usr/bin/env bash
# Makes a CA, the serving and client certificates of the control plane and its kubeconfigs, or with
# a number those of that node. Nothing is made twice.
. "$(dirname "$0")/lib.sh"
mkdir -p "$PKI"
cd "$PKI"
umask 077

key() { openssl ecparam -genkey -name prime256v1 -noout -out "$1.key"; }

authority() {
  key "$1"
  openssl req -x509 -new -key "$1.key" -out "$1.crt" -days 30 -subj "/CN=$1" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
}

# certificate NAME AUTHORITY SUBJECT USAGE [ALTERNATIVE NAMES]
certificate() {
  key "$1"
  openssl req -new -key "$1.key" -out "$1.csr" -subj "$3"
  {
    echo basicConstraints=critical,CA:FALSE
    echo keyUsage=critical,digitalSignature
    echo "extendedKeyUsage=$4"
    if [ -n "${5:-}" ]; then echo "subjectAltName=$5"; fi
  } >"$1.ext"
  openssl x509 -req -in "$1.csr" -CA "$2.crt" -CAkey "$2.key" -CAcreateserial -out "$1.crt" -days 30 -extfile "$1.ext" 2>>"$LOGS/pki.log"
  rm "$1.csr" "$1.ext"
}

kubeconfig() {
  cat >"$1.kubeconfig" <<K
apiVersion: v1
kind: Config
clusters: [{name: e2e, cluster: {server: "https://$API_IP:6443", certificate-authority-data: $(base64 -w0 ca.crt)}}]
users: [{name: $1, user: {client-certificate-data: $(base64 -w0 "$1.crt"), client-key-data: $(base64 -w0 "$1.key")}}]
contexts: [{name: e2e, context: {cluster: e2e, user: $1}}]
current-context: e2e
K
}

if [ $# = 1 ]; then
  node=$(node_name "$1")
  [ -f "kubelet-$1.kubeconfig" ] && exit 0
  certificate "kubelet-$1" ca "/O=system:nodes/CN=system:node:$node" clientAuth
  certificate "kubelet-$1-serving" ca "/O=system:nodes/CN=system:node:$node" serverAuth "IP:$BRIDGE_NET.$1,DNS:$node"
  kubeconfig "kubelet-$1"
  exit 0
fi

[ -f admin.kubeconfig ] && exit 0
authority ca
authority front-proxy-ca
names="DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
certificate apiserver ca /CN=kube-apiserver serverAuth "IP:127.0.0.1,IP:$API_IP,IP:$API_SERVICE,$names"
certificate apiserver-kubelet-client ca /O=system:masters/CN=apiserver-kubelet-client clientAuth
certificate front-proxy-client front-proxy-ca /CN=front-proxy-client clientAuth
certificate controller-manager ca /CN=system:kube-controller-manager clientAuth
certificate scheduler ca /CN=system:kube-scheduler clientAuth
certificate proxy ca /CN=system:kube-proxy clientAuth
certificate admin ca /O=system:masters/CN=admin clientAuth
openssl ecparam -genkey -name prime256v1 -noout -out service-accounts.key
openssl ec -in service-accounts.key -pubout -out service-accounts.pub 2>>"$LOGS/pki.log"
# The last one says that all are there.
for name in controller-manager scheduler proxy admin; do kubeconfig "$name"; done
