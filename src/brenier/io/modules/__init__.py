"""Maps, potentials, measures and image models as files, and the states of unfinished work."""

from brenier.io.modules._checkpoint import Checkpoint
from brenier.io.modules._diffusers import is_diffusers_folder, load_diffusers
from brenier.io.modules._guided_diffusion import GuidedDiffusion
from brenier.io.modules._imported import import_guided_diffusion, load_guided_diffusion
from brenier.io.modules._maps import load, load_growth, read_manifest, save
from brenier.io.modules._model_folder import (
    check_model_folder,
    load_model,
    read_model_config,
    save_model,
)
from brenier.io.modules._records import read_record, write_record

__all__ = [
    "Checkpoint",
    "GuidedDiffusion",
    "check_model_folder",
    "import_guided_diffusion",
    "is_diffusers_folder",
    "load",
    "load_diffusers",
    "load_growth",
    "load_guided_diffusion",
    "load_model",
    "read_manifest",
    "read_model_config",
    "read_record",
    "save",
    "save_model",
    "write_record",
]
