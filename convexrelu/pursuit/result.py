"""What Neuron Pursuit returns: the grown network, and how it grew."""

from __future__ import annotations

from dataclasses import dataclass

from convexrelu.networks import FeedForward

__all__ = ["PursuitResult", "PursuitStep"]


@dataclass(frozen=True, kw_only=True, eq=False)
class PursuitStep:
    """One iteration: a neuron was added, and the network refitted.

    Attributes
    ----------
    iteration : int
        1 for the network of one neuron in each hidden layer.
    layer : int
        The hidden layer that grew, 1..L-1; 0 in iteration 1, which makes all of them.
    ncf_value : float
        NCF of what was added: a KKT value of the residual before, weights of unit norm. In iteration 1 that
        of the targets, ``y^T H(X; w)``.
    kkt_residual : float
        First-order residual there, in Clarke's sense at kinks.
    proven : bool
        Whether the exact oracle proved that value the global maximum (of its layer).
    delta : float
        Norm of the weights that were added.
    start : FeedForward
        The network with the small new neuron, where the refit started.
    start_loss : float
        Its loss: below that of the iteration before (NP Lemmas 12 and 13, checked).
    network : FeedForward
        The network after the refit, balanced for power 1.
    loss : float
        ``||y - H(X)||^2 / 2`` of it.
    relative_error : float
        ``||y - H(X)|| / ||y||`` of it.
    inner_steps : int
        Steps of the inner solver.
    seconds : float
        Wall time from the start of the pursuit to the end of the iteration.
    """

    iteration: int
    layer: int
    ncf_value: float
    kkt_residual: float
    proven: bool
    delta: float
    start: FeedForward
    start_loss: float
    network: FeedForward
    loss: float
    relative_error: float
    inner_steps: int
    seconds: float

    @property
    def n_neurons(self) -> tuple[int, ...]:
        """The widths of the hidden layers after the iteration."""
        return self.network.widths[1:-1]

    def __str__(self) -> str:
        grown = "one neuron a layer" if self.layer == 0 else f"layer {self.layer} grows"
        return (
            f"{self.iteration:3d}  {grown:<18}  NCF {self.ncf_value:<10.4g}  KKT {self.kkt_residual:.0e}  "
            f"error {self.relative_error:.3e}  neurons {self.n_neurons}  {self.inner_steps} steps, "
            f"{self.seconds:.1f} s"
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class PursuitResult:
    """A network grown by Neuron Pursuit.

    Attributes
    ----------
    network : FeedForward
        That of the last iteration: the loss falls from each iteration to the next. Zero if there was none.
    history : tuple of PursuitStep
        One entry an iteration.
    status : str
        Why it ended: "tolerance" (the relative error is small enough), "stopped" (the caller's own test),
        "max_iterations", "zero_ncf" (no neuron correlates with the residual in any layer, to first order),
        "no_descent" (one does, but adding it lowered the loss at no scale tried), "time_limit" or
        "interrupted" (Ctrl-C).
    """

    network: FeedForward
    history: tuple[PursuitStep, ...]
    status: str

    @property
    def loss(self) -> float:
        """The loss after the last iteration; NaN if there was none."""
        return self.history[-1].loss if self.history else float("nan")

    @property
    def relative_error(self) -> float:
        """The relative error after the last iteration; NaN if there was none."""
        return self.history[-1].relative_error if self.history else float("nan")

    def __str__(self) -> str:
        return "\n".join([repr(self), *map(str, self.history)])

    def __repr__(self) -> str:
        return (
            f"PursuitResult({self.status}: {len(self.history)} iterations, hidden neurons "
            f"{self.network.widths[1:-1]}, relative error {self.relative_error:.3e})"
        )
