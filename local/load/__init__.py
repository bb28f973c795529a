"""Load on the gateway of the running local cluster, and what it did to it: `python -m local.load`.

Open loop: arrivals are drawn once from a seed and sent at their time, whatever became of earlier ones. That
is how users behave, and the only way in which a queue can grow.

GuideLLM 0.8.1 was tried first. It has seeded Poisson arrivals, streaming and per-request TTFT, and measures
a server at one rate, or a sweep of rates, well. It was not taken because a run has one rate where a burst
needs several, because it knows nothing of the cluster (queue, replicas, nodes, dollars), and for its weight:
5.9 GB installed, with PyTorch and CUDA, and 17 s of CPU time for 20 s at two requests/s.

The client is aiohttp: 20 us of CPU time per streamed event against 73 us for httpx, both under uvloop, and
two cores carry the whole cluster beside it.
"""
