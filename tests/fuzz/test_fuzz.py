"""Hostile problems: never a wrong bound, never a crash that is not one of our errors, never a hang.

The tests run a slice of what `make fuzz` runs; a problem that fails there is put into the folder `corpus`,
and every run replays what is in it. Bounds are judged in rational arithmetic (`exact.py`).
"""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convexrelu import (
    ConvexReLUError,
    InfeasibleError,
    TwoLayerReLU,
    certify,
    count_patterns,
    enumerate_patterns,
    maximize_correlation,
    pattern_bound,
    solve_max_margin,
)
from convexrelu.check_losses import _value as exact_value
from convexrelu.losses import EpsilonInsensitive, Huber, Loss, Quantile, get_loss
from convexrelu.oracle import dual_norm

from . import exact
from .hostile import CORPUS, Problem, corpus, problems

# How many times the slice of the tests; `make fuzz` sets it.
FACTOR = int(os.environ.get("CONVEXRELU_FUZZ", "1"))
SECONDS = 20.0  # of the processor, for one call: far more than any takes here, compilation aside

LOSSES = [
    *map(get_loss, ["squared", "absolute", "logistic", "hinge", "squared_hinge", "poisson", "exponential"]),
    *(Huber(delta=0.7), Quantile(tau=0.3), EpsilonInsensitive(epsilon=0.3)),
]

FAILED: dict[str, list] = {}  # the corpus's file of the last failure of each check in this run

Check = Callable[..., None]


def kept(check: Check) -> Check:
    """The check; under `make fuzz`, a problem that fails it goes to the corpus, if it is the last."""
    last = FAILED.setdefault(check.__name__, [])

    def wrapped(problem: Problem, *more) -> None:
        try:
            check(problem, *more)
        except Exception:
            if FACTOR > 1:
                for path in last:
                    path.unlink(missing_ok=True)
                last[:] = [problem.save()]
            raise

    return wrapped


def attempt(call: Callable, *arguments, **options) -> tuple:
    """The answer and None, or None and the error, which must be one of ours; in either case in time."""
    started = time.process_time()
    try:
        return call(*arguments, **options), None
    except ConvexReLUError as error:
        return None, error
    finally:
        assert time.process_time() - started < SECONDS


def judge_oracle(problem: Problem) -> None:
    """No direction exceeds the bound on h(lam), and the one returned attains its value."""
    X, lam = problem.X, problem.lam
    before = X.copy(), lam.copy()
    norm, error = attempt(dual_norm, X, lam)
    if error:
        assert "beyond the range" in str(error)
        return
    assert norm.value <= norm.upper_bound
    correlation = exact.Correlation(X, lam)
    for u in correlation.directions(np.random.default_rng(0)):
        assert not correlation.exceeds(norm.upper_bound, u)
    best, _ = attempt(maximize_correlation, X, lam)
    assert best.value <= best.upper_bound <= norm.upper_bound * (1 + 1e-9)
    u, bits = exact.whole(best.direction)
    attained = Fraction(correlation.at(u), 1 << correlation.bits + bits)
    scale = Fraction(int((abs(correlation.lam) @ abs(correlation.rows)).sum()), 1 << correlation.bits)
    assert abs(attained - Fraction(best.value)) <= scale / 10**12 + Fraction(1e-320)
    assert np.array_equal(X, before[0])
    assert np.array_equal(lam, before[1])


def judge_certificate(problem: Problem) -> None:
    """``lower_bound <= objective of the network``, exactly, and the stated one is not below it."""
    X, y, C = problem.X, problem.y, problem.C
    network = TwoLayerReLU(problem.W1, problem.w2)
    truth = exact.objective(X, y, network.W1, network.w2, C)
    for lam in (None, y * np.abs(problem.lam)):
        certificate, error = attempt(certify, X, y, network, lam, C=C, improve=False)
        if error:
            assert "beyond the range" in str(error)
            continue
        assert certificate.lower_bound >= 0
        assert certificate.objective > 0
        assert np.isinf(certificate.objective) == np.isinf(certificate.gap)
        if truth is None:
            assert certificate.objective == np.inf
        elif certificate.objective < np.inf:
            assert Fraction(certificate.objective) >= truth
        if truth is not None:
            assert Fraction(certificate.lower_bound) <= truth
        if certificate.globally_optimal:
            assert truth is not None
            assert truth <= Fraction(certificate.lower_bound) * (1 + Fraction(1, 10**5))


