"""Our weights files: safetensors with everything about the weights that predicting needs; without torch.

The same description travels in exported ONNX models, so that every command needs one file only and cannot crop or
decode in another way than the weights were trained for.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from operator import index
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from litehrnet.detection.objects import ObjectClass
from litehrnet.errors import UserError
from litehrnet.io.files import read_bytes, replacing
from litehrnet.keypoints.codec import HeatmapCodec
from litehrnet.keypoints.crop import IMAGENET_MEAN, IMAGENET_STD
from litehrnet.keypoints.skeletons import from_dict, to_dict
from litehrnet.poses import KeypointSet
from litehrnet.segmentation.classes import ClassSet, class_set_from_dict, class_set_to_dict

METADATA_KEY = "litehrnet"
"""Where the description stands in the metadata of safetensors and ONNX files, as one JSON object."""

Outputs: TypeAlias = KeypointSet | ClassSet | ObjectClass
"""What the maps of a network are of."""

_DIGEST_KEY = "sha256"


@dataclass(frozen=True)
class WeightsInfo:
    """What weights are and how their network wants its image and gives its keypoints, or its classes.

    Attributes:
        variant: Name in ``litehrnet.variants``; None for a foreign ONNX model.
        outputs: What its maps are of, in their order: keypoints, the classes of a network that segments, or the object
            class of a detector.
        input_size_wh: (width, height) of the crop in pixels; None where it is not known, as in published checkpoints.
        codec: How heatmaps become positions.
        mean: Of RGB, 0..1, subtracted from the image.
        std: Of RGB, 0..1, by which the difference is divided.
        provenance: Where the weights come from, in a sentence or two.
    """

    variant: str | None
    outputs: Outputs
    input_size_wh: tuple[int, int] | None = None
    codec: HeatmapCodec = field(default_factory=HeatmapCodec)
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    provenance: str = ""

    @property
    def segments(self) -> bool:
        """Whether these are weights of a network that segments."""
        return isinstance(self.outputs, ClassSet)

    @property
    def keypoint_set(self) -> KeypointSet:
        """The keypoints of a pose network.

        Raises:
            UserError: It segments.
        """
        if isinstance(self.outputs, ObjectClass):
            raise UserError(
                f"these weights find boxes ({self.outputs.name}) and no keypoints (expected weights of a pose network; "
                "--detector takes these)"
            )
        if isinstance(self.outputs, ClassSet):
            raise UserError(
                f"these weights segment images into {len(self.outputs)} classes ({self.outputs.name}) and find no "
                "keypoints (expected weights of a pose network)"
            )
        return self.outputs

    @property
    def class_set(self) -> ClassSet:
        """The classes of a network that segments.

        Raises:
            UserError: It finds keypoints.
        """
        if not isinstance(self.outputs, ClassSet):
            raise UserError(
                f"these weights find {self.outputs_text} and segment nothing (expected weights of a segmentation "
                "network)"
            )
        return self.outputs

    @property
    def detects(self) -> bool:
        """Whether these are weights of a detector."""
        return isinstance(self.outputs, ObjectClass)

    @property
    def outputs_text(self) -> str:
        """What the network finds, in a few words."""
        return outputs_text(self.outputs)

    def size_for(self, wanted_wh: tuple[int, int] | None) -> tuple[int, int] | None:
        """(width, height) to run the network at: a pose network's own where it is known, else what is wanted.

        One that segments or detects takes images of any size: what is wanted comes first.
        """
        any_size = self.segments or self.detects
        return (wanted_wh or self.input_size_wh) if any_size else (self.input_size_wh or wanted_wh)


def outputs_text(outputs: Outputs) -> str:
    """What a network finds, in a few words."""
    if isinstance(outputs, ObjectClass):
        return f"boxes ({outputs.name})"
    return f"{len(outputs)} {'classes' if isinstance(outputs, ClassSet) else 'keypoints'} ({outputs.name})"


def info_to_json(info: WeightsInfo) -> str:
    """The description as one JSON object."""
    fields = asdict(info)
    del fields["outputs"]
    return json.dumps(fields | _outputs_to_dict(info.outputs))


def _outputs_to_dict(outputs: Outputs) -> dict[str, Any]:
    if isinstance(outputs, ObjectClass):
        return {"object_class": outputs.name}
    if isinstance(outputs, ClassSet):
        return {"class_set": class_set_to_dict(outputs)}
    return {"keypoint_set": to_dict(outputs)}


def _outputs_from_dict(fields: Mapping[str, Any], source: str) -> Outputs:
    if "object_class" in fields:
        return ObjectClass(str(fields["object_class"]))
    if "class_set" in fields:
        return class_set_from_dict(fields["class_set"], source)
    return from_dict(fields["keypoint_set"], source)


def info_from_json(text: str, source: str) -> WeightsInfo:
    """Read what ``info_to_json`` wrote.

    Args:
        text: One JSON object.
        source: Name of the file, for the message.

    Raises:
        UserError: A field is missing, unknown or of another type.
    """
    try:
        fields = json.loads(text)
        size = fields["input_size_wh"]
        return WeightsInfo(
            variant=None if fields["variant"] is None else str(fields["variant"]),
            outputs=_outputs_from_dict(fields, source),
            input_size_wh=None if size is None else (index(size[0]), index(size[1])),
            codec=HeatmapCodec(**fields["codec"]),
            mean=_three_numbers(fields["mean"]),
            std=_three_numbers(fields["std"]),
            provenance=str(fields["provenance"]),
        )
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise UserError(
            f"{source}: its description of the weights is damaged ({type(error).__name__}: {error}; "
            "expected metadata written by litehrnet convert or export)"
        ) from error


def read_weights(path: Path) -> tuple[dict[str, NDArray[Any]], WeightsInfo]:
    """Read a weights file of ours.

    Returns:
        The arrays by published parameter name, and their description.

    Raises:
        UserError: The file is missing, damaged, or lacks the description.
    """
    import safetensors
    import safetensors.numpy

    content = read_bytes(path)
    try:
        arrays = safetensors.numpy.load(content)
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise UserError(f"{path}: not a safetensors file, or damaged ({error})") from error
    header_length = int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8 : 8 + header_length]).get("__metadata__") or {}
    if METADATA_KEY not in metadata:
        raise UserError(
            f"{path}: says nothing of its network (expected a file written by litehrnet convert; convert the "
            "PyTorch checkpoint it was made from)"
        )
    if metadata.get(_DIGEST_KEY) != _digest(arrays, metadata[METADATA_KEY]):
        raise UserError(f"{path}: damaged (its contents do not match the checksum stored with them)")
    return arrays, info_from_json(metadata[METADATA_KEY], str(path))


def write_weights(path: Path, arrays: Mapping[str, NDArray[Any]], info: WeightsInfo) -> None:
    """Write arrays and their description to a safetensors file, in one step.

    Raises:
        UserError: ``path`` cannot be written.
    """
    import safetensors.numpy

    description = info_to_json(info)
    contiguous = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in arrays.items()}
    metadata = {METADATA_KEY: description, _DIGEST_KEY: _digest(contiguous, description)}
    with replacing(path) as temporary:
        temporary.write_bytes(safetensors.numpy.save(contiguous, metadata=metadata))


_dtype_name = cache(str)  # NumPy takes its time over it, for each of a thousand arrays


def _digest(arrays: Mapping[str, NDArray[Any]], description: str) -> str:
    # safetensors itself has no checksum: a flipped bit in a weight would go unnoticed.
    digest = hashlib.sha256(description.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {_dtype_name(array.dtype)} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _three_numbers(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
