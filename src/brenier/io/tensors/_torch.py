"""Files that ``torch.save`` wrote, in its present format (a zip) and in that before 1.6."""

import io
import math
import os
import struct
import sys
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from brenier.io._refusals import check_unpacked, one_line
from brenier.io.tensors._dtypes import as_dtype
from brenier.io.tensors._pickled import PickledTensor, Storage, Unpickled

_WANTS = "wants the whole file, as torch.save wrote it"
_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_VERSION = 1001
_LOCAL_HEADER, _LOCAL_SIZE = b"PK\x03\x04", 30
_CRC_BLOCK = 2**24
_FAULTS = (zipfile.BadZipFile, zlib.error, struct.error, RuntimeError, EOFError, OSError,
           NotImplementedError, ValueError, LookupError, OverflowError)  # fmt: skip
# Dictionaries within dictionaries, as in {"model": {"ema": {...}}}.
_DEPTH = 4


def read_torch(path: str | os.PathLike[str], part: str | None = None) -> dict[str, np.ndarray]:
    """The tensors of one dictionary in a file of PyTorch: the named one, or the outermost.

    The arrays lie in the file, which is mapped into memory and not read. Nothing in it is run.

    Raises:
        ValueError: a damaged file, or one with anything but tensors, numbers, texts and containers;
            several dictionaries of tensors and no ``part``, or none of its name.
    """
    mapped = np.memmap(path, np.uint8, mode="r") if os.path.getsize(path) else np.zeros(0, np.uint8)
    is_zip = bytes(mapped[:4]) == _LOCAL_HEADER
    file = _Zip(path, mapped) if is_zip else _legacy(path, mapped)
    chosen = _chosen(path, _parts(file.value), part)
    return {name: _array(path, name, tensor, file) for name, tensor in chosen.items()}


class _Zip:
    """The records of the present format: ``NAME/data.pkl`` and ``NAME/data/KEY``, not packed."""

    def __init__(self, path: Any, mapped: np.ndarray):
        self.path, self.mapped = path, mapped
        try:
            with zipfile.ZipFile(path) as archive:
                members = {info.filename: info for info in archive.infolist()}
        except _FAULTS as error:
            raise ValueError(
                f"{path}: got a truncated or damaged zip ({one_line(error)}); {_WANTS}."
            ) from None
        self.members = members
        roots = [name[: -len("data.pkl")] for name in members if name.endswith("/data.pkl")]
        if len(roots) != 1:
            raise ValueError(
                f"{path}: got a zip with {len(roots)} records data.pkl; wants one that torch.save "
                "wrote."
            )
        self.root = roots[0]
        if f"{self.root}constants.pkl" in members:
            raise ValueError(
                f"{path}: got a TorchScript program; wants weights (torch.save of a state_dict)."
            )
        order = f"{self.root}byteorder"
        self.order = (
            self.record(order).tobytes().decode("latin-1") if order in members else "little"
        )
        if self.order not in ("little", "big"):
            raise ValueError(f"{path}: got the byte order {self.order!r:.20}; {_WANTS}.")
        stream = io.BytesIO(self.record(f"{self.root}data.pkl").tobytes())
        self.value = Unpickled(path, stream).value
        self.cache: dict[str, np.ndarray] = {}

    def storage(self, storage: Storage) -> np.ndarray:
        """The bytes of a storage."""
        name = f"{self.root}data/{storage.key}"
        if name not in self.members:
            raise ValueError(f"{self.path}: got no record {name!r:.200}; {_WANTS}.")
        if name not in self.cache:
            self.cache[name] = self.record(name)
        return self.cache[name]

    def record(self, name: str) -> np.ndarray:
        """The bytes of a record, checked; in the mapped file where they are not packed."""
        info = self.members[name]
        if info.compress_type != zipfile.ZIP_STORED:
            return self._unpacked(info)
        start = info.header_offset
        header = self.mapped[start : start + _LOCAL_SIZE].tobytes()
        if header[:4] != _LOCAL_HEADER or len(header) != _LOCAL_SIZE:
            raise ValueError(f"{self.path}: got no record at the place of {name!r:.200}; {_WANTS}.")
        start += _LOCAL_SIZE + sum(struct.unpack("<HH", header[26:30]))
        data = self.mapped[start : start + info.file_size]
        crc = 0
        for place in range(0, len(data), _CRC_BLOCK):
            crc = zlib.crc32(data[place : place + _CRC_BLOCK].data, crc)
        if len(data) != info.file_size or crc != info.CRC:
            raise ValueError(
                f"{self.path}: got a damaged record {name!r:.200} (its checksum is not that of its "
                f"bytes); {_WANTS}."
            )
        return data

    def _unpacked(self, info: zipfile.ZipInfo) -> np.ndarray:
        """A record of a zip that somebody packed again."""
        check_unpacked(self.path, info.compress_size, info.file_size)
        try:
            with zipfile.ZipFile(self.path) as archive:
                return np.frombuffer(archive.read(info), np.uint8)
        except _FAULTS as error:
            raise ValueError(
                f"{self.path}: got a damaged record {info.filename!r:.200} ({one_line(error)}); "
                f"{_WANTS}."
            ) from None


