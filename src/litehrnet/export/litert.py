"""Export of a LiteRT model (``.tflite``), verified against PyTorch before its file appears."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from litehrnet.export.litert_graph import LiteRtGraph, Translation
from litehrnet.export.onnx import SMALLEST_HALF, Comparison, compare, refuse_differences, round_to_half, serialize
from litehrnet.io.files import replacing
from litehrnet.optional import require
from litehrnet.runtimes.litert import LiteRtRuntime
from litehrnet.runtimes.litertfile import stamp
from litehrnet.runtimes.onnxfile import BLANK_DIGEST, DIGEST_KEY
from litehrnet.runtimes.torch import TorchRuntime, open_torch
from litehrnet.weights.weights_file import METADATA_KEY, WeightsInfo, info_to_json


def export_litert(
    weights: Path, path: Path, input_size_wh: tuple[int, int] | None = None, *, half: bool = False
) -> list[Comparison]:
    """Write a LiteRT model for one image of one size, and verify it by running it.

    Its input are normalized images, float32 (1, height, width, 3), RGB. Its output are maps (1, h, w, maps).

    Args:
        weights: ``.safetensors`` file or PyTorch checkpoint.
        path: File to write; it appears only if the comparison succeeds.
        input_size_wh: (width, height) if the weights file has no input size.
        half: Whether to round the folded weights to float16 and store them so; the arithmetic stays float32.

    Returns:
        The comparisons, all of them equal; with ``half``, to PyTorch with the rounded weights.

    Raises:
        UserError: A package is missing, the weights cannot be read, the network has an operator that is not translated,
            ``path`` cannot be written, or the model's outputs differ from PyTorch's.
    """
    for package, extra in (
        ("torch", "export"),
        ("onnx", "export"),
        ("onnxscript", "export"),
        ("ai_edge_litert", "litert"),
    ):
        require(package, extra, "export to LiteRT")
    from litehrnet.models.folding import fold_batch_norms

    network = open_torch(weights, input_size_wh)
    with replacing(path) as temporary:
        info = replace(network.info, input_size_wh=network.input_size_wh)
        if half:
            folded = fold_batch_norms(network.network)
            round_to_half(folded)
            network = TorchRuntime(folded, network.info, network.input_size_wh)
        temporary.write_bytes(translate(serialize(network.network, info), info, str(weights), half=half))
        comparisons = compare(network, LiteRtRuntime(temporary), photos=True)
        refuse_differences(path, comparisons)
    return comparisons


def translate(exported: bytes, info: WeightsInfo, name: str, *, half: bool = False) -> bytes:
    """Translate our ONNX export, with folded normalizations, to a LiteRT model with its description.

    Args:
        exported: A serialized ONNX model with weights in float32.
        info: Description of the weights.
        name: Name of the weights, for messages.
        half: Whether to store weights of 1000 and more values as float16 if that is exact.

    Raises:
        UserError: The network has an operator that is not translated.
    """
    import onnx

    model = onnx.load_model_from_string(exported)
    model.graph.ClearField("value_info")
    for array in (model.graph.input[0], model.graph.output[0]):
        array.type.tensor_type.shape.dim[0].dim_value = 1
    translation = Translation(
        onnx.shape_inference.infer_shapes(model), LiteRtGraph(SMALLEST_HALF if half else None), name
    )
    translation.run()
    graph = translation.graph
    for key, value in ((METADATA_KEY, info_to_json(info)), (DIGEST_KEY, BLANK_DIGEST)):
        graph.describe(key, np.frombuffer(value.encode(), np.uint8))
    return stamp(graph.packed())
