"""Training settings of an mmpose config: all but its ``model`` and ``data`` (docs/spec/protocol.md, section 6)."""

from typing import Literal

from litehrnet.config.mmpose.data import DataPart
from litehrnet.config.mmpose.model import ModelPart
from litehrnet.config.mmpose.section import Section, short, tupled
from litehrnet.config.schema import OptimizerConfig, ScheduleConfig, TrainingConfig
from litehrnet.data.formats import find_format

_LOGS = ("TextLoggerHook", "TensorboardLoggerHook")


def read_training(file: Section, model: ModelPart, data: DataPart) -> TrainingConfig:
    """Read the training settings of a file whose other parts were read; unsupported ones become problems."""
    epochs = file.whole("total_epochs", least=1)
    # As in mmpose, the command line determines processes, devices and seeds.
    file.unused("log_level", "dist_params", "cudnn_benchmark", "find_unused_parameters", "seed", "gpu_ids")
    _check_workflow(file)
    evaluate_every, best_by = _read_evaluation(file.section("evaluation", {}), data.train.format)
    return TrainingConfig(
        epochs=epochs,
        batch_size=data.batch_size,
        workers=data.workers,
        optimizer=_read_optimizer(file.section("optimizer"), _read_clipping(file)),
        schedule=_read_schedule(file.section("lr_config"), epochs),
        loss=model.loss,
        precision=_read_precision(file),
        sync_batch_norm=model.sync_batch_norm,
        evaluate_every=evaluate_every,
        save_every=_read_saving(file.section("checkpoint_config", {}), epochs),
        log_every=_read_logging(file.section("log_config", {})),
        best_by=best_by,
    )


def _check_workflow(file: Section) -> None:
    workflow = tupled(file.values.get("workflow", (("train", 1),)))
    file.unused("workflow")
    if workflow == (("train", 1), ("val", 1)):
        file.remarks.notes.append("workflow: its phase val does not change weights and is left out")
    elif workflow != (("train", 1),):
        file.problem("workflow", f"is {short(file.values['workflow'])} (expected [('train', 1)])")


def _read_evaluation(evaluation: Section, dataset: str) -> tuple[int, str | None]:
    """Read the epochs between evaluations, and the metric of the best checkpoint (None for the main one)."""
    metric = find_format(dataset).metric
    evaluation.one_of("metric", (metric.name, (metric.name,)), metric.name)
    evaluation.one_of("rule", (None, "greater"), None)
    evaluation.fixed(by_epoch=True)
    evaluation.unused("gpu_collect", "key_indicator", "save_best")
    key = "key_indicator" if evaluation.has("key_indicator") else "save_best"
    best = evaluation.one_of(key, (None, True, "auto", *metric.values), None)
    usual = best in (None, True, "auto", metric.best_by)
    return evaluation.whole("interval", 1, least=-1), None if usual else str(best)


def _read_optimizer(optimizer: Section, clip_norm: float | None) -> OptimizerConfig:
    """Read the optimizer; missing values have torch's defaults, which differ from ours."""
    kind = optimizer.one_of("type", ("Adam", "AdamW", "SGD"))
    learning_rate = optimizer.number("lr")
    optimizer.fixed(paramwise_cfg=None)
    decay = optimizer.number("weight_decay", 0.01 if kind == "AdamW" else 0.0)
    if kind == "SGD":
        momentum = optimizer.number("momentum", 0.0)
        optimizer.fixed(dampening=0, nesterov=False)
        return OptimizerConfig("sgd", learning_rate, momentum=momentum, weight_decay=decay, clip_norm=clip_norm)
    first, second = optimizer.numbers("betas", 2, (0.9, 0.999))
    optimizer.fixed(eps=1e-8, amsgrad=False)
    return OptimizerConfig(
        "adam" if kind == "Adam" else "adamw",
        learning_rate,
        betas=(float(first), float(second)),
        weight_decay=decay,
        clip_norm=clip_norm,
    )


def _read_clipping(file: Section) -> float | None:
    config = file.section("optimizer_config", {})
    if not config.has("grad_clip"):
        return None
    clip = config.section("grad_clip")
    clip.fixed(norm_type=2)
    return clip.number("max_norm")


def _read_schedule(config: Section, epochs: int) -> ScheduleConfig:
    policy = config.one_of("policy", ("step", "Step", "CosineAnnealing"))
    iterations, factor = _read_warmup(config)
    if policy == "CosineAnnealing":
        if config.flag("by_epoch", True):
            config.remarks.notes.append(f"{config.name}: the rate falls with every iteration, not with every epoch")
        config.one_of("min_lr" if "min_lr_ratio" not in config.values else "min_lr_ratio", (0,))
        return ScheduleConfig("cosine", (), warmup_iterations=iterations, warmup_factor=factor)
    config.fixed(by_epoch=True, min_lr=None)
    if type(config.values.get("step")) is int:
        every = config.whole("step", least=1)
        steps = tuple(range(every, epochs, every))
    else:
        steps = config.wholes("step")
    return ScheduleConfig("step", steps, config.number("gamma", 0.1), iterations, factor)


def _read_warmup(config: Section) -> tuple[int, float]:
    """Read iterations and factor of the warm-up."""
    kind = config.one_of("warmup", (None, "linear"), None)
    config.fixed(warmup_by_epoch=False)
    if kind is None:
        config.unused("warmup_iters", "warmup_ratio")
        return 0, ScheduleConfig.warmup_factor
    return config.whole("warmup_iters", least=1), config.number("warmup_ratio", 0.1)


def _read_precision(file: Section) -> Literal["float32", "fp16"]:
    if not file.has("fp16"):
        return "float32"
    # mmpose's default is a fixed scale, but the training loop here adapts it.
    file.section("fp16").one_of("loss_scale", ("dynamic",))
    return "fp16"


def _read_saving(config: Section, epochs: int) -> int:
    config.fixed(by_epoch=True, save_optimizer=True)
    config.unused("save_last", "create_symlink", "meta")
    if config.has("out_dir"):
        config.problem("out_dir", "is unknown (expected work_dir, the folder of all files of a run)")
    if config.has("max_keep_ckpts") and config.whole("max_keep_ckpts", -1, least=-1) > 0:
        config.remarks.notes.append(f"{config.path('max_keep_ckpts')}: all checkpoints are kept")
    interval = config.whole("interval", -1, least=-1)
    return interval if interval > 0 else epochs


def _read_logging(config: Section) -> int:
    if config.has("hooks"):
        for hook in config.sections("hooks"):
            kind = hook.text("type")
            hook.unused(*hook.values)
            if kind not in _LOGS:
                hook.remarks.notes.append(f"{hook.path('type')}: {kind} is left out")
    return config.whole("interval", 10, least=1)
