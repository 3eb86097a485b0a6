"""Certificates: how good a network is, and how good any network can be, recomputed from the data alone."""

from convexrelu.certificates.bounds import Bounds, bound
from convexrelu.certificates.certificate import Certificate
from convexrelu.certificates.certify import certify
from convexrelu.certificates.infeasible import certify_infeasible
from convexrelu.certificates.kkt import KKTReport, check_kkt
from convexrelu.certificates.load import load_certificate
from convexrelu.certificates.multiclass import MultiClassCertificate
from convexrelu.certificates.multipliers import least_squares_multipliers, loss_weights
from convexrelu.certificates.regularized import RegularizedCertificate
from convexrelu.certificates.stored import Enclosure

__all__ = [
    "Bounds",
    "Certificate",
    "Enclosure",
    "KKTReport",
    "MultiClassCertificate",
    "RegularizedCertificate",
    "bound",
    "certify",
    "certify_infeasible",
    "check_kkt",
    "least_squares_multipliers",
    "load_certificate",
    "loss_weights",
]
