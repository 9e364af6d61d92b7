"""Encoders of diffusions, and how far from optimal they are: reference values of MATH_3."""
