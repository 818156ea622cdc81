"""Networks by name: the bundled weights, and downloads of weights and person detectors by other projects."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from litehrnet.errors import UserError
from litehrnet.io.downloads import fetch, has_checksum
from litehrnet.weights.weights_file import WeightsInfo, read_weights

BUNDLED = Path(__file__).parent
"""Folder of the bundled weights: ``NAME.safetensors``."""

DEFAULT_WEIGHTS = "lite_hrnet_18"
"""Name of the bundled weights that are used by default."""

DEFAULT_DETECTOR = "person"
"""Name of the bundled person detector, used if neither boxes nor another detector are given."""

_MMPOSE = "https://download.openmmlab.com/mmpose/"
_MMPOSE_1 = "v1/body_2d_keypoint/topdown_heatmap/coco/td-hm_"


@dataclass(frozen=True)
class Download:
    """Network that can be downloaded from its authors.

    Attributes:
        name: Name on the command line.
        url: Address that its authors publish.
        sha256: Checksum in hexadecimal digits, or its first digits if no more are known.
        input_size_wh: Width and height of the images it was trained on.
        finds: Name of the keypoint set, or ``persons``.
        source: Authors and license.
    """

    name: str
    url: str
    sha256: str
    input_size_wh: tuple[int, int]
    finds: str
    source: str

    @property
    def path(self) -> Path:
        """Path of the downloaded file in the cache folder."""
        return cache_folder() / PurePosixPath(self.url).name

    @property
    def checked_by(self) -> str:
        """Check of the download in a few words."""
        digits = len(self.sha256)
        return "SHA-256" if digits == 64 else f"first {digits} digits of the SHA-256"


def _of_mmpose(name: str, file: str, input_size_wh: tuple[int, int], keypoints: str) -> Download:
    """Describe a download of MMPose, whose file names end with the first eight digits of the SHA-256 and a date."""
    return Download(name, _MMPOSE + file, file.rpartition("-")[2].split("_")[0], input_size_wh, keypoints, "MMPose")


def _of_mmpose_coco(network: str, *files: str) -> list[Download]:
    """Describe downloads of one network for COCO at 256x192 and 384x288, by their files in this order."""
    sizes = ((192, 256), (288, 384))
    return [
        _of_mmpose(f"mmpose_{network}_{h}x{w}", file, (w, h), "coco") for file, (w, h) in zip(files, sizes, strict=True)
    ]


def _of_mmpose_mpii(network: str, file: str) -> Download:
    return _of_mmpose(f"mmpose_{network}_mpii", file, (256, 256), "mpii")


_RTMPOSE = "https://download.openmmlab.com/mmpose/v1/projects/rtmposev1/onnx_sdk/"


def _of_rtmpose(name: str, file: str, sha256: str, keypoints: str) -> Download:
    return Download(name, _RTMPOSE + file, sha256, (192, 256), keypoints, "MMPose")


# Addresses and names as in MMPose's own tables, for COCO and for MPII. MMPose 1.x has trained some networks again. The
# last four are SimCC networks: RTMPose and DWPose. Eight digits in their names are those of PyTorch's checkpoints, and
# no checksums of these files are published: they were measured by users.
DOWNLOADS = (
    *_of_mmpose_coco(
        "lite_hrnet_18",
        "top_down/litehrnet/litehrnet18_coco_256x192-6bace359_20211230.pth",
        "top_down/litehrnet/litehrnet18_coco_384x288-8d4dac48_20211230.pth",
    ),
    *_of_mmpose_coco(
        "lite_hrnet_30",
        "top_down/litehrnet/litehrnet30_coco_256x192-4176555b_20210626.pth",
        "top_down/litehrnet/litehrnet30_coco_384x288-a3aef5c4_20210626.pth",
    ),
    _of_mmpose_mpii("lite_hrnet_18", "top_down/litehrnet/litehrnet18_mpii_256x256-cabd7984_20210623.pth"),
    _of_mmpose_mpii("lite_hrnet_30", "top_down/litehrnet/litehrnet30_mpii_256x256-faae8bd8_20210622.pth"),
    *_of_mmpose_coco(
        "mobilenetv2",
        "top_down/mobilenetv2/mobilenetv2_coco_256x192-d1e58e7b_20200727.pth",
        "top_down/mobilenetv2/mobilenetv2_coco_384x288-26be4816_20200727.pth",
    ),
    _of_mmpose_mpii("mobilenetv2", "top_down/mobilenetv2/mobilenetv2_mpii_256x256-e068afa7_20200812.pth"),
    *_of_mmpose_coco(
        "shufflenetv2",
        "top_down/shufflenetv2/shufflenetv2_coco_256x192-0aba71c7_20200921.pth",
        "top_down/shufflenetv2/shufflenetv2_coco_384x288-fb38ac3a_20200921.pth",
    ),
    _of_mmpose_mpii("shufflenetv2", "top_down/shufflenetv2/shufflenetv2_mpii_256x256-4fb9df2d_20200925.pth"),
    *_of_mmpose_coco(
        "1x_mobilenetv2",
        f"{_MMPOSE_1}mobilenetv2_8xb64-210e_coco-256x192-55a04c35_20221016.pth",
        f"{_MMPOSE_1}mobilenetv2_8xb64-210e_coco-384x288-d3ab1457_20221013.pth",
    ),
    *_of_mmpose_coco(
        "1x_shufflenetv2",
        f"{_MMPOSE_1}shufflenetv2_8xb64-210e_coco-256x192-51fb931e_20221014.pth",
        f"{_MMPOSE_1}shufflenetv2_8xb64-210e_coco-384x288-d30ab55c_20221014.pth",
    ),
    _of_rtmpose(
        "rtmpose_t",
        "rtmpose-t_simcc-body7_pt-body7_420e-256x192-026a1439_20230504.zip",
        "937003a70832d9cc34ea16927f504792f3133e92dda1b9c626236bbbe9e805cb",
        "coco",
    ),
    _of_rtmpose(
        "rtmpose_m",
        "rtmpose-m_simcc-body7_pt-body7_420e-256x192-e48f03d0_20230504.zip",
        "f7fbb6c5c11a1bb70f3d445e4ddec5d144ea89ad5649c081ef976f9b24a0b741",
        "coco",
    ),
    _of_rtmpose(
        "rtmpose_m_halpe_26",
        "rtmpose-m_simcc-body7_pt-body7-halpe26_700e-256x192-4d3e73dd_20230605.zip",
        "55b81170e236040b59fc792ad0a8315301ac4c079a3bdb1095d838aad3088d18",
        "halpe_26",
    ),
    Download(
        "dwpose_l_wholebody",
        "https://huggingface.co/yzd-v/DWPose/resolve/main/dw-ll_ucoco_384.onnx",
        "724f4ff2439ed61afb86fb8a1951ec39c6220682803b4a8bd4f598cd913b1843",
        (288, 384),
        "coco_wholebody",
        "DWPose",
    ),
)

_YOLOX = "https://github.com/Megvii-BaseDetection/YOLOX/releases/download/0.1.1rc0/"


def _of_yolox(name: str, side: int, sha256: str) -> Download:
    return Download(name, f"{_YOLOX}{name}.onnx", sha256, (side, side), "persons", "YOLOX, Apache-2.0")


# Files of the release that YOLOX's pages link to. YOLOX publishes no checksums: these were measured by users.
DETECTORS = (
    _of_yolox("yolox_nano", 416, "c789161ed43c8269fcd4e67c67eeeb4e80c622da2eb296a20bc6007bd18a0b7d"),
    _of_yolox("yolox_tiny", 416, "427cc366d34e27ff7a03e2899b5e3671425c262ea2291f88bb942bc1cc70b0f7"),
    _of_yolox("yolox_s", 640, "c5c2d13e59ae883e6af3b45daea64af4833a4951c92d116ec270d9ddbe998063"),
)

# From the README of the reference implementation, and from issue 4 of Dite-HRNet's repository, whose author says that
# some files have older names of parameters. They cannot be verified, as no checksums are published.
AUTHORS_LINKS = {
    "Lite-HRNet-18, COCO, 256x192": "https://drive.google.com/file/d/1_bLVpm8cVqQF6unmxOQ3ObEr4hpoLuJn/view",
    "Lite-HRNet-18, COCO, 384x288": "https://drive.google.com/file/d/1djewivNYHKTeaYLL9x7b3wkxHTCtVbJc/view",
    "Lite-HRNet-30, COCO, 256x192": "https://drive.google.com/file/d/1QczOxBm6rKqDeSlq9SFCma5oqQncZ6ng/view",
    "Lite-HRNet-30, COCO, 384x288": "https://drive.google.com/file/d/1nx7AT1DMJRuiYNPcI7EqBp6yJN63ewE1/view",
    "Lite-HRNet-18, MPII, 256x256": "https://drive.google.com/file/d/1Bw4shzVJoaaQWngkL4qnlnaPE87uiJtW/view",
    "Lite-HRNet-30, MPII, 256x256": "https://drive.google.com/file/d/1bVOahaHY61bhAPFYYfkgkJviyV-3fLKE/view",
    "Dite-HRNet, all": "https://drive.google.com/drive/folders/1_unL2XMll5vL1_zstnm3EC9BVFr_jrsf",
}

# No checksum is known of these.
SIMCC_LINKS = {
    "RTMPose-s, COCO, 256x192": _RTMPOSE + "rtmpose-s_simcc-body7_pt-body7_420e-256x192-acd4a1ef_20230504.zip",
    "RTMPose-l, COCO, 384x288": _RTMPOSE + "rtmpose-l_simcc-body7_pt-body7_420e-384x288-3f5a1437_20230504.zip",
    "DWPose-m, COCO-WholeBody, 256x192": _RTMPOSE + "rtmpose-m_simcc-ucoco_dw-ucoco_270e-256x192-c8b76419_20230728.zip",
}


class FoundWeights(NamedTuple):
    """Weights file that was found by name or path.

    Attributes:
        path: The file.
        input_size_wh: Width and height of the crops if known from the name only, else None.
    """

    path: Path
    input_size_wh: tuple[int, int] | None = None


def cache_folder() -> Path:
    """Return the folder of downloaded files: the platform's cache folder of the user."""
    from platformdirs import user_cache_path

    return user_cache_path("litehrnet", appauthor=False)


