#!/usr/bin/env bash
# Starts weir with every role, publishes a test pattern with a clock and a tone, prints the links,
# and takes everything down again on Ctrl-C. Called by `make demo`, which builds first.
#   WEIR_HTTP_PORT, WEIR_RTMP_PORT   other ports than 5080 and 1935
#   DEMO_SECONDS=N                   stop by itself after N seconds
set -euo pipefail
cd "$(dirname "$0")/.."

weir=${DEMO_BIN:-${CARGO_TARGET_DIR:-target}/release/weir}
http_port=${WEIR_HTTP_PORT:-5080}
rtmp_port=${WEIR_RTMP_PORT:-1935}
dir=$(mktemp -d)
weir_pid=
ffmpeg_pid=

cleanup() {
  trap - EXIT INT TERM
  echo
  echo "demo: stopping"
  [ -z "$ffmpeg_pid" ] || kill "$ffmpeg_pid" 2>/dev/null || true
  [ -z "$ffmpeg_pid" ] || wait "$ffmpeg_pid" 2>/dev/null || true
  [ -z "$weir_pid" ] || kill "$weir_pid" 2>/dev/null || true
  [ -z "$weir_pid" ] || wait "$weir_pid" 2>/dev/null || true
  rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 0' INT TERM

# Until weir listens and the stream plays, its end or ffmpeg's is told at once.
alive() {
  kill -0 "$weir_pid" 2>/dev/null || { echo "demo: weir stopped; its last lines:" >&2; tail -5 "$dir/weir.log" >&2; exit 1; }
  [ -z "$ffmpeg_pid" ] || kill -0 "$ffmpeg_pid" 2>/dev/null || { echo "demo: ffmpeg stopped; its last lines:" >&2; tail -5 "$dir/ffmpeg.log" >&2; exit 1; }
}
wait_for() { # URL, what, seconds
  local deadline=$((SECONDS + $3))
  until curl -fsS -o /dev/null "$1" 2>/dev/null; do
    alive
    [ $SECONDS -lt $deadline ] || { echo "demo: no $2 after $3 s" >&2; tail -5 "$dir"/*.log >&2; exit 1; }
    sleep 0.2
  done
}

WEIR_DATA_DIR="$dir/data" "$weir" >"$dir/weir.log" 2>&1 &
weir_pid=$!
wait_for "http://127.0.0.1:$http_port/rest/v2/liveness" "answer from weir" 30

ffmpeg -hide_banner -loglevel error -nostdin -re \
  -f lavfi -i "testsrc2=size=1280x720:rate=30" \
  -f lavfi -i "sine=frequency=440:sample_rate=48000" \
  -vf "drawtext=fontfile=/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf:text='%{localtime\:%H\\\\\:%M\\\\\:%S}  frame %{n}':fontsize=48:fontcolor=white:box=1:boxcolor=black@0.6:boxborderw=12:x=(w-tw)/2:y=h-th-60" \
  -c:v libx264 -preset veryfast -tune zerolatency -pix_fmt yuv420p -g 60 -b:v 2500k -maxrate 2500k -bufsize 2500k \
  -c:a aac -b:a 128k -f flv "rtmp://127.0.0.1:$rtmp_port/LiveApp/demo" >"$dir/ffmpeg.log" 2>&1 &
ffmpeg_pid=$!
wait_for "http://127.0.0.1:$http_port/LiveApp/streams/demo.m3u8" "stream" 30

echo
sed '/^Publish/,$d' "$dir/weir.log"
cat <<TEXT

  Watch   http://127.0.0.1:$http_port/LiveApp/play.html?id=demo
  Live    http://127.0.0.1:$http_port/
  HLS     http://127.0.0.1:$http_port/LiveApp/streams/demo.m3u8
  Publish rtmp://127.0.0.1:$rtmp_port/LiveApp/YOUR-STREAM   (OBS: server rtmp://127.0.0.1:$rtmp_port/LiveApp, key YOUR-STREAM)

  Ctrl-C stops it.
TEXT

end=$((SECONDS + ${DEMO_SECONDS:-2147483}))
while [ $SECONDS -lt $end ]; do alive; sleep 1; done
