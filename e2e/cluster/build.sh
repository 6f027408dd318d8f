#!/usr/bin/env bash
# build.sh [kubernetes] [helm]: builds these from pinned Go modules, into the cache, unless they are
# there, and prints where they are. Kubernetes is `kube` (API server, controller manager, scheduler,
# kubelet and proxy in one), etcd, cluster DNS, a volume provisioner, the pause program, and kubectl
# when the machine has none: about 530 seconds of CPU the first time. Helm takes about 180.
. "$(dirname "$0")/lib.sh"

HELM=v3.22.0

command -v go >/dev/null || die "Go is not installed: it is needed to build Kubernetes, or set KUBECONFIG to a cluster that runs"
mkdir -p "$CACHE"
# Memory is cheaper than time here: without collection the compiler is a sixth faster.
export CGO_ENABLED=0 GOGC=${GOGC:-off} GOFLAGS=-buildvcs=false
# Two builds at once would do the same work twice.
exec 9>"$CACHE/build.lock"
flock 9

build_helm() {
  local into=$CACHE/helm-$HELM
  if [ ! -x "$into/helm" ]; then
    say "building helm $HELM; this takes minutes once"
    # An interrupted build leaves nothing that looks whole.
    GOBIN=$into.new go install -trimpath "helm.sh/helm/v3/cmd/helm@$HELM"
    rm -rf "$into"
    mv "$into.new" "$into"
  fi
  echo "$into"
}

build_kubernetes() {
  cd "$HERE/module"
  local version minor stamps package programs program name
  version=$(awk '$1 == "k8s.io/kubernetes" {print $2}' go.mod)
  minor=$(echo "$version" | cut -d. -f2)
  # Clients read these.
  stamps="-s -w"
  for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    stamps="$stamps -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=$minor"
  done
  package=k8s.io/component-base/version
  stamps="$stamps -X $package.gitTreeState=clean -X $package.gitCommit=module -X $package.buildDate=2026-01-01T00:00:00Z"

  mkdir -p "$BIN"
  programs=(pause minidns provisioner etcd kube)
  command -v kubectl >/dev/null || programs+=(kubectl)
  for program in "${programs[@]}"; do
    if [ ! -x "$BIN/$program" ]; then
      say "building $program; this takes minutes once"
      go build -p 2 -trimpath -ldflags "$stamps" -o "$BIN/$program.new" "./$program"
      mv "$BIN/$program.new" "$BIN/$program"
    fi
  done
  for name in kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy; do
    ln -sf kube "$BIN/$name"
  done
  echo "$BIN"
}

for target in "${@:-kubernetes}"; do
  case $target in
    kubernetes) (build_kubernetes) ;;
    helm) build_helm ;;
    *) die "there is nothing called $target to build: kubernetes and helm are" ;;
  esac
done
