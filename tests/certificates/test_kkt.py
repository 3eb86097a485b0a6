from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convexrelu import InvalidInputError, TwoLayerReLU, check_kkt, solve_max_margin
from convexrelu.certificates import certify

# An objective certified to a gap g is stationary to about the root of g: the objective is flat at an optimum.
STATIONARY = 1e-4
F1, Y1 = np.array([[1.65, -0.47], [-0.47, 1.35]]), np.array([1.0, -1.0])


def random_problem(seed, n=6, d=2):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.choice([1.0, -1.0], n)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("d", [2, 3])
def test_optima_satisfy_both_sets_of_conditions(seed, d):
    """KKT of WP (13) with Clarke multipliers, and WP (46) of the convex program with the constructed z."""
    X, y = random_problem(seed, d=d)
    solution = solve_max_margin(X, y, tol=1e-9)
    report = check_kkt(X, y, solution.network, solution.lam)
    assert report.globally_optimal
    assert report.stationarity <= STATIONARY
    assert report.imbalance <= 1e-9
    assert report.complementarity <= STATIONARY
    assert report.convex_stationarity <= STATIONARY
    assert report.convex_complementarity <= STATIONARY
    assert report.dual_feasibility <= 1 + 1e-9
    assert "Theorem 3 applies" in report.correspondence
    assert report.stationarity_b >= report.stationarity * (1 - 1e-9)  # 0 and 1 are among [0, 1]


def brute_force_stationarity(X, lam, w1, w2, grid):
    """The residual of docs/theory.md section 5 over masks with tied entries in `grid`, the others forced."""
    heights = X @ w1
    ties = np.flatnonzero(np.abs(heights) <= 1e-9)
    masks = np.tile((heights > 1e-9).astype(float), (len(grid) ** len(ties), 1))
    if len(ties):
        masks[:, ties] = np.stack(np.meshgrid(*[grid] * len(ties), indexing="ij"), axis=-1).reshape(
            -1, len(ties)
        )
    reached = w2 * (masks * lam) @ X
    return np.linalg.norm(w1 - reached, axis=1).min()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 2))
def test_residuals_are_the_smallest_over_all_masks(seed, ties):
    """||w1 - w2 X^T Dhat lam||: B-subdifferential by trying 0 and 1, Clarke by a grid of [0, 1]."""
    rng = np.random.default_rng(seed)
    w1 = rng.normal(size=2)
    w1 /= np.linalg.norm(w1)
    X = rng.normal(size=(5, 2))
    X[:ties] = np.outer(rng.choice([-2.0, 1.0], ties), [-w1[1], w1[0]])  # on the neuron's hyperplane
    X[ties] = w1  # something the neuron fits
    network = TwoLayerReLU([w1], [1.0])
    y = np.where(network(X) > 1e-9, 1.0, -1.0)
    y[:ties] = 1.0
    positive = TwoLayerReLU(
        np.vstack([w1, [-w1[1], w1[0]], [w1[1], -w1[0]], -w1]), np.r_[1, 1e-3, 1e-3, -1e-3]
    )
    if (y * positive(X)).min() <= 0:
        return  # the auxiliary neurons made the network miss a row: not a KKT candidate
    lam = y * rng.exponential(size=5)
    report = check_kkt(X, y, positive, lam)
    # at margin 1 and balanced; the residual of each neuron is taken relative to the largest |w2|
    scaled = positive.rescaled_to_margin(X, y).balanced()
    largest = np.abs(scaled.w2).max()
    b, clarke = (
        max(
            brute_force_stationarity(X, lam, w / np.linalg.norm(w), np.sign(v), grid) * abs(v) / largest
            for w, v in zip(scaled.W1, scaled.w2, strict=True)
        )
        for grid in ([0.0, 1.0], np.linspace(0, 1, 41))
    )
    assert report.stationarity_b == pytest.approx(b, rel=1e-6)
    slack = np.abs(lam) @ np.linalg.norm(X, axis=1) / 40
    assert clarke - slack <= report.stationarity <= clarke * (1 + 1e-9)


def test_global_optima_need_clarke_multipliers():
    """Neurons of generic optima lie on hyperplanes of the other class with strictly fractional masks."""
    fractional = 0
    for seed in range(12):
        X, y = random_problem(seed, n=7)
        solution = solve_max_margin(X, y, tol=1e-9)
        report = check_kkt(X, y, solution.network, solution.lam)
        assert report.globally_optimal
        assert report.stationarity <= STATIONARY
        if report.stationarity_b > 1e-2:
            fractional += 1
            units = solution.network.W1 / np.linalg.norm(solution.network.W1, axis=1)[:, None]
            heights = np.abs(units @ X.T) / np.linalg.norm(X, axis=1)
            tied = (heights < 1e-6) & (np.sign(solution.network.w2)[:, None] == -y)
            assert tied.any()
    assert fractional >= 3


