"""The certified estimators: scikit-learn's checks, the solvers behind them, and what weights mean."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import convexrelu as cr
from convexrelu.estimator import PathScores, certified
from convexrelu.estimator.prices import best_constant, largest_price
from convexrelu.estimator.rows import WeightedRows

CLASSIFIERS = [cr.MaxMarginReLUClassifier, cr.ReLUClassifier]


@pytest.mark.filterwarnings("ignore")  # scikit-learn warns of checks it skips
@parametrize_with_checks(
    [
        cr.MaxMarginReLUClassifier(time_limit=30.0),
        cr.ReLUClassifier(time_limit=30.0),
        cr.ReLURegressor(time_limit=30.0),
    ]
)
def test_scikit_learn_takes_them_for_estimators(estimator, check, monkeypatch):
    # the work of 2 s: many checks want equal fits, and on a busy machine a limit of 2 s may end them before
    monkeypatch.setattr(certified, "WORK_SHARE", certified.WORK_SHARE * 2.0 / 30.0)
    check(estimator)


def iris(standardize=True):
    X, y = load_iris(return_X_y=True)
    return (StandardScaler().fit_transform(X) if standardize else X), y


def two_clouds(n=40, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 2))
    return X, np.where(np.hypot(*X.T) + 0.3 * rng.normal(size=n) > 1.1, "far", "near")


def test_the_classifier_is_the_soft_margin():
    """Rows without equals and weights: the very problem of solve_max_margin, up to the order of the rows."""
    X, y = two_clouds()
    model = cr.MaxMarginReLUClassifier(C=0.7, tol=1e-6).fit(X, y)
    direct = cr.solve_max_margin(cr.datasets.with_bias(X), y, C=0.7)
    assert direct.lower_bound * (1 - 1e-9) <= model.objective_ <= direct.objective * (1 + 2e-6)
    assert model.lower_bound_ <= direct.objective
    assert list(model.classes_) == ["far", "near"]
    values = model.network_(cr.datasets.with_bias(X))
    np.testing.assert_allclose(model.decision_function(X), values)
    np.testing.assert_array_equal(model.predict(X), np.where(values > 0, "near", "far"))
    assert model.n_neurons_ == model.network_.n_neurons
    assert model.gap_ <= 1e-6
    assert model.status_ == "optimal"
    assert model.check_certificate(X, y)
    with pytest.raises(cr.CertificateError):
        model.check_certificate(X[::-1], y)


def test_multipliers_are_those_of_the_samples_given():
    """Weak duality with lam_ in the order of the samples: y^T lam_ / h(lam_) is the lower bound."""
    X, y = two_clouds(30)
    X, y = np.vstack([X, X[:5]]), np.r_[y, y[:5]]  # some twice
    model = cr.MaxMarginReLUClassifier(C=0.7, tol=1e-6).fit(X, y)
    signs = np.where(y == "near", 1.0, -1.0)
    assert (signs * model.lam_ >= 0).all()
    assert (signs * model.lam_ <= 0.7 * (1 + 1e-9)).all()
    np.testing.assert_allclose(model.lam_[30:], model.lam_[:5])
    np.testing.assert_allclose(signs @ model.lam_, model.lower_bound_, rtol=1e-6)


@pytest.mark.parametrize("model", [cr.MaxMarginReLUClassifier(C=0.5), cr.ReLUClassifier(alpha=0.1)])
def test_weights_are_repetitions_and_their_order_says_nothing(model):
    X, y = two_clouds(25)
    weights = np.random.default_rng(1).integers(0, 4, size=len(X))
    order = np.random.default_rng(2).permutation(len(X))
    weighted = clone(model).fit(X[order], y[order], sample_weight=weights[order])
    repeated = clone(model).fit(np.repeat(X, weights, axis=0), np.repeat(y, weights))
    np.testing.assert_array_equal(weighted.decision_function(X), repeated.decision_function(X))
    assert weighted.objective_ == repeated.objective_
    assert not weighted.lam_[weights[order] == 0].any()
    assert weighted.check_certificate(X, y, sample_weight=weights)


def test_weights_of_any_kind_are_the_hinge_loss():
    """Objective and bound of the weighted soft margin, recomputed from the network and lam_."""
    X, y = two_clouds(30)
    weights = np.random.default_rng(3).uniform(0.5, 2.0, size=len(X))
    model = cr.MaxMarginReLUClassifier(C=0.7, tol=1e-5).fit(X, y, sample_weight=weights)
    assert isinstance(model.certificate_, cr.RegularizedCertificate)
    signs = np.where(y == "near", 1.0, -1.0)
    slack = np.maximum(1 - signs * model.decision_function(X), 0.0)
    np.testing.assert_allclose(
        model.objective_, model.network_.group_norm() + 0.7 * weights @ slack, rtol=1e-9
    )
    np.testing.assert_allclose(signs @ model.lam_, model.lower_bound_, rtol=1e-9)
    assert (signs * model.lam_ <= 0.7 * weights * (1 + 1e-9)).all()
    norm = max(cr.maximize_correlation(cr.datasets.with_bias(X), sign * model.lam_).value for sign in (1, -1))
    assert norm <= 1 + 1e-9
    assert model.check_certificate(X, y, sample_weight=weights)


def test_balanced_classes_count_the_same():
    """Each class has the same total weight, by scikit-learn's formula."""
    X, y = two_clouds(40)
    few = np.r_[np.flatnonzero(y == "far"), np.flatnonzero(y == "near")[:5]]
    balanced = cr.MaxMarginReLUClassifier(C=0.5, class_weight="balanced").fit(X[few], y[few])
    totals = {label: len(few) / (2 * (y[few] == label).sum()) for label in ("far", "near")}
    by_hand = cr.MaxMarginReLUClassifier(C=0.5, class_weight=totals).fit(X[few], y[few])
    np.testing.assert_allclose(balanced.objective_, by_hand.objective_)


