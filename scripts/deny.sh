#!/usr/bin/env bash
# Runs cargo-deny, building it once into .cache/ when it is not on PATH: a check that a fresh
# machine cannot run would not be one. usage: scripts/deny.sh VERSION
set -euo pipefail
cd "$(dirname "$0")/.."
version=${1:?usage: scripts/deny.sh VERSION}
if command -v cargo-deny >/dev/null; then
  deny=cargo-deny
else
  deny=.cache/cargo-deny/bin/cargo-deny
  if ! "$deny" --version 2>/dev/null | grep -q "$version"; then
    # No advisory features: only bans, licences and sources are asked of it.
    cargo install cargo-deny --locked --debug --no-default-features --version "$version" --root .cache/cargo-deny
  fi
fi
"$deny" --log-level error check bans licenses sources
# What features bring is asked for its licences and sources too.
"$deny" --log-level error --all-features check licenses sources