def test_scaling_does_not_matter_and_imbalance_is_reported():
    solution = solve_max_margin(F1, Y1)
    network = solution.network
    report = check_kkt(F1, Y1, network.scaled_function(17.0), solution.lam)
    assert report.globally_optimal
    assert report.stationarity <= STATIONARY
    skewed = TwoLayerReLU(3 * network.W1, network.w2 / 3)
    report = check_kkt(F1, Y1, skewed, solution.lam)
    assert report.stationarity <= STATIONARY  # of the balanced network
    assert report.imbalance == pytest.approx(8 / 9, rel=1e-6)
    assert not report.globally_optimal  # its own objective is (9 + 1/9)/2 times as large
    assert report.objective == pytest.approx(solution.objective * (9 + 1 / 9) / 2, rel=1e-9)


def test_points_that_are_not_kkt_points():
    network = TwoLayerReLU.from_directions([[1.0, 0.0], [0.0, 1.0]], [1, -1])
    solution = solve_max_margin(F1, Y1)
    assert check_kkt(F1, Y1, network, solution.lam).stationarity > 0.1
    assert "Not a KKT point" in check_kkt(F1, Y1, network, solution.lam).correspondence
    # the optimum with a multiplier on a row that is not tight
    X, y = np.vstack([F1, 2 * F1[:1]]), np.r_[Y1, 1.0]
    report = check_kkt(X, y, solution.network, [0.0, solution.lam[1], solution.lam[0] / 2])
    assert report.stationarity <= STATIONARY
    assert report.complementarity > 0.1
    assert "Not a KKT point" in report.correspondence


def test_theorem_3_and_a_multiplier_it_does_not_cover():
    """X = [[1,-2],[1,0],[1,2]]: two KKT multipliers of one optimal point, h = 1 and h = 1.118."""
    X, y = np.array([[1.0, -2.0], [1.0, 0.0], [1.0, 2.0]]), np.ones(3)
    network = TwoLayerReLU([[1.0, 0.0]], [1.0])
    right = check_kkt(X, y, network, [0.0, 1.0, 0.0])
    assert right.stationarity <= 1e-12
    assert right.dual_feasibility == pytest.approx(1, rel=1e-9)
    assert "Theorem 3 applies" in right.correspondence
    wrong = check_kkt(X, y, network, [0.5, 0.0, 0.5])
    assert wrong.stationarity <= 1e-12
    assert wrong.complementarity <= 1e-12
    assert wrong.dual_feasibility == pytest.approx(np.sqrt(1.25), rel=1e-9)
    assert "Theorem 3 does not apply" in wrong.correspondence
    assert "better network" in wrong.correspondence  # and it claims nothing about optimality


def test_a_kkt_point_that_is_not_global():
    """On X = [[1,0,0],[0,1,0],[0,-.8,.6]] one negative neuron for both rows ends at 1 + sqrt 10 > 3."""
    X, y = np.array([[1, 0, 0], [0, 1, 0], [0, -0.8, 0.6]]), np.array([1.0, -1.0, -1.0])
    shared = np.linalg.lstsq(X[1:], np.ones(2), rcond=None)[0]  # least norm with both margins 1
    network = TwoLayerReLU.from_directions([[1.0, 0.0, 0.0], shared], [1, -1])
    assert network.objective() == pytest.approx(1 + np.sqrt(10), rel=1e-12)
    gram = X[1:] @ X[1:].T
    mu = np.linalg.solve(gram, np.ones(2)) / np.linalg.norm(shared)
    report = check_kkt(X, y, network, np.r_[1.0, -mu])
    assert report.stationarity <= 1e-12
    assert report.complementarity <= 1e-12
    assert report.dual_feasibility > 1.5
    assert not report.globally_optimal
    assert "does not apply" in report.correspondence
    best = solve_max_margin(X, y)
    assert best.objective == pytest.approx(3, rel=1e-9)
    assert certify(X, y, network, better=best.network).not_optimal


def orthogonally_separable(rng, n, d):
    """Two classes around opposite corners: x_n^T x_m > 0 within a class, < 0 between them."""
    y = np.resize([1.0, -1.0], n)
    return y[:, None] * (np.abs(rng.normal(size=(n, d))) + 0.05), y


@pytest.mark.parametrize("seed", range(4))
def test_proposition_4(seed):
    """Orthogonally separable data: masks that cover both classes make every KKT multiplier dual feasible."""
    rng = np.random.default_rng(seed)
    X, y = orthogonally_separable(rng, 6, 3)
    solution = solve_max_margin(X, y, tol=1e-9)
    report = check_kkt(X, y, solution.network, solution.lam)
    assert report.structure == "orthogonally separable"
    assert report.covers_positive
    assert report.covers_negative
    assert report.dual_feasibility <= 1 + 1e-9
    assert "Proposition 4" in report.correspondence
    # and the value is 1/gamma_+ + 1/gamma_-: the neuron of a class is its own hard-margin direction
    assert np.linalg.norm(X[y > 0].T @ solution.lam[y > 0]) == pytest.approx(1, abs=1e-6)
    assert np.linalg.norm(X[y < 0].T @ solution.lam[y < 0]) == pytest.approx(1, abs=1e-6)


