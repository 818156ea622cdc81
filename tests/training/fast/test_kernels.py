"""Each operation of the kernels of training against PyTorch's in float64, on every instruction set of the machine."""

import copy
import os
from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from litehrnet.models.blocks import ConditionalChannelWeighting, TwiceTrackedBatchNorm, depthwise, pointwise
from litehrnet.training.fast import convolutions, kernels, sums, weighting
from litehrnet.training.fast.layouts import SharedGradient

pytestmark = pytest.mark.skipif(
    not kernels.available and os.environ.get("LITEHRNET_REQUIRE_SHARED") != "1", reason="the kernels were not built"
)
SHAPES = [(3, 20, 8, 6), (2, 37, 5, 7), (4, 160, 1, 1), (1, 3, 2, 9)]


@pytest.fixture(autouse=True, params=kernels.instruction_sets() if kernels.available else ["not built"])
def instruction_set(request: pytest.FixtureRequest) -> Iterator[None]:
    best = kernels.instruction_set()
    kernels.use(request.param)
    yield
    kernels.use(best)


def test_instruction_set_that_the_machine_has_not_is_an_error() -> None:
    with pytest.raises(ValueError, match="abacus: not on this machine"):
        kernels.use("abacus")


def _tensor(*shape: int, seed: int = 0) -> Tensor:
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return x.contiguous(memory_format=torch.channels_last) if len(shape) == 4 else x


def _norm(channels: int, kind: type[nn.BatchNorm2d] = nn.BatchNorm2d) -> nn.BatchNorm2d:
    torch.manual_seed(channels)
    norm = kind(channels)
    nn.init.uniform_(norm.weight, 0.5, 1.5)
    nn.init.normal_(norm.bias)
    return norm


def _gradients(outputs: Tensor | list[Tensor], inputs: list[Tensor]) -> list[Tensor]:
    """Of a weighted sum of the outputs."""
    outputs = [outputs] if isinstance(outputs, Tensor) else outputs
    weights = [_tensor(*x.shape, seed=9 + i).to(x.dtype) for i, x in enumerate(outputs)]
    return list(torch.autograd.grad(outputs, inputs, weights))


def _assert_close(found: list[Tensor], expected: list[Tensor], tolerance: float = 1e-5) -> None:
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        error = (ours.detach() - theirs.detach()).abs().max()
        assert float(error) <= tolerance * max(1.0, float(theirs.detach().abs().max()))


