#!/usr/bin/env bash
# lose.sh NUMBER: the node is gone as after a power cut: its kubelet and every container are killed.
# node.sh NUMBER brings it back.
. "$(dirname "$0")/lib.sh"
number=$1
each_started "kubelet-$number" finish
socket=$RUN/node-$number/containerd.sock
# A container that ends meanwhile is as good as killed.
ctr -a "$socket" -n k8s.io tasks ls -q | while read -r task; do
  ctr -a "$socket" -n k8s.io tasks kill -s KILL -a "$task" >/dev/null 2>&1 || true
done
