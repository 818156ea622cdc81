"""Planes in the arena: places are given away when they are free, and not before."""

import pytest
from tests.compiled_variants import LITE_NETWORKS

from litehrnet.engine.compiler import compile_network
from litehrnet.engine.planning import plan_arena, plane_floats
from litehrnet.engine.program import FLOATS_PER_LINE, Kind, Planes, Step
from litehrnet.variants import VARIANTS

from .conftest import MakeNetwork, arrays_of


def _step(reads: tuple[int, ...], writes: tuple[int, ...], side: int = 4) -> Step:
    return Step(Kind.POOL, "step", (Planes(side, side, reads),), (Planes(side, side, writes),))


def _written(steps: list[Step]) -> list[tuple[int, ...]]:
    return [step.writes[0].places for step in steps]


@pytest.mark.parametrize("pixels", [1, 15, 16, 17, 48, 108, 768, 3072, 6912])
def test_planes_are_an_odd_number_of_cache_lines_apart_with_a_vector_of_slack(pixels: int) -> None:
    lines, rest = divmod(plane_floats(pixels), FLOATS_PER_LINE)
    assert (lines % 2, rest) == (1, 0)
    assert pixels + FLOATS_PER_LINE <= plane_floats(pixels) < pixels + 4 * FLOATS_PER_LINE


def test_plane_that_is_read_no_more_gives_its_place_away() -> None:
    steps, output, floats = plan_arena([_step((), (0,)), _step((0,), (1,)), _step((1,), (2,))], Planes(4, 4, (2,)))
    (first,), (second,), (third,) = _written(steps)
    assert (third, output.places) == (first, (first,))
    assert abs(second - first) == plane_floats(16)
    assert floats == FLOATS_PER_LINE + 2 * plane_floats(16)


def test_plane_that_is_read_later_or_is_the_output_keeps_its_place() -> None:
    later = [_step((), (0,)), _step((0,), (1,)), _step((1,), (2,)), _step((0,), (3,))]
    assert len({*_written(plan_arena(later, Planes(4, 4, (3,)))[0])[:3]}) == 3
    output = [_step((), (0,)), _step((0,), (1,)), _step((1,), (2,))]
    assert len({*_written(plan_arena(output, Planes(4, 4, (0,)))[0])}) == 3


def test_step_in_place_stays_in_its_place_and_planes_of_other_sizes_lie_elsewhere() -> None:
    steps = [_step((), (0, 1)), _step((0, 1), (0, 1)), _step((1, 0), (2,)), _step((2,), (3,), side=8)]
    placed = _written(plan_arena(steps, Planes(8, 8, (3,)))[0])
    assert placed[0] == placed[1]
    assert len({*placed[0], *placed[2], *placed[3]}) == 4


def test_places_come_back_in_their_order() -> None:
    steps = [_step((), (0, 1, 2)), _step((0, 1, 2), (3,)), _step((3,), (4, 5, 6))]
    placed = _written(plan_arena(steps, Planes(4, 4, (4, 5, 6)))[0])
    assert placed[2] == placed[0] == tuple(sorted(placed[0]))


@pytest.mark.parametrize("variant", LITE_NETWORKS)
def test_arena_of_the_usual_size_stays_below_five_megabytes(settled: MakeNetwork, variant: str) -> None:
    program = compile_network(VARIANTS[variant], arrays_of(settled(variant, 17)), (192, 256), "weights")
    assert 4 * program.arena_floats < 5e6
