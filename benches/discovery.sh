#!/usr/bin/env bash
# Time and allocations of finding a known stream (Criterion; cluster/benches/discovery.rs).
set -euo pipefail
cd "$(dirname "$0")/.."
"${CARGO:-cargo}" bench --locked -p weir-cluster --bench discovery
