"""Saving and loading maps: round trips, and every way in which a file can be wrong."""

import dataclasses
import io
import json
import os
import subprocess
import sys
import tracemalloc
import zipfile

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import brenier
from brenier.exact import MonotoneMap
from brenier.grids import GridPotential, Torus
from brenier.io import read_manifest
from brenier.io.modules._container import FORMAT_VERSION, _json_bytes, digest, write_container
from brenier.io.modules._tree import saved_classes
from brenier.maps import (
    AffineMap,
    Composition,
    ConjugateMap,
    DebiasedMap,
    EntropicMap,
    GradientMap,
    Pushforward,
    ResidualNetwork,
    SubspaceMap,
)
from brenier.measures import (
    Empirical,
    Gaussian,
    GaussianMixture,
    Gibbs,
    StandardNormal,
    TensorTrain,
    Uniform,
)
from brenier.potentials import (
    ICNN,
    EntropicGridPotential,
    LogSumExp,
    MaxAffine,
    Mixture,
    Preconditioned,
    Quadratic,
    Separable,
    SoftMaximum,
)
from brenier.potentials.host import HostPotential
from brenier.velocities import (
    BDIA,
    DDIM,
    AtomsDecoder,
    AtomsVelocity,
    ConstantSchedule,
    CosineSchedule,
    ExactNoise,
    FlowMap,
    HyperbolicClock,
    LinearSchedule,
    MixtureVelocity,
    NoiseVelocity,
    ProbabilityFlow,
    RateSchedule,
    TableSchedule,
    TensorTrainVelocity,
)

KEY = jax.random.key(0)


def _quadratic(dtype=jnp.float64):
    factor, shift = jnp.array([[2.0, 0.0], [0.5, 1.0]], dtype), jnp.array([1.0, -1.0], dtype)
    return Quadratic(factor, shift, 0.25)


def _examples():
    quadratic = _quadratic()
    points = np.random.default_rng(0).normal(size=(5, 2))
    gaussian = Gaussian(jnp.zeros(2), jnp.eye(2))
    mlp = eqx.nn.MLP(2, "scalar", 4, 2, activation=jax.nn.softplus, key=KEY)
    y = np.linspace(-7.0, 7.0, 41)
    train = TensorTrain.from_grid(np.exp(-0.5 * np.add.outer(y**2, y**2)), [-7, -7], [7, 7])
    noise = ExactNoise(MixtureVelocity(gaussian))
    velocities = (
        HyperbolicClock(AtomsVelocity(Empirical(points))),
        TensorTrainVelocity(train),
        NoiseVelocity(noise, 2),
        ProbabilityFlow(gaussian, LinearSchedule()),
        ProbabilityFlow(gaussian, CosineSchedule()),
        ProbabilityFlow(gaussian, TableSchedule((0.9, 0.5, 0.1))),
        ProbabilityFlow(gaussian, ConstantSchedule()),
        ProbabilityFlow(gaussian, RateSchedule(jax.nn.softplus, 1.0)),
    )
    return [
        *(FlowMap(velocity, 0.2, 0.8) for velocity in velocities),
        DDIM(noise, jnp.array([1.0, 0.5]), 2),
        BDIA(noise, jnp.array([0.9, 0.5, 0.2]), 2),
        AtomsDecoder(Empirical(points)),
        StandardNormal(3),
        train,
        quadratic,
        ICNN.identity(KEY, 2, (4, 4), activation="squareplus"),
        ICNN.identity(KEY, 2, (4,), pieces=3),
        SoftMaximum.random(KEY, 2, 3, share=0.5),
        LogSumExp.identity(KEY, 2, 4),
        MaxAffine(jnp.ones((3, 2)), jnp.zeros(3), jnp.array(-jnp.inf)),
        Preconditioned(quadratic, jnp.eye(2), jnp.ones(2), jnp.zeros(2), jnp.array(3.0)),
        Mixture([quadratic, LogSumExp.identity(KEY, 2, 4)], np.array([0.3, 0.7])),
        Separable(jnp.eye(2), jnp.arange(6.0).reshape(2, 3), jnp.ones((2, 3)), jnp.ones((2, 2))),
        EntropicGridPotential(jnp.zeros((2, 2)), (jnp.arange(2.0),) * 2, jnp.array(0.5)),
        Empirical(points),
        Empirical(points, np.arange(1.0, 6.0)),
        gaussian,
        GaussianMixture(0.5 * jnp.ones(2), jnp.zeros((2, 2)), jnp.stack([jnp.eye(2)] * 2)),
        Gibbs(quadratic, 2),
        Gibbs(mlp, 2),
        AffineMap(jnp.eye(2), jnp.ones(2)),
        GradientMap(quadratic),
        ConjugateMap(quadratic),
        Composition((GradientMap(quadratic), AffineMap.identity(2))),
        Pushforward(gaussian, GradientMap(quadratic)),
        EntropicMap(points, np.zeros(5), 0.5),
        SubspaceMap(AffineMap(jnp.eye(1), jnp.ones(1)), jnp.array([[1.0], [0.0]]), jnp.zeros(2)),
        DebiasedMap(GradientMap(quadratic), gaussian, jnp.array(0.1)),
        ResidualNetwork.identity(KEY, 2, (2,)),
        Uniform(jnp.zeros(2), jnp.ones(2)),
        MonotoneMap(Empirical(np.sort(points[:, :1], axis=0)), Gaussian(jnp.zeros(1), jnp.eye(1))),
        GridPotential.from_grid(Torus([0.0, 1.0], [1.0, 2.0], [12, 12]), np.zeros((12, 12))),
    ]


