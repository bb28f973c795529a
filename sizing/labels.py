"""Words that registered objects carry, by which their size can be judged: pool, GPUs, model.

`infra` and `serving` write them, `policies` and the boards read them.
"""

from __future__ import annotations

NODE_POOL_LABEL = "llm-platform/node-pool"
ACCELERATOR_LABEL = "llm-platform/accelerator"
"""Labels of nodes: their pool, and their row in hardware/data/accelerators.yaml."""

GPU_RESOURCE = "nvidia.com/gpu"
"""What the device plugin counts a node's GPUs as; the key of the taint on GPU nodes, too."""

MODEL_ANNOTATION = "inference.llm-platform/model"
"""Of an engine's pods: the Hugging Face id of what they serve, which their arguments give as MODEL_PATH."""

MODEL_PATH = "/weights/model"
"""Where engines find their model's weights, whatever they come from: the folder is one revision."""
