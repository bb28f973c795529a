"""`python -m local.engine MODEL [flags of vllm serve]`: the emulated server.

Ends with status 2 on flags that vLLM's parser refuses and 1 on a configuration that vLLM refuses.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from local.engine.flags import parse
from local.engine.machine import machine_from
from local.engine.refusal import Refused
from local.engine.server_settings import server_settings
from local.engine.settings import engine_settings


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    flags = parse(arguments)
    try:
        machine = machine_from(environment)
        engine = engine_settings(flags, machine)
        server = server_settings(flags, machine, engine.model)
        from local.engine.serve import serve  # the HTTP stack is only needed by an engine that starts

        return serve(engine, server, machine)
    except Refused as error:
        print(f"vllm serve: refused to start: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
