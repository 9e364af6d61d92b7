"""``brenier ddpm``: image diffusion models, trained, encoded, decoded, paired and audited."""

from pathlib import Path
from typing import Annotated

import typer

from brenier.cli._app import ddpm
from brenier.cli._console import announce, progress_bar, progress_log
from brenier.cli._ddpm_choices import (
    AuditChoice,
    ImageChoice,
    LabelChoice,
    MapChoice,
    ParentChoice,
    integers,
    one_of,
)
from brenier.cli._ddpm_options import (
    Classes,
    ClassNames,
    Context,
    Controls,
    Count,
    Grid,
    Images,
    Label,
    Labels,
    Limit,
    Model,
    PrecisionName,
    Sampler,
    Steps,
    Strict,
    Tolerance,
    of_network,
    of_training,
    said,
)
from brenier.cli._options import Json, OutFolder, Seed
from brenier.images import DDPM, Precision, TrainingSettings, UNetSettings

# The defaults of the options; ``pair`` and ``labels``, which only draw pictures, have quicker ones.
_TRAINING = TrainingSettings()
_METHOD, _NETWORK = _TRAINING.method, _TRAINING.network
_MULTIPLIERS, _ATTENTION = (
    ",".join(map(str, values)) for values in (_NETWORK.multipliers, _NETWORK.attention)
)
_MAPS, _DRAWN_MAPS, _AUDIT = MapChoice(), MapChoice(steps=50), AuditChoice()


def _precision(text: str) -> Precision:
    return one_of("--precision", text, "highest", "tf32", "bfloat16")


def _maps(steps: int, tolerance: float, precision: str, sampler: str = "ddim") -> MapChoice:
    return MapChoice(
        steps, tolerance, _precision(precision), one_of("--sampler", sampler, "ddim", "bdia")
    )


