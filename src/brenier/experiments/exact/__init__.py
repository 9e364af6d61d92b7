"""The exact solvers against reference values and against other libraries."""
