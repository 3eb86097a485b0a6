from __future__ import annotations

import sys
from collections import OrderedDict

import numpy as np
import pytest

from convexrelu.datasets import with_bias
from convexrelu.errors import InvalidInputError
from convexrelu.networks import FeedForward, PowerLeakyReLU, ReLUNetwork, TwoLayerReLU

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


class Softmax(ReLU):
    pass


class Dropout:
    def __call__(self, x):
        return x


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
            Linear(
                rng.normal(size=(outputs, 4)),
                None if output_bias is None else output_bias * np.arange(1.0, outputs + 1),
            ),
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


L = Linear(np.ones((2, 3)), None)
LAST = Linear(np.ones((1, 2)), None)


@pytest.mark.parametrize(
    ("bad", "got"),
    [
        (object(), r"got a object: wrap its layers .* or give module.state_dict\(\)"),
        (Sequential([L, Tanh(), LAST]), "Linear, Tanh, Linear.*: layer 1 is Tanh .*train with nn.ReLU"),
        (Sequential([L, Linear(np.ones((2, 2)), None), LAST]), "layer 1 is Linear .*FeedForward"),
        (Sequential([L, ReLU(), LAST, Softmax()]), "layer 3 is Softmax.*leave it out"),
        (Sequential([L, ReLU()]), r"Sequential\(Linear, ReLU\): Linear is missing at the end"),
        (Sequential(), r"Sequential\(\): Linear is missing"),
        (Sequential([Linear([[np.nan]], None), ReLU(), Linear([[1.0]], None)]), "weight of layer 0.*finite"),
    ],
)
def test_other_modules_are_refused_with_what_to_do(bad, got):
    with pytest.raises(InvalidInputError, match=got):
        TwoLayerReLU.from_torch(bad)


def test_dropout_does_nothing_once_training_is_over():
    net = module(True, 0.5)
    with_dropout = Sequential([net[0], net[1], Dropout(), net[2]])
    np.testing.assert_array_equal(TwoLayerReLU.from_torch(with_dropout).W1, TwoLayerReLU.from_torch(net).W1)


@pytest.mark.parametrize("output_bias", [None, -0.7])
def test_several_outputs_share_their_neurons(output_bias):
    net = module(True, output_bias, outputs=3)
    network = TwoLayerReLU.from_torch(net)
    assert isinstance(network, ReLUNetwork)
    assert network.n_neurons == 4
    np.testing.assert_allclose(network(with_bias(X)), net(X), rtol=1e-12, atol=1e-12)


def test_the_difference_of_two_outputs_is_exact():
    net = module(True, 0.3, outputs=2)
    logits = net(X)
    network = TwoLayerReLU.from_difference(TwoLayerReLU.from_torch(net))
    np.testing.assert_allclose(network(with_bias(X)), logits[:, 1] - logits[:, 0], rtol=1e-12, atol=1e-12)
    other = TwoLayerReLU.from_difference(TwoLayerReLU.from_torch(net), plus=0, minus=1)
    np.testing.assert_allclose(other(with_bias(X)), -network(with_bias(X)), rtol=1e-12, atol=1e-12)


def test_the_difference_takes_linear_parts_along_and_drops_common_neurons():
    affine = ReLUNetwork(
        RNG.normal(size=(3, 4)),
        [[1.0, 2.0, 0.5], [1.0, -1.0, 0.5]],
        skip=RNG.normal(size=(2, 4)),
        output_bias=[0.0, -2.0],
    )
    network = TwoLayerReLU.from_difference(affine)
    assert network.n_neurons == 1 + 2 + 1
    values = affine(with_bias(X))
    np.testing.assert_allclose(network(with_bias(X)), values[:, 1] - values[:, 0], rtol=1e-12, atol=1e-12)