def test_a_hard_margin_ignores_weights_and_refuses_what_no_network_fits():
    X, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 1, 1, 0])
    model = cr.MaxMarginReLUClassifier(C=np.inf).fit(X, y, sample_weight=[1.0, 2.5, 1.0, 1.3])
    direct = cr.solve_max_margin(cr.datasets.with_bias(X), y)
    np.testing.assert_allclose(model.objective_, direct.objective, rtol=1e-2)
    assert model.score(X, y) == 1.0
    with pytest.raises(cr.InfeasibleError):
        cr.MaxMarginReLUClassifier(C=np.inf).fit(np.vstack([X, X[:1]]), np.r_[y, 1])


def test_scale_does_not_depend_on_the_unit():
    X, y = two_clouds()
    X = np.column_stack([X, np.ones(len(X))])
    first, second = (
        cr.MaxMarginReLUClassifier(fit_intercept=False, tol=1e-6).fit(unit * X, y) for unit in (1.0, 4.0)
    )
    np.testing.assert_allclose(first.C_, 4.0 * second.C_)
    np.testing.assert_allclose(first.objective_, 4.0 * second.objective_, rtol=2e-6)


def test_three_classes_make_three_networks_or_one_of_three_outputs():
    X, y = iris()
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    margin = cr.MaxMarginReLUClassifier().fit(X[::2], names[::2])
    assert len(margin.network_) == len(margin.certificate_) == 3
    assert margin.decision_function(X).shape == (150, 3)
    assert margin.lam_.shape == (3, 75)
    np.testing.assert_allclose(margin.objective_, sum(part.objective for part in margin.certificate_))
    logistic = cr.ReLUClassifier().fit(X[::2], names[::2])
    assert logistic.network_.W2.shape[0] == 3
    for model in (margin, logistic):
        assert model.score(X[1::2], names[1::2]) >= 0.9
        assert model.gap_ <= 1e-2
        assert model.check_certificate(X[::2], names[::2])


def test_probabilities_are_those_of_the_logistic_model():
    X, y = two_clouds()
    model = cr.ReLUClassifier(alpha=0.05).fit(X, y)
    odds = model.decision_function(X)
    np.testing.assert_allclose(model.predict_proba(X)[:, 1], 1 / (1 + np.exp(-odds)))
    np.testing.assert_allclose(model.predict_log_proba(X), np.log(model.predict_proba(X)))
    hinge = cr.ReLUClassifier("squared_hinge", alpha=0.05).fit(X, y)
    assert hinge.check_certificate(X, y)
    assert not hasattr(hinge, "predict_proba")
    with pytest.raises(cr.InvalidInputError, match="loss must be one of"):
        cr.ReLUClassifier("squared").fit(X, y)


