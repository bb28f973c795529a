"""What the gateway costs: requests per second on one core and added latency, beside vllm-router and nothing.

`python -m local.gateway_benchmark` measures all of them against the same upstream in one run, in turns, so
that whatever else the machine does hits all alike. The upstream is a server of fixed replies: the engine
emulator would be the slowest part.
"""
