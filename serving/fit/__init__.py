"""Does a model fit its GPUs? Pure arithmetic, `fit(FitRequest) -> Fit`; by hand: `python -m serving.fit`."""

from serving.fit.fit import fit
from serving.fit.request import Engine, FitRequest, Measured, TypicalRequest
from serving.fit.result import Fit, Line

__all__ = ["Engine", "Fit", "FitRequest", "Line", "Measured", "TypicalRequest", "fit"]
