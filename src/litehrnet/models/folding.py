"""Folding batch normalization into the convolutions before it (docs/spec/protocol.md, section 5.2)."""

import copy
from collections.abc import Iterator
from typing import TypeAlias, TypeVar

import torch
from torch import Tensor, nn

_Network = TypeVar("_Network", bound=nn.Module)
_Conv: TypeAlias = nn.Conv2d | nn.ConvTranspose2d


def fold_batch_norms(network: _Network) -> _Network:
    """Copy a network in evaluation mode and merge each batch normalization into the convolution before it.

    Within each module, a batch normalization directly after an ordinary or transposed convolution becomes the identity,
    and W' = W * gamma / sqrt(var + eps), b' = (b - mean) * gamma / sqrt(var + eps) + beta, computed in float64.
    """
    folded = copy.deepcopy(network).eval()
    for _, conv, parent, name in list(_normalized(folded)):
        _merge(conv, getattr(parent, name))
        setattr(parent, name, nn.Identity())
    return folded


def fold_factors(network: nn.Module) -> dict[str, Tensor]:
    """Compute the factor of each output channel that folding multiplies into the weights.

    Returns:
        float64 (outputs, 1, 1, 1), for transposed convolutions (1, outputs, 1, 1), by the names of the weights.
    """
    return {name: _factors(conv, getattr(parent, norm)) for name, conv, parent, norm in _normalized(network)}


def _normalized(network: nn.Module) -> Iterator[tuple[str, _Conv, nn.Module, str]]:
    """Yield normalized convolutions: name of the weight, layer, parent module, and name of the normalization in it."""
    for path, parent in network.named_modules():
        previous: tuple[str, nn.Module] | None = None
        for name, child in parent.named_children():
            if previous and isinstance(child, nn.BatchNorm2d) and isinstance(previous[1], _Conv):
                yield f"{path}.{previous[0]}.weight".lstrip("."), previous[1], parent, name
            previous = name, child


def _factors(conv: _Conv, norm: nn.BatchNorm2d) -> Tensor:
    assert norm.running_var is not None
    factor = norm.weight.detach().double() / torch.sqrt(norm.running_var.double() + norm.eps)
    return factor[:, None, None, None] if isinstance(conv, nn.Conv2d) else factor[None, :, None, None]


def _merge(conv: _Conv, norm: nn.BatchNorm2d) -> None:
    mean = norm.running_mean
    assert mean is not None
    with torch.no_grad():
        factors = _factors(conv, norm)
        bias = torch.zeros_like(mean) if conv.bias is None else conv.bias
        shifted = (bias.double() - mean.double()) * factors.flatten() + norm.bias.double()
        conv.weight.copy_(conv.weight.double() * factors)
        conv.bias = nn.Parameter(shifted.to(conv.weight.dtype))
