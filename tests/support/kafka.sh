#!/usr/bin/env bash
# kafka.sh - a REAL Apache Kafka 4.x (KRaft, one node, broker+controller) for tests, from Maven Central jars.
#   kafka.sh get DIR          download jars into DIR/jars, build the CDS archive DIR/kafka.jsa   (once)
#   kafka.sh start DIR PORT   format DIR if new, start, wait until it serves (PORT 0: choose one); prints 127.0.0.1:PORT
#   kafka.sh stop DIR         SIGTERM, wait (clean shutdown)
#   kafka.sh kill DIR         SIGKILL, wait (crash)
#   kafka.sh restart DIR      stop (if up), start again on the same ports and data
#   kafka.sh status DIR       prints "up PID PORT" or "down"
#   kafka.sh certs DIR        make DIR/tls/{ca,server,client}.pem/.key (openssl only)
# Needs java (17 or newer) and mvn; openssl for KAFKA_SECURE.
# start/restart find the jars in $KAFKA_HOME (a `get` directory); default: DIR itself, else dist/ beside this script.
# Environment: KAFKA_VERSION, KAFKA_HEAP (256m), KAFKA_LOGLEVEL (INFO), KAFKA_EXTRA (lines added to server.properties
# at first start), KAFKA_FORMAT=1 (format anew, own cluster id), KAFKA_SECURE=1 (first start: also SSL on PORT+1, SASL_PLAINTEXT on PORT+2, SASL_SSL on PORT+3;
# users app/app-secret by PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512), JAVA.
set -euo pipefail
KAFKA_VERSION=${KAFKA_VERSION:-4.4.0}
JAVA=${JAVA:-java}
JVM="-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData"
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
die() { echo "kafka.sh: $*" >&2; exit 1; }
classpath() { local j=("$1"/jars/*.jar); [ -e "${j[0]}" ] || die "no jars in $1/jars (run: kafka.sh get $1)"; local IFS=:; echo "${j[*]}"; }
home_of() { if [ -n "${KAFKA_HOME:-}" ]; then echo "$KAFKA_HOME"; elif [ -d "$1/jars" ]; then echo "$1"; else echo "$HERE/dist"; fi; }
# A free port followed by N-1 free ones, below the ephemeral range: there a client that keeps trying while the broker is
# down could take the port as its own source port, or connect to itself.
free_port() {
  local n=${1:-1} try p i
  for ((try = 0; try < 200; try++)); do
    p=$((20000 + RANDOM % 12000))
    for ((i = 0; i < n; i++)); do port_open $((p + i)) && continue 2; done
    echo "$p"; return
  done
  die "no free port between 20000 and 32000"
}
alive() { local p; [ -s "$1/pid" ] && p=$(<"$1/pid") && [ -r "/proc/$p/cmdline" ] &&
  [[ $(tr '\0' ' ' <"/proc/$p/cmdline") == *"kafka.Kafka $1/server.properties"* ]]; }
# Gone, or a zombie whose other threads are gone too (a killed JVM's main thread is a zombie before its sockets are closed).
gone() { local st; st=$(cat "/proc/$1/stat" 2>/dev/null) || return 0; [[ $st == *') Z '* ]] && [ "$(ls "/proc/$1/task" 2>/dev/null | wc -l)" -le 1 ]; }
port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
prop() { sed -n "s/^#$2=//p" "$1/server.properties"; }

do_get() {
  local d=$1; mkdir -p "$d"; d=$(cd "$d" && pwd)
  exec 9>"$d/.lock"; flock 9
  [ "$(cat "$d/.done" 2>/dev/null)" = "$KAFKA_VERSION $d" ] && return 0    # nothing to do
  rm -f "$d/.done"
  cat >"$d/pom.xml" <<X
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>test</groupId><artifactId>kafka-dist</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$KAFKA_VERSION</version></dependency>
<dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.5</version></dependency>
</dependencies></project>
X
  rm -rf "$d/jars.new"
  mvn -B -q ${MVN_ARGS:-} -f "$d/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:2.8:copy-dependencies \
      -DincludeScope=runtime -DoutputDirectory="$d/jars.new"
  [ -n "$(ls "$d"/jars.new/kafka_2.13-*.jar)" ] || die "download failed"
  rm -rf "$d/jars"; mv "$d/jars.new" "$d/jars"
  cat >"$d/log4j2.properties" <<'X'
status=error
appender.f.type=File
appender.f.name=F
appender.f.fileName=${sys:kafka.log}
appender.f.layout.type=PatternLayout
appender.f.layout.pattern=%d{HH:mm:ss.SSS} %p %c{1} %m%n
rootLogger.level=${sys:kafka.loglevel:-INFO}
rootLogger.appenderRef.f.ref=F
logger.c.name=kafka.server.KafkaConfig
logger.c.level=warn
logger.d.name=org.apache.kafka.common.config.AbstractConfig
logger.d.level=warn
X
  # Class data sharing: one throwaway run records the loaded classes. Needs exactly this class path afterwards.
  rm -rf "$d/kafka.jsa" "$d/formatted" "$d/formatted-secure"
  local t="$d/cds.tmp" v; rm -rf "$t"
  KAFKA_HOME=$d KAFKA_JVM="-XX:ArchiveClassesAtExit=$d/kafka.jsa" "$HERE/${BASH_SOURCE[0]##*/}" start "$t" 0 >/dev/null 9>&-
  "$HERE/${BASH_SOURCE[0]##*/}" stop "$t" 9>&-; rm -rf "$t"
  # A formatted, never used data directory without and one with the SCRAM user, to copy (saves a 1 s JVM run each time).
  for v in "" 1; do
    mkdir -p "$t"; (KAFKA_SECURE=$v KAFKA_EXTRA= new_instance "$t" 20000 "$d"); cp -r "$t/data" "$d/formatted${v:+-secure}"; rm -rf "$t"
  done
  echo "$KAFKA_VERSION $d" >"$d/.done"
  [ -s "$d/kafka.jsa" ] || echo "kafka.sh: no CDS archive made (starts will be slower)" >&2
}

