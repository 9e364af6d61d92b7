"""The version, said here alone: of the wheel, of ``brenier --version`` and of what is saved."""

__version__ = "0.2.0"
