"""What is measured: a network's files for every runtime, images, and what is to come out."""

import functools
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from litehrnet.config.read import load_config
from litehrnet.config.recipes import recipe_names
from litehrnet.detection.objects import ObjectClass
from litehrnet.engine.compiler import compile_parameters
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
"""Different ones; a larger batch repeats them."""


_READS_BRANCH_0 = r"weighting\.conv1|depthwise_convs\.0|layers\.0\.\d\.branch2\.0|fuse_layers\.\d\.0\.0\.1"


@dataclass(frozen=True)
class Subject:
    """A network to measure.

    Attributes:
        name: Of the variant or of the file.
        info: What the weights are.
        weights: Their file.
        program: Compiled for the engine.
        program_file: The same on disk.
        graphs: ONNX models by name: ``our export``, ``published graph``; none where they cannot be made.
        no_graphs: Why there are none, else empty.
        crops: uint8 (IMAGES, height, width, 3).
        expected: float64 (IMAGES, keypoints, h, w), their heatmaps; of a network that segments the scores of its
            classes, (IMAGES, classes, height, width).
        judge: What gave those.
    """

    name: str
    info: WeightsInfo
    weights: Path
    program: Program
    program_file: Path
    graphs: dict[str, Path]
    no_graphs: str
    crops: NDArray[np.uint8]
    expected: NDArray[np.float64]
    judge: str

    def batch(self, size: int) -> NDArray[np.uint8]:
        """uint8 (size, height, width, 3)."""
        return np.ascontiguousarray(self.crops[np.arange(size) % IMAGES])

    def normalized(self, size: int) -> NDArray[np.float32]:
        """The same batch as runtimes without a normalization of their own take it: float32 (size, 3, height, width)."""
        return np.ascontiguousarray(normalize(self.batch(size), self.info.mean, self.info.std))

    def error(self, heatmaps: NDArray[np.float32]) -> float:
        """Largest difference of a batch's heatmaps from the expected ones, over the largest absolute value of these."""
        expected = self.expected[np.arange(len(heatmaps)) % IMAGES]
        return float(np.abs(heatmaps - expected).max() / np.abs(self.expected).max())


