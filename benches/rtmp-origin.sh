#!/usr/bin/env bash
# Origin CPU per RTMP stream, beside nginx-rtmp with HLS on, in one run.
#
# The same pre-encoded 1 Mbit/s H.264+AAC file is sent N times at its own pace (ffmpeg, stream
# copy) to `weir origin` and then to nginx-rtmp, round after round. Compared is the CPU time of the
# server's processes, user and system, of all their threads (also of those that ended meanwhile),
# from the kernel's process clock in ns. Encoders are other processes and are not counted.
# Both cut 2 s segments and list 15: weir CMAF in RAM, nginx MPEG-TS files in HLS_DIR, by default on
# a tmpfs, which is the cheapest that nginx can have. RSS is the server's at the end; nginx's
# segments are not in it, weir's are.
# A run counts only if it was whole: every encoder alive to the end, every stream cut in time.
#   STREAMS="1 10 50"  SECONDS_EACH=60  ROUNDS=1  HLS_DIR=/dev/shm
set -euo pipefail
cd "$(dirname "$0")/.."

weir=${BENCH_BIN:-${CARGO_TARGET_DIR:-target}/release/weir}
streams=${STREAMS:-1 10 50}
seconds=${SECONDS_EACH:-60}
rounds=${ROUNDS:-1}
start_timeout_s=60 # until every stream has two segments
dir=$(mktemp -d)
hls=$(mktemp -d -p "${HLS_DIR:-/dev/shm}")
app=LiveApp
server_pid=
encoders=()

