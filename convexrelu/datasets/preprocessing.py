"""What is done to the columns of a table before a network sees them, kept so that it can be done again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from convexrelu.datasets.dataset import with_bias
from convexrelu.errors import InvalidInputError

__all__ = ["Preprocessing"]

_SHOWN = 5  # names of columns in a line


@dataclass(frozen=True, kw_only=True, eq=False)
class Preprocessing:
    """Which columns are features, how they are shifted and scaled, and whether a column of ones follows.

    Calling it with raw rows gives what a network acts on: ``(X[:, kept] - mean) / scale``, ones appended.

    Attributes
    ----------
    features : tuple of str
        The columns of the raw data, in order.
    kept : (k,) int array
        Indices of those that are used: columns that never vary are left out when standardizing.
    mean, scale : (k,) float array
        Zeros and ones if nothing is standardized.
    standardized : bool
        Whether it is.
    bias : bool
        Whether the column of ones is appended.
    """

    features: tuple[str, ...]
    kept: np.ndarray
    mean: Float[np.ndarray, " k"]
    scale: Float[np.ndarray, " k"]
    standardized: bool
    bias: bool

    @classmethod
    def of(
        cls,
        X: Float[np.ndarray, "n d"],
        features: tuple[str, ...],
        *,
        standardize: bool,
        bias: bool,
    ) -> Preprocessing:
        """Return the preprocessing with the statistics of these rows.

        Parameters
        ----------
        X : (n, d) float array
            The raw data.
        features : tuple of str
            The names of its columns.
        standardize : bool
            Whether to shift columns to mean 0 and divide them by their standard deviation (``ddof=0``).
        bias : bool
            Whether to append a column of ones.

        Returns
        -------
        Preprocessing
            For this data and for any other with the same columns.

        Raises
        ------
        InvalidInputError
            If no column varies, and no bias column would be left.
        """
        if not standardize:
            d = X.shape[1]
            return cls(
                features=features,
                kept=np.arange(d),
                mean=np.zeros(d),
                scale=np.ones(d),
                standardized=False,
                bias=bias,
            )
        kept = np.flatnonzero(np.ptp(X, axis=0) > 0)
        if not len(kept) and not bias:
            raise InvalidInputError(
                "all columns are constant: nothing is left of standardized data without a bias column"
            )
        mean = X[:, kept].mean(axis=0)
        scale = (X[:, kept] - mean).std(axis=0)
        return cls(features=features, kept=kept, mean=mean, scale=scale, standardized=True, bias=bias)

    def __call__(self, X: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n k"]:
        """Return what a network acts on.

        Parameters
        ----------
        X : (n, d) float array
            Raw rows, with the columns ``features``.

        Returns
        -------
        (n, k) or (n, k + 1) float array
            A new array.
        """
        rows = X[:, self.kept]
        if self.standardized:
            rows = (rows - self.mean) / self.scale
        if not self.bias:
            return np.array(rows)
        return np.column_stack([rows, np.ones(len(rows))]) if not len(self.kept) else with_bias(rows)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of a network's inputs: the columns that are kept, and the bias."""
        return (*(self.features[k] for k in self.kept), *(["bias"] if self.bias else []))

    def __repr__(self) -> str:
        return f"<Preprocessing of {len(self.features)} columns: {self}>"

    def __str__(self) -> str:
        gone = [name for k, name in enumerate(self.features) if k not in set(self.kept.tolist())]
        more = ", ..." if len(gone) > _SHOWN else ""
        constant = f", constant columns left out ({', '.join(gone[:_SHOWN])}{more})" if gone else ""
        steps = [f"standardized{constant}"] if self.standardized else []
        return ", ".join([*steps, *(["bias column"] if self.bias else [])]) or "no preprocessing"

    def to_document(self) -> dict[str, Any]:
        """Return it as plain JSON values, floats to their last bit.

        Returns
        -------
        dict
            Its fields.
        """
        return {
            "features": list(self.features),
            "kept": self.kept.tolist(),
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "standardized": self.standardized,
            "bias": self.bias,
        }

    @classmethod
    def from_document(cls, values: Any) -> Preprocessing:
        """Return what :meth:`to_document` turned into these values.

        Parameters
        ----------
        values : dict
            The fields.

        Returns
        -------
        Preprocessing
            The same to the last bit.

        Raises
        ------
        InvalidInputError
            On anything malformed.
        """
        try:
            features = tuple(str(name) for name in values["features"])
            kept = np.array(values["kept"], dtype=np.int64)
            mean, scale = (np.array(values[name], dtype=np.float64) for name in ("mean", "scale"))
            standardized, bias = values["standardized"], values["bias"]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise InvalidInputError(f"the preprocessing is malformed: {error!r}") from error
        shaped = kept.ndim == 1 and mean.shape == scale.shape == kept.shape
        inside = (
            shaped
            and len(set(kept.tolist())) == len(kept)
            and set(kept.tolist()) <= set(range(len(features)))
        )
        if not (
            inside
            and np.isfinite(mean).all()
            and np.isfinite(scale).all()
            and (scale > 0).all()
            and isinstance(standardized, bool)
            and isinstance(bias, bool)
        ):
            raise InvalidInputError(
                "the preprocessing is malformed: a mean and a positive scale are needed for each column"
            )
        return cls(features=features, kept=kept, mean=mean, scale=scale, standardized=standardized, bias=bias)