def judge_solver(problem: Problem) -> None:
    """Both bounds around the exact objective of the network found, and of the one given; or a proof."""
    X, y, C = problem.X, problem.y, problem.C
    given_network = exact.objective(X, y, problem.W1, problem.w2, C)
    solution, error = attempt(solve_max_margin, X, y, C=C, time_limit=2.0)
    if isinstance(error, InfeasibleError):
        assert np.isinf(C)
        judge_farkas(X, y, error, given_network)
    if error:
        return
    assert 0 <= solution.lower_bound <= solution.objective
    if np.inf > C:
        assert (y * solution.lam <= C).all()
    found = exact.objective(X, y, solution.network.W1, solution.network.w2, C)
    for truth in (found, given_network):
        if truth is not None:
            assert Fraction(solution.lower_bound) <= truth
    if found is not None and solution.objective < np.inf:
        assert Fraction(solution.objective) >= found
    assert found is not None or solution.objective == np.inf


def judge_farkas(X: np.ndarray, y: np.ndarray, error: InfeasibleError, known: Fraction | None) -> None:
    """No direction exceeds the residual, and no network known has an objective below what that proves."""
    assert (y * error.farkas >= 0).all()
    assert y @ error.farkas > 0
    correlation = exact.Correlation(X, error.farkas)
    for u in correlation.directions(np.random.default_rng(0)):
        assert not correlation.exceeds(error.residual, u)
    if known is not None:
        assert sum(map(Fraction, abs(error.farkas))) <= known * Fraction(error.residual)


def judge_patterns(problem: Problem) -> None:
    """As many patterns as are counted, distinct, at most Cover's number, and those of their witnesses."""
    X = problem.X
    arrangement, error = attempt(enumerate_patterns, X)
    count, another = attempt(count_patterns, X)
    if error or another:
        return
    assert len(arrangement) == count <= pattern_bound(len(X), min(X.shape))
    assert len(np.unique(arrangement.packed, axis=0)) == len(arrangement)
    rows, _ = exact.whole(X)
    sizes = abs(rows).sum(axis=1)
    for pattern, witness in zip(arrangement.patterns[:20], arrangement.witnesses[:20], strict=True):
        u, bits = exact.whole(witness)
        heights = rows @ u
        # a row within 1e-12 of parallel to another has that one's side
        unsure = abs(heights) * 10**11 <= sizes << bits
        assert (unsure | (pattern == (heights > 0))).all()


def judge_in_rational_arithmetic(problem: Problem) -> None:
    """The bounds found are proven again in rational numbers, and hold the exact objectives known."""
    X, y, C = problem.X, problem.y, problem.C
    solution, error = attempt(solve_max_margin, X, y, C=C, time_limit=2.0)
    if error or solution.lower_bound == 0:
        return
    found, refused = attempt(solution.certificate.check, X, y, arithmetic="exact")
    if refused:  # it says what it could prove; or h(lam) is rounding, which comes out differently
        assert "exact arithmetic proves" in str(refused) or "dual_feasibility is" in str(refused)
        return
    assert found.exact
    assert 0 <= found.lower <= found.upper
    assert found.lower >= Fraction(solution.lower_bound) * (1 - Fraction(1, 10**8))
    for network in (solution.network, TwoLayerReLU(problem.W1, problem.w2)):
        truth = exact.objective(X, y, network.W1, network.w2, C)
        if truth is not None:
            assert found.lower <= truth


def targets_of(loss: Loss, problem: Problem) -> np.ndarray:
    """What the loss takes: labels, numbers of any sign, or counts."""
    if loss.takes_labels:
        return problem.y
    numbers = 8 * near_one(problem.lam)
    return np.rint(np.abs(numbers)) if loss.name == "poisson" else numbers


def judge_losses(problem: Problem, *losses: Loss) -> None:
    """Weak duality for losses, by default one smooth and one of pieces; claims are proven exactly."""
    X, beta = problem.X, min(problem.C, 1e150)
    given_network = TwoLayerReLU(problem.W1, problem.w2)
    tame = TwoLayerReLU(*map(near_one, (problem.W1, problem.w2)))
    weights = np.linspace(0.5, 2.0, len(X))
    for loss in losses or LOSSES[1:3]:
        y, options = targets_of(loss, problem), {"loss": loss, "beta": beta, "sample_weight": weights}

        def value(n: int, f: Fraction, y=y, loss=loss) -> Fraction:
            return Fraction(weights[n]) * exact_value(loss.name, loss.parameters, Fraction(y[n]), f)

        truth = exact.regularized(X, tame.W1, tame.w2, beta, value)
        for network, bias in itertools.product((given_network, tame), (False, True, "penalised")):
            certificate, error = attempt(certify, X, y, network, improve=False, output_bias=bias, **options)
            if error:
                assert "rows of size between" in str(error)
                continue
            assert certificate.lower_bound <= min(certificate.objective, truth)
            found, refused = attempt(certificate.check, X, y)
            assert found is True, refused
            if np.isfinite(certificate.objective):
                found, refused = attempt(certificate.check, X, y, arithmetic="exact")
                if refused:
                    assert "there is none for this network" in str(refused)
                else:
                    assert found.lower <= min(truth, found.upper)


