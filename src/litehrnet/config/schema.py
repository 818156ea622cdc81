"""What a recipe says, as frozen dataclasses; read by ``litehrnet.config.recipes``.

Defaults are the reference implementation's recipe (docs/spec/protocol.md, sections 2 and 3).
"""

from dataclasses import dataclass, field
from typing import Literal

from litehrnet.data.settings import AugmentationConfig, DataConfig, DetectionConfig, SegmentationConfig
from litehrnet.detection.objects import ObjectClass
from litehrnet.errors import UserError
from litehrnet.keypoints.codec import HeatmapCodec
from litehrnet.keypoints.skeletons import find_keypoint_set
from litehrnet.poses import KeypointSet
from litehrnet.segmentation.classes import find_class_set
from litehrnet.weights.weights_file import Outputs


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

    @property
    def of_pixels(self) -> bool:
        """Whether it is a loss of classes of pixels, not of heatmaps."""
        return self.kind in ("cross_entropy", "ohem")


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
        module_epochs: Epochs at the beginning in which each module learns from the teacher's by itself, fed what that
            one is fed; the teacher is then PyTorch weights of a network with the same branches. After them the whole
            network learns as without.
    """

    teacher: str
    share: float = 0.5
    teacher_sigma: float | None = None
    module_epochs: int = 0


@dataclass(frozen=True)
class TestConfig:
    """On what and how a network is tested.

    Attributes:
        dataset: Format of the annotations, which also says the metric: COCO's AP, MPII's PCKh; mIoU for ``cityscapes``
            and ``folder``.
        annotations: Annotation file (for MPII the JSON list; its ``.mat`` file is expected beside it), or folder of
            label images.
        images: Folder of the photos.
        boxes: Detection file in COCO's results format; None for the boxes of the annotations.
        min_box_score: Detections with a lower score are left out.
        flip: Average with the heatmaps of the mirrored crop, or the scores of the mirrored image.
        nms: Drop the lower of two poses that are alike (oks), only lower its score (soft), or keep all (none).
        oks_threshold: What alike is, 0..1.
        visibility_threshold: Keypoint scores above it enter the score of a pose.
        only: File of numbers of photos, to test on no others (COCO format only), as in ``DataConfig``.
        without: File of numbers of photos that are left out.
        window: Segment windows of the run's input size, side by side; otherwise whole images.
        scales: Sizes at which an image is segmented, as factors of its own; probabilities are averaged.
    """

    __test__ = False  # not a class of tests, whatever pytest makes of its name

    dataset: Literal["coco", "mpii", "cityscapes", "folder"]
    annotations: str
    images: str
    boxes: str | None = None
    min_box_score: float = 0.0
    flip: bool = True
    nms: Literal["oks", "soft", "none"] = "oks"
    oks_threshold: float = 0.9
    visibility_threshold: float = 0.2
    only: str | None = None
    without: str | None = None
    window: bool = False
    scales: tuple[float, ...] = (1.0,)


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
    validation: TestConfig | None = None
    test: TestConfig | None = None
    work_dir: str | None = None
    load_from: str | None = None
    resume_from: str | None = None
    fitted: tuple[str, ...] = ()

    @property
    def has_own_keypoints(self) -> bool:
        """Whether the keypoints are not COCO's or MPII's, for which there are published schedules."""
        return self.keypoints is not None and self.keypoints not in ("coco", "mpii")

    @property
    def keypoint_set(self) -> KeypointSet:
        """The keypoint set that ``keypoints`` names.

        Raises:
            UserError: There is no such one, or the network finds no keypoints.
        """
        if self.keypoints is None:
            raise UserError(f"{self.name}: its network finds no keypoints (expected a recipe with keypoints)")
        return find_keypoint_set(self.keypoints)

    @property
    def outputs(self) -> Outputs:
        """What the network's maps are of: keypoints, classes, or the boxes of an object class."""
        if self.detection is not None:
            return ObjectClass(self.detection.objects)
        return self.keypoint_set if self.segmentation is None else find_class_set(self.segmentation.classes)

    @property
    def tested_on(self) -> TestConfig:
        """``test``, or ``validation`` where there is none.

        Raises:
            UserError: There is neither.
        """
        test = self.test or self.validation
        if test is None:
            raise UserError(f"{self.name}: says neither test nor validation (expected what to test on)")
        return test