do_certs() {
  local d=$1/tls; [ -s "$d/server.pem" ] && return 0; mkdir -p "$d"
  openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -keyout "$d/ca.key" -out "$d/ca.pem" -subj /CN=test-ca 2>/dev/null
  local n
  for n in server client; do
    openssl req -newkey rsa:2048 -nodes -keyout "$d/$n.key" -out "$d/$n.csr" -subj /CN=$n 2>/dev/null
    printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n' >"$d/$n.ext"
    openssl x509 -req -in "$d/$n.csr" -CA "$d/ca.pem" -CAkey "$d/ca.key" -CAcreateserial -days 3650 -extfile "$d/$n.ext" -out "$d/$n.pem" 2>/dev/null
  done
  # Kafka reads PEM stores directly: key (PKCS#8) + chain in one file; no keytool needed.
  cat "$d/server.key" "$d/server.pem" "$d/ca.pem" >"$d/server.keystore.pem"
}

new_instance() {   # DIR PORT HOME
  local d=$1 port=$2 h=$3 ctl scram=()
  ctl=$(free_port)
  local l="PLAINTEXT://127.0.0.1:$port" sec=""
  if [ -n "${KAFKA_SECURE:-}" ]; then
    do_certs "$d"
    l="$l,SSL://127.0.0.1:$((port+1)),SASL_PLAINTEXT://127.0.0.1:$((port+2)),SASL_SSL://127.0.0.1:$((port+3))"
    local plain='org.apache.kafka.common.security.plain.PlainLoginModule required user_app="app-secret";'
    local sc='org.apache.kafka.common.security.scram.ScramLoginModule required;'
    sec="ssl.keystore.type=PEM
ssl.keystore.location=$d/tls/server.keystore.pem
ssl.truststore.type=PEM
ssl.truststore.location=$d/tls/ca.pem
ssl.client.auth=${KAFKA_CLIENT_AUTH:-requested}
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512"
    local n
    for n in sasl_plaintext sasl_ssl; do sec="$sec
listener.name.$n.plain.sasl.jaas.config=$plain
listener.name.$n.scram-sha-256.sasl.jaas.config=$sc
listener.name.$n.scram-sha-512.sasl.jaas.config=$sc"; done
    scram=(--add-scram 'SCRAM-SHA-256=[name=app,password=app-secret]' --add-scram 'SCRAM-SHA-512=[name=app,password=app-secret]')
  fi
  cat >"$d/server.properties.new" <<X
#port=$port
#ctl=$ctl
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
listeners=$l,CONTROLLER://127.0.0.1:$ctl
advertised.listeners=$l
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
controller.quorum.bootstrap.servers=127.0.0.1:$ctl
log.dirs=$d/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=1500
broker.heartbeat.interval.ms=300
auto.create.topics.enable=false
log.cleaner.dedupe.buffer.size=2097152
num.network.threads=2
num.io.threads=2
background.threads=2
$sec
${KAFKA_EXTRA:-}
X
  rm -rf "$d/data"
  local tpl="$h/formatted${KAFKA_SECURE:+-secure}"
  if [ -d "$tpl" ] && [ -z "${KAFKA_FORMAT:-}" ]; then
    cp -r "$tpl" "$d/data"    # two small files; the ports recorded there may differ: a lone voter does not mind
  else
    local cds=(); [ -s "$h/kafka.jsa" ] && cds=(-XX:SharedArchiveFile="$h/kafka.jsa")
    $JAVA -Xmx64m $JVM "${cds[@]}" -Dkafka.log="$d/format.log" -Dlog4j2.configurationFile="$h/log4j2.properties" -cp "$(classpath "$h")" \
      kafka.tools.StorageTool format --standalone -t "$(head -c16 /dev/urandom | base64 | tr '+/' 'AB' | cut -c1-22)" \
      "${scram[@]}" -c "$d/server.properties.new" >"$d/format.out" 2>&1 || { cat "$d/format.out" >&2; die "format failed"; }
  fi
  mv "$d/server.properties.new" "$d/server.properties"
}

