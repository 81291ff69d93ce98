#!/usr/bin/env bash
# Runs every side-by-side benchmark. Each prints a table and a ratio; none asserts a timing.
set -euo pipefail
cd "$(dirname "$0")"
./rtmp-origin.sh "$@"
./discovery.sh
./balance.sh
./lb.py
