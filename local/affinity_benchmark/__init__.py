"""What `prompt_cache_key` gains and costs: hits of the prefix cache, time to first token, imbalance.

`python -m local.affinity_benchmark` sends the same requests through the gateway's own clusters to the same
replicas in one run: balanced by requests in flight, hashed with the gateway's bound of the load, and hashed
without one. Tokens, limits and the reading of bodies have no part in this and are left out.
"""
