"""The named arrays of a network, with batch normalization folded into the convolutions, in float64."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from litehrnet.errors import UserError

NORM_EPSILON = 1e-5
"""Epsilon of every batch normalization (docs/spec/architecture.md, section 1)."""

LAST_LAYERS = {
    "pose": "keypoint_head.final_layer",
    "segmentation": "segmentation_head.classifier",
    "detection": "detection_head.box_layer",
}
"""Name of the last layer, a 1x1 convolution with bias, by task."""

Floats = NDArray[np.float64]


class Parameters:
    """Arrays by published parameter name, taken one by one.

    Args:
        arrays: Arrays of a weights file; batch counters are ignored.
        source: Name of the file, for messages.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]], source: str) -> None:
        self._arrays, self._source = arrays, source
        self._left = {name for name in arrays if not name.endswith("num_batches_tracked")}

    def take(self, name: str, shape: tuple[int, ...]) -> Floats:
        """One array as float64.

        Raises:
            UserError: The array is missing, of another shape, or has values that are not finite.
        """
        array = self._arrays.get(name)
        if array is None:
            raise UserError(f"{self._source}: {name} is missing (expected all arrays of the network)")
        if array.shape != shape:
            raise UserError(f"{self._source}: {name} has shape {array.shape} (expected {shape})")
        values = array.astype(np.float64)
        if not np.isfinite(values).all():
            raise UserError(f"{self._source}: {name} holds values that are not finite (expected trained weights)")
        self._left.discard(name)
        return values

    def folded(self, conv: str, norm: str, shape: tuple[int, ...]) -> tuple[Floats, Floats]:
        """Fold a convolution without bias and the batch normalization after it into one convolution with bias.

        W' = W gamma / sqrt(var + eps), b' = beta - mean gamma / sqrt(var + eps) (docs/spec/protocol.md, section 5.2).

        Args:
            conv: Name of the convolution.
            norm: Name of the normalization.
            shape: Shape of the convolution's weight: (out, in, rows, columns).

        Returns:
            Weight (out, in x rows x columns) and bias (out,).
        """
        weight = self.take(f"{conv}.weight", shape)
        factor, bias = self.norm(norm, shape[0])
        return weight.reshape(shape[0], -1) * factor[:, None], bias

    def folded_transposed(self, conv: str, norm: str, in_channels: int, out_channels: int) -> tuple[Floats, Floats]:
        """``folded`` for a transposed 4x4 convolution with stride 2 and padding 1, as ``Kind.TRANSPOSED`` holds it.

        Row 2 y + a of the result is the sum of rows y + a - 1 and y + a of the input, multiplied with rows 3 - a and
        1 - a of the weight. The same is true of columns.

        Returns:
            Weight (4 x out, in x 4) and bias (out,).
        """
        weight = self.take(f"{conv}.weight", (in_channels, out_channels, 4, 4))
        factor, bias = self.norm(norm, out_channels)
        weight = (weight * factor[:, None, None]).transpose(1, 0, 2, 3)
        phases = [weight[:, :, 3 - a :: -2, 3 - b :: -2] for a in range(2) for b in range(2)]
        return np.concatenate([phase.reshape(out_channels, -1) for phase in phases]), bias

    def norm(self, name: str, channels: int) -> tuple[Floats, Floats]:
        """A batch normalization as a factor and an offset per channel.

        Raises:
            UserError: A variance is negative.
        """
        var = self.take(f"{name}.running_var", (channels,))
        if (var + NORM_EPSILON <= 0).any():
            raise UserError(f"{self._source}: {name}.running_var holds negative values (expected variances)")
        factor = self.take(f"{name}.weight", (channels,)) / np.sqrt(var + NORM_EPSILON)
        return factor, self.take(f"{name}.bias", (channels,)) - self.take(f"{name}.running_mean", (channels,)) * factor

    def block(self, name: str, shape: tuple[int, ...]) -> tuple[Floats, Floats]:
        """``folded`` for layers named ``name.conv`` and ``name.bn``."""
        return self.folded(f"{name}.conv", f"{name}.bn", shape)

    def biased(self, name: str, out_channels: int, in_channels: int) -> tuple[Floats, Floats]:
        """A 1x1 convolution with bias and without normalization: weight (out, in), bias (out,)."""
        weight = self.take(f"{name}.weight", (out_channels, in_channels, 1, 1))
        return weight.reshape(out_channels, in_channels), self.take(f"{name}.bias", (out_channels,))

    def last_layer(self) -> str:
        """Name of the last layer."""
        present = [layer for layer in LAST_LAYERS.values() if f"{layer}.weight" in self._arrays]
        return present[0] if present else LAST_LAYERS["pose"]

    def rows(self, name: str) -> int:
        """First dimension of an array whose size the network does not fix.

        Raises:
            UserError: The array is missing or empty.
        """
        array = self._arrays.get(name)
        if array is None or array.ndim == 0 or array.shape[0] < 1:
            raise UserError(f"{self._source}: {name} is missing or empty (expected the weights of a heatmap layer)")
        return int(array.shape[0])

    def check_all_taken(self) -> None:
        """Refuse arrays that the network does not use.

        Raises:
            UserError: There are such arrays.
        """
        if self._left:
            raise UserError(
                f"{self._source}: holds {len(self._left)} arrays too many, such as {min(self._left)} "
                "(expected those of the network)"
            )
