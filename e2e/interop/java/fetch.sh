#!/usr/bin/env bash
# Fetches the pinned Java peers and compiles the driver, under e2e/.peers/java or $RMQ_PEERS/java.
# Does nothing when that was done before for the same pom.xml and sources.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
peers=${RMQ_PEERS:-$here/../../.peers}/java
mkdir -p "$peers"
peers=$(cd "$peers" && pwd)

stamp=$(cat "$here/pom.xml" "$here/fetch.sh" | sha256sum)
if [ "$(cat "$peers/jars.stamp" 2>/dev/null || true)" != "$stamp" ]; then
  for profile in client-5 client-4 server-5 server-4; do
    rm -rf "${peers:?}/$profile"
    # Registries fail now and then.
    for attempt in 1 2 3; do
      mvn -q -B -f "$here/pom.xml" -P "$profile" dependency:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$peers/$profile" && break
      [ "$attempt" = 3 ] && exit 1
    done
  done
  echo "$stamp" > "$peers/jars.stamp"
fi

stamp=$stamp$(cat "$here"/src/*/*.java | sha256sum)
if [ "$(cat "$peers/classes.stamp" 2>/dev/null || true)" != "$stamp" ]; then
  rm -rf "$peers/classes-4" "$peers/classes-5"
  javac --release 8 -nowarn -Xlint:-options -d "$peers/classes-4" -cp "$peers/client-4/*" \
    "$here"/src/common/*.java "$here"/src/compat4/*.java
  javac --release 8 -nowarn -Xlint:-options -d "$peers/classes-5" -cp "$peers/client-5/*" \
    "$here"/src/common/*.java "$here"/src/compat5/*.java "$here"/src/admin/*.java
  echo "$stamp" > "$peers/classes.stamp"
fi
