"""Weights of other programs: torch files, safetensors, shards; and what is refused."""

import json
import pickle
import struct
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest

from brenier.io import read_tensors

KINDS = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": jnp.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text.encode())) + text.encode()


def _number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def _tuple(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def _tensor(key, kind, count, shape, strides, offset=0, legacy=False) -> bytes:
    """What torch pickles for a tensor, opcode by opcode."""
    view = (b"N",) if legacy else ()
    storage = _tuple(
        _text("storage"), f"ctorch\n{kind}\n".encode(), _text(key), _text("cpu"), _number(count),
        *view,
    ) + b"Q"  # fmt: skip
    parts = (
        storage, _number(offset), _tuple(*map(_number, shape)), _tuple(*map(_number, strides)),
        b"\x89", b"ccollections\nOrderedDict\n)R",
    )  # fmt: skip
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + _tuple(*parts) + b"R"


def _state(**tensors: bytes) -> bytes:
    """An ordered dictionary, with the metadata that a module's has."""
    items = b"".join(_text(name) + value for name, value in tensors.items())
    metadata = b"}" + _text("_metadata") + b"ccollections\nOrderedDict\n)Rs"
    return b"ccollections\nOrderedDict\n)R(" + items + b"u" + metadata + b"b"


def _pickle(body: bytes) -> bytes:
    return b"\x80\x02" + body + b"."


def _zip(path, body, records, order=None, packing=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", packing) as archive:
        archive.writestr("any/data.pkl", _pickle(body))
        if order:
            archive.writestr("any/byteorder", order)
        for key, data in records.items():
            archive.writestr(f"any/data/{key}", data)
    return path


def _legacy(path, body, records, order="little"):
    """The format before 1.6: five pickles, then a length and the bytes of each storage."""
    system = {"protocol_version": 1001, "little_endian": order == "little", "type_sizes": {}}
    parts = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, system)]
    parts += [_pickle(body), pickle.dumps(list(records), 2)]
    for count, data in records.values():
        parts += [count.to_bytes(8, order), data]
    path.write_bytes(b"".join(parts))
    return path


