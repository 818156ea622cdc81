"""People in millions of photos with Ray Data: one estimator per worker, rows out (docs/scale.md)."""

from typing import TYPE_CHECKING, Any

from litehrnet.errors import UserError
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
        workers: Number of workers, one CPU each; fewer than the cluster has CPUs, as reading and writing need one.
        name: Column of the names, as ``ray.data.read_binary_files(..., include_paths=True)`` calls it.
        content: Column of the contents.
        **estimator: Arguments of ``PoseEstimator``; files must exist on every machine.

    Returns:
        The rows of ``litehrnet.integrations.photo_batches``.

    Raises:
        UserError: The cluster has too few CPUs now.
    """
    import ray.data

    check_workers(workers, ray.cluster_resources().get("CPU", 0.0))
    return photos.map_batches(
        _Worker,
        fn_constructor_kwargs={"name": name, "content": content, "arguments": estimator},
        batch_size=BATCH,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=workers),
        num_cpus=1,
    )


def check_workers(workers: int, cpus: float) -> None:
    """Check that workers leave a CPU to reading and writing, without which Ray would wait forever.

    Raises:
        UserError: They do not, or there are none.
    """
    if not 1 <= workers <= cpus - 1:
        raise UserError(
            f"workers {workers}: the cluster has {cpus:g} CPUs (expected 1 to {max(cpus - 1, 0):g} workers)"
        )


class _Worker:
    """Is created once in each worker process."""

    def __init__(self, name: str, content: str, arguments: dict[str, Any]) -> None:
        self._name, self._content = name, content
        self._estimator = open_estimator(arguments)

    def __call__(self, batch: "pyarrow.Table") -> "pyarrow.Table":
        names, contents = (batch.column(column).to_pylist() for column in (self._name, self._content))
        return to_arrow(find_people_in_batch(self._estimator, names, contents))
