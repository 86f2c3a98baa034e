"""Readers of the files that the statistics bureau exports from the national platform."""