do_start() {
  local d=$1 port=${2:-} h; mkdir -p "$d"; d=$(cd "$d" && pwd); h=$(home_of "$d")
  alive "$d" && die "$d is already up (pid $(<"$d/pid"))"
  if [ ! -s "$d/server.properties" ]; then
    [ -n "$port" ] || die "start DIR PORT"
    [ "$port" != 0 ] || port=$(free_port 4)
    new_instance "$d" "$port" "$h"
  elif [ -n "$port" ] && [ "$port" != 0 ] && [ "$port" != "$(prop "$d" port)" ]; then
    die "$d was made for port $(prop "$d" port); the port of a formatted directory is kept"
  fi
  port=$(prop "$d" port)
  port_open "$port" && die "port $port is taken"
  local cds=(); [ -s "$h/kafka.jsa" ] && cds=(-XX:SharedArchiveFile="$h/kafka.jsa")
  # setsid: a Ctrl-C or a killed test's process group does not take the broker down; own files for stdout, stderr, log.
  setsid $JAVA -Xmx"${KAFKA_HEAP:-256m}" $JVM "${cds[@]}" ${KAFKA_JVM:-} -Dkafka.log="$d/kafka.log" \
    -Dkafka.loglevel="${KAFKA_LOGLEVEL:-INFO}" -Dlog4j2.configurationFile="$h/log4j2.properties" \
    -cp "$(classpath "$h")" kafka.Kafka "$d/server.properties" </dev/null >"$d/stdout.log" 2>&1 &
  echo $! >"$d/pid"
  local i
  for ((i = 0; i < 6000; i++)); do
    kill -0 "$(<"$d/pid")" 2>/dev/null || { tail -n 5 "$d/stdout.log" "$d/kafka.log" >&2 || true; die "the broker died at start"; }
    port_open "$port" && { echo "127.0.0.1:$port"; return; }
    sleep 0.02
  done
  tail -n 5 "$d/kafka.log" >&2; die "no broker on port $port after 120 s"
}

end() {   # DIR SIGNAL
  local d p i; d=$(cd "$1" && pwd)
  alive "$d" || { rm -f "$d/pid"; return 0; }
  p=$(<"$d/pid"); kill "-$2" "$p"
  for ((i = 0; i < 3000; i++)); do
    gone "$p" && { rm -f "$d/pid"; return 0; }
    sleep 0.02
  done
  die "pid $p did not end within 60 s"
}

[ $# -ge 2 ] || { sed -n '2,14s/^# \{0,1\}//p' "$0"; exit 2; }
case $1 in
  get) do_get "$2" ;;
  start) do_start "$2" "${3:-}" ;;
  stop) end "$2" TERM ;;
  kill) end "$2" KILL ;;
  restart) end "$2" TERM; do_start "$2" ;;
  status) d=$(cd "$2" && pwd); if alive "$d"; then echo "up $(<"$d/pid") $(prop "$d" port)"; else echo down; fi ;;
  certs) mkdir -p "$2"; do_certs "$(cd "$2" && pwd)" ;;
  *) die "no such verb: $1" ;;
esac
