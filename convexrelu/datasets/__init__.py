"""Data to train on: the paper's, real ones, generated ones, and files."""

from convexrelu.datasets.dataset import Dataset, with_bias
from convexrelu.datasets.files import from_file, resolve
from convexrelu.datasets.generators import circles, moons, orthogonally_separable, spike_free, teacher
from convexrelu.datasets.named import load, names

__all__ = [
    "Dataset",
    "circles",
    "from_file",
    "load",
    "moons",
    "names",
    "orthogonally_separable",
    "resolve",
    "spike_free",
    "teacher",
    "with_bias",
]
