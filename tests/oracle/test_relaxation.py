from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tolerances import ROUNDING

from convexrelu import InvalidInputError
from convexrelu._box_least_norm import box_least_norm
from convexrelu.oracle import dual_norm
from convexrelu.oracle.relaxation import Leaf, Relaxation, relaxed_bound, relaxed_norm, roles

SIGNS = (1.0, -1.0)


def tree(rng, rows, depth):
    """Paths of a random binary tree over some of the rows."""
    if depth == 0 or not len(rows) or rng.random() < 0.3:
        return [[]]
    row = int(rng.choice(rows))
    rest = rows[rows != row]
    return [[(row, side), *path] for side in SIGNS for path in tree(rng, rest, depth - 1)]


def any_leaf(rng, lam, sign, path, size=1.0):
    """A leaf with arbitrary numbers of the right shapes: nothing about it is optimal, or even feasible."""
    rows = np.array([row for row, _ in path], dtype=np.int64)
    sides = np.array([side for _, side in path])
    part = roles(sign * lam, rows, sides)
    n_answers, p = len(part.answering) + len(part.fixed), len(part.free)
    return Leaf(
        sign=sign,
        rows=rows,
        sides=sides,
        T=size * rng.normal(size=(n_answers, p)),
        t0=size * rng.normal(size=n_answers),
        mu=10 ** rng.uniform(-6, 3, size=p + 1),
    )


def any_relaxation(rng, lam, depth=3, size=1.0):
    support = np.flatnonzero(lam)
    leaves = [any_leaf(rng, lam, s, path, size) for s in SIGNS for path in tree(rng, support, depth)]
    return Relaxation(leaves=tuple(leaves))


