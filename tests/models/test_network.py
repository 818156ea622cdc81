"""The network, except its equality with the reference implementation (tests/reference/test_network.py)."""

import copy

import pytest
import torch
from torch import Tensor, nn

from litehrnet.errors import UserError
from litehrnet.models import PoseNetwork, create_network
from litehrnet.models.blocks import Fuse, TwiceTrackedBatchNorm, channel_shuffle
from litehrnet.models.dynamic_blocks import DynamicConv, KernelAggregation, pool_runs
from litehrnet.models.folding import fold_batch_norms, fold_factors
from litehrnet.models.networks import channels_last
from litehrnet.variants import VARIANTS

every_variant = pytest.mark.parametrize(
    "variant", [pytest.param(name, marks=pytest.mark.slow) if name == "dite_hrnet_30" else name for name in VARIANTS]
)
# For tests that need seconds per variant, the quick suite tests only the paper's default variant.
one_quickly = pytest.mark.parametrize(
    "variant", [name if name == "lite_hrnet_18" else pytest.param(name, marks=pytest.mark.slow) for name in VARIANTS]
)


def _settled(variant: str) -> PoseNetwork:
    """Create a network in evaluation mode with random weights and running statistics of one batch."""
    torch.manual_seed(0)
    network = create_network(variant, 5)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(torch.randn(4, 3, 64, 64))
    return network.eval()


def _settled_float64(variant: str) -> tuple[PoseNetwork, Tensor]:
    """The same in float64, where nothing but another result is a difference, and a batch of two images."""
    return _settled(variant).double(), torch.randn(2, 3, 64, 64, dtype=torch.float64)


def _relative_error(ours: Tensor, expected: Tensor) -> float:
    return float((ours - expected).abs().max() / expected.abs().max())


@every_variant
@pytest.mark.parametrize("num_keypoints", [1, 133])
def test_any_number_of_keypoints(variant: str, num_keypoints: int) -> None:
    with torch.device("meta"):
        heatmaps = create_network(variant, num_keypoints).eval()(torch.zeros(2, 3, 64, 96))
    assert heatmaps.shape == (2, num_keypoints, 16, 24)


def test_no_keypoints_and_unknown_variants_are_refused() -> None:
    with pytest.raises(UserError, match="0 keypoints"):
        create_network("lite_hrnet_18", 0)
    with pytest.raises(UserError, match="unknown network"):
        create_network("lite_hrnet_19")


def _published_std(variant: str, name: str, conv: nn.Conv2d | nn.ConvTranspose2d) -> float:
    if name.startswith("keypoint_head") or "hrnet" in variant:
        return 0.001
    if variant == "shufflenetv2":
        return 0.01 if name == "backbone.conv1.conv" else 1 / conv.weight.shape[1]
    return float((2 / (conv.out_channels * conv.kernel_size[0] ** 2)) ** 0.5)


@every_variant
def test_initialization_is_the_published_one(variant: str) -> None:
    torch.manual_seed(0)
    for name, module in create_network(variant).named_modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            std = _published_std(variant, name, module)
            if module.weight.numel() > 1000:
                assert float(module.weight.detach().std()) == pytest.approx(std, rel=0.1)
            assert float(module.weight.detach().abs().max()) < 7 * std
            assert module.bias is None or not module.bias.any()
        elif isinstance(module, nn.BatchNorm2d):
            assert bool((module.weight == 1).all())
            assert not module.bias.any()
            assert module.running_var is not None
            assert bool((module.running_var == 1).all())
        elif isinstance(module, KernelAggregation):
            bound = (6 / module.weight[0, 0].numel()) ** 0.5
            assert 0.9 * bound < float(module.weight.detach().abs().max()) <= bound


@pytest.mark.parametrize("variant", ["mobilenetv2", "mobilenetv3", "shufflenetv2"])
def test_networks_that_end_at_a_32nd_find_keypoints_only(variant: str) -> None:
    with pytest.raises(UserError, match=f"{variant}: finds keypoints only .expected one of lite_hrnet_18"):
        create_network(variant, num_classes=3)
    with pytest.raises(UserError, match=f"{variant}: finds keypoints only"):
        create_network(variant, boxes=True)


@pytest.mark.parametrize("variant", ["small_hrnet_w16", "dite_hrnet_18"])
def test_networks_of_high_resolution_also_segment_and_detect(variant: str) -> None:
    images = torch.zeros(1, 3, 32, 64)
    assert create_network(variant, num_classes=3).eval()(images).shape == (1, 3, 32, 64)
    assert create_network(variant, boxes=True).eval()(images).shape == (1, 5, 8, 16)


