"""``brenier ddpm``: image diffusion models, trained, encoded, decoded, paired and audited."""

from pathlib import Path
from typing import Annotated

import typer

from brenier.cli._app import Json, OutFolder, Seed, app
from brenier.cli._console import announce, progress_bar

ddpm = typer.Typer(
    help="Image diffusion models: train, encode, decode, pair, audit.",
    no_args_is_help=True,
    add_completion=False,
)
app.add_typer(ddpm, name="ddpm")

Model = Annotated[Path, typer.Argument(help="A model folder that ddpm train wrote.")]
Images = Annotated[
    Path, typer.Argument(help="A folder of pictures, an .npy file, or an IDX file (.gz or not).")
]
Steps = Annotated[int, typer.Option(help="DDIM steps; 0: the adaptive flow.", min=0)]
Tolerance = Annotated[float, typer.Option(help="Of the adaptive flow.")]
Label = Annotated[int | None, typer.Option(help="The class to condition on.", min=0)]
Labels = Annotated[
    Path | None, typer.Option("--label-file", help="Labels of the images: .npy or IDX.")
]
Classes = Annotated[str | None, typer.Option(help="Take these classes only, as in 0,1,2.")]
Strict = Annotated[bool, typer.Option("--strict", help="Refuse a set with damaged files.")]
Limit = Annotated[int | None, typer.Option(help="Take so many images, at most.", min=1)]
Grid = Annotated[Path, typer.Option("--out", "-o", help="The picture to write (.png).")]
Count = Annotated[int, typer.Option("-n", help="How many codes.", min=1)]


