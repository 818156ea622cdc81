"""Export of an ONNX model, verified against PyTorch before its file appears."""

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import litehrnet
from litehrnet.arrays import Floats32, Image, Mask
from litehrnet.detection.maps import DISTANCE_UNIT, MAX_LOG_DISTANCE
from litehrnet.errors import UserError
from litehrnet.io.files import replacing
from litehrnet.io.images import read_image
from litehrnet.keypoints.codec import decode
from litehrnet.keypoints.crop import normalize
from litehrnet.optional import require
from litehrnet.runtimes.onnxfile import BLANK_DIGEST, DIGEST_KEY, PRODUCER, stamp
from litehrnet.runtimes.onnxruntime import OnnxRuntime
from litehrnet.runtimes.protocol import Runtime
from litehrnet.runtimes.torch import TorchRuntime, open_torch
from litehrnet.weights.weights_file import METADATA_KEY, WeightsInfo, info_to_json

if TYPE_CHECKING:
    from torch import nn

BATCHES = (1, 2, 7)
"""Batch sizes that are compared."""
LARGE_BATCHES = (1, 2)
"""Batch sizes for segmentation networks and detectors, whose images are many times as large."""
MAX_RELATIVE_ERROR = 1e-4
MAX_ROUNDINGS = 4.0
"""Allowed multiple of PyTorch's own rounding error, if that exceeds ``MAX_RELATIVE_ERROR``."""
MAX_SHIFT = 0.5
"""Allowed shift of keypoints or sides of boxes, in pixels of the crop."""

BUNDLED_PHOTO = Path(__file__).parents[1] / "photos" / "three_people.jpg"

LIKELY_CENTER = -3.0
"""Logit of the lowest center score, 0.05, at which the sides of boxes are compared."""

SMALLEST_HALF = 1000
"""Values in the smallest weights that are stored as float16. Smaller ones would save little and add many nodes."""


@dataclass(frozen=True)
class Comparison:
    """Comparison of the exported model with PyTorch in float64 on one batch.

    Attributes:
        images: Kind of images.
        batch: Number of images.
        relative_error: Largest difference of two heatmap values or class scores, divided by the largest value.
        keypoint_shift: Largest distance of two keypoints, or of two sides of a likely box, in pixels of the input; 0
            for a segmentation network.
        other_classes: Share of the pixels with another class, 0..1; 0 for pose networks and detectors.
        rounding: Relative error of PyTorch itself in float32. Some weights (normalizations of almost constant
            channels) cause rounding errors above ``MAX_RELATIVE_ERROR`` in every runtime, especially on noise.
    """

    images: str
    batch: int
    relative_error: float
    keypoint_shift: float = 0.0
    other_classes: float = 0.0
    rounding: float = 0.0

    @property
    def equal(self) -> bool:
        """Whether rounding explains the differences."""
        same_places = self.keypoint_shift <= MAX_SHIFT and not self.other_classes
        return self.relative_error <= max(MAX_RELATIVE_ERROR, MAX_ROUNDINGS * self.rounding) and same_places


def export_onnx(
    weights: Path, path: Path, input_size_wh: tuple[int, int] | None = None, *, half: bool = False
) -> list[Comparison]:
    """Write an ONNX model for any batch size and one image size, and verify it by running it.

    Args:
        weights: ``.safetensors`` file or PyTorch checkpoint.
        path: File to write; it appears only if the comparison succeeds.
        input_size_wh: (width, height) if the weights file has no input size.
        half: Whether to round the weights to float16 and store them so; the arithmetic stays float32.

    Returns:
        The comparisons, all of them equal.

    Raises:
        UserError: A package is missing, the weights cannot be read, ``path`` cannot be written, or the model's
            outputs differ from PyTorch's.
    """
    for package in ("torch", "onnx", "onnxscript"):
        require(package, "export", "export")
    network = open_torch(weights, input_size_wh)
    with replacing(path) as temporary:
        info = replace(network.info, input_size_wh=network.input_size_wh)
        if half:
            round_to_half(network.network)
        temporary.write_bytes(serialize(network.network, info, half))
        comparisons = compare(network, OnnxRuntime(temporary))
        refuse_differences(path, comparisons)
    return comparisons


def refuse_differences(path: Path, comparisons: list[Comparison]) -> None:
    """Raise an error that says how far the model ``path`` is from PyTorch.

    Raises:
        UserError: A comparison is not equal.
    """
    wrong = [c for c in comparisons if not c.equal]
    if wrong:
        raise UserError(
            f"{path}: not written, because the model's outputs differ from PyTorch's (by "
            f"{max(c.relative_error for c in wrong):.1e} of the largest value, {_moved(wrong)}; expected equality)"
        )