def test_proposition_5():
    """Spike-free data; and a neuron that leaves out a row of its class covers nothing."""
    X, y = np.eye(2), np.ones(2)
    solution = solve_max_margin(X, y, tol=1e-9)
    report = check_kkt(X, y, solution.network, solution.lam)
    assert report.structure == "spike-free"
    assert report.covers_positive
    assert not report.covers_negative  # there is no negative row to cover, and none is needed
    assert "Proposition 5" in report.correspondence
    apart = TwoLayerReLU.from_directions([[1.0, -0.1], [-0.1, 1.0]], [1, 1])
    assert not check_kkt(X, y, apart, solution.lam).covers_positive
    # WP F.2 is of both kinds: one class with positive products
    X = np.array([[1.65, 0.47], [0.47, 1.35]])
    solution = solve_max_margin(X, y, tol=1e-9)
    report = check_kkt(X, y, solution.network, solution.lam)
    assert report.structure == "orthogonally separable and spike-free"
    assert "Propositions 4 and 5 predict" in report.correspondence


def test_structure_is_named():
    lam = [0.1, -0.1]
    network = TwoLayerReLU([[1.0, 0.0], [0.0, 1.0]], [1.0, -1.0])
    assert check_kkt(np.eye(2), Y1, network, lam).structure == "orthogonally separable and spike-free"
    assert check_kkt(F1, Y1, network, lam).structure == "orthogonally separable"
    X, y = random_problem(0)
    solution = solve_max_margin(X, y)
    assert check_kkt(X, y, solution.network, solution.lam).structure == "general"


def test_what_cannot_be_judged_is_refused():
    network = TwoLayerReLU([[1.0, 0.0], [0.0, 1.0]], [1.0, -1.0])
    with pytest.raises(InvalidInputError, match="margin"):
        check_kkt(F1, -Y1, network, [-0.5, 0.5])
    with pytest.raises(InvalidInputError, match="wrong sign"):
        check_kkt(F1, Y1, network, [-0.5, -0.5])
    with pytest.raises(InvalidInputError, match="2 entries"):
        check_kkt(F1, Y1, network, [0.5])
    with pytest.raises(InvalidInputError):
        check_kkt(F1, [0, 1, 2], network, [0.5, -0.5])
    with pytest.raises(InvalidInputError, match="columns"):
        check_kkt(F1, Y1, TwoLayerReLU([[1.0]], [1.0]), [0.5, -0.5])


def test_many_ties_have_a_mask_that_is_rounded():
    """Beyond twelve tied rows not every mask is tried: what is printed is one's residual, and no smaller."""
    ties = np.arange(1.0, 15.0)
    X = np.vstack(
        [np.column_stack([np.zeros(14), ties, np.eye(14)]), [1.0] + 15 * [0.0], [0.0, -1.0] + 14 * [0.0]]
    )
    y = np.r_[np.ones(15), -1.0]
    network = TwoLayerReLU(
        np.vstack([np.r_[1.0, np.zeros(15)], np.r_[0.0, 1.0, np.zeros(14)], np.r_[0.0, -1.0, np.zeros(14)]]),
        [1.0, 1.0, -1.0],
    )
    lam = np.r_[np.full(14, 0.01), 1.0, -1.0]
    report = check_kkt(X, y, network, lam)
    few = check_kkt(X[2:], y[2:], network, lam[2:])  # twelve: all of them
    assert report.stationarity <= report.stationarity_b * (1 + 1e-12)
    assert report.stationarity_b < 2.0
    assert few.stationarity <= few.stationarity_b * (1 + 1e-12)


def test_the_structure_of_very_many_rows_is_not_examined():
    X = np.tile(np.eye(2), (10_001, 1))
    y = np.tile([1.0, -1.0], 10_001)
    network = TwoLayerReLU([[1.0, 0.0], [0.0, 1.0]], [1.0, -1.0])
    lam = np.zeros(len(X))
    lam[:2] = [1.0, -1.0]
    report = check_kkt(X, y, network, lam)
    assert report.structure == "not examined"
    assert report.stationarity <= 1e-9


def test_a_report_prints_what_it_found():
    solution = solve_max_margin(F1, Y1)
    text = str(check_kkt(F1, Y1, solution.network, solution.lam))
    assert "globally optimal" in text
    assert "not certified" not in text
    assert "orthogonally separable" in text
    assert "1.28243222" in text


def test_multipliers_beyond_the_floats_in_the_units_of_the_data_are_refused():
    """Rows of 1e150 and 1e-150: with the first of about one, the multiplier of the second is no float."""
    X, y = [[1e150, 0.0], [0.0, 1e-150]], [1, 1]
    network = TwoLayerReLU([[1e-75, 0.0], [0.0, 1e75]], [1e-75, 1e75])
    with pytest.raises(InvalidInputError, match="beyond the range of float64"):
        check_kkt(X, y, network, [0.0, 1e200])