@ddpm.command()
def train(
    images: Images,
    out: Annotated[Path, typer.Option("--out", "-o", help="The model folder to write.")],
    label_file: Labels = None,
    classes: Classes = None,
    conditional: Annotated[
        bool, typer.Option("--conditional", help="Learn the labels too.")
    ] = False,
    size: Annotated[int | None, typer.Option(help="Resize to squares of this side.")] = None,
    colours: Annotated[str | None, typer.Option(help="Convert to grey or rgb.")] = None,
    levels: Annotated[int, typer.Option(help="Grey levels of integer arrays.")] = 256,
    strict: Strict = False,
    steps: Annotated[int, typer.Option(help="Gradient steps.", min=1)] = 2000,
    batch: Annotated[int, typer.Option(help="Images a step.", min=1)] = 64,
    rate: Annotated[float, typer.Option(help="Of Adam, at its highest.")] = 2e-3,
    weight_decay: Annotated[float, typer.Option(help="Of AdamW; 0 for Adam.")] = 0.0,
    width: Annotated[int, typer.Option(help="Channels at full resolution.")] = 32,
    multipliers: Annotated[str, typer.Option(help="Of the width, finest first.")] = "1,2",
    blocks: Annotated[int, typer.Option(help="Residual blocks a resolution.")] = 1,
    attention: Annotated[str, typer.Option(help="Heights with attention, as in 16,8.")] = "",
    heads: Annotated[int, typer.Option(help="Of the attention.")] = 1,
    dropout: Annotated[float, typer.Option(help="In training.")] = 0.0,
    prediction: Annotated[str, typer.Option(help="v or epsilon.")] = "v",
    schedule: Annotated[str, typer.Option(help="cosine or linear.")] = "cosine",
    checks: Annotated[
        int, typer.Option(help="How often the held-out loss, samples and a checkpoint.", min=1)
    ] = 20,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Train a model on IMAGES; run again to take up what Ctrl-C stopped.

    Beside the model: samples.png, drawn as it goes, and training.checkpoint until it is done.
    """
    from brenier.cli._ddpm_train import ImageChoice, Training, run_train

    choice = ImageChoice(images, label_file, classes, size, colours, levels, strict)
    settings = Training(
        steps,
        batch,
        rate,
        weight_decay,
        width,
        multipliers,
        blocks,
        attention,
        heads,
        dropout,
        prediction,
        schedule,
        checks,
        seed,
        conditional,
    )
    with progress_bar() as progress:
        result, rows = run_train(choice, out, settings, progress)
    announce(result, "Training", rows, json)


@ddpm.command()
def encode(
    model: Model,
    images: Images,
    out: Annotated[Path, typer.Option("--out", "-o", help="The codes to write (.npy).")],
    steps: Steps = 0,
    tolerance: Tolerance = 1e-6,
    label: Label = None,
    strict: Strict = False,
    limit: Limit = None,
    json: Json = False,
) -> None:
    """Codes of IMAGES (n, d), and how far decoding them leads back."""
    from brenier.cli._ddpm_maps import run_encode

    with progress_bar() as progress:
        result, rows = run_encode(
            model, images, out, steps, tolerance, label, strict, limit, progress
        )
    announce(result, "Encode", rows, json)


@ddpm.command()
def decode(
    model: Model,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Images: .npy, or .png for a grid of them.")
    ],
    codes: Annotated[Path | None, typer.Argument(help="An .npy file (n, d).")] = None,
    n: Count = 16,
    steps: Steps = 0,
    tolerance: Tolerance = 1e-6,
    label: Label = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Images of CODES; without CODES, of -n random ones: samples of the model."""
    from brenier.cli._ddpm_maps import run_decode

    with progress_bar() as progress:
        result, rows = run_decode(model, codes, out, n, steps, tolerance, label, seed, progress)
    announce(result, "Decode", rows, json)


@ddpm.command()
def pair(
    models: Annotated[list[Path], typer.Argument(help="Two model folders or more.")],
    out: Grid,
    n: Count = 16,
    steps: Steps = 50,
    tolerance: Tolerance = 1e-6,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """The same random codes decoded by several models: a column a code, a row a model."""
    from brenier.cli._ddpm_maps import run_pair

    with progress_bar() as progress:
        result, rows = run_pair(models, out, n, steps, tolerance, seed, progress)
    announce(result, "Pair", rows, json)


@ddpm.command()
def labels(
    model: Model,
    out: Grid,
    labels: Annotated[str, typer.Option(help="The classes, as in 3,5,8.")],
    n: Count = 16,
    steps: Steps = 50,
    tolerance: Tolerance = 1e-6,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """The same random codes decoded under several labels: a column a code, a row a label."""
    from brenier.cli._ddpm_maps import run_labels

    with progress_bar() as progress:
        result, rows = run_labels(model, out, labels, n, steps, tolerance, seed, progress)
    announce(result, "Labels", rows, json)


@ddpm.command()
def audit(
    model: Model,
    images: Images,
    label_file: Labels = None,
    classes: Classes = None,
    steps: Steps = 100,
    tolerance: Tolerance = 1e-6,
    strict: Strict = False,
    limit: Limit = 500,
    level: Annotated[float, typer.Option(help="The confidence of every interval.")] = 0.95,
    budget: Annotated[float, typer.Option(help="Seconds, about, for the lower bound.")] = 20.0,
    bits: Annotated[
        int, typer.Option(help="Images whose likelihood is computed; slow.", min=0)
    ] = 0,
    jacobians: Annotated[
        int, typer.Option(help="Images where the Jacobian's asymmetry is probed; slow.", min=0)
    ] = 0,
    report: Annotated[Path | None, typer.Option(help="The HTML report to write.")] = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Is the encoder optimal transport? IMAGES (held out from training) against their codes.

    KRCO22's assignment test with the points it moves, and bounds of the defect that hold.
    """
    from brenier.cli._ddpm_audit import AuditChoice, run_encoder_audit
    from brenier.cli._ddpm_train import ImageChoice

    choice = ImageChoice(images, label_file, classes, None, None, None, strict)
    settings = AuditChoice(steps, tolerance, limit, level, budget, bits, jacobians, seed)
    with progress_bar() as progress:
        result, rows = run_encoder_audit(model, choice, report, settings, progress)
    announce(result, "Audit of the encoder", rows, json)


@ddpm.command()
def demo(
    out: OutFolder = Path("ddpm-demo"),
    steps: Annotated[int | None, typer.Option(help="Gradient steps of each model.", min=1)] = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Two models of 8 x 8 digits, 0 to 4 and 5 to 9: paired by their codes, drawn and audited."""
    from brenier.cli._ddpm_demo import run_ddpm_demo

    with progress_bar() as progress:
        result, rows = run_ddpm_demo(out, seed, steps, progress)
    announce(result, "Image diffusion", rows, json)
