"""Points in Parquet, block after block of rows. PyArrow is imported where it is used."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from brenier._checks import as_float_array
from brenier.io._refusals import check_unpacked, refusing
from brenier.io.points._csv import check_names
from brenier.io.points._table import RowIndex, Table, places_of, shortened

# Numbers that are read or written at a time.
_BLOCK = 2**20


def read_parquet(name: str, path: Path, columns: Sequence[str] | None = None) -> Table:
    """The points of a Parquet file; the index that pandas keeps beside them is no coordinate.

    Whole numbers, booleans and decimals become float64, as floats do, but where all are narrower.

    Raises:
        ValueError: names the file: none of Parquet, a damaged one, no such column, or no numbers.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    damaged = (name, "no Parquet file, or a damaged one", "a Parquet table")
    with refusing(*damaged):
        file = pq.ParquetFile(path)
        schema, rows = file.schema_arrow, file.metadata.num_rows
    with file:
        index = index_columns(name, schema)
        stored = [column for column in schema.names if column not in index]
        names = check_names(name, stored)
        if columns is not None:
            places = places_of(name, names, len(names), columns)
            stored, names = [stored[i] for i in places], tuple(names[i] for i in places)
        labels = [f"{name}, column {shortened(column)}" for column in names]
        kinds = [schema.field(column).type for column in stored]
        for label, kind in zip(labels, kinds, strict=True):
            _check_kind(label, kind)
        single = bool(kinds) and all(kind in (pa.float16(), pa.float32()) for kind in kinds)
        check_unpacked(name, path.stat().st_size, rows * len(names) * 8)
        values = np.empty((rows, len(names)), np.float32 if single else np.float64)
        with refusing(*damaged):
            batches = file.iter_batches(max(1, _BLOCK // max(1, len(names))), columns=stored)
        done = 0
        while done < rows and names:
            with refusing(*damaged):
                block = next(batches)
                parts = [_numbers(block.column(column)) for column in stored]
            if done + len(block) > rows:
                raise ValueError(f"{name}: got more rows than the {rows:,} it says; wants as many.")
            for j, part in enumerate(parts):
                values[done : done + len(block), j] = as_float_array(labels[j], part)
            done += len(block)
        with refusing(*damaged):
            rows_named = _row_index(file, index)
    return Table(values, name, names, index=rows_named)


def write_parquet(
    handle: BinaryIO, values: np.ndarray, names: Sequence[str] | None, index: RowIndex | None = None
) -> None:
    """Rows of numbers below the names, or x0, x1, ... where there are none; and their own names."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = names or [f"x{i}" for i in range(values.shape[1])]

    beside = {} if index is None else index.columns
    notes = None if index is None else {"pandas": json.dumps(index.notes)}

    def table(start: int, size: int) -> pa.Table:
        rows = dict(zip(columns, values[start : start + size].T, strict=True))
        rows |= {name: level.slice(start, size) for name, level in beside.items()}
        return pa.table(rows).replace_schema_metadata(notes)

    with pq.ParquetWriter(handle, table(0, 0).schema) as writer:
        for start in range(0, len(values), _BLOCK):
            writer.write_table(table(start, _BLOCK))


def _row_index(file: Any, columns: Sequence[str]) -> RowIndex | None:
    """What pandas keeps of the names of the rows; None for a count from 0 on."""
    notes = file.schema_arrow.pandas_metadata
    if not columns or not notes or not set(columns) <= set(file.schema_arrow.names):
        return None
    levels = file.read(columns=list(columns))
    own = [field for field in notes.get("columns", []) if field.get("field_name") in columns]
    kept = {"index_columns": list(columns), "column_indexes": [], "columns": own}
    return RowIndex(dict(zip(columns, levels.columns, strict=True)), kept)


def _check_kind(label: str, kind: Any) -> None:
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    is_kind = (pa.types.is_floating, pa.types.is_integer, pa.types.is_boolean, pa.types.is_decimal)
    if not any(holds(kind) for holds in is_kind):
        raise ValueError(
            f"{label}: got entries of type {kind}; wants numbers (--columns chooses columns)."
        )


def _numbers(column: Any) -> np.ndarray:
    """A column as NumPy has it; a missing entry is NaN."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        return _numbers(column.dictionary_decode())
    plain = pa.types.is_floating(column.type) or pa.types.is_integer(column.type)
    if pa.types.is_decimal(column.type) and column.type.scale <= 0 and not column.null_count:
        plain = True  # whole numbers, which are not to be rounded
    return (column if plain else column.cast(pa.float64())).to_numpy(zero_copy_only=False)


def index_columns(name: str, schema: Any) -> list[str]:
    """The columns that pandas keeps a frame's index in: they are no coordinates."""
    try:
        stored = (schema.pandas_metadata or {}).get("index_columns") or []
        return [column for column in stored if isinstance(column, str)]
    except (ValueError, AttributeError, TypeError) as error:
        raise ValueError(
            f"{name}: got pandas' notes on the table in a form that is not pandas' ({error}); "
            "wants a Parquet table as pandas or pyarrow writes it."
        ) from None
