"""What a recipe says, as frozen dataclasses; read by ``litehrnet.config.recipes``.

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
    """How weights follow gradients.

    Attributes:
        kind: ``adam``, ``adamw``, ``sgd`` or ``muon``.
        learning_rate: After the warm-up, for eight processes as published.
        betas: Of Adam and AdamW, and of the parameters that Muon leaves to Adam.
        momentum: Of SGD.
        weight_decay: Of all parameters.
        clip_norm: Longest gradient, as the norm over all parameters; None for any.
    """

    kind: Literal["adam", "adamw", "sgd", "muon"] = "adam"
    learning_rate: float = 2e-3
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = 0.9
    weight_decay: float = 0.0
    clip_norm: float | None = None


@dataclass(frozen=True)
class ScheduleConfig:
    """How the learning rate changes.

    Attributes:
        kind: ``step`` (times ``factor`` after each of ``steps``), or to 0 at the end of the last epoch: ``cosine``, or
            ``poly`` (what is left of the run, to the ``power``).
        steps: Epochs.
        factor: Of ``step``.
        warmup_iterations: Iterations of linear warm-up.
        warmup_factor: What the first of them starts from.
        power: Of ``poly``.
    """

    kind: Literal["step", "cosine", "poly"] = "step"
    steps: tuple[int, ...] = (170, 200)
    factor: float = 0.1
    warmup_iterations: int = 500
    warmup_factor: float = 0.001
    power: float = 0.9


@dataclass(frozen=True)
class LossConfig:
    """What is made small.

    Attributes:
        kind: ``mse``: weighted mean squared error of the heatmaps; ``ohkm``: of each sample's hardest keypoints only.
            For segmentation ``cross_entropy`` of the pixels; ``ohem``: of the hardest pixels only. For detection
            ``boxes``: focal loss of the centers and GIoU of the boxes.
        hard_keypoints: Their number.
        hard_pixels: Of ``ohem``: the part of a batch's labeled pixels that counts at least, 0..1.
        hard_below: Of ``ohem``: every pixel whose own class has a lower probability counts.
        class_weights: What a pixel of each class counts, for segmentation; none for 1.
    """

    kind: Literal["mse", "ohkm", "cross_entropy", "ohem", "boxes"] = "mse"
    hard_keypoints: int = 8
    hard_pixels: float = 0.1
    hard_below: float = 0.7
    class_weights: tuple[float, ...] = ()


@dataclass(frozen=True)
class TrainingConfig:
    """How a network is trained.

    Attributes:
        epochs: Times that all persons, or images, are seen.
        batch_size: Samples per process and forward pass.
        workers: Loading processes per training process.
        accumulate: Forward passes whose gradients are averaged into one step.
        optimizer: How weights follow gradients.
        schedule: How the learning rate changes.
        loss: What is made small.
        precision: ``float32``, or automatic mixed precision in ``bf16`` or ``fp16``.
        channels_last: Memory format of images and activations.
        compile: Run the network through torch.compile.
        ema: Decay of an exponential moving average of the weights, which is then what is evaluated; at most
            (1 + n) / (10 + n) after n steps. None for none.
        sync_batch_norm: Batch statistics over all processes.
        evaluate_every: Epochs between evaluations on ``RunConfig.validation``.
        stop_after: Evaluations without a better result after which training stops; None to train all epochs.
        save_every: Epochs between the checkpoints that are kept; the last epoch always is.
        snapshot_minutes: Minutes between checkpoints within an epoch, of which the newest is kept.
        log_every: Iterations between lines of the log.
        best_by: Figure whose highest value makes ``best.pth``; None for AP, PCKh or mIoU, whichever there is.
        seed: Of initialization, order and augmentation.
        deterministic: Refuse operations whose result varies from run to run on a GPU.
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
    deterministic: bool = False


@dataclass(frozen=True)
class DistillConfig:
    """Learning from a trained network.

    Attributes:
        teacher: Its weights: same keypoints, any of the networks; it is run at the input size of the run.
        share: Of its heatmaps in the target of a labeled keypoint, 0..1; where there is no label, they are the target.
        teacher_sigma: Standard deviation of the peaks of its heatmaps in cells, where they are narrower than those of
            the run's codec: they are widened to be as wide. None for what its file says.
    """

    teacher: str
    share: float = 0.5
    teacher_sigma: float | None = None


@dataclass(frozen=True)
class RunConfig:
    """A recipe: one network, one kind of keypoints or classes, one input size, and what it is trained and tested on.

    Attributes:
        name: The recipe's file name without ``.py``.
        variant: Name in ``litehrnet.variants``.
        input_size_wh: (width, height) of the crop in pixels.
        keypoints: ``coco``, ``mpii``, ``lsp`` or a file that describes a keypoint set (small TOML or JSON, COCO
            annotations); None where the network segments or detects.
        segmentation: What the network segments; None where it does not segment.
        detection: What the network detects; None where it does not detect.
        codec: How positions become heatmaps and back.
        train: Annotated persons, or labeled images; several sets are trained on together.
        augmentation: How samples vary.
        training: How the network is trained.
        distill: A network to learn from besides the labels; None for the labels alone.
        validation: What is evaluated on while training; as published with the annotations' own boxes.
        test: On what and how the trained network is tested.
        work_dir: Folder for what training writes; None for ``work_dirs/NAME``.
        load_from: Weights to start from; None for a random start.
        resume_from: Checkpoint of an unfinished run to go on with; it wins over ``load_from``.
        fitted: Names of settings below ``training`` that the recipe leaves out and the number of samples decides: only
            for your own keypoints, see ``config.fitting``. Set by the reader of recipes.
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
        """All data sets of the recipe, each with the setting that names it."""
        numbered = len(self.train) > 1
        sets: list[tuple[str, DataConfig | EvalConfig]] = [
            (f"train.{i}" if numbered else "train", data) for i, data in enumerate(self.train)
        ]
        return sets + [(role, test) for role, test in (("validation", self.validation), ("test", self.test)) if test]

    @property
    def has_own_keypoints(self) -> bool:
        """Whether the keypoints are not COCO's or MPII's, for which there are published schedules."""
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
        """What the network finds: keypoints, classes, or boxes of an object class."""
        if self.resolved is None:
            raise ValueError("the configuration has no outputs yet (expected one from load_config or with_outputs)")
        return self.resolved

    @property
    def tested_on(self) -> EvalConfig:
        """``test``, or ``validation`` where there is none.

        Raises:
            UserError: There is neither.
        """
        test = self.test or self.validation
        if test is None:
            raise UserError(f"{self.name}: says neither test nor validation (expected what to test on)")
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
        outputs = find_keypoint_set(config.keypoints)
    else:
        raise UserError(f"{config.name}: names no task (expected keypoints, segmentation or detection)")
    return replace(config, resolved=outputs)
