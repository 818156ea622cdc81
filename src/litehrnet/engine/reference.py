"""Runs programs step by step in NumPy: slow, but it defines what every kind of step computes.

The kernels are compared with it, and it is compared with the network in PyTorch. It replaces the kernels in installs
without a compiler.
"""

from collections.abc import Callable
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from litehrnet.engine.program import Activation, Kind, Planes, Program, Step

Array = NDArray[np.floating]


def run_program(program: Program, crops: NDArray[np.uint8], dtype: type[np.floating] = np.float32) -> Array:
    """Compute the heatmaps of a batch.

    Args:
        program: A program for the size of the crops.
        crops: uint8 (people, height, width, 3).
        dtype: Type of all computations, float32 or float64.

    Returns:
        (people, keypoints, height, width) of ``program.output``.
    """
    return np.stack([_run_one(program, crop, dtype) for crop in crops])


def _run_one(program: Program, crop: NDArray[np.uint8], dtype: type[np.floating]) -> Array:
    arena = np.full(program.arena_floats, np.nan, dtype)  # reading a plane before it was written gives NaN
    for step in program.steps:
        constants = [constant.astype(dtype) for constant in step.constants]
        image = step.kind in (Kind.STEM, Kind.IMAGE)
        inputs = [crop.astype(dtype)] if image else [_load(arena, planes) for planes in step.reads]
        results = _RUN[step.kind](step, inputs, constants)
        for planes, result in zip(step.writes, results, strict=True):
            for place, plane in zip(planes.places, result, strict=True):
                arena[place : place + planes.pixels] = plane.ravel()
    return _load(arena, program.output)


def _load(arena: Array, planes: Planes) -> Array:
    pixels = [arena[place : place + planes.pixels] for place in planes.places]
    return np.array(pixels, arena.dtype).reshape(len(planes), planes.height, planes.width)


def _stem(step: Step, inputs: list[Array], constants: list[Array]) -> list[Array]:
    (factor, offset), *layers = constants
    conv, depthwise_a, pointwise_a, expand, depthwise_b, linear = zip(layers[::2], layers[1::2], strict=True)
    image = (inputs[0] * factor + offset).transpose(2, 0, 1)
    neighbors = _neighbors(image, 2)
    a, b = np.split(_relu(_product(*conv, neighbors.reshape(-1, *neighbors.shape[2:]))), 2)
    a = _relu(_product(*pointwise_a, _depthwise(*depthwise_a, a, 2)))
    b = _relu(_product(*linear, _depthwise(*depthwise_b, _relu(_product(*expand, b)), 2)))
    return [np.stack([a, b], axis=1).reshape(-1, *a.shape[1:])]


def _pointwise(step: Step, inputs: list[Array], constants: list[Array]) -> list[Array]:
    x, addend, *kernel = inputs
    *_, bias = constants
    weight = kernel[0].reshape(len(bias), -1) if kernel else constants[0]
    result = _product(weight, bias, x)
    if len(addend):
        result += addend
    return [_ACTIVATIONS[step.activation](result)]


def _depthwise_step(step: Step, inputs: list[Array], constants: list[Array]) -> list[Array]:
    x, channel_weight, *kernel = inputs
    *_, bias = constants
    weight = kernel[0].reshape(len(bias), -1) if kernel else constants[0]
    result = _ACTIVATIONS[step.activation](_depthwise(weight, bias, _weighted(x, channel_weight), step.stride))
    return [result, result.mean(axis=(1, 2))[None, None] if len(step.writes[1]) else np.empty((0, 0, 0))]


