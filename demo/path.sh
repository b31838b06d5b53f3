# The whole data path on one machine, for the scripts that source this: a source PostgreSQL 15, its
# csvlog shipped by rsyslog through Apache Kafka, kreplay replaying it live on a PostgreSQL 18.
# bring_up starts it; what was started ends with the script. Before, the script says:
#
#   me=NAME           how its messages begin
#   set_up() { … }    PORT: fills the database app of the role app, on both servers alike
#
#   DEMO_KEEP=1       keep the servers' files and logs, and say where they are
#   KREPLAY=PATH      this binary instead of building one
# shellcheck shell=bash
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
unset "${!PG@}"   # what the caller's psql is set to
topic=pg
source_bin=/usr/lib/postgresql/15/bin   # its psql and pgbench serve both servers
# Records that kreplay has taken from the topic.
consumed_metric=kreplay_records_consumed_total

say() { echo "$me: $*"; }
loud() { echo "$me: *** $*"; }
die() { loud "$*"; exit 1; }

# --- What runs, and how it ends ------------------------------------------------------------------

run=
declare -A pid=()
kafka=

stop() {   # NAME SIGNAL: ends what was started under that name, waits for it, gives its exit code
  local name=$1 signal=$2 code=0 deadline=$((SECONDS + 30))
  [ -n "${pid[$name]:-}" ] || return 0
  kill "-$signal" "${pid[$name]}" 2>/dev/null || true
  while running "$name"; do
    if ((SECONDS >= deadline)); then
      loud "$name did not end within 30 s of SIG$signal and is killed"
      kill -KILL "${pid[$name]}"
      break
    fi
    sleep 0.05
  done
  wait "${pid[$name]}" 2>/dev/null || code=$?
  unset "pid[$name]"
  return "$code"
}

