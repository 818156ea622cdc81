"""Rounds and statistics, with contenders that need no time and with given times."""

import numpy as np
import pytest

from litehrnet.bench.contenders import Contender
from litehrnet.bench.timing import Times, summarize, take_turns


def _contender(name: str, said: list[str]) -> Contender:
    def run() -> np.ndarray:
        said.append(name)
        return np.full(1, len(said), np.float32)

    return Contender(name, "", run)


def test_contenders_take_turns_after_a_round_that_is_not_counted() -> None:
    said: list[str] = []
    contenders = [_contender("native", said), _contender("other", said)]
    times = take_turns(contenders, lambda out: float(out[0]), seconds=1e-9, least_rounds=3, pause=False)
    assert said == ["native", "other"] * 4
    rounds = [list(seconds) for own in times.values() for seconds in (own.wall, own.cpu)]
    assert rounds == [[0, 1, 2]] * 4
    assert times["other"].error == 8  # the largest of all counted rounds


def test_without_contenders_there_is_nothing_to_wait_for() -> None:
    assert take_turns([], lambda _: 0.0, seconds=9, least_rounds=3, pause=False) == {}


def test_summary_is_per_image_and_ratios_are_paired_by_round() -> None:
    times = {
        "native": Times({0: 1.0, 1: 2.0, 2: 4.0}, {0: 0.5, 1: 1.0, 2: 2.0}, 1e-7),
        "other": Times({0: 3.0, 2: 4.0}, {0: 2.0, 2: 2.0}, 2e-7),
    }
    native, other = summarize(times, 2).values()
    assert native.wall_ms == pytest.approx((1000, 500))
    assert (native.wall_ratio, native.cpu_ratio, native.rounds) == (1, 1, 3)
    assert other.cpu_ms == pytest.approx((1000, 1000))
    assert other.wall_ratio == pytest.approx((3 / 1 + 4 / 4) / 2)
    assert other.cpu_ratio == pytest.approx((2 / 0.5 + 2 / 2) / 2)
    assert other.error == 2e-7


def test_without_ours_there_are_no_ratios() -> None:
    (other,) = summarize({"other": Times({0: 3.0}, {0: 2.0})}, 1).values()
    assert (other.wall_ratio, other.cpu_ratio) == (None, None)
