#!/usr/bin/env bash
# image.sh NAME PROGRAM OUT: an image archive with one static program, its entry point. Only for what
# the cluster itself needs; the project's images come from `cargo xtask images`.
. "$(dirname "$0")/lib.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$2" "$work/program"
chmod 755 "$work/program"
pack() { tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$work" -cf "$@"; }
pack "$work/layer.tar" program
digest=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
printf '{"architecture":"%s","os":"linux","config":{"Entrypoint":["/program"],"User":"65532:65532"},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
  "$(go env GOARCH)" "$digest" >"$work/config.json"
printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$1" >"$work/manifest.json"
pack "$3" config.json layer.tar manifest.json
