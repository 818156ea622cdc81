"""People in millions of photos with Ray Data: one estimator per worker, rows out (docs/scale.md)."""

from typing import TYPE_CHECKING, Any

from litehrnet.integrations.photo_batches import BATCH, open_estimator
from litehrnet.integrations.photo_batches import find_people as find_people_in_batch
from litehrnet.results.files import to_arrow

if TYPE_CHECKING:
    import pyarrow
    import ray.data


def find_people(
    photos: "ray.data.Dataset", *, workers: int, name: str = "path", content: str = "bytes", **estimator: Any
) -> "ray.data.Dataset":
    """Find the people in the photos of a dataset.

    Args:
        photos: A row per photo: its name, and the content of its file.
        workers: Most workers, one CPU each. There are fewer while reading or writing needs a CPU.
        name: Column of the names, as ``ray.data.read_binary_files(..., include_paths=True)`` calls it.
        content: Column of the contents.
        **estimator: Arguments of ``PoseEstimator``; files must exist on every machine.

    Returns:
        The rows of ``litehrnet.integrations.photo_batches``.
    """
    import ray.data

    # A fixed number of workers that take all CPUs would wait forever for photos that nobody reads.
    return photos.map_batches(
        _Worker,
        fn_constructor_kwargs={"name": name, "content": content, "arguments": estimator},
        batch_size=BATCH,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=workers),
        num_cpus=1,
    )


class _Worker:
    """Is created once in each worker process."""

    def __init__(self, name: str, content: str, arguments: dict[str, Any]) -> None:
        self._name, self._content = name, content
        self._estimator = open_estimator(arguments)

    def __call__(self, batch: "pyarrow.Table") -> "pyarrow.Table":
        names, contents = (batch.column(column).to_pylist() for column in (self._name, self._content))
        return to_arrow(find_people_in_batch(self._estimator, names, contents))
