"""Reading a file that holds some certificate."""

from __future__ import annotations

import os

from convexrelu.certificates import document
from convexrelu.certificates.certificate import Certificate
from convexrelu.certificates.multiclass import MultiClassCertificate
from convexrelu.certificates.regularized import RegularizedCertificate

__all__ = ["load_certificate"]


def load_certificate(
    path: str | os.PathLike[str],
) -> Certificate | MultiClassCertificate | RegularizedCertificate:
    """Return the certificate in a file: of a binary problem, of K classes, or of training with weight decay.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    Certificate, MultiClassCertificate or RegularizedCertificate
        As it was saved, not yet checked against any data.

    Raises
    ------
    CertificateError
        If the file holds no certificate.
    """
    values = document.read(path)
    if "loss" in values:
        return RegularizedCertificate.from_document(values)
    if "certificates" in values:
        return MultiClassCertificate.from_document(values)
    return Certificate.from_document(values)