def bundled_files() -> list[Path]:
    """List the bundled weights files, sorted by name."""
    return sorted(BUNDLED.glob("*.safetensors"))


def is_default(info: WeightsInfo) -> bool:
    """Return whether opened weights are the bundled pose weights, in whatever file: their provenance is the same."""
    return bool(info.provenance) and info.provenance == _default_provenance()


@cache
def _default_provenance() -> str:
    file = BUNDLED / f"{DEFAULT_WEIGHTS}.safetensors"
    return read_weights(file)[1].provenance if file.is_file() else ""


def find_weights(weights: str | Path) -> FoundWeights:
    """Resolve a path, or the name of bundled or downloaded weights, to a file.

    Args:
        weights: A path, or a name that ``litehrnet models`` lists.

    Raises:
        UserError: The name is unknown, or the weights are not downloaded yet or damaged.
    """
    name = str(weights)
    if not _is_name(weights):
        return FoundWeights(Path(weights))
    if (file := BUNDLED / f"{name}.safetensors").is_file():
        return FoundWeights(file)
    if name == DEFAULT_WEIGHTS and not bundled_files():
        raise UserError(f"{name}: this install has no bundled weights (expected a weights file)")
    download = find_download(name)
    if download in DETECTORS:
        raise UserError(f"{name}: finds people (expected weights that find keypoints; use it with --detector)")
    return FoundWeights(_downloaded(download), download.input_size_wh)


