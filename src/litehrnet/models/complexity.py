"""Cost of a network: parameters, operations and memory, layer by layer.

There are two counts. The published FLOPs follow the reference implementation's counter with its mistakes
(docs/spec/architecture.md, section 13.1). The multiply-accumulates count the convolutions only.
"""

import copy
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import prod

import torch
from torch import Tensor, nn

from litehrnet.models.blocks import Fuse
from litehrnet.models.dynamic_blocks import KernelAggregation

Shape = tuple[int, ...]
BYTES_PER_NUMBER = 4  # float32
_NOT_CALLED = (((0,),), ((0,),))
"""Input and output shapes of a layer that the network has but does not use, as Dite-HRNet."""


@dataclass(frozen=True)
class LayerCost:
    """Cost of one layer for one image. If a layer is called several times, its last call counts, as published.

    Attributes:
        name: Name of the module inside the network.
        kind: ``Conv2d``, ``BatchNorm2d``, ``ReLU``, ``AdaptiveAvgPool2d``, ``Upsample`` or another class of layers.
        input_shape: (channels, height, width).
        output_shape: (channels, height, width).
        params: Number of trainable parameters.
        published_flops: Operations by the reference implementation's rule.
        macs: Multiply-accumulates of a convolution without its bias; 0 for other layers.
        executions: Evaluations of the layer in the reference implementation: 2 in the maps from branch 0 downward.
        memory_read_bytes: Size of the input and the parameters as float32.
        memory_written_bytes: Size of the output as float32.
    """

    name: str
    kind: str
    input_shape: Shape
    output_shape: Shape
    params: int
    published_flops: int
    macs: int
    executions: int
    memory_read_bytes: int
    memory_written_bytes: int


