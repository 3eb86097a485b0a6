"""What is minimised: the norm at margin 1, or a loss with weight decay; what the options say about it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from convexrelu.errors import InvalidInputError

if TYPE_CHECKING:
    from convexrelu.losses import Loss

__all__ = ["Decay", "check_loss"]


@dataclass(frozen=True, kw_only=True)
class Decay:
    """A loss with weight decay.

    Attributes
    ----------
    loss : Loss
        Of one sample.
    beta : float
        Price of the weights.
    """

    loss: Loss
    beta: float

    @property
    def labels(self) -> bool:
        """Whether it is about classes."""
        return self.loss.takes_labels or self.loss.name == "softmax"

    @property
    def keywords(self) -> dict[str, Any]:
        """As `solve` and `certify` take it."""
        return {"loss": self.loss, "beta": self.beta}


def check_loss(loss: str | None, beta: float | None, C: float | None) -> Decay | None:
    """Return the loss that is minimised with weight decay; None if it is the norm at margin 1."""
    from convexrelu.losses import get_loss

    if loss is None:
        if beta is not None:
            raise InvalidInputError("--beta is the price of the weights with a loss: give --loss, too")
        return None
    if beta is None:
        raise InvalidInputError(f"--loss {loss} needs the price of the weights: give --beta, 0.1 say")
    if C is not None and not math.isinf(C):
        raise InvalidInputError("--C is the price of slack at a margin, and does not go with --loss")
    chosen = get_loss(loss)
    if chosen.name == "multi_squared":
        raise InvalidInputError("multi_squared needs several targets a sample: use it from Python")
    return Decay(loss=chosen, beta=beta)