def find_detector(detector: str | Path) -> Path:
    """Resolve a path, or the name of a bundled or downloaded detector, to a file.

    Args:
        detector: A path, or a name that ``litehrnet models`` lists.

    Raises:
        UserError: The name is unknown, or the detector is not downloaded yet or damaged.
    """
    if not _is_name(detector):
        return Path(detector)
    if str(detector) == DEFAULT_DETECTOR:
        file = BUNDLED / f"{detector}.safetensors"
        if not file.is_file():
            raise UserError(f"{detector}: this install has no bundled detector (expected a detector file)")
        return file
    is_bundled = any(path.stem == str(detector) for path in bundled_files())
    download = None if is_bundled else find_download(str(detector))
    if download is None or download not in DETECTORS:
        raise UserError(f"{detector}: finds keypoints (expected a detector; use it with --weights)")
    return _downloaded(download)


def _is_name(given: str | Path) -> bool:
    """Return whether ``given`` is looked up as a name: no folder, no suffix, and no such file."""
    path = Path(given)
    return not path.suffix and path.name == str(given) and not path.is_file()


def _downloaded(download: Download) -> Path:
    if not download.path.is_file():
        raise UserError(f"{download.name}: not downloaded yet (litehrnet models fetch {download.name} downloads it)")
    if not has_checksum(download.path, download.sha256):
        raise UserError(f"{download.path}: damaged (litehrnet models fetch {download.name} downloads it again)")
    return download.path


def find_download(name: str) -> Download:
    """Look up a download by name.

    Raises:
        UserError: The name is unknown.
    """
    for download in (*DOWNLOADS, *DETECTORS):
        if download.name == name:
            return download
    raise UserError(f"{name}: neither a file nor a known network (litehrnet models lists the names)")


def fetch_network(download: Download) -> Path:
    """Download a network to the cache folder unless it is there, and verify it; see ``downloads.fetch``."""
    fetch(download.url, download.path, download.sha256)
    return download.path