@ddpm.command()
def train(
    ctx: Context,
    images: Images,
    out: Annotated[Path, typer.Option("--out", "-o", help="The model folder to write.")],
    parent: Annotated[
        Path | None,
        typer.Option("--from", help="A model folder to go on from; images get its size."),
    ] = None,
    label_file: Labels = None,
    classes: Classes = None,
    conditional: Annotated[
        bool, typer.Option("--conditional", help="Train a class-conditional model on the labels.")
    ] = False,
    size: Annotated[
        int | None, typer.Option(help="Crop and resize the images to squares of this side.")
    ] = None,
    colours: Annotated[str | None, typer.Option(help="Convert the images to grey or rgb.")] = None,
    levels: Annotated[
        int, typer.Option(help="Number of grey levels in arrays of integers.")
    ] = ImageChoice.levels,
    strict: Strict = False,
    steps: Annotated[int, of_training("Number of gradient steps.", 1)] = _METHOD.steps,
    batch: Annotated[int, of_training("Images in each gradient step.", 1)] = _METHOD.batch,
    learning_rate: Annotated[
        float, of_training("Learning rate of AdamW, at its maximum.")
    ] = _METHOD.learning_rate,
    weight_decay: Annotated[
        float, of_training("Weight decay of AdamW; 0 for Adam.")
    ] = _METHOD.weight_decay,
    width: Annotated[int, of_network("Channels at full resolution.")] = _NETWORK.width,
    multipliers: Annotated[
        str, of_network("Channels at each resolution, finest first, as multiples of the width.")
    ] = _MULTIPLIERS,
    blocks: Annotated[int, of_network("Residual blocks at each resolution.")] = _NETWORK.blocks,
    attention: Annotated[
        str, of_network("Image heights with self-attention, as in 16,8.")
    ] = _ATTENTION,
    heads: Annotated[int, of_network("Number of attention heads.")] = _NETWORK.heads,
    dropout: Annotated[float, of_network("Probability of dropout in training.")] = _NETWORK.dropout,
    prediction: Annotated[
        str, of_network("What the network predicts, v or epsilon.")
    ] = _TRAINING.prediction,
    schedule: Annotated[
        str, of_training("The noise schedule, cosine or linear.")
    ] = _TRAINING.schedule,
    precision: Annotated[
        str, of_training("Products of the network: highest, tf32 or bfloat16.")
    ] = _METHOD.precision,
    parts: Annotated[
        int, of_training("Go through each batch in so many parts: less memory.", 1)
    ] = _METHOD.parts,
    checkpointed: Annotated[
        bool,
        typer.Option(
            "--checkpointed",
            help="Compute activations again rather than keep them: less memory.",
            rich_help_panel="Training",
        ),
    ] = _METHOD.checkpointed,
    checks: Annotated[
        int,
        of_training(
            "How many times to compute the held-out loss, draw samples and save a checkpoint.", 1
        ),
    ] = _TRAINING.checks,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Train a diffusion model on IMAGES. After Ctrl-C, the same command continues the training.

    With --from, a model is trained further: its prediction, schedule and network stay, but for
    options that are given and keep the shapes of its weights (--dropout, --heads).

    Every check draws samples.png in the model folder, and keeps training.checkpoint until the end.
    """
    from brenier.cli._ddpm_train import run_train
    from brenier.io import check_apart, check_outside

    check_apart([out], [images, label_file, parent])
    check_outside(out, images)
    choice = ImageChoice(images, label_file, classes, size, colours, levels, strict)
    settings = TrainingSettings(
        method=DDPM(
            steps=steps,
            batch=batch,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            precision=_precision(precision),
            parts=parts,
            checkpointed=checkpointed,
        ),
        network=UNetSettings(
            width=width,
            multipliers=integers("--multipliers", multipliers),
            blocks=blocks,
            attention=integers("--attention", attention),
            heads=heads,
            dropout=dropout,
        ),
        prediction=one_of("--prediction", prediction, "v", "epsilon"),
        schedule=one_of("--schedule", schedule, "cosine", "linear"),
        checks=checks,
    )
    with progress_bar() as progress:
        result, rows = run_train(
            choice,
            out,
            settings,
            progress,
            seed=seed,
            conditional=conditional,
            parent=None if parent is None else ParentChoice(parent, said(ctx)),
        )
    announce(result, "Training", rows, json)


@ddpm.command()
def encode(
    model: Model,
    images: Images,
    out: Annotated[Path, typer.Option("--out", "-o", help="The codes to write (.npy).")],
    steps: Steps = _MAPS.steps,
    tolerance: Tolerance = _MAPS.tolerance,
    precision: PrecisionName = _MAPS.precision,
    sampler: Sampler = _MAPS.sampler,
    label: Label = None,
    strict: Strict = False,
    limit: Limit = None,
    json: Json = False,
) -> None:
    """Compute the codes (n, d) of IMAGES, and the relative error of decoding them again."""
    from brenier.cli._ddpm_encode import run_encode
    from brenier.io import check_apart

    check_apart([out], [images])
    with progress_bar() as progress:
        choice, maps = (
            ImageChoice(images, strict=strict),
            _maps(steps, tolerance, precision, sampler),
        )
        result, rows = run_encode(model, choice, out, maps, label, limit, progress)
    announce(result, "Encode", rows, json)


@ddpm.command()
def decode(
    model: Model,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="The images to write: .npy, or .png for a grid of them."),
    ],
    codes: Annotated[
        Path | None, typer.Argument(help="An .npy file of codes (n, d), as ddpm encode writes.")
    ] = None,
    n: Count = 16,
    steps: Steps = _MAPS.steps,
    tolerance: Tolerance = _MAPS.tolerance,
    precision: PrecisionName = _MAPS.precision,
    sampler: Sampler = _MAPS.sampler,
    label: Label = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Compute the images of CODES or, without CODES, of random ones: samples of the model."""
    from brenier.cli._ddpm_maps import run_decode
    from brenier.io import check_apart

    check_apart([out], [codes])
    with progress_bar() as progress:
        maps = _maps(steps, tolerance, precision, sampler)
        result, rows = run_decode(model, codes, out, n, maps, label, seed, progress)
    announce(result, "Decode", rows, json)


@ddpm.command()
def pair(
    models: Annotated[list[Path], typer.Argument(help="Two model folders or more.")],
    out: Grid,
    n: Count = 16,
    steps: Steps = _DRAWN_MAPS.steps,
    tolerance: Tolerance = _DRAWN_MAPS.tolerance,
    precision: PrecisionName = _DRAWN_MAPS.precision,
    label: Label = None,
    controls: Controls = True,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Draw the same random codes decoded by several models: a row a model, a column a code.

    Models with classes are conditioned on the label. Says how much nearer images of one code are
    than others, beside controls that should not be.
    """
    from brenier.cli._ddpm_maps import run_pair

    with progress_bar() as progress:
        maps = _maps(steps, tolerance, precision)
        result, rows = run_pair(models, out, n, maps, label, seed, controls, progress)
    announce(result, "Pair", rows, json)


@ddpm.command()
def labels(
    model: Model,
    out: Grid,
    labels: Annotated[str, typer.Option(help="The labels to decode under, as in 3,5,8, or names.")],
    class_names: ClassNames = None,
    n: Count = 16,
    steps: Steps = _DRAWN_MAPS.steps,
    tolerance: Tolerance = _DRAWN_MAPS.tolerance,
    precision: PrecisionName = _DRAWN_MAPS.precision,
    controls: Controls = True,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Draw the same random codes decoded under several labels: a row a label, a column a code.

    Says how much nearer images of one code are than others, beside controls that should not be.
    """
    from brenier.cli._ddpm_maps import run_labels

    with progress_bar() as progress:
        maps, choice = _maps(steps, tolerance, precision), LabelChoice(labels, class_names)
        result, rows = run_labels(model, out, choice, n, maps, seed, controls, progress)
    announce(result, "Labels", rows, json)


@ddpm.command()
def audit(
    model: Model,
    images: Images,
    label_file: Labels = None,
    classes: Classes = None,
    steps: Steps = _AUDIT.maps.steps,
    tolerance: Tolerance = _AUDIT.maps.tolerance,
    precision: PrecisionName = _AUDIT.maps.precision,
    label: Label = None,
    strict: Strict = False,
    limit: Limit = _AUDIT.limit,
    level: Annotated[
        float, typer.Option(help="The confidence level of every interval.")
    ] = _AUDIT.level,
    budget: Annotated[
        float, typer.Option(help="About how many seconds the upper bound may take.")
    ] = _AUDIT.budget,
    bits: Annotated[
        int, typer.Option(help="Number of images to compute the likelihood of; slow.", min=0)
    ] = _AUDIT.bits,
    jacobians: Annotated[
        int,
        typer.Option(help="Number of images to measure the Jacobian's asymmetry at; slow.", min=0),
    ] = _AUDIT.jacobians,
    controls: Controls = _AUDIT.controls,
    report: Annotated[Path | None, typer.Option(help="The HTML report to write.")] = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Audit whether the encoder is optimal transport, on IMAGES that it was not trained on.

    Computes the assignment test of KRCO22, and certified bounds of the defect of optimality; the
    test, and how much nearer images are to their own codes than to others, also of controls.
    """
    from brenier.cli._ddpm_audit import run_encoder_audit
    from brenier.io import check_apart

    check_apart([report], [images, label_file])
    choice = ImageChoice(images, label_file, classes, strict=strict)
    maps = _maps(steps, tolerance, precision)
    settings = AuditChoice(maps, limit, level, budget, bits, jacobians, seed, controls)
    with progress_bar() as progress:
        result, rows = run_encoder_audit(model, choice, report, label, settings, progress)
    announce(result, "Audit of the encoder", rows, json)


@ddpm.command()
def demo(
    out: OutFolder = Path("ddpm-demo"),
    steps: Annotated[int | None, typer.Option(help="Gradient steps of each model.", min=1)] = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Train two models, of the 8 x 8 digits 0 to 4 and 5 to 9; pair, draw and audit them."""
    from brenier.cli._ddpm_demo import run_ddpm_demo

    with progress_log("ddpm demo: two models of digits, some minutes") as progress:
        result, rows = run_ddpm_demo(out, seed, steps, progress)
    announce(result, "Image diffusion", rows, json)
