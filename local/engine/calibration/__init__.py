"""Fits the step time to measured latencies: `python -m local.engine.calibration measured-latency.csv`.

The table of measurements is not shipped; the constants fitted to it are, in sizing/capacity/data.
"""