cleanup() {
  local pid
  for pid in "${encoders[@]}" $server_pid; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$dir" "$hls"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

die() { echo "$*" >&2; tail -n 5 "$dir"/*.log >&2 || true; exit 1; }
# A free port of the system's choosing.
free_port() { python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])'; }
# A process and its children.
family() { echo "$1" $(pgrep -P "$1" || true); }
# CPU ns of processes so far: clock_gettime(2) of each process's CPUCLOCK_SCHED.
cpu_ns() { python3 -c 'import sys,time; print(sum(time.clock_gettime_ns((~int(p) << 3) | 2) for p in sys.argv[1:]))' "$@"; }
rss_mib() { local pid; for pid in "$@"; do cat "/proc/$pid/status"; done | awk '/^VmRSS/ { kb += $2 } END { printf "%.0f", kb / 1024 }'; }
wait_port() {
  local end=$((SECONDS + 20))
  until (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; do
    [ $SECONDS -lt $end ] || die "nothing listens on $1"
    sleep 0.1
  done
}

ffmpeg -v error -y -f lavfi -i testsrc2=size=1280x720:rate=30 -f lavfi -i sine=frequency=440:sample_rate=48000 \
  -t 30 -c:v libx264 -preset veryfast -pix_fmt yuv420p -g 60 -keyint_min 60 -sc_threshold 0 -bf 0 \
  -b:v 900k -minrate 900k -maxrate 900k -bufsize 900k -nal-hrd cbr -c:a aac -b:a 96k "$dir/source.flv"
echo "source: $(ffprobe -v error -show_entries format=bit_rate -of csv=p=0 "$dir/source.flv") bit/s, 1280x720p30 H.264 + AAC"
echo "peers:  $("$weir" --version); $(/usr/sbin/nginx -v 2>&1), HLS on $(stat -f -c %T "$hls"); $(nproc) CPUs"

start_weir() {
  rtmp_port=$(free_port); http_port=$(free_port)
  rm -rf "$dir/weir-data"
  WEIR_DATA_DIR="$dir/weir-data" WEIR_HTTP_HOST=127.0.0.1 WEIR_RTMP_HOST=127.0.0.1 WEIR_HTTP_PORT=$http_port \
    WEIR_RTMP_PORT=$rtmp_port WEIR_HLS_TIME=2 WEIR_HLS_LIST_SIZE=15 "$weir" origin >"$dir/weir.log" 2>&1 &
  server_pid=$!
}
playlist_weir() { curl -sf --max-time 5 "http://127.0.0.1:$http_port/$app/streams/$1/video.m3u8" || true; }
start_nginx() {
  rtmp_port=$(free_port)
  rm -rf "${hls:?}"/*
  cat >"$dir/nginx.conf" <<CONF
load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
worker_processes 1; daemon off; pid $dir/nginx.pid; error_log $dir/nginx.log warn; user $(id -un);
events { worker_connections 1024; }
rtmp { access_log off; server { listen 127.0.0.1:$rtmp_port; chunk_size 4096;
  application $app { live on; hls on; hls_path $hls; hls_fragment 2s; hls_playlist_length 30s; } } }
CONF
  /usr/sbin/nginx -p "$dir" -c "$dir/nginx.conf" 2>>"$dir/nginx.log" &
  server_pid=$!
}
playlist_nginx() { cat "$hls/$1.m3u8" 2>/dev/null || true; }

# How many segments each of N streams has cut since its start, one a line.
cut() { # SERVER N
  local n
  for n in $(seq "$2"); do
    "playlist_$1" "s$n" | awk -F: '/^#EXT-X-MEDIA-SEQUENCE/ { first = $2 } /^#EXTINF/ { n++ } END { print first + n }'
  done
}
lowest() { sort -n | head -n 1; }

# Runs N encoders against a server; adds to cpu_ns_sum and wall_ns_sum, sets rss.
measure() { # SERVER N
  local n pid end before after t0 t1 cut_before cut_after fewest pids
  "start_$1"
  wait_port "$rtmp_port"
  for n in $(seq "$2"); do
    ffmpeg -v error -nostdin -re -stream_loop -1 -i "$dir/source.flv" -c copy -f flv "rtmp://127.0.0.1:$rtmp_port/$app/s$n" 2>>"$dir/ffmpeg.log" &
    encoders+=($!)
  done
  end=$((SECONDS + start_timeout_s))
  until [ "$(cut "$1" "$2" | lowest)" -ge 2 ]; do
    [ $SECONDS -lt $end ] || die "$1: not all of $2 streams were cut within $start_timeout_s s"
    sleep 1
  done
  cut "$1" "$2" >"$dir/before"
  read -ra pids <<<"$(family "$server_pid")"
  before=$(cpu_ns "${pids[@]}"); t0=$(date +%s%N)
  sleep "$seconds"
  after=$(cpu_ns "${pids[@]}"); t1=$(date +%s%N)
  rss=$(rss_mib "${pids[@]}")
  cut "$1" "$2" >"$dir/after"
  for pid in "${encoders[@]}"; do kill -0 "$pid" 2>/dev/null || die "$1: one of $2 encoders had ended"; done
  fewest=$(paste "$dir/before" "$dir/after" | awk '{ print $2 - $1 }' | lowest)
  [ "$fewest" -ge $((seconds / 2 - 2)) ] || die "$1: a stream was cut only $fewest times in $seconds s"
  for pid in "${encoders[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait "${encoders[@]}" 2>/dev/null || true
  encoders=()
  kill "$server_pid"; wait "$server_pid" 2>/dev/null || true
  server_pid=
  cpu_ns_sum=$((cpu_ns_sum + after - before)); wall_ns_sum=$((wall_ns_sum + t1 - t0))
}
per_stream_ms() { awk -v cpu="$1" -v wall="$2" -v n="$3" 'BEGIN { printf "%.3f", cpu / wall * 1000 / n }'; }

echo "CPU milliseconds a second and stream, over $rounds x $seconds s:"
printf '%8s %10s %12s %8s %14s %14s\n' streams weir nginx-rtmp ratio "weir RSS MiB" "nginx RSS MiB"
for n in $streams; do
  ours=(0 0 0); theirs=(0 0 0) # CPU ns, wall ns, RSS MiB
  for _ in $(seq "$rounds"); do
    cpu_ns_sum=${ours[0]} wall_ns_sum=${ours[1]}
    measure weir "$n"
    ours=("$cpu_ns_sum" "$wall_ns_sum" "$rss")
    cpu_ns_sum=${theirs[0]} wall_ns_sum=${theirs[1]}
    measure nginx "$n"
    theirs=("$cpu_ns_sum" "$wall_ns_sum" "$rss")
  done
  a=$(per_stream_ms "${ours[0]}" "${ours[1]}" "$n"); b=$(per_stream_ms "${theirs[0]}" "${theirs[1]}" "$n")
  printf '%8s %10s %12s %8s %14s %14s\n' "$n" "$a" "$b" "$(awk -v a="$a" -v b="$b" 'BEGIN { printf "%.2f", a / b }')" "${ours[2]}" "${theirs[2]}"
done
