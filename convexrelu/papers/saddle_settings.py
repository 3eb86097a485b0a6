"""The training runs behind the figures of KH-beyond and of NP sections 3 and 4, at sizes that take seconds.

The papers' targets come from "a smaller network" not specified further: here it has Gaussian weights, the
values are scaled to mean square one, and the loss is the mean. Networks start from Gaussian weights scaled
to a norm that is given. Where the activation is smooth the flow itself is followed, else descent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from convexrelu.datasets import load
from convexrelu.ncf import maximize_ncf
from convexrelu.networks import GELU, RELU, Activation, FeedForward, PowerLeakyReLU, Tanh
from convexrelu.saddles import SaddleApproach, approach_of, limiting_path
from convexrelu.training import DeepTrajectory, gradient_descent, gradient_flow

__all__ = [
    "EXAMPLE_1_TARGETS",
    "RUNS",
    "SQUARES",
    "Run",
    "beside",
    "descend",
    "example_1",
    "near_saddle",
    "noise_beside",
    "sphere",
]

SQUARES = PowerLeakyReLU(1.0, 2)

EXAMPLE_1_TARGETS = np.sqrt(2.0) * np.array([4.0, 1.0])

_RECORDED, _DESCENT_RECORDED = 400, 4000
"""Points of a run: where the flow moves; of descent at even steps, few of which an escape takes."""


def example_1(w: Sequence[float]) -> FeedForward:
    """Return the network of KH-beyond Example 1 at the weights w.

    Squares with frozen outputs sqrt 2, at the samples e_1 and e_2 with targets sqrt 2 (4, 1): the summed loss
    is ``(w_1^2 - 4)^2 + (w_2^2 - 1)^2`` and the NCF is ``8 w_1^2 + 2 w_2^2``.
    """
    root = np.sqrt(2.0)
    return FeedForward([np.diag(w), [[root, root]]], SQUARES, trainable=[np.eye(2), False])


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """The setting of one figure.

    Attributes
    ----------
    name : str
        The name of the figure's file.
    title : str
        The figure's title.
    widths : tuple of int
        The network; its first entry is the dimension of the data.
    teacher : tuple of int
        The hidden widths of the teacher; none for the digits.
    activation : Activation
        Of both.
    norm : float
        The norm of the start.
    step_size : float
        Of descent; 0 for the flow.
    length : float
        The number of steps, or the true time of the flow at most.
    stop_gradient : float
        The part of its peak to which the gradient falls before the flow stops; 0 to go on.
    seed : int
        Of data, teacher and start.
    small : float
        Neurons are small before the escape up to this part of their layer's largest.
    prominence : float
        How deep a valley of the gradient's norm must be to be a saddle: more where the path from the origin
        bends on its way to the first one.
    source : str
        Who says that small ones stay small.
    beyond : bool
        Whether the run goes on beyond the first saddle, and what comes then is drawn too.
    sparser : bool
        Whether more and more neurons become small, as the paper sees it for GELU.
    """

    name: str
    title: str
    widths: tuple[int, ...]
    teacher: tuple[int, ...]
    activation: Activation
    norm: float
    step_size: float = 0.0
    length: float
    stop_gradient: float = 0.0
    seed: int = 0
    small: float = 0.1
    source: str
    prominence: float = 2.0
    beyond: bool = False
    sparser: bool = False

    @property
    def setting(self) -> str:
        """What is run, in words."""
        data = "the 360 digits 0 and 1 of scikit-learn (8 x 8, unit norm; the paper: MNIST, 14 x 14)"
        if self.teacher:
            hidden = "-".join(map(str, self.teacher))
            data = f"100 points on the sphere of R^{self.widths[0]}, targets of a network {hidden}"
        how = f"descent, {self.length:.0f} steps of {self.step_size:g}" if self.step_size else "gradient flow"
        return (
            f"widths {'-'.join(map(str, self.widths))}, {self.activation!r}; {data}; mean square loss; "
            f"Gaussian start of norm {self.norm:g}, seed {self.seed}; {how}"
        )

    def follow(self) -> DeepTrajectory:
        """Return the run."""
        rng = np.random.default_rng(self.seed)
        X, y = self._data(rng)
        start = _gaussian(self.widths, self.activation, rng)
        start = start.scaled_weights(self.norm / start.norm)
        if not self.step_size:
            return _flow(X, y, start, t_max=self.length, rtol=1e-6, stop_gradient=self.stop_gradient or None)
        steps = int(self.length)
        grid = np.arange(0, steps + 1, max(1, steps // _DESCENT_RECORDED))
        return descend(X, y, start, step_size=self.step_size, n_steps=steps, record=grid)

    def _data(self, rng: np.random.Generator) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " n"]]:
        if not self.teacher:
            digits = load("digits-0-1", standardize=False, bias=False)
            return digits.X / np.linalg.norm(digits.X, axis=1, keepdims=True), digits.y
        X = sphere(100, self.widths[0], rng)
        y = _gaussian((self.widths[0], *self.teacher, 1), self.activation, rng)(X)
        return X, y / np.sqrt(np.mean(y**2))


def sphere(n: int, d: int, rng: np.random.Generator) -> Float[np.ndarray, "n d"]:
    """Return n points drawn evenly from the unit sphere."""
    X = rng.normal(size=(n, d))
    return np.asarray(X / np.linalg.norm(X, axis=1, keepdims=True))


def descend(
    X: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, ...],
    start: FeedForward,
    *,
    step_size: float,
    n_steps: int,
    record: int | Float[np.ndarray, " k"] | Int[np.ndarray, " k"],
    stop_loss: float | None = None,
) -> DeepTrajectory:
    """Return a run of descent on half the mean square."""
    return gradient_descent(
        X,
        y,
        start,
        step_size=step_size,
        n_steps=n_steps,
        record=record,
        stop_loss=stop_loss,
        loss="square",
        reduction="mean",
    )


def _flow(
    X: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, " n"],
    start: FeedForward,
    *,
    t_max: float,
    rtol: float,
    stop_gradient: float | None = None,
) -> DeepTrajectory:
    """Return a run of the flow of the same loss, however long it takes."""
    return gradient_flow(
        X,
        y,
        start,
        t_max=t_max,
        rtol=rtol,
        stop_gradient=stop_gradient,
        loss="square",
        reduction="mean",
        record=_RECORDED,
        time_limit=None,
    )


def _gaussian(widths: Sequence[int], activation: Activation, rng: np.random.Generator) -> FeedForward:
    return FeedForward([rng.normal(size=(k, j)) for j, k in pairwise(widths)], activation)


_PROVEN = "KH-beyond Theorem 18: what is zero at the KKT point stays small"
_SEEN = "seen in KH-beyond section 4 and appendix F; Theorem 18 does not cover it"

RUNS = (
    Run(
        name="kh-beyond-figures-1-14",
        title="KH-beyond Figures 1 and 14: two layers, squares",
        widths=(20, 50, 1),
        teacher=(2,),
        activation=SQUARES,
        norm=0.1,
        length=2300.0,
        source=_PROVEN,
        beyond=True,
    ),
    Run(
        name="kh-beyond-figures-4-15",
        title="KH-beyond Figures 4 and 15: three layers, squares",
        widths=(20, 20, 20, 1),
        teacher=(2, 2),
        activation=SQUARES,
        norm=0.3,
        length=1.279267e8,
        prominence=5.0,
        source=_PROVEN,
        beyond=True,
    ),
    Run(
        name="kh-beyond-figure-5",
        title="KH-beyond Figure 5: two layers, ReLU",
        widths=(20, 50, 1),
        teacher=(2,),
        activation=RELU,
        norm=1e-4,
        step_size=0.2,
        length=3000.0,
        seed=6,
        source=_SEEN,
    ),
    Run(
        name="kh-beyond-figure-6",
        title="KH-beyond Figure 6: three layers, ReLU",
        widths=(20, 20, 30, 1),
        teacher=(2, 2),
        activation=RELU,
        norm=3e-2,
        step_size=0.1,
        length=40000.0,
        source=_SEEN,
    ),
    Run(
        name="kh-beyond-figure-7",
        title="KH-beyond Figure 7: four layers, ReLU",
        widths=(20, 20, 20, 20, 1),
        teacher=(3, 3, 3),
        activation=RELU,
        norm=0.1,
        step_size=0.4,
        length=150_000.0,
        seed=3,
        source=_SEEN,
    ),
    Run(
        name="kh-beyond-figures-8-16-17",
        title="KH-beyond Figures 8, 16 and 17: digits 0 and 1, four layers, ReLU",
        widths=(64, 20, 20, 20, 1),
        teacher=(),
        activation=RELU,
        norm=0.2,
        step_size=0.4,
        length=52_000.0,
        source=_SEEN,
    ),
    Run(
        name="kh-beyond-figure-9",
        title="KH-beyond Figure 9: two layers, tanh",
        widths=(20, 50, 1),
        teacher=(2,),
        activation=Tanh(),
        norm=1e-3,
        step_size=0.1,
        length=20_000.0,
        source=_SEEN,
    ),
    Run(
        name="kh-beyond-figure-10",
        title="KH-beyond Figure 10: three layers, tanh",
        widths=(20, 20, 30, 1),
        teacher=(2, 2),
        activation=Tanh(),
        norm=0.01,
        step_size=1.0,
        length=6000.0,
        source=_SEEN,
    ),
    Run(
        name="kh-beyond-figure-11",
        title="KH-beyond Figure 11: four layers, tanh",
        widths=(20, 20, 30, 30, 1),
        teacher=(2, 2, 2),
        activation=Tanh(),
        norm=0.1,
        step_size=1.0,
        length=21_500.0,
        small=0.2,
        source=_SEEN,
    ),
    Run(
        name="kh-beyond-figure-12",
        title="KH-beyond Figure 12: two layers, GELU",
        widths=(20, 50, 1),
        teacher=(2,),
        activation=GELU(),
        norm=1e-3,
        step_size=0.1,
        length=6000.0,
        source=_SEEN,
        sparser=True,
    ),
    Run(
        name="kh-beyond-figure-13",
        title="KH-beyond Figure 13: three layers, GELU",
        widths=(20, 20, 30, 1),
        teacher=(2, 2),
        activation=GELU(),
        norm=0.05,
        step_size=0.5,
        length=12_000.0,
        source=_SEEN,
        sparser=True,
    ),
)


def near_saddle(activation: PowerLeakyReLU, *, delta: float, seed: int = 0) -> SaddleApproach:
    """Return a run of three layers of ten neurons from near a saddle with one active neuron a layer.

    The saddle is where the path from the best KKT point of the network of one neuron a layer ends; the start
    adds Gaussian weights of norm `delta` times the saddle's to the other neurons.
    """
    X, y, saddle, noise = _narrow_saddle(activation, seed)
    start = beside(saddle, noise, delta)
    if activation.power > 1:
        return approach_of(_flow(X, y, start, t_max=70.0 / delta, rtol=1e-7), saddle)
    run = descend(X, y, start, step_size=0.05, n_steps=24_000, record=np.arange(0, 24_001, 80))
    # Its steps of 0.05 throw sums of small neurons to and fro over a kink by up to 5.5e-4 of their size from
    # the nearest start, and steps 8 times shorter by 4e-5, while sums that are not on a kink stay where they
    # are, the next at 8e-4.
    return approach_of(run, saddle, tie_tol=6e-4)


@cache
def _narrow_saddle(
    activation: PowerLeakyReLU, seed: int
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " n"], FeedForward, FeedForward]:
    """Return data, a saddle, and small weights of norm one to be added to it."""
    rng = np.random.default_rng(seed)
    X = sphere(100, 20, rng)
    y = _gaussian((20, 5, 5, 1), activation, rng)(X)
    y /= np.sqrt(np.mean(y**2))
    narrowest = (20, 1, 1, 1)
    found = maximize_ncf(X, y, widths=narrowest, activation=activation, n_starts=3, rng=seed)
    kkt = found.points[0].network
    if activation.power > 1:
        narrow = limiting_path(kkt, X, y, scale=0.05).saddle
    else:
        narrow = descend(X, y, kkt, step_size=0.1, n_steps=100_000, record=1).network_at(-1)
    layers = [np.zeros((k, j)) for j, k in pairwise((20, 10, 10, 1))]
    for wide, W in zip(layers, narrow.weights, strict=True):
        wide[: W.shape[0], : W.shape[1]] = W
    saddle = FeedForward(layers, activation)
    return X, y, saddle, noise_beside(saddle, rng)


def noise_beside(saddle: FeedForward, rng: np.random.Generator) -> FeedForward:
    """Return Gaussian weights of norm 1 wherever the saddle has none."""
    weights = [np.where(W == 0.0, rng.normal(size=W.shape), 0.0) for W in saddle.weights]
    return saddle.with_weights(weights).normalized()


def beside(saddle: FeedForward, noise: FeedForward, delta: float) -> FeedForward:
    """Return the saddle and that noise, delta times the saddle's norm."""
    size = delta * saddle.norm
    return saddle.with_weights([W + size * V for W, V in zip(saddle.weights, noise.weights, strict=True)])