def make_subject(name: str, input_size_wh: tuple[int, int] | None, folder: Path) -> Subject:
    """Compile and export a network.

    Args:
        name: A variant or a recipe, which gets random weights, or a file of weights.
        input_size_wh: (width, height) where the file does not say it; (192, 256) where nothing does.
        folder: For files.

    Raises:
        UserError: It is neither, or the file cannot be used.
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
        raise UserError(f"{name}: neither a network ({', '.join(VARIANTS)}), a recipe nor a file of weights")
    elif weights.suffix.lower() in (".onnx", ".native"):
        raise UserError(f"{name}: is for one kind of runtime only (expected .safetensors or a PyTorch checkpoint)")
    program, info = compile_weights(weights, input_size_wh)
    info = replace(info, input_size_wh=program.input_size_wh)
    program_file = folder / f"{weights.stem}.native"
    write_program(program_file, program, info)
    width, height = program.input_size_wh
    crops = np.random.default_rng(0).integers(0, 256, (IMAGES, height, width, 3), dtype=np.uint8)
    graphs, no_graphs = export_graphs(weights, info, folder)
    if is_installed("torch"):
        expected, judge = _expected_by_torch(weights, info, crops), "the network in PyTorch, float64"
    else:
        expected, judge = run_program(program, crops, np.float64).astype(np.float64), "the program in NumPy, float64"
        if info.segments:
            size_wh = program.input_size_wh
            expected = np.stack([enlarged(scores.astype(np.float32), size_wh) for scores in expected]).astype(float)
    return Subject(name, info, weights, program, program_file, graphs, no_graphs, crops, expected, judge)


def write_random_weights(path: Path, variant: Variant, input_size_wh: tuple[int, int], outputs: Outputs = COCO) -> None:
    """Write weights of no use with random normalization statistics; without torch.

    Raises:
        UserError: ``path`` cannot be written, or no network takes this size.
    """
    check_input_size(*input_size_wh)
    drawn = RandomParameters(variant, outputs, seed=0)
    compile_parameters(variant, drawn, input_size_wh, np.ones((2, 3)), bgr=False)
    info = WeightsInfo(variant.name, outputs, input_size_wh, provenance="random numbers")
    write_weights(path, drawn.arrays, info)


class RandomParameters(Parameters):
    """Draws every array that the compiler asks for.

    Args:
        variant: Whose they are.
        outputs: What the network's maps are of.
        seed: Of the numbers.

    Attributes:
        arrays: float32, what was drawn so far, by name.
    """

    def __init__(self, variant: Variant, outputs: Outputs, seed: int) -> None:
        super().__init__({}, "random weights")
        self._modules = variant.modules
        self.arrays: dict[str, NDArray[np.float32]] = {}
        self._outputs, self._rng = outputs, np.random.default_rng(seed)

    def take(self, name: str, shape: tuple[int, ...]) -> Floats:
        """An array of this shape, such that activations neither vanish nor grow beyond what sigmoids take."""
        if len(shape) == 4:
            values = self._rng.normal(0, (1 / np.prod(shape[1:])) ** 0.5, shape)
        elif name.endswith("running_var"):
            values = self._rng.uniform(0.5, 1.5, shape) * 4.0 ** self._doublings(name)
        elif name.endswith("weight"):
            values = self._rng.uniform(0.5, 1.5, shape)
        else:
            values = self._rng.normal(0, 0.1, shape)
        self.arrays[name] = values.astype(np.float32)
        return self.arrays[name].astype(np.float64)

    def last_layer(self) -> str:
        """Name of the layer, by what the maps are of."""
        tasks = {KeypointSet: "pose", ClassSet: "segmentation", ObjectClass: "detection"}
        return LAST_LAYERS[tasks[type(self._outputs)]]

    def rows(self, name: str) -> int:
        """Of the last layer: the keypoints, or the classes."""
        return len(self._outputs)

    def _doublings(self, name: str) -> int:
        """How often branch 0 was doubled by fusions before the convolution that this normalization follows; else 0."""
        if re.search(r"head_layer\.projects\.[23]\.depthwise", name):
            return sum(self._modules)
        found = re.search(r"stage(\d)\.(\d+)\.(.*)", name)
        if not found or not re.search(_READS_BRANCH_0, found[3]):
            return 0
        before = sum(self._modules[: int(found[1])]) + int(found[2])
        return before + found[3].startswith("fuse")


def export_graphs(weights: Path, info: WeightsInfo, folder: Path) -> tuple[dict[str, Path], str]:
    """ONNX models of the weights by name, or none and why; see ``Subject``."""
    missing = [package for package in ("torch", "onnx", "onnxscript") if not is_installed(package)]
    if missing:
        return {}, f"needs an ONNX model, and exporting one needs {missing[0]} (pip install 'litehrnet[export]')"
    from litehrnet.export.onnx import serialize
    from litehrnet.models.folding import fold_batch_norms
    from litehrnet.models.weights import load_network

    network, _ = load_network(weights)
    graphs = {name: folder / f"{weights.stem}-{name.split()[0]}.onnx" for name in ("our export", "published graph")}
    graphs["our export"].write_bytes(serialize(fold_batch_norms(network), info))
    export_as_published(network, info, graphs["published graph"])
    return graphs, ""


def export_as_published(network: "Network", info: WeightsInfo, path: Path) -> None:
    """Maps from branch 0 downward evaluated twice, by the exporter that the published code's users have."""
    import torch

    from litehrnet.export.onnx import quiet_exporter

    assert info.input_size_wh is not None
    width, height = info.input_size_wh
    with quiet_exporter():
        torch.onnx.export(
            as_published(network),
            (torch.zeros(1, 3, height, width),),
            str(path),
            dynamo=False,
            input_names=["images"],
            output_names=["heatmaps"],
            dynamic_axes={"images": {0: "batch"}, "heatmaps": {0: "batch"}},
        )


def as_published(network: "Network") -> "Network":
    """Let a network evaluate the maps from branch 0 downward twice, term by term, as the published code does."""
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
            # Branch 0 is by now its own fused sum: the published code adds in place.
            branch = fused[0] if j == 0 < i else branches[j]
            total = total + (branch if j == i else maps[i][str(j)](branch))
        fused.append(total)
    return fused


def _expected_by_torch(weights: Path, info: WeightsInfo, crops: NDArray[np.uint8]) -> NDArray[np.float64]:
    import torch

    from litehrnet.models.weights import load_network

    network = load_network(weights)[0].double()
    images = (crops.astype(np.float64) / 255 - np.array(info.mean)) / np.array(info.std)
    with torch.inference_mode():
        heatmaps: NDArray[np.float64] = network(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()
    return heatmaps