EXAMPLES = _examples()


def _kinds(module):
    """Shape, dtype and weak type of each array: what decides how a map computes."""
    return [jax.typeof(leaf) for leaf in jax.tree.leaves(module) if eqx.is_array(leaf)]


# A file holds no function of one's own, and not what lies in other files.
_WITHOUT = {"ScoreVelocity", "StreamedImages"}
# Dearer to make, or not alone in a file: saved and loaded in tests/velocities, and in
# tests/estimators/test_conditional.py and test_unbalanced.py.
_ELSEWHERE = {
    "DacorognaMoserVelocity",
    "FokkerPlanckVelocity",
    "MatchingVelocity",
    "McCannVelocity",
    "NetworkVelocity",
    "RatioVelocity",
    "RescaledDiffusionVelocity",
    "ImageModel",
    "ImageVelocity",
    "ScheduledDDIM",
    "Timesteps",
    "UNet",
    "UNetSettings",
    "UNetStep",
    "Attention",
    "Convolution",
    "Dense",
    "GroupNorm",
    "ResidualBlock",
    "Blended",
    "ConditionalGaussian",
    "ConditionalMap",
    "ConditionalMixture",
    "Coordinates",
    "Covariates",
    "EntropicGrowth",
    "Kriging",
    "PartialICNN",
    "Unconditional",
}


def _classes(value):
    """The classes of a module and of all that it holds."""
    if isinstance(value, eqx.Module):
        yield type(value).__name__
        for field in dataclasses.fields(value):
            yield from _classes(getattr(value, field.name))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _classes(item)


def test_every_public_class_has_an_example():
    # Potentials of the host are in records alone: test_records.
    ours = {
        cls.__name__
        for name, cls in saved_classes().items()
        if name.startswith("brenier.") and not issubclass(cls, HostPotential)
    }
    shown = {name for example in EXAMPLES for name in _classes(example)}
    assert ours - shown == _WITHOUT | _ELSEWHERE


@pytest.mark.parametrize("module", EXAMPLES, ids=lambda m: type(m).__name__)
def test_round_trip_is_exact(module, tmp_path):
    path = tmp_path / "module.brenier"
    brenier.save(path, module)
    loaded = brenier.load(path)
    assert eqx.tree_equal(module, loaded, typematch=True)
    assert _kinds(loaded) == _kinds(module)
    assert read_manifest(path)["class"].endswith(f".{type(module).__name__}")


def test_dtype_follows_the_map(tmp_path):
    path = tmp_path / "map.brenier"
    brenier.save(path, GradientMap(_quadratic(jnp.float32)))
    assert read_manifest(path)["dtype"] == "float32"
    assert brenier.load(path)(jnp.ones(2, jnp.float32)).dtype == jnp.float32


@pytest.mark.slow
def test_the_same_map_gives_the_same_bytes_in_another_process(tmp_path):
    brenier.save(tmp_path / "a.brenier", _quadratic())
    code = (
        "import jax.numpy as jnp, brenier; brenier.save('b.brenier', brenier.potentials.Quadratic("
        "jnp.array([[2.0, 0.0], [0.5, 1.0]]), jnp.array([1.0, -1.0]), 0.25))"
    )
    env = {**os.environ, "JAX_ENABLE_X64": "1"}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, env=env)
    assert (tmp_path / "a.brenier").read_bytes() == (tmp_path / "b.brenier").read_bytes()


