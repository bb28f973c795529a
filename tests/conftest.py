"""What holds for every test; those that need the local cluster are under tests/local."""

from __future__ import annotations

import os

from hypothesis import settings

# `str(output)` of a Pulumi output raises instead of putting a help text into a resource.
os.environ["PULUMI_ERROR_OUTPUT_STRING"] = "true"

# On a busy machine one slow example is no failure; pytest-timeout ends what really hangs.
settings.register_profile("busy-machine", deadline=None, max_examples=50)
settings.load_profile("busy-machine")
