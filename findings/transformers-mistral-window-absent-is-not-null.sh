#!/usr/bin/env bash
# transformers 5.19.0, MistralConfig: `sliding_window` has the default 4096. A config.json of a Mistral model that leaves
# the field out has a window in every layer; one that says null has none. The guess was that both mean the same, as for
# most optional fields: of a cache for 32,768 tokens one or the other is eight times too large or too small.
# Seen: 4096 for a file without the field, None for null.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check transformers==5.19.0
printf '{"model_type": "mistral"}' >"$folder/absent.json"
printf '{"model_type": "mistral", "sliding_window": null}' >"$folder/null.json"
"$folder/venv/bin/python" - "$folder" <<'PYTHON'
import sys
from pathlib import Path

from transformers import MistralConfig

folder = Path(sys.argv[1])
absent, null = (MistralConfig.from_json_file(folder / name).sliding_window for name in ("absent.json", "null.json"))
print(f"left out: {absent}; null: {null}")
assert (absent, null) == (4096, None), "the behaviour has changed"
PYTHON
