"""Distillation module by module: each module learns from the teacher's, fed what the teacher's is fed.

In this family branch widths and resolutions agree, so that a module of the network in training can stand in the place
of the teacher's. All learn at once, none waits for those before it; afterward training goes on end to end.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from litehrnet.errors import UserError
from litehrnet.models.lite_hrnet import PoseNetwork
from litehrnet.models.weights import load_network
from litehrnet.variants import Variant


def open_teacher_network(path: Path, variant: Variant, device: torch.device) -> PoseNetwork:
    """The teacher as a PyTorch network, in evaluation mode, whose modules match those of a variant one by one.

    Raises:
        UserError: The file is no PyTorch weights, or its modules are others in number or width.
    """
    teacher, _ = load_network(path)
    assert isinstance(teacher, PoseNetwork)  # its keypoints were looked at before
    own = teacher.variant
    if (own.modules, own.channels) != (variant.modules, variant.channels):
        raise UserError(
            f"{path}: {own.name} has modules {own.modules} of {own.channels} channels, {variant.name} has "
            f"{variant.modules} of {variant.channels} (expected the same, or distill.module_epochs=0)"
        )
    return teacher.to(device).eval().requires_grad_(False)


def module_names(network: PoseNetwork) -> list[str]:
    """Names of the modules that learn by themselves, from the image to the heatmaps; every parameter is in one."""
    backbone = network.backbone
    names = ["stem"]
    for number in range(3):
        names += [f"transition{number}.{branch}" for branch in getattr(backbone, f"transition{number}")]
        names += [f"stage{number}.{module}" for module in range(len(getattr(backbone, f"stage{number}")))]
    return [*(f"backbone.{name}" for name in [*names, "head_layer"]), "keypoint_head.final_layer"]


def module_loss(network: PoseNetwork, teacher: PoseNetwork, images: Tensor) -> Tensor:
    """The mean over modules and branches of |own - teacher's|^2 / |teacher's|^2: 1 where a module does nothing.

    Args:
        network: In training.
        teacher: From ``open_teacher_network``.
        images: float (n, 3, H, W), normalized.

    Returns:
        A scalar tensor.
    """
    errors: list[Tensor] = []
    for name, (inputs, wanted) in _inputs_and_outputs(teacher, images).items():
        outputs = network.get_submodule(name)(inputs)
        errors += [
            (own - target).square().mean() / target.square().mean().clamp_min(1e-12)
            for own, target in zip(_as_list(outputs), _as_list(wanted), strict=True)
        ]
    return torch.stack(errors).mean()


def _inputs_and_outputs(teacher: PoseNetwork, images: Tensor) -> dict[str, tuple[Any, Any]]:
    """Of each module, by its name. Copies of the inputs: modules may write into them."""
    seen: dict[str, list[Any]] = {}

    def remember_input(name: str) -> Any:
        return lambda _, arguments: seen.update({name: [_copy(arguments[0])]})

    def remember_output(name: str) -> Any:
        return lambda _, arguments, output: seen[name].append(_copy(output))

    hooks = []
    for name in module_names(teacher):
        module: nn.Module = teacher.get_submodule(name)
        hooks.append(module.register_forward_pre_hook(remember_input(name)))
        hooks.append(module.register_forward_hook(remember_output(name)))
    with torch.no_grad():
        teacher(images)
    for hook in hooks:
        hook.remove()
    return {name: (inputs, outputs) for name, (inputs, outputs) in seen.items()}


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else [tensor.clone() for tensor in value]


def _as_list(value: Any) -> list[Tensor]:
    return [value] if isinstance(value, Tensor) else list(value)
