import numpy as np
import pytest
from scipy import stats

from convexrelu._statistics import wilson_interval
from convexrelu.errors import InvalidInputError
from tests.tolerances import ROUNDING


@pytest.mark.parametrize(("successes", "trials"), [(0, 7), (3, 7), (7, 7), (1, 1), (512, 1000)])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_the_interval_is_scipys(successes, trials, confidence):
    other = stats.binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    np.testing.assert_allclose(
        wilson_interval(successes, trials, confidence), [other.low, other.high], atol=ROUNDING
    )


def test_the_ends_solve_the_defining_quadratic():
    k, n, z = np.arange(1, 20), 20, stats.norm.ppf(0.975)
    ends = wilson_interval(k, n)
    assert ends.shape == (19, 2)
    share = (k / n)[:, None]
    np.testing.assert_allclose((share - ends) ** 2, z**2 * ends * (1 - ends) / n, atol=ROUNDING)
    assert ((ends[:, 0] < k / n) & (k / n < ends[:, 1])).all()


def test_the_interval_holds_the_share_about_as_often_as_it_says():
    # the exact coverage of the binomial distribution, not a simulation; Wilson's never strays far at n = 50
    n, shares = 50, np.linspace(0.1, 0.9, 41)
    ends = wilson_interval(np.arange(n + 1), n)
    inside = (ends[:, 0] <= shares[:, None]) & (shares[:, None] <= ends[:, 1])
    coverage = (inside * stats.binom.pmf(np.arange(n + 1), n, shares[:, None])).sum(axis=1)
    assert coverage.min() > 0.91
    assert 0.94 < coverage.mean() < 0.96


@pytest.mark.parametrize(
    "arguments",
    [(1, 0), (3, 2), (-1, 2), ([0.5], 2), (1, 2, 0.0), (1, 2, 1.0), (1, 2, np.nan), ([1, 2], [1, 2, 3])],
)
def test_bad_input(arguments):
    with pytest.raises(InvalidInputError):
        wilson_interval(*arguments)
