#!/usr/bin/env bash
# Puts generated requests to every path of the OpenAPI documents of a running weir, and checks the answers against
# them: no 5xx of ours, no status, content type or shape that is not described. Called by `make api-test`, which
# builds first. Takes half a minute; the tool comes from PyPI into a folder outside the tree.
#   WEIR_BIN      another binary than target/debug/weir
#   WEIR_PORT     the first of three free ports, 15980 unless set
set -euo pipefail
cd "$(dirname "$0")/.."
readonly version=4.32.5
readonly tool=${XDG_CACHE_HOME:-$HOME/.cache}/weir/schemathesis-$version
port=${WEIR_PORT:-15980}
weir=${WEIR_BIN:-target/debug/weir}
if [ ! -x "$tool/bin/st" ]; then
  python3 -m venv "$tool"
  "$tool/bin/pip" -q install "schemathesis==$version"
fi
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
cat > "$work/weir.properties" <<END
data.dir=$work
http.host=127.0.0.1
http.port=$port
rtmp.host=127.0.0.1
rtmp.port=0
edge.http.listen=127.0.0.1:$((port + 1))
origin.http.listen=127.0.0.1:$((port + 2))
END
"$weir" -c "$work/weir.properties" > "$work/log" 2>&1 &
pid=$!
base=http://127.0.0.1:$port
for _ in $(seq 100); do
  curl -sf "$base/rest/v2/liveness" > /dev/null && break
  kill -0 "$pid" || { cat "$work/log"; exit 1; }
  sleep 0.1
done
# A login of our own; the paths that would end it or the application under test are left out below.
user='{"email":"api-test","password":"5ebe2294ecd0e0f08eab7690d2a6ee69"}'
curl -sf -d "$user" "$base/rest/v2/users/initial" > /dev/null
curl -sf -c "$work/jar" -d "$user" "$base/rest/v2/users/authenticate" > /dev/null
cookie=$(awk '/JSESSIONID/ { print $7 }' "$work/jar")
# What comes after the name of a document is its server's path.
run() {
  "$tool/bin/st" run "$base/$1" --url "$base/$2" -H "Cookie: JSESSIONID=$cookie" \
    --exclude-path-regex 'users|authenticateUser|addInitialUser|/applications/\{name\}$' -n 20 --no-color \
    --phases coverage,fuzzing \
    --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance
}
(cd "$work" && run LiveApp/openapi/openapi.json LiveApp && run rest/openapi.json "")
kill -0 "$pid"