def test_a_difference_needs_two_outputs():
    with pytest.raises(InvalidInputError, match="two of the 1 outputs"):
        TwoLayerReLU.from_difference(ReLUNetwork([[1.0]], [1.0]))
    with pytest.raises(InvalidInputError, match="two of the 2 outputs, got 1 and 1"):
        TwoLayerReLU.from_difference(ReLUNetwork([[1.0]], [[1.0], [2.0]]), 1, 1)


W1, B1, W2, B2 = RNG.normal(size=(4, 3)), RNG.normal(size=4), RNG.normal(size=(2, 4)), RNG.normal(size=2)


def by_hand(W2, b2):
    return np.maximum(X @ W1.T + B1, 0) @ W2.T + b2


def test_weights_of_anyone():
    network = TwoLayerReLU.from_weights(W1, B1, W2[0], 0.3)
    np.testing.assert_allclose(network(with_bias(X)), by_hand(W2[0], 0.3), rtol=1e-12, atol=1e-12)
    several = TwoLayerReLU.from_weights(W1, B1, W2, B2)
    np.testing.assert_allclose(several(with_bias(X)), by_hand(W2, B2), rtol=1e-12, atol=1e-12)
    plain = TwoLayerReLU.from_weights(W1, None, W2[0])
    np.testing.assert_allclose(plain(X), np.maximum(X @ W1.T, 0) @ W2[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ((W1, B1, W2.T, 0.0), r"w2 .*the 4 neurons, .*got shape \(4, 2\): transpose it"),
        ((W1.T, None, W2[0], 0.0), r"the 3 neurons.*: transpose W1"),
        ((W1, B1[:2], W2[0], 0.0), "b1 must have 4 entries"),
        ((W1, B1, W2[0], B2), "b2 must have 1 entries"),
    ],
)
def test_weights_that_do_not_agree_are_refused(weights, said):
    with pytest.raises(InvalidInputError, match=said):
        TwoLayerReLU.from_weights(*weights)


def state(outputs=W2, constant=B2):
    names = ("net.0.weight", "net.0.bias", "net.2.weight", "net.2.bias")
    return OrderedDict(zip(names, (W1, B1, outputs, constant), strict=True))


def test_a_state_dict_is_two_layers():
    network = TwoLayerReLU.from_torch(state())
    np.testing.assert_allclose(network(with_bias(X)), by_hand(W2, B2), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"net.4.weight": np.ones((1, 2))}, "two linear layers, got net.0.weight"),
        ({"net.1.running_mean": np.ones(4)}, "running_mean.*fuse_linear_bn_eval"),
        ({"net.0.weight": W1.T}, "net.2.weight.*transpose net.0.weight"),
    ],
)
def test_other_state_dicts_are_refused(changed, said):
    with pytest.raises(InvalidInputError, match=said):
        TwoLayerReLU.from_torch({**state(), **changed})


@pytest.mark.parametrize("names", [("W1", "b1", "w2", "b2"), tuple(state())])
def test_weights_in_an_npz_file(tmp_path, names):
    np.savez(tmp_path / "w.npz", **dict(zip(names, (W1, B1, W2[0], B2[0]), strict=True)))
    network = TwoLayerReLU.from_file(tmp_path / "w.npz") if names[0] == "W1" else None
    if network is None:  # a state_dict's output weights are a matrix
        np.savez(tmp_path / "w.npz", **state(W2[:1], B2[:1]))
        network = TwoLayerReLU.from_file(tmp_path / "w.npz")
    np.testing.assert_allclose(network(with_bias(X)), by_hand(W2[0], B2[0]), rtol=1e-12, atol=1e-12)


def test_networks_in_json_files(tmp_path):
    for network in (TwoLayerReLU(W1, W2[0]), ReLUNetwork(W1, W2, output_bias=B2)):
        network.save(tmp_path / "n.json")
        again = TwoLayerReLU.from_file(tmp_path / "n.json")
        assert type(again) is type(network)
        np.testing.assert_array_equal(again(X), network(X))


