"""Known birds, written as each tool's documentation describes its files. No export of a real project was at hand."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml

from litehrnet import write_image

NAMES = ("beak", "left_wing", "right_wing")
PAIRS = ((0, 1), (0, 2))  # limbs
SIZES = {"one.png": (64, 48), "two.png": (80, 60), "none.png": (32, 40)}
Keypoints = dict[str, tuple[float, float, int]]


@dataclass(frozen=True)
class Bird:
    """A bird: its box, and its labeled keypoints with a visibility of 1 or 2."""

    photo: str
    box: tuple[float, float, float, float]
    keypoints: Keypoints


BIRDS = (
    Bird("one.png", (4, 5, 20, 30), {"beak": (8.5, 7, 2), "left_wing": (6, 30.25, 1), "right_wing": (20, 31, 2)}),
    Bird("one.png", (30, 4, 24, 36), {"beak": (33, 8, 2), "right_wing": (50, 38.5, 2)}),
    Bird("two.png", (10, 10, 60, 40), {"beak": (40, 12, 1), "left_wing": (15, 45, 2), "right_wing": (66, 44, 2)}),
)


def of(photo: str) -> list[Bird]:
    return [bird for bird in BIRDS if bird.photo == photo]


def draw(folder: Path, *photos: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for photo in photos or SIZES:
        width, height = SIZES[photo]
        write_image(folder / photo, np.zeros((height, width, 3), np.uint8))


def cvat_skeletons(folder: Path) -> Path:
    """CVAT for images 1.1: a skeleton and its box in one group."""
    lines = [f'<line x1="1" data-type="edge" data-node-from="{a + 1}" data-node-to="{b + 1}"></line>' for a, b in PAIRS]
    lines += [
        f'<circle r="1" data-element-id="{i}" data-label-name="{name}"></circle>' for i, name in enumerate(NAMES, 1)
    ]
    svg = "".join(lines).replace("<", "&lt;").replace(">", "&gt;")
    labels = "<label><name>nest</name><type>rectangle</type></label>"
    labels += f"<label><name>bird</name><color>#a</color><type>skeleton</type><svg>{svg}</svg></label>"
    labels += "".join(f"<label><name>{name}</name><type>points</type><parent>bird</parent></label>" for name in NAMES)
    images = []
    for number, (photo, (width, height)) in enumerate(SIZES.items()):
        shapes = ""
        for group, bird in enumerate(of(photo), 1):
            x, y, w, h = bird.box
            shapes += (
                f'<box label="bird" occluded="0" xtl="{x}" ytl="{y}" xbr="{x + w}" ybr="{y + h}" group_id="{group}"/>'
            )
            shapes += f'<skeleton label="bird" source="manual" z_order="0" group_id="{group}">'
            for name in reversed(NAMES):
                px, py, seen = bird.keypoints.get(name, (1.5, 1.5, 0))
                flags = f'outside="{int(seen == 0)}" occluded="{int(seen == 1)}"'
                shapes += f'<points label="{name}" source="manual" {flags} points="{px:.2f},{py:.2f}"></points>'
            shapes += "</skeleton>"
        images.append(f'<image id="{number}" name="{photo}" width="{width}" height="{height}">{shapes}</image>')
    meta = f"<version>1.1</version><meta><task><labels>{labels}</labels></task></meta>"
    path = folder / "annotations.xml"
    path.write_text(f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>{meta}{"".join(images)}</annotations>')
    return path


def cvat_points(folder: Path) -> Path:
    """CVAT for images 1.1: each keypoint a shape of one point, in the group of its box."""
    images = []
    for number, (photo, (width, height)) in enumerate(SIZES.items()):
        shapes = ""
        for group, bird in enumerate(of(photo), 1):
            x, y, w, h = bird.box
            shapes += f'<box label="bird" xtl="{x}" ytl="{y}" xbr="{x + w}" ybr="{y + h}" group_id="{group}"></box>'
            for name, (px, py, seen) in bird.keypoints.items():
                shapes += f'<points label="{name}" occluded="{int(seen == 1)}" points="{px},{py}" group_id="{group}"/>'
        images.append(f'<image id="{number}" name="{photo}" width="{width}" height="{height}">{shapes}</image>')
    path = folder / "annotations.xml"
    path.write_text(f"<annotations><version>1.1</version>{''.join(images)}</annotations>")
    return path


def label_studio(folder: Path) -> Path:
    """Label Studio's JSON: keypoints in percent, each a child of its rectangle."""
    tasks = []
    for number, (photo, (width, height)) in enumerate(SIZES.items(), 1):
        result: list[dict[str, Any]] = []
        common = {"original_width": width, "original_height": height, "image_rotation": 0, "to_name": "image"}
        for index, bird in enumerate(of(photo)):
            x, y, w, h = bird.box
            value: dict[str, Any] = {
                "x": 100 * x / width,
                "y": 100 * y / height,
                "width": 100 * w / width,
                "height": 100 * h / height,
                "rotation": 0,
                "rectanglelabels": ["bird"],
            }
            result.append(common | {"id": f"r{index}", "type": "rectanglelabels", "value": value})
            for name, (px, py, _) in bird.keypoints.items():
                value = {"x": 100 * px / width, "y": 100 * py / height, "width": 0.3, "keypointlabels": [name]}
                region = {"id": f"{name}{index}", "type": "keypointlabels", "parentID": f"r{index}", "value": value}
                result.append(common | region)
        annotations = [
            {"id": 1, "was_cancelled": True, "result": []},
            {"id": 2, "was_cancelled": False, "result": result},
        ]
        tasks.append({"id": number, "data": {"image": f"/data/upload/1/{photo}"}, "annotations": annotations})
    draw(folder / "images", "none.png")  # a photo without regions has no size in the export
    path = folder / "project-1.json"
    path.write_text(json.dumps(tasks))
    return path