cleanup() {
  local code=$?
  trap - EXIT INT TERM
  if [ -n "${DEMO_KEEP:-}" ] && [ -n "$run" ]; then
    say "files kept in $run" >&2
  fi
  exec 2>/dev/null   # bash reports each job that it kills
  stop load TERM || true
  stop kreplay KILL || true
  stop rsyslog KILL || true
  stop source QUIT || true
  stop target QUIT || true
  stop mock_broker KILL || true
  [ -z "$kafka" ] || "$root/tests/support/kafka.sh" kill "$kafka" >/dev/null 2>&1 || true
  [ -n "${DEMO_KEEP:-}" ] || [ -z "$run" ] || rm -rf "$run"
  exit "$code"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

running() { [ -n "${pid[$1]:-}" ] && kill -0 "${pid[$1]}" 2>/dev/null; }

# until_true SECONDS NAME COMMAND…: polls until COMMAND succeeds; fails when NAME has ended or the
# time is over.
until_true() {
  local deadline=$((SECONDS + $1)) name=$2; shift 2
  until "$@" >/dev/null 2>&1; do
    running "$name" || return 1
    ((SECONDS < deadline)) || return 1
    sleep 0.05
  done
}

# A port below 32768, outside the range that outgoing connections draw from.
free_port() {
  local port
  while port=$((20000 + RANDOM % 12000)); do
    (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
  done
}

# --- PostgreSQL ----------------------------------------------------------------------------------

# The server refuses to run as root.
unprivileged=()
[ "$(id -u)" != 0 ] || unprivileged=(--reuid=postgres --regid=postgres --init-groups)

psql_on() { local port=$1; shift; PGOPTIONS='' "$source_bin/psql" -X -q -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$port" -U postgres "$@"; }

init_postgres() {   # NAME BIN PORT
  local data=$run/$1
  mkdir "$data"
  [ "$(id -u)" != 0 ] || chown postgres: "$data"
  LD_LIBRARY_PATH="$2/../lib" setpriv "${unprivileged[@]}" "$2/initdb" -D "$data" -U postgres \
    -A trust -E UTF8 --no-locale -N >"$run/$1.out" 2>&1 || { tail "$run/$1.out"; die "initdb failed"; }
  cat >>"$data/postgresql.conf" <<X
port = $3
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 100
fsync = off            # thrown away afterwards
timezone = 'UTC'
X
}

start_postgres() {   # NAME BIN PORT [OPTION…]
  local name=$1 bin=$2 port=$3; shift 3
  # pdeathsig: the server ends when this script does, however that comes about.
  LD_LIBRARY_PATH="$bin/../lib" setpriv "${unprivileged[@]}" --pdeathsig QUIT \
    "$bin/postgres" -D "$run/$name" "$@" >>"$run/$name.out" 2>&1 </dev/null &
  pid[$name]=$!
  until_true 30 "$name" psql_on "$port" -d postgres -c 'select 1' ||
    { tail "$run/$name.out"; die "the $name PostgreSQL did not start"; }
}

# --- Kafka ---------------------------------------------------------------------------------------

start_broker() {
  if ! command -v java >/dev/null || [ ! -s target/kafka-dist/.done ]; then
    fallback_broker
    return
  fi
  # One partition: the order between sessions does not survive in more.
  if broker=$(KAFKA_HOME=$root/target/kafka-dist KAFKA_EXTRA=$'auto.create.topics.enable=true\nnum.partitions=1' \
    "$root/tests/support/kafka.sh" start "$run/kafka" 0); then
    kafka=$run/kafka
    broker_name="Apache Kafka $(basename "$(ls target/kafka-dist/jars/kafka_*.jar)" .jar | sed 's/.*-//')"
  else
    "$root/tests/support/kafka.sh" kill "$run/kafka" >/dev/null 2>&1 || true
    fallback_broker
  fi
}

# Where no Java or no Kafka is to be had: librdkafka's mock broker, which speaks the protocol and
# keeps the topic in memory, the last 5 MiB of it.
fallback_broker() {
  loud "no Apache Kafka on this machine: an embedded MOCK BROKER takes its place"
  # It ends with its standard input: one that nothing is ever written to.
  local silence
  mkfifo "$run/silence"
  exec {silence}<>"$run/silence"
  "$kreplay" mock-broker --listen-file "$run/mock-broker" --topic "$topic" >"$run/mock-broker.out" 2>&1 <&"$silence" &
  pid[mock_broker]=$!
  until_true 15 mock_broker test -s "$run/mock-broker" || { tail "$run/mock-broker.out"; die "the mock broker did not start"; }
  broker=$(<"$run/mock-broker")
  broker_name="the mock broker"
}

topic_exists() { [ -z "$kafka" ] || [ -d "$kafka/data/$topic-0" ]; }

# --- The shipper ---------------------------------------------------------------------------------

start_rsyslog() {
  mkdir "$run/rsyslog"
  sed -e "s|@BROKER@|$broker|g" -e "s|@TOPIC@|$topic|g" -e "s|@LOGDIR@|$run/log|g" \
    -e "s|@WORKDIR@|$run/rsyslog|g" dist/rsyslog-kreplay.conf >"$run/rsyslog.conf"
  setpriv --pdeathsig TERM /usr/sbin/rsyslogd -n -f "$run/rsyslog.conf" -i "$run/rsyslog/pid" \
    >"$run/rsyslog.out" 2>&1 </dev/null &
  pid[rsyslog]=$!
  until_true 30 rsyslog topic_exists || { tail "$run/rsyslog.out"; die "rsyslog did not bring the log to Kafka"; }
}

# --- kreplay -------------------------------------------------------------------------------------

start_kreplay() {
  # Nothing of the caller's environment but this: many of its names are options of kreplay's.
  env -i PATH="$PATH" HOME="$run" RUST_LOG="${RUST_LOG:-}" setpriv --pdeathsig TERM "$kreplay" -t "$topic" -b "$broker" -H 127.0.0.1 -P "$target_port" \
    --source-db app --listen "127.0.0.1:$http_port" \
    >"$run/kreplay.out" 2>"$run/kreplay.log" </dev/null &
  pid[kreplay]=$!
  until_true 30 kreplay metric "$consumed_metric" || kreplay_failed "did not start"
}

kreplay_failed() {
  tail -n 20 "$run/kreplay.log" "$run/kreplay.out" >&2
  die "kreplay $*"
}

# metric NAME: the sum of its samples on kreplay's /metrics.
metric() {
  local answer
  answer=$(exec 3<>"/dev/tcp/127.0.0.1/$http_port" && printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3 && cat <&3 2>/dev/null) 2>/dev/null || return 1
  awk -v name="$1" '{ split($1, part, "{") } part[1] == name { sum += $NF; seen = 1 }
    END { if (!seen) exit 1; printf "%d\n", sum }' <<<"$answer"
}

# --- All of it -----------------------------------------------------------------------------------

bring_up() {
  setup/install
  if [ -z "${KREPLAY:-}" ]; then
    say "building kreplay (some minutes the first time)"
    local quiet=--quiet   # on a terminal cargo shows how far it is
    [ ! -t 2 ] || quiet=
    cargo build $quiet --release --locked
  fi
  kreplay=${KREPLAY:-${CARGO_TARGET_DIR:-$root/target}/release/kreplay}

  run=$(mktemp -d "${TMPDIR:-/tmp}/kreplay-$me.XXXXXX")
  chmod 755 "$run"

  target_bin=$(realpath target/postgres-18)/bin
  if ! LD_LIBRARY_PATH="$target_bin/../lib" setpriv "${unprivileged[@]}" "$target_bin/postgres" --version >/dev/null 2>&1; then
    loud "no PostgreSQL 18 on this machine: the TARGET IS POSTGRESQL 15, as the source"
    target_bin=$source_bin
  fi
  source_port=$(free_port) target_port=$(free_port) http_port=$(free_port)
  init_postgres source "$source_bin" "$source_port"
  init_postgres target "$target_bin" "$target_port"
  start_postgres source "$source_bin" "$source_port"
  start_postgres target "$target_bin" "$target_port"
  local port target_version
  for port in "$source_port" "$target_port"; do
    psql_on "$port" -d postgres -c 'create role app login' -c 'create database app owner app'
    set_up "$port"
  done
  target_version=$(psql_on "$target_port" -d app -Atc 'show server_version')
  say "source: PostgreSQL $(psql_on "$source_port" -d app -Atc 'show server_version'); target: PostgreSQL $target_version; both set up alike"

  # The log begins here: the set-up is on both sides already.
  stop source INT
  mkdir "$run/log"
  [ "$(id -u)" != 0 ] || chown postgres: "$run/log"
  cp dist/postgresql-source.conf "$run/source/kreplay.conf"
  chmod 644 "$run/source/kreplay.conf"
  printf "include 'kreplay.conf'\nlog_directory = '%s'\n" "$run/log" >>"$run/source/postgresql.conf"
  start_postgres source "$source_bin" "$source_port"

  start_broker
  start_rsyslog
  say "the source's csvlog goes through rsyslog $(/usr/sbin/rsyslogd -v | sed -n '1s/^rsyslogd *\([0-9.]*\).*/\1/p') to $broker_name at $broker, topic $topic"
  start_kreplay
  say "kreplay follows, in conflict order; metrics at http://127.0.0.1:$http_port/metrics"
}
