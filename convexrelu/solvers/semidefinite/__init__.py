"""A bound in any dimension from a semidefinite program: stated, solved, branched."""
