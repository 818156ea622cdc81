"""Each operation of the kernels of training against PyTorch's in float64, on every instruction set of the machine."""

import copy
import os
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from litehrnet.models.blocks import ConditionalChannelWeighting, Fuse, TwiceTrackedBatchNorm, depthwise, pointwise
from litehrnet.training.fast import kernels
from litehrnet.training.fast.exchange import Exchange, Term
from litehrnet.training.fast.fused import exchange_of
from litehrnet.training.fast.layers import Convolution, Norm, Path, Product, Separable
from litehrnet.training.fast.weighting import Weighting

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
    found, expected = Path([Norm(norm, relu)])(x), exact(wanted_x)
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
    _assert_close([Path([Norm(norm, False)])(x)], [exact(x.double())], 1e-3)


def test_operations_follow_parameters_that_move_and_copies_have_their_own() -> None:
    norm, x = _norm(8), _tensor(4, 8, 6, 6)
    path = Path([Norm(norm, False)])
    path(x)
    copied = copy.deepcopy(path)
    (own,) = copied.modules
    norm.weight.data = 2 * norm.weight.data
    for operation, module in ((path, norm), (copied, own)):
        exact = copy.deepcopy(module).double()
        _assert_close([operation(x)], [exact(x.double())])
        _assert_close(list(module.buffers()), list(exact.buffers()), 1e-6)
    assert float((path(x) - copied(x)).detach().abs().max()) > 0.1


def test_statistics_of_one_value_are_refused_as_by_pytorch() -> None:
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        Path([Norm(_norm(8), True)])(_tensor(1, 8, 1, 1))
    product = Product(pointwise(8, 8), _norm(8), True)
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        Path([Separable(depthwise(8, stride=2), _norm(8), product)])(_tensor(1, 8, 2, 2))


def test_arrays_of_another_type_or_size_are_refused() -> None:
    x = _tensor(2, 8, 4, 4)
    with pytest.raises(TypeError, match="incompatible function arguments"):
        Path([Norm(_norm(8), False)])(x.double())
    with pytest.raises(ValueError, match="an array has another number of values than expected"):
        Path([Norm(_norm(7), False)])(x)
    with pytest.raises(ValueError, match="sizes of arrays are not multiples of one another"):
        Weighting(ConditionalChannelWeighting([16, 16]))([_tensor(2, 16, 5, 4), _tensor(2, 16, 2, 2)])
    term = Term(1, [Product(pointwise(8, 7), _norm(7), False)], 1, 1.0)
    with pytest.raises(ValueError, match="a term has another number of channels"):
        Exchange([[term], []], False)([x, x])


@pytest.mark.parametrize("shape", [*SHAPES, (1, 20, 50, 60)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("half", "columns", "relu"), [(False, 40, True), (True, 17, False)])
def test_separable(shape: tuple[int, int, int, int], stride: int, half: bool, columns: int, relu: bool) -> None:
    n, c, h, w = shape
    conv, product, norms = depthwise(c, stride=stride), pointwise(c, columns), [_norm(c), _norm(columns)]
    exact = copy.deepcopy(nn.Sequential(conv, norms[0], product, norms[1])).double()
    (whole,), (wanted_whole,) = _leaves(_tensor(n, 2 * c if half else c, h, w))
    layer = Separable(conv, norms[0], Product(product, norms[1], relu))
    found, expected = Path([layer])(whole[:, -c:]), exact(wanted_whole[:, -c:])
    expected = F.relu(expected) if relu else expected
    _assert_close([found], [expected], 1e-4)
    _assert_close(
        _gradients(found, [whole, *(p for module in layer.modules for p in module.parameters())]),
        _gradients(expected, [wanted_whole, *exact.parameters()]),
        1e-3,
    )
    _assert_close([b for norm in norms for b in norm.buffers()], list(exact.buffers()), 1e-5)


@pytest.mark.parametrize("shape", [*SHAPES, (1, 20, 50, 60)])
@pytest.mark.parametrize("columns", [1, 8, 17, 40, 130])
@pytest.mark.parametrize(("half", "relu"), [(False, True), (True, False)])
def test_product(shape: tuple[int, int, int, int], columns: int, half: bool, relu: bool) -> None:
    n, c, h, w = shape
    conv, norm = pointwise(c, columns), _norm(columns)
    exact = copy.deepcopy(nn.Sequential(conv, norm)).double()
    (whole,), (wanted_whole,) = _leaves(_tensor(n, 2 * c if half else c, h, w))
    found, expected = Path([Product(conv, norm, relu)])(whole[:, -c:]), exact(wanted_whole[:, -c:])
    expected = F.relu(expected) if relu else expected
    _assert_close([found], [expected], 1e-4)
    _assert_close(
        _gradients(found, [whole, *conv.parameters(), *norm.parameters()]),
        _gradients(expected, [wanted_whole, *exact.parameters()]),
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
    found = Path([Convolution(conv, norm, relu)])(x)
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
    outputs, expected = Weighting(unit)(ours), exact(wanted)
    _assert_close(outputs, expected)
    _assert_close(
        _gradients(outputs, [*ours, *unit.parameters()]), _gradients(expected, [*wanted, *exact.parameters()]), 1e-3
    )
    _assert_close(list(unit.buffers()), list(exact.buffers()), 1e-5)


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize(("channels", "images"), [([40, 80], 3), ([40, 80, 160, 320], 2), ([3, 20, 37], 1)])
def test_exchange(channels: list[int], images: int, rectified: bool) -> None:
    torch.manual_seed(0)
    fuse = Fuse(channels, rectified)
    for module in fuse.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    exact = copy.deepcopy(fuse).double()
    sizes = [2 * 2 ** (len(channels) - 1 - b) for b in range(len(channels))]
    ours, wanted = _leaves(*(_tensor(images, c, 2 * s, s, seed=s) for c, s in zip(channels, sizes, strict=True)))
    outputs, expected = exchange_of(fuse)(ours), [F.relu(y) for y in exact(wanted)]
    _assert_close(outputs, expected, 1e-4)
    _assert_close(list(fuse.buffers()), list(exact.buffers()), 1e-5)
    weights = [_tensor(*y.shape, seed=i) for i, y in enumerate(outputs)]
    for used in (slice(None), slice(None), slice(1, 2)):  # every backward pass starts anew; some outputs may be unused
        leaves, wanted_leaves = [*ours, *fuse.parameters()], [*wanted, *exact.parameters()]
        how = {"retain_graph": True, "allow_unused": True, "materialize_grads": True}
        found = torch.autograd.grad(outputs[used], leaves, weights[used], **how)
        exactly = [w.double() for w in weights[used]]
        _assert_close(list(found), list(torch.autograd.grad(expected[used], wanted_leaves, exactly, **how)), 1e-3)