def _leaves(*tensors: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """The same values as float32 and as float64, to take gradients of."""
    return [t.clone().requires_grad_() for t in tensors], [t.double().requires_grad_() for t in tensors]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("kind", [nn.BatchNorm2d, TwiceTrackedBatchNorm])
def test_norm(shape: tuple[int, int, int, int], relu: bool, kind: type[nn.BatchNorm2d]) -> None:
    norm = _norm(shape[1], kind)
    exact = copy.deepcopy(norm).double()
    (x,), (wanted_x,) = _leaves(_tensor(*shape))
    found, expected = convolutions.norm(x, norm, relu=relu), exact(wanted_x)
    expected = F.relu(expected) if relu else expected
    _assert_close([found], [expected])
    _assert_close(
        _gradients(found, [x, *norm.parameters()]), _gradients(expected, [wanted_x, *exact.parameters()]), 1e-4
    )
    _assert_close(list(norm.buffers()), list(exact.buffers()), 1e-6)


def test_norm_of_values_far_from_zero_keeps_their_variance() -> None:
    norm = _norm(8)
    exact = copy.deepcopy(norm).double()
    x = _tensor(4, 8, 16, 16) + 100
    _assert_close([convolutions.norm(x, norm, relu=False)], [exact(x.double())], 1e-3)


def test_statistics_of_one_value_are_refused_as_by_pytorch() -> None:
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        convolutions.norm(_tensor(1, 8, 1, 1), _norm(8), relu=True)
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        convolutions.depthwise_norm(_tensor(1, 8, 2, 2), depthwise(8, stride=2), _norm(8))


def test_arrays_of_another_type_or_size_are_refused() -> None:
    x = _tensor(2, 8, 4, 4)
    with pytest.raises(TypeError, match="incompatible function arguments"):
        convolutions.norm(x.double(), _norm(8), relu=False)
    with pytest.raises(ValueError, match="an array has another number of values than expected"):
        convolutions.norm(x, _norm(7), relu=False)
    with pytest.raises(ValueError, match="sizes of arrays are not multiples of one another"):
        weighting.pooled_halves([_tensor(2, 8, 5, 4), _tensor(2, 8, 2, 2)])
    with pytest.raises(ValueError, match="a term has another number of channels"):
        sums.fused_sum(x, 1.0, [sums.FuseTerm(_tensor(2, 7, 4, 4), 1, 1.0)])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("half", [False, True])
def test_depthwise_norm(shape: tuple[int, int, int, int], stride: int, half: bool) -> None:
    n, c, h, w = shape
    conv, norm = depthwise(c, stride=stride), _norm(c)
    exact = copy.deepcopy(nn.Sequential(conv, norm)).double()
    (whole,), (wanted_whole,) = _leaves(_tensor(n, 2 * c if half else c, h, w))
    x, wanted_x = whole[:, -c:], wanted_whole[:, -c:]
    y, gain, offset = convolutions.depthwise_norm(x, conv, norm)
    found, expected = y * gain[:, None, None] + offset[:, None, None], exact(wanted_x)
    parameters, wanted = [whole, *conv.parameters(), *norm.parameters()], [wanted_whole, *exact.parameters()]
    _assert_close([found], [expected], 1e-4)
    _assert_close(_gradients(found, parameters), _gradients(expected, wanted), 1e-3)
    _assert_close(list(norm.buffers()), list(exact[1].buffers()), 1e-6)


@pytest.mark.parametrize("shape", [*SHAPES, (1, 20, 50, 60)])
@pytest.mark.parametrize("columns", [1, 8, 17, 40, 130])
@pytest.mark.parametrize(
    ("half", "has_affine", "relu"), [(False, False, True), (True, False, False), (False, True, True)]
)
def test_product_norm(shape: tuple[int, int, int, int], columns: int, half: bool, has_affine: bool, relu: bool) -> None:
    n, c, h, w = shape
    conv, norm = pointwise(c, columns), _norm(columns)
    exact = copy.deepcopy(nn.Sequential(conv, norm)).double()
    values = [_tensor(n, 2 * c if half else c, h, w), _tensor(c, seed=1), _tensor(c, seed=2)]
    ours, wanted = _leaves(*(values if has_affine else values[:1]))
    wanted_x = wanted[0][:, -c:]
    if has_affine:
        wanted_x = wanted_x * wanted[1][:, None, None] + wanted[2][:, None, None]
    found = convolutions.product_norm(
        ours[0][:, -c:], conv, norm, relu=relu, affine=(ours[1], ours[2]) if has_affine else None
    )
    expected = F.relu(exact(wanted_x)) if relu else exact(wanted_x)
    _assert_close([found], [expected], 1e-4)
    _assert_close(
        _gradients(found, [*ours, *conv.parameters(), *norm.parameters()]),
        _gradients(expected, [*wanted, *exact.parameters()]),
        1e-3,
    )
    _assert_close(list(norm.buffers()), list(exact[1].buffers()), 1e-5)


@pytest.mark.parametrize(
    ("n", "c", "h", "w"), [(2, 3, 8, 6), (2, 3, 5, 7), (4, 3, 1, 1), (1, 3, 2, 9), (2, 5, 4, 3), (1, 3, 50, 60)]
)
@pytest.mark.parametrize("columns", [1, 17, 32])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("relu", [False, True])
def test_convolution_norm(n: int, c: int, h: int, w: int, columns: int, stride: int, relu: bool) -> None:
    conv, norm = nn.Conv2d(c, columns, 3, stride, padding=1, bias=False), _norm(columns)
    conv = conv.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    exact, x = copy.deepcopy(nn.Sequential(conv, norm)).double(), _tensor(n, c, h, w)
    found = convolutions.convolution_norm(x, conv, norm, relu=relu)
    expected = F.relu(exact(x.double())) if relu else exact(x.double())
    _assert_close([found], [expected], 1e-4)
    _assert_close(
        _gradients(found, [*conv.parameters(), *norm.parameters()]), _gradients(expected, [*exact.parameters()]), 1e-3
    )
    _assert_close(list(norm.buffers()), list(exact[1].buffers()), 1e-5)


@pytest.mark.parametrize(
    ("channels", "images", "lowest"),
    [([40, 80], 3, 2), ([40, 80, 160, 320], 3, 2), ([12, 28, 36], 3, 2), ([10, 14], 1, 2), ([10, 14], 3, 1)],
)
def test_conditional_channel_weighting(channels: list[int], images: int, lowest: int) -> None:
    torch.manual_seed(0)
    unit = ConditionalChannelWeighting(channels)
    exact = copy.deepcopy(unit).double()
    sizes = [lowest * 2 ** (len(channels) - 1 - b) for b in range(len(channels))]
    ours, wanted = _leaves(*(_tensor(images, c, lowest * s, s, seed=s) for c, s in zip(channels, sizes, strict=True)))

    def found() -> list[Tensor]:
        layers = unit.cross_resolution_weighting
        pooled, branches = weighting.pooled_halves(ours)
        cells = torch.sigmoid(layers.conv2(layers.conv1(pooled)))
        return weighting.weighted_halves(unit, cells, branches)

    outputs, expected = found(), exact(wanted)
    _assert_close(outputs, expected)
    _assert_close(
        _gradients(outputs, [*ours, *unit.parameters()]), _gradients(expected, [*wanted, *exact.parameters()]), 1e-3
    )
    _assert_close(list(unit.buffers()), list(exact.buffers()), 1e-5)


def test_operations_that_share_a_gradient_add_to_one_buffer() -> None:
    conv, down, norms = pointwise(20, 20), depthwise(20, stride=2), [_norm(20), _norm(20)]
    exact = copy.deepcopy(nn.ModuleList([conv, down, *norms])).double()
    (leaf,), (wanted,) = _leaves(_tensor(2, 20, 8, 6))
    x, shared = leaf * 1, SharedGradient()
    y, gain, offset = convolutions.depthwise_norm(x, down, norms[1], shared)
    outputs = [
        convolutions.product_norm(x, conv, norms[0], relu=False, shared=shared),
        y * gain[:, None, None] + offset[:, None, None],
        *sums.fused_sum(x, 2.0, [], shared),
    ]
    expected = [exact[2](exact[0](wanted)), exact[3](exact[1](wanted)), 2 * wanted, F.relu(2 * wanted)]
    weights = [_tensor(*z.shape, seed=i) for i, z in enumerate(outputs)]
    for used in (slice(0, 4), slice(0, 4), slice(1, 2), slice(0, 4)):  # every backward pass starts anew
        (found,) = torch.autograd.grad(outputs[used], [leaf], weights[used], retain_graph=True)
        exactly = [w.double() for w in weights[used]]
        (of_wanted,) = torch.autograd.grad(expected[used], [wanted], exactly, retain_graph=True)
        _assert_close([found], [of_wanted], 1e-3)


def _both(total: Tensor, rectified: Tensor) -> list[Tensor]:
    return [total, rectified]


def _sum_alone(total: Tensor, _: Tensor) -> list[Tensor]:
    return [total]


def _rectified_alone(_: Tensor, rectified: Tensor) -> list[Tensor]:
    return [rectified]


@pytest.mark.parametrize("used", [_both, _sum_alone, _rectified_alone])
@pytest.mark.parametrize("channels", [1, 20, 37])
def test_fused_sum(used: Callable[[Tensor, Tensor], list[Tensor]], channels: int) -> None:
    ours, exact = _leaves(*(_tensor(2, channels, 8 // f, 16 // f, seed=s) for s, f in enumerate((1, 1, 2, 8))))
    terms = [sums.FuseTerm(x, f, v) for x, f, v in zip(ours[1:], (1, 2, 8), (2.0, 1.0, 1.0), strict=True)]
    found = used(*sums.fused_sum(ours[0], 2.0, terms))
    total = 2 * exact[0] + 2 * exact[1]
    for x, factor in zip(exact[2:], (2, 8), strict=True):
        total = total + F.interpolate(x, scale_factor=factor, mode="nearest")
    expected = used(total, F.relu(total))
    _assert_close(found, expected)
    _assert_close(_gradients(found, ours), _gradients(expected, exact))
