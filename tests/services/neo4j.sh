#!/usr/bin/env bash
# Neo4j Community, Bolt only: install FOLDER | start FOLDER DATA PORT | stop DATA
# URL: neo4j://neo4j:test-password@127.0.0.1:PORT. NEO4J_JVM replaces the options for a quick start,
# NEO4J_TRANSACTION_MEMORY is the most memory of a query (default 128m, 0 for no limit).
set -euo pipefail
# shellcheck source=tests/services/lib.sh
. "$(dirname "$0")/lib.sh"
version=5.26.30

config() { # DATA PORT
  mkdir -p "$1/conf" "$1/logs" "$1/data/dbms"
  cat >"$1/conf/neo4j.conf" <<X
server.default_listen_address=127.0.0.1
server.bolt.listen_address=127.0.0.1:$2
server.bolt.advertised_address=127.0.0.1:$2
server.bolt.tls_level=DISABLED
server.http.enabled=false
server.https.enabled=false
server.directories.data=$1/data
server.directories.logs=$1/logs
server.memory.pagecache.size=64m
db.memory.transaction.max=${NEO4J_TRANSACTION_MEMORY:-128m}
dbms.security.auth_enabled=true
dbms.usage_report.enabled=false
db.tx_log.preallocate=false
db.tx_log.rotation.size=8M
X
}

opens=(--add-opens=java.base/java.nio=ALL-UNNAMED --add-opens=java.base/java.io=ALL-UNNAMED
  --add-opens=java.base/sun.nio.ch=ALL-UNNAMED --add-opens=java.base/java.util.concurrent=ALL-UNNAMED
  -Dio.netty.tryReflectionSetAccessible=true -XX:+UseSerialGC)

case ${1:?verb} in
install)
  mkdir -p "${2:?folder}"
  folder=$(cd "$2" && pwd)
  [ -f "$folder/.installed-$version" ] && exit 0
  java_tools
  jars "$folder" "org.neo4j:neo4j:$version" "org.neo4j.app:neo4j-server:$version" "org.neo4j:neo4j-slf4j-provider:$version"
  # A store with its password that ran once; `start` copies it.
  rm -rf "$folder/template"
  config "$folder/template" 17687
  NEO4J_HOME="$folder/template" NEO4J_CONF="$folder/template/conf" java "${opens[@]}" -Xmx256m -cp "$folder/lib/*" \
    org.neo4j.cli.AdminTool dbms set-initial-password test-password >"$folder/password.log"
  touch "$folder/.installed-$version"
  ;;
start)
  folder=${2:?folder} data=${3:?data} port=${4:?port}
  mkdir -p "$data"
  alive "$data" && exit 0
  [ -d "$data/data" ] || cp -r "$folder/template/data" "$data/data"
  config "$data" "$port"
  cd "$data"
  read -ra tuning <<<"${NEO4J_JVM:--XX:TieredStopAtLevel=1}"
  java "${opens[@]}" "${tuning[@]}" -Xms128m -Xmx512m -cp "$folder/lib/*" org.neo4j.server.CommunityEntryPoint \
    "--home-dir=$data" "--config-dir=$data/conf" </dev/null >>"$data/log" 2>&1 &
  echo $! >"$data/pid"
  # Bolt is the last thing that it starts.
  await "$data" "$data/log" listens "$port"
  ;;
stop) stop "${2:?data}" ;;
*) exit 2 ;;
esac
