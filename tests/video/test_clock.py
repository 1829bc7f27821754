"""The clock that gives every frame a time: exact where stamps are sound, near the truth whatever is done to them."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from video.clock import GAP, GAP_SECONDS, Clock, Repairs, is_steady, usual_distance

RATE = 25
INTERVAL = 1 / RATE
FRAMES = st.integers(3, 80)


def run(
    shown: list[float | None], decoded: list[float | None] | None = None, **options: bool
) -> tuple[list[float], Repairs]:
    clock = Clock(INTERVAL, **options)
    times = [clock.tick(a, b) for a, b in zip(shown, decoded or [None] * len(shown), strict=True)]
    return times, clock.repairs


def even(count: int, start: float = 0.0) -> list[float]:
    return [start + i * INTERVAL for i in range(count)]


@given(st.lists(st.floats(1e-3, GAP_SECONDS), max_size=60), st.floats(-1e4, 1e4))
def test_sound_stamps_are_taken_as_they_are(steps: list[float], start: float) -> None:
    stamps = list(itertools.accumulate(steps, initial=start))
    if any(b - a > GAP_SECONDS for a, b in itertools.pairwise(stamps)):  # rounding
        return
    times, repairs = run(stamps)
    assert times == stamps and not repairs and repairs.words() == []


@pytest.mark.parametrize("wild", [7200.0, -7200.0, 1e6])
@pytest.mark.parametrize("missing", [1, 3])
def test_a_wild_stamp_that_is_the_first_of_all_harms_no_other(missing: int, wild: float) -> None:
    stamps: list[float | None] = [None] * missing + [stamp for stamp in even(60, missing * INTERVAL)]
    stamps[missing] = missing * INTERVAL + wild
    times, repairs = run(stamps)
    assert times == pytest.approx(even(60 + missing)) and repairs.words()


def test_a_restart_at_stamps_from_just_before_goes_on() -> None:
    again = [stamp + 1e-9 for stamp in even(40)]
    times, repairs = run([0.0, INTERVAL, None, *again])
    assert times == pytest.approx(even(43)) and repairs.restarts == 1


@given(FRAMES, st.data())
@settings(max_examples=300)
def test_times_increase_and_stay_near_the_truth_whatever_the_stamps(count: int, data: st.DataObject) -> None:
    """Missing and wild stamps, restarts and jumps, at random places of an even recording: each costs nothing."""
    stamps: list[float | None] = []
    offset = 0.0
    harms = data.draw(
        st.lists(st.sampled_from(["", "", "", "missing", "wild", "restart", "jump"]), min_size=count, max_size=count)
    )
    for index, harm in enumerate(harms):
        true = index * INTERVAL
        if harm == "restart":
            offset = -true - data.draw(st.floats(0, 50))
        elif harm == "jump":
            offset += data.draw(st.floats(GAP * INTERVAL + 2, 1e5))
        wild = data.draw(st.sampled_from([7200.0, -7200.0, 1e6])) if harm == "wild" else 0.0
        stamps.append(None if harm == "missing" else true + offset + wild)
    times, repairs = run(stamps)
    assert all(a < b for a, b in itertools.pairwise(times))
    harmful = sum(harm not in ("", "missing") for harm in harms)
    for index, time in enumerate(times):
        # Two jumps in a row may by chance look like a step that is time: those are GAP distances at most.
        assert abs(time - times[0] - index * INTERVAL) <= max(0, harmful - 1) * GAP * INTERVAL + 2 * INTERVAL
    if set(harms) <= {"", "missing"}:
        assert repairs == Repairs(missing=repairs.missing)


@given(FRAMES, st.data())
def test_one_harm_alone_is_mended_exactly_and_named(count: int, data: st.DataObject) -> None:
    place = data.draw(st.integers(1, count - 1))
    kind = data.draw(st.sampled_from(["missing", "wild", "restart", "jump"]))
    stamps: list[float | None] = list(even(count))
    if kind == "missing":
        stamps[place] = None
    elif kind == "wild":
        stamps[place] = data.draw(st.sampled_from([7200.0, -3600.0]))
    elif kind == "restart":
        stamps[place:] = even(count - place, -5.0)
    else:
        stamps[place:] = even(count - place, data.draw(st.floats(10, 1e6)))
    times, repairs = run(stamps)
    assert times == pytest.approx(even(count), abs=1e-6)
    last = place == count - 1  # nothing comes after it to tell what it was
    expected = {"missing": Repairs(missing=1), "restart": Repairs(restarts=1), "jump": Repairs(gaps=1)}
    assert repairs == (Repairs(wild=1) if kind == "wild" or (last and kind != "missing") else expected[kind])


@given(FRAMES, st.randoms(use_true_random=False))
def test_shuffled_stamps_with_decode_stamps_in_order(count: int, random: object) -> None:
    """As FFmpeg fills in presentation stamps of AVI: neighbours are exchanged, decode stamps are in order."""
    shown: list[float | None] = []
    for group in (
        itertools.batched(even(count, 10.0), 4) if hasattr(itertools, "batched") else _batched(even(count, 10.0))
    ):
        group = list(group)
        random.shuffle(group)  # type: ignore[attr-defined]
        shown += group
    decoded: list[float | None] = list(even(count, 3.0))
    times, repairs = run(shown, decoded, decode_stamps=True)
    assert times == pytest.approx(even(count, 3.0))
    assert repairs.disordered == any(a > b for a, b in itertools.pairwise(shown))  # type: ignore[operator]
    times, repairs = run(shown, decoded)  # found on the way
    assert all(a < b for a, b in itertools.pairwise(times))
    assert abs(times[-1] - times[0] - (count - 1) * INTERVAL) <= 8 * INTERVAL


def _batched(values: list[float]) -> list[list[float]]:
    return [values[i : i + 4] for i in range(0, len(values), 4)]


def test_a_file_without_any_stamp_is_counted() -> None:
    times, repairs = run([None] * 5)
    assert times == pytest.approx(even(5)) and not repairs


def test_missing_stamps_are_filled_from_decode_stamps() -> None:
    """A varying frame rate: the decode stamps know the distance, the usual one does not."""
    truth = [0.0, 0.04, 0.08, 0.2, 0.24]
    times, repairs = run([0.0, 0.04, 0.08, None, 0.24], [a - 0.08 for a in truth])
    assert times == pytest.approx(truth) and repairs == Repairs(missing=1)


def test_a_joined_recording_of_another_rate() -> None:
    times, repairs = run([*even(30), *(i / 50 for i in range(30))])
    assert times[29] == pytest.approx(29 * INTERVAL) and times[-1] - times[30] == pytest.approx(29 / 50)
    assert repairs == Repairs(restarts=1)


def test_decode_stamps_that_restart_a_little_before_are_no_sign_of_disorder() -> None:
    """A decoder with a delay of two frames gives decode stamps of packets that it has read ahead."""
    shown = [*even(60), *even(60)]
    decoded: list[float | None] = [*shown[2:], None, None]
    times, repairs = run(shown, decoded)
    assert times == pytest.approx(even(120), abs=1e-6) and repairs == Repairs(restarts=1)


def test_a_slide_show_is_no_series_of_jumps() -> None:
    clock = Clock(60.0)
    assert [clock.tick(60.0 * i, None) for i in range(5)] == [60.0 * i for i in range(5)] and not clock.repairs


def test_words_name_each_kind_once() -> None:
    words = Repairs(2, 1, 1, 3, True).words()
    assert words == [
        "2 gaps bridged",
        "1 restart of the clock continued",
        "1 wild time stamp replaced",
        "3 missing time stamps filled in",
        "frames timed by decode stamps",
    ]


def test_steady_packets() -> None:
    stamps = even(100)
    assert is_steady(stamps)
    assert is_steady([stamps[i] for i in (0, 3, 1, 2, 6, 4, 5)])  # B-frames
    assert not is_steady(stamps + stamps)  # joined
    assert not is_steady([*stamps, 100.0])
    assert not is_steady([*stamps[30:], *stamps[:30]])
    assert not is_steady([*stamps[:50], stamps[49], *stamps[50:]])
    assert not is_steady([0.0])


def test_usual_distance_ignores_order_and_outliers() -> None:
    assert usual_distance([5, 1, 3, 7, 9, 1000]) == 2
    assert usual_distance([4, 4]) is None
