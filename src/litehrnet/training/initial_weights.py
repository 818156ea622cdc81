"""Weights that a training starts from: ``load_from`` in recipes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from litehrnet.errors import UserError
from litehrnet.keypoints.sides import plain_name
from litehrnet.models.networks import Network
from litehrnet.models.weights import read_start
from litehrnet.poses import KeypointSet
from litehrnet.weights.weights_file import Outputs

HEAD = ("keypoint_head.final_layer.weight", "keypoint_head.final_layer.bias")
"""Names of the arrays with one row per keypoint."""


def load_weights(network: Network, path: Path, outputs: Outputs | None = None) -> str:
    """Copy the weights of ``path`` that fit into ``network``.

    Args:
        network: Network, which is changed.
        path: Weights of the same kind of network, the name of bundled or downloaded weights, or a backbone that was
            trained to classify images.
        outputs: Keypoints, classes or objects of the network. Keypoints that ``path`` has under the same names start
            from its last layer; the others start at random.

    Returns:
        A description for the log, with the arrays that do not fit and start at random.

    Raises:
        UserError: The file cannot be read, or nothing in it fits.
    """
    weights, info = read_start(path)
    own = network.state_dict()
    fitting = {name: value for name, value in weights.items() if name in own and own[name].shape == value.shape}
    if not any(name.startswith("backbone.") for name in fitting):
        raise UserError(f"{path}: none of its weights fit {network.variant.name} (expected the same kind of network)")
    new_keypoints = None
    # PyTorch checkpoints do not name their keypoints. Their last layer is used unchanged if it fits.
    source = info.outputs if info is not None and info.input_size_wh is not None else None
    if isinstance(outputs, KeypointSet) and isinstance(source, KeypointSet):
        head, new_keypoints = head_by_name(own, weights, outputs.keypoint_names, source.keypoint_names)
        fitting = {name: value for name, value in fitting.items() if name not in HEAD} | head
    network.load_state_dict(fitting, strict=False)
    if info is None:
        return backbone_text(path, weights, own, fitting)
    left = [name for name in own if name not in fitting and not name.endswith("num_batches_tracked")]
    if left:
        return (
            f"weights of {path}, except {len(left)} arrays that it lacks or has in another size: {', '.join(left[:4])}"
        )
    if new_keypoints:
        return f"weights of {path}; new keypoints start at random: {', '.join(new_keypoints)}"
    return f"weights of {path}"


def backbone_text(
    path: Path, weights: Mapping[str, Tensor], own: Mapping[str, Tensor], fitting: Mapping[str, Tensor]
) -> str:
    """Describe what was taken from the ``weights`` of a backbone: the arrays ``fitting`` of the network's ``own``."""
    unused = [name.removeprefix("keypoint_") for name in weights if name not in fitting]
    missing = [name for name in own if name.startswith("backbone.") and name not in fitting]
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    return (
        f"backbone of {path}: {len(fitting)} arrays"
        + (f"; not taken: {some(unused)}" if unused else "")
        + (f"; {len(missing)} arrays of the backbone start at random: {some(missing)}" if missing else "")
        + "; the head starts at random"
    )


def some(names: Sequence[str]) -> str:
    """Join the first names."""
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")


def head_by_name(
    own: Mapping[str, Tensor], weights: Mapping[str, Tensor], names: Sequence[str], source_names: Sequence[str]
) -> tuple[dict[str, Tensor], list[str]]:
    """Copy rows of the last layer from another network, for keypoints of the same name in any spelling.

    Args:
        own: Arrays of the network, by name.
        weights: Arrays of the other network.
        names: Keypoints of the network.
        source_names: Keypoints of the other network.

    Returns:
        The arrays of the last layer, and the keypoints whose rows did not change; both empty without shared names.
    """
    rows = {plain_name(name): row for row, name in enumerate(source_names)}
    shared = {index: rows[plain_name(name)] for index, name in enumerate(names) if plain_name(name) in rows}
    if not shared or HEAD[0] not in weights or HEAD[0] not in own:
        return {}, []
    arrays = {name: own[name].clone() for name in HEAD}
    for name, array in arrays.items():
        array[list(shared)] = weights[name][list(shared.values())].to(array)
    return arrays, [name for index, name in enumerate(names) if index not in shared]