def test_files_that_hold_no_network_are_named(tmp_path):
    (tmp_path / "broken.npz").write_bytes(b"PK")
    np.savez(tmp_path / "other.npz", a=np.ones(2))
    np.savez(tmp_path / "half.npz", W1=W1)
    (tmp_path / "n.json").write_text("[]")
    for name in ("missing.npz", "broken.npz", "other.npz", "half.npz", "n.json", "network.txt"):
        with pytest.raises(InvalidInputError, match=name):
            TwoLayerReLU.from_file(tmp_path / name)


def test_a_torch_file_holds_weights_and_runs_nothing(tmp_path):
    torch = pytest.importorskip("torch")
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2)).double()
    torch.save(net.state_dict(), tmp_path / "w.pt")
    network = TwoLayerReLU.from_file(tmp_path / "w.pt")
    np.testing.assert_allclose(
        network(with_bias(X)), net(torch.tensor(X)).detach().numpy(), rtol=1e-10, atol=1e-12
    )
    torch.save(net, tmp_path / "whole.pt")
    with pytest.raises(InvalidInputError, match=r"whole.pt.*state_dict"):
        TwoLayerReLU.from_file(tmp_path / "whole.pt")


def test_a_torch_file_without_torch_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "w.pt").write_bytes(b"")
    with pytest.raises(InvalidInputError, match=r"convexrelu\[torch\]"):
        TwoLayerReLU.from_file(tmp_path / "w.pt")


SEVERAL = ReLUNetwork(RNG.normal(size=(5, 4)), RNG.normal(size=(2, 5)), output_bias=[0.5, -1.0])
AFFINE = ReLUNetwork(RNG.normal(size=(2, 4)), RNG.normal(size=2), skip=[1.0, 0.0, -2.0, 0.0])
ONE = TwoLayerReLU(RNG.normal(size=(5, 4)), RNG.normal(size=5))


