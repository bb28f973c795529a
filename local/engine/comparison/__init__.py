"""Holds the emulator against a real vLLM 0.32: `python -m local.engine.comparison` (`make test-vllm`).

The real engine runs on a CPU with a tiny random model, in an environment of its own that is made on first
use: 6 GB on disk, 5 GB to download. Compared are the command lines that the program renders, the metric
families and the shapes of answers. `--write-facts` renews the tables in local/engine/data that come from
vLLM.
"""
