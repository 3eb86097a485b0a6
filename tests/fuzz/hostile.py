"""Hostile problems: strategies for them, and files of those that once failed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

CORPUS = Path(__file__).with_name("corpus")

NOISES = [0.0, 1e-9, 1e-11, 1e-12, 1e-13, 1e-14, 1e-16]


@dataclass(frozen=True, eq=False)
class Problem:
    """Data, a dual variable of any sign, a network and a price of slack."""

    X: np.ndarray
    y: np.ndarray
    lam: np.ndarray
    W1: np.ndarray
    w2: np.ndarray
    C: float

    def __repr__(self) -> str:
        return f"Problem.of({json.dumps(self.document())})"

    def document(self) -> dict[str, object]:
        """Floats to their last bit, as JSON."""
        arrays = {name: getattr(self, name) for name in ("X", "y", "lam", "W1", "w2")}
        return {
            "C": float(self.C).hex(),
            **{name: [list(a.shape), [float(v).hex() for v in a.ravel()]] for name, a in arrays.items()},
        }

    @classmethod
    def of(cls, document: dict) -> Problem:
        arrays = {
            name: np.array([float.fromhex(v) for v in document[name][1]]).reshape(document[name][0])
            for name in ("X", "y", "lam", "W1", "w2")
        }
        return cls(C=float.fromhex(document["C"]), **arrays)

    def save(self) -> Path:
        """Put the problem into the corpus, which is replayed by every run of the tests."""
        text = json.dumps(self.document(), indent=1)
        path = CORPUS / f"{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"
        path.write_text(text + "\n")
        return path


def corpus() -> list[Path]:
    return sorted(CORPUS.glob("*.json"))


@st.composite
def matrices(draw, most_rows: int = 7, most_columns: int = 3) -> np.ndarray:
    """Rows that coincide, nearly do, are opposite, zero, of many decades, or nothing of the kind."""
    n, d = draw(st.integers(1, most_rows)), draw(st.integers(1, most_columns))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["grid", "grid", "normal", "binary", "tiny"]))
    if kind == "grid":
        X = rng.integers(-2, 3, size=(n, d)).astype(float)
    elif kind == "binary":
        X = rng.integers(0, 2, size=(n, d)).astype(float)
    else:
        X = rng.normal(size=(n, d)) * (5e-324 / 0.1 if kind == "tiny" and rng.random() < 0.2 else 1.0)
    if draw(st.booleans()):  # few directions, in both senses and several lengths
        factors = rng.choice([1.0, 1.0, -1.0, 2.0, 1 / 3, -7.0], size=(n, 1))
        X = X[rng.integers(max(1, n // 2), size=n)] * factors
    noise = draw(st.sampled_from(NOISES))
    X = X + noise * rng.integers(-2, 3, size=(n, d))
    if draw(st.integers(0, 3)) == 0:
        X[:, -1] = 10.0 ** draw(st.integers(-8, 12))
    decades = draw(st.sampled_from([0, 0, 0, 3, 12, 60, 149]))
    if decades:
        X = X * 10.0 ** rng.integers(-decades, decades + 1, size=(n, 1) if draw(st.booleans()) else ())
    if draw(st.integers(0, 5)) == 0:
        X[rng.integers(n)] = 0.0
    return np.where(X == 0, draw(st.sampled_from([0.0, -0.0])), X)


@st.composite
def problems(draw, most_rows: int = 7, most_columns: int = 3) -> Problem:
    X = draw(matrices(most_rows, most_columns))
    n, d = X.shape
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    y = np.where(rng.random(n) < draw(st.sampled_from([0.5, 0.5, 0.9, 1.0])), 1.0, -1.0)
    lam = rng.integers(-3, 4, size=n) if draw(st.booleans()) else rng.normal(size=n)
    lam = lam * 10.0 ** draw(st.sampled_from([0, 0, 0, -120, 120, -300]))
    m = draw(st.integers(0, 4))
    W1 = rng.normal(size=(m, d)) * 10.0 ** draw(st.sampled_from([0, 0, 0, -163, 155, 5]))
    w2 = rng.normal(size=m) * 10.0 ** draw(st.sampled_from([0, 0, 0, -163, 150, -5]))
    if draw(st.booleans()):  # neurons that see the rows, so that the network may fit
        for i in range(m):
            row = X[rng.integers(n)]
            size = np.abs(row).max() or 1.0
            W1[i] = row / size * (np.abs(W1[i]).max() or 1.0)
    return Problem(
        X=X,
        y=y,
        lam=lam,
        W1=W1,
        w2=w2,
        C=draw(st.sampled_from([np.inf, np.inf, 1.0, 1e-3, 1e6, 1e-140, 1e140])),
    )