@pytest.mark.parametrize("network", [ONE, SEVERAL, AFFINE])
@pytest.mark.parametrize("biases", [False, True])
def test_every_network_goes_out_to_torch(network, biases):
    torch = pytest.importorskip("torch")
    net = network.to_torch(biases=biases)
    inputs = X if biases else with_bias(X)
    expected = network(with_bias(X)).reshape(len(X), -1)
    np.testing.assert_allclose(net(torch.tensor(inputs)).detach().numpy(), expected, rtol=1e-10, atol=1e-12)
    again = TwoLayerReLU.from_torch(net)
    values = again(with_bias(inputs) if any("bias" in name for name in net.state_dict()) else inputs)
    np.testing.assert_allclose(values.reshape(len(X), -1), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("network", [ONE, SEVERAL, AFFINE])
@pytest.mark.parametrize("biases", [False, True])
def test_every_network_goes_out_as_arrays(network, biases):
    W1, b1, W2, b2 = network.to_weights(biases=biases)
    inputs = X if biases else with_bias(X)
    values = np.maximum(inputs @ W1.T + (0 if b1 is None else b1), 0) @ W2.T + (0 if b2 is None else b2)
    expected = network(with_bias(X)).reshape(len(X), -1)
    np.testing.assert_allclose(values, expected, rtol=1e-12, atol=1e-13)
    assert (b1 is not None) == biases
    W1[:] = 0.0  # a copy
    np.testing.assert_array_equal(network(with_bias(X)).reshape(len(X), -1), expected)


def test_arrays_come_back_as_the_same_network():
    again = TwoLayerReLU.from_weights(*ONE.to_weights(biases=True))
    np.testing.assert_array_equal(again.W1, ONE.W1)
    np.testing.assert_array_equal(again.w2, ONE.w2)
    with pytest.raises(InvalidInputError, match="to_weights needs a column beside the ones"):
        TwoLayerReLU([[1.0]], [1.0]).to_weights(biases=True)


@pytest.mark.parametrize("network", [ONE, SEVERAL, AFFINE])
@pytest.mark.parametrize("biases", [False, True])
def test_every_network_goes_out_to_onnx(network, biases, tmp_path):
    onnx = pytest.importorskip("onnx")
    from onnx.reference import ReferenceEvaluator

    network.to_onnx(tmp_path / "n.onnx", biases=biases)
    model = onnx.load(tmp_path / "n.onnx")
    onnx.checker.check_model(model, full_check=True)
    (values,) = ReferenceEvaluator(model).run(None, {"X": X if biases else with_bias(X)})
    np.testing.assert_allclose(values, network(with_bias(X)).reshape(len(X), -1), rtol=1e-10, atol=1e-12)


def test_what_cannot_go_out_says_why(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"convexrelu\[onnx\]"):
        ONE.to_onnx(tmp_path / "n.onnx")
    with pytest.raises(InvalidInputError, match="at least one neuron"):
        TwoLayerReLU(np.zeros((0, 2)), []).to_onnx(tmp_path / "n.onnx")
    with pytest.raises(InvalidInputError, match="a column beside the ones"):
        TwoLayerReLU([[1.0]], [1.0]).to_torch(biases=True)


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


def test_a_classifier_of_three_classes_has_its_logits():
    mlp = classifier(np.arange(len(Y)) % 3)
    network = TwoLayerReLU.from_sklearn(mlp)
    logits = network(with_bias(X))
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(p / p.sum(axis=1, keepdims=True), mlp.predict_proba(X), rtol=1e-9, atol=1e-12)


def test_a_regressor_has_its_predictions():
    from sklearn.neural_network import MLPRegressor

    mlp = MLPRegressor(hidden_layer_sizes=(5,), solver="lbfgs", max_iter=10, random_state=0).fit(
        X, X[:, 0] - 2 * X[:, 1]
    )
    np.testing.assert_allclose(TwoLayerReLU.from_sklearn(mlp)(with_bias(X)), mlp.predict(X), rtol=1e-9)


@pytest.mark.parametrize(
    "names",
    [["StandardScaler"], ["MinMaxScaler", "PCA"], ["RobustScaler", "MaxAbsScaler"], ["passthrough"]],
)
def test_the_scalers_of_a_pipeline_are_folded_in(names):
    from sklearn import decomposition, preprocessing
    from sklearn.pipeline import make_pipeline

    made = {"PCA": lambda: decomposition.PCA(2, whiten=True), "passthrough": lambda: "passthrough"}
    steps = [made.get(name, getattr(preprocessing, name, None))() for name in names]
    from sklearn.neural_network import MLPRegressor

    data = 100.0 + X * [1.0, 50.0, 0.01]
    pipeline = make_pipeline(
        *steps, MLPRegressor(hidden_layer_sizes=(5,), solver="lbfgs", max_iter=10, random_state=0)
    )
    pipeline.fit(data, X[:, 0])
    network = TwoLayerReLU.from_sklearn(pipeline)
    np.testing.assert_allclose(network(with_bias(data)), pipeline.predict(data), rtol=1e-7, atol=1e-7)


def test_steps_that_are_no_affine_map_are_named():
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, PolynomialFeatures

    for step, said in [
        (PolynomialFeatures(), "polynomialfeatures.*is none of these"),
        (MinMaxScaler(clip=True), "clips"),
    ]:
        pipeline = make_pipeline(step, classifier().set_params(max_iter=3)).fit(X, Y)
        with pytest.raises(InvalidInputError, match=f"{said}.*pipeline\\[:-1\\]"):
            TwoLayerReLU.from_sklearn(pipeline)


def test_other_estimators_are_refused():
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier

    for bad, got in [
        (MLPClassifier(), "not fitted"),
        (LogisticRegression(), "LogisticRegression"),
        (classifier(hidden_layer_sizes=(3, 3)), "2 hidden layers"),
        (classifier(activation="tanh"), "activation='tanh'"),
    ]:
        with pytest.raises(InvalidInputError, match=f"one hidden layer .*{got}"):
            TwoLayerReLU.from_sklearn(bad)