def test_dense_context_pools_runs_of_the_memory_and_not_blocks() -> None:
    """Written out number by number, as docs/spec/architecture.md, section 20.3 defines it."""
    generator = torch.Generator().manual_seed(0)
    x, logits = (torch.randn(2, c, 4, 6, generator=generator).double() for c in (3, 1))
    cells, run = 6, 4
    expected = torch.zeros(2, 3, 2, 3).double()
    for n in range(2):
        flat, weights = x[n].flatten(), logits[n].flatten().softmax(dim=0)
        for cell in range(cells):
            for c in range(3):
                terms = flat[(cell * 3 + c) * run :][:run] * weights[cell * run :][:run]
                expected[n, c, cell // 3, cell % 3] = terms.sum()
    torch.testing.assert_close(pool_runs(x, logits, 2, 3), expected)
    in_channels_last = x.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(pool_runs(in_channels_last, logits, 2, 3), expected)


def test_dynamic_convolution_equals_a_convolution_by_the_summed_kernel_of_each_image() -> None:
    torch.manual_seed(0)
    conv = DynamicConv(8, 6, 3, stride=2, groups=2).eval().double()
    images = torch.randn(3, 8, 5, 7).double()
    with torch.no_grad():
        weights = conv.attention(images).flatten(1)
        for image, weight, result in zip(images, weights, conv(images), strict=True):
            kernel = (weight[:, None, None, None, None] * conv.aggregation.weight).sum(0)
            expected = torch.nn.functional.conv2d(image[None], kernel, None, 2, 1, 1, 2)[0]
            torch.testing.assert_close(result, expected)


def test_fuse_counts_the_first_branch_twice_and_feeds_its_sum_downward() -> None:
    """Written out for two branches: S = 2 x0 + U(x1), output 1 = 2 D(S) + x1."""
    torch.manual_seed(0)
    fuse = Fuse((4, 8)).eval()
    x0, x1 = torch.randn(1, 4, 8, 8), torch.randn(1, 8, 4, 4)
    upward, downward = fuse[0]["1"], fuse[1]["0"]  # type: ignore[index]
    with torch.no_grad():
        s = 2 * x0 + upward(x1)
        first, second = fuse([x0, x1])
        torch.testing.assert_close(first, s)
        torch.testing.assert_close(second, 2 * downward(s) + x1)


def test_fuse_leaves_its_inputs_alone() -> None:
    branches = [torch.randn(1, 4, 8, 8), torch.randn(1, 8, 4, 4)]
    before = [x.clone() for x in branches]
    Fuse((4, 8)).eval()(branches)
    assert all(torch.equal(x, y) for x, y in zip(branches, before, strict=True))


def test_twice_tracked_statistics_equal_two_evaluations() -> None:
    once, twice = TwiceTrackedBatchNorm(3).double(), nn.BatchNorm2d(3).double()
    x = torch.randn(4, 3, 5, 5, dtype=torch.float64)
    once(x)
    twice(x)
    twice(x)
    for (name, ours), theirs in zip(once.state_dict().items(), twice.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs, msg=name)
    once.eval()(x)
    assert int(once.num_batches_tracked or 0) == 2


def test_channel_shuffle_interleaves_the_halves() -> None:
    first, second = torch.tensor([0, 1, 2]), torch.tensor([10, 11, 12])
    shuffled = channel_shuffle(first.reshape(1, 3, 1, 1), second.reshape(1, 3, 1, 1))
    assert shuffled.flatten().tolist() == [0, 10, 1, 11, 2, 12]


@one_quickly
def test_every_parameter_gets_a_gradient(variant: str) -> None:
    network = _settled(variant).train()
    network(torch.randn(2, 3, 64, 64)).square().mean().backward()
    without = [name for name, p in network.named_parameters() if p.grad is None]
    # Dite-HRNet has a mask for its lowest branch that nothing reads.
    assert all("conv_mask" in name for name in without)
    assert bool(without) == variant.startswith("dite")


@pytest.mark.parametrize(("width", "height"), [(100, 100), (192, 252), (64, 33)])
def test_sizes_the_network_cannot_take_are_refused_with_the_nearest(width: int, height: int) -> None:
    with pytest.raises(UserError, match=rf"input size {width}x{height} .*nearest"):
        create_network("lite_hrnet_18")(torch.zeros(1, 3, height, width))


def test_sides_just_short_of_a_multiple_of_32_work() -> None:
    heatmaps = create_network("lite_hrnet_18").eval()(torch.zeros(1, 3, 253, 189))
    assert heatmaps.shape == (1, 17, 64, 48)


def test_smallest_image_works_alone_in_evaluation_and_in_pairs_in_training() -> None:
    network = create_network("lite_hrnet_18", 2)
    assert network.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 2, 8, 8)
    assert network.train()(torch.randn(2, 3, 32, 32)).shape == (2, 2, 8, 8)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        network(torch.zeros(1, 3, 32, 32))


