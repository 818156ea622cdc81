"""Settings of a recipe, as frozen dataclasses.

Defaults are the reference implementation's recipe (docs/spec/protocol.md, sections 2 and 3).
"""

from dataclasses import dataclass, field, replace
from typing import Literal

from litehrnet.data.settings import AugmentationConfig, DataConfig, DetectionConfig, EvalConfig, SegmentationConfig
from litehrnet.detection.objects import ObjectClass
from litehrnet.errors import UserError
from litehrnet.keypoints.codec import HeatmapCodec
from litehrnet.keypoints.skeletons import find_keypoint_set
from litehrnet.poses import KeypointSet
from litehrnet.segmentation.classes import ClassSet, find_class_set
from litehrnet.weights.weights_file import Outputs

TaskName = Literal["keypoints", "segmentation", "detection"]
"""Field of ``RunConfig`` that names the task of a network."""


@dataclass(frozen=True)
class OptimizerConfig:
    """Settings of the optimizer.

    Attributes:
        kind: ``adam``, ``adamw``, ``sgd`` or ``muon``.
        learning_rate: Learning rate after the warm-up, for eight processes as in the reference implementation.
        betas: Betas of Adam and AdamW, and of the parameters that Muon leaves to Adam.
        momentum: Momentum of SGD.
        weight_decay: Weight decay of all parameters.
        clip_norm: Maximum gradient norm over all parameters; None disables clipping.
    """

    kind: Literal["adam", "adamw", "sgd", "muon"] = "adam"
    learning_rate: float = 2e-3
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = 0.9
    weight_decay: float = 0.0
    clip_norm: float | None = None


@dataclass(frozen=True)
class ScheduleConfig:
    """Schedule of the learning rate.

    Attributes:
        kind: ``step`` multiplies by ``factor`` after each of ``steps``. ``cosine`` and ``poly`` reach 0 at the end of
            the last epoch; ``poly`` is the remaining share of the run to the ``power``.
        steps: Epochs after which the ``step`` schedule decays.
        factor: Decay factor of the ``step`` schedule.
        warmup_iterations: Iterations of linear warm-up.
        warmup_factor: Factor of the learning rate at the start of the warm-up.
        power: Exponent of the ``poly`` schedule.
    """

    kind: Literal["step", "cosine", "poly"] = "step"
    steps: tuple[int, ...] = (170, 200)
    factor: float = 0.1
    warmup_iterations: int = 500
    warmup_factor: float = 0.001
    power: float = 0.9