def _moved(comparisons: list[Comparison]) -> str:
    pixels = max(c.keypoint_shift for c in comparisons)
    share = max(c.other_classes for c in comparisons)
    return f"classes in {share:.1e} of the pixels" if share else f"keypoints by {pixels:.2f} pixels"


def serialize(network: "nn.Module", info: WeightsInfo, half: bool = False) -> bytes:
    """Convert a network to an ONNX model for any batch size, with its description as metadata.

    The graph has no normalizations that follow a convolution: folding them halves the nodes and the time.

    Args:
        network: Network in evaluation mode.
        info: Description of the weights, with an input size.
        half: Whether to store large weights as float16 if that is exact.
    """
    import torch

    from litehrnet.models.folding import fold_batch_norms

    assert info.input_size_wh is not None
    width, height = info.input_size_wh
    # Channels last would add transpositions.
    folded = fold_batch_norms(network).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    with quiet_exporter():
        program = torch.onnx.export(
            folded,
            (torch.zeros(2, 3, height, width),),
            dynamo=True,
            input_names=["images"],
            output_names=["scores" if info.segments else "boxes" if info.detects else "heatmaps"],
            dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=4096)},),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _strip_notes(model)
    if half:
        _store_half(model, network)
    model.producer_name, model.producer_version = PRODUCER, litehrnet.__version__
    for key, value in ((METADATA_KEY, info_to_json(info)), (DIGEST_KEY, BLANK_DIGEST)):
        model.metadata_props.add(key=key, value=value)
    return stamp(model.SerializeToString())


def round_to_half(network: "nn.Module") -> None:
    """Round all parameters to float16 in place; those out of its range stay as they are."""
    from litehrnet.models.weights import rounded_to_half

    for values in (*network.parameters(), *network.buffers()):
        values.data = rounded_to_half(values.data).to(values.dtype)


def _store_half(model: Any, network: "nn.Module") -> None:
    """Store large weights as float16 if that is exact, with casts to float32 in the graph.

    A folded weight is stored unfolded, as folding changes float16 weights to other values. The graph multiplies it by
    the factors of its normalization, which runtimes compute once, when they open the model.
    """
    from onnx import TensorProto, helper, numpy_helper

    from litehrnet.models.folding import fold_factors

    unfolded, factors = dict(network.named_parameters()), fold_factors(network)
    nodes = []
    for tensor in list(model.graph.initializer):
        name = tensor.name
        values = unfolded[name].detach().numpy() if name in factors else numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < SMALLEST_HALF:
            continue
        with np.errstate(over="ignore"):  # values out of range are found by the comparison below
            half = values.astype(np.float16)
        if not np.array_equal(half, values):
            continue
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.half"))
        wide = f"{name}.float" if name in factors else name
        nodes.append(helper.make_node("Cast", [f"{name}.half"], [wide], to=TensorProto.FLOAT))
        if name in factors:
            model.graph.initializer.append(numpy_helper.from_array(factors[name].float().numpy(), f"{name}.factors"))
            nodes.append(helper.make_node("Mul", [wide, f"{name}.factors"], [name]))
    nodes.extend(model.graph.node)
    model.graph.ClearField("node")
    model.graph.node.extend(nodes)


def _strip_notes(model: Any) -> None:
    # The exporter stores stack traces of the source in every node: a third of the file.
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


def compare(network: TorchRuntime, exported: Runtime, *, photos: bool = False) -> list[Comparison]:
    """Compare an exported model with its network in float64, on random and drawn images.

    Args:
        network: The network.
        exported: The model, opened in the runtime that will run it.
        photos: Whether to compare on the three people of the bundled photo too.
    """
    exact = copy.deepcopy(network.network).double().eval()
    comparisons = []
    for name, make in (("random", _random_crops), ("photo-like", _photo_like_crops)):
        for batch in LARGE_BATCHES if network.info.segments or network.info.detects else BATCHES:
            crops = make(np.random.default_rng(batch), batch, network.input_size_wh)
            comparisons.append(_comparison(name, crops, network, exact, exported))
    if photos:
        crops = _people_of_the_bundled_photo(network.input_size_wh)
        comparisons.append(_comparison("photo", crops, network, exact, exported))
    return comparisons


