"""Serves the pack to Pulumi. The only module that may construct PolicyPack: it blocks until it is ended."""

import gc
import sys
from pathlib import Path

# Pulumi starts a pack inside its own folder; the rules import the pure modules of the checkout beside it. In
# the folder that `make policy-pack` makes, they lie beside this file, where Python looks anyway.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from pulumi_policy import EnforcementLevel, PolicyPack

from policies import received, stack_configuration
from policies.pack import DESCRIPTION, NAME, POLICIES

# What is imported stays: looking for cycles in it again and again took a tenth of the CPU time.
gc.freeze()
stack_configuration.receive_from_engine()
received.receive_from_engine()
PolicyPack(NAME, POLICIES, enforcement_level=EnforcementLevel.MANDATORY, description=DESCRIPTION)
