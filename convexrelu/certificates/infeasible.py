"""Infeasible data as a certificate: lam with next to no correlation bounds P* by next to infinity."""

from __future__ import annotations

import numpy as np

from convexrelu._typing import ArrayLike
from convexrelu._validation import as_class_labels, as_matrix, as_vector, one_vs_rest
from convexrelu.certificates.certificate import Certificate, assess
from convexrelu.certificates.multiclass import MultiClassCertificate
from convexrelu.errors import InvalidInputError
from convexrelu.networks import TwoLayerReLU
from convexrelu.oracle import dual_norm

__all__ = ["certify_infeasible"]


def certify_infeasible(X: ArrayLike, y: ArrayLike, farkas: ArrayLike) -> Certificate | MultiClassCertificate:
    """Return the certificate that no network without biases fits the labels.

    Its dual variable is the Farkas vector, with ``h(farkas) = 0`` but for the rounding of its entries, so
    that its lower bound ``y^T farkas / h(farkas)`` is infinite, or as large as that rounding allows. Saved,
    it proves that in exact arithmetic.

    Parameters
    ----------
    X : (n, d) array_like
        The data.
    y : (n,) array_like
        Two labels, or K classes.
    farkas : (n,) array_like
        What :class:`InfeasibleError` carries.

    Returns
    -------
    Certificate or MultiClassCertificate
        With an infinite objective. Of K classes, those that the vector says nothing about have the lower
        bound 0.

    Raises
    ------
    InvalidInputError
        If the vector has entries of the wrong sign for every class.

    Examples
    --------
    >>> certificate = certify_infeasible([[1.0, 0.0], [1.0, 0.0]], [1, -1], [1.0, -1.0])
    >>> certificate.proven().lower_bound
    inf
    """
    matrix = as_matrix(X)
    encoded = one_vs_rest(as_class_labels(y, length=len(matrix)))
    lam = as_vector(farkas, "farkas", length=len(matrix))
    of = [k for k, labels in enumerate(encoded.Y) if (labels * lam >= 0).all() and lam.any()]
    if not of:
        raise InvalidInputError("farkas must have y * farkas >= 0 for the labels, or for one class's")
    nobody = TwoLayerReLU(np.zeros((0, matrix.shape[1])), np.zeros(0))
    parts = []
    for k, labels in enumerate(encoded.Y):
        dual = lam if k == of[0] else np.zeros(len(lam))
        norm = dual_norm(matrix, dual, search=False)
        parts.append(assess(matrix, labels, nobody, dual, norm=norm, C=np.inf, better=nobody))
    if len(parts) == 1:
        return parts[0]
    return MultiClassCertificate(classes=encoded.classes, certificates=tuple(parts))
