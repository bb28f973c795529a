"""What a request costs the gateway in CPU time: beside another commit, and what each part takes of it.

`python -m local.gateway_benchmark.cost` measures every configuration in one run (`slices.py`), the one of the
other commit as its own code renders it (`commits.py`), and today's with one thing left out at a time
(`left_out.py`).
"""
