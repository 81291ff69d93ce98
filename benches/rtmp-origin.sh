#!/usr/bin/env bash
# Origin CPU per RTMP stream, beside nginx-rtmp with HLS on, in one run.
#
# The same pre-encoded 1 Mbit/s H.264+AAC file is sent N times at its own pace (ffmpeg, stream
# copy) to `weir origin` and then to nginx-rtmp; what is compared is the CPU time that the server
# process used while N streams ran, from /proc/PID/stat. Encoders are other processes and are not
# counted. Both cut 2 s segments and keep 15: weir CMAF in RAM, nginx MPEG-TS on the disk.
#   STREAMS="1 10 50"  SECONDS_EACH=60
set -euo pipefail
cd "$(dirname "$0")/.."

weir=${BENCH_BIN:-${CARGO_TARGET_DIR:-target}/release/weir}
streams=${STREAMS:-1 10 50}
seconds=${SECONDS_EACH:-60}
dir=$(mktemp -d)
server_pid=
encoders=()

cleanup() {
  for pid in "${encoders[@]}" $server_pid; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$dir"
}
trap cleanup EXIT

# A free port of the system's choosing.
free_port() { python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])'; }
# CPU ticks (user + system) of a process and its children that still run.
ticks() { local sum=0 t; for p in $1 $(pgrep -P "$1" || true); do t=$(awk '{print $14+$15}' "/proc/$p/stat"); sum=$((sum + t)); done; echo "$sum"; }
wait_port() { local end=$((SECONDS + 20)); until (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; do [ $SECONDS -lt $end ] || { echo "nothing listens on $1" >&2; cat "$dir"/*.log >&2; exit 1; }; sleep 0.1; done; }

ffmpeg -v error -y -f lavfi -i testsrc2=size=1280x720:rate=30 -f lavfi -i sine=frequency=440:sample_rate=48000 \
  -t 30 -c:v libx264 -preset veryfast -pix_fmt yuv420p -g 60 -keyint_min 60 -sc_threshold 0 -bf 0 \
  -b:v 900k -minrate 900k -maxrate 900k -bufsize 900k -nal-hrd cbr -c:a aac -b:a 96k "$dir/source.flv"
echo "source: $(ffprobe -v error -show_entries format=bit_rate -of csv=p=0 "$dir/source.flv") bit/s, 1280x720p30 H.264 + AAC"

start_weir() {
  rtmp_port=$(free_port); http_port=$(free_port)
  WEIR_DATA_DIR="$dir/weir-data" WEIR_HTTP_HOST=127.0.0.1 WEIR_RTMP_HOST=127.0.0.1 WEIR_HTTP_PORT=$http_port \
    WEIR_RTMP_PORT=$rtmp_port "$weir" origin >"$dir/weir.log" 2>&1 &
  server_pid=$!
  app=LiveApp
}
start_nginx() {
  rtmp_port=$(free_port)
  mkdir -p "$dir/hls"
  cat >"$dir/nginx.conf" <<CONF
load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
worker_processes 1; daemon off; pid $dir/nginx.pid; error_log $dir/nginx.log warn; user root;
events { worker_connections 1024; }
rtmp { server { listen 127.0.0.1:$rtmp_port; chunk_size 4096;
  application LiveApp { live on; hls on; hls_path $dir/hls; hls_fragment 2s; hls_playlist_length 30s; } } }
CONF
  /usr/sbin/nginx -p "$dir" -c "$dir/nginx.conf" &
  server_pid=$!
  app=LiveApp
}

measure() { # SERVER N -> CPU milliseconds a second and stream
  "start_$1"
  wait_port "$rtmp_port"
  encoders=()
  for n in $(seq "$2"); do
    ffmpeg -v error -nostdin -re -stream_loop -1 -i "$dir/source.flv" -c copy -f flv "rtmp://127.0.0.1:$rtmp_port/$app/s$n" 2>>"$dir/ffmpeg.log" &
    encoders+=($!)
  done
  sleep 8 # encoders connect and settle
  local before after t0 t1
  before=$(ticks "$server_pid"); t0=$(date +%s%N)
  sleep "$seconds"
  after=$(ticks "$server_pid"); t1=$(date +%s%N)
  local lost=0
  for pid in "${encoders[@]}"; do kill -0 "$pid" 2>/dev/null || lost=$((lost + 1)); done
  for pid in "${encoders[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait "${encoders[@]}" 2>/dev/null || true
  encoders=()
  kill "$server_pid"; wait "$server_pid" 2>/dev/null || true
  server_pid=
  [ "$lost" -eq 0 ] || echo "note: $lost of $2 encoders had ended ($1)" >&2
  awk -v ticks=$((after - before)) -v ns=$((t1 - t0)) -v n="$2" -v hz="$(getconf CLK_TCK)" \
    'BEGIN { printf "%.3f", ticks / hz * 1000 / (ns / 1e9) / n }'
}

echo "CPU milliseconds a second and stream, over $seconds s:"
printf '%8s %10s %12s %8s\n' streams weir nginx-rtmp ratio
for n in $streams; do
  ours=$(measure weir "$n")
  theirs=$(measure nginx "$n")
  printf '%8s %10s %12s %8s\n' "$n" "$ours" "$theirs" "$(awk -v a="$ours" -v b="$theirs" 'BEGIN { printf "%.2f", (b > 0 ? a / b : 0) }')"
done
