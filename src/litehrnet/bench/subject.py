"""Network to measure: its files for every runtime, test images, and the expected heatmaps."""

import functools
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from litehrnet.arrays import Floats32, Floats64, Image
from litehrnet.config.read import load_config
from litehrnet.config.recipes import recipe_names
from litehrnet.detection.objects import ObjectClass
from litehrnet.engine.compiler import compile_parameters, is_compiled
from litehrnet.engine.parameters import LAST_LAYERS, Floats, Parameters
from litehrnet.engine.program import Program
from litehrnet.engine.programfile import write_program
from litehrnet.engine.reference import run_program
from litehrnet.errors import UserError
from litehrnet.keypoints.crop import normalize
from litehrnet.keypoints.skeletons import COCO
from litehrnet.optional import is_installed
from litehrnet.poses import KeypointSet
from litehrnet.runtimes.native import compile_weights
from litehrnet.segmentation.classes import ClassSet
from litehrnet.segmentation.scores import enlarged
from litehrnet.variants import VARIANTS, Variant, check_input_size, find_variant
from litehrnet.weights.weights_file import Outputs, WeightsInfo, write_weights

if TYPE_CHECKING:
    from torch import Tensor

    from litehrnet.models import Network

IMAGES = 4
"""Number of different test images; a larger batch repeats them."""


_READS_BRANCH_0 = (
    r"weighting\.conv1|depthwise_convs\.0|layers\.0\.\d\.branch2\.0|fuse_layers\.\d\.0\.0\.1|"
    r"dcm\.conv_mask\.0|dcm\.channel_attention\.1|conv\.0\.conv\.0\.(conv\.attention\.)?bn"
)


@dataclass(frozen=True)
class Subject:
    """Network to measure.

    Attributes:
        name: Name of the variant or of the file.
        info: Description of the weights.
        weights: Weights file.
        program: Program for the native engine.
        program_file: File of the program.
        graphs: ONNX models by name, ``our export`` and ``reference graph``; empty if they cannot be exported.
        no_graphs: Reason if there are no graphs, else empty.
        crops: uint8 (IMAGES, height, width, 3), the test images.
        expected: float64 (IMAGES, keypoints, h, w), expected heatmaps; for a segmentation network class scores,
            (IMAGES, classes, height, width).
        reference: Description of how ``expected`` was computed.
    """

    name: str
    info: WeightsInfo
    weights: Path
    program: Program
    program_file: Path
    graphs: dict[str, Path]
    no_graphs: str
    crops: Image
    expected: Floats64
    reference: str

    def batch(self, size: int) -> Image:
        """Return a batch of test images, uint8 (size, height, width, 3)."""
        return np.ascontiguousarray(self.crops[np.arange(size) % IMAGES])

    def normalized(self, size: int) -> Floats32:
        """Return the same batch for runtimes that do not normalize, float32 (size, 3, height, width)."""
        return np.ascontiguousarray(normalize(self.batch(size), self.info.mean, self.info.std))

    def error(self, heatmaps: Floats32) -> float:
        """Return the largest difference from the expected heatmaps, divided by their largest absolute value."""
        expected = self.expected[np.arange(len(heatmaps)) % IMAGES]
        return float(np.abs(heatmaps - expected).max() / np.abs(self.expected).max())


def make_subject(name: str, input_size_wh: tuple[int, int] | None, folder: Path) -> Subject:
    """Compile and export a network.

    Args:
        name: A variant or recipe (with random weights), or a weights file.
        input_size_wh: (width, height) if the recipe or file has none; default (192, 256).
        folder: Folder for the compiled and exported files.

    Raises:
        UserError: The name is unknown, or the file cannot be used.
    """
    weights = Path(name)
    if name in VARIANTS:
        weights = folder / f"{name}.safetensors"
        write_random_weights(weights, find_variant(name), input_size_wh or (192, 256))
    elif name in recipe_names() or weights.suffix in (".py", ".json"):
        config = load_config(name).config
        weights = folder / f"{config.name}.safetensors"
        size_wh = input_size_wh or config.input_size_wh
        write_random_weights(weights, find_variant(config.variant), size_wh, config.outputs)
    elif not weights.is_file():
        raise UserError(f"{name}: neither a network ({', '.join(VARIANTS)}), a recipe nor a weights file")
    elif weights.suffix.lower() in (".onnx", ".zip", ".native"):
        raise UserError(f"{name}: only works with some runtimes (expected .safetensors or a PyTorch checkpoint)")
    program, info = compile_weights(weights, input_size_wh)
    info = replace(info, input_size_wh=program.input_size_wh)
    program_file = folder / f"{weights.stem}.native"
    write_program(program_file, program, info)
    width, height = program.input_size_wh
    crops = np.random.default_rng(0).integers(0, 256, (IMAGES, height, width, 3), dtype=np.uint8)
    graphs, no_graphs = export_graphs(weights, info, folder)
    if is_installed("torch"):
        expected, reference = _expected_by_torch(weights, info, crops), "the network in PyTorch, float64"
    else:
        reference = "the program in NumPy, float64"
        expected = run_program(program, crops, np.float64).astype(np.float64)
        if info.segments:
            size_wh = program.input_size_wh
            expected = np.stack([enlarged(scores.astype(np.float32), size_wh) for scores in expected]).astype(float)
    return Subject(name, info, weights, program, program_file, graphs, no_graphs, crops, expected, reference)


