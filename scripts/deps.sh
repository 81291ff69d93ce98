#!/usr/bin/env bash
# Installs what a purpose needs and is missing, and nothing else.
#   scripts/deps.sh build|demo|cluster|test|bench
# Says what it will install; uses sudo only when there is something to install and we are not root.
set -euo pipefail

purpose=${1:?usage: scripts/deps.sh build|demo|cluster|test|bench}

# "command:package": the package is wanted when the command is not on PATH.
wanted=(cc:build-essential make:make cmake:cmake pkg-config:pkg-config node:nodejs npm:npm)
# Packages without a command of their own, checked by a file they own.
files=()
case $purpose in
  build) ;;
  demo) wanted+=(ffmpeg:ffmpeg curl:curl); files+=(/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf:fonts-dejavu-core) ;;
  cluster) wanted+=(ffmpeg:ffmpeg curl:curl python3:python3 pip3:python3-pip unzip:unzip)
           files+=(/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf:fonts-dejavu-core) ;;
  test) files+=(/usr/include/openssl/ssl.h:libssl-dev)
        wanted+=(ffmpeg:ffmpeg curl:curl chromium:chromium faketime:faketime python3:python3 pip3:python3-pip
                unzip:unzip openssl:openssl)
        files+=(/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf:fonts-dejavu-core
                /usr/sbin/nginx:nginx-light /usr/sbin/haproxy:haproxy
                /usr/lib/nginx/modules/ngx_stream_module.so:libnginx-mod-stream) ;;
  bench) wanted+=(ffmpeg:ffmpeg curl:curl nginx:nginx-light wrk:wrk haproxy:haproxy openssl:openssl python3:python3)
         files+=(/usr/lib/nginx/modules/ngx_rtmp_module.so:libnginx-mod-rtmp) ;;
  *) echo "deps: unknown purpose '$purpose' (build, demo, cluster, test or bench)" >&2; exit 2 ;;
esac

if ! command -v cargo >/dev/null; then
  echo "deps: cargo is not on PATH. Install Rust first: https://rustup.rs" >&2
  exit 1
fi

missing=()
for pair in "${wanted[@]}"; do
  command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
done
for pair in "${files[@]}"; do
  [ -e "${pair%%:*}" ] || missing+=("${pair#*:}")
done
[ ${#missing[@]} -gt 0 ] || exit 0

echo "deps: missing: ${missing[*]}"
if ! command -v apt-get >/dev/null; then
  echo "deps: this machine has no apt-get; install the packages above by hand and run again" >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "deps: not root and no sudo; run as root: apt-get install ${missing[*]}" >&2; exit 1; }
  echo "deps: installing them needs root; sudo may ask for your password"
  as_root=(sudo)
fi
"${as_root[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y --no-install-recommends "${missing[@]}"
