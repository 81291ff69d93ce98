#!/usr/bin/env bash
# How 10,000 requests are spread over one slow and three fast servers by each method, behind
# Debian's nginx and behind weir, in one run. Figures, no verdict.
#   benches/balance.sh [WEIR]       (default: the release build)
set -euo pipefail
cd "$(dirname "$0")/.."
weir=${1:-target/release/weir}
[ -x "$weir" ] || { echo "balance: no $weir: cargo build --release -p weir" >&2; exit 1; }
[ -x /usr/sbin/nginx ] || { echo "balance: no nginx: scripts/deps.sh bench" >&2; exit 1; }
exec python3 benches/balance.py "$(realpath "$weir")"
