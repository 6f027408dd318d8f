#!/usr/bin/env bash
# Ends all that up.sh started, by process id, and takes its mounts, interfaces and rules away.
# Built programs stay in the cache.
. "$(dirname "$0")/lib.sh"
set +e
[ -d "$RUN" ] || exit 0

# Kubelets first: they would start again what the next lines end.
stop 'kubelet-*'
for socket in "$RUN"/node-*/containerd.sock; do
  [ -S "$socket" ] || continue
  containers() { timeout 20 ctr --connect-timeout 1s -a "$socket" -n k8s.io "$@" 2>/dev/null; }
  for task in $(containers tasks ls -q); do containers tasks kill -s KILL -a "$task"; done
  for container in $(containers containers ls -q); do
    containers tasks rm -f "$container" >/dev/null
    containers containers rm "$container" >/dev/null
  done
done
stop 'containerd-*'
# Nothing of these is worth an orderly end.
each_started '*' finish
rm -f "$RUN/started"

# Another cluster's are left alone.
if [ -e "$RUN/bridge" ]; then
  [ -f "$ETC/proxy.yaml" ] && "$BIN/kube-proxy" --cleanup --config="$ETC/proxy.yaml" >/dev/null 2>&1
  awk -v root="$ROOT/" 'index($2, root) == 1 {print $2}' /proc/mounts | sort -r | while read -r mount; do umount -l "$mount"; done
  for space in /var/run/netns/cni-*; do [ -e "$space" ] && ip netns del "${space##*/}"; done
  for link in cni0 "$BRIDGE"; do ip link del "$link" 2>/dev/null; done
  awk '$3 == "cgroup" {print $2}' /proc/mounts | while read -r hierarchy; do
    for group in "$hierarchy"/kubepods "$hierarchy"/e2e-[0-9]*; do
      [ -d "$group" ] && find "$group" -depth -type d -exec rmdir {} \; 2>/dev/null
    done
  done
  # Containers that are killed leave one chain each behind.
  if command -v iptables >/dev/null; then
    iptables -w -t nat -S 2>/dev/null | grep -E '^-A POSTROUTING .*-j CNI-' | sed 's/^-A/-D/' | while read -r rule; do
      eval "iptables -w -t nat $rule" 2>/dev/null
    done
    iptables -w -t nat -S 2>/dev/null | awk '$1 == "-N" && $2 ~ /^(CNI-|KUBE-)/ {print $2}' | while read -r chain; do
      iptables -w -t nat -F "$chain"
      iptables -w -t nat -X "$chain"
    done 2>/dev/null
  fi
fi
# The logs stay for whoever wants to know what happened, until the next start.
rm -rf "$VAR" "$RUN" "$ETC" "$PKI" "$ROOT/bin"
exit 0
