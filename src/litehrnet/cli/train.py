"""``litehrnet train``: train a network from a recipe or an mmpose config."""

import argparse
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from litehrnet.cli.options import (
    add_config,
    add_launcher_options,
    pass_on_local_rank,
    positive_float,
    positive_int,
    say,
)
from litehrnet.errors import UserError
from litehrnet.optional import require

if TYPE_CHECKING:
    from litehrnet.config.read import LoadedConfig
    from litehrnet.config.schema import RunConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``litehrnet train``: with all of mmpose's (docs/spec/protocol.md, section 5.1)."""
    add_config(parser)
    parser.add_argument(
        "--work-dir", metavar="DIR", help="folder for the run's files (default: that of the configuration)"
    )
    parser.add_argument(
        "--resume-from", metavar="CKPT", help="checkpoint to resume from; latest: the newest of the run"
    )
    validate = parser.add_mutually_exclusive_group()
    validate.add_argument("--validate", action="store_true", help="evaluate while training (the default)")
    validate.add_argument("--no-validate", action="store_true", help="do not evaluate while training")
    gpus = parser.add_mutually_exclusive_group()
    gpus.add_argument(
        "--gpus", type=positive_int, metavar="N", help="use the batch size and workers of N devices in one process"
    )
    gpus.add_argument("--gpu-ids", type=int, nargs="+", metavar="I", help="the same, on the first of these GPUs")
    parser.add_argument(
        "--max-minutes", type=positive_float, metavar="M", help="stop after M minutes, with a checkpoint to resume from"
    )
    parser.add_argument("--seed", type=int, metavar="S", help="random seed (initialization, data order, augmentation)")
    parser.add_argument("--deterministic", action="store_true", help="give the same result in every run, also on a GPU")
    parser.add_argument(
        "--autoscale-lr",
        action="store_true",
        help="multiply the learning rate by processes / 8, since the reference rate is for 8 processes",
    )
    parser.add_argument(
        "--with-detector",
        action="store_true",
        help="afterwards train a detector from the same annotations, in WORK_DIR/detector",
    )
    add_launcher_options(parser)


def run(options: argparse.Namespace) -> int:
    """Train.

    Returns:
        Exit code: 0, or 128 plus the number of the signal that stopped the run.

    Raises:
        UserError: The configuration or the data are invalid.
    """
    loaded = resolve(options)
    require("torch", "train", "training")
    from litehrnet.training.start import run_training

    if options.with_detector:
        if options.launcher != "none":
            raise UserError(f"--launcher {options.launcher}: does not work with --with-detector (expected one process)")
        from litehrnet.training.with_detector import train_with_detector

        code, command = train_with_detector(
            loaded.config, loaded.recipe, loaded.notes, _device(options), options.max_minutes
        )
        if command is not None:
            say(f"with both: {command}")
        return code
    pass_on_local_rank(options)
    minutes = options.max_minutes
    end = run_training(loaded.config, loaded.recipe, options.launcher, loaded.notes, _device(options), minutes)
    return end.exit_code


def resolve(options: argparse.Namespace) -> "LoadedConfig":
    """Load the configuration and apply the command line to it.

    Args:
        options: Options that ``add_arguments`` declares.

    Raises:
        UserError: The configuration or an override cannot be used, or the launcher's variables are missing.
    """
    from litehrnet.config.ranges import check_numbers
    from litehrnet.config.read import load_config

    loaded = load_config(options.config, [*options.overrides, *options.cfg_options])
    config, notes = loaded.config, list(loaded.notes)
    training = config.training
    if options.seed is not None:
        training = replace(training, seed=options.seed)
    if options.deterministic:
        training = replace(training, deterministic=True)
    devices = _devices(options)
    if devices > 1:
        training = replace(training, batch_size=devices * training.batch_size, workers=devices * training.workers)
        notes.append(
            f"--gpus {devices}: one process on one device runs the batch of {devices}, {training.batch_size} samples, "
            f"with {training.workers} workers (tools/dist_train.sh uses several devices)"
        )
    elif options.launcher != "none" and (options.gpus or options.gpu_ids):
        notes.append("--gpus and --gpu-ids: ignored, the launcher determines the number of processes")
    config = replace(
        config,
        training=training,
        work_dir=options.work_dir or config.work_dir,
        resume_from=options.resume_from or config.resume_from,
        validation=None if options.no_validate else config.validation,
    )
    if options.autoscale_lr:
        config = _with_scaled_rate(config, options, notes)
    check_numbers(config, options.config)
    return replace(loaded, config=config, notes=tuple(notes))


def _devices(options: argparse.Namespace) -> int:
    """Return the number of devices that share the batch; 0 if a launcher determines it."""
    if options.launcher != "none":
        return 0
    return options.gpus or len(options.gpu_ids or (0,))


def _device(options: argparse.Namespace) -> str | None:
    """Return the first of ``--gpu-ids``; None if there is no choice."""
    import torch

    if options.launcher != "none" or not options.gpu_ids or not torch.cuda.is_available():
        return None
    first, count = options.gpu_ids[0], torch.cuda.device_count()
    if not 0 <= first < count:
        raise UserError(f"--gpu-ids {first}: unknown GPU (expected 0 to {count - 1})")
    return f"cuda:{first}"


def _with_scaled_rate(config: "RunConfig", options: argparse.Namespace, notes: list[str]) -> "RunConfig":
    require("torch", "train", "training")
    from litehrnet.training.distributed import Processes, read_environment
    from litehrnet.training.start import PUBLISHED_PROCESSES, scaled_learning_rate

    devices = _devices(options) or read_environment(options.launcher, os.environ).world_size
    scaled = scaled_learning_rate(config, Processes(world_size=devices))
    old, new = (each.training.optimizer.learning_rate for each in (config, scaled))
    notes.append(f"--autoscale-lr: learning rate {new:g}, {old:g} times {devices}/{PUBLISHED_PROCESSES} devices")
    return scaled
