"""Holds the emulator against real vLLMs: `python -m local.engine.comparison` (`make test-vllm`).

The real engines run on a CPU with a tiny random model, in an environment of their own that is made on first
use: 6 GB on disk, 5 GB to download. Compared are the command lines that the program renders, the flags, the
metric families and the shapes of answers. `--write-facts` renews the tables in local/engine/data that come
from vLLM, and what is kept of its answers in observed/.
"""
