"""People in millions of photos with Spark: one estimator per Python worker, rows out (docs/scale.md)."""

import io
import json
import tarfile
from collections.abc import Iterator
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from litehrnet.inference.estimator import PoseEstimator
from litehrnet.integrations.photo_batches import BATCH, open_estimator
from litehrnet.integrations.photo_batches import find_people as find_people_in_batch
from litehrnet.io.images import IMAGE_SUFFIXES
from litehrnet.results.files import to_arrow

if TYPE_CHECKING:
    import pandas
    from pyspark.sql import DataFrame

_TYPES = {"string": "string", "int64": "long", "float": "float"}
"""Spark's names of Arrow's types."""


def find_people(photos: "DataFrame", *, name: str = "path", content: str = "content", **estimator: Any) -> "DataFrame":
    """Find the people in the photos of a data frame.

    Spark hands 10,000 rows at once to Python unless ``spark.sql.execution.arrow.maxRecordsPerBatch`` is set: 64 is
    enough here, and keeps memory small.

    Args:
        photos: A row per photo: its name, and the content of its file.
        name: Column of the names, as ``spark.read.format("binaryFile")`` calls it.
        content: Column of the contents.
        **estimator: Arguments of ``PoseEstimator`` that JSON can hold; files must exist on every machine.

    Returns:
        The rows of ``litehrnet.integrations.photo_batches``.

    Raises:
        UserError: The estimator cannot be opened here.
    """
    arguments = json.dumps(estimator, sort_keys=True)
    columns = to_arrow(find_people_in_batch(_opened(arguments), [], [])).schema
    schema = ", ".join(f"`{column.name}` {_TYPES[str(column.type)]}" for column in columns)
    return photos.select(name, content).mapInPandas(partial(_frames, arguments), schema)


def photos_in_shards(shards: "DataFrame") -> "DataFrame":
    """Unpack WebDataset shards: the photos in ``.tar`` files, named ``SHARD/NAME``.

    A shard that cannot be read to its end gives the photos before, and one row without content for itself.

    Args:
        shards: A row per shard, as from ``spark.read.format("binaryFile")``; Spark allows 2 GB each.

    Returns:
        The columns ``path`` and ``content``.
    """
    return shards.select("path", "content").mapInPandas(_unpacked, "path string, content binary")


def _frames(arguments: str, batches: "Iterator[pandas.DataFrame]") -> "Iterator[pandas.DataFrame]":
    import pandas
    import pyarrow

    whole = {pyarrow.int64(): pandas.Int64Dtype()}  # whole numbers with empty cells
    for batch in batches:
        names, contents = (batch.iloc[:, column].tolist() for column in (0, 1))
        table = to_arrow(find_people_in_batch(_opened(arguments), names, contents))
        yield table.to_pandas(types_mapper=whole.get)


@cache
def _opened(arguments: str) -> PoseEstimator:
    """Open the estimator once in each process, as Spark uses its Python workers for many tasks."""
    return open_estimator(json.loads(arguments))


def _unpacked(batches: "Iterator[pandas.DataFrame]") -> "Iterator[pandas.DataFrame]":
    import pandas

    for batch in batches:
        for shard, content in zip(batch["path"], batch["content"], strict=True):
            photos: list[tuple[str, bytes | None]] = []
            for photo in _photos_of(shard, content):
                photos.append(photo)
                if len(photos) == BATCH:
                    yield pandas.DataFrame(photos, columns=["path", "content"])
                    photos = []
            yield pandas.DataFrame(photos, columns=["path", "content"])


def _photos_of(shard: str, content: bytes) -> Iterator[tuple[str, bytes | None]]:
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isfile() else None
                if file is not None and f".{member.name.rpartition('.')[2].lower()}" in IMAGE_SUFFIXES:
                    yield f"{shard}/{member.name}", file.read()
    except (tarfile.TarError, EOFError, OSError):
        yield shard, None
