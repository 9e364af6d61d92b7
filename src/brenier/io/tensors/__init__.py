"""Named tensors in the files of other programs: safetensors, and PyTorch's own, read without it."""

from brenier.io.tensors._weights import read_tensors

__all__ = ["read_tensors"]
