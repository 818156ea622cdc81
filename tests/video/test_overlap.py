import threading
from collections.abc import Iterator

import pytest

from litehrnet.video.overlap import Background, read_ahead


def test_read_ahead_gives_the_same_items_from_another_thread() -> None:
    seen: list[threading.Thread] = []

    def items() -> Iterator[int]:
        for item in range(100):
            seen.append(threading.current_thread())
            yield item

    assert list(read_ahead(items())) == list(range(100))
    assert set(seen) != {threading.current_thread()}


def test_read_ahead_is_never_far_ahead() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for item in range(1000):
            made.append(item)
            yield item

    for item in read_ahead(items(), depth=3):
        assert len(made) <= item + 5


def test_an_error_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield from range(3)
        raise ValueError("broken")

    got: list[int] = []
    with pytest.raises(ValueError, match="broken"):
        got.extend(read_ahead(items()))
    assert got == [0, 1, 2]


def test_who_stops_early_closes_the_source() -> None:
    closed = threading.Event()

    def items() -> Iterator[int]:
        try:
            yield from range(10**9)
        finally:
            closed.set()

    ahead = read_ahead(items())
    assert next(ahead) == 0
    ahead.close()  # type: ignore[attr-defined]
    assert closed.wait(10)


def test_what_comes_too_fast_is_left_out_where_that_is_wanted() -> None:
    done = threading.Event()

    def items() -> Iterator[int]:
        yield from range(100)
        done.set()

    ahead = read_ahead(items(), depth=2, skip=True)
    assert next(ahead) == 0
    assert done.wait(10)  # the source was not made to wait
    assert len(list(ahead)) <= 3


def test_background_works_off_everything_in_order() -> None:
    done: list[int] = []
    with Background(done.append) as background:
        for item in range(100):
            background.put(item)
    assert done == list(range(100))


def test_background_finishes_although_its_user_failed() -> None:
    done: list[int] = []

    def use() -> None:
        with Background(done.append, depth=50) as background:
            for item in range(20):
                background.put(item)
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        use()
    assert done == list(range(20))


def test_an_error_in_the_background_reaches_its_user() -> None:
    def work(item: int) -> None:
        if item == 1:
            raise OSError("disk full")

    def use(items: range) -> None:
        with Background(work) as background:
            for item in items:
                background.put(item)

    for items in (range(1000), range(1, 2)):  # noticed on the way, and at the end only
        with pytest.raises(OSError, match="disk full"):
            use(items)
