"""Outcomes of long work, each with its sentence."""
