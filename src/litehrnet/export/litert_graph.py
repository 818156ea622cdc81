"""ONNX graphs of our export as LiteRT graphs: the same operators in LiteRT's layout, with channels last.

A LiteRT model stores arrays as (n, height, width, channels). Only the operators that our export of Lite-HRNet writes
are translated. Their meaning is in ONNX's operator reference, and in ``schema.fbs`` of LiteRT.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litehrnet.errors import UserError
from litehrnet.runtimes.litertfile import IDENTIFIER

Shape = tuple[int, ...]
TO_LAST = (0, 2, 3, 1)
"""Axes of an ONNX array in the order of LiteRT."""


class LiteRtGraph:
    """A LiteRT graph that grows by one operator at a time.

    Args:
        smallest_half: Number of values from which weights are stored as float16 if that is exact; None for float32.

    Attributes:
        schema: ``ai_edge_litert.schema_py_generated``, whose object form the graph has.
    """

    def __init__(self, smallest_half: int | None = None) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema: Any = schema
        self._smallest_half = smallest_half
        self._codes: dict[int, int] = {}
        self._graph = schema.SubGraphT()
        self._graph.tensors, self._graph.operators = [], []
        self._model = schema.ModelT()
        self._model.version, self._model.subgraphs, self._model.operatorCodes = 3, [self._graph], []
        self._model.buffers, self._model.metadata = [schema.BufferT()], []  # the first buffer is empty by definition

    def tensor(self, shape: Shape, values: NDArray[Any] | None = None, kind: str = "FLOAT32") -> int:
        """Add an array, computed or constant, and return its index."""
        tensor = self.schema.TensorT()
        tensor.name, tensor.shape = f"t{len(self._graph.tensors)}", np.asarray(shape, np.int32)
        tensor.type, tensor.buffer = getattr(self.schema.TensorType, kind), 0 if values is None else self.buffer(values)
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def buffer(self, values: NDArray[Any]) -> int:
        """Store an array in the model, and return the index of its buffer."""
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self._model.buffers.append(buffer)
        return len(self._model.buffers) - 1

    def integers(self, values: Any) -> int:
        """Add a constant of int32, such as a shape."""
        array = np.asarray(values, np.int32)
        return self.tensor(array.shape, array, "INT32")

    def weights(self, values: NDArray[Any]) -> int:
        """Add a constant of float32; float16 is made wide when the model is opened."""
        values = values.astype(np.float32)
        if self._smallest_half is not None and values.size >= self._smallest_half:
            with np.errstate(over="ignore"):
                half = values.astype(np.float16)
            if np.array_equal(half, values):
                return self.operator("DEQUANTIZE", [self.tensor(values.shape, half, "FLOAT16")], [values.shape])[0]
        return self.tensor(values.shape, values)

    def operator(self, name: str, inputs: list[int], shapes: list[Shape], **options: Any) -> list[int]:
        """Add an operator with outputs of these shapes, and return their indices.

        Args:
            name: Name in ``BuiltinOperator``.
            inputs: Indices of arrays.
            shapes: Shapes of the outputs.
            options: Fields of the operator's options, and ``kind``: their type, such as ``Conv2DOptions``.
        """
        code = getattr(self.schema.BuiltinOperator, name)
        if code not in self._codes:
            self._codes[code] = len(self._model.operatorCodes)
            entry = self.schema.OperatorCodeT()
            entry.builtinCode, entry.deprecatedBuiltinCode, entry.version = code, min(code, 127), _VERSIONS.get(name, 1)
            self._model.operatorCodes.append(entry)
        added = self.schema.OperatorT()
        added.opcodeIndex, added.inputs = self._codes[code], np.asarray(inputs, np.int32)
        outputs = [self.tensor(shape) for shape in shapes]
        added.outputs = np.asarray(outputs, np.int32)
        if kind := options.pop("kind", None):
            added.builtinOptionsType = getattr(self.schema.BuiltinOptions, kind)
            added.builtinOptions = getattr(self.schema, f"{kind}T")()
            for field, value in options.items():
                setattr(added.builtinOptions, field, value)
        self._graph.operators.append(added)
        return outputs

    def describe(self, name: str, values: NDArray[np.uint8]) -> None:
        """Add an entry of metadata."""
        entry = self.schema.MetadataT()
        entry.name, entry.buffer = name, self.buffer(values)
        self._model.metadata.append(entry)

    def begin(self, image: int) -> None:
        """Make an array the input of the graph."""
        self._graph.inputs = np.asarray([image], np.int32)

    def end(self, maps: int) -> None:
        """Make an array the output of the graph."""
        self._graph.outputs = np.asarray([maps], np.int32)

    def packed(self) -> bytes:
        """Serialize the model."""
        import flatbuffers

        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self._model.Pack(builder), IDENTIFIER)
        return bytes(builder.Output())


# Versions of operators that know float16 constants and half-pixel centers; all others are of version 1.
_VERSIONS = {"DEQUANTIZE": 3, "RESIZE_BILINEAR": 3}


class Translation:
    """Translates the nodes of an ONNX graph in their order.

    Args:
        model: Our ONNX export with a batch of one and all shapes inferred (``onnx.ModelProto``).
        graph: The graph to fill.
        name: Name of the weights, for messages.
    """

    def __init__(self, model: Any, graph: LiteRtGraph, name: str) -> None:
        from onnx import numpy_helper

        self._nodes, self.graph, self._name = list(model.graph.node), graph, name
        self._image, self._maps = model.graph.input[0].name, model.graph.output[0].name
        self._constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        values = (*model.graph.value_info, *model.graph.input, *model.graph.output)
        self._shapes = {v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in values}
        self._indices: dict[str, int] = {}
        readers = Counter(name for node in self._nodes for name in node.input)
        self._read_once = {name for name, count in readers.items() if count == 1}

    def shape(self, name: str) -> Shape:
        """Return the shape of an array in LiteRT's layout: (n, height, width, channels)."""
        n, channels, height, width = self._shapes[name]
        return n, height, width, channels

    def run(self) -> None:
        """Translate all nodes.

        Raises:
            UserError: A node has an operator or arguments that are not translated.
        """
        translators: Mapping[str, Callable[..., list[int]]] = {
            "Conv": self._convolution,
            "Relu": self._simple("RELU"),
            "Sigmoid": self._simple("LOGISTIC"),
            "Add": self._simple("ADD", "AddOptions"),
            "Mul": self._simple("MUL", "MulOptions"),
            "AveragePool": self._average_pool,
            "ReduceMean": self._mean,
            "Resize": self._resize,
            "Concat": self._concat,
            "Split": self._split,
            "Reshape": self._shuffle,
        }
        self._indices[self._image] = self.graph.tensor(self.shape(self._image))
        self.graph.begin(self._indices[self._image])
        for node in self._nodes:
            translate: Callable[..., list[int]] = translators.get(node.op_type, self._refuse)
            outputs = translate(node, _arguments(node))
            self._indices.update(zip(node.output, outputs, strict=True))
        self.graph.end(self._indices[self._maps])

    def _refuse(self, node: Any, _: Mapping[str, Any]) -> list[int]:
        raise UserError(
            f"{self._name}: its ONNX graph has {node.op_type} (node {node.name}) in a form that the LiteRT export does "
            "not translate (expected a network of Lite-HRNet at a size whose branches halve exactly)"
        )

    def _index(self, name: str) -> int:
        if name not in self._indices:
            values = self._constants[name]
            self._indices[name] = self.graph.weights(values.transpose(TO_LAST) if values.ndim == 4 else values)
        return self._indices[name]

    def _simple(self, name: str, kind: str | None = None) -> Callable[..., list[int]]:
        def add(node: Any, _: Mapping[str, Any]) -> list[int]:
            inputs = [self._index(array) for array in node.input]
            options = {} if kind is None else {"kind": kind}
            return self.graph.operator(name, inputs, [self.shape(node.output[0])], **options)

        return add

    def _convolution(self, node: Any, given: Mapping[str, Any]) -> list[int]:
        image, weights = node.input[0], self._constants[node.input[1]]
        outputs, inputs_per_group, kernel, _ = weights.shape
        channels, stride = self.shape(image)[3], given["strides"][0]
        depthwise = given["group"] == channels == outputs and inputs_per_group == 1
        square = list(given["strides"]) == [stride] * 2 and weights.shape[2] == weights.shape[3]
        if not (depthwise or given["group"] == 1) or list(given["pads"]) != [kernel // 2] * 4 or not square:
            return self._refuse(node, given)
        if list(given["dilations"]) != [1, 1]:
            return self._refuse(node, given)
        # PyTorch's exporter leaves out biases of zero.
        bias = self._constants[node.input[2]] if len(node.input) == 3 else np.zeros(outputs, np.float32)
        padding = self._padding("SAME" if stride == 1 else "VALID")
        arranged = weights.transpose((1, 2, 3, 0) if depthwise else (0, 2, 3, 1))
        source = self._index(image) if stride == 1 or kernel == 1 else self._padded(image, kernel // 2)
        inputs = [source, self.graph.weights(arranged), self.graph.tensor((outputs,), bias)]
        options = {"padding": padding, "strideW": stride, "strideH": stride, "dilationWFactor": 1, "dilationHFactor": 1}
        shapes = [self.shape(node.output[0])]
        if depthwise:
            kind = "DepthwiseConv2DOptions"
            return self.graph.operator("DEPTHWISE_CONV_2D", inputs, shapes, kind=kind, depthMultiplier=1, **options)
        return self.graph.operator("CONV_2D", inputs, shapes, kind="Conv2DOptions", **options)

    def _padding(self, name: str) -> int:
        return int(getattr(self.graph.schema.Padding, name))

    def _padded(self, image: str, pixels: int) -> int:
        # SAME would pad an even size on one side only, where ours pads both.
        n, height, width, channels = self.shape(image)
        shape = (n, height + 2 * pixels, width + 2 * pixels, channels)
        widths = self.graph.integers([[0, 0], [pixels, pixels], [pixels, pixels], [0, 0]])
        return self.graph.operator("PAD", [self._index(image), widths], [shape], kind="PadOptions")[0]

    def _average_pool(self, node: Any, given: Mapping[str, Any]) -> list[int]:
        side = given["kernel_shape"][0]
        if not list(given["kernel_shape"]) == list(given["strides"]) == [side, side] or any(given["pads"]):
            return self._refuse(node, given)
        sizes = {"strideW": side, "strideH": side, "filterWidth": side, "filterHeight": side}
        options = {"kind": "Pool2DOptions", "padding": self._padding("VALID"), **sizes}
        return self.graph.operator(
            "AVERAGE_POOL_2D", [self._index(node.input[0])], [self.shape(node.output[0])], **options
        )

    def _mean(self, node: Any, given: Mapping[str, Any]) -> list[int]:
        if sorted(self._constants[node.input[1]] % 4) != [2, 3] or not given.get("keepdims", 1):
            return self._refuse(node, given)
        inputs = [self._index(node.input[0]), self.graph.integers([1, 2])]
        return self.graph.operator("MEAN", inputs, [self.shape(node.output[0])], kind="ReducerOptions", keepDims=True)

    def _resize(self, node: Any, given: Mapping[str, Any]) -> list[int]:
        mode, places = given["mode"].decode(), given["coordinate_transformation_mode"].decode()
        before, shape = self.shape(node.input[0]), self.shape(node.output[0])
        if (mode, places, given["nearest_mode"]) == ("nearest", "asymmetric", b"floor"):
            factor = shape[1] // before[1]
            if shape[1:3] != (factor * before[1], factor * before[2]):
                return self._refuse(node, given)
            return [self._repeated(self._index(node.input[0]), before, factor)]
        if mode != "linear" or places not in ("align_corners", "half_pixel", "pytorch_half_pixel"):
            return self._refuse(node, given)
        inputs = [self._index(node.input[0]), self.graph.integers(shape[1:3])]
        options = {"alignCorners": places == "align_corners", "halfPixelCenters": places != "align_corners"}
        return self.graph.operator("RESIZE_BILINEAR", inputs, [shape], kind="ResizeBilinearOptions", **options)

    def _repeated(self, index: int, shape: Shape, factor: int) -> int:
        """Enlarge a feature map by an integer factor: each pixel is repeated along x, then each row along y.

        XNNPACK has no resizing to the nearest pixel, and would be interrupted. It joins up to five arrays at once.
        """
        n, height, width, channels = shape
        for parts, size in ((n * height * width, channels), (n * height, width * factor * channels)):
            left = factor
            while left > 1:
                copies = next((count for count in (4, 5, 3, 2) if left % count == 0), left)
                index = self._reshaped(index, (1, parts, 1, size))
                size *= copies
                index = self._joined([index] * copies, (1, parts, 1, size))
                left //= copies
        return self._reshaped(index, (n, height * factor, width * factor, channels))

    def _concat(self, node: Any, given: Mapping[str, Any]) -> list[int]:
        # Our export shuffles the channels of two arrays by joining rows and reshaping, so
        # rows joined to rows are pairs of channels; ``_shuffle`` puts them in their order.
        shapes = [self.shape(name) for name in node.input]
        pairs = given["axis"] == 2 and len(set(shapes)) == 1 and len(shapes) == 2 and node.output[0] in self._read_once
        if not pairs and given["axis"] != 1:
            return self._refuse(node, given)
        joined = (*shapes[0][:3], sum(shape[3] for shape in shapes))
        inputs = [self._index(name) for name in node.input]
        return [self._joined(inputs, joined)]

    def _joined(self, indices: list[int], shape: Shape) -> int:
        return self.graph.operator("CONCATENATION", indices, [shape], kind="ConcatenationOptions", axis=3)[0]

    def _shuffle(self, node: Any, given: Mapping[str, Any]) -> list[int]:
        n, height, width, channels = shape = self.shape(node.output[0])
        rows = self.shape(node.input[0])
        if rows != (n, 2 * height, width, channels // 2):
            return self._refuse(node, given)
        halves, pairs = (n, height * width, 2, channels // 2), (n, height * width, channels // 2, 2)
        split = self._reshaped(self._index(node.input[0]), halves)
        turned = self.graph.operator("TRANSPOSE", [split, self.graph.integers([0, 1, 3, 2])], [pairs])[0]
        return [self._reshaped(turned, shape)]

    def _reshaped(self, index: int, shape: Shape) -> int:
        return self.graph.operator("RESHAPE", [index, self.graph.integers(shape)], [shape])[0]

    def _split(self, node: Any, given: Mapping[str, Any]) -> list[int]:
        shapes = [self.shape(name) for name in node.output]
        if given["axis"] != 1:
            return self._refuse(node, given)
        source = self._index(node.input[0])
        if len(set(shapes)) == 1:
            options = {"kind": "SplitOptions", "numSplits": len(shapes)}
            return self.graph.operator("SPLIT", [self.graph.integers(3), source], shapes, **options)
        starts = np.cumsum([0, *(shape[3] for shape in shapes[:-1])])
        return [
            self.graph.operator(
                "SLICE", [source, self.graph.integers([0, 0, 0, start]), self.graph.integers(shape)], [shape]
            )[0]
            for start, shape in zip(starts, shapes, strict=True)
        ]


def _arguments(node: Any) -> dict[str, Any]:
    from onnx import helper

    return {argument.name: helper.get_attribute_value(argument) for argument in node.attribute}