def near_one(array: np.ndarray) -> np.ndarray:
    return np.ldexp(array, -np.frexp(np.abs(array).max(initial=0.0))[1])


JUDGES = [
    judge_oracle,
    judge_certificate,
    judge_solver,
    judge_patterns,
    judge_in_rational_arithmetic,
    judge_losses,
]


@settings(max_examples=40 * FACTOR, derandomize=FACTOR == 1)
@given(problems())
def test_the_oracle(problem):
    kept(judge_oracle)(problem)


@settings(max_examples=40 * FACTOR, derandomize=FACTOR == 1)
@given(problems())
def test_certificates(problem):
    kept(judge_certificate)(problem)


@settings(max_examples=12 * FACTOR, derandomize=FACTOR == 1)
@given(problems(most_rows=6))
def test_the_solver(problem):
    kept(judge_solver)(problem)


@settings(max_examples=20 * FACTOR, derandomize=FACTOR == 1)
@given(problems(most_rows=5, most_columns=3))
def test_bounds_are_theorems(problem):
    kept(judge_in_rational_arithmetic)(problem)


@settings(max_examples=12 * FACTOR, derandomize=FACTOR == 1)
@given(problems(most_rows=5), st.sampled_from(LOSSES))
def test_losses(problem, loss):
    kept(judge_losses)(problem, loss)


@settings(max_examples=30 * FACTOR, derandomize=FACTOR == 1)
@given(problems(most_rows=8, most_columns=4))
def test_patterns(problem):
    kept(judge_patterns)(problem)


@pytest.mark.parametrize("path", corpus(), ids=lambda path: path.stem)
def test_the_corpus(path):
    """What failed once: a file of the folder `corpus` is a problem, judged by all."""
    problem = Problem.of(json.loads(path.read_text()))
    for judge in JUDGES:
        judge(problem)


def test_a_problem_comes_back_from_its_file_bit_for_bit():
    assert CORPUS.is_dir()
    problem = Problem(
        X=np.array([[0.1, -0.0], [5e-324, 1e300]]),
        y=np.array([1.0, -1.0]),
        lam=np.array([1 / 3, 0.0]),
        W1=np.zeros((0, 2)),
        w2=np.zeros(0),
        C=np.inf,
    )
    again = Problem.of(json.loads(json.dumps(problem.document())))
    assert again.W1.shape == (0, 2)
    assert again.X.tobytes() == problem.X.tobytes()
    assert np.inf == again.C


def wrapped(X: np.ndarray) -> dict[str, object]:
    """The same numbers in other containers; those of small integers in other types."""
    strided = np.empty((2 * len(X), 2 * X.shape[1]))
    strided[::2, ::2] = X
    locked = X.copy()
    locked.setflags(write=False)
    forms = {
        "list": X.tolist(),
        "fortran": np.asfortranarray(X),
        "strided": strided[::2, ::2],
        "reversed": X[::-1].copy()[::-1],
        "read-only": locked,
        "object": X.astype(object),
        "big-endian": X.astype(">f8"),
        "masked without a mask": np.ma.masked_array(X),
        "matrix of ints": X.astype(np.int8),
        "float16": X.astype(np.float16),
    }
    try:
        import pandas as pd

        forms["pandas"] = pd.DataFrame(X)
    except ImportError:
        pass
    try:
        import polars as pl

        forms["polars"] = pl.DataFrame(X)
    except ImportError:
        pass
    return forms


@settings(max_examples=3 * FACTOR, derandomize=FACTOR == 1)
@given(st.integers(0, 2**32 - 1))
def test_the_container_does_not_matter(seed):
    """The same bits of every answer, and arguments left as they were."""
    rng = np.random.default_rng(seed)
    X, y = rng.integers(-3, 4, size=(6, 3)).astype(float), np.array([1, -1, 1, 1, -1, 1.0])
    kinds = [y.astype(int), y.tolist(), y.astype(object), y.astype(np.int8), y > 0, y.astype(str)]
    base = solve_max_margin(X, y, C=1.0)
    for name, data in wrapped(X).items():
        labels = kinds[int(rng.integers(len(kinds)))]
        solution = solve_max_margin(data, labels, C=1.0)
        assert solution.objective == base.objective, name
        assert solution.lam.tobytes() == base.lam.tobytes(), name
        if isinstance(data, np.ndarray):
            np.testing.assert_array_equal(np.asarray(data, dtype=float), X)
