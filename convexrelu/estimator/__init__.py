"""The scikit-learn face of the package: estimators that fit in its pipelines and searches."""

from convexrelu.estimator.certified import PathScores
from convexrelu.estimator.max_margin import MaxMarginReLUClassifier
from convexrelu.estimator.pursuit import NeuronPursuitClassifier, NeuronPursuitRegressor
from convexrelu.estimator.weight_decay import ReLUClassifier, ReLURegressor

__all__ = [
    "MaxMarginReLUClassifier",
    "NeuronPursuitClassifier",
    "NeuronPursuitRegressor",
    "PathScores",
    "ReLUClassifier",
    "ReLURegressor",
]
