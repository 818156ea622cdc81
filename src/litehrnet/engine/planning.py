"""Plan the place of every plane in the arena."""

from dataclasses import replace

from litehrnet.engine.program import FLOATS_PER_LINE, Planes, Step


def plane_floats(pixels: int) -> int:
    """Floats from one plane to the next.

    The pixels are followed by at least one vector of slack, which kernels may read and write. The number of cache lines
    is odd: planes whose addresses agree in their last 12 bits would evict each other from the first-level cache.
    """
    lines = -(-pixels // FLOATS_PER_LINE) + 1
    return (lines | 1) * FLOATS_PER_LINE


def plan_arena(steps: list[Step], output: Planes) -> tuple[list[Step], Planes, int]:
    """Replace the numbers of planes by their places.

    A plane takes the place of a plane of the same size that is no longer read. The most recently used one comes first,
    as it is still in the caches.

    Args:
        steps: Steps with numbers of planes.
        output: Planes that are read after the last step, by number.

    Returns:
        Steps and output with places, and the size of the arena in floats.
    """
    last_use = _last_uses(steps, output)
    places: dict[int, int] = {}
    free: dict[int, list[int]] = {}
    end = FLOATS_PER_LINE  # slack before the first plane
    for index, step in enumerate(steps):
        for planes in step.writes:
            size = plane_floats(planes.pixels)
            for number in planes.places:
                if number not in places:
                    if free.get(size):
                        places[number] = free[size].pop()
                    else:
                        places[number], end = end, end + size
        for planes in (*step.reads, *step.writes):
            last = [number for number in planes.places if last_use.get(number) == index]
            if last:
                # A step may name a plane twice. Reversed, so that planes are reused in their order.
                freed = [places[number] for number in reversed(last) if last_use.pop(number, None) is not None]
                free.setdefault(plane_floats(planes.pixels), []).extend(freed)
    return [_placed_step(step, places) for step in steps], _placed(output, places), end


def _last_uses(steps: list[Step], output: Planes) -> dict[int, int]:
    last_use: dict[int, int] = {}
    for index, step in enumerate(steps):
        for planes in (*step.reads, *step.writes):
            last_use.update(dict.fromkeys(planes.places, index))
    return last_use | dict.fromkeys(output.places, len(steps))


def _placed_step(step: Step, places: dict[int, int]) -> Step:
    reads = tuple(_placed(planes, places) for planes in step.reads)
    writes = tuple(_placed(planes, places) for planes in step.writes)
    return replace(step, reads=reads, writes=writes)


def _placed(planes: Planes, places: dict[int, int]) -> Planes:
    return Planes(planes.height, planes.width, tuple(map(places.__getitem__, planes.places)))
