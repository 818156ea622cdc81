"""All people of a training set in the memory of one device."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from litehrnet.data.photos import PhotoCache
from litehrnet.data.records import Record
from litehrnet.data.trainingset import TrainingSet
from litehrnet.errors import UserError
from litehrnet.io.images import read_image
from litehrnet.training.loader import start_worker

LARGEST_SIDE = 512
"""Longest side in pixels of a picture: all pictures take as much memory as the largest."""

_CHUNK = 64


@dataclass(frozen=True)
class People:
    """People with one picture each; all tensors are on one device.

    Attributes:
        pictures: uint8 (people, 3, height, width), RGB; black to the right of a picture and below it.
        sizes_wh: float32 (people, 2), width and height of each picture.
        centers: float32 (people, 2), centers of the boxes in pixels of the picture.
        scales: float32 (people, 2), sizes of the padded boxes in units of 200 pixels.
        boxes_wh: float32 (people, 2), sizes of the annotated boxes in pixels; 0 where there is none.
        joints_xy: float32 (people, keypoints, 2) in pixels of the picture.
        visible: float32 (people, keypoints), 0 or 1.
    """

    pictures: Tensor
    sizes_wh: Tensor
    centers: Tensor
    scales: Tensor
    boxes_wh: Tensor
    joints_xy: Tensor
    visible: Tensor

    def __len__(self) -> int:
        return len(self.pictures)

    def of(self, indices: Tensor) -> "People":
        """Choose people by their indices, int64 (n,) on the device."""
        return People(**{name: values[indices] for name, values in vars(self).items()})


def load_people(training_set: TrainingSet, device: torch.device, workers: int) -> People:
    """Decode the picture of every person once.

    Args:
        training_set: People to train on; their centers should not be jittered yet.
        device: Device that keeps them.
        workers: Number of decoding processes; 0 to decode in this process.

    Raises:
        UserError: A picture is missing, broken or too large.
    """
    records = training_set.records
    sizes_wh = np.array([PhotoCache().photo(record.image_file).size_wh for record in records])
    largest = int(sizes_wh.max(axis=1).argmax())
    if sizes_wh[largest].max() > LARGEST_SIDE:
        width, height = sizes_wh[largest]
        raise UserError(
            f"{records[largest].image_file}: {width} x {height} pixels are too many to keep on the device (expected at "
            f"most {LARGEST_SIDE} a side; litehrnet data pack --longer-side 192 makes smaller crops)"
        )
    # Coordinates of a picture with a single column could not be normalized.
    width, height = np.maximum(sizes_wh.max(axis=0), 2).tolist()
    pictures = torch.empty((len(records), 3, height, width), dtype=torch.uint8)
    chunks = _Chunks(records, (width, height))
    loader = DataLoader(chunks, None, num_workers=workers, worker_init_fn=start_worker, generator=torch.Generator())
    for number, chunk in enumerate(loader):
        if isinstance(chunk, UserError):
            raise chunk
        pictures[_CHUNK * number : _CHUNK * (number + 1)] = chunk
    none = np.zeros(2)
    arrays = {
        "sizes_wh": sizes_wh,
        "centers": [record.center for record in records],
        "scales": [record.scale for record in records],
        "boxes_wh": [none if record.box_wh is None else record.box_wh for record in records],
        "joints_xy": [record.joints_xy for record in records],
        "visible": [record.visible for record in records],
    }
    tensors = {name: torch.from_numpy(np.array(values, np.float32)).to(device) for name, values in arrays.items()}
    return People(pictures.to(device), **tensors)


class _Chunks(Dataset[Tensor | UserError]):
    """Decodes some pictures at a time, in this process or in a worker; an error is an item, as in the loader."""

    def __init__(self, records: tuple[Record, ...], size_wh: tuple[int, int]) -> None:
        self.records, self.size_wh = records, size_wh

    def __len__(self) -> int:
        return -(-len(self.records) // _CHUNK)

    def __getitem__(self, index: int) -> Tensor | UserError:
        if index >= len(self):
            raise IndexError(index)
        chosen = self.records[_CHUNK * index : _CHUNK * (index + 1)]
        width, height = self.size_wh
        chunk = np.zeros((len(chosen), 3, height, width), np.uint8)
        try:
            for picture, record in zip(chunk, chosen, strict=True):
                image = read_image(record.image_file)
                picture[:, : image.shape[0], : image.shape[1]] = image.transpose(2, 0, 1)
        except UserError as error:
            return error
        return torch.from_numpy(chunk)
