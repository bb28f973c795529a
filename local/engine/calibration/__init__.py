"""Fits the step time to measured latencies, says how far off it is: `python -m local.engine.calibration`.

The table of measurements is not shipped; the constants fitted to it are, in sizing/capacity/data.
"""
