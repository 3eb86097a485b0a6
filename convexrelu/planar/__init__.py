"""The geometry of two dimensions, computed."""