@dataclass(frozen=True)
class LossConfig:
    """Training loss.

    Attributes:
        kind: For keypoints ``mse``, the weighted mean squared error of the heatmaps, or ``ohkm``, the same for each
            sample's hardest keypoints. For segmentation ``cross_entropy``, or ``ohem``, the same for the hardest
            pixels. For detection ``boxes``: focal loss of the centers and GIoU of the boxes.
        hard_keypoints: Number of keypoints that ``ohkm`` uses.
        hard_pixels: Minimum share of a batch's labeled pixels that ``ohem`` uses, 0..1.
        hard_below: Probability of the true class below which ``ohem`` uses a pixel, 0..1.
        class_weights: Weight of each class in segmentation; empty for 1.
    """

    kind: Literal["mse", "ohkm", "cross_entropy", "ohem", "boxes"] = "mse"
    hard_keypoints: int = 8
    hard_pixels: float = 0.1
    hard_below: float = 0.7
    class_weights: tuple[float, ...] = ()


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of the training.

    Attributes:
        epochs: Number of epochs.
        batch_size: Samples per process and forward pass.
        workers: Data loading processes per training process.
        accumulate: Forward passes per optimizer step; their gradients are averaged.
        optimizer: Settings of the optimizer.
        schedule: Schedule of the learning rate.
        loss: Training loss.
        precision: ``float32``, or automatic mixed precision in ``bf16`` or ``fp16``.
        channels_last: Whether images and activations are stored in channels-last format.
        compile: Use torch.compile.
        ema: Decay of an exponential moving average of the weights, at most (1 + n) / (10 + n) after n steps. The
            average is evaluated and saved. None disables it.
        sync_batch_norm: Compute batch statistics over all processes.
        evaluate_every: Epochs between evaluations on ``RunConfig.validation``; 0 or -1 for none.
        stop_after: Number of evaluations without improvement after which training stops; None never stops early.
        save_every: Epochs between the checkpoints that are kept; the last epoch is always kept.
        snapshot_minutes: Minutes between checkpoints within an epoch; only the newest is kept.
        log_every: Iterations between log lines.
        best_by: Metric whose highest value makes ``best.pth``; None for the main metric: AP, PCKh or mIoU.
        seed: Random seed for initialization, data order and augmentation.
        skip_broken_photos: Train on without missing or broken photos instead of ending: the next sample of the set
            takes the place of one whose photo is broken. The log counts them.
        deterministic: Refuse operations whose result varies between runs on a GPU.
    """

    epochs: int = 210
    batch_size: int = 64
    workers: int = 4
    accumulate: int = 1
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    precision: Literal["float32", "bf16", "fp16"] = "float32"
    channels_last: bool = True
    compile: bool = False
    ema: float | None = None
    sync_batch_norm: bool = False
    evaluate_every: int = 10
    stop_after: int | None = None
    save_every: int = 10
    snapshot_minutes: float = 10.0
    log_every: int = 50
    best_by: str | None = None
    seed: int = 0
    skip_broken_photos: bool = False
    deterministic: bool = False


@dataclass(frozen=True)
class DistillConfig:
    """Distillation from a trained network, the teacher.

    Attributes:
        teacher: Weights of the teacher: any of the networks, with the same keypoints. It runs at the run's input size.
        share: Share of the teacher's heatmaps in the target of a labeled keypoint, 0..1. For unlabeled keypoints they
            are the whole target.
        teacher_sigma: Standard deviation of the teacher's peaks in cells; None for that in its file. Peaks narrower
            than those of the run's codec are widened to match.
    """

    teacher: str
    share: float = 0.5
    teacher_sigma: float | None = None


@dataclass(frozen=True)
class RunConfig:
    """A recipe: one network, its keypoints or classes, its input size, and the data to train and test on.

    Attributes:
        name: File name of the recipe without ``.py``.
        variant: Name in ``litehrnet.variants``.
        input_size_wh: (width, height) of the crop in pixels.
        keypoints: ``coco``, ``mpii``, ``lsp`` or a file that describes a keypoint set (small TOML or JSON, COCO
            annotations); None for segmentation and detection.
        segmentation: Settings of a segmentation; None for other tasks.
        detection: Settings of a detection; None for other tasks.
        codec: Encoding of positions as heatmaps, and decoding.
        train: Annotated people or labeled images; several sets are trained on together.
        augmentation: Variation of the training samples.
        training: Settings of the training.
        distill: Distillation from a trained network; None to learn from labels only.
        validation: Data to evaluate on while training; as in the reference implementation with annotated boxes.
        test: Data to test the trained network on.
        work_dir: Folder for the run's files; None for ``work_dirs/NAME``.
        load_from: Weights to start from; None for random initialization.
        resume_from: Checkpoint of an unfinished run to resume; it takes precedence over ``load_from``.
        fitted: Names of the settings below ``training`` that are chosen by the number of samples, as the recipe leaves
            them out. Only for your own keypoints, see ``config.fitting``. Set by the reader of recipes.
        resolved: The keypoints, classes or object class that the settings name. Set by ``with_outputs``.
    """

    name: str
    variant: str
    input_size_wh: tuple[int, int]
    keypoints: str | None = None
    segmentation: SegmentationConfig | None = None
    detection: DetectionConfig | None = None
    codec: HeatmapCodec = field(default_factory=HeatmapCodec)
    train: tuple[DataConfig, ...] = ()
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    distill: DistillConfig | None = None
    validation: EvalConfig | None = None
    test: EvalConfig | None = None
    work_dir: str | None = None
    load_from: str | None = None
    resume_from: str | None = None
    fitted: tuple[str, ...] = ()
    resolved: Outputs | None = field(default=None, compare=False, repr=False)

    @property
    def task(self) -> TaskName:
        """Task of the network."""
        if self.detection is not None:
            return "detection"
        return "keypoints" if self.segmentation is None else "segmentation"

    def sources(self) -> list[tuple[str, DataConfig | EvalConfig]]:
        """Return all data sets of the recipe, each with the name of its setting."""
        numbered = len(self.train) > 1
        sets: list[tuple[str, DataConfig | EvalConfig]] = [
            (f"train.{i}" if numbered else "train", data) for i, data in enumerate(self.train)
        ]
        return sets + [(role, test) for role, test in (("validation", self.validation), ("test", self.test)) if test]

    @property
    def has_own_keypoints(self) -> bool:
        """Whether the keypoints are not COCO's or MPII's, for which the reference implementation has schedules."""
        return self.keypoints is not None and self.keypoints not in ("coco", "mpii")

    @property
    def keypoint_set(self) -> KeypointSet:
        """Keypoints that the network finds.

        Raises:
            UserError: It finds none.
        """
        if not isinstance(self.outputs, KeypointSet):
            raise UserError(f"{self.name}: its network does not find keypoints (expected a recipe with keypoints)")
        return self.outputs

    @property
    def class_set(self) -> ClassSet:
        """Classes that the network segments.

        Raises:
            UserError: It does not segment.
        """
        if not isinstance(self.outputs, ClassSet):
            raise UserError(f"{self.name}: its network does not segment (expected a recipe with segmentation)")
        return self.outputs

    @property
    def outputs(self) -> Outputs:
        """Outputs of the network: keypoints, classes, or boxes of an object class."""
        if self.resolved is None:
            raise ValueError("the configuration has no outputs yet (expected one from load_config or with_outputs)")
        return self.resolved

    @property
    def tested_on(self) -> EvalConfig:
        """Data to test on: ``test``, or ``validation`` if there is none.

        Raises:
            UserError: There is neither.
        """
        test = self.test or self.validation
        if test is None:
            raise UserError(f"{self.name}: has neither test nor validation (expected one of the two)")
        return test


SET_BY_READER = ("fitted", "resolved")
"""Fields of ``RunConfig`` that no recipe states."""


def with_outputs(config: RunConfig) -> RunConfig:
    """Resolve the keypoint set, class set or object class that a configuration names; this may read a file.

    Raises:
        UserError: The name is unknown, or its file is missing or broken.
    """
    outputs: Outputs
    if config.detection is not None:
        outputs = ObjectClass(config.detection.objects)
    elif config.segmentation is not None:
        outputs = find_class_set(config.segmentation.classes)
    elif config.keypoints is not None:
        named = [data.category for data in config.train if data.annotations == config.keypoints]
        outputs = find_keypoint_set(config.keypoints, named[0] if named else None)
    else:
        raise UserError(f"{config.name}: names no task (expected keypoints, segmentation or detection)")
    return replace(config, resolved=outputs)