class _Records:
    """The storages of the format before 1.6, one after another behind the pickles."""

    def __init__(self, path: Any, value: Any, order: str, records: Mapping[str, np.ndarray]):
        self.path, self.value, self.order, self.records = path, value, order, records

    def storage(self, storage: Storage) -> np.ndarray:
        if storage.key not in self.records:
            raise ValueError(f"{self.path}: got no storage {storage.key!r:.200}; {_WANTS}.")
        return self.records[storage.key]


def _legacy(path: Any, mapped: np.ndarray) -> _Records:
    """Magic number, version, system, object, keys (five pickles), then the storages' bytes."""
    with open(path, "rb") as stream:
        if mapped[:1].tobytes() != b"\x80" or Unpickled(path, stream).value != _MAGIC:
            raise ValueError(
                f"{path}: got no file of PyTorch; wants one that torch.save wrote, or safetensors."
            )
        version, system = Unpickled(path, stream).value, Unpickled(path, stream).value
        if version != _LEGACY_VERSION or not isinstance(system, dict):
            raise ValueError(f"{path}: got another version of the format; wants {_LEGACY_VERSION}.")
        order: Literal["little", "big"] = "little" if system.get("little_endian", True) else "big"
        pickled = Unpickled(path, stream)
        keys = Unpickled(path, stream).value
        place = stream.tell()
    records = {}
    for key in keys if isinstance(keys, list) else ():
        storage = pickled.storages.get(str(key)) if isinstance(key, str | int) else None
        if storage is None:
            raise ValueError(f"{path}: got a storage that no tensor uses; {_WANTS}.")
        # The length is in the byte order of the machine that wrote.
        length = int.from_bytes(mapped[place : place + 8].tobytes(), order)
        end = place + 8 + length * as_dtype(storage.dtype).itemsize
        if length != storage.count or end > len(mapped):
            raise ValueError(
                f"{path}: got a truncated file, at the storage {key!r:.50} of {storage.count:,} "
                f"elements; {_WANTS}."
            )
        records[str(key)] = mapped[place + 8 : end]
        place = end
    return _Records(path, pickled.value, order, records)


def _parts(value: Any) -> dict[str, dict[str, PickledTensor]]:
    """Every dictionary that holds tensors, by its path in the object; the outermost is ''."""
    found: dict[str, dict[str, PickledTensor]] = {}
    seen: set[int] = set()
    waiting = [("", value, 0)]
    for name, part, depth in waiting:
        if not isinstance(part, dict) or id(part) in seen:
            continue
        seen.add(id(part))
        own = {str(key): item for key, item in part.items() if isinstance(item, PickledTensor)}
        if own:
            found[name] = own
        if depth < _DEPTH:
            within = [(f"{name}/{key}".lstrip("/"), item, depth + 1) for key, item in part.items()]
            waiting.extend(within)
    return found


def _chosen(
    path: Any, parts: dict[str, dict[str, PickledTensor]], part: str | None
) -> dict[str, PickledTensor]:
    """The named dictionary of tensors, or the only one of the least depth, if it has the most."""
    if part is None:
        depths = {name: name.count("/") if name else -1 for name in parts}
        outer = [name for name in parts if depths[name] == min(depths.values())]
        # A counter beside a network does not stand for it.
        if len(outer) <= 1 and all(len(own) <= len(parts[outer[0]]) for own in parts.values()):
            return parts[outer[0]] if outer else {}
    elif part in parts:
        return parts[part]
    names = ", ".join(repr(name) for name in sorted(parts)[:8]) or "none"
    raise ValueError(
        f"part: got {part!r:.100} for {path}, with tensors in {names}; wants one of these names."
    )


def _array(path: Any, name: str, tensor: PickledTensor, file: "_Zip | _Records") -> np.ndarray:
    """The array of a tensor: a view of the file, but for bytes in the other order."""
    storage, dtype = tensor.storage, as_dtype(tensor.dtype)
    data = file.storage(storage)
    unit = as_dtype(storage.dtype).itemsize
    whole = data[storage.first * unit : (storage.first + storage.count) * unit]
    if len(whole) != storage.count * unit:
        raise ValueError(
            f"{path}: got {len(data):,} bytes for the storage {storage.key!r:.50} of "
            f"{storage.count:,} elements ({storage.dtype}); {_WANTS}."
        )
    last = tensor.offset + sum(
        (size - 1) * stride for size, stride in zip(tensor.shape, tensor.strides, strict=True)
    )
    count = math.prod(tensor.shape)
    if count and (last + 1) * dtype.itemsize > len(whole):
        raise ValueError(
            f"{path}: got a tensor {name:.200} of shape {tensor.shape} beyond the end of its "
            f"storage of {storage.count:,} elements; {_WANTS}."
        )
    check_unpacked(path, len(whole), count * dtype.itemsize)
    if not count:
        return np.zeros(tensor.shape, dtype)
    if file.order != sys.byteorder:
        word = dtype.itemsize // (2 if dtype.kind == "c" else 1)
        whole = np.ascontiguousarray(whole.reshape(-1, word)[:, ::-1]).reshape(-1)
    flat = whole[tensor.offset * dtype.itemsize : (last + 1) * dtype.itemsize].view(dtype)
    strides = tuple(stride * dtype.itemsize for stride in tensor.strides)
    return np.lib.stride_tricks.as_strided(flat, tensor.shape, strides, writeable=False)
