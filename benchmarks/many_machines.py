"""Jobs on Ray and Spark, on two local workers, against one process; a worker may be killed in the middle.

``python -m benchmarks.many_machines photos FOLDER --data DATA`` makes 5,000 photos in ``FOLDER/photos``: copies of
those in ``coco_dev`` under names of their own, one of them cut short. ``one``, ``ray`` and ``spark`` in place of
``photos`` find the people in them, write ``FOLDER/rows_one`` and so on, and print photos per second and CPU time.
``compare`` compares these rows. ``--parts N`` uses the first N of 20 parts, and ``--kill-after S`` kills a worker after
so many seconds.
"""

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet

from litehrnet.integrations.photo_batches import BATCH, find_people, open_estimator
from litehrnet.results.files import write_parquet

PHOTOS, PART = 5000, 250
MARK = "LITEHRNET_JOB"
"""Environment variable that all processes of a job have."""


def make_photos(data: Path, folder: Path) -> None:
    """Copy the photos of ``coco_dev`` under new names, in parts of 250, and cut one of them short."""
    given = sorted((data / "coco_dev" / "images").iterdir())
    for number in range(PHOTOS):
        part = folder / "photos" / f"{number // PART:02}"
        part.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(given[number % len(given)], part / f"{number:05}.jpg")
    broken = folder / "photos" / "00" / "00007.jpg"
    broken.write_bytes(broken.read_bytes()[:100])


def run_one(parts: list[Path], out: Path) -> None:
    """Process all photos in this process, with one thread."""
    estimator, files = open_estimator({}), sorted(file for part in parts for file in part.iterdir())
    for start in range(0, len(files), BATCH):
        batch = files[start : start + BATCH]
        columns = find_people(estimator, [str(file) for file in batch], [file.read_bytes() for file in batch])
        write_parquet(out / f"{start:05}.parquet", columns)


def run_ray(parts: list[Path], out: Path) -> None:
    """Process the photos on a cluster of two nodes; each runs one worker."""
    import ray
    from ray.cluster_utils import Cluster

    from litehrnet.integrations import ray as on_ray

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": 200_000_000})
    for _ in range(2):
        cluster.add_node(num_cpus=2, object_store_memory=400_000_000)
    cluster.wait_for_nodes()
    ray.init(address=cluster.address, log_to_driver=False)
    photos = ray.data.read_binary_files([str(part) for part in parts], include_paths=True)
    on_ray.find_people(photos, workers=2).write_parquet(str(out))
    ray.shutdown()
    cluster.shutdown()


def run_spark(parts: list[Path], out: Path) -> None:
    """Process the photos on a cluster of two executors with one CPU each."""
    from pyspark.sql import SparkSession

    from litehrnet.integrations import spark as on_spark

    session = (
        SparkSession.builder.master("local-cluster[2,1,1024]")
        .config("spark.executor.memory", "1g")
        .config("spark.executorEnv.PYTHONPATH", os.environ.get("PYTHONPATH", ""))
        .config("spark.sql.execution.arrow.maxRecordsPerBatch", BATCH)
        .config("spark.sql.files.maxPartitionBytes", "32m")
        .config("spark.sql.files.openCostInBytes", 0)
        .config("spark.ui.enabled", False)
        .getOrCreate()
    )
    photos = session.read.format("binaryFile").load([str(part) for part in parts])
    on_spark.find_people(photos).write.parquet(str(out))
    session.stop()