NUMBERS = np.arange(6.0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_dtype_is_that_of_the_file_in_either_format(kind, tmp_path):
    wanted = NUMBERS.astype(KINDS[kind]).reshape(2, 3)
    body = _state(w=_tensor("0", kind, 6, (2, 3), (3, 1)))
    new = read_tensors(_zip(tmp_path / "a.pt", body, {"0": wanted.tobytes()}))
    body = _state(w=_tensor("0", kind, 6, (2, 3), (3, 1), legacy=True))
    old = read_tensors(_legacy(tmp_path / "b.bin", body, {"0": (6, wanted.tobytes())}))
    for found in (new, old):
        assert list(found) == ["w"]
        assert found["w"].dtype == KINDS[kind]
        np.testing.assert_array_equal(found["w"], wanted)


@pytest.mark.parametrize("kind", ["FloatStorage", "BFloat16Storage", "LongStorage"])
def test_bytes_in_the_other_order(kind, tmp_path):
    wanted = NUMBERS.astype(KINDS[kind])
    swapped = wanted.view(f"u{wanted.itemsize}").byteswap().tobytes()
    body = _state(w=_tensor("7", kind, 6, (6,), (1,)))
    found = read_tensors(_zip(tmp_path / "a.pt", body, {"7": swapped}, order="big"))
    np.testing.assert_array_equal(found["w"], wanted)
    body = _state(w=_tensor("7", kind, 6, (6,), (1,), legacy=True))
    found = read_tensors(_legacy(tmp_path / "b.pt", body, {"7": (6, swapped)}, order="big"))
    np.testing.assert_array_equal(found["w"], wanted)


def test_tensors_share_a_storage_by_offset_and_strides(tmp_path):
    body = _state(
        turned=_tensor("0", "FloatStorage", 6, (3, 2), (1, 3)),
        row=_tensor("0", "FloatStorage", 6, (3,), (1,), offset=3),
        scalar=_tensor("0", "FloatStorage", 6, (), (), offset=5),
        empty=_tensor("0", "FloatStorage", 6, (0, 3), (3, 1)),
    )
    found = read_tensors(_zip(tmp_path / "a.pt", body, {"0": NUMBERS.astype(np.float32).tobytes()}))
    np.testing.assert_array_equal(found["turned"], NUMBERS.reshape(2, 3).T)
    np.testing.assert_array_equal(found["row"], NUMBERS[3:])
    assert found["scalar"] == 5.0
    assert found["empty"].shape == (0, 3)
    # All of them lie in the mapped file, read-only.
    assert np.shares_memory(found["turned"], found["row"])
    assert not found["row"].flags.writeable


def test_a_zip_that_somebody_packed_again(tmp_path):
    body = _state(w=_tensor("0", "DoubleStorage", 6, (6,), (1,)))
    path = _zip(tmp_path / "a.pt", body, {"0": NUMBERS.tobytes()}, packing=zipfile.ZIP_DEFLATED)
    np.testing.assert_array_equal(read_tensors(path)["w"], NUMBERS)


def _nested(path):
    one = _state(w=_tensor("0", "DoubleStorage", 6, (6,), (1,)))
    two = _state(w=_tensor("0", "DoubleStorage", 6, (3,), (2,)))
    three = b"}" + _text("0") + _state(w=_tensor("0", "DoubleStorage", 6, (1,), (1,))) + b"s"
    body = (
        b"}(" + _text("state_dict") + one + _text("ema") + two + _text("step") + _number(7)
        + _text("optimizer") + b"}" + _text("state") + three + b"s" + b"u"
    )  # fmt: skip
    return _zip(path, body, {"0": NUMBERS.tobytes()})


def test_a_part_is_chosen_by_its_name(tmp_path):
    path = _nested(tmp_path / "a.pt")
    np.testing.assert_array_equal(read_tensors(path, "ema")["w"], NUMBERS[::2])
    assert len(read_tensors(path, "optimizer/state/0")["w"]) == 1
    with pytest.raises(
        ValueError, match=r"part: got None .* tensors in 'ema', 'optimizer/state/0'"
    ):
        read_tensors(path)
    with pytest.raises(ValueError, match="part: got 'other'"):
        read_tensors(path, "other")


def test_a_tensor_beside_a_network_does_not_stand_for_it(tmp_path):
    one = _tensor("0", "DoubleStorage", 6, (1,), (1,))
    body = b"}(" + _text("step") + one + _text("model") + _state(v=one, w=one) + b"u"
    path = _zip(tmp_path / "a.pt", body, {"0": NUMBERS.tobytes()})
    with pytest.raises(ValueError, match=r"part: got None .* tensors in '', 'model'"):
        read_tensors(path)
    assert sorted(read_tensors(path, "model")) == ["v", "w"]
    assert sorted(read_tensors(path, "")) == ["step"]


def test_one_part_beside_deeper_ones_needs_no_name(tmp_path):
    body = b"}" + _text("model") + _state(**{"module.w": _tensor("0", "IntStorage", 1, (1,), (1,))})
    path = _zip(tmp_path / "a.pt", body + b"s", {"0": np.int32(4).tobytes()})
    # The prefix of data-parallel training goes.
    assert read_tensors(path)["w"].tolist() == [4]


GOOD = _state(w=_tensor("0", "DoubleStorage", 6, (6,), (1,)))
HOSTILE = {
    "call": (b"cos\nsystem\n(" + _text("touch run") + b"tR", "asks for 'os.system'"),
    "builtin": (b"cbuiltins\neval\n(" + _text("1") + b"tR", "asks for 'builtins.eval'"),
    "class": (b"cargparse\nNamespace\n)\x81", "asks for 'argparse.Namespace'"),
    "stacked name": (_text("os") + _text("system") + b"\x93", "asks for 'os.system'"),
    "dotted name": (_text("torch") + _text("hub.load") + b"\x93", "asks for 'torch.hub.load'"),
    "instance": (b"(ios\nsystem\n", "opcode INST"),
    "new object": (b"ccollections\nOrderedDict\n)\x81", "opcode NEWOBJ"),
    "extension": (b"\x82\x01", "opcode EXT1"),
    "state of a function": (b"ctorch._utils\n_rebuild_tensor_v2\n}b", "sets the state of a"),
    "call of a text": (_text("a") + b")R", "calls a str"),
    "persistent id": (_text("a") + b"Q", "persistent id str"),
    "tuple as a key": (b"}(K\x01K\x02t" + b"Ns", "a tuple as a key"),
    "negative size": (_tensor("0", "DoubleStorage", 6, (-1,), (1,)), "a int as a size"),
    "no end": (b"(" * 10 + b"K\x01", "damaged pickle"),
    "underflow": (b"0000", "damaged pickle"),
    "huge memo": (b"Nr\xff\xff\xff\xff0", "damaged pickle"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_pickle_that_asks_for_anything_is_refused_by_what_it_asked_for(
    name, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    body, phrase = HOSTILE[name]
    for path in (_zip(tmp_path / "a.pt", body, {}), _legacy(tmp_path / "b.pt", body, {})):
        with pytest.raises(ValueError, match=phrase) as caught:
            read_tensors(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_tower_of_tuples_takes_no_time(tmp_path):
    body = b"}" + b")" + b"2\x86" * 100 + b"Ns"
    with pytest.raises(ValueError, match="a tuple as a key"):
        read_tensors(_zip(tmp_path / "a.pt", body, {}))


@pytest.mark.parametrize(
    ("records", "tensor", "phrase"),
    [
        ({}, ("0", "DoubleStorage", 6, (6,), (1,)), "no record 'any/data/0'"),
        ({"0": b"1234"}, ("0", "DoubleStorage", 6, (6,), (1,)), "got 4 bytes for the storage"),
        ({"0": NUMBERS.tobytes()}, ("0", "DoubleStorage", 6, (7,), (1,)), "beyond the end"),
        ({"0": NUMBERS.tobytes()}, ("0", "DoubleStorage", 6, (2,), (6,)), "beyond the end"),
        ({"0": NUMBERS.tobytes()}, ("0", "DoubleStorage", 6, (10**9,), (0,)), "at most 100 times"),
    ],
)
def test_a_shape_that_its_storage_does_not_hold(records, tensor, phrase, tmp_path):
    with pytest.raises(ValueError, match=phrase):
        read_tensors(_zip(tmp_path / "a.pt", _state(w=_tensor(*tensor)), records))


def test_every_truncation_is_named(tmp_path):
    whole = _zip(tmp_path / "a.pt", GOOD, {"0": NUMBERS.tobytes()}).read_bytes()
    body = _state(w=_tensor("0", "DoubleStorage", 6, (6,), (1,), legacy=True))
    old = _legacy(tmp_path / "b.pt", body, {"0": (6, NUMBERS.tobytes())}).read_bytes()
    for data in (whole, old):
        for length in range(0, len(data), 7):
            path = tmp_path / "c.pt"
            path.write_bytes(data[:length])
            with pytest.raises(ValueError, match=r"c\.pt: got .*; wants [^\n]*$"):
                read_tensors(path)


def test_a_flipped_bit_of_a_storage_is_named(tmp_path):
    path = _zip(tmp_path / "a.pt", GOOD, {"0": NUMBERS.tobytes()})
    data = bytearray(path.read_bytes())
    data[data.index(NUMBERS.tobytes()) + 11] ^= 4
    path.write_bytes(data)
    with pytest.raises(ValueError, match="damaged record 'any/data/0'"):
        read_tensors(path)


def _safetensors(path, header, data):
    head = json.dumps(header).encode()
    path.write_bytes(len(head).to_bytes(8, "little") + head + data)
    return path


def test_safetensors_as_its_own_library_reads_them(tmp_path):
    from safetensors.numpy import save_file

    wanted = {"a": NUMBERS.reshape(2, 3), "b": np.arange(3, dtype=np.int8), "c": np.zeros((0, 2))}
    save_file(wanted, tmp_path / "a.safetensors")
    found = read_tensors(tmp_path / "a.safetensors")
    assert set(found) == set(wanted)
    for name, array in wanted.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_bfloat16_in_safetensors(tmp_path):
    entry = {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}
    numbers = np.array([1.5, -2.0], jnp.bfloat16)
    path = _safetensors(tmp_path / "a.safetensors", {"w": entry}, numbers.tobytes())
    assert read_tensors(path)["w"].astype(float).tolist() == [1.5, -2.0]


@pytest.mark.parametrize(
    ("entry", "phrase"),
    [
        ({"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}, r"got w of shape \[2\]"),
        ({"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}, "got w of shape"),
        ({"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}, "got w of shape"),
        ({"dtype": "Q4", "shape": [1], "data_offsets": [0, 4]}, "got the dtype 'Q4' of w"),
        (7, "got the dtype None"),
    ],
)
def test_damaged_safetensors(entry, phrase, tmp_path):
    with pytest.raises(ValueError, match=phrase):
        read_tensors(_safetensors(tmp_path / "a.safetensors", {"w": entry}, b"1234"))


def _shards(folder, places, name="diffusion_pytorch_model.bin.index.json"):
    for file, own in (("x-1.bin", "a"), ("x-2.bin", "b")):
        body = _state(**{own: _tensor("0", "DoubleStorage", 6, (6,), (1,))})
        _zip(folder / file, body, {"0": NUMBERS.tobytes()})
    (folder / name).write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return folder


# As diffusers calls an index, and as it does with variant="fp16".
@pytest.mark.parametrize("ending", [".bin.index.json", ".bin.index.fp16.json"])
def test_weights_in_several_files(ending, tmp_path):
    name = f"diffusion_pytorch_model{ending}"
    folder = _shards(tmp_path, {"a": "x-1.bin", "b": "x-2.bin"}, name)
    assert sorted(read_tensors(folder)) == sorted(read_tensors(folder / name)) == ["a", "b"]


def test_two_variants_in_several_files_are_both_named(tmp_path):
    for variant in ("ema", "fp16"):
        folder = _shards(tmp_path, {"a": "x-1.bin", "b": "x-2.bin"}, f"m.bin.index.{variant}.json")
    with pytest.raises(ValueError, match=r"got 2 .*m\.bin\.index\.ema\.json, m\.bin\.index\.fp16"):
        read_tensors(folder)


@pytest.mark.parametrize(
    ("places", "phrase"),
    [
        ({"a": "x-1.bin", "b": "x-1.bin"}, "got no tensor b"),
        ({"a": "x-1.bin", "c": "x-2.bin"}, "tensor b"),
        ({"a": "../x-1.bin"}, "wants one beside the index"),
        ({"a": "x-3.bin"}, "got no such file"),
        ([], "no weight_map"),
    ],
)
def test_an_index_that_does_not_fit_its_files(places, phrase, tmp_path):
    with pytest.raises(ValueError, match=phrase):
        read_tensors(_shards(tmp_path, places))


def test_a_folder_of_several_files_and_none(tmp_path):
    with pytest.raises(ValueError, match="got 0 files of weights"):
        read_tensors(tmp_path)
    for name in ("a.pt", "b.pt"):
        _zip(tmp_path / name, GOOD, {"0": NUMBERS.tobytes()})
    with pytest.raises(ValueError, match=r"got 2 files of weights \(a.pt, b.pt\)"):
        read_tensors(tmp_path)
    _zip(tmp_path / "diffusion_pytorch_model.bin", GOOD, {"0": NUMBERS.tobytes()})
    assert list(read_tensors(tmp_path)) == ["w"]


def test_files_that_are_none(tmp_path):
    for data in (b"", b"PK\x03\x04", b"hello", b"\x80\x02K\x01."):
        path = tmp_path / "a.pt"
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"a\.pt: got"):
            read_tensors(path)


@pytest.mark.parametrize("new", [True, False])
def test_what_torch_saves_is_what_it_had(new, tmp_path):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.GroupNorm(2, 4))
    wanted = dict(net.state_dict())
    base = torch.arange(12.0).reshape(3, 4)
    wanted |= {"turned": base.T, "part": base[1:, ::2], "scalar": torch.tensor(3.5)}
    wanted |= {"half": base.half(), "brain": base.bfloat16(), "long": torch.arange(3)}
    wanted["parameter"] = torch.nn.Parameter(torch.ones(2))
    torch.save(
        {"state_dict": wanted, "epoch": 3, "lr": 0.1, "name": "net"},
        tmp_path / "a.pt",
        _use_new_zipfile_serialization=new,
    )
    found = read_tensors(tmp_path / "a.pt")
    assert set(found) == set(wanted)
    for name, tensor in wanted.items():
        same = tensor.detach().float().numpy()
        np.testing.assert_array_equal(found[name].astype(np.float32), same)
        assert str(found[name].dtype) == str(tensor.dtype).removeprefix("torch.")


@pytest.mark.parametrize("count", [100, pytest.param(20_000, marks=pytest.mark.slow)])
def test_files_changed_at_random_are_read_or_refused(count, tmp_path, mutations, read_or_refused):
    first, second = NUMBERS.astype(np.float32).tobytes(), NUMBERS.tobytes()

    def body(*, legacy):
        a = _tensor("0", "FloatStorage", 6, (3, 2), (1, 3), legacy=legacy)
        return _state(a=a, b=_tensor("1", "DoubleStorage", 6, (6,), (1,), legacy=legacy))

    records = {"0": (6, first), "1": (6, second)}
    plain = {key: data for key, (_, data) in records.items()}
    new = _zip(tmp_path / "a.pt", body(legacy=False), plain).read_bytes()
    old = _legacy(tmp_path / "b.pt", body(legacy=True), records).read_bytes()
    refused, path = 0, tmp_path / "c.pt"
    for seed, whole in enumerate((new, old)):
        for data in mutations(whole, seed, count // 2):
            path.write_bytes(data)
            refused += read_or_refused(lambda: read_tensors(path), path) is None
    assert refused > count / 4
