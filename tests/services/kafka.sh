#!/usr/bin/env bash
# Apache Kafka, one broker, SASL/SCRAM-SHA-512 with rights: install FOLDER | start FOLDER DATA PORT | stop DATA
# Clients get ADVERTISED_PORT, that of a proxy, instead of PORT.
# PORT: SASL_PLAINTEXT, PORT+1: SASL_SSL, PORT+2: controller. Superuser admin / admin-secret; CA in FOLDER/tls/ca.crt
set -euo pipefail
# shellcheck source=tests/services/lib.sh
. "$(dirname "$0")/lib.sh"
version=4.3.1
password=admin-secret

config() { # FOLDER DATA PORT
  cat <<X
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$(($3 + 2))
listeners=SASL://127.0.0.1:$3,TLS://127.0.0.1:$(($3 + 1)),CONTROLLER://127.0.0.1:$(($3 + 2))
advertised.listeners=SASL://127.0.0.1:${ADVERTISED_PORT:-$3},TLS://127.0.0.1:$(($3 + 1))
listener.security.protocol.map=SASL:SASL_PLAINTEXT,TLS:SASL_SSL,CONTROLLER:SASL_PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=SASL
sasl.enabled.mechanisms=SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
sasl.mechanism.controller.protocol=PLAIN
listener.name.controller.sasl.enabled.mechanisms=PLAIN
listener.name.controller.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username="admin" password="$password" user_admin="$password";
listener.name.sasl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="admin" password="$password";
listener.name.tls.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.tls.ssl.keystore.type=PEM
listener.name.tls.ssl.keystore.location=$1/tls/server.pem
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:admin
allow.everyone.if.no.acl.found=false
auto.create.topics.enable=false
log.dirs=$2/logs
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
log.cleaner.dedupe.buffer.size=16777216
X
}

launch() { # FOLDER CLASS ARGUMENTS...
  local folder=$1
  shift
  java -cp "$folder/lib/*" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$folder/log4j2.properties" \
    -Xms64m -Xmx512m "$@"
}

case ${1:?verb} in
install)
  mkdir -p "${2:?folder}"
  folder=$(cd "$2" && pwd)
  [ -f "$folder/.installed-$version" ] && exit 0
  java_tools
  jars "$folder" "org.apache.kafka:kafka_2.13:$version" "org.apache.kafka:kafka-tools:$version" org.apache.logging.log4j:log4j-slf4j-impl:2.24.3
  printf '%s\n' status=error appender.c.type=Console appender.c.name=C appender.c.layout.type=PatternLayout \
    'appender.c.layout.pattern=%d{HH:mm:ss.SSS} %p %c{1} %m%n' rootLogger.level=warn rootLogger.appenderRef.c.ref=C \
    logger.k.name=kafka.server.KafkaRaftServer logger.k.level=info >"$folder/log4j2.properties"
  mkdir -p "$folder/tls"
  (
    cd "$folder/tls"
    openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=test-ca -keyout ca.key -out ca.crt
    openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr
    printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n' >san
    openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -extfile san -out server.crt
    cat server.key server.crt ca.crt >server.pem
  ) 2>/dev/null
  # A formatted log that never ran; `start` copies it.
  rm -rf "$folder/template"
  mkdir -p "$folder/template"
  config "$folder" "$folder/template" 19092 >"$folder/template/server.properties"
  id=$(head -c16 /dev/urandom | base64 | tr '+/' '-_' | tr -d '=')
  launch "$folder" kafka.tools.StorageTool format -t "${id/#-/A}" -c "$folder/template/server.properties" \
    --add-scram "SCRAM-SHA-512=[name=admin,password=$password]" >"$folder/format.log" 2>&1
  touch "$folder/.installed-$version"
  ;;
start)
  folder=${2:?folder} data=${3:?data} port=${4:?port}
  mkdir -p "$data"
  alive "$data" && exit 0
  [ -d "$data/logs" ] || cp -r "$folder/template/logs" "$data/logs"
  config "$folder" "$data" "$port" >"$data/server.properties"
  : >"$data/log"
  cd "$data"
  java -cp "$folder/lib/*" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$folder/log4j2.properties" \
    -Xms64m -Xmx512m kafka.Kafka "$data/server.properties" </dev/null >>"$data/log" 2>&1 &
  echo $! >"$data/pid"
  ready() { grep -q 'Kafka Server started' "$data/log" && listens "$port"; }
  await "$data" "$data/log" ready
  ;;
stop) stop "${2:?data}" ;;
*) exit 2 ;;
esac
