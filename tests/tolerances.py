"""The tests' tolerances, each with its reason, relative to the size of what is compared."""

ROUNDING = 1e-12
"""Sums of up to a few hundred products of float64 numbers of one size: thousands of machine epsilons."""

KERNEL = 1e-10
"""Least squares on data of condition up to about 1e4: condition times epsilon, and a margin of a hundred."""

ILL_CONDITIONED = 1e-7
"""The same on rows that are nearly parallel on purpose (condition up to 1e9)."""

SOLVER = 1e-7
"""An answer of SciPy's iterative solvers, which stop at about 1e-10 on the squared objective."""

ORACLE = 1e-9
"""The tolerance at which `maximize_correlation` calls its own answer exact (its default)."""

FLOW_CLOSED_FORM = 1e-8
"""An adaptive integrator at rtol 1e-11 through an instability that grows rounding by up to 1e3."""

ESCAPE_TIME = 0.01
"""KH-beyond's escape times are limits; at delta = 1e-3 what is left is of order delta^2 N."""

RATE = 0.1
"""A power fitted over two decades; the next order and the reference's own delta^2 bend the line."""

FLOW = 1e-8
"""A gradient flow at its default tolerance of 1e-10 a step, over some hundred steps."""
