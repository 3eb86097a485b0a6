"""The verdict on any network: own bounds, the solver's help, and the sentence."""

import math
import re

import numpy as np
import pytest

import convexrelu as cr
from convexrelu import certificates
from convexrelu.certificates.words import in_words
from convexrelu.networks import GatedReLU

X = np.array([[1.65, -0.47], [-0.47, 1.35]])
Y = np.array([1.0, -1.0])
P = 1.2824323  # WP appendix F.1
LONG = 120.0  # seconds, on a busy machine
POOR = cr.TwoLayerReLU([[1.0, 0.2], [0.0, 1.0]], [1.0, -1.0])


def moons(n=40):
    points, y = cr.datasets.moons(n, noise=0.2, rng=3)
    return cr.datasets.with_bias(points[:, :2]), y


def random_network(d, m=6, seed=0):
    rng = np.random.default_rng(seed)
    return cr.TwoLayerReLU(rng.normal(size=(m, d)), rng.normal(size=m))


def test_the_solver_brackets_the_distance():
    """WP appendix F.1: P* is known, so the excess is; the sentence holds it, and everything is checked."""
    certificate = cr.certify(X, Y, POOR)
    assert P * (1 - 1e-6) <= certificate.lower_bound <= P <= certificate.better_objective * (1 + 1e-6)
    assert certificate.not_optimal
    assert certificate.check(X, Y)
    assert certificate.better.rescaled_to_margin(X, Y).group_norm() <= P * (1 + 1e-6)
    low, high = map(float, re.findall(r"([\d.]+) %", certificate.verdict))
    excess = 100 * (certificate.objective / P - 1)
    assert low <= excess * (1 + 1e-6)
    assert excess * (1 - 1e-6) <= high <= low * 1.02
    assert "2 neurons that is globally optimal" in certificate.verdict


def test_it_is_saved_and_checked_with_the_better_network(tmp_path):
    certificate = cr.certify(X, Y, POOR)
    certificate.save(tmp_path / "c.json")
    again = cr.Certificate.load(tmp_path / "c.json")
    assert again.check(X, Y)
    assert again.not_optimal
    assert again.better.n_neurons == 2


def test_without_help_it_is_the_network_alone():
    """The certificate of the layer below, which knows no solver."""
    own, plain = cr.certify(X, Y, POOR, improve=False), certificates.certify(X, Y, POOR)
    assert own.to_document() == plain.to_document()
    # whoever gives multipliers or a better network asks about these
    lam = cr.solve_max_margin(X, Y).lam / 2
    np.testing.assert_array_equal(cr.certify(X, Y, POOR, lam).lam, lam)
    assert cr.certify(X, Y, POOR, better=POOR).better is POOR
    assert cr.certify(X, Y, POOR, lam, improve=True).better.n_neurons == 2


def test_an_optimal_network_needs_no_help(monkeypatch):
    best = cr.solve_max_margin(X, Y).network
    monkeypatch.setattr("convexrelu.judge.solve_max_margin", None)
    assert cr.certify(X, Y, best).globally_optimal


@pytest.mark.parametrize("C", [0.5, np.inf])
def test_soft_and_hard_margins(C):
    points, y = moons()
    best = cr.solve_max_margin(points, y, C=C)
    certificate = cr.certify(points, y, random_network(3), C=C, time_limit=LONG)
    assert best.lower_bound * (1 - 1e-5) <= certificate.lower_bound <= best.objective * (1 + 1e-9)
    assert certificate.better_objective <= best.objective * (1 + 1e-5)
    assert certificate.check(points, y)
    assert np.isinf(certificate.objective) == np.isinf(C)


def test_a_network_that_does_not_fit_is_told_so():
    points, y = moons()
    sentence = cr.certify(points, y, random_network(3)).verdict
    assert sentence.startswith("does not fit the data (margin -")
    assert "here is one with" in sentence
    assert "inf" not in sentence


def test_several_classes_are_judged_by_their_sums():
    points = np.vstack([np.eye(3), 2.0 * np.eye(3) + 0.1])
    y = np.tile([0, 1, 2], 2)
    networks = [random_network(3, seed=k) for k in range(3)]
    certificate = cr.certify(points, y, networks, C=1.0, time_limit=LONG)
    best = cr.solve_max_margin(points, y, C=1.0)
    np.testing.assert_allclose(certificate.better_objective, best.objective, rtol=1e-5)
    np.testing.assert_allclose(certificate.lower_bound, best.lower_bound, rtol=1e-5)
    assert [part.n_features for part in certificate.better] == [3, 3, 3]
    assert "above the optimum; here is one with" in certificate.verdict
    assert certificate.check(points, y)


def test_data_that_no_network_fits_gets_the_proof_of_that():
    points, y = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), [1, -1, 1]
    assert cr.certify(points, y, random_network(2)).proven().verdict.startswith("no network without biases")


def test_rows_beyond_the_solvers_range_leave_the_networks_own_bounds(caplog):
    """1e160: the oracle takes them, the solver does not."""
    points = 1e160 * np.eye(2)
    certificate = cr.certify(points, Y, cr.TwoLayerReLU(np.eye(2), [1.0, -3.0]))
    assert 0 < certificate.lower_bound <= 2e-160 * (1 + 1e-9) <= certificate.objective * (1 + 2e-9)
    assert "could not help" in caplog.text


