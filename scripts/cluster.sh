#!/usr/bin/env bash
# A whole cluster on this machine, each node on a loopback address of its own: mongod on 127.0.0.1,
# the load balancer on 127.0.0.10, origins on 127.0.0.21 and .22, edges on 127.0.0.31 and .32. A test
# stream is published through the load balancer by an encoder that reconnects. What somebody kills
# is started again after 30 s. Ctrl-C ends all of it and removes its data. Called by
# `make cluster`, which builds first.
#   CLUSTER_MONGO_PORT    another port of mongod than 27017
#   CLUSTER_SECONDS=N     stop by itself after N seconds
set -euo pipefail
cd "$(dirname "$0")/.."

weir=${CLUSTER_BIN:-${CARGO_TARGET_DIR:-target}/release/weir}
mongo_port=${CLUSTER_MONGO_PORT:-27017}
restart_after=30
nodes=(mongod:127.0.0.1 origin:127.0.0.21 origin:127.0.0.22 edge:127.0.0.31 edge:127.0.0.32 lb:127.0.0.10)
lb=127.0.0.10
dir=$(mktemp -d)
encoder_pid=
declare -A pids=() down_since=()

# Settings come from conf/cluster and from here alone.
for name in ${!WEIR_@}; do unset "$name"; done

end() { # PID...
  local pid deadline=$((SECONDS + 15))
  kill "$@" 2>/dev/null || true
  for pid in "$@"; do
    while kill -0 "$pid" 2>/dev/null; do
      [ $SECONDS -lt $deadline ] || { kill -9 "$pid" 2>/dev/null || true; break; }
      sleep 0.1
    done
  done
}
cleanup() {
  trap - EXIT INT TERM
  echo
  echo "cluster: stopping"
  [ -z "$encoder_pid" ] || end "$encoder_pid"
  [ ! -s "$dir/ffmpeg.pid" ] || kill "$(cat "$dir/ffmpeg.pid")" 2>/dev/null || true
  local mongod_pid=${pids[mongod:127.0.0.1]:-}
  unset "pids[mongod:127.0.0.1]"
  [ ${#pids[@]} -eq 0 ] || end "${pids[@]}"
  # A server that somebody stopped must go on to hear that it shall end.
  [ -z "$mongod_pid" ] || { kill -CONT "$mongod_pid" 2>/dev/null || true; end "$mongod_pid"; }
  rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 0' INT TERM

fail() { # text, log
  echo "cluster: $1; the last lines of $2:" >&2
  tail -8 "$dir/$2.log" >&2 || true
  exit 1
}
wait_for() { # what, seconds, log, command...
  local what=$1 deadline=$((SECONDS + $2)) log=$3
  shift 3
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $deadline ] || fail "no $what in time" "$log"
    sleep 0.2
  done
}
start() { # role:address
  local role=${1%%:*} ip=${1#*:}
  # Disowned: that one was killed is told below, in the script's own words.
  if [ "$role" = mongod ]; then
    "$mongod" --replSet rs0 --bind_ip 127.0.0.1 --port "$mongo_port" --dbpath "$dir/db" --quiet \
      --wiredTigerCacheSizeGB 0.25 >>"$dir/mongod-127.0.0.1.log" 2>&1 &
    pids[$1]=$!
    disown
    return
  fi
  WEIR_HTTP_HOST=$ip WEIR_RTMP_HOST=$ip WEIR_CLUSTER_NODE_IP=$ip WEIR_CLUSTER_NODE_ID="$role-$ip" \
    WEIR_DB_HOST="127.0.0.1:$mongo_port" WEIR_DATA_DIR="$dir/$role-$ip" \
    "$weir" -c "conf/cluster/$role.properties" >>"$dir/$role-$ip.log" 2>&1 &
  pids[$1]=$!
  disown
}
ready() { # role:address
  kill -0 "${pids[$1]}" 2>/dev/null || fail "$1 stopped" "${1/:/-}"
  grep -q '^Ready' "$dir/${1/:/-}.log"
}
# One command to mongod, in its wire protocol: there is no shell beside the server.
mongo() {
  python3 - "$mongo_port" "$1" <<'PY'
import socket, struct, sys
def field(kind, name, value): return bytes([kind]) + name.encode() + b"\0" + value
def text(value): value = value.encode() + b"\0"; return struct.pack("<i", len(value)) + value
def number(value): return struct.pack("<i", value)
def doc(*fields): body = b"".join(fields) + b"\0"; return struct.pack("<i", len(body) + 4) + body
port = int(sys.argv[1])
commands = {
    "initiate": [field(3, "replSetInitiate", doc(field(2, "_id", text("rs0")), field(4, "members", doc(
        field(3, "0", doc(field(16, "_id", number(0)), field(2, "host", text(f"127.0.0.1:{port}"))))))))],
    "primary": [field(16, "hello", number(1))],
}
body = struct.pack("<ib", 0, 0) + doc(*commands[sys.argv[2]], field(2, "$db", text("admin")))
link = socket.create_connection(("127.0.0.1", port), 2)
link.settimeout(10)
link.sendall(struct.pack("<iiii", len(body) + 16, 1, 0, 2013) + body)
answer = b""
while len(answer) < 4 or len(answer) < struct.unpack("<i", answer[:4])[0]:
    more = link.recv(65536)
    if not more: break
    answer += more
good = b"\x01ok\0" + struct.pack("<d", 1.0) in answer
primary = sys.argv[2] != "primary" or b"\x08isWritablePrimary\0\x01" in answer
sys.exit(0 if good and primary else 1)
PY
}
encode() {
  while :; do
    ffmpeg -hide_banner -loglevel error -nostdin -re \
      -f lavfi -i "testsrc2=size=1280x720:rate=30" \
      -f lavfi -i "sine=frequency=440:sample_rate=48000" \
      -vf "drawtext=fontfile=/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf:text='%{localtime\:%H\\\\\:%M\\\\\:%S}  frame %{n}':fontsize=48:fontcolor=white:box=1:boxcolor=black@0.6:boxborderw=12:x=(w-tw)/2:y=h-th-60" \
      -c:v libx264 -preset veryfast -tune zerolatency -pix_fmt yuv420p -g 60 -b:v 2500k -maxrate 2500k -bufsize 2500k \
      -c:a aac -b:a 128k -f flv "rtmp://$lb:1935/LiveApp/demo" >>"$dir/ffmpeg.log" 2>&1 &
    echo $! >"$dir/ffmpeg.pid"
    wait $! || true
    sleep 1
  done
}

mongod=$(scripts/mongod.sh)
mkdir "$dir/db"
for node in "${nodes[@]}"; do
  echo "cluster: starting $node"
  start "$node"
  if [ "$node" = mongod:127.0.0.1 ]; then
    wait_for "mongod (is port $mongo_port free?)" 30 mongod-127.0.0.1 mongo initiate
    wait_for "primary" 30 mongod-127.0.0.1 mongo primary
  fi
done
for node in "${nodes[@]:1}"; do wait_for "$node" 30 "${node/:/-}" ready "$node"; done
wait_for "answer through the load balancer" 30 "lb-$lb" curl -fsS "http://$lb:5080/rest/v2/liveness"
: >"$dir/ffmpeg.log"
encode &
encoder_pid=$!
disown
wait_for "stream" 40 ffmpeg curl -fsS "http://$lb:5080/LiveApp/streams/demo.m3u8"

echo
for node in "${nodes[@]}"; do
  printf '  %-7s %-12s pid %s\n' "${node%%:*}" "${node#*:}" "${pids[$node]}"
done
cat <<TEXT

  Watch   http://$lb:5080/LiveApp/play.html?id=demo
  Live    http://$lb:5080/
  HLS     http://$lb:5080/LiveApp/streams/demo.m3u8
  Nodes   http://$lb:5080/LiveApp/rest/v2/cluster/nodes/0/10
  Metrics http://127.0.0.1:5083/metrics (the load balancer's own; the other nodes: port 5080)
  Publish rtmp://$lb/LiveApp/YOUR-STREAM

  To see what happens, in another shell:
    kill -9 ${pids[edge:127.0.0.31]}      an edge: viewers go on through the other one
    kill -9 ${pids[origin:127.0.0.21]}      an origin: the encoder reconnects, the stream plays on from the other one
    kill -9 ${pids[mongod:127.0.0.1]}      the store: viewers and running streams notice nothing
  What was killed starts again after $restart_after s. Logs are in $dir.

  Ctrl-C stops all of it.
TEXT

end=$((SECONDS + ${CLUSTER_SECONDS:-2147483}))
while [ $SECONDS -lt $end ]; do
  for node in "${nodes[@]}"; do
    if [ -n "${down_since[$node]:-}" ]; then
      if [ $((SECONDS - down_since[$node])) -ge $restart_after ]; then
        unset "down_since[$node]"
        start "$node"
        echo "cluster: $node starts again, pid ${pids[$node]}"
      fi
    elif ! kill -0 "${pids[$node]}" 2>/dev/null; then
      down_since[$node]=$SECONDS
      echo "cluster: $node ended"
    fi
  done
  sleep 1
done