def write_random_weights(path: Path, variant: Variant, input_size_wh: tuple[int, int], outputs: Outputs = COCO) -> None:
    """Write random weights with random normalization statistics; without torch.

    Raises:
        UserError: ``path`` cannot be written, or the network does not accept this size or has no native engine.
    """
    check_input_size(*input_size_wh)
    if not is_compiled(variant.unit):
        raise UserError(
            f"{variant.name}: the native engine does not support it, and the bench compares with the engine (expected "
            "one of its networks; PyTorch runs this one)"
        )
    drawn = RandomParameters(variant, outputs, seed=0)
    compile_parameters(variant, drawn, input_size_wh, np.ones((2, 3)), bgr=False)
    info = WeightsInfo(variant.name, outputs, input_size_wh, provenance="random numbers")
    write_weights(path, drawn.arrays, info)


class RandomParameters(Parameters):
    """Random values for every array that the compiler requests.

    Args:
        variant: Variant of the network.
        outputs: Meaning of the network's output maps.
        seed: Random seed.

    Attributes:
        arrays: float32 arrays drawn so far, by name.
    """

    def __init__(self, variant: Variant, outputs: Outputs, seed: int) -> None:
        super().__init__({}, "random weights")
        self._modules = variant.modules
        self.arrays: dict[str, Floats32] = {}
        self._outputs, self._rng = outputs, np.random.default_rng(seed)

    def take(self, name: str, shape: tuple[int, ...]) -> Floats:
        """Draw an array, scaled so that activations neither vanish nor saturate the sigmoids."""
        if len(shape) >= 4:  # dynamic kernels have five dimensions, the number of kernels first
            values = self._rng.normal(0, (1 / np.prod(shape[-3:])) ** 0.5, shape)
            if "conv_mask" in name:  # nothing normalizes the result
                values /= 2.0 ** self._doublings(name)
        elif name.endswith("running_var"):
            values = self._rng.uniform(0.5, 1.5, shape) * 4.0 ** self._doublings(name)
        elif name.endswith("weight"):
            values = self._rng.uniform(0.5, 1.5, shape)
        else:
            values = self._rng.normal(0, 0.1, shape)
        self.arrays[name] = values.astype(np.float32)
        return self.arrays[name].astype(np.float64)

    def last_layer(self) -> str:
        """Return the name of the last layer, which depends on the task."""
        tasks = {KeypointSet: "pose", ClassSet: "segmentation", ObjectClass: "detection"}
        return LAST_LAYERS[tasks[type(self._outputs)]]

    def rows(self, name: str) -> int:
        """Return the number of output maps of the last layer."""
        return len(self._outputs)

    def _doublings(self, name: str) -> int:
        """Count the fusions that have doubled branch 0 before this normalization; 0 outside branch 0."""
        if not self._modules:
            return 0
        if re.search(r"head_layer\.projects\.[23]\.depthwise", name):
            return sum(self._modules)
        found = re.search(r"stage(\d)\.(\d+)\.(.*)", name)
        if not found or not re.search(_READS_BRANCH_0, found[3]):
            return 0
        before = sum(self._modules[: int(found[1])]) + int(found[2])
        return before + found[3].startswith("fuse")


def export_graphs(weights: Path, info: WeightsInfo, folder: Path) -> tuple[dict[str, Path], str]:
    """Export ONNX models of the weights by name, or return the reason why not; see ``Subject``."""
    missing = [package for package in ("torch", "onnx", "onnxscript") if not is_installed(package)]
    if missing:
        return {}, f"needs an ONNX model, and the export needs {missing[0]} (pip install 'litehrnet[export]')"
    from litehrnet.export.onnx import serialize
    from litehrnet.models.weights import load_network

    network, _ = load_network(weights)
    graphs = {name: folder / f"{weights.stem}-{name.split()[0]}.onnx" for name in ("our export", "reference graph")}
    graphs["our export"].write_bytes(serialize(network, info))
    export_reference_graph(network, info, graphs["reference graph"])
    return graphs, ""


def export_reference_graph(network: "Network", info: WeightsInfo, path: Path) -> None:
    """Export the graph of the reference implementation: maps from branch 0 downward twice, PyTorch's old exporter."""
    import torch

    from litehrnet.export.onnx import quiet_exporter

    assert info.input_size_wh is not None
    width, height = info.input_size_wh
    with quiet_exporter():
        torch.onnx.export(
            evaluate_twice(network),
            (torch.zeros(1, 3, height, width),),
            str(path),
            dynamo=False,
            input_names=["images"],
            output_names=["heatmaps"],
            dynamic_axes={"images": {0: "batch"}, "heatmaps": {0: "batch"}},
        )


def evaluate_twice(network: "Network") -> "Network":
    """Make a network evaluate the maps from branch 0 downward twice, like the reference implementation."""
    from litehrnet.models.blocks import Fuse

    for module in network.modules():
        if isinstance(module, Fuse):
            module.forward = functools.partial(_fuse_term_by_term, module)  # type: ignore[method-assign]
    return network


def _fuse_term_by_term(maps: Any, branches: "list[Tensor]") -> "list[Tensor]":
    fused: list[Tensor] = []
    for i in range(len(branches)):
        total = branches[0] if i == 0 else maps[i]["0"](fused[0])
        for j in range(len(branches)):
            # Branch 0 is already its own fused sum, as the reference implementation adds in place.
            branch = fused[0] if j == 0 < i else branches[j]
            total = total + (branch if j == i else maps[i][str(j)](branch))
        fused.append(total.relu() if maps.rectified and not fused else total)
    return fused


def _expected_by_torch(weights: Path, info: WeightsInfo, crops: Image) -> Floats64:
    import torch

    from litehrnet.models.weights import load_network

    network = load_network(weights)[0].double()
    images = (crops.astype(np.float64) / 255 - np.array(info.mean)) / np.array(info.std)
    with torch.inference_mode():
        heatmaps: Floats64 = network(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()
    return heatmaps
