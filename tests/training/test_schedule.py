import pytest

from litehrnet.config.schema import ScheduleConfig
from litehrnet.training.schedule import learning_rate

NO_WARMUP = ScheduleConfig("cosine", warmup_iterations=0)


def test_cosine_begins_at_the_base_rate_is_half_of_it_halfway_and_ends_at_zero() -> None:
    rates = [learning_rate(NO_WARMUP, 1.0, 0, done, 4) for done in (0, 2, 4)]
    assert rates == pytest.approx([1.0, 0.5, 0.0], abs=1e-15)


def test_cosine_never_rises() -> None:
    rates = [learning_rate(NO_WARMUP, 1.0, 0, step / 100, 10) for step in range(1001)]
    assert rates == sorted(rates, reverse=True)


def test_cosine_stays_at_zero_beyond_the_last_epoch() -> None:
    assert learning_rate(NO_WARMUP, 1.0, 0, 5, 4) == pytest.approx(0, abs=1e-15)


def test_warm_up_multiplies_what_the_schedule_gives() -> None:
    schedule = ScheduleConfig("step", steps=(1,), factor=0.1, warmup_iterations=10, warmup_factor=0.5)
    assert learning_rate(schedule, 1.0, 0, 0, 2) == 0.5
    assert learning_rate(schedule, 1.0, 5, 1, 2) == pytest.approx(0.075)
    assert learning_rate(schedule, 1.0, 10, 0, 2) == 1


def test_steps_are_taken_at_the_end_of_their_epoch() -> None:
    schedule = ScheduleConfig("step", steps=(2, 3), factor=0.1, warmup_iterations=0)
    rates = [learning_rate(schedule, 1.0, 0, done, 4) for done in (0, 1.9, 2, 2.9, 3)]
    assert rates == pytest.approx([1, 1, 0.1, 0.1, 0.01])
