"""What all answers and all paths of answers have in common, whatever is minimised."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

import numpy as np
from jaxtyping import Float

from convexrelu.certificates import Certificate, MultiClassCertificate, RegularizedCertificate

__all__ = ["Path", "Proven"]


class Proven:
    """An answer whose numbers are those of its certificate."""

    certificate: Certificate | MultiClassCertificate | RegularizedCertificate

    @property
    def objective(self) -> float:
        """Upper bound on P*: the network's objective, or the sum over the classes'."""
        return self.certificate.objective

    @property
    def lower_bound(self) -> float:
        """Certified lower bound on P*."""
        return self.certificate.lower_bound

    @property
    def gap(self) -> float:
        """``(objective - lower_bound)/objective``; inf if the objective is."""
        return self.certificate.gap

    def save(self, path: str | os.PathLike[str], *, time_limit: float | None = None) -> None:
        """Write the certificate, which holds the network or the classes', as ``certificate.save`` does.

        Parameters
        ----------
        path : str or path
            The file; its folder must exist.
        time_limit : float or None
            Seconds in which the proof is made; see ``certificate.save``.

        Raises
        ------
        InvalidInputError
            If its folder does not exist, the path is a folder, or the time limit is not positive.
        """
        self.certificate.save(path, time_limit=time_limit)

    @property
    def _in_words(self) -> str:
        """The bounds in a line."""
        return f"{self.lower_bound:.9g} <= P* <= {self.objective:.9g}, gap {self.gap:.1e}"


Point = TypeVar("Point", bound=Proven)


class Path(Generic[Point]):
    """Answers for several prices; iterating over it gives them in order."""

    points: tuple[Point, ...]

    def __len__(self) -> int:
        return len(self.points)

    def __iter__(self) -> Iterator[Point]:
        return iter(self.points)

    def __getitem__(self, k: int) -> Point:
        return self.points[k]

    @property
    def objectives(self) -> Float[np.ndarray, " q"]:
        """The objectives: upper bounds on P*, which grows with the price and is concave in it."""
        return np.array([point.objective for point in self.points])

    @property
    def lower_bounds(self) -> Float[np.ndarray, " q"]:
        """The certified lower bounds on P*."""
        return np.array([point.lower_bound for point in self.points])

    def _listed(self, of: str, name: str, prices: Float[np.ndarray, " q"], words: Sequence[str]) -> str:
        """The path as a person reads it: a line a point, which `words` go before."""
        lines = [
            f"  {name} = {price:g}: {word}, {point.lower_bound:.6g} <= P* <= {point.objective:.6g}, "
            f"gap {point.gap:.1e}"
            for price, word, point in zip(prices, words, self.points, strict=True)
        ]
        return "\n".join([f"{type(self).__name__}({len(self)} prices of {of}", *lines]) + ")"
