"""Reader of SLEAP's projects (``.slp``) and of its analysis files; both are HDF5."""

import json
import posixpath
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litehrnet.data.tools.hdf5 import opened
from litehrnet.data.tools.project import UNNAMED, Category, LabeledObject, LabeledPhoto, Point, Project
from litehrnet.errors import UserError

_EDGE, _SYMMETRY = 1, 2
_CENTERED = 1.1  # since this format, the center of a pixel has whole coordinates


def read_sleap(path: Path) -> Project:
    """Read the instances that a person labeled (``.slp``), or all tracks of an analysis file.

    Frames of a video get the name ``VIDEO/000012.png``, counted from 0: SLEAP's files do not hold them as photos.

    Raises:
        UserError: The file is missing, or is neither.
    """
    with opened(path) as file:
        if "metadata" in file and "instances" in file:
            return _project(path, file)
        if "tracks" in file and "node_names" in file:
            return _analysis(path, file)
    raise UserError(f"{path}: not a file of SLEAP (expected a .slp project, or an analysis file in HDF5)")


def _project(path: Path, file: Any) -> Project:
    metadata = json.loads(file["metadata"].attrs["json"])
    shift = 0.0 if float(file["metadata"].attrs.get("format_id", 1.0)) >= _CENTERED else -0.5
    nodes = [node["name"] for node in metadata["nodes"]]
    categories = [_category(index, skeleton, nodes) for index, skeleton in enumerate(metadata["skeletons"])]
    videos = [json.loads(text) for text in file["videos_json"][()]]
    backends = [video.get("backend") or video for video in videos]
    for name in (str(backend.get("filename")) for backend in backends):
        if name == "." or name.endswith(".slp"):
            held = "holds its frames itself" if name == "." else f"has its frames in {name}"
            raise UserError(f"{path}: {held} (expected the .slp project that names its photos or videos)")
    listed = [name for backend in backends for name in _listed(backend)]
    folder = posixpath.commonpath([posixpath.dirname(name) for name in listed]) if listed else ""
    instances, points = file["instances"][()], file["points"][()]
    left_out: Counter[str] = Counter()
    photos = []
    for frame in file["frames"][()]:
        objects = []
        for row in instances[int(frame["instance_id_start"]) : int(frame["instance_id_end"])]:
            if int(row["instance_type"]) != 0:
                left_out["predicted instances"] += 1
                continue
            category = categories[int(row["skeleton"])]
            own = points[int(row["point_id_start"]) : int(row["point_id_end"])]
            keypoints = _keypoints(
                category, np.stack([own["x"], own["y"]], axis=1).astype(float) + shift, own["visible"]
            )
            objects.append(LabeledObject(category.name, keypoints))
        name, size = _frame(backends[int(frame["video"])], int(frame["frame_idx"]), folder)
        photos.append(LabeledPhoto(name, size, tuple(objects)))
    return Project(path.parent / folder, tuple(categories), tuple(photos), left_out)


def _category(index: int, skeleton: dict[str, Any], nodes: list[str]) -> Category:
    """Keypoints, edges and symmetries. A link names its type in jsonpickle's form, and later links refer to it."""
    types: list[int] = []
    ends: dict[int, list[tuple[str, str]]] = {_EDGE: [], _SYMMETRY: []}
    for link in skeleton.get("links", []):
        given = link.get("type", {})
        if "py/reduce" in given:
            types.append(given["py/reduce"][1]["py/tuple"][0])
            kind = types[-1]
        else:
            number = given.get("py/id", _EDGE)
            kind = types[number - 1] if number <= len(types) else number
        ends[kind].append((nodes[link["source"]], nodes[link["target"]]))
    pairs = {tuple(sorted(pair)): pair for pair in reversed(ends[_SYMMETRY])}  # each is there in both directions
    names = tuple(nodes[node["id"]] for node in skeleton["nodes"])
    name = UNNAMED if index == 0 else f"{UNNAMED}_{index + 1}"
    return Category(name, names, tuple(ends[_EDGE]), tuple(pairs.values()) if pairs else None)


def _keypoints(category: Category, xy: NDArray[np.float64], visible: NDArray[Any]) -> dict[str, Point]:
    """Return the keypoints with coordinates. Points that SLEAP marks as not visible count as hidden."""
    known = zip(category.keypoint_names, xy.tolist(), visible, strict=True)
    return {name: (x, y, 2 if seen else 1) for name, (x, y), seen in known if x == x and y == y}


def _listed(backend: dict[str, Any]) -> list[str]:
    """Photos of a "video" that is a list of photos."""
    return [name.replace("\\", "/") for name in backend.get("filenames") or ()]


def _frame(backend: dict[str, Any], index: int, folder: str) -> tuple[str, tuple[int, int] | None]:
    """Name and size of a photo below ``folder``, or of a frame of a video."""
    if photos := _listed(backend):
        return posixpath.relpath(photos[index], folder or "."), None
    shape = backend.get("shape")
    size = (int(shape[2]), int(shape[1])) if shape and None not in shape[1:3] else None
    return _frame_name(str(backend["filename"]), index), size


def _frame_name(video: str, index: int) -> str:
    stem, _ = posixpath.splitext(posixpath.basename(video.replace("\\", "/")))
    return f"{stem}/{index:06}.png"


def _analysis(path: Path, file: Any) -> Project:
    dims = json.loads(file["tracks"].attrs.get("dims", '["track", "xy", "node", "frame"]'))
    order = [dims.index(name) for name in ("frame", "track", "node", "xy")]
    tracks = file["tracks"][()].transpose(order)
    names = tuple(_text(name) for name in file["node_names"][()])
    edges = file["edge_inds"][()].tolist() if "edge_inds" in file else []
    category = Category(UNNAMED, names, tuple((names[a], names[b]) for a, b in edges))
    video = _text(file["video_path"][()]) if "video_path" in file else path.stem
    shown = np.ones(len(names), bool)
    photos = []
    for index, frame in enumerate(tracks):
        found = [_keypoints(category, each, shown) for each in frame]
        objects = tuple(LabeledObject(UNNAMED, keypoints) for keypoints in found if keypoints)
        if objects:
            photos.append(LabeledPhoto(_frame_name(video, index), None, objects))
    return Project(path.parent, (category,), tuple(photos), Counter())


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
