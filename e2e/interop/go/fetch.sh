#!/usr/bin/env bash
# Builds the Go driver with its pinned client, under e2e/.peers/go or $RMQ_PEERS/go.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
peers=${RMQ_PEERS:-$here/../../.peers}/go
mkdir -p "$peers"
peers=$(cd "$peers" && pwd)
cd "$here"
for attempt in 1 2 3; do
  CGO_ENABLED=0 go build -trimpath -o "$peers/interop" . && exit 0
done
exit 1
