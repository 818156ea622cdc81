"""Whether movement and sleap-io read the files that ``litehrnet predict`` writes for tools that study behavior.

Run: ``python -m benchmarks.reading_tools FOLDER``, in an environment with ``movement`` and ``sleap-io``. They need a
gigabyte, so they are no test dependencies. FOLDER is a folder of results, as
``litehrnet predict movie.mp4 --csv --deeplabcut-csv --deeplabcut-h5 --sleap --out-dir FOLDER`` writes them. Positions
and likelihoods that the tools read are compared with those of the CSV table.
"""

import argparse
import csv
import importlib
from pathlib import Path

import numpy as np

from litehrnet.arrays import Floats64


def main() -> None:
    """Compare each file of the folder, and print what was read."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="folder of results")
    folder = parser.parse_args().folder
    load, sleap = importlib.import_module("movement.io.load_poses"), importlib.import_module("sleap_io")
    for table in sorted(path for path in folder.glob("*.csv") if not path.stem.endswith("_dlc")):
        stem, expected = table.stem, read_table(table)
        files = {f"{stem}_dlc.csv": load.from_dlc_file, f"{stem}_dlc.h5": load.from_dlc_file}
        for name, read in {**files, f"{stem}.analysis.h5": load.from_sleap_file}.items():
            data = read(folder / name)
            position = data.position.transpose("time", "individuals", "keypoints", "space").to_numpy()
            confidence = data.confidence.transpose("time", "individuals", "keypoints").to_numpy()
            compare(name, "movement", np.concatenate([position, confidence[..., None]], axis=3), expected)
        labels = sleap.load_analysis_h5(str(folder / f"{stem}.analysis.h5"))
        found = np.full(expected.shape, np.nan)
        for frame in labels.labeled_frames:
            for instance in frame.instances:
                person = labels.tracks.index(instance.track)
                found[frame.frame_idx, person] = instance.numpy(scores=True)
        compare(f"{stem}.analysis.h5", "sleap-io", found, expected)


def read_table(path: Path) -> Floats64:
    """Read (frames, people, keypoints, 3) of the people with an identity from a CSV table."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name.removesuffix("_likelihood") for name in rows[0] if name.endswith("_likelihood")]
    tracked = [row for row in rows if row["id"] not in ("", "0")]
    known = sorted({int(row["id"]) for row in tracked})
    values = np.full((int(rows[-1]["frame"]) + 1, len(known), len(names), 3), np.nan)
    for row in tracked:
        cells = [[float(row[f"{name}_{end}"]) for end in ("x", "y", "likelihood")] for name in names]
        values[int(row["frame"]), known.index(int(row["id"]))] = cells
    return values


def compare(name: str, tool: str, found: Floats64, expected: Floats64) -> None:
    """Print the shape and the largest difference.

    Raises:
        AssertionError: Values differ by more than the precision of float32.
    """
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    frames, people, keypoints, _ = found.shape
    print(f"{name}, read by {tool}: {frames} frames, {people} people, {keypoints} keypoints, all equal to the table")


if __name__ == "__main__":
    main()
