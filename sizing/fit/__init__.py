"""Does a model fit its GPUs? Pure arithmetic, `fit(FitRequest) -> Fit`; by hand: `python -m sizing.fit`."""

from sizing.fit.fit import fit
from sizing.fit.request import Engine, FitRequest, Measured, TypicalRequest
from sizing.fit.result import Fit, Line

__all__ = ["Engine", "Fit", "FitRequest", "Line", "Measured", "TypicalRequest", "fit"]