@one_quickly
def test_channels_last_gives_the_same(variant: str) -> None:
    network, images = _settled_float64(variant)
    with torch.no_grad():
        expected = network(images)
        ours = channels_last(network)(images.to(memory_format=torch.channels_last))
    assert _relative_error(ours, expected) < 1e-10


@one_quickly
def test_training_in_channels_last_gives_the_same_gradients(variant: str) -> None:
    network, images = _settled_float64(variant)
    other = channels_last(copy.deepcopy(network))
    expected, ours = (  # of unused parameters, which Dite-HRNet has: zeros
        torch.autograd.grad(each.train()(images).square().mean(), list(each.parameters()), materialize_grads=True)
        for each in (network, other)
    )
    largest = max(float(g.abs().max()) for g in expected)
    assert max(float((a - b).abs().max()) for a, b in zip(ours, expected, strict=True)) < 1e-10 * largest
    pairs = zip(ours, other.parameters(), strict=True)  # dynamic kernels have five dimensions
    assert all(gradient.stride() == parameter.stride() for gradient, parameter in pairs if parameter.ndim < 5)


@every_variant
def test_activations_stay_channels_last_in_training(variant: str) -> None:
    network = channels_last(create_network(variant))
    formats: list[bool] = []
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(
                lambda _, inputs, output: formats.extend(x.stride(1) == 1 for x in (inputs[0], output))
            )
    network.train()(torch.randn(2, 3, 64, 64))
    assert all(formats)
    assert len(formats) == 2 * sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@every_variant
def test_bfloat16_autocast_gives_nearly_the_same(variant: str) -> None:
    network, images = _settled(variant), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        expected = network(images)
        with torch.autocast("cpu", torch.bfloat16):
            ours = network(images)
    assert ours.dtype == torch.bfloat16
    # Random weights amplify rounding: what is near is the shape of the heatmaps.
    likeness = float(torch.corrcoef(torch.stack([ours.float().flatten(), expected.flatten()]))[0, 1])
    assert likeness > (0.8 if variant == "mobilenetv3" else 0.95)


@one_quickly
def test_folding_batch_normalization_keeps_the_outputs(variant: str) -> None:
    network, images = _settled_float64(variant)
    folded = fold_batch_norms(network)
    left = [name for name, module in folded.named_modules() if isinstance(module, nn.BatchNorm2d)]
    # Those of Dite-HRNet that no ordinary convolution precedes.
    assert not [name for name in left if not variant.startswith("dite")]
    assert len(left) < sum(isinstance(module, nn.BatchNorm2d) for module in network.modules()) // 2
    with torch.no_grad():
        assert _relative_error(folded(images), network(images)) < 1e-12
    weights, factors = dict(network.named_parameters()), fold_factors(network)
    assert factors
    for name, weight in folded.named_parameters():
        if name in factors:
            torch.testing.assert_close(weight, weights[name] * factors[name], rtol=1e-12, atol=0)
    assert [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["lite_hrnet_18", "naive_lite_hrnet_18"])
def test_torch_export_gives_the_same_for_any_batch(variant: str) -> None:
    network, pair = _settled_float64(variant)
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(network, (pair,), dynamic_shapes=({0: batch},))
    images = torch.randn(3, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        assert _relative_error(program.module()(images), network(images)) < 1e-10


def _compiled_equals_eager(variant: str, backend: str) -> None:
    network, images = _settled_float64(variant)
    torch._dynamo.reset()
    compiled = torch.compile(network, backend=backend)
    with torch.no_grad():
        assert _relative_error(compiled(images), network(images)) < 1e-10


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["lite_hrnet_18", "naive_lite_hrnet_18"])
@pytest.mark.filterwarnings("ignore")  # of PyTorch's compiler about itself
def test_compiling_with_aot_eager_gives_the_same(variant: str) -> None:
    _compiled_equals_eager(variant, "aot_eager")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of PyTorch's compiler about itself
def test_compiling_with_inductor_gives_the_same() -> None:
    _compiled_equals_eager("naive_lite_hrnet_18", "inductor")
