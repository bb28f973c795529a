"""An emulator of a vLLM 0.32 server: its flags, its API, its metrics and its timing, without a GPU.

Everything that a gateway, an autoscaler or a dashboard can see is vLLM's: the parser refuses what vLLM's
refuses, requests are batched continuously within the token budget and the KV cache that the real engine would
have, and `/metrics` has vLLM's families. Imitated are the words of the answers and the time a step takes on
the GPU. The banner, the log and `/version` say so.
"""
