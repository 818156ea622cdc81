"""Folding batch normalization into the convolutions before it (docs/spec/protocol.md, section 5.2)."""

import copy
from typing import TypeVar

import torch
from torch import nn

_Network = TypeVar("_Network", bound=nn.Module)


def fold_batch_norms(network: _Network) -> _Network:
    """Copy a network in evaluation mode and merge each batch normalization into the convolution before it.

    Within each module, a batch normalization directly after an ordinary or transposed convolution becomes the identity,
    and W' = W * gamma / sqrt(var + eps), b' = (b - mean) * gamma / sqrt(var + eps) + beta, computed in float64.
    """
    folded = copy.deepcopy(network).eval()
    for module in list(folded.modules()):
        previous: nn.Module | None = None
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d) and isinstance(previous, nn.Conv2d | nn.ConvTranspose2d):
                _merge(previous, child)
                setattr(module, name, nn.Identity())
            previous = child
    return folded


def _merge(conv: nn.Conv2d | nn.ConvTranspose2d, norm: nn.BatchNorm2d) -> None:
    mean, var = norm.running_mean, norm.running_var
    assert mean is not None
    assert var is not None
    with torch.no_grad():
        factor = norm.weight.double() / torch.sqrt(var.double() + norm.eps)
        bias = torch.zeros_like(mean) if conv.bias is None else conv.bias
        shifted = (bias.double() - mean.double()) * factor + norm.bias.double()
        outputs_first = isinstance(conv, nn.Conv2d)
        per_output = factor[:, None, None, None] if outputs_first else factor[None, :, None, None]
        conv.weight.copy_(conv.weight.double() * per_output)
        conv.bias = nn.Parameter(shifted.to(conv.weight.dtype))
