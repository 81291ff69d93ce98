#!/usr/bin/env bash
# Makes load/clip/clip.flv, the clip that `weir load` publishes when no --media is given. It is
# kept in the repository, so that building needs no encoder; run this only to change it.
#
# 8 s at 25 pictures a second, a key frame every 2 s, B-frames as encoders in the field send them;
# 8 s are also exactly 375 AAC frames at 48 kHz, so that both tracks loop without a seam.
set -euo pipefail
cd "$(dirname "$0")/.."
out=load/clip/clip.flv
ffmpeg -v error -y -fflags +bitexact \
	-f lavfi -i "testsrc2=size=320x180:rate=25:duration=8" \
	-f lavfi -i "sine=frequency=330:beep_factor=4:sample_rate=48000:duration=8.2" \
	-map 0:v -map 1:a -flags:v +bitexact -flags:a +bitexact \
	-c:v libx264 -preset veryslow -profile:v high -pix_fmt yuv420p \
	-g 50 -keyint_min 50 -sc_threshold 0 -bf 2 -b:v 110k -maxrate 130k -bufsize 130k \
	-c:a aac -ac 2 -b:a 32k -flvflags no_duration_filesize -f flv "$out"
bytes=$(stat -c %s "$out")
[ "$bytes" -lt 204800 ] || { echo "$out has $bytes bytes; keep it under 200 KiB" >&2; exit 1; }
echo "$out: $bytes bytes"
