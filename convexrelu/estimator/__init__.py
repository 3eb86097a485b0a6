"""The scikit-learn face of the package: estimators that fit in its pipelines and searches."""

from convexrelu.estimator.pursuit import NeuronPursuitClassifier, NeuronPursuitRegressor

__all__ = ["NeuronPursuitClassifier", "NeuronPursuitRegressor"]