def root(rng, lam):
    return Relaxation(leaves=tuple(any_leaf(rng, lam, sign, []) for sign in SIGNS))


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1e-3, 0.1, 1.0, 1e3]),
    st.sampled_from(["generic", "duplicates", "antiparallel", "flat", "zero rows", "one class"]),
)
def test_whatever_the_numbers_are_the_bound_holds(seed, size, kind):
    """The exact dual norm of the oracle is never above the bound of arbitrary T, t0, mu on any tree."""
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(1, 9)), int(rng.integers(1, 4))
    X = rng.normal(size=(n, d)) * 10 ** rng.uniform(-3, 3, size=(n, 1))
    if kind == "duplicates":
        X[n // 2 :] = X[: n - n // 2]
    elif kind == "antiparallel":
        X[n // 2 :] = -2 * X[: n - n // 2]
    elif kind == "flat":
        X[:, -1] = 0.0
    elif kind == "zero rows":
        X[0] = 0.0
    lam = rng.normal(size=n) * (rng.random(n) < 0.8)
    if kind == "one class":
        lam = np.abs(lam)
    lam[~X.any(axis=1)] = 0.0
    relaxation = any_relaxation(rng, lam, size=size)
    exact = dual_norm(X, lam)
    assert relaxed_bound(X, lam, relaxation) >= exact.value
    norm = relaxed_norm(X, lam, relaxation)
    assert norm.value <= exact.upper_bound <= norm.upper_bound * (1 + 1e-9)
    assert norm.upper_bound <= dual_norm(X, lam, search=False).upper_bound


def test_by_hand():
    """One positive generator p, one negative q, T = t0 = 0: max(|p|, |q|), since nothing is answered."""
    X, lam = np.array([[3.0, 4.0], [0.0, 2.0]]), np.array([1.0, -1.0])
    leaves = tuple(
        Leaf(
            sign=sign,
            rows=np.zeros(0, dtype=np.int64),
            sides=np.zeros(0),
            T=np.zeros((1, 1)),
            t0=np.zeros(1),
            mu=np.ones(2),
        )
        for sign in SIGNS
    )
    assert relaxed_bound(X, lam, Relaxation(leaves=leaves)) == pytest.approx(5.0, rel=ROUNDING)
    # the best answer to s = 1 with slope T: min_t ||p - t q||, 0 <= t <= 1, is at t = 1
    answered = replace(leaves[0], T=np.ones((1, 1)))
    known = np.sqrt(9 + 4)
    assert relaxed_bound(X, lam, Relaxation(leaves=(answered, leaves[1]))) == pytest.approx(
        known, rel=ROUNDING
    )
    # a slope beyond the box is moved into it
    outside = replace(leaves[0], T=np.full((1, 1), 7.0), t0=np.full(1, 3.0))
    assert relaxed_bound(X, lam, Relaxation(leaves=(outside, leaves[1]))) >= known


def test_with_every_side_fixed_the_bound_is_the_maximum():
    """On a full tree, with the best answers of the box least-norm kernel, nothing is relaxed any more."""
    rng = np.random.default_rng(0)
    X, lam = rng.normal(size=(5, 3)), np.array([1.0, -0.5, 2.0, -1.0, 0.7])
    leaves = []
    for sign, sides in itertools.product(SIGNS, itertools.product(SIGNS, repeat=5)):
        rows, weights = np.arange(5), np.array(sides)
        generators = np.abs(lam)[:, None] * X
        target = (sign * np.sign(lam) * (weights > 0)) @ generators
        t0 = box_least_norm(-weights[:, None] * generators, target, np.full(5, np.inf)).t
        leaves.append(Leaf(sign=sign, rows=rows, sides=weights, T=np.zeros((5, 0)), t0=t0, mu=np.ones(1)))
    bound = relaxed_bound(X, lam, Relaxation(leaves=tuple(leaves)))
    assert bound == pytest.approx(dual_norm(X, lam).value, rel=1e-9)


@given(st.integers(0, 2**32 - 1), st.floats(-200, 200))
def test_homogeneous_and_invariant_under_rotations(seed, power):
    rng = np.random.default_rng(seed)
    X, lam = rng.normal(size=(6, 3)), rng.normal(size=6)
    relaxation = any_relaxation(rng, lam)
    bound = relaxed_bound(X, lam, relaxation)
    rotation = np.linalg.qr(rng.normal(size=(5, 5)))[0][:3]
    scale = 10.0**power
    assert relaxed_bound(scale * X, lam, relaxation) == pytest.approx(scale * bound, rel=1e-11)
    assert relaxed_bound(X, scale * lam, relaxation) == pytest.approx(scale * bound, rel=1e-11)
    assert relaxed_bound(X @ rotation, lam, relaxation) == pytest.approx(bound, rel=1e-11)
    scaled = Relaxation(leaves=tuple(replace(leaf, mu=3.0 * leaf.mu) for leaf in relaxation.leaves))
    assert relaxed_bound(X, lam, scaled) == pytest.approx(bound, rel=1e-11)


def test_no_leaves_prove_what_the_structure_proves():
    rng = np.random.default_rng(0)
    X, lam = rng.normal(size=(6, 3)), rng.normal(size=6)
    assert relaxed_bound(X, lam, Relaxation()) == np.inf
    known = dual_norm(X, lam, search=False)
    assert relaxed_norm(X, lam, Relaxation()).upper_bound == known.upper_bound


def test_trees_that_leave_neurons_out_are_refused():
    rng = np.random.default_rng(0)
    X, lam = rng.normal(size=(4, 2)), np.array([1.0, -1.0, 1.0, -1.0])
    whole = root(rng, lam)
    split = tuple(any_leaf(rng, lam, 1.0, [(0, side)]) for side in SIGNS)
    assert np.isfinite(relaxed_bound(X, lam, Relaxation(leaves=(*split, whole.leaves[1]))))
    for leaves in (
        whole.leaves[:1],  # one sign only
        (split[0], whole.leaves[1]),  # one side only
        (split[0], split[0], whole.leaves[1]),  # the same side twice
        (*split, whole.leaves[0], whole.leaves[1]),  # more than a tree
        (any_leaf(rng, lam, 1.0, [(0, 1.0)]), any_leaf(rng, lam, 1.0, [(1, -1.0)]), whole.leaves[1]),
    ):
        with pytest.raises(InvalidInputError, match="tree"):
            relaxed_bound(X, lam, Relaxation(leaves=leaves))


def test_numbers_that_prove_nothing_are_refused():
    rng = np.random.default_rng(0)
    X, lam = rng.normal(size=(4, 2)), np.array([1.0, -1.0, 1.0, 0.0])
    good, other = root(rng, lam).leaves
    for leaf, words in (
        (replace(good, mu=-good.mu), "positive"),
        (replace(good, mu=0.0 * good.mu), "positive"),
        (replace(good, T=np.full_like(good.T, np.nan)), "finite"),
        (replace(good, t0=np.full_like(good.t0, np.inf)), "finite"),
        (replace(good, T=good.T[:, :1]), "free"),
        (replace(good, mu=good.mu[:1]), "free"),
        (replace(good, sign=0.5), "sign"),
    ):
        with pytest.raises(InvalidInputError, match=words):
            relaxed_bound(X, lam, Relaxation(leaves=(leaf, other)))
    for row in (3, 9):  # lam is zero there; no such row
        pair = tuple(any_leaf(rng, lam, 1.0, [(0, side)]) for side in SIGNS)
        moved = tuple(replace(leaf, rows=np.array([row])) for leaf in pair)
        with pytest.raises(InvalidInputError, match="not zero"):
            relaxed_bound(X, lam, Relaxation(leaves=(*moved, other)))
    pair = tuple(any_leaf(rng, lam, 1.0, [(0, side)]) for side in SIGNS)
    odd = tuple(replace(leaf, sides=0.5 * leaf.sides) for leaf in pair)
    with pytest.raises(InvalidInputError, match=r"tree|sides"):
        relaxed_bound(X, lam, Relaxation(leaves=(*odd, other)))


@pytest.mark.parametrize("huge", [1e160, 1e300])
def test_absurd_numbers_bound_by_infinity_at_most(huge):
    rng = np.random.default_rng(0)
    X, lam = rng.normal(size=(4, 2)), np.array([1.0, -1.0, 1.0, -1.0])
    good, other = root(rng, lam).leaves
    for leaf in (
        replace(good, T=huge * good.T, t0=huge * good.t0),
        replace(good, mu=good.mu * np.r_[huge, np.ones(len(good.mu) - 1) / huge]),
    ):
        bound = relaxed_bound(X, lam, Relaxation(leaves=(leaf, other)))
        assert bound >= dual_norm(X, lam).value


def test_sides_other_than_plus_and_minus_one_are_refused():
    """Both sides of a row are there, and a third leaf that lies on neither."""
    X, lam = np.eye(2), np.ones(2)
    leaves = [
        Leaf(
            sign=sign,
            rows=np.array([0]),
            sides=np.array([side]),
            T=np.zeros((1, 1)),
            t0=np.zeros(1),
            mu=np.ones(2),
        )
        for sign in (1.0, -1.0)
        for side in (1.0, -1.0, 0.5)
    ]
    with pytest.raises(InvalidInputError, match=r"sides must be \+1 or -1"):
        relaxed_norm(X, lam, Relaxation(leaves=tuple(leaves)))