def test_the_regressor_is_training_with_weight_decay():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 2))
    y = 50.0 + 3.0 * np.abs(X[:, 0]) + 0.1 * rng.normal(size=40)
    model = cr.ReLURegressor(alpha=0.05, tol=1e-6).fit(X, y)
    features = cr.datasets.with_bias(X)
    direct = cr.solve(features, y, loss="squared", beta=model.beta_, output_bias=True, reduction="mean")
    np.testing.assert_allclose(model.objective_, direct.objective, rtol=2e-6)
    again = cr.ReLURegressor(beta=model.beta_, tol=1e-6).fit(X, y)
    np.testing.assert_array_equal(model.predict(X), again.predict(X))
    assert model.check_certificate(X, y)
    shifted = cr.ReLURegressor(alpha=0.05, tol=1e-6).fit(X, 10.0 * (y - 50.0))
    np.testing.assert_allclose(shifted.predict(X), 10.0 * (model.predict(X) - 50.0), rtol=1e-2, atol=0.05)


def test_from_the_largest_price_on_there_is_a_constant_and_below_it_there_are_neurons():
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(30, 2)), rng.normal(size=30)
    above, below = (cr.ReLURegressor(alpha=alpha).fit(X, y) for alpha in (1.001, 0.9))
    assert above.n_neurons_ == 0
    np.testing.assert_allclose(above.predict(X), y.mean())
    assert below.n_neurons_ > 0
    constant = cr.ReLURegressor().fit(X, np.full(30, 7.0))
    np.testing.assert_allclose(constant.predict(X), 7.0)


@pytest.mark.parametrize(
    ("loss", "constant"),
    [
        ("squared", np.mean),
        ("absolute", np.median),
        (cr.losses.Quantile(0.25), lambda y: np.quantile(y, 0.25, method="inverted_cdf")),
        ("poisson", lambda y: np.log(np.mean(y))),
    ],
)
def test_the_best_constant_is_the_known_one(loss, constant):
    from convexrelu.certificates.weight_decay import weight_decay

    y = np.random.default_rng(2).poisson(5.0, size=31) + 0.01 * np.arange(31)
    problem = weight_decay(np.ones((31, 1)), y, loss=loss, beta=1.0, output_bias=True)
    np.testing.assert_allclose(best_constant(problem), constant(y), atol=1e-9)
    assert largest_price([problem]) > 0


def test_losses_and_several_outputs():
    rng = np.random.default_rng(4)
    X = rng.normal(size=(30, 2))
    counts = rng.poisson(np.exp(np.abs(X[:, 0])))
    model = cr.ReLURegressor("poisson").fit(X, counts)
    assert (model.predict(X) > 0).all()
    np.testing.assert_allclose(model.predict(X).mean(), counts.mean(), rtol=1e-2)  # the constant is free
    assert cr.ReLURegressor(cr.losses.Huber(0.5)).fit(X, counts).check_certificate(X, counts)
    both = np.column_stack([np.abs(X[:, 0]), X[:, 1]])
    shared = cr.ReLURegressor(alpha=0.05).fit(X, both)
    assert shared.predict(X).shape == both.shape
    assert shared.score(X, both) > 0.9
    column, vector = (cr.ReLURegressor().fit(X, part) for part in (both[:, :1], both[:, 0]))
    np.testing.assert_array_equal(column.predict(X), vector.predict(X)[:, None])
    for loss, targets in (("hinge", counts), ("absolute", both), ("softmax", counts)):
        with pytest.raises(cr.InvalidInputError, match="loss must be one of real targets"):
            cr.ReLURegressor(loss).fit(X, targets)


def test_paths_are_fits_and_cross_validation_is_scored_on_what_was_held_out():
    X, y = iris()
    model = cr.MaxMarginReLUClassifier()
    points = model.path(X[::3], y[::3], [0.05, 0.5])
    assert [point.C for point in points] == [0.05, 0.5]
    assert points[0].objective_ < points[1].objective_
    assert not points[1].warm_start
    cold = clone(model).set_params(C=0.5).fit(X[::3], y[::3])
    assert points[1].lower_bound_ <= cold.objective_
    assert cold.lower_bound_ <= points[1].objective_
    scores = model.cross_validate(X[::2], y[::2], [0.01, 0.5], cv=2)
    assert scores.scores.shape == (2, 2)
    assert scores.best == 0.5
    assert scores.means[1] > 0.9 > scores.means[0]
    assert "C = 0.5" in repr(scores)
    tied = PathScores(parameter="C", values=np.array([1.0, 2.0]), scores=np.ones((2, 2)))
    assert tied.best == 1.0
    with pytest.raises(cr.InvalidInputError, match="at least one C"):
        model.path(X, y, [])