def yolo(folder: Path, numbers: int = 3) -> Path:
    """YOLO-pose: fractions of the photo."""
    draw(folder / "images")
    (folder / "labels").mkdir()
    for photo in ("one.png", "two.png"):
        lines = []
        for bird in of(photo):
            (x, y, w, h), (width, height) = bird.box, SIZES[photo]
            row: list[float] = [0, (x + w / 2) / width, (y + h / 2) / height, w / width, h / height]
            for name in NAMES:
                px, py, seen = bird.keypoints.get(name, (0, 0, 0))
                row += [px / width, py / height, seen][:numbers]
            lines.append(" ".join(map(str, row)))
        (folder / "labels" / photo).with_suffix(".txt").write_text("\n".join(lines) + "\n")
    (folder / "list.txt").write_text("./images/none.png\n./images/two.png\n")
    data = {
        "path": ".",
        "train": ["images"],
        "val": "list.txt",
        "kpt_shape": [3, numbers],
        "flip_idx": [0, 2, 1],
        "names": {0: "bird"},
    }
    path = folder / "data.yaml"
    path.write_text(yaml.safe_dump(data | {"kpt_names": {0: list(NAMES)}}))
    return path


def deeplabcut(folder: Path, animals: int = 2, index: int = 3) -> Path:
    """DeepLabCut's CSV: an index of one cell or of three, one animal or several."""
    frames = folder / "labeled-data" / "video"
    draw(frames)
    columns = [(f"bird{a}", name, axis) for a in range(animals) for name in NAMES for axis in "xy"]
    levels = [("scorer", ["me"] * len(columns))]
    levels += [("individuals", [a for a, _, _ in columns])] if animals > 1 else []
    levels += [("bodyparts", [b for _, b, _ in columns]), ("coords", [c for _, _, c in columns])]
    rows = [[name, *[""] * (index - 1), *cells] for name, cells in levels]
    for photo in SIZES:
        cells = []
        for bird in [*of(photo), *[Bird(photo, (0, 0, 0, 0), {})] * animals][:animals]:
            cells += [str(v) for name in NAMES for v in bird.keypoints.get(name, ("", ""))[:2]]
        place = ["labeled-data", "video", photo]
        rows.append([*(place if index == 3 else ["/".join(place)]), *cells])
    path = frames / "CollectedData_me.csv"
    path.write_text("\n".join(",".join(row) for row in rows) + "\n")
    return path


def deeplabcut_hdf5(folder: Path, animals: int = 2, index: int = 3) -> Path:
    """DeepLabCut's HDF5 file instead of the CSV file: pandas' "fixed" format, which was looked at in real files."""
    csv = deeplabcut(folder, animals, index)
    rows = [line.split(",") for line in csv.read_text().splitlines()]
    csv.unlink()
    header, body = rows[: 4 if animals > 1 else 3], rows[4 if animals > 1 else 3 :]
    columns = {row[0]: row[index:] for row in header}
    path = csv.with_suffix(".h5")
    with h5py.File(path, "w") as file:
        table = file.create_group("df_with_missing")
        table.attrs.update({"pandas_type": np.bytes_("frame"), "nblocks": 1})
        for name in ("axis0", "block0_items"):
            _multi_index(table, name, columns)
        frames = [row[:index] for row in body]
        if index == 1:
            table["axis1"] = np.array([name for (name,) in frames], "S")
        else:
            _multi_index(
                table, "axis1", {f"N.{level}": list(each) for level, each in enumerate(zip(*frames, strict=True))}
            )
        table["block0_values"] = [[float(cell or "nan") for cell in row[index:]] for row in body]
    return path


