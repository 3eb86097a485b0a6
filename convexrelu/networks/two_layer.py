"""The two-layer ReLU network without bias: ``f(x) = sum_i w2_i (x^T w1_i)_+`` (WP eq. (13)).

What the convex program sees of a neuron is ``u_i = |w2_i| w1_i`` and the sign of ``w2_i``: neither the
function nor the convex objective ``sum_i ||u_i||`` depends on how the layers share the product out.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from convexrelu._typing import ArrayLike
from convexrelu._validation import as_data, as_matrix, as_vector, check_nonnegative, check_positive
from convexrelu.errors import InvalidInputError
from convexrelu.networks.activations import RELU
from convexrelu.networks.convert import GivenOut, parts_from_file, torch_parts
from convexrelu.networks.layers import as_inputs, evaluate
from convexrelu.networks.neurons import balance, describe, merge, row_norms
from convexrelu.networks.outputs import ReLUNetwork
from convexrelu.networks.parts import Parts, absorb, parts_of
from convexrelu.networks.pipelines import sklearn_parts
from convexrelu.networks.storage import Stored, kind_of

__all__ = ["TwoLayerReLU"]

DIRECTION_TOL = 1e-12
"""Unit vectors this close are one direction. It is four digits above the rounding of a unit vector, and f(x)
moves by at most 2e-12 ||x|| sum ||u_i||: below the promised 1e-6 even if that sum is 1e5 times the margin."""

PRUNE_TOL = 1e-12
"""A neuron this small relative to the whole network is dropped; f(x) moves by at most 1e-12 ||x|| sum ||u_i||
for each, which is harmless for the reason given with DIRECTION_TOL."""

_SMALL_SCALE = 2.0**-600  # of weights whose products overflow


@dataclass(frozen=True, eq=False, init=False, repr=False)
class TwoLayerReLU(Stored, GivenOut):
    """Return a two-layer ReLU network without bias, ``f(x) = sum_i w2_i (x^T w1_i)_+``.

    Parameters
    ----------
    W1 : (m, d) array_like
        Neuron i's weights as row i. Stored as a read-only float64 copy. Shape (0, d) is the zero network.
    w2 : (m,) array_like
        Output weights, stored the same way.

    Raises
    ------
    InvalidInputError
        If the weights are not finite, or the shapes do not agree.

    Notes
    -----
    Biases are weights of a ones column: see :func:`convexrelu.datasets.with_bias`.

    Examples
    --------
    >>> network = TwoLayerReLU([[1.0, 0.0], [0.0, 2.0]], [3.0, -1.0])
    >>> network([[1.0, 1.0], [-1.0, 1.0]])
    array([ 1., -2.])
    >>> network.objective()
    7.5
    """

    W1: Float[np.ndarray, "m d"]
    w2: Float[np.ndarray, " m"]

    def __init__(self, W1: ArrayLike, w2: ArrayLike) -> None:
        first = np.array(as_matrix(W1, "W1", min_rows=0))
        second = np.array(as_vector(w2, "w2", length=len(first)))
        first.setflags(write=False)
        second.setflags(write=False)
        object.__setattr__(self, "W1", first)
        object.__setattr__(self, "w2", second)

    @property
    def n_neurons(self) -> int:
        """The number m of hidden neurons."""
        return len(self.W1)

    @property
    def n_features(self) -> int:
        """The number d of inputs, the ones column included if there is one."""
        return int(self.W1.shape[1])

    @property
    def u(self) -> Float[np.ndarray, "m d"]:
        """The convex variables ``|w2_i| w1_i`` as rows: u_j of WP eq. (14) if w2_i > 0, u'_j if w2_i < 0."""
        return np.asarray(np.abs(self.w2)[:, None] * self.W1)

    @property
    def signs(self) -> Float[np.ndarray, " m"]:
        """The signs of w2: +1, -1, or 0."""
        return np.asarray(np.sign(self.w2))

    def __call__(self, X: ArrayLike) -> Float[np.ndarray, " n"]:
        """Return the network's values on the rows of X.

        Parameters
        ----------
        X : (n, d) array_like
            Samples.

        Returns
        -------
        (n,) float array
            ``(X W1^T)_+ w2``.

        Raises
        ------
        InvalidInputError
            If X is not a finite matrix of d columns.
        """
        return evaluate([self.W1, self.w2[None, :]], RELU, as_inputs(X, self.n_features))[:, 0]

    def predict_margin(self, X: ArrayLike) -> Float[np.ndarray, " n"]:
        """Return the network's values on the rows of X; the same as calling it.

        Parameters
        ----------
        X : (n, d) array_like
            Samples.

        Returns
        -------
        (n,) float array
            ``f(x_n)``: times the label it is the margin of sample n.
        """
        return self(X)

    def predict(self, X: ArrayLike) -> Float[np.ndarray, " n"]:
        """Return the labels +1 (where f(x) > 0) and -1 (elsewhere, f(x) = 0 included).

        What a regression predicts is ``network(X)`` itself.

        Parameters
        ----------
        X : (n, d) array_like
            Samples.

        Returns
        -------
        (n,) float array
            Labels.
        """
        return np.where(self(X) > 0, 1.0, -1.0)

    def margin(self, X: ArrayLike, y: ArrayLike) -> float:
        """Return the smallest ``y_n f(x_n)``: positive exactly if every label is fitted.

        Parameters
        ----------
        X : (n, d) array_like
            Samples.
        y : (n,) array_like
            Labels: any two values, the larger stands for +1.

        Returns
        -------
        float
            The margin.

        Raises
        ------
        InvalidInputError
            If the data is not what it needs.

        Examples
        --------
        >>> TwoLayerReLU([[1.0], [-1.0]], [2.0, -1.0]).margin([[1.0], [-3.0]], [1, 0])
        2.0
        """
        matrix, labels = as_data(X, y)
        return float(np.min(labels * self(matrix)))

    def objective(self) -> float:
        """Return ``(||W1||_F^2 + ||w2||^2) / 2``, the objective of WP eq. (13).

        Returns
        -------
        float
            Never below :meth:`group_norm`; equal to it for a balanced network. Infinite beyond the range of
            float64.
        """
        weights = [self.W1, self.w2]
        exponent = max(int(np.frexp(np.abs(part).max(initial=0.0))[1]) for part in weights)
        first, second = (np.ldexp(part, -exponent) for part in weights)  # near one: no square overflows
        with np.errstate(over="ignore"):
            return float(np.ldexp(0.5 * (np.sum(first**2) + np.sum(second**2)), 2 * exponent))

    def group_norm(self) -> float:
        """Return ``sum_i |w2_i| ||w1_i||``, the objective of the convex program, WP eq. (14).

        Returns
        -------
        float
            The least :meth:`objective` among all ways to share out the weights between the layers.
        """
        return float(np.sum(self._sizes()))

    def scaled_function(self, c: float) -> TwoLayerReLU:
        """Return the network of the function ``c f``: all weights times sqrt c.

        Parameters
        ----------
        c : float
            Positive factor.

        Returns
        -------
        TwoLayerReLU
            A network whose objective is c times this one's.

        Raises
        ------
        InvalidInputError
            If c is not positive and finite.
        """
        root = np.sqrt(check_positive(c, "c"))
        return TwoLayerReLU(root * self.W1, root * self.w2)

    def scaled_weights(self, c: float) -> TwoLayerReLU:
        """Return the network with all weights times c >= 0: its function is ``c^2 f``.

        Parameters
        ----------
        c : float
            The factor.

        Returns
        -------
        TwoLayerReLU
            A network whose objective is ``c^2`` times this one's.

        Raises
        ------
        InvalidInputError
            If c is negative or not finite.
        """
        factor = check_nonnegative(c, "c")
        return TwoLayerReLU(factor * self.W1, factor * self.w2)

    def rescaled_to_margin(self, X: ArrayLike, y: ArrayLike) -> TwoLayerReLU:
        """Return the multiple of the network whose margin on the data is one (to rounding).

        Parameters
        ----------
        X : (n, d) array_like
            Samples.
        y : (n,) array_like
            Labels: any two values, the larger stands for +1.

        Returns
        -------
        TwoLayerReLU
            A feasible point of WP eq. (13).

        Raises
        ------
        InvalidInputError
            If the network does not fit every label.

        Examples
        --------
        >>> network = TwoLayerReLU([[2.0]], [2.0]).rescaled_to_margin([[1.0], [3.0]], [1, 1])
        >>> network.objective(), network([[1.0]])
        (1.0, array([1.]))
        """
        q = self.margin(X, y)
        if not q > 0:
            raise InvalidInputError(
                f"to be scaled to margin 1 a network must fit every label, got margin {q:.6g}"
            )
        root = np.sqrt(q)
        return TwoLayerReLU(self.W1 / root, self.w2 / root)

    def balanced(self) -> TwoLayerReLU:
        """Return the network of the same function with ``||w1_i|| = |w2_i|``: the one of least objective.

        Neurons that contribute nothing become zero but stay; :meth:`pruned` drops them.

        Returns
        -------
        TwoLayerReLU
            As many neurons, in the same order.

        Examples
        --------
        >>> TwoLayerReLU([[8.0]], [-2.0]).balanced().w2
        array([-4.])
        """
        return TwoLayerReLU(*balance(self.W1, self.w2))

    def merged(self, tol: float = DIRECTION_TOL) -> TwoLayerReLU:
        """Return the same function with one neuron for each direction and output sign, balanced.

        Neurons that contribute nothing are dropped. A group is replaced by the sum of its ``|w2_i| w1_i``;
        its members are within `tol` of its largest one.

        Parameters
        ----------
        tol : float
            Distance of unit vectors up to which they are one direction. The values f(x) change by at most
            ``2 tol ||x|| sum_i |w2_i| ||w1_i||``; the default keeps that near rounding.

        Returns
        -------
        TwoLayerReLU
            At most as many neurons, largest first.

        Raises
        ------
        InvalidInputError
            If `tol` is negative or not finite.

        Examples
        --------
        >>> TwoLayerReLU([[1.0, 0.0], [3.0, 0.0]], [2.0, 1.0]).merged().u
        array([[5., 0.]])
        """
        live = self.pruned(tol=0.0)
        return TwoLayerReLU.from_directions(*merge(live.u, live.signs, check_nonnegative(tol, "tol")))

    def pruned(self, tol: float = PRUNE_TOL) -> TwoLayerReLU:
        """Return the network without the neurons that contribute nothing.

        Parameters
        ----------
        tol : float
            Neurons with ``|w2_i| ||w1_i|| <= tol * sum_k |w2_k| ||w1_k||`` are dropped, so that f(x) changes
            by at most that times ``||x||`` for each. Zero drops only those of size zero.

        Returns
        -------
        TwoLayerReLU
            The other neurons, unchanged and in the same order; possibly none.

        Raises
        ------
        InvalidInputError
            If `tol` is negative or not finite.

        Examples
        --------
        >>> TwoLayerReLU([[1.0], [0.0], [1e-20]], [1.0, 5.0, 1.0]).pruned().n_neurons
        1
        """
        sizes = self._sizes()
        if np.isinf(sizes.sum()):  # shares of the sum do not depend on the scale
            sizes = TwoLayerReLU(_SMALL_SCALE * self.W1, _SMALL_SCALE * self.w2)._sizes()
        keep = sizes > check_nonnegative(tol, "tol") * sizes.sum()
        return TwoLayerReLU(self.W1[keep], self.w2[keep])

    def _sizes(self) -> Float[np.ndarray, " m"]:
        with np.errstate(over="ignore"):
            return np.asarray(np.abs(self.w2) * row_norms(self.W1))

    @classmethod
    def from_directions(cls, U: ArrayLike, signs: ArrayLike) -> TwoLayerReLU:
        """Return the balanced network of convex variables: ``w1 = u / sqrt||u||, w2 = sign sqrt||u||``.

        Parameters
        ----------
        U : (m, d) array_like
            u_j and u'_j of WP eq. (14) as rows; zero rows are dropped.
        signs : (m,) array_like
            +1 for a u_j, -1 for a u'_j.

        Returns
        -------
        TwoLayerReLU
            Its objective is ``sum ||u_j|| + sum ||u'_j||``.

        Raises
        ------
        InvalidInputError
            If the shapes do not agree, or a sign is neither +1 nor -1.

        Examples
        --------
        >>> TwoLayerReLU.from_directions([[0.0, 4.0], [0.0, 0.0]], [-1, 1])
        TwoLayerReLU(n_neurons=1, n_features=2, objective=4)
        """
        rows = as_matrix(U, "U", min_rows=0)
        plus_minus = as_vector(signs, "signs", length=len(rows))
        if not np.isin(plus_minus, (-1.0, 1.0)).all():
            raise InvalidInputError(f"signs must be +1 or -1, got {np.unique(plus_minus).tolist()}")
        norms = row_norms(rows)
        live = norms > 0
        roots = np.sqrt(norms[live])
        return cls(rows[live] / roots[:, None], plus_minus[live] * roots)

    @classmethod
    def from_weights(
        cls, W1: ArrayLike, b1: ArrayLike | None, w2: ArrayLike, b2: float | ArrayLike | None = None
    ) -> TwoLayerReLU | ReLUNetwork:
        """Return the network ``w2 (W1 x + b1)_+ + b2``; it acts on ``with_bias(X)``.

        The hidden biases become the weights of the ones column. Of one output, an output bias b other than
        zero becomes one more neuron, ``(0, .., 0, sqrt|b|)`` with output weight ``sign(b) sqrt|b|``.

        Parameters
        ----------
        W1 : (m, d) array_like
            Neuron i's weights as row i (torch's ``weight``; scikit-learn's ``coefs_[0]`` transposed).
        b1 : (m,) array_like or None
            Hidden biases.
        w2 : (m,) or (K, m) array_like
            Output weights; a row for each of K outputs.
        b2 : float, (K,) array_like or None
            Output biases. If there are no biases at all (None and None), the network acts on X itself.

        Returns
        -------
        TwoLayerReLU, or ReLUNetwork for K > 1 outputs
            The same function.

        Raises
        ------
        InvalidInputError
            If the weights are not finite, or the shapes do not agree.

        Examples
        --------
        >>> network = TwoLayerReLU.from_weights([[1.0, -1.0]], [0.5], [2.0], 0.25)
        >>> network([[3.0, 1.0, 1.0]])  # 2 (3 - 1 + 0.5)_+ + 0.25, of the sample (3, 1) with its one
        array([5.25])
        """
        return cls._from_parts(parts_of(W1, b1, w2, b2))

    @classmethod
    def from_difference(cls, network: ReLUNetwork, plus: int = 1, minus: int = 0) -> TwoLayerReLU:
        """Return the difference of two outputs: of a softmax head of two classes, the log-odds of the second.

        It is exact: the outputs share their neurons, whose output weights are subtracted. A constant part
        becomes a neuron as in :meth:`from_weights`, a linear part two, since ``t = (t)_+ - (-t)_+``.

        Parameters
        ----------
        network : ReLUNetwork
            Of K >= 2 outputs. If they have constants, its last input must be the ones column.
        plus, minus : int
            Which outputs; by default the second less the first.

        Returns
        -------
        TwoLayerReLU
            ``f_plus - f_minus``, without the neurons on which both agree.

        Raises
        ------
        InvalidInputError
            If there are no two such outputs.

        Examples
        --------
        >>> logits = TwoLayerReLU.from_weights([[1.0]], [0.0], [[1.0], [3.0]], [0.0, 0.5])
        >>> logits([[2.0, 1.0]])
        array([[2. , 6.5]])
        >>> TwoLayerReLU.from_difference(logits)([[2.0, 1.0]])
        array([4.5])
        """
        K = network.n_outputs
        if plus == minus or not (0 <= plus < K and 0 <= minus < K):
            raise InvalidInputError(f"plus and minus must be two of the {K} outputs, got {plus} and {minus}")
        unit = np.eye(K)
        return cls._combined(network, unit[plus] - unit[minus])

    @classmethod
    def from_output(cls, network: ReLUNetwork, k: int = 0) -> TwoLayerReLU:
        """Return one output of a network, as a network of its own.

        Constants and linear parts become neurons as in :meth:`from_difference`.

        Parameters
        ----------
        network : ReLUNetwork
            If the output has a constant, its last input must be the ones column.
        k : int
            Which output; by default the first.

        Returns
        -------
        TwoLayerReLU
            ``f_k``, without the neurons that it does not use.

        Raises
        ------
        InvalidInputError
            If there is no such output.

        Examples
        --------
        >>> logits = TwoLayerReLU.from_weights([[1.0]], [0.0], [[1.0], [3.0]], [0.0, 0.5])
        >>> TwoLayerReLU.from_output(logits, 1)([[2.0, 1.0]])
        array([6.5])
        """
        if not 0 <= k < network.n_outputs:
            raise InvalidInputError(f"k must be one of the {network.n_outputs} outputs, got {k}")
        return cls._combined(network, np.eye(network.n_outputs)[k])

    @classmethod
    def _combined(cls, network: ReLUNetwork, weights: Float[np.ndarray, " k"]) -> TwoLayerReLU:
        """The sum of the outputs with these weights."""
        w2 = weights @ np.atleast_2d(network.W2)
        live = w2 != 0
        W1, w2 = network.W1[live], w2[live]
        slope = weights @ np.atleast_2d(network.skip)
        if slope.any():
            W1, w2 = np.vstack([W1, slope, -slope]), np.r_[w2, 1.0, -1.0]
        return cls(*absorb(W1, w2, float(weights @ np.atleast_1d(network.output_bias))))

    @classmethod
    def from_sklearn(cls, estimator: Any) -> TwoLayerReLU | ReLUNetwork:
        """Return the network of a fitted perceptron; it acts on ``with_bias(X)``.

        Biases are converted as in :meth:`from_weights`. The values are the log-odds of a classifier of two
        classes (+1 stands for the larger label), the logits of one of K, and a regressor's predictions.

        Parameters
        ----------
        estimator : sklearn.neural_network.MLPClassifier or MLPRegressor, or sklearn.pipeline.Pipeline
            Fitted, with one hidden layer and ``activation="relu"``. Of a Pipeline, the last step; its
            StandardScaler, MinMaxScaler, MaxAbsScaler, RobustScaler or PCA before that are folded into the
            first layer, so that the network acts on the data that the Pipeline is given.

        Returns
        -------
        TwoLayerReLU, or ReLUNetwork for K > 1 outputs
            d + 1 features; one neuron a hidden unit, and one for the output bias of one output.

        Raises
        ------
        InvalidInputError
            If it is anything else; the message names the step and says what to do.
        """
        return cls._from_parts(sklearn_parts(estimator))

    @classmethod
    def from_torch(cls, module: Any) -> TwoLayerReLU | ReLUNetwork:
        """Return the network of ``nn.Sequential(nn.Linear(d, m), nn.ReLU(), nn.Linear(m, K))``.

        If either layer was made with a bias (zero or not), the network acts on ``with_bias(X)`` and biases
        are converted as in :meth:`from_weights`. If both were made with ``bias=False``, it acts on X itself
        and has d features. The difference of a softmax head's two outputs: :meth:`from_difference`.

        Parameters
        ----------
        module : torch.nn.Sequential, or mapping
            Weights in any precision, on any device. Dropout and Identity, which do nothing once training is
            over, may stand between the layers. Or the ``state_dict()`` of any module of two linear layers: it
            does not tell what is between them, which must be ReLU.

        Returns
        -------
        TwoLayerReLU, or ReLUNetwork for K > 1 outputs
            The same function.

        Raises
        ------
        InvalidInputError
            If it is anything else; the message names the layer and says what to do.
        """
        return cls._from_parts(torch_parts(module))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> TwoLayerReLU | ReLUNetwork:
        """Return the network in a file, of this package or of weights written by others.

        Parameters
        ----------
        path : str or path
            ``.json``, written by :meth:`save`; ``.npz`` with the arrays W1, w2 and perhaps b1 and b2, as in
            :meth:`from_weights`; ``.pt`` or ``.pth``, a ``state_dict`` as in :meth:`from_torch` (needs
            PyTorch; nothing but plain weights is read, so that no code in the file can run).

        Returns
        -------
        TwoLayerReLU, or ReLUNetwork for K > 1 outputs
            The same function.

        Raises
        ------
        InvalidInputError
            If the file is missing or holds anything else; the message names it.
        """
        if Path(path).suffix.lower() == ".json":
            return (ReLUNetwork if kind_of(path) == ReLUNetwork._kind else cls).load(path)
        return cls._from_parts(parts_from_file(path))

    @classmethod
    def _from_parts(cls, parts: Parts) -> TwoLayerReLU | ReLUNetwork:
        if len(parts.W2) == 1:
            return cls(*parts.absorbed())
        return ReLUNetwork(parts.first, parts.W2, output_bias=parts.constant)

    def _parts(self, wanted: str, *, biases: bool) -> Parts:
        return Parts(self.W1, None, self.w2[None, :], None).given_out(wanted, biases=biases)

    _kind = "convexrelu.TwoLayerReLU"
    _fields = ("n_features", "W1", "w2")

    def _document(self) -> dict[str, Any]:
        return {"n_features": self.n_features, "W1": self.W1.tolist(), "w2": self.w2.tolist()}

    @classmethod
    def _of(cls, document: dict[str, Any]) -> TwoLayerReLU:
        d = document["n_features"]
        if isinstance(d, bool) or not isinstance(d, int) or d < 1:
            raise InvalidInputError(f"n_features must be a positive number, got {d!r}")
        # With no neuron, JSON's [] has lost the number of columns.
        rows = document["W1"] or np.empty((0, d))
        return cls(as_matrix(rows, "W1", columns=d, min_rows=0), document["w2"])

    def __repr__(self) -> str:
        return (
            f"TwoLayerReLU(n_neurons={self.n_neurons}, n_features={self.n_features}, "
            f"objective={self.objective():.6g})"
        )

    def __str__(self) -> str:
        plus, minus = int(np.sum(self.w2 > 0)), int(np.sum(self.w2 < 0))
        head = (
            f"two-layer ReLU network: {self.n_neurons} neurons ({plus} positive, {minus} negative), "
            f"{self.n_features} features, norm {self.objective():.6g}"
        )
        return f"{head}\n{describe(self.W1, self.w2)}" if self.n_neurons else head
