"""Does gradient descent find the optimum? Train, go to the limit, compare, and say what is proven."""

from convexrelu.verify.examples import Example, multi_class_counterexample
from convexrelu.verify.report import LimitPart, LimitReport, LimitRun
from convexrelu.verify.runs import verify_gradient_descent

__all__ = [
    "Example",
    "LimitPart",
    "LimitReport",
    "LimitRun",
    "multi_class_counterexample",
    "verify_gradient_descent",
]
