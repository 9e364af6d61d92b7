"""Named tensors in the files of other programs: safetensors, and PyTorch's own, read without it."""

from brenier.io.tensors._safetensors import Lazy, Place, safetensors_parts, safetensors_places
from brenier.io.tensors._weights import read_tensors

__all__ = ["Lazy", "Place", "read_tensors", "safetensors_parts", "safetensors_places"]
