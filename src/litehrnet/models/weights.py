"""Networks from weights files: safetensors, and checkpoints of the reference implementation and MMPose."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from litehrnet.detection.objects import ObjectClass
from litehrnet.errors import UserError
from litehrnet.keypoints.skeletons import usual_keypoint_set
from litehrnet.models.checkpoint import read_checkpoint
from litehrnet.models.networks import Network, create_network
from litehrnet.segmentation.classes import ClassSet, unnamed_classes
from litehrnet.variants import describe_weights, identify_variant
from litehrnet.weights.weights_file import Outputs, WeightsInfo, read_weights, write_weights
from litehrnet.weights.zoo import find_weights

_FINAL_LAYER = "keypoint_head.final_layer.weight"
_CLASSIFIER = "segmentation_head.classifier.weight"
_BOX_LAYER = "detection_head.box_layer.weight"
_HEADS = ("keypoint_head.final_layer.", "segmentation_head.", "detection_head.")
_TORCHVISION = ("features.0.0.weight", "conv5.0.weight")
"""Names that only networks of torchvision have: MobileNets, and ShuffleNetV2."""


def load_network(path: Path) -> tuple[Network, WeightsInfo]:
    """Load a network from a weights file, in evaluation mode; its variant is recognized from the file.

    Args:
        path: ``.safetensors`` file of this project, or a PyTorch checkpoint (reference implementation, MMPose 1.x
            or this project).

    Raises:
        UserError: The file is missing, damaged, of another format, or its weights do not fit the network.
    """
    weights, info = read_any_weights(path)
    network = network_from_weights(weights, info, str(path))
    return network, info


def read_any_weights(path: Path, average: bool = False) -> tuple[dict[str, Tensor], WeightsInfo]:
    """Read weights by parameter name and their description; see ``load_network`` for formats and errors.

    With ``average``, the average that a checkpoint has beside the weights is read; see ``read_checkpoint``.
    """
    path = find_weights(path).path
    if path.suffix in (".onnx", ".zip"):
        raise UserError(f"{path}: is an ONNX model (expected .safetensors or .pth for PyTorch)")
    if path.suffix == ".safetensors":
        if average:
            raise UserError(f"{path}: has one set of weights (expected a checkpoint that also has their average)")
        arrays, info = read_weights(path)
        return {name: torch.from_numpy(array) for name, array in arrays.items()}, info
    weights = read_checkpoint(path, average)
    return weights, _describe_checkpoint(weights, path)


def read_start(path: Path) -> tuple[dict[str, Tensor], WeightsInfo | None]:
    """Read weights that a training starts from, as ``read_any_weights`` does; None describes a backbone.

    A backbone is a checkpoint without one of our heads, such as one that was trained to classify images.
    """
    path = find_weights(path).path
    if path.suffix in (".safetensors", ".onnx", ".zip"):
        return read_any_weights(path)
    weights = read_checkpoint(path)
    described = any(name.startswith(_HEADS) for name in weights)
    if not described:
        _check_names(weights, path)
    return weights, _describe_checkpoint(weights, path) if described else None


def new_network(variant: str, outputs: Outputs) -> Network:
    """Call ``create_network`` for these keypoints, these classes, or the boxes of this object class."""
    if isinstance(outputs, ObjectClass):
        return create_network(variant, boxes=True)
    if isinstance(outputs, ClassSet):
        return create_network(variant, num_classes=len(outputs))
    return create_network(variant, len(outputs))


def network_from_weights(weights: Mapping[str, Tensor], info: WeightsInfo, source: str) -> Network:
    """Create a network in evaluation mode with exactly these weights, as float32.

    Batch counters may be missing and are 0 then, as prediction does not use them.

    Raises:
        UserError: Names or shapes differ from the variant's, or a value is not finite.
    """
    assert info.variant is not None
    network = new_network(info.variant, info.outputs)
    expected = network.state_dict()
    complete = {n: v for n, v in expected.items() if n.endswith("num_batches_tracked")} | dict(weights)
    _check_names_and_shapes(complete, expected, f"{info.variant} with {info.outputs_text}", source)
    for name, value in complete.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise UserError(f"{source}: {name} has values that are not finite (expected trained weights)")
    network.load_state_dict(complete)
    return network.eval()


def save_network(path: Path, network: Network, info: WeightsInfo, *, half: bool = False) -> None:
    """Write a network's weights and their description to a safetensors file.

    Args:
        path: File to write.
        network: Network on any device.
        info: Description of the weights.
        half: Whether to store float16 (see ``rounded_to_half``).

    Raises:
        UserError: ``path`` cannot be written.

    Example:
        >>> import tempfile
        >>> from litehrnet import create_network
        >>> from litehrnet.keypoints.skeletons import COCO
        >>> from litehrnet.weights.weights_file import WeightsInfo
        >>> network = create_network("naive_lite_hrnet_18", num_keypoints=17)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "mine.safetensors"
        ...     save_network(path, network, WeightsInfo("naive_lite_hrnet_18", COCO, input_size_wh=(192, 256)))
        ...     path.stat().st_size > 1_000_000
        True
    """
    tensors = {name: value.detach().cpu() for name, value in network.state_dict().items()}
    if half:
        tensors = {name: rounded_to_half(value) for name, value in tensors.items()}
    write_weights(path, {name: value.contiguous().numpy() for name, value in tensors.items()}, info)


def rounded_to_half(value: Tensor) -> Tensor:
    """Convert an array to float16; return it unchanged if a value is out of range, as some running variances are."""
    if not value.is_floating_point():
        return value
    half = value.half()
    return half if bool(torch.isfinite(half).all()) else value


def _describe_checkpoint(weights: Mapping[str, Tensor], path: Path) -> WeightsInfo:
    shapes = {name: tuple(value.shape) for name, value in weights.items()}
    variant = identify_variant(shapes)
    _check_names(weights, path)
    if variant is None:
        raise UserError(f"{path}: not weights of a known network ({describe_weights(shapes)})")
    if _BOX_LAYER in shapes:
        return WeightsInfo(variant.name, ObjectClass("object"), provenance=f"PyTorch checkpoint {path.name}")
    segments = _CLASSIFIER in shapes
    final_layer = shapes.get(_CLASSIFIER if segments else _FINAL_LAYER, ())
    if len(final_layer) != 4 or final_layer[0] < 1:
        raise UserError(f"{path}: has no heatmap layer (expected {_FINAL_LAYER} of shape (keypoints, channels, 1, 1))")
    return WeightsInfo(
        variant=variant.name,
        outputs=(unnamed_classes if segments else usual_keypoint_set)(final_layer[0]),
        provenance=f"PyTorch checkpoint {path.name}",
    )


def _check_names(weights: Mapping[str, Tensor], path: Path) -> None:
    if any(name in weights for name in _TORCHVISION):
        raise UserError(
            f"{path}: has torchvision's names of parameters (expected those of MMClassification or MMPose, such as "
            "backbone.conv1.conv.weight)"
        )


def _check_names_and_shapes(
    weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], wanted: str, source: str
) -> None:
    missing = [name for name in expected if name not in weights]
    extra = [name for name in weights if name not in expected]
    reshaped = [n for n, v in expected.items() if n in weights and weights[n].shape != v.shape]
    problems = []
    if missing:
        problems.append(f"{len(missing)} missing, such as {missing[0]}")
    if extra:
        problems.append(f"{len(extra)} unexpected, such as {extra[0]}")
    if reshaped:
        name = reshaped[0]
        shapes = f"{tuple(weights[name].shape)} instead of {tuple(expected[name].shape)}"
        problems.append(f"{len(reshaped)} of another shape, such as {name}: {shapes}")
    if problems:
        cause = describe_weights({name: tuple(value.shape) for name, value in weights.items()})
        raise UserError(f"{source}: does not have the arrays of {wanted} ({'; '.join(problems)}): {cause}")