def _comparison(name: str, crops: Image, network: TorchRuntime, exact: "nn.Module", exported: Runtime) -> Comparison:
    expected, found = _maps_in_float64(exact, crops, network.info), exported.forward(crops)
    error, rounding = (_relative_error(maps, expected) for maps in (found, network.forward(crops)))
    if network.info.segments:
        shift, other_classes = 0.0, _other_classes(expected, found)
    elif network.info.detects:
        shift, other_classes = _side_shift(expected, found), 0.0
    else:
        shift, other_classes = _shift(expected, found, network), 0.0
    return Comparison(name, len(crops), error, shift, other_classes, rounding)


def _people_of_the_bundled_photo(size_wh: tuple[int, int]) -> Image:
    import cv2

    photo = read_image(BUNDLED_PHOTO)
    thirds = np.array_split(photo, 3, axis=1)
    return np.stack([cv2.resize(third, size_wh, interpolation=cv2.INTER_AREA) for third in thirds])


def _maps_in_float64(network: "nn.Module", crops: Image, info: WeightsInfo) -> Floats32:
    """Run a network in float64 and round its output to float32."""
    import torch

    with torch.inference_mode():
        maps: Floats32 = network(torch.from_numpy(normalize(crops, info.mean, info.std)).double()).float().numpy()
    return maps


def _relative_error(found: Floats32, expected: Floats32) -> float:
    largest = max(float(np.abs(expected).max()), float(np.finfo(np.float32).tiny))
    return float(np.abs(found - expected).max()) / largest


def _shift(expected: Floats32, found: Floats32, network: TorchRuntime) -> float:
    pixels_per_cell = network.input_size_wh[0] / expected.shape[3]
    positions = [decode(heatmaps, network.info.codec)[0] for heatmaps in (expected, found)]
    distances: Floats32 = np.linalg.norm(positions[0] - positions[1], axis=2)
    # Of two peaks of equal height, rounding decides which is higher.
    largest: float = distances[~_ambiguous(expected)].max(initial=0)
    return float(largest * pixels_per_cell)


def _side_shift(expected: Floats32, found: Floats32) -> float:
    """Return the largest distance of two sides of a box, in pixels of the input, at likely centers."""
    likely = expected[:, 0] >= LIKELY_CENTER
    first, second = (DISTANCE_UNIT * np.exp(maps[:, 1:].clip(max=MAX_LOG_DISTANCE)) for maps in (expected, found))
    return float(np.abs(first - second).max(axis=1)[likely].max(initial=0))


def _other_classes(expected: Floats32, found: Floats32) -> float:
    """Return the share of pixels with another class, if their two highest scores differ by more than rounding."""
    second, first = np.partition(expected, -2, axis=1)[:, -2:].swapaxes(0, 1)
    certain = first - second > 2 * MAX_RELATIVE_ERROR * np.abs(expected).max()
    return float(((expected.argmax(axis=1) != found.argmax(axis=1)) & certain).mean())


def _ambiguous(heatmaps: Floats32) -> Mask:
    """Return a mask (people, keypoints) of heatmaps whose two highest cells differ by less than the allowed error."""
    flat = heatmaps.reshape(*heatmaps.shape[:2], -1)
    second, first = np.moveaxis(np.partition(flat, -2, axis=2)[..., -2:], 2, 0)
    ambiguous: Mask = first - second <= 2 * MAX_RELATIVE_ERROR * np.abs(heatmaps).max()
    return ambiguous


def _random_crops(rng: np.random.Generator, batch: int, size_wh: tuple[int, int]) -> Image:
    return rng.integers(0, 256, (batch, size_wh[1], size_wh[0], 3), dtype=np.uint8)


def _photo_like_crops(rng: np.random.Generator, batch: int, size_wh: tuple[int, int]) -> Image:
    """Draw smooth shades with edges: as in a photo, most of the power is in large structures."""
    import cv2

    crops = np.empty((batch, size_wh[1], size_wh[0], 3), np.uint8)
    for crop in crops:
        total = np.zeros(crop.shape, np.float32)
        for cells in (3, 8, 24):
            coarse = rng.normal(0, 1, (cells * 4 // 3, cells, 3)).astype(np.float32)
            total += cv2.resize(coarse, size_wh, interpolation=cv2.INTER_CUBIC) * (3 / cells)
        crop[:] = np.clip(128 + 60 * total, 0, 255).astype(np.uint8)
    return crops


@contextlib.contextmanager
def quiet_exporter() -> Iterator[None]:
    """Suppress the exporter's warnings, which address its own developers."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
