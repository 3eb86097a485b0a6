"""Does gradient descent find the optimum? Train, go to the limit, compare, and say what is proven."""

from convexrelu.verify.cells import AlignedShare, LimitCell, ReachedLimit, Share
from convexrelu.verify.decay import DecayReport, DecayRun
from convexrelu.verify.examples import Example, multi_class_counterexample
from convexrelu.verify.report import LimitReport
from convexrelu.verify.runs import verify_gradient_descent
from convexrelu.verify.verdicts import LimitPart, LimitRun

__all__ = [
    "AlignedShare",
    "DecayReport",
    "DecayRun",
    "Example",
    "LimitCell",
    "LimitPart",
    "LimitReport",
    "LimitRun",
    "ReachedLimit",
    "Share",
    "multi_class_counterexample",
    "verify_gradient_descent",
]
