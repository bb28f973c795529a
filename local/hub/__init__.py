"""An imitation of the Hugging Face hub on this machine: its API and its checksums, made-up weights."""
