"""``brenier ddpm``: what its commands write, and what they refuse."""

import functools
import json
import re

import jax
import numpy as np
import pytest

from brenier.cli import main
from brenier.cli._ddpm_choices import ImageChoice, LabelChoice
from brenier.cli._ddpm_train import image_rows
from brenier.images import ImageModel, UNet, UNetSettings
from brenier.io import load_model, open_images, read_model_config, save_model
from brenier.velocities import CosineSchedule

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (6, 8, 8), np.uint8)
TINY = ["--width", "2", "--multipliers", "1", "--steps", "4", "--batch", "3", "--checks", "2"]


def _model(classes=0, side=8, channels=1):
    settings = UNetSettings((side, side, channels), width=2, multipliers=(1,), classes=classes)
    net = UNet.random(jax.random.key(0), settings)
    random = np.random.default_rng(1)
    net = jax.tree.map(lambda a: a + 0.1 * random.normal(size=a.shape).astype(np.float32), net)
    return ImageModel(net, (side, side, channels), "v", CosineSchedule(), classes=classes)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with images, labels, and a model with two classes."""
    monkeypatch.chdir(tmp_path)
    np.save("images.npy", IMAGES)
    np.save("labels.npy", np.array([0, 1, 0, 1, 0, 1]))
    save_model("model", _model(classes=2))
    return tmp_path


def _result(capsys):
    captured = capsys.readouterr()
    assert captured.err == ""
    return json.loads(captured.out)


def test_encode_decode_pair_and_labels(home, capsys):
    from PIL import Image

    steps = ["--steps", "8", "--json"]
    assert main(["ddpm", "encode", "model", "images.npy", "-o", "codes.npy", *steps]) == 0
    result = _result(capsys)
    codes = np.load("codes.npy")
    points = 2.0 * (IMAGES / 255).reshape(6, 64) - 1.0
    expected = load_model("model").ddim_encoder(8)(points.astype(np.float32))
    np.testing.assert_allclose(codes, expected, atol=1e-4)
    assert result["cost"] == pytest.approx(np.mean(np.sum((codes - points) ** 2, axis=1)), rel=1e-5)
    assert main(["ddpm", "decode", "model", "codes.npy", "-o", "back.npy", *steps]) == 0
    capsys.readouterr()
    back = 2.0 * np.load("back.npy").reshape(6, 64) - 1.0
    inside = np.linalg.norm(np.clip(back, -1, 1) - points, axis=1)
    assert np.max(inside / np.linalg.norm(points, axis=1)) <= result["round_trip_error"] + 1e-6
    save_model("other", _model())
    alike = []
    for label in ([], ["--label", "1"]):
        pair = ["ddpm", "pair", "model", "other", "-n", "3", "-o", "grid.png", *label, *steps]
        assert main(pair) == 0
        result = _result(capsys)
        assert result["rows"] == ["model", "other"]
        (near,) = result["alignment"]
        alike.append(near["paired"]["paired"])
    assert alike[0] != alike[1]
    assert (near["first"], near["second"]) == ("model", "other")
    assert near["paired"].keys() == near["shuffled"].keys() == near["wrong schedule"].keys()
    command = ["ddpm", "labels", "model", "--labels", "1,0", "-n", "3", "-o", "two.png", *steps]
    assert main([*command, "--no-controls"]) == 0
    result = _result(capsys)
    assert result["rows"] == ["label 1", "label 0"]
    assert result["alignment"][0].keys() == {"first", "second", "paired", "shuffled"}
    with Image.open("two.png") as grid:
        assert grid.size[0] > grid.size[1]


def test_a_folder_is_encoded_in_blocks(home, capsys, monkeypatch):
    from PIL import Image

    from brenier.cli import _ddpm_encode

    monkeypatch.setattr(_ddpm_encode, "block_rows", lambda model: 2)
    (home / "folder").mkdir()
    for i, pixels in enumerate(IMAGES):
        Image.fromarray(pixels).save(home / "folder" / f"{i}.png")
    command = ["ddpm", "encode", "model", "folder", "-o", "codes.npy", "--steps", "4", "--json"]
    for damaged, kept in (("5.png", slice(5)), ("0.png", slice(1, 5))):
        (home / "folder" / damaged).write_bytes(b"no picture")
        assert main(command) == 0
        result = _result(capsys)
        codes = np.load("codes.npy")
        assert result["images"] == len(codes) == len(IMAGES[kept])
        points = 2.0 * (IMAGES[kept] / 255).reshape(-1, 64) - 1.0
        expected = load_model("model").ddim_encoder(4)(points.astype(np.float32))
        np.testing.assert_allclose(codes, expected, atol=1e-4)
        assert result["code_mean"] == pytest.approx(codes.mean(), rel=1e-4)
        assert result["code_deviation"] == pytest.approx(codes.std(), rel=1e-4)
        assert result["cost"] == pytest.approx(np.mean(np.sum((codes - points) ** 2, 1)), rel=1e-5)
    assert [name for name, _ in result["skipped"]] == ["folder/0.png", "folder/5.png"]


@pytest.mark.slow
def test_the_precision_of_the_products_is_asked_for_and_told(home, capsys):
    command = ["ddpm", "encode", "model", "images.npy", "-o", "codes.npy", "--json"]
    for steps, said in (("4", "4 DDIM steps"), ("0", "flow at tolerance 0.01")):
        assert main([*command, "--steps", steps, "--precision", "bfloat16"]) == 0
        result = _result(capsys)
        assert result["method"] == f"{said}, products in bfloat16"
        assert result["precision"] == "bfloat16"
    assert main([*command, "--precision", "half"]) == 2
    assert "--precision: got 'half'; wants highest or tf32 or bfloat16." in capsys.readouterr().err
    train = ["ddpm", "train", "images.npy", "-o", "coarse", *TINY, "--precision", "bfloat16"]
    assert main([*train, "--json"]) == 0
    capsys.readouterr()
    assert read_model_config("coarse")["about"]["precision"] == "bfloat16"


def test_a_grid_shows_every_image(home, capsys, monkeypatch):
    from brenier.cli import _ddpm_maps

    drawn = []
    monkeypatch.setattr(_ddpm_maps, "write_grid", lambda path, rows: drawn.extend(rows))
    assert main(["ddpm", "decode", "model", "-n", "16", "-o", "x.png", "--steps", "8"]) == 0
    assert [len(row) for _, row in drawn] == [12, 12]
    # The last row is filled up in white.
    blank = [bool(np.all(image == 1.0)) for image in drawn[1][1]]
    assert blank == [False] * 4 + [True] * 8


@pytest.mark.parametrize("n", [2, 12])
def test_codes_of_three_models_are_compared_with_controls(n, home, capsys, monkeypatch):
    from brenier.cli import _ddpm_maps

    # A linear "network": all models decode alike, up to a factor.
    def known(model, codes, maps, progress, stage="decoding"):
        return codes[::-1] if "wrong schedule" in stage else codes

    monkeypatch.setattr(_ddpm_maps, "decoded", known)
    for name in ("b", "c"):
        save_model(name, _model(classes=2))
    command = ["ddpm", "pair", "model", "b", "c", "-n", str(n), "-o", "g.png"]
    assert main([*command, "--json"]) == 0
    result = _result(capsys)
    pairs = [(one.pop("first"), one.pop("second")) for one in result["alignment"]]
    assert pairs == [("model", "b"), ("model", "c"), ("b", "c")]
    if n < 3:
        assert result["alignment"] == [{}, {}, {}]
        return
    for one in result["alignment"]:
        assert one["paired"]["correlation"] == pytest.approx(1.0)
        assert one["paired"]["p_value"] == 0.001
        # The codes are random, so that other rows are as far as any.
        for control in ("shuffled", "wrong schedule"):
            assert abs(one[control]["correlation"]) < 0.5
            assert one[control]["p_value"] > 0.01
    assert main(command) == 0
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "codes shuffled" in said
    assert "a wrong schedule is not near" in said


def test_an_audit_stands_beside_its_controls(home, capsys):
    np.save("many.npy", RANDOM.integers(0, 256, (45, 8, 8), np.uint8))
    command = ["ddpm", "audit", "model", "many.npy", "--steps", "4", "--budget", "0.1", "--json"]
    assert main(command) == 0
    result = _result(capsys)
    assert list(result["alignment"]) == ["paired", "shuffled", "wrong schedule"]
    assert result["alignment"]["paired"]["p_value"] < result["alignment"]["shuffled"]["p_value"]
    assert result["assignment_control"]["n"] == result["assignment"]["n"] == 45
    assert main([*command, "--no-controls", "--label", "1"]) == 0
    assert _result(capsys)["assignment"]["cost"] != result["assignment"]["cost"]
    assert "45 images in 64 dimensions: no proof of optimality" in result["shows"]


NAMES = "cock, rooster\ncrab, cock\n"


def test_labels_are_named_by_a_file(home):
    (home / "names.txt").write_text(NAMES)
    choice = LabelChoice("crab, rooster,1", home / "names.txt")
    assert choice.named(2) == [("crab", 1), ("rooster", 0), ("crab", 1)]


REFUSED = {
    "no model": (["encode", "absent", "images.npy", "-o", "c.npy"], "absent: got no such folder"),
    "a folder of others": (["encode", ".", "images.npy", "-o", "c.npy"], "without config.json"),
    "no images": (["encode", "model", "absent", "-o", "c.npy"], "absent: got no such file"),
    "ending": (["encode", "model", "images.npy", "-o", "c.csv"], "the ending '.csv'; wants .npy"),
    "label": (["encode", "model", "images.npy", "-o", "c.npy", "--label", "2"], "wants 0 to 1"),
    "label of a pair": (["pair", "model", "model", "-o", "g.png", "--label", "2"], "wants 0 to 1"),
    "label to audit": (["audit", "model", "images.npy", "--label", "2"], "wants 0 to 1"),
    "few images to audit": (
        ["audit", "plain", "images.npy"],
        "images.npy: got 6 images to audit; wants 20 at least.",
    ),
    "label of no class": (
        ["pair", "plain", "plain", "-o", "g.png", "--label", "0"],
        "--label: got 0; wants none: no model has classes.",
    ),
    "labels": (["labels", "model", "--labels", "0,x", "-o", "g.png"], "got '0,x'; wants integers"),
    "one model": (["pair", "model", "-o", "g.png"], "MODELS: got 1; wants two"),
    "another shape": (
        ["pair", "model", "wider", "-o", "g.png"],
        "wider: got images of shape (16, 16, 1); wants (8, 8, 1), those of model",
    ),
    "codes": (["decode", "model", "wide.npy", "-o", "x.npy"], "got dimension 3; wants dimension"),
    "few images": (["train", "images.npy", "-o", "new"], "fewer than a batch of 64"),
    "classes": (["train", "images.npy", "-o", "new", "--classes", "1"], "images without labels"),
    "conditional": (["train", "images.npy", "-o", "new", "--conditional"], "images without labels"),
    "multipliers": (["train", "images.npy", "-o", "new", "--multipliers", "1,1,1,1,1"], "halved"),
    "folder": (["train", "images.npy", "-o", "wide.npy"], "got a file; wants a folder"),
    "its input": (["train", "images.npy", "-o", "images.npy"], "replace the input images.npy"),
    "colours": (["train", "images.npy", "-o", "new", "--colours", "red"], "wants grey or rgb"),
    "prediction": (["train", "images.npy", "-o", "new", "--prediction", "x"], "--prediction: got"),
    "schedule": (["train", "images.npy", "-o", "new", "--schedule", "x"], "--schedule: got 'x'"),
    "large labels": (
        [
            "train",
            "images.npy",
            "-o",
            "new",
            "--label-file",
            "large.npy",
            "--conditional",
            "--batch",
            "3",
        ],
        "got labels up to 900 for 6 images",
    ),
    "wide grid": (["pair", "model", "model", "-n", "500", "-o", "g.png"], "-n: got 500 images"),
    "label out of range": (
        ["labels", "model", "--labels", "0,2", "-o", "g.png"],
        "label: got 2; wants 0 to 1",
    ),
    **{
        f"class {label}": (
            ["labels", "model", "--labels", label, "--class-names", "names.txt", "-o", "g.png"],
            phrase,
        )
        for label, phrase in {
            "pizza": "'pizza', which names no class of names.txt",
            "cock": "'cock', which names classes 0, 1 of names.txt",
            "2": "label: got 2; wants 0 to 1",
        }.items()
    },
    "class names": (
        ["labels", "model", "--labels", "0", "--class-names", "long.txt", "-o", "g.png"],
        "long.txt: got 3 lines; wants 2",
    ),
    "no class names": (
        ["labels", "model", "--labels", "0", "--class-names", "absent", "-o", "g.png"],
        "--class-names absent",
    ),
    "another channel count": (
        ["pair", "model", "model", "coloured", "-o", "g.png"],
        "coloured: got images of shape (8, 8, 3); wants (8, 8, 1), those of model",
    ),
    "wide labels": (
        ["labels", "model", "--labels", "0", "-n", "500", "-o", "g.png"],
        "-n: got 500",
    ),
    "long grid": (["decode", "model", "-n", "5000", "-o", "g.png"], "wants at most 1200"),
    "label file": (["train", "images.npy", "-o", "new", "--label-file", "wide.npy"], "labels of"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_in_one_line(case, home, capsys):
    np.save("wide.npy", np.ones((2, 3)))
    np.save("large.npy", np.array([0, 1, 2, 3, 4, 900]))
    save_model("wider", _model(side=16))
    save_model("plain", _model())
    save_model("coloured", _model(channels=3))
    (home / "names.txt").write_text(NAMES)
    (home / "long.txt").write_text(NAMES + "corgi\n")
    before = sorted(path.name for path in home.iterdir())
    arguments, phrase = REFUSED[case]
    assert main(["ddpm", *arguments, "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert phrase in captured.err
    assert sorted(path.name for path in home.iterdir()) == before


@pytest.mark.slow
def test_train_and_audit(home, capsys, monkeypatch):
    np.save("many.npy", RANDOM.integers(0, 256, (45, 8, 8), np.uint8))
    assert main(["ddpm", "train", "many.npy", "-o", "trained", *TINY, "--json"]) == 0
    result = _result(capsys)
    assert result["steps"] == 4
    assert sorted(path.name for path in (home / "trained").iterdir()) == [
        "config.json",
        "samples.png",
        "weights.safetensors",
    ]
    command = ["ddpm", "audit", "trained", "many.npy", "--steps", "4", "--budget", "0.1"]
    assert main([*command, "--bits", "2", "--jacobians", "1", "--report", "a.html", "--json"]) == 0
    result = _result(capsys)
    assert result["assignment"]["n"] == 45
    assert result["certificate"]["defect"]["lower"] <= result["certificate"]["defect"]["upper"]
    assert result["bits"]["probes"] is None
    assert (home / "a.html").stat().st_size > 1000


# Compiles two trainings.
@pytest.mark.slow
@pytest.mark.parametrize("name", ["many.npy", "photos"])
def test_ctrl_c_leaves_a_checkpoint_that_resumes_held_and_streamed(name, home, capsys, monkeypatch):
    from PIL import Image

    from brenier.cli import _ddpm_choices, _ddpm_train

    pixels = RANDOM.integers(0, 256, (45, 8, 8), np.uint8)
    np.save("many.npy", pixels)
    (home / "photos").mkdir()
    for i, picture in enumerate(pixels):
        Image.fromarray(picture).save(home / "photos" / f"{i:02d}.png")
    command = ["ddpm", "train", name, *TINY, "--json", "-o"]
    assert main([*command, "whole"]) == 0

    def interrupt(*arguments):
        raise KeyboardInterrupt

    for folder, most in (("held", 2**28), ("streamed", 0)):
        with monkeypatch.context() as patch:
            patch.setattr(_ddpm_choices, "open_images", functools.partial(open_images, most=most))
            with monkeypatch.context() as stopped:
                stopped.setattr(_ddpm_train, "draw_samples", interrupt)
                assert main([*command, folder]) == 130
            said = "interrupted. The same command goes on from the last check."
            assert said in capsys.readouterr().err
            assert [path.name for path in (home / folder).iterdir()] == ["training.checkpoint"]
            assert main([*command, folder]) == 0
        for file in ("weights.safetensors", "config.json"):
            assert (home / folder / file).read_bytes() == (home / "whole" / file).read_bytes()


def _of_classes(home):
    from PIL import Image

    for name in ("cats", "dogs", ".ipynb_checkpoints"):
        (home / "photos" / name).mkdir(parents=True)
        for i, pixels in enumerate(IMAGES):
            Image.fromarray(pixels).save(home / "photos" / name / f"{i}.png")


def test_the_classes_that_were_read_are_named(home):
    _of_classes(home)
    images = ImageChoice(home / "photos").open()
    assert image_rows(images) == {"classes": "cats, dogs"}
    assert images.labels.tolist() == [0] * 6 + [1] * 6


@pytest.mark.slow
def test_the_classes_stand_in_the_table_and_in_the_result(home, capsys):
    _of_classes(home)
    command = ["ddpm", "train", "photos", *TINY, "--conditional", "-o"]
    assert main([*command, "one"]) == 0
    assert re.search(r"classes +│? *cats, dogs", capsys.readouterr().out)
    assert main([*command, "two", "--json"]) == 0
    result = _result(capsys)
    assert (result["class_names"], result["classes"]) == (["cats", "dogs"], 2)


# Compiles a training, and its samples.
@pytest.mark.slow
def test_training_further_keeps_the_model_and_says_whose_it_was(home, capsys):
    command = ["ddpm", "train", "images.npy", "-o", "new", "--from", "model", "--json"]
    brief = ["--steps", "2", "--batch", "3", "--checks", "1"]
    assert main([*command, *brief, "--label-file", "labels.npy", "--dropout", "0.5"]) == 0
    capsys.readouterr()
    parent, child = load_model("model"), load_model("new")
    assert (child.prediction, child.schedule) == (parent.prediction, parent.schedule)
    assert child.network.settings.dropout == 0.5
    told = {"folder": "model", "sha256": read_model_config("model")["sha256"]}
    assert read_model_config("new")["about"]["parent"] == told


@pytest.mark.parametrize(
    ("options", "phrase"),
    [
        (["--width", "4"], "settings: got other width"),
        (["--schedule", "linear"], "--schedule: got a value beside --from"),
        (["--conditional"], "--conditional: got a value beside --from"),
        ([], "got images without labels beside --from a model of 2 classes"),
        (["--label-file", "three.npy"], "got labels up to 2; wants those of the model, 0 to 1"),
    ],
)
def test_what_a_parent_says_is_not_said_again(options, phrase, home, capsys):
    np.save("three.npy", np.array([0, 1, 2, 0, 1, 2]))
    command = ["ddpm", "train", "images.npy", "-o", "other", "--from", "model"]
    assert main([*command, "--batch", "3", *options]) == 2
    assert phrase in capsys.readouterr().err
    assert not (home / "other").exists()


# Options of guided-diffusion, which a folder of diffusers has no use for.
THEIRS = [
    ["--image-size", "8"],
    ["--class-cond"],
    ["--num-heads", "2"],
    ["--num-head-channels", "2"],
    ["--num-heads-upsample", "2"],
    ["--attention-order", "new"],
    ["--dropout", "0.0"],
    ["--noise-schedule", "linear"],
    ["--diffusion-steps", "1000"],
    ["--rescale-timesteps"],
    ["--part", "ema"],
]


def test_a_checkpoint_of_another_program_is_imported_or_refused(home, capsys):
    from safetensors.numpy import save_file

    save_file({"x": np.ones(2)}, "other.safetensors")
    command = ["ddpm", "import", "other.safetensors", "-o", "new", "--family"]
    beside, clip = "got a value beside --family", ("--clipping", "--no-clipping")
    for rest, phrase in (
        (["guided-diffusion"], "other.safetensors: got tensors as x"),
        (
            ["guided-diffusion", "--attention-order", "old"],
            "--attention-order: got 'old'; wants le",
        ),
        (["stylegan"], "--family: got 'stylegan'; wants guided-diffusion"),
        (["guided-diffusion", "--part", "ema"], "part: got 'ema' for other.safetensors, which has"),
        *((["guided-diffusion", way], f"--clipping: {beside} guided-diffusion") for way in clip),
        *((["diffusers", *one], f"{one[0]}: {beside} diffusers") for one in THEIRS),
    ):
        assert main([*command, *rest]) == 2
        assert phrase in capsys.readouterr().err
        assert not (home / "new").exists()


def _diffusers_folder(home, scheduler):
    """A folder of diffusers with the smallest network."""
    from safetensors.numpy import save_file

    from brenier.images import UNet2D, UNet2DSettings

    plain = {
        "block_out_channels": [4],
        "norm_num_groups": 2,
        "add_attention": False,
        "layers_per_block": 1,
        "out_channels": 1,
        "down_block_types": ["DownBlock2D"],
        "up_block_types": ["UpBlock2D"],
    }
    network = {"_class_name": "UNet2DModel", "sample_size": 8, "in_channels": 1, **plain}
    (home / "unet").mkdir(parents=True)
    (home / "unet/config.json").write_text(json.dumps(network))
    (home / "scheduler").mkdir()
    (home / "scheduler/scheduler_config.json").write_text(json.dumps(scheduler))
    net = UNet2D.random(jax.random.key(0), UNet2DSettings((8, 8, 1), **plain))
    tensors = {}
    for name, weight in net.weights.items():
        axes = {4: (3, 2, 0, 1), 2: (1, 0)}.get(weight.ndim)
        array = np.asarray(weight)
        tensors[name] = np.ascontiguousarray(array.transpose(axes) if axes else array)
    save_file(tensors, home / "unet/diffusion_pytorch_model.safetensors")


@pytest.mark.slow
def test_a_folder_of_diffusers_is_imported_and_inverted_exactly(home, capsys):
    plan = {"_class_name": "DDIMScheduler", "prediction_type": "v_prediction"}
    _diffusers_folder(home / "theirs", plan)
    assert main(["ddpm", "import", "theirs", "-o", "clipped", "--json"]) == 0
    assert _result(capsys)["clip"] == 1.0
    encode = ["ddpm", "encode", "clipped", "images.npy", "-o", "codes.npy", "--steps", "6"]
    assert main(encode) == 2
    assert "clip_sample: got a scheduler that cuts" in capsys.readouterr().err
    assert not (home / "codes.npy").exists()
    assert main(["ddpm", "import", "theirs", "-o", "free", "--no-clipping", "--json"]) == 0
    capsys.readouterr()
    encode[2] = "free"
    assert main([*encode, "--json"]) == 0
    loose = _result(capsys)["round_trip_error"]
    assert main([*encode, "--sampler", "bdia", "--json"]) == 0
    # DDIM's steps have no inverse, BDIA's have: to single precision.
    assert _result(capsys)["round_trip_error"] < 1e-4 < loose
    assert np.load("codes.npy").shape == (6, 128)
    decode = ["ddpm", "decode", "free", "codes.npy", "-o", "back.npy", "--steps", "6", "--json"]
    assert main([*decode, "--sampler", "bdia"]) == 0
    capsys.readouterr()
    np.testing.assert_allclose(np.load("back.npy")[..., 0], IMAGES / 255, atol=1e-3)
    assert main(decode) == 2
    assert "codes.npy: got" in capsys.readouterr().err
    assert main([*encode[:6], "--sampler", "bdia"]) == 2
    assert "--sampler: got bdia with --steps 0" in capsys.readouterr().err


def test_a_folder_of_diffusers_that_is_refused_leaves_nothing(home, capsys):
    _diffusers_folder(home / "theirs", {"_class_name": "RePaintScheduler"})
    assert main(["ddpm", "import", "theirs", "-o", "new"]) == 2
    error = capsys.readouterr().err
    assert "got the scheduler 'RePaintScheduler'" in error
    assert error.count("\n") == 1
    assert not (home / "new").exists()


# Compiles a training, and its samples.
@pytest.mark.slow
def test_a_network_of_diffusers_is_trained_further(home, capsys):
    plan = {"_class_name": "DDIMScheduler", "prediction_type": "v_prediction"}
    _diffusers_folder(home / "theirs", plan)
    assert main(["ddpm", "import", "theirs", "-o", "parent"]) == 0
    command = ["ddpm", "train", "images.npy", "-o", "new", "--from", "parent", "--json"]
    brief = ["--steps", "2", "--batch", "3", "--checks", "1", "--dropout", "0.25"]
    assert main([*command, *brief]) == 0
    parent, child = load_model("parent"), load_model("new")
    assert child.network.settings.dropout == 0.25
    for name in ("prediction", "schedule", "sampling"):  # with the clipping that encoders refuse
        assert getattr(child, name) == getattr(parent, name)
    about = read_model_config("new")["about"]
    assert about["parent"] == {"folder": "parent", "sha256": read_model_config("parent")["sha256"]}


def test_what_a_network_of_diffusers_keeps_is_named(home, capsys):
    _diffusers_folder(home / "theirs", {"_class_name": "DDIMScheduler"})
    assert main(["ddpm", "import", "theirs", "-o", "parent"]) == 0
    command = ["ddpm", "train", "images.npy", "-o", "new", "--from", "parent", "--heads", "2"]
    assert main([*command, "--batch", "3"]) == 2
    assert "--heads: got a value beside --from a UNet2D; wants none" in capsys.readouterr().err
    assert not (home / "new").exists()
