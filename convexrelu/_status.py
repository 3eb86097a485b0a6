"""The outcomes of long work: one vocabulary, each word with its sentence."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

__all__ = ["Status", "worst"]


class Status(StrEnum):
    """How long work ended. A member is equal to its word, so that ``status == "optimal"`` may be written.

    Attributes
    ----------
    sentence : str
        What it means, for a person.

    Examples
    --------
    >>> Status("time_limit").sentence
    'The limit of time, or of work, came first; what there was is returned.'
    >>> Status.FINISHED == "finished"
    True
    """

    sentence: str

    def __new__(cls, word: str, sentence: str = "") -> Status:
        """Keep the sentence beside the word."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.sentence = sentence
        return member

    def __repr__(self) -> str:
        return repr(self.value)

    # anything that can be cut short
    TIME_LIMIT = "time_limit", "The limit of time, or of work, came first; what there was is returned."
    INTERRUPTED = "interrupted", "Ctrl-C was pressed; what there was is returned."
    FINISHED = "finished", "It went as far as it was asked to."

    # solving
    OPTIMAL = "optimal", "The certified gap is within the tolerance."
    BOUNDED = "bounded", "Both bounds are certified, but no method within the limits brings them closer."

    # training
    CONVERGED = "converged", "Nothing moves any more."
    DIVERGED = "diverged", "A step led beyond float64; the last finite state is kept."
    STOP_LOSS = "stop_loss", "The loss is as low as was asked for."
    DIRECTION_CHANGE = "direction_change", "The direction of the weights no longer changes."
    CERTIFIED_GAP = "certified_gap", "The certified gap to the optimum is as small as was asked for."
    KKT_RESIDUAL = "kkt_residual", "The KKT conditions hold as closely as was asked for."
    NO_SOLUTION = "no_solution", "With this choice at ties the flow has no solution beyond this point."
    STALLED = "stalled", "No step, or no change of pattern, made progress."

    # the flow of the neural correlation function
    KKT_POINT = "kkt_point", "The direction has settled at a KKT point."
    ORIGIN = "origin", "The weights fade to the origin."
    ZERO = "zero", "The direction has settled where the function vanishes."
    MAX_STEPS = "max_steps", "More steps are needed than were allowed."

    # a neuron in the early phase
    ALIGNED = "aligned", "In its last cell, turning towards an extreme point."
    UNDER_WAY = "under_way", "Changes of pattern still lie ahead."
    INACTIVE = "inactive", "Zero on all the data: it rests."
    AT_REST = "at_rest", "Active, but without a pull."
    FADING = "fading", "Opposite to its pull: its direction stays, and its weights tend to zero."

    # pursuit
    TOLERANCE = "tolerance", "The relative error is as small as was asked for."
    STOPPED = "stopped", "The caller's own test ended it."
    MAX_ITERATIONS = "max_iterations", "More iterations are needed than were allowed."
    ZERO_NCF = "zero_ncf", "To lowest order, no neuron and no chain of neurons correlates with the residual."
    NO_DESCENT = (
        "no_descent",
        "A neuron correlates with the residual, but lowers the loss at no scale.",
    )


_SOLVING = (Status.OPTIMAL, Status.BOUNDED, Status.TIME_LIMIT, Status.INTERRUPTED)  # from good to bad


def worst(statuses: Iterable[Status]) -> Status:
    """Return the worst outcome of several problems that were solved."""
    return max(statuses, key=_SOLVING.index)
