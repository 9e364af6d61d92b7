"""``brenier ddpm import``: models of other programs."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from brenier.cli._app import ddpm
from brenier.cli._console import announce, progress_bar
from brenier.cli._ddpm_choices import any_of, one_of
from brenier.cli._ddpm_options import Context, of_network, of_training, said
from brenier.cli._options import Json
from brenier.io import GuidedDiffusion

_GUIDED = GuidedDiffusion()


@ddpm.command("import")
def import_(
    ctx: Context,
    checkpoint: Annotated[
        Path,
        typer.Argument(
            help="A file of weights, of PyTorch (.pt) or safetensors, or a folder of diffusers."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The model folder to write.")],
    family: Annotated[
        str | None,
        typer.Option(
            help="Whose network it is: guided-diffusion or diffusers; by default as it looks."
        ),
    ] = None,
    clipping: Annotated[
        bool,
        typer.Option(
            "--clipping/--no-clipping",
            help="Keep clip_sample of diffusers' scheduler, which only decoding can do.",
        ),
    ] = True,
    part: Annotated[
        str | None, typer.Option(help="Which dictionary of the file, as ema, where it has several.")
    ] = None,
    image_size: Annotated[
        int | None, of_network("Side of the images, where the weights do not say it.", 1)
    ] = None,
    class_cond: Annotated[
        bool | None,
        typer.Option(
            "--class-cond/--no-class-cond",
            help="Whether the network must know classes; by default as it is.",
            rich_help_panel="Network",
        ),
    ] = None,
    num_heads: Annotated[int | None, of_network("Number of attention heads.", -1)] = None,
    num_head_channels: Annotated[
        int | None, of_network("Channels of each attention head, in place of their number.", -1)
    ] = None,
    num_heads_upsample: Annotated[
        int | None, of_network("Number of attention heads on the way up, if another.", -1)
    ] = None,
    attention_order: Annotated[
        str | None,
        of_network("Order of heads and queries: new (use_new_attention_order) or legacy."),
    ] = None,
    dropout: Annotated[float, of_network("Dropout, where it is trained further.")] = (
        _GUIDED.dropout
    ),
    noise_schedule: Annotated[
        str | None, of_training("The noise schedule, linear or cosine.")
    ] = None,
    diffusion_steps: Annotated[
        int, of_training("Number of steps of the schedule.", 2)
    ] = _GUIDED.diffusion_steps,
    rescale_timesteps: Annotated[
        bool,
        typer.Option(
            "--rescale-timesteps",
            help="The network is told steps of a thousand, whatever their number.",
            rich_help_panel="Training",
        ),
    ] = False,
    json: Json = False,
) -> None:
    """Make a model folder of CHECKPOINT, a public model's weights.

    Options have the names of guided-diffusion's flags. The weights say the rest: channels, blocks,
    places of attention, classes, resblock_updown, use_scale_shift_norm, learn_sigma. A folder of
    diffusers (a UNet2DModel and its scheduler) says all itself.
    """
    from brenier.cli._ddpm_import import run_import, run_import_diffusers
    from brenier.io import check_apart, check_outside, is_diffusers_folder

    check_apart([out], [checkpoint])
    check_outside(out, checkpoint)
    looks = "diffusers" if is_diffusers_folder(checkpoint) else "guided-diffusion"
    chosen = one_of("--family", family or looks, "guided-diffusion", "diffusers")
    _check_own(chosen, said(ctx))
    if chosen == "diffusers":
        with progress_bar() as progress:
            result, rows = run_import_diffusers(checkpoint, out, clipping, progress)
        announce(result, "Import", rows, json)
        return
    told = GuidedDiffusion(
        image_size=image_size,
        num_heads=_given(num_heads),
        num_head_channels=_given(num_head_channels),
        num_heads_upsample=_given(num_heads_upsample),
        attention_order=any_of("--attention-order", attention_order, "legacy", "new"),
        noise_schedule=any_of("--noise-schedule", noise_schedule, "linear", "cosine"),
        diffusion_steps=diffusion_steps,
        rescale_timesteps=rescale_timesteps,
        dropout=dropout,
        class_cond=class_cond,
        part=part,
    )
    with progress_bar() as progress:
        result, rows = run_import(checkpoint, out, told, progress)
    announce(result, "Import", rows, json)


def _check_own(family: str, options: frozenset[str]) -> None:
    """Refuse options of the other family, which would do nothing."""
    guided = {field.name for field in dataclasses.fields(GuidedDiffusion)}
    others = {"clipping"} if family == "guided-diffusion" else guided
    for name in sorted(options & others):
        raise ValueError(
            f"--{name.replace('_', '-')}: got a value beside --family {family}; wants none: it is "
            "of the other family."
        )


def _given(count: int | None) -> int | None:
    """The count; guided-diffusion's flags say -1 for none."""
    return None if count == -1 else count
