"""What several commands are tested on."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.io import savemat
from tests.cli.predicting import Bundled
from tests.drawn_persons import write_drawn_persons
from tests.figure import draw_figure

from litehrnet import write_image
from litehrnet.weights.zoo import DEFAULT_DETECTOR

MPII_JOINTS = "rank rkne rhip lhip lkne lank pelv thor neck head rwri relb rsho lsho lelb lwri"
WriteTruth = Callable[[Path, NDArray[np.float64], tuple[float, float]], list[str]]


@pytest.fixture(scope="session")
def write_mpii_truth() -> WriteTruth:
    """Writes ``mpii_gt_val.mat`` into a folder, for joints (persons, 16, 2) counted from 0 and one size of head box."""

    def write(folder: Path, joints: NDArray[np.float64], head_wh: tuple[float, float]) -> list[str]:
        names = MPII_JOINTS.split()
        cells = np.empty((1, 16), object)
        cells[0] = [np.array([name]) for name in names]
        content = {
            "dataset_joints": cells,
            "jnt_missing": np.zeros((16, len(joints))),
            "pos_gt_src": (joints + 1).transpose(1, 2, 0),
            "headboxes_src": np.tile(np.array([[0, 0], head_wh])[..., None], len(joints)),
        }
        savemat(folder / "mpii_gt_val.mat", content)
        return names

    return write


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Three drawn figures with their true joints in COCO's form."""
    persons = [draw_figure((240, 320), seed=number) for number in (1, 2, 3)]
    write_drawn_persons(persons, tmp_path / "annotations.json", tmp_path / "images", ".png")
    return tmp_path


PUBLISHED_CONFIG = """
data_cfg = dict(image_size=[64, 64], heatmap_size=[16, 16], num_joints=17, use_gt_bbox=True, bbox_file=None)
normal = dict(type='NormalizeTensor', mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
before = [dict(type='LoadImageFromFile'), dict(type='TopDownAffine'), dict(type='ToTensor'), normal]
one = dict(type='TopDownCocoDataset', ann_file='annotations.json', img_prefix='images/', data_cfg=data_cfg)
data = dict(
    samples_per_gpu=2,
    workers_per_gpu=0,
    train=dict(one, pipeline=before + [dict(type='TopDownGenerateTarget', sigma=2), dict(type='Collect')]),
    val=dict(one, pipeline=before + [dict(type='Collect')]),
    test=dict(one, pipeline=before + [dict(type='Collect')]),
)
model = dict(
    type='TopDown',
    backbone=dict(
        type='LiteHRNet',
        extra=dict(
            num_stages=3,
            stem=dict(stem_channels=32, out_channels=32, expand_ratio=1),
            stages_spec=dict(
                num_branches=(2, 3, 4),
                num_blocks=(2, 2, 2),
                num_modules=(2, 4, 2),
                module_type=('NAIVE', 'NAIVE', 'NAIVE'),
                with_fuse=(True, True, True),
                num_channels=((30, 60), (30, 60, 120), (30, 60, 120, 240)),
            ),
            with_head=True,
        ),
    ),
    keypoint_head=dict(type='TopDownSimpleHead', in_channels=40, out_channels=17, num_deconv_layers=0),
    loss_pose=dict(type='JointsMSELoss', use_target_weight=True),
    test_cfg=dict(shift_heatmap=True),
)
optimizer = dict(type='Adam', lr=1e-3)
lr_config = dict(policy='step', step=[1])
total_epochs = 2
"""


@pytest.fixture
def published(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration in the published style beside the data that it names; this is the current folder."""
    monkeypatch.chdir(dataset)
    (dataset / "birds.py").write_text(PUBLISHED_CONFIG)
    return Path("birds.py")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two drawn figures, numbered like COCO's photos."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in (1, 2):
        write_image(photos / f"{number:012}.jpg", draw_figure((120, 160), seed=number)[0])
    return photos


@pytest.fixture
def bundled(monkeypatch: pytest.MonkeyPatch) -> Bundled:
    """One person in every picture; ``found`` may be replaced."""
    detector = Bundled((10, 10, 60, 120, 0.9))

    def opened(name: str, *, min_score: float = 0.3, threads: int | None = None) -> Bundled:
        assert name == DEFAULT_DETECTOR
        detector.found = detector.found[detector.found[:, 4] >= min_score]
        return detector

    monkeypatch.setattr("litehrnet.inference.estimator.open_detector", opened)
    return detector
