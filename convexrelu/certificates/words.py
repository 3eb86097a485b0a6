"""What is proven of a network, in a sentence: directed rounding in words, too."""

from __future__ import annotations

import math

from convexrelu.certificates.kkt import OPTIMALITY_TOL

__all__ = ["above", "between", "in_words", "neurons"]

_EXACT = 1e-9  # of the third digit: what is a round number up to rounding is written as one
_TIMES = 10.0  # from this many times the optimum on, nobody thinks in percent


def in_words(
    objective: float, lower: float, better: float, *, better_neurons: int, unfitted: str = ""
) -> str:
    """Return the sentence for a network of this objective, where ``lower <= P* <= min(objective, better)``.

    Parameters
    ----------
    objective : float
        Of the network judged; inf if it does not fit the data.
    lower : float
        Lower bound on P*.
    better : float
        The objective of a better network that is at hand, inf if there is none.
    better_neurons : int
        Its number of neurons.
    unfitted : str
        What to say of a network that does not fit the data, in its place as the subject.

    Returns
    -------
    str
        One sentence, without its full stop.
    """
    if math.isfinite(better):
        far = unfitted if math.isinf(objective) else between(objective, lower, better)
        gap = max(1.0 - lower / better, 0.0) if better > 0 else 0.0
        if gap <= OPTIMALITY_TOL:
            how = " that is globally optimal"
        else:
            how = f", {above(better, lower)}" if lower > 0 else ", how far above the optimum is not known"
        return f"{far}; here is one with {neurons(better_neurons)}{how} (objective {better:.9g})"
    if math.isinf(objective):
        return f"{unfitted}; every network that does has objective >= {lower:.6g}"
    if not lower > 0:
        return "how far above the optimum is not known: the lower bound is zero"
    return f"{above(objective, lower)}; whether it is optimal is not decided"


def between(objective: float, lower: float, better: float) -> str:
    """Return by how much an objective exceeds an optimum that lies between two bounds."""
    least, most = objective / better, objective / lower if lower > 0 else math.inf
    if math.isinf(most):
        return f"not globally optimal: at least {_share(least, up=False)} above the optimum"
    if most >= _TIMES:
        return (
            "not globally optimal: "
            f"between {_rounded(least, up=False)} and {_rounded(most, up=True)} times the optimum"
        )
    return (
        "not globally optimal: "
        f"between {_share(least, up=False)} and {_share(most, up=True)} above the optimum"
    )


def above(objective: float, lower: float) -> str:
    """Return by how much an objective exceeds the optimum at most."""
    most = objective / lower
    if most >= _TIMES:
        return f"at most {_rounded(most, up=True)} times the optimum"
    return f"above the optimum by {_share(most, up=True)} at most"


def neurons(number: int) -> str:
    """Return a number of neurons."""
    return f"{number} neuron" if number == 1 else f"{number} neurons"


def _share(times: float, *, up: bool) -> str:
    return f"{_rounded(max(100.0 * (times - 1.0), 0.0), up=up)} %"


def _rounded(x: float, *, up: bool) -> str:
    """Three significant digits, rounded in the direction in which the sentence stays true."""
    if x <= 0 or math.isinf(x):
        return f"{x:.3g}"
    unit = 10.0 ** (math.floor(math.log10(x)) - 2)
    digits = math.ceil(x / unit - _EXACT) if up else math.floor(x / unit + _EXACT)
    return f"{digits * unit:.3g}"