def _multi_index(table: h5py.Group, name: str, levels: dict[str, list[str]]) -> None:
    table.attrs[f"{name}_nlevels"] = len(levels)
    for number, (level, labels) in enumerate(levels.items()):
        known = sorted(set(labels))
        table[f"{name}_level{number}"] = np.array(known, "S")
        table[f"{name}_level{number}"].attrs["name"] = np.bytes_(level)
        table[f"{name}_label{number}"] = np.array([known.index(each) for each in labels], np.int8)


def sleap_project(folder: Path, format_id: float = 1.2) -> Path:
    """SLEAP's .slp on a list of photos: labeled birds, and a predicted one in the first photo."""
    draw(folder / "photos")
    path = folder / "birds.slp"
    nodes = ["unused", *NAMES]
    links, seen = [], set()
    for kind, ends in ((1, PAIRS), (2, ((1, 2), (2, 1)))):
        for a, b in ends:
            reduced = {"py/reduce": [{"py/type": "sleap.skeleton.EdgeType"}, {"py/tuple": [kind]}]}
            links.append({"source": a + 1, "target": b + 1, "type": {"py/id": kind} if kind in seen else reduced})
            seen.add(kind)
    skeleton = {"graph": {"name": "Skeleton-0"}, "links": links, "nodes": [{"id": i} for i in (1, 2, 3)]}
    video = {"backend": {"type": "ImageVideo", "filenames": [f"photos/{photo}" for photo in SIZES], "shape": None}}
    shift = 0.5 if format_id < 1.1 else 0
    points: list[tuple[float, float, bool, bool]] = []
    instances: list[tuple[float, ...]] = []
    frames: list[tuple[int, ...]] = []
    for index, photo in enumerate(SIZES):
        start = len(instances)
        for bird in of(photo):
            first = len(points)
            for name in NAMES:
                x, y, visible = bird.keypoints.get(name, (np.nan, np.nan, 0))
                points.append((x + shift, y + shift, visible == 2, True))
            instances.append((len(instances), 0, index, 0, -1, -1, 0.0, first, len(points)))
        if index == 0:
            instances.append((len(instances), 1, index, 0, -1, -1, 0.9, 0, 3))
        frames.append((index, 0, index, start, len(instances)))
    ids = ("instance_id", "instance_type", "frame_id", "skeleton", "track", "from_predicted", "score")
    types = ("i8", "u1", "u8", "u4", "i4", "i8", "f4", "u8", "u8")
    with h5py.File(path, "w") as file:
        group = file.create_group("metadata")
        group.attrs["format_id"] = format_id
        metadata = {"skeletons": [skeleton], "nodes": [{"name": name, "weight": 1.0} for name in nodes]}
        group.attrs["json"] = np.bytes_(json.dumps(metadata))
        file["videos_json"] = [np.bytes_(json.dumps(video))]
        file["points"] = np.array(points, [("x", "f8"), ("y", "f8"), ("visible", "?"), ("complete", "?")])
        names = (*ids, "point_id_start", "point_id_end")
        file["instances"] = np.array(instances, list(zip(names, types, strict=True)))
        columns = ("frame_id", "video", "frame_idx", "instance_id_start", "instance_id_end")
        file["frames"] = np.array(frames, [(name, "u8") for name in columns])
    return path


def sleap_analysis(folder: Path) -> Path:
    """SLEAP's analysis HDF5 of the video video.mp4, whose frames lie beside it."""
    tracks = np.full((2, 2, len(NAMES), len(SIZES)), np.nan)
    for index, photo in enumerate(SIZES):
        for track, bird in enumerate(of(photo)):
            for name, (x, y, _) in bird.keypoints.items():
                tracks[track, :, NAMES.index(name), index] = x, y
    path = folder / "birds.analysis.h5"
    with h5py.File(path, "w") as file:
        file["tracks"] = tracks
        file["node_names"] = [np.bytes_(name) for name in NAMES]
        file["edge_inds"] = np.array(PAIRS)
        file["video_path"] = "C:\\videos\\video.mp4"
    draw(folder / "video")
    for index, photo in enumerate(SIZES):
        (folder / "video" / photo).rename(folder / "video" / f"{index:06}.png")
    return path
