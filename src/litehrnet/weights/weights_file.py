"""Weights files: safetensors with metadata for everything that prediction needs; without torch.

Exported ONNX models have the same metadata. So every command needs one file only, and crops and decodes as the
weights were trained.
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
"""Metadata key of the description, one JSON object, in safetensors and ONNX files."""

Outputs: TypeAlias = KeypointSet | ClassSet | ObjectClass
"""Meaning of a network's output maps: keypoints, classes of pixels, or boxes of one class of objects."""

_DIGEST_KEY = "sha256"


@dataclass(frozen=True)
class WeightsInfo:
    """Metadata stored with weights: variant, outputs, input size, normalization, decoding.

    Attributes:
        variant: Name in ``litehrnet.variants``; None for a foreign ONNX model.
        outputs: Meaning of the output maps, in their order: keypoints, the classes of a segmentation network, or the
            object class of a detector.
        input_size_wh: (width, height) of the crop in pixels; None if unknown, as in checkpoints of other projects.
        codec: Decoding of heatmaps to positions.
        mean: Mean of each RGB channel, 0..1, subtracted from the image.
        std: Standard deviation of each RGB channel, 0..1; the difference is divided by it.
        provenance: Origin of the weights, in a sentence or two.
        simcc_bins_wh: Numbers of bins along x and y of a foreign ONNX model with a SimCC head, whose output
            ``keypoints.simcc`` decodes; None for heatmaps. It is not stored.

    Example:
        >>> from litehrnet.keypoints.skeletons import COCO
        >>> from litehrnet.weights.weights_file import WeightsInfo
        >>> info = WeightsInfo("lite_hrnet_18", COCO, input_size_wh=(192, 256))
        >>> info.outputs_text, info.size_for(None)
        ('17 keypoints (coco)', (192, 256))
    """

    variant: str | None
    outputs: Outputs
    input_size_wh: tuple[int, int] | None = None
    codec: HeatmapCodec = field(default_factory=HeatmapCodec)
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    provenance: str = ""
    simcc_bins_wh: tuple[int, int] | None = None

    @property
    def segments(self) -> bool:
        """Whether these are weights of a segmentation network."""
        return isinstance(self.outputs, ClassSet)

    @property
    def keypoint_set(self) -> KeypointSet:
        """Keypoints of a pose network.

        Raises:
            UserError: The weights belong to a segmentation network or a detector.
        """
        if isinstance(self.outputs, ObjectClass):
            raise UserError(
                f"these weights find boxes ({self.outputs.name}), not keypoints (expected weights of a pose network; "
                "use these with --detector)"
            )
        if isinstance(self.outputs, ClassSet):
            raise UserError(
                f"these weights segment images into {len(self.outputs)} classes ({self.outputs.name}), without "
                "keypoints (expected weights of a pose network)"
            )
        return self.outputs

    @property
    def class_set(self) -> ClassSet:
        """Classes of a segmentation network.

        Raises:
            UserError: The weights belong to a pose network or a detector.
        """
        if not isinstance(self.outputs, ClassSet):
            raise UserError(
                f"these weights find {self.outputs_text}, without a segmentation (expected weights of a segmentation "
                "network)"
            )
        return self.outputs

    @property
    def detects(self) -> bool:
        """Whether these are weights of a detector."""
        return isinstance(self.outputs, ObjectClass)

    @property
    def outputs_text(self) -> str:
        """The network's outputs in a few words."""
        return outputs_text(self.outputs)

    def size_for(self, wanted_wh: tuple[int, int] | None) -> tuple[int, int] | None:
        """Return (width, height) to run the network at: a pose network's own size if known, else ``wanted_wh``.

        Segmentation networks and detectors accept images of any size, so ``wanted_wh`` takes precedence for them.
        """
        any_size = self.segments or self.detects
        return (wanted_wh or self.input_size_wh) if any_size else (self.input_size_wh or wanted_wh)


def outputs_text(outputs: Outputs) -> str:
    """Describe a network's outputs in a few words."""
    if isinstance(outputs, ObjectClass):
        return f"boxes ({outputs.name})"
    return f"{len(outputs)} {'classes' if isinstance(outputs, ClassSet) else 'keypoints'} ({outputs.name})"


def info_to_json(info: WeightsInfo) -> str:
    """Convert the description to one JSON object."""
    fields = asdict(info)
    del fields["outputs"], fields["simcc_bins_wh"]
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
    """Parse the output of ``info_to_json``.

    Args:
        text: One JSON object.
        source: File name for error messages.

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
            f"{source}: has damaged litehrnet metadata ({type(error).__name__}: {error}; "
            "expected metadata written by litehrnet convert or export)"
        ) from error


def read_weights(path: Path) -> tuple[dict[str, NDArray[Any]], WeightsInfo]:
    """Read a weights file written by ``write_weights``.

    Returns:
        The arrays by parameter name of the reference implementation, and their description.

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
            f"{path}: has no litehrnet metadata (expected a file written by litehrnet convert; convert the "
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


_dtype_name = cache(str)  # slow in NumPy, and there are a thousand arrays


def _digest(arrays: Mapping[str, NDArray[Any]], description: str) -> str:
    # The safetensors format has no checksum, so a flipped bit in a weight would go unnoticed.
    digest = hashlib.sha256(description.encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name} {_dtype_name(array.dtype)} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _three_numbers(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
