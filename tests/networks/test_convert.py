from __future__ import annotations

import sys

import numpy as np
import pytest

from convexrelu.datasets import with_bias
from convexrelu.errors import InvalidInputError
from convexrelu.networks import FeedForward, PowerLeakyReLU, TwoLayerReLU

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
Y = np.where(X[:, 0] * X[:, 1] > 0, 1, 0)


class Tensor:
    """As much of a tensor as reading one needs."""

    def __init__(self, array):
        self.array = np.asarray(array, dtype=np.float32)

    def detach(self):
        return self

    cpu = detach

    def double(self):
        return self

    def numpy(self):
        return self.array


class Linear:
    def __init__(self, weight, bias):
        self.weight = Tensor(weight)
        self.bias = None if bias is None else Tensor(bias)

    def __call__(self, x):
        out = x @ self.weight.array.T.astype(float)
        return out if self.bias is None else out + self.bias.array


class ReLU:
    def __call__(self, x):
        return np.maximum(x, 0)


class Tanh(ReLU):
    pass


class Sequential(list):
    def __call__(self, x):
        for layer in self:
            x = layer(x)
        return x


def module(hidden_bias, output_bias, *, outputs=1):
    rng = np.random.default_rng(1)
    return Sequential(
        [
            Linear(rng.normal(size=(4, 3)), rng.normal(size=4) if hidden_bias else None),
            ReLU(),
            Linear(rng.normal(size=(outputs, 4)), [output_bias] if output_bias is not None else None),
        ]
    )


@pytest.mark.parametrize("hidden_bias", [True, False])
@pytest.mark.parametrize("output_bias", [None, 0.0, 0.7, -2.5])
def test_a_torch_module_keeps_its_values(hidden_bias, output_bias):
    net = module(hidden_bias, output_bias)
    network = TwoLayerReLU.from_torch(net)
    inputs = with_bias(X) if hidden_bias or output_bias is not None else X
    np.testing.assert_allclose(network(inputs), net(X).ravel(), rtol=1e-12, atol=1e-12)
    assert network.n_neurons == (5 if output_bias else 4)


def test_the_output_bias_is_a_neuron_on_the_ones_column():
    network = TwoLayerReLU.from_torch(module(False, -2.25))
    np.testing.assert_array_equal(network.W1[-1], [0, 0, 0, 1.5])
    assert network.w2[-1] == -1.5


@pytest.mark.parametrize(
    ("bad", "got"),
    [
        (object(), "got a object"),
        (
            Sequential([Linear(np.ones((2, 3)), None), Tanh(), Linear(np.ones((1, 2)), None)]),
            "Linear, Tanh, Linear",
        ),
        (Sequential([Linear(np.ones((2, 3)), None), ReLU()]), r"Sequential\(Linear, ReLU\)"),
        (Sequential(), r"Sequential\(\)"),
        (module(True, None, outputs=2), "2 outputs"),
        (Sequential([Linear([[np.nan]], None), ReLU(), Linear([[1.0]], None)]), "finite"),
    ],
)
def test_other_modules_are_refused(bad, got):
    with pytest.raises(InvalidInputError, match=got):
        TwoLayerReLU.from_torch(bad)


def test_to_torch_without_torch_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"convexrelu\[torch\]"):
        TwoLayerReLU([[1.0]], [1.0]).to_torch()


def test_torch_round_trip():
    torch = pytest.importorskip("torch")
    network = TwoLayerReLU(RNG.normal(size=(5, 3)), RNG.normal(size=5))
    net = network.to_torch()
    np.testing.assert_allclose(net(torch.tensor(X)).detach().numpy().ravel(), network(X), rtol=1e-12)
    again = TwoLayerReLU.from_torch(net)
    np.testing.assert_array_equal(again.W1, network.W1)
    np.testing.assert_array_equal(again.w2, network.w2)
    biased = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1)).double()
    expected = biased(torch.tensor(X)).detach().numpy().ravel()
    np.testing.assert_allclose(
        TwoLayerReLU.from_torch(biased)(with_bias(X)), expected, rtol=1e-10, atol=1e-12
    )
    with pytest.raises(InvalidInputError, match="Tanh"):
        TwoLayerReLU.from_torch(
            torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
        )


@pytest.mark.parametrize("alpha", [0.0, 0.1, 1.0, -0.5])
def test_deep_torch_round_trip(alpha):
    torch = pytest.importorskip("torch")
    layers = [RNG.normal(size=shape) for shape in [(5, 3), (4, 5), (2, 4)]]
    network = FeedForward(layers, PowerLeakyReLU(alpha))
    net = network.to_torch()
    np.testing.assert_allclose(net(torch.tensor(X)).detach().numpy(), network(X), rtol=1e-12)
    again = FeedForward.from_torch(net)
    assert again.activation == network.activation
    assert all(np.array_equal(a, b) for a, b in zip(again.weights, layers, strict=True))
    biased = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
    with pytest.raises(InvalidInputError, match="bias"):
        FeedForward.from_torch(biased)


def test_powers_have_no_torch_module():
    with pytest.raises(InvalidInputError, match="power 1"):
        FeedForward([[[1.0]], [[1.0]]], PowerLeakyReLU(0.0, 2)).to_torch()


def classifier(labels=Y, **options):
    from sklearn.neural_network import MLPClassifier

    settings = {"hidden_layer_sizes": (6,), "solver": "lbfgs", "max_iter": 10, "random_state": 0, **options}
    return MLPClassifier(**settings).fit(X, labels)


pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_a_scikit_learn_classifier_keeps_its_log_odds():
    mlp = classifier()
    network = TwoLayerReLU.from_sklearn(mlp)
    p = mlp.predict_proba(X)[:, 1]
    plain = (p > 1e-4) & (p < 1 - 1e-4)  # where the logarithm of 1 - p keeps its digits
    assert plain.sum() > 20
    np.testing.assert_allclose(
        network(with_bias(X))[plain], np.log(p[plain] / (1 - p[plain])), rtol=1e-9, atol=1e-9
    )
    assert (network.n_neurons, network.n_features) == (7, 4)
    np.testing.assert_array_equal(network.predict(with_bias(X)), np.where(mlp.predict(X) == 1, 1.0, -1.0))


def test_the_larger_label_is_positive():
    mlp = classifier(np.where(Y == 1, "yes", "no"))
    labels = TwoLayerReLU.from_sklearn(mlp).predict(with_bias(X))
    np.testing.assert_array_equal(labels == 1, mlp.predict(X) == "yes")


def test_other_estimators_are_refused():
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    three = np.arange(len(Y)) % 3
    for bad, got in [
        (MLPClassifier(), "not fitted"),
        (MLPRegressor(), "MLPRegressor"),
        (LogisticRegression(), "LogisticRegression"),
        (classifier(hidden_layer_sizes=(3, 3)), "2 hidden layers"),
        (classifier(activation="tanh"), "activation='tanh'"),
        (classifier(three), "3 output units"),
    ]:
        with pytest.raises(InvalidInputError, match=f"one hidden layer, .*{got}"):
            TwoLayerReLU.from_sklearn(bad)
