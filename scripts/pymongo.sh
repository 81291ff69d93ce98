#!/usr/bin/env bash
# Prints a folder with pymongo for tests, to be named in PYTHONPATH: fetched once from PyPI into .cache/.
set -euo pipefail
cd "$(dirname "$0")/.."
package=pymongo==4.10.1
dir=$PWD/.cache/${package/==/-}
if [ ! -d "$dir/pymongo" ]; then
  echo "pymongo: fetching $package" >&2
  rm -rf "$dir"
  python3 -m pip install --quiet --disable-pip-version-check --target "$dir" "$package" >&2
fi
echo "$dir"
