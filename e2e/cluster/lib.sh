# Sourced by the scripts beside it: where things are, and how programs are started, awaited and ended.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# Everything a running cluster writes; nothing in it is needed after down.sh.
ROOT=${KUBE_ROOT:-${TMPDIR:-/tmp}/rmq-kube}
# Built programs, kept from run to run.
CACHE=${RMQ_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/rmq-e2e}
PKI=$ROOT/pki
LOGS=$ROOT/logs
RUN=$ROOT/run
ETC=$ROOT/etc
VAR=$ROOT/var
ADMIN=$PKI/admin.kubeconfig

# A service network and a pod network that nothing else on the machine should use.
SERVICES=10.96.0.0/16
API_SERVICE=10.96.0.1
PODS=10.244.0.0/24
# Nodes have the addresses 10.250.0.1, 10.250.0.2, ... on a bridge of their own: the machine's other
# addresses may change, and the API server may not advertise a loopback one.
BRIDGE=k8s0
BRIDGE_NET=10.250.0

# The address of the control plane: that of the first node, or without root the machine's own.
if [ "$(id -u)" = 0 ]; then
  API_IP=$BRIDGE_NET.1
else
  API_IP=$(hostname -I | awk '{print $1}')
fi

# build.sh keeps one directory for each state of its sources.
bin_dir() {
  local key
  key=$(cd "$HERE" && find module build.sh -type f | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -c1-16)
  echo "$CACHE/kube-$key"
}
BIN=${KUBE_BIN:-$(bin_dir)}

say() { echo "cluster: $*" >&2; }
die() { say "$*"; exit 1; }

node_name() { if [ "$1" = 1 ]; then echo e2e-node; else echo "e2e-node-$1"; fi; }

# A process is known by its id and start time: ids are given again.
started_at() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '{print $20}' || true; }

# start NAME COMMAND...: runs it in the background with its output in $LOGS/NAME.log.
start() {
  local name=$1
  shift
  setsid nohup "$@" >>"$LOGS/$name.log" 2>&1 </dev/null &
  echo "$! $(started_at $!) $name" >>"$RUN/started"
}

# each_started PATTERN FUNCTION: calls FUNCTION with the id of each living process of such a name.
each_started() {
  local pid at name
  [ -f "$RUN/started" ] || return 0
  while read -r pid at name; do
    # shellcheck disable=SC2254
    case $name in
      $1) if [ -n "$at" ] && [ "$(started_at "$pid")" = "$at" ]; then "$2" "$pid"; fi ;;
    esac
  done <"$RUN/started"
}

is_running() { [ -n "$(each_started "$1" echo)" ]; }

terminate() { kill "$1" 2>/dev/null || true; }
finish() { kill -9 "$1" 2>/dev/null || true; }

# stop PATTERN [SECONDS]: asks such processes to end and kills them after that time.
stop() {
  local tries=$((${2:-5} * 10))
  each_started "$1" terminate
  while [ "$tries" -gt 0 ] && is_running "$1"; do
    sleep 0.1
    tries=$((tries - 1))
  done
  each_started "$1" finish
}

# await SECONDS NAME COMMAND...: until the command succeeds; else the end of NAME's log and failure.
await() {
  local tries=$(($1 * 10)) name=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    tries=$((tries - 1))
    if [ "$tries" -le 0 ]; then
      tail -n 20 "$LOGS/$name.log" >&2 2>/dev/null || true
      die "$name is not ready; see $LOGS/$name.log"
    fi
    sleep 0.1
  done
}

KUBECTL=$(command -v kubectl || echo "$BIN/kubectl")
kube() { "$KUBECTL" --kubeconfig "$ADMIN" "$@"; }