@pytest.mark.parametrize(
    ("loss", "y", "options"),
    [
        ("squared", [1.0, -0.5, 2.0, 0.3, 0.1], {}),
        ("logistic", [1, -1, 1, -1, -1], {"sample_weight": [1.0, 2.0, 0.5, 1.0, 1.0]}),
        ("softmax", [0, 1, 2, 1, 0], {}),
        ("squared", [1.0, -0.5, 2.0, 0.3, 0.1], {"gates": np.eye(3), "output_bias": True}),
    ],
)
def test_any_loss(loss, y, options):
    points = np.random.default_rng(5).normal(size=(5, 3))
    network = random_network(3)
    if loss == "softmax":
        network = cr.ReLUNetwork(network.W1, np.random.default_rng(1).normal(size=(3, 6)))
    if "gates" in options:
        network = GatedReLU(np.eye(3), np.eye(3))
    seconds = 5.0 if loss == "softmax" else LONG  # whose proof takes long
    certificate = cr.certify(points, y, network, loss=loss, beta=0.1, time_limit=seconds, **options)
    best = cr.solve(points, y, loss=loss, beta=0.1, tol=1e-3, time_limit=seconds, **options)
    assert certificate.not_optimal
    np.testing.assert_allclose(certificate.better_objective, best.objective, rtol=1e-3)
    assert certificate.lower_bound <= best.objective * (1 + 1e-9)
    own = cr.certify(points, y, network, loss=loss, beta=0.1, improve=False, **options)
    if loss != "softmax":  # 5 s may prove less than no limit does
        np.testing.assert_allclose(certificate.lower_bound, best.objective, rtol=1e-3)
        assert own.lower_bound <= certificate.lower_bound
    assert certificate.check(points, y)
    assert "here is one with" in certificate.verdict
    assert own.lower_bound <= best.objective * (1 + 1e-9)
    np.testing.assert_allclose(own.objective, certificate.objective)
    assert own.better is None


def test_arguments_that_do_not_go_together():
    with pytest.raises(cr.InvalidInputError, match="neither C nor better"):
        cr.certify(X, Y, POOR, loss="squared", beta=1.0, C=1.0)
    with pytest.raises(cr.InvalidInputError, match="go with a loss"):
        cr.certify(X, Y, POOR, beta=1.0)
    with pytest.raises(cr.InvalidInputError, match="time_limit"):
        cr.certify(X, Y, POOR, time_limit=-1.0)


@pytest.mark.parametrize(
    ("numbers", "sentence"),
    [
        ((2.0, 1.5, math.inf), "above the optimum by 33.4 % at most; whether it is optimal is not decided"),
        ((143.6, 1.0, math.inf), "at most 144 times the optimum; whether it is optimal is not decided"),
        ((1.0, 0.0, math.inf), "how far above the optimum is not known: the lower bound is zero"),
        ((math.inf, 2.0, math.inf), "does not fit; every network that does has objective >= 2"),
        (
            (1.87666, 1.0, 1.0),
            "not globally optimal: between 87.6 % and 87.7 % above the optimum; here is one with 3 neurons "
            "that is globally optimal (objective 1)",
        ),
        (
            (1.2, 0.0, 1.0),
            "not globally optimal: at least 20 % above the optimum; here is one with 3 neurons, how "
            "far above the optimum is not known (objective 1)",
        ),
        (
            (15000.0, 1.0, 1.5),
            "not globally optimal: between 1e+04 and 1.5e+04 times the optimum; here is one with 3 neurons, "
            "above the optimum by 50 % at most (objective 1.5)",
        ),
        ((1.0, 1.0, math.inf), "above the optimum by 0 % at most; whether it is optimal is not decided"),
        (
            (math.inf, 1.0, 1.0),
            "does not fit; here is one with 3 neurons that is globally optimal (objective 1)",
        ),
    ],
)
def test_sentences(numbers, sentence):
    assert in_words(*numbers, better_neurons=3, unfitted="does not fit") == sentence


def test_rounding_keeps_the_sentence_true():
    rng = np.random.default_rng(0)
    for _ in range(200):
        lower = 10.0 ** rng.uniform(-3, 3)
        better = lower * (1 + 10.0 ** rng.uniform(-5, 1))
        objective = better * (1 + 10.0 ** rng.uniform(-5, 0.5))
        sentence = in_words(objective, lower, better, better_neurons=1)
        low, high = map(float, re.search(r"between ([\d.e+-]+)(?: %)? and ([\d.e+-]+)", sentence).groups())
        if "times the optimum; here" in sentence:
            low, high = 100 * (low - 1), 100 * (high - 1)
        assert low <= 100 * (objective / better - 1) * (1 + 1e-10) + 1e-10
        assert high >= 100 * (objective / lower - 1) * (1 - 1e-10) - 1e-10


def test_the_outputs_of_one_network_are_judged_as_its_classes():
    """What `solution.network` is for K classes; of two outputs and two labels, their difference."""
    points, codes = np.eye(3), ["a", "b", "c"]
    solution = cr.solve_max_margin(points, codes)
    certificate = cr.certify(points, codes, solution.network)
    assert certificate.globally_optimal
    assert certificate.objective == pytest.approx(3 * (1 + math.sqrt(2)))
    head = cr.TwoLayerReLU.from_weights(POOR.W1, [0.0, 0.0], [-POOR.w2 / 2, POOR.w2 / 2], [0.0, 0.0])
    Z = cr.datasets.with_bias(X)
    pair, single = (
        cr.certify(Z, Y, network, improve=False)
        for network in (head, cr.TwoLayerReLU.from_weights(POOR.W1, [0.0, 0.0], POOR.w2, 0.0))
    )
    assert pair.objective == pytest.approx(single.objective)
    with pytest.raises(cr.InvalidInputError, match="ReLUNetwork of 3 outputs"):
        cr.certify(
            np.c_[points, np.ones(3)],
            codes,
            cr.TwoLayerReLU.from_weights([[1, 0, 0]], [0], [[1], [2]], [0, 0]),
        )
