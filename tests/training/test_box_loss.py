"""The loss of a detector."""

import numpy as np
import torch

from litehrnet.detection.maps import DISTANCE_UNIT, encode
from litehrnet.training.box_loss import BOX_WEIGHT, box_accuracy, box_overlaps, center_loss, detection_loss

NO_BOX = np.zeros((0, 4), np.float32)
BOXES = np.array([[4, 8, 36, 56], [60, 20, 76, 40]], np.float32)


def _target(boxes: np.ndarray = BOXES) -> torch.Tensor:
    return torch.from_numpy(encode(boxes, NO_BOX, (24, 16)).stacked())[None].double()


def _perfect(target: torch.Tensor) -> torch.Tensor:
    logits = torch.where(target[:, :1] == 1, 20.0, -20.0)
    return torch.cat([logits, (target[:, 1:5] / DISTANCE_UNIT).log()], dim=1)


def test_perfect_maps_cost_nothing() -> None:
    target = _target()
    assert detection_loss(_perfect(target), target) < 1e-6
    assert box_accuracy(_perfect(target), target) > 1 - 1e-9


def test_an_empty_image_costs_only_what_is_found_in_it() -> None:
    target = _target(NO_BOX)
    maps = torch.full((1, 5, 16, 24), -20.0, dtype=torch.float64)
    assert detection_loss(maps, target) < 1e-6
    maps[:, 0] = 0
    expected = 16 * 24 * 0.25 * np.log(2)  # of every cell: probability squared times -log(1 - probability)
    np.testing.assert_allclose(float(detection_loss(maps, target)), expected, rtol=1e-9)
    assert box_accuracy(maps, target) == 0


def test_overlaps_are_those_of_the_two_boxes() -> None:
    target = _target(np.array([[8, 8, 24, 24]], np.float32))
    output = torch.zeros(1, 5, 16, 24, dtype=torch.float64)  # every box reaches 16 pixels to each side
    row = column = 4  # the cell of the center (16, 16), which is at (18, 18)
    giou, iou = box_overlaps(output, target)
    np.testing.assert_allclose(float(iou[0, row, column]), 16 * 16 / (32 * 32), rtol=1e-9)
    np.testing.assert_allclose(
        float(giou[0, row, column]), 16 * 16 / (32 * 32), rtol=1e-9
    )  # the hull is the larger box


def test_empty_cells_near_a_center_and_unknown_ones_cost_less() -> None:
    logits = torch.zeros(1, 1, 3, dtype=torch.float64)
    scores, known = torch.tensor([[[0.0, 0.9, 0.0]]]).double(), torch.tensor([[[1.0, 1.0, 0.0]]]).double()
    expected = (1 + 0.1**4) * 0.25 * np.log(2)
    np.testing.assert_allclose(float(center_loss(logits, scores, known, torch.zeros_like(scores))), expected, rtol=1e-6)


def test_a_center_learns_the_overlap_of_its_own_box() -> None:
    """The loss is zero where the score equals the IoU, and pulls the score to it from both sides."""
    one, overlap = torch.ones(1, 1, 3).double(), torch.full((1, 1, 3), 0.75).double()
    scores = torch.tensor([0.5, 0.75, 0.9]).double()
    logits = torch.logit(scores)[None, None].requires_grad_()
    loss = center_loss(logits, one, one, overlap)
    entropy = -(0.75 * scores.log() + 0.25 * (1 - scores).log())
    np.testing.assert_allclose(float(loss.detach()), float((4 * (0.75 - scores) ** 2 * entropy).sum()), rtol=1e-9)
    (gradient,) = torch.autograd.grad(loss, logits)
    below, equal, above = gradient.ravel().tolist()
    assert below < 0 < above
    np.testing.assert_allclose(equal, 0, atol=1e-12)


def test_gradients_are_those_of_the_loss() -> None:
    target = _target()
    rng = torch.Generator().manual_seed(0)
    output = torch.randn(1, 5, 16, 24, generator=rng, dtype=torch.float64).requires_grad_()
    torch.autograd.gradcheck(lambda maps: box_overlaps(maps, target)[0], (output,), atol=1e-6)
    overlap = box_overlaps(output.detach(), target)[1]
    maps = output[:, 0].detach().requires_grad_()
    torch.autograd.gradcheck(
        lambda logits: center_loss(logits, target[:, 0], target[:, 6], overlap), (maps,), atol=1e-6
    )


def test_the_boxes_of_the_loss_weigh_as_documented() -> None:
    target = _target()
    output = _perfect(target)
    output[:, 1:] += np.log(2.0)  # all sides twice as far: a quarter of the overlap
    output[:, 0] = torch.where(target[:, 0] == 1, np.log(0.25 / 0.75), -20.0)  # and scores that say so
    np.testing.assert_allclose(float(detection_loss(output, target)), BOX_WEIGHT * 0.75, rtol=1e-6)
