"""Muon: an optimizer with orthogonalized momentum matrices.

Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024. A convolution that is not depthwise is
the matrix (output channels, input channels x kernel). Its update is the nearest matrix with singular values near 1.
Rare directions of the gradient then count as much as frequent ones. All other parameters follow Adam.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

MATRIX_RATE = 10.0
"""Learning rate of matrices divided by that of the rest, for updates of about the same size per weight."""

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Muon for convolution weights, Adam for the other parameters, in one group with one learning rate.

    Args:
        groups: One group of parameters, as for other optimizers.
        matrices: Parameters of shape (out, in, h, w) that Muon updates.
        lr: Learning rate of Adam; matrices use ``MATRIX_RATE`` times this rate.
        momentum: Nesterov momentum of matrices.
        betas: Coefficients of Adam.
        weight_decay: Weight decay as in AdamW, independent of the gradient.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        matrices: Iterable[Tensor],
        *,
        lr: float,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "betas": betas, "weight_decay": weight_decay}
        super().__init__(groups, defaults)
        self._matrices = {id(parameter) for parameter in matrices}

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Make one step along the gradients of the parameters."""
        (group,) = self.param_groups
        matrices: list[Tensor] = []
        rest: list[Tensor] = []
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            is_matrix = self.is_matrix(parameter)
            (matrices if is_matrix else rest).append(parameter)
            if not self.state[parameter]:
                self.state[parameter] = _first_state(parameter, is_matrix)
        if matrices:
            self._step_matrices(matrices, group)
        if rest:
            self._step_rest(rest, group)

    def is_matrix(self, parameter: Tensor) -> bool:
        """Whether Muon updates the parameter."""
        return id(parameter) in self._matrices

    def _step_matrices(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        same_shape = defaultdict(list)
        for parameter in parameters:
            same_shape[parameter.flatten(1).shape].append(parameter)
        rate = MATRIX_RATE * group["lr"]
        for (rows, columns), alike in same_shape.items():
            updates = torch.stack([self._with_momentum(p, group["momentum"]).flatten(1) for p in alike])
            updates = orthogonalized(updates) * max(1, rows / columns) ** 0.5
            for parameter, update in zip(alike, updates, strict=True):
                parameter.mul_(1 - rate * group["weight_decay"])
                parameter.add_(update.reshape(parameter.shape), alpha=-rate)

    def _with_momentum(self, parameter: Tensor, momentum: float) -> Tensor:
        state, gradient = self.state[parameter], parameter.grad
        assert gradient is not None
        state["momentum_buffer"].lerp_(gradient, 1 - momentum)
        return gradient.lerp(state["momentum_buffer"], momentum)

    def _step_rest(self, parameters: list[Tensor], group: dict[str, Any]) -> None:
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        steps, means, squares = (
            [self.state[parameter][name] for parameter in parameters] for name in ("step", "exp_avg", "exp_avg_sq")
        )
        first, second = group["betas"]
        torch._foreach_add_(steps, 1)
        torch._foreach_lerp_(means, gradients, 1 - first)
        torch._foreach_mul_(squares, second)
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - second)
        count = float(steps[0])  # the same for all, since every parameter gets a gradient in every step
        sizes = torch._foreach_div(squares, 1 - second**count)
        torch._foreach_sqrt_(sizes)
        torch._foreach_add_(sizes, 1e-8)
        torch._foreach_addcdiv_(parameters, means, sizes, -group["lr"] / (1 - first**count))


def _first_state(parameter: Tensor, is_matrix: bool) -> dict[str, Tensor]:
    if is_matrix:
        return {"momentum_buffer": torch.zeros_like(parameter)}
    moments = {name: torch.zeros_like(parameter) for name in ("exp_avg", "exp_avg_sq")}
    return {"step": torch.zeros(()), **moments}


def orthogonalized(matrices: Tensor) -> Tensor:
    """Orthogonalize matrices (n, rows, columns) by Newton-Schulz iteration: singular values of about 0.7 to 1.2.

    A matrix of zeros stays zero.
    """
    a, b, c = _COEFFICIENTS
    is_tall = matrices.shape[1] > matrices.shape[2]
    x: Tensor = matrices.mT if is_tall else matrices
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-12)
    for _ in range(_ITERATIONS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if is_tall else x


def matrices_of(network: nn.Module) -> list[Tensor]:
    """Return the weights of all convolutions, except depthwise ones and the last one, which makes the heatmaps."""
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    return [convolution.weight for convolution in convolutions[:-1] if convolution.groups == 1]
