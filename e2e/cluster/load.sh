#!/usr/bin/env bash
# load.sh ARCHIVE...: makes images known to every node; pods use them with imagePullPolicy IfNotPresent.
. "$(dirname "$0")/lib.sh"
for archive in "$@"; do
  for socket in "$RUN"/node-*/containerd.sock; do
    [ -S "$socket" ] || die "no node runs: up.sh --nodes 1 starts one"
    ctr -a "$socket" -n k8s.io images import "$archive" >/dev/null
  done
done