def test_names_of_coordinates_are_kept(tmp_path):
    path = tmp_path / "map.brenier"
    brenier.save(path, AffineMap.identity(2), names=["höhe", "weight"])
    assert read_manifest(path)["names"] == ["höhe", "weight"]
    with pytest.raises(ValueError, match="names: got 1 names"):
        brenier.save(path, AffineMap.identity(2), names=["a"])


def test_what_cannot_be_saved_is_named(tmp_path):
    path = tmp_path / "x.brenier"
    pushed = Pushforward(Gibbs(lambda x: x @ x, 2), AffineMap.identity(2))
    with pytest.raises(ValueError, match=r"Pushforward\.source\.potential: got .*lambda"):
        brenier.save(path, pushed)
    with pytest.raises(ValueError, match="module: got MLP; wants a map"):
        brenier.save(path, eqx.nn.MLP(2, 2, 2, 1, key=KEY))
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), _quadratic())
    with pytest.raises(ValueError, match=r"Quadratic\.factor: got dtype bfloat16"):
        brenier.save(path, half)
    assert not path.exists()


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "map.brenier"
    brenier.save(path, GradientMap(_quadratic()))
    return path


def _rewritten(path, change, *, seal=True):
    """The file with its manifest changed, the checksum made to match."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    manifest = json.loads(members["manifest.json"])
    change(manifest)
    if seal:
        del manifest["sha256"]
        arrays = [data for name, data in members.items() if name.endswith(".npy")]
        manifest["sha256"] = digest(manifest, arrays)
    members["manifest.json"] = _json_bytes(manifest)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


@pytest.mark.parametrize("keep", [0.999, 0.5, 0.01])
def test_a_truncated_file_says_so(saved, keep):
    data = saved.read_bytes()
    saved.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(ValueError, match="truncated"):
        brenier.load(saved)


def test_an_empty_a_foreign_and_an_absent_file_say_so(saved, tmp_path):
    saved.write_bytes(b"")
    with pytest.raises(ValueError, match="empty file"):
        brenier.load(saved)
    saved.write_bytes(b"\x93NUMPY and more than a zip's tail of bytes")
    with pytest.raises(ValueError, match="brenier did not write"):
        brenier.load(saved)
    with zipfile.ZipFile(saved, "w") as archive:
        archive.writestr("a.txt", "b")
    with pytest.raises(ValueError, match="zip that brenier did not write"):
        brenier.load(saved)
    with pytest.raises(ValueError, match="no such file"):
        brenier.load(tmp_path / "absent.brenier")


def test_no_altered_byte_passes_unseen(saved):
    """Whatever byte is flipped: a clear error, or (in the zip's own time stamps) the same map."""
    data = saved.read_bytes()
    original = brenier.load(saved)
    refusals = []
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 0x41
        saved.write_bytes(changed)
        try:
            assert eqx.tree_equal(brenier.load(saved), original)
        except ValueError as error:
            refusals.append(str(error))
    assert all(str(saved) in refusal for refusal in refusals)
    assert len(refusals) > 0.8 * len(data)


def test_altered_content_with_valid_zip_sums_is_refused(saved):
    _rewritten(saved, lambda manifest: manifest.update(dimension=3), seal=False)
    with pytest.raises(ValueError, match="altered"):
        brenier.load(saved)


def test_a_newer_file_says_to_upgrade(saved):
    _rewritten(saved, lambda manifest: manifest.update(format_version=FORMAT_VERSION + 1))
    with pytest.raises(ValueError, match=f"format {FORMAT_VERSION + 1}.*upgrade brenier"):
        brenier.load(saved)


@pytest.mark.parametrize("name", ["os.system", "brenier.io.save", "brenier.maps.AbstractMap"])
def test_only_listed_classes_and_functions_are_looked_up(saved, name):
    def rename(manifest):
        manifest["root"]["class"] = name

    _rewritten(saved, rename)
    with pytest.raises(ValueError, match=f"got {name!r}, which this brenier does not know"):
        brenier.load(saved)
    _rewritten(saved, lambda manifest: manifest.update(root={"function": name}))
    with pytest.raises(ValueError, match="does not know"):
        brenier.load(saved)


def test_a_file_of_a_class_that_is_gone_says_which_version_wrote_it(saved):
    def rename(manifest):
        manifest["brenier_version"] = "0.0.7"
        manifest["root"]["class"] = "brenier.maps.GoneMap"

    _rewritten(saved, rename)
    with pytest.raises(
        ValueError, match=r"got 'brenier\.maps\.GoneMap'.*written by brenier 0\.0\.7"
    ):
        brenier.load(saved)


def test_fields_of_another_version_and_bad_settings_are_refused(saved):
    def more(manifest):
        manifest["root"]["fields"]["potential"]["fields"]["colour"] = 1

    def bad(manifest):
        del manifest["root"]["fields"]["potential"]["fields"]["colour"]
        manifest["root"]["fields"]["potential"]["fields"]["floor"] = -1.0

    _rewritten(saved, more)
    with pytest.raises(ValueError, match="class has changed between versions"):
        brenier.load(saved)
    _rewritten(saved, bad)
    with pytest.raises(ValueError, match=r"floor: got -1\.0"):
        brenier.load(saved)


def test_an_array_that_claims_more_than_it_holds_is_refused(saved):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (2**40,)}
    )
    with zipfile.ZipFile(saved) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["arrays/0.npy"] = header.getvalue() + b"\0" * 16
    manifest = json.loads(members["manifest.json"])
    del manifest["sha256"]
    manifest["sha256"] = digest(manifest, [members["arrays/0.npy"], members["arrays/1.npy"]])
    members["manifest.json"] = _json_bytes(manifest)
    with zipfile.ZipFile(saved, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(ValueError, match="altered"):
        brenier.load(saved)


@pytest.mark.parametrize("when", ["fsync", "replace"])
def test_a_crash_while_writing_leaves_the_old_file(saved, when, monkeypatch):
    before = saved.read_bytes()

    def crash(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, when, crash)
    with pytest.raises(KeyboardInterrupt):
        brenier.save(saved, AffineMap.identity(3))
    monkeypatch.undo()
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


def test_a_folder_that_is_not_there_and_a_folder_as_file(tmp_path):
    with pytest.raises(ValueError, match="folder that does not exist"):
        brenier.save(tmp_path / "no" / "map.brenier", AffineMap.identity(2))
    with pytest.raises(ValueError, match="got a folder; wants"):
        brenier.save(tmp_path, AffineMap.identity(2))


def test_a_link_is_written_through(saved, tmp_path):
    link = tmp_path / "link.brenier"
    link.symlink_to(saved)
    brenier.save(link, AffineMap.identity(3))
    assert link.is_symlink()
    assert brenier.load(saved).dimension == 3


_floats = st.floats(allow_nan=False, width=64)


@settings(max_examples=25, deadline=None)
@given(
    entries=st.lists(_floats, min_size=4, max_size=4),
    floor=st.floats(0, 1e300),
    names=st.none() | st.lists(st.text(), min_size=2, max_size=2),
)
def test_any_value_and_name_survives(entries, floor, names, tmp_path_factory):
    path = tmp_path_factory.mktemp("any") / "map.brenier"
    module = Quadratic(jnp.array(entries).reshape(2, 2), jnp.array(entries[:2]), floor)
    brenier.save(path, module, names=names)
    loaded = brenier.load(path)
    assert loaded.factor.tobytes() == module.factor.tobytes()
    assert loaded.floor == floor
    assert read_manifest(path)["names"] == names


_ROOT = {
    "class": "brenier.maps.AffineMap",
    "fields": {"matrix": {"array": 0}, "offset": {"array": 1}},
}


def _fields(**fields):
    return {**_ROOT, "fields": {**_ROOT["fields"], **fields}}


def _deep(levels):
    root = {"tuple": []}
    for _ in range(levels):
        root = {"tuple": [root]}
    return root


_NORMAL = {"class": "brenier.measures.StandardNormal", "fields": {"size": 2}}
IMPOSSIBLE = {
    "no root": (None, "got a NoneType; wants a map"),
    "a root of text": ("x", "got a str; wants a map"),
    "text for an array": (_fields(offset="x"), r"\.offset: got 'x'; wants Float\[Array, 'd'\]"),
    "a list for an array": (_fields(offset={"list": [1.0, 2.0]}), r"\.offset: got \[1\.0, 2\.0\]"),
    "an offset of 2 x 2": (
        _fields(offset={"array": 0}),
        r"\.offset: got float64 of shape \(2, 2\)",
    ),
    "a matrix of 2": (_fields(matrix={"array": 1}), r"\.matrix: got float64 of shape \(2,\)"),
    "NaN": (_fields(offset={"array": 2}), r"\.offset: got 1 entries NaN"),
    "infinite": (_fields(offset={"array": 3}), "an impossible AffineMap .*NaN or infinite"),
    "another size": (_fields(offset={"array": 4}), r"\.offset: got float64 of shape \(3,\)"),
    "complex": (_fields(offset={"array": 5}), r"\.offset: got complex128"),
    "an array too far": (_fields(offset={"array": 9}), "got array 9; wants one of 6"),
    "no key": (_fields(offset={"key": 0, "impl": "x"}), "got no random key"),
    "a class of text": (_fields(offset={"class": "x" * 5000, "fields": {}}), "does not know"),
    "a name of lines": (_fields(**{"a\nb": 1}), "class has changed"),
    "nested": (_deep(200), "got a tuple; wants a map"),
    "a potential for a map": (
        {"class": "brenier.maps.GradientMap", "fields": {"potential": _ROOT}},
        r"\.potential: got AffineMap; wants AbstractPotential",
    ),
    "a sum of no maps": (
        {"class": "brenier.maps.Composition", "fields": {"maps": {"tuple": []}}},
        "an impossible Composition",
    ),
    "a normal of -1": (
        {**_NORMAL, "fields": {"size": -1}},
        "an impossible StandardNormal .*dimension: got -1",
    ),
    "a normal of 2.5": ({**_NORMAL, "fields": {"size": 2.5}}, r"\.size: got 2\.5; wants int"),
    "levels that rise and fall": (
        {
            "class": "brenier.velocities.DDIM",
            "fields": {
                "predictor": {
                    "class": "brenier.velocities.NoiseVelocity",
                    "fields": {"predictor": {"function": "jax.nn.relu"}, "size": 2},
                },
                "levels": {"array": 4},
                "size": 2,
            },
        },
        "an impossible DDIM .*levels",
    ),
    "weights below 0": (
        {
            "class": "brenier.measures.Empirical",
            "fields": {"points": {"array": 0}, "weights": {"array": 1}},
        },
        "an impossible Empirical .*weights",
    ),
    "a cosine of -5": (
        {"class": "brenier.velocities.CosineSchedule", "fields": {"offset": -5.0, "duration": 1.0}},
        "an impossible CosineSchedule .*offset: got -5",
    ),
}
ARRAYS = [
    np.eye(2),
    np.array([1.0, -1.0]),
    np.array([1.0, np.nan]),
    np.array([1.0, np.inf]),
    np.array([0.5, 0.1, 0.7]),
    np.array([1.0, 1j]),
]


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_an_impossible_map_is_refused_in_one_line(case, tmp_path):
    root, phrase = IMPOSSIBLE[case]
    path = tmp_path / "map.brenier"
    write_container(path, "map", {"root": root, "dimension": 2, "names": None}, ARRAYS)
    with pytest.raises(ValueError, match=phrase) as refusal:
        brenier.load(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 2000


@pytest.mark.parametrize("names", ["ab", ["a"], ["a", 5], {"a": 1, "b": 2}, 5])
def test_names_that_are_none_are_refused(names, tmp_path):
    path = tmp_path / "map.brenier"
    write_container(path, "map", {"root": _ROOT, "dimension": 2, "names": names}, ARRAYS)
    for read in (brenier.load, read_manifest):
        with pytest.raises(ValueError, match="as the names of 2 columns"):
            read(path)


def test_what_could_not_be_loaded_is_not_saved(tmp_path):
    path = tmp_path / "map.brenier"
    good = AffineMap.identity(2)
    for bad, phrase in (
        (jnp.array([1.0, jnp.nan]), r"AffineMap\.offset: got 1 entries NaN"),
        (jnp.ones((2, 2)), r"AffineMap\.offset: got float64 of shape \(2, 2\)"),
    ):
        with pytest.raises(ValueError, match=phrase):
            brenier.save(path, eqx.tree_at(lambda map: map.offset, good, bad))
    assert not path.exists()


def test_a_file_packed_again_is_read_and_one_that_fills_the_memory_is_not(saved):
    wanted = brenier.load(saved)
    with zipfile.ZipFile(saved) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for packing in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(saved, "w", packing) as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        assert eqx.tree_equal(brenier.load(saved), wanted)
    damaged = bytearray(saved.read_bytes())
    damaged[100:110] = b"\xff" * 10
    saved.write_bytes(damaged)
    with pytest.raises(ValueError, match="altered"):
        brenier.load(saved)
    bomb = zipfile.ZipInfo("arrays/0.npy")
    bomb.compress_type = zipfile.ZIP_DEFLATED
    with (
        zipfile.ZipFile(saved, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(bomb, "w") as member,
    ):
        for _ in range(300):
            member.write(bytes(2**20))
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"got 314,572,800 bytes packed into \d{3},"):
        brenier.load(saved)
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()


def test_notes_with_numbers_for_keys_do_not_spoil_the_checksum(tmp_path):
    path = tmp_path / "map.brenier"
    brenier.save(path, AffineMap.identity(2), about={"loss": {2: 0.5, 10: 0.25}})
    assert read_manifest(path)["about"] == {"loss": {"2": 0.5, "10": 0.25}}