def _pool(step: Step, inputs: list[Array], constants: list[Array]) -> list[Array]:
    height, width = step.writes[0].height, step.writes[0].width
    return [inputs[0].reshape(len(inputs[0]), height, -1, width, inputs[0].shape[2] // width).mean(axis=(2, 4))]


def _spatial_weighting(step: Step, inputs: list[Array], constants: list[Array]) -> list[Array]:
    x, means = inputs
    result = x * _gates(means, constants, step.activation or Activation.SIGMOID)[:, None, None]
    if len(constants) == 4:
        return [result]
    return [result * constants[4][:, None, None] + constants[5][:, None, None]]


def _means(step: Step, inputs: list[Array], constants: list[Array]) -> list[Array]:
    return [_weighted(*inputs).mean(axis=(1, 2))[None, None]]


def _mix_kernels(step: Step, inputs: list[Array], constants: list[Array]) -> list[Array]:
    return [(_gates(inputs[0], constants) @ constants[4])[None, None]]


def _context(step: Step, inputs: list[Array], constants: list[Array]) -> list[Array]:
    x, logits = inputs
    shares = np.exp(logits - logits.max())
    out = step.writes[0]
    runs = out.pixels if len(out) == len(x) else 1
    weights = (shares / shares.sum()).reshape(runs, 1, -1)
    sums = (x.reshape(runs, len(x), -1) * weights).sum(axis=2)  # run after run, through all planes
    return [sums.T.reshape(len(out), out.height, out.width)]


def _enlarge(step: Step, inputs: list[Array], constants: list[Array]) -> list[Array]:
    addend, x = inputs
    enlarged = _enlarged(x, 2)
    return [addend + enlarged if len(addend) else enlarged]


def _fuse_first(step: Step, inputs: list[Array], constants: list[Array]) -> list[Array]:
    total = 2 * inputs[0] + _enlarged(inputs[1], 2)
    pairs = zip(constants[::2], constants[1::2], strict=True)
    convolved = _ACTIVATIONS[step.activation](total)
    return [_relu(total), *(_depthwise(weight, bias, convolved, 2) for weight, bias in pairs)]


def _enlarge_bilinear(step: Step, inputs: list[Array], constants: list[Array]) -> list[Array]:
    addend, x = inputs
    rows = _interpolation(x.shape[1], addend.shape[1], x.dtype)
    columns = _interpolation(x.shape[2], addend.shape[2], x.dtype)
    return [addend + rows @ x @ columns.T]


def _image(step: Step, inputs: list[Array], constants: list[Array]) -> list[Array]:
    factor, offset = constants[0]
    return [(inputs[0] * factor + offset).transpose(2, 0, 1)]


def _convolution(step: Step, inputs: list[Array], constants: list[Array]) -> list[Array]:
    neighbors = _neighbors(inputs[0], step.stride)
    return _pointwise(step, [neighbors.reshape(-1, *neighbors.shape[2:]), inputs[1]], constants)


def _transposed(step: Step, inputs: list[Array], constants: list[Array]) -> list[Array]:
    channels, height, width = inputs[0].shape
    neighbors = _neighbors(inputs[0], 1).reshape(channels, 3, 3, height, width)
    out = np.empty((len(step.writes[0]), 2 * height, 2 * width), inputs[0].dtype)
    for phase, weight in enumerate(np.split(constants[0], 4)):
        row, column = divmod(phase, 2)
        shifted = neighbors[:, row : row + 2, column : column + 2].reshape(-1, height, width)
        out[:, row::2, column::2] = _product(weight, constants[1], shifted)
    return [_ACTIVATIONS[step.activation](out)]


def _max_pool(step: Step, inputs: list[Array], constants: list[Array]) -> list[Array]:
    return [_neighbors(inputs[0], 2, outside=-np.inf).max(axis=1)]


def _add(step: Step, inputs: list[Array], constants: list[Array]) -> list[Array]:
    return [_ACTIVATIONS[step.activation](inputs[0] + inputs[1])]


_RUN: dict[Kind, Callable[[Step, list[Array], list[Array]], list[Array]]] = {
    Kind.STEM: _stem,
    Kind.POINTWISE: _pointwise,
    Kind.DEPTHWISE: _depthwise_step,
    Kind.POOL: _pool,
    Kind.SPATIAL_WEIGHTING: _spatial_weighting,
    Kind.ENLARGE: _enlarge,
    Kind.FUSE_FIRST: _fuse_first,
    Kind.ENLARGE_BILINEAR: _enlarge_bilinear,
    Kind.MEANS: _means,
    Kind.MIX_KERNELS: _mix_kernels,
    Kind.CONTEXT: _context,
    Kind.IMAGE: _image,
    Kind.CONVOLUTION: _convolution,
    Kind.TRANSPOSED: _transposed,
    Kind.MAX_POOL: _max_pool,
    Kind.ADD: _add,
}


def _relu(x: Array) -> Array:
    return np.asarray(np.maximum(x, 0))


def _sigmoid(x: Array) -> Array:
    with np.errstate(over="ignore"):  # 1 / (1 + inf) is the 0 that is wanted
        return np.asarray(1 / (1 + np.exp(-x)))


_ACTIVATIONS: dict[Activation, Callable[[Array], Array]] = {
    Activation.NONE: lambda x: x,
    Activation.RELU: _relu,
    Activation.SIGMOID: _sigmoid,
    Activation.RELU6: lambda x: np.clip(x, 0, 6),
    Activation.HARD_SWISH: lambda x: x * np.clip(x + 3, 0, 6) / 6,
    Activation.HARD_SIGMOID: lambda x: np.clip((x + 1) / 2, 0, 1),
}


def _product(weight: Array, bias: Array, x: Array) -> Array:
    return np.asarray(np.tensordot(weight, x, axes=1) + bias[:, None, None])


def _depthwise(weight: Array, bias: Array, x: Array, stride: int) -> Array:
    neighbors = _neighbors(x, stride, isqrt(weight.shape[1]))
    return np.asarray(np.einsum("cnhw,cn->chw", neighbors, weight) + bias[:, None, None])


def _neighbors(x: Array, stride: int, size: int = 3, outside: float = 0) -> Array:
    """(channels, size * size, rows, columns): the square around every pixel or every second one."""
    reach = size // 2
    padded = np.pad(x, ((0, 0), (reach, reach), (reach, reach)), constant_values=outside)
    height, width = x.shape[1:]
    shifted = [padded[:, i : i + height : stride, j : j + width : stride] for i in range(size) for j in range(size)]
    return np.stack(shifted, axis=1)


def _gates(means: Array, constants: list[Array], activation: Activation = Activation.SIGMOID) -> Array:
    """Two dense layers, with a ReLU and a sigmoid or its like."""
    hidden = _relu(constants[0] @ means.ravel() + constants[1])
    return _ACTIVATIONS[activation](constants[2] @ hidden + constants[3])


def _weighted(x: Array, channel_weight: Array) -> Array:
    return x * _enlarged(channel_weight, x.shape[1] // channel_weight.shape[1]) if len(channel_weight) else x


def _enlarged(x: Array, factor: int) -> Array:
    return x.repeat(factor, axis=1).repeat(factor, axis=2)


def _interpolation(from_size: int, to_size: int, dtype: np.dtype[np.floating]) -> Array:
    """(to, from): weights that interpolate along one side, corners aligned."""
    if to_size == 1:
        return np.eye(1, from_size, dtype=dtype)
    position = np.arange(to_size) * ((from_size - 1) / (to_size - 1))
    distance = np.abs(position[:, None] - np.arange(from_size))
    return np.asarray(np.maximum(1 - distance, 0), dtype)
