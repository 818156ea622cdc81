"""``litehrnet convert``: convert a checkpoint to a safetensors file with metadata."""

import argparse
from dataclasses import replace
from pathlib import Path

from litehrnet.cli.options import add_input_size, input_size, refuse_options, say, size_text
from litehrnet.detection.objects import ObjectClass
from litehrnet.errors import UserError
from litehrnet.keypoints.skeletons import find_keypoint_set
from litehrnet.optional import require
from litehrnet.poses import KeypointSet
from litehrnet.segmentation.classes import find_class_set
from litehrnet.variants import DEFAULT_INPUT_SIZE_WH
from litehrnet.weights.weights_file import WeightsInfo


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``litehrnet convert``."""
    parser.add_argument(
        "checkpoint", type=Path, help="a checkpoint of the reference implementation, MMPose 1.x, litehrnet or a script"
    )
    parser.add_argument("out", type=Path, help="the .safetensors file to write")
    add_input_size(parser)
    parser.add_argument("--keypoints", metavar="SET", help="a built-in set such as coco, or a .toml or .json file")
    parser.add_argument("--classes", metavar="SET", help="segmentation only: cityscapes, or a .toml or .json file")
    parser.add_argument("--objects", metavar="NAME", help="detectors only: name of the objects, such as person")
    parser.add_argument("--codec", choices=("default", "dark", "udp"), help="how positions are decoded from heatmaps")
    parser.add_argument(
        "--sigma", type=float, help="standard deviation of the training targets in heatmap cells (default: 2)"
    )
    parser.add_argument("--no-flip-shift", action="store_true", help="do not shift the mirrored heatmap in flip tests")
    parser.add_argument(
        "--average", action="store_true", help="read the average of the weights that a checkpoint also has (EMA)"
    )
    parser.add_argument("--half", action="store_true", help="store float16: half the size, rounded to 11 bits")
    parser.add_argument("--provenance", metavar="TEXT", help="origin of the weights")


def run(options: argparse.Namespace) -> int:
    """Convert and print the metadata of the new file.

    Raises:
        UserError: The checkpoint cannot be read, the options contradict it, or the file cannot be written.
    """
    require("torch", "train", f"{options.checkpoint}: reading this format")
    from litehrnet.models.weights import network_from_weights, read_any_weights, save_network

    if options.out.suffix != ".safetensors":
        raise UserError(f"{options.out}: not a name for weights (expected one that ends in .safetensors)")
    weights, info = read_any_weights(options.checkpoint, options.average)
    info = _with_options(info, options)
    info = replace(info, provenance=options.provenance or info.provenance)
    network = network_from_weights(weights, info, str(options.checkpoint))
    save_network(options.out, network, info, half=options.half)
    say(f"{options.out}: {info.variant}, {info.outputs_text}")
    say(f"  input size: {size_text(info.input_size_wh) if info.input_size_wh else 'any'}")
    if not info.segments and not info.detects:
        say(f"  decoding:   {info.codec}")
    say(f"  provenance: {info.provenance}")
    return 0


def _with_options(info: WeightsInfo, options: argparse.Namespace) -> WeightsInfo:
    if info.segments:
        return _with_classes(info, options)
    if info.detects:
        return _with_objects(info, options)
    if options.objects:
        raise UserError(f"--objects: only works with detectors, and {options.checkpoint} finds keypoints")
    if options.classes:
        raise UserError(f"--classes: only works with segmentation weights, and {options.checkpoint} finds keypoints")
    codec = info.codec
    if options.codec:
        codec = replace(codec, kind=options.codec)
    if options.sigma is not None:
        if not 0 < options.sigma < 100:
            raise UserError(f"--sigma {options.sigma}: expected heatmap cells above 0, such as 2")
        codec = replace(codec, sigma=options.sigma)
    if options.no_flip_shift:
        codec = replace(codec, flip_shift=False)
    return replace(
        info,
        outputs=_keypoint_set(info, options),
        codec=codec,
        input_size_wh=input_size(options) or info.input_size_wh or DEFAULT_INPUT_SIZE_WH,
    )


def _keypoint_set(info: WeightsInfo, options: argparse.Namespace) -> KeypointSet:
    if not options.keypoints:
        return info.keypoint_set
    keypoint_set = find_keypoint_set(options.keypoints)
    if len(keypoint_set) != len(info.keypoint_set):
        raise UserError(
            f"{options.checkpoint}: has {len(info.keypoint_set)} heatmaps "
            f"(expected {len(keypoint_set)}, as the keypoint set {keypoint_set.name} has)"
        )
    return keypoint_set


def _with_objects(info: WeightsInfo, options: argparse.Namespace) -> WeightsInfo:
    """Set the object name and input size of a detector."""
    refuse_options(options, "detection", "keypoints", "classes", "codec", "sigma", "no_flip_shift")
    outputs = ObjectClass(options.objects) if options.objects else info.outputs
    return replace(info, outputs=outputs, input_size_wh=input_size(options) or info.input_size_wh)


def _with_classes(info: WeightsInfo, options: argparse.Namespace) -> WeightsInfo:
    """Set the classes of a segmentation; it has no default input size, as windows may have any size."""
    refuse_options(options, "segmentation", "keypoints", "objects", "codec", "sigma", "no_flip_shift")
    class_set = find_class_set(options.classes) if options.classes else info.class_set
    if len(class_set) != len(info.class_set):
        raise UserError(
            f"{options.checkpoint}: has {len(info.class_set)} classes "
            f"(expected {len(class_set)}, as {class_set.name} has)"
        )
    return replace(info, outputs=class_set, input_size_wh=input_size(options) or info.input_size_wh)
