"""The independent checker: ``python -m convexrelu.check CERT DATA [--label COLUMN]``.

It reads a certificate and the data, recomputes every number with NumPy and the package's oracle, and
believes neither the file nor any solver: nothing here imports one. Exit code 0: the certificate holds. 1: it
does not. 2: the certificate or the data cannot be read.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from convexrelu.certificates import Certificate, MultiClassCertificate, load_certificate
from convexrelu.datasets import resolve
from convexrelu.errors import ConvexReLUError

__all__ = ["CheckResult", "check_certificate", "main"]


@dataclass(frozen=True, kw_only=True, eq=False)
class CheckResult:
    """Whether a certificate holds for data.

    Attributes
    ----------
    holds : bool
        Every number was recomputed and agreed.
    reason : str
        What is proven, or the first thing that does not hold.
    certificate : Certificate or MultiClassCertificate
        What the file claims.
    """

    holds: bool
    reason: str
    certificate: Certificate | MultiClassCertificate

    def __str__(self) -> str:
        return f"{'holds' if self.holds else 'does not hold'}: {self.reason}"


def check_certificate(
    certificate: str | os.PathLike[str], data: str | os.PathLike[str], *, label: str | None = None
) -> CheckResult:
    """Return whether the certificate in a file holds for the data: everything is recomputed, no solver used.

    Parameters
    ----------
    certificate : str or path
        What :meth:`Certificate.save` wrote.
    data : str or path
        A named data set, or a CSV, NPZ or Parquet file.
    label : str or None
        The label column of a file.

    Returns
    -------
    CheckResult
        With the reason in words.

    Raises
    ------
    CertificateError
        If the file holds no certificate.
    InvalidInputError
        If the data cannot be read.
    """
    loaded = load_certificate(certificate)
    X, y = resolve(data, label=label)
    try:
        loaded.check(X, y)
    except ConvexReLUError as error:
        return CheckResult(holds=False, reason=str(error), certificate=loaded)
    reason = f"{loaded.lower_bound:.9g} <= P* <= {loaded.objective:.9g}; {loaded.verdict}"
    return CheckResult(holds=True, reason=reason, certificate=loaded)


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code after printing one line.

    Parameters
    ----------
    arguments : sequence of str or None
        Those of the command line.

    Returns
    -------
    int
        0 holds, 1 does not hold, 2 unreadable.
    """
    parser = argparse.ArgumentParser(
        prog="python -m convexrelu.check",
        description="Check a certificate against data, without trusting any solver.",
    )
    parser.add_argument("certificate", help="file written by `convexrelu solve --out` or `certify --out`")
    parser.add_argument("data", help="named data set, or CSV, NPZ or Parquet file")
    parser.add_argument("--label", help="label column (default: 'label' if present, else the last one)")
    options = parser.parse_args(arguments)
    try:
        result = check_certificate(options.certificate, options.data, label=options.label)
    except (ConvexReLUError, OSError) as error:
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        return 2
    sys.stdout.write(f"{result}\n")
    return 0 if result.holds else 1


if __name__ == "__main__":
    sys.exit(main())
