import numpy as np
import pytest
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import convexrelu as cr

SMALL = {"time_limit": None, "tol": 1e-3, "depth": 2, "max_iterations": 4, "n_starts": 3, "random_state": 0}
CHEAP = {"time_limit": None, "depth": 2, "max_iterations": 2, "n_starts": 2, "tol": 0.1, "random_state": 0}


@pytest.mark.filterwarnings("ignore")  # scikit-learn warns of checks it skips
@parametrize_with_checks(
    [
        cr.NeuronPursuitRegressor(**CHEAP),  # targets without structure: more neurons would learn the noise
        cr.NeuronPursuitClassifier(**CHEAP | {"max_iterations": 3}),  # three classes need three neurons
    ]
)
def test_scikit_learn_takes_them_for_estimators(estimator, check, unchecked):  # as scikit-learn does
    check(estimator)


def test_the_regressor_is_neuron_pursuit():
    """The same network as a direct call on the features with the column of ones."""
    rng = np.random.default_rng(3)
    X = rng.normal(size=(50, 3))
    y = np.maximum(X @ [1.0, -2.0, 0.5] + 0.3, 0.0)
    model = cr.NeuronPursuitRegressor(**SMALL).fit(X, y)
    features = cr.datasets.with_bias(X)
    np.testing.assert_array_equal(model.predict(X), model.network_(features))
    assert model.network_.widths[0] == 4
    assert model.n_iter_ == len(model.result_.history) <= 4
    assert model.score(X, y) > 0.999
    plain = cr.NeuronPursuitRegressor(**SMALL, fit_intercept=False).fit(X, y)
    assert plain.network_.widths[0] == 3


def test_the_same_seed_gives_the_same_network():
    X = np.random.default_rng(0).normal(size=(40, 3))
    y = np.sin(X[:, 0])
    first, second = (cr.NeuronPursuitRegressor(**CHEAP).fit(X, y).predict(X) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_the_classifier_keeps_the_labels_kind_and_learns_three_classes():
    """NP Remark 3: one output for each class, one against the rest."""
    X, y = cr.datasets.load("wine", pca=4)
    names = np.array(["barolo", "grignolino", "barbera"])[y.astype(int)]
    model = cr.NeuronPursuitClassifier(**SMALL | {"tol": 0.3}).fit(X, names)
    assert model.network_.widths[-1] == 3
    assert set(model.predict(X)) <= set(names)
    assert model.score(X, names) > 0.95


def test_one_class_is_refused():
    with pytest.raises(cr.InvalidInputError, match="at least two classes"):
        cr.NeuronPursuitClassifier().fit([[1.0], [2.0]], ["a", "a"])


def test_it_runs_in_a_pipeline():
    X, y = cr.datasets.load("iris-setosa-versicolor", standardize=False, bias=False)
    model = make_pipeline(StandardScaler(), cr.NeuronPursuitClassifier(**SMALL))
    assert cross_val_score(model, X, y, cv=3).min() > 0.9