def test_warm_starts_where_they_fit():
    X, y = two_clouds()
    model = cr.MaxMarginReLUClassifier(C=0.5, warm_start=True).fit(X, y)
    before = model.objective_
    assert model.fit(X, y).objective_ <= before * 1.01
    assert model.fit(X[:, :1], y).n_features_in_ == 1  # begun afresh
    several = cr.ReLUClassifier(warm_start=True).fit(X, y)
    assert len(several.fit(X, np.arange(len(y)) % 3).classes_) == 3


@pytest.mark.parametrize(
    "settings",
    [{"C": -1.0}, {"C": "auto"}, {"tol": 0.0}, {"time_limit": -1.0}],
)
def test_settings_that_mean_nothing_are_refused(settings):
    X, y = two_clouds()
    with pytest.raises(cr.InvalidInputError, match=next(iter(settings))):
        cr.MaxMarginReLUClassifier(**settings).fit(X, y)


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_one_class_is_refused(kind):
    with pytest.raises(cr.InvalidInputError, match="at least two classes"):
        kind().fit([[1.0], [2.0]], ["a", "a"])
    with pytest.raises(NotFittedError):
        kind().predict([[1.0]])


def test_in_a_pipeline_and_a_search():
    X, y = load_breast_cancer(return_X_y=True)
    X = X[:, :3]
    model = make_pipeline(StandardScaler(), cr.MaxMarginReLUClassifier())
    grid = GridSearchCV(model, {"maxmarginreluclassifier__C": [0.01, 0.3]}, cv=3).fit(X[::4], y[::4])
    assert grid.best_score_ > 0.85
    again = pickle.loads(pickle.dumps(grid.best_estimator_))
    np.testing.assert_array_equal(again.predict(X), grid.predict(X))


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_data_frames(library):
    frames = pytest.importorskip(library)
    X, y = iris()
    names = ["sepal length", "sepal width", "petal length", "petal width"]
    X, y = X[::3], y[::3]
    frame = frames.DataFrame(dict(zip(names, X.T, strict=True)))
    labels = frames.Series(np.array(["setosa", "versicolor", "virginica"])[y].tolist())
    model = cr.MaxMarginReLUClassifier().fit(frame, labels)
    assert list(model.feature_names_in_) == names
    assert set(model.predict(frame)) == set(labels)
    scores = model.cross_validate(frame, labels, [0.5], cv=2)
    assert scores.means[0] > 0.85


def test_weighted_rows_are_the_same_however_they_are_given():
    rows = WeightedRows.of(
        np.array([[1.0], [0.0], [1.0], [-0.0]]),
        np.array([1.0, 2.0, 1.0, 2.0]),
        np.array([1.0, 0.5, 2.0, 0.0]),
    )
    np.testing.assert_array_equal(rows.X, [[0.0], [1.0]])
    np.testing.assert_array_equal(rows.weights, [0.5, 3.0])
    np.testing.assert_array_equal(rows.copies(), [0, 1, 1, 1, 1, 1, 1])
    np.testing.assert_allclose(rows.spread([np.array([1.0, 3.0])]), [1.0, 1.0, 2.0, 0.0])
    uneven = WeightedRows.of(np.eye(2), np.zeros(2), np.array([1.0, 1.5]))
    assert uneven.copies() is None


class Listener:
    """What a callback of scikit-learn 1.9 has to have."""

    def __init__(self):
        self.heard = []

    def setup(self, *_args, **_named):
        self.heard.append("setup")

    def teardown(self, *_args, **_named):
        self.heard.append("teardown")

    def on_fit_task_begin(self, *_args, **_named):
        self.heard.append("begin")

    def on_fit_task_end(self, *_args, X, y, fitted_estimator, **_named):
        self.heard.append(fitted_estimator.score(X, y))


@pytest.mark.skipif(not hasattr(cr.ReLURegressor, "set_callbacks"), reason="scikit-learn before 1.9")
@pytest.mark.parametrize("kind", [cr.MaxMarginReLUClassifier, cr.ReLUClassifier, cr.ReLURegressor])
def test_callbacks_hear_of_a_fit(kind):
    points = np.random.default_rng(0).normal(size=(20, 2))
    labels = (points[:, 0] > 0).astype(int)
    listener = Listener()
    model = kind(time_limit=2.0).set_callbacks(listener).fit(points, labels)
    assert listener.heard == ["setup", "begin", model.score(points, labels), "teardown"]
    listener.heard.clear()
    with pytest.raises(ValueError, match="inconsistent"):
        model.fit(points, labels[:5])
    assert listener.heard == ["setup", "begin", "teardown"]