def compare(folder: Path) -> None:
    """Print how many photos each job lost or wrote twice, and how many rows are those of one process."""
    wanted = {file.name for part in (folder / "photos").iterdir() for file in part.iterdir()}
    one = {(row["image"], row["person"]): row for row in _rows(folder / "rows_one")}
    known = {image for image, _ in one}
    for name in ("ray", "spark"):
        rows = _rows(folder / f"rows_{name}")
        counts = Counter((row["image"], row["person"]) for row in rows)
        print(f"{name}: {len(rows)} rows, photos lost: {len(wanted - {row['image'] for row in rows})}")
        print(f"  rows twice: {sum(number > 1 for number in counts.values())}")
        print(f"  errors: {[row['error'].rpartition('/')[2] for row in rows if row['error']]}")
        compared = [row for row in rows if row["image"] in known]
        same = sum(_is_same(row, one.get((row["image"], row["person"]))) for row in compared)
        print(
            f"  of {len(known)} photos: {len(compared)} rows, {same} equal those of one process, which has {len(one)}"
        )


def _is_same(row: dict[str, Any], other: dict[str, Any] | None) -> bool:
    return other is not None and {**row, "error": bool(row["error"])} == {**other, "error": bool(other["error"])}


def _rows(folder: Path) -> list[dict[str, Any]]:
    files = sorted(folder.glob("*.parquet"))
    tables = [pyarrow.parquet.read_table(file).to_pylist() for file in files]
    return [{**row, "image": row["image"].rpartition("/")[2]} for rows in tables for row in rows]


def kill_worker(job: str) -> None:
    """Kill one worker of the job: an actor of Ray, or an executor of Spark."""
    words = {"ray": "ray::", "spark": "CoarseGrainedExecutorBackend"}[job]
    for process in _processes():
        with contextlib.suppress(OSError):
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if words in command and ("Worker" in command or job == "spark"):
                print(f"killed: {command[:100]}", flush=True)
                os.kill(int(process.name), signal.SIGKILL)
                return
    print("no worker to kill", flush=True)


@contextlib.contextmanager
def measured() -> Iterator[dict[int, float]]:
    """Collect the CPU seconds of all processes of the job, by process id, twice a second."""
    seconds: dict[int, float] = {}
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(0.5):
            for process in _processes():
                with contextlib.suppress(OSError):
                    fields = (process / "stat").read_text().rpartition(")")[2].split()
                    seconds[int(process.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield seconds
    finally:
        ended.set()
        thread.join()


def _processes() -> list[Path]:
    mark, found = f"{MARK}={os.environ[MARK]}".encode(), []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append(process)
    return found


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("photos", "one", "ray", "spark", "compare"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--parts", type=int, default=PHOTOS // PART)
    parser.add_argument("--kill-after", type=float)
    options = parser.parse_args()
    folder = options.folder.absolute()
    if options.what == "photos":
        make_photos(options.data, folder)
    elif options.what == "compare":
        compare(folder)
    elif MARK not in os.environ:  # once more, as a process whose environment has the mark
        # Ray's workers are nicer than other processes by default, which would compare the other work of a busy machine.
        named = {"RAY_worker_niceness": "0", "PYSPARK_PYTHON": sys.executable}
        environment = {**os.environ, **named, MARK: str(os.getpid())}
        sys.exit(subprocess.call([sys.executable, "-m", "benchmarks.many_machines", *sys.argv[1:]], env=environment))
    else:
        parts = sorted((folder / "photos").iterdir())[: options.parts]
        out = folder / f"rows_{options.what}"
        shutil.rmtree(out, ignore_errors=True)
        if options.what == "one":
            out.mkdir()
        if options.kill_after:
            threading.Timer(options.kill_after, kill_worker, [options.what]).start()
        began = time.monotonic()
        with measured() as seconds:
            {"one": run_one, "ray": run_ray, "spark": run_spark}[options.what](parts, out)
        wall, cpu, count = time.monotonic() - began, sum(seconds.values()), len(parts) * PART
        print(f"{options.what}: {count} photos, {count / wall:.2f} per second, {1000 * cpu / count:.1f} ms of CPU each")
        for each, spent in sorted(seconds.items(), key=lambda item: -item[1])[:6]:
            print(f"  process {each}: {spent:.1f} s of CPU")


if __name__ == "__main__":
    main()