@dataclass(frozen=True)
class Complexity:
    """Costs of all or some layers of a network, and their totals.

    Attributes:
        input_size_wh: (width, height) of the image in pixels.
        layers: Costs in the order of the network's modules.
        shapes: Input and output shapes of every module at its last call, one per branch, by module name.
    """

    input_size_wh: tuple[int, int]
    layers: tuple[LayerCost, ...]
    shapes: Mapping[str, tuple[tuple[Shape, ...], tuple[Shape, ...]]]

    @property
    def params(self) -> int:
        """Number of trainable parameters."""
        return sum(layer.params for layer in self.layers)

    @property
    def published_flops(self) -> int:
        """Operations by the reference implementation's rule; the paper's tables divide them by 2^20."""
        return sum(layer.published_flops for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates in this package, where each layer runs once."""
        return sum(layer.macs for layer in self.layers)

    @property
    def macs_as_published(self) -> int:
        """Multiply-accumulates in the reference implementation, where maps from branch 0 downward run twice."""
        return sum(layer.macs * layer.executions for layer in self.layers)

    @property
    def memory_read_bytes(self) -> int:
        """Size of the inputs and parameters of all layers, each layer once."""
        return sum(layer.memory_read_bytes for layer in self.layers)

    @property
    def memory_written_bytes(self) -> int:
        """Size of the outputs of all layers, each layer once."""
        return sum(layer.memory_written_bytes for layer in self.layers)

    def only(self, layers: Iterable[LayerCost]) -> "Complexity":
        """Return the complexity of some of the layers."""
        return replace(self, layers=tuple(layers))

    def per_kind(self) -> dict[str, "Complexity"]:
        """Return the complexity of each kind of layers, in the order of their first occurrence."""
        kinds = dict.fromkeys(layer.kind for layer in self.layers)
        return {kind: self.only(layer for layer in self.layers if layer.kind == kind) for kind in kinds}


def measure(network: nn.Module, input_size_wh: tuple[int, int]) -> Complexity:
    """Count the cost of a network for one RGB image in evaluation mode, without computing or changing anything.

    Only layers that are modules are counted, each once. Sigmoids, sums, products, shuffles and functional resizing
    are free, as in the reference implementation's counter.

    Args:
        network: Network with input (1, 3, height, width).
        input_size_wh: (width, height) of the image in pixels.

    Raises:
        UserError: The network does not accept this size.
    """
    width, height = input_size_wh
    shapes: dict[str, tuple[tuple[Shape, ...], tuple[Shape, ...]]] = {}
    # Tensors on the meta device have a shape but no values, so the forward pass only computes shapes.
    shadow = copy.deepcopy(network).to("meta", torch.float32).eval()
    for name, module in shadow.named_modules():
        module.register_forward_hook(functools.partial(_record_shapes, shapes, name))
    with torch.inference_mode():
        shadow(torch.empty(1, 3, height, width, device="meta"))
    twice = _evaluated_twice(shadow)
    layers = tuple(
        _cost(name, layer, *shapes.get(name, _NOT_CALLED), executions=2 if name.startswith(twice) else 1)
        for name, layer in shadow.named_modules()
        if not any(layer.children()) and (name in shapes or any(True for _ in layer.parameters()))
    )
    return Complexity(input_size_wh, layers, shapes)


def _record_shapes(
    shapes: dict[str, tuple[tuple[Shape, ...], tuple[Shape, ...]]],
    name: str,
    module: nn.Module,
    inputs: tuple[Tensor | list[Tensor], ...],
    output: Tensor | list[Tensor],
) -> None:
    shapes[name] = _shapes_of(inputs[0]), _shapes_of(output)


def _shapes_of(branches: Tensor | list[Tensor]) -> tuple[Shape, ...]:
    tensors = [branches] if isinstance(branches, Tensor) else branches
    return tuple(tuple(tensor.shape[1:]) for tensor in tensors)


def _evaluated_twice(network: nn.Module) -> tuple[str, ...]:
    """Return name prefixes of the layers that the reference implementation evaluates twice: the maps D_i0."""
    fusions = [(name, module) for name, module in network.named_modules() if isinstance(module, Fuse)]
    return tuple(f"{name}.{i}.0." for name, fusion in fusions for i in range(1, len(fusion)))


def _cost(
    name: str, layer: nn.Module, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...], *, executions: int
) -> LayerCost:
    (input_shape,), (output_shape,) = inputs, outputs
    params = sum(parameter.numel() for parameter in layer.parameters())
    return LayerCost(
        name=name,
        kind=_kind(layer),
        input_shape=input_shape,
        output_shape=output_shape,
        params=params,
        published_flops=_published_flops(layer, input_shape, output_shape),
        macs=_macs(layer, input_shape, output_shape),
        executions=executions,
        memory_read_bytes=(prod(input_shape) + params) * BYTES_PER_NUMBER,
        memory_written_bytes=prod(output_shape) * BYTES_PER_NUMBER,
    )


def _kind(layer: nn.Module) -> str:
    # Subclasses of batch normalizations and of convolutions compute the same, so they have one name.
    for kind in (nn.BatchNorm2d, nn.Conv2d):
        if isinstance(layer, kind):
            return kind.__name__
    return type(layer).__name__


def _macs(layer: nn.Module, input_shape: Shape, output_shape: Shape) -> int:
    match layer:
        case nn.Conv2d():
            return prod(output_shape) * prod(layer.kernel_size) * (layer.in_channels // layer.groups)
        case nn.ConvTranspose2d():  # by its inputs, each of which is multiplied with every weight of its channel
            return prod(input_shape) * prod(layer.kernel_size) * layer.out_channels
        case KernelAggregation():  # one convolution per image; the sum of its kernels is free
            return prod(output_shape) * prod(layer.weight.shape[2:])
        case _:
            return 0


def _published_flops(layer: nn.Module, input_shape: Shape, output_shape: Shape) -> int:
    """Apply the reference implementation's rule with its mistakes (docs/spec/architecture.md, section 13.1)."""
    match layer:
        case nn.Conv2d():
            return _macs(layer, input_shape, output_shape) + (0 if layer.bias is None else prod(output_shape))
        case nn.ConvTranspose2d() | KernelAggregation():
            return _macs(layer, input_shape, output_shape)
        case nn.BatchNorm2d():
            return 2 * prod(input_shape)
        case nn.ReLU() | nn.ReLU6() | nn.Hardswish():
            return prod(input_shape)
        case nn.MaxPool2d():
            return 9 * prod(output_shape)
        case nn.AdaptiveAvgPool2d():  # the pooling of spatial weighting; one row and one column too many, as published
            channels, height, width = input_shape
            return channels * (height + 1) * (width + 1)
        case nn.Upsample():  # without the channels, as published
            return prod(output_shape[1:])
        case _:
            return 0
