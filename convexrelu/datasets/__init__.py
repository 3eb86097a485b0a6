"""Data to train on: the paper's, real ones, generated ones, and files."""

from convexrelu.datasets.dataset import Dataset, with_bias
from convexrelu.datasets.files import from_file, resolve, task_from_file
from convexrelu.datasets.generators import circles, moons, orthogonally_separable, spike_free, teacher
from convexrelu.datasets.named import load, names
from convexrelu.datasets.preprocessing import Preprocessing
from convexrelu.datasets.tasks import (
    Task,
    matching_pursuit_example,
    modular_addition,
    pointer_value_retrieval,
    sparse_function,
    sparse_function_names,
)

__all__ = [
    "Dataset",
    "Preprocessing",
    "Task",
    "circles",
    "from_file",
    "load",
    "matching_pursuit_example",
    "modular_addition",
    "moons",
    "names",
    "orthogonally_separable",
    "pointer_value_retrieval",
    "resolve",
    "sparse_function",
    "sparse_function_names",
    "spike_free",
    "task_from_file",
    "teacher",
    "with_bias",
]
