"""Schedules: their ends, their shapes, their JSON, their refusals."""

from __future__ import annotations

import json
import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kl_agents.schedules import SHAPES, Schedule, make_schedule


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("fraction", [0.25, 0.6, 1.0])
@pytest.mark.parametrize(("start", "end"), [(50.0, 0.5), (0.5, 50.0)])
def test_ends(start, end, fraction, shape):
    schedule = Schedule(start, end, fraction, shape)
    assert schedule(1.0) == start
    assert schedule(1.0 - fraction) == pytest.approx(end, rel=1e-12)
    for remaining in (0.0, -0.01):  # SB3 overshoots a little
        assert schedule(remaining) == end  # to the bit: 0.5 is 0.5 in a report
    assert schedule(0.5 * (1.0 - fraction)) == pytest.approx(end, rel=1e-12)
    assert schedule(1.0 - 0.9 * fraction) != pytest.approx(end, rel=1e-3)


def test_half_way_is_the_arithmetic_or_the_geometric_mean():
    assert Schedule(16.0, 1.0, shape="linear")(0.5) == pytest.approx(8.5)
    assert Schedule(16.0, 1.0, shape="exponential")(0.5) == pytest.approx(4.0)
    assert Schedule(16.0, 1.0, 0.5, "linear")(0.75) == pytest.approx(8.5)
    assert Schedule(16.0, 1.0, 0.5, "exponential")(0.75) == pytest.approx(4.0)


@pytest.mark.parametrize("shape", SHAPES)
def test_hold(shape):
    schedule = Schedule(16.0, 1.0, 0.9, shape, hold=0.5)
    assert [schedule(r) for r in (1.0, 0.75, 0.5)] == [16.0] * 3
    half_way = {"linear": 8.5, "exponential": 4.0}[shape]
    assert schedule(0.3) == pytest.approx(half_way)
    assert [schedule(r) for r in (0.1, 0.0)] == [1.0] * 2


@pytest.mark.parametrize("hold", [-0.1, 0.6, 1.0])
def test_hold_lies_before_the_change(hold):
    with pytest.raises(ValueError, match="hold must be in"):
        Schedule(1.0, 2.0, 0.6, hold=hold)


def test_linear_may_reach_zero_and_change_sign():
    assert Schedule(1.0, -1.0)(0.5) == 0.0
    assert Schedule(1.0, 0.0)(0.0) == 0.0


@given(
    st.floats(0.01, 100.0),
    st.floats(0.01, 100.0),
    st.floats(0.01, 1.0),
    st.sampled_from(SHAPES),
    st.lists(st.floats(0.0, 1.0), min_size=2, max_size=10),
)
def test_always_between_its_ends_and_monotonic(start, end, fraction, shape, remaining):
    schedule = Schedule(start, end, fraction, shape)
    values = [schedule(r) for r in sorted(remaining, reverse=True)]
    low, high = sorted((start, end))
    assert all(low * (1 - 1e-12) <= value <= high * (1 + 1e-12) for value in values)
    steps = [after - before for before, after in pairwise(values)]
    assert all(math.copysign(1.0, end - start) * step >= -1e-12 * high for step in steps)


@pytest.mark.parametrize("number", [3, 0.25, 0])
def test_a_number_is_constant(number):
    schedule = make_schedule(number, "epsilon")
    assert [schedule(r) for r in (1.0, 0.5, 0.0)] == [float(number)] * 3
    assert isinstance(schedule(0.5), float)


@pytest.mark.parametrize(
    "spec",
    [
        {"start": 50.0, "end": 0.5, "fraction": 0.6, "shape": "exponential"},
        {"start": 1, "end": 0},
        {"start": 2, "end": 4, "fraction": 0.5},
        0.01,
    ],
)
def test_specs_survive_json(spec):
    schedule = make_schedule(spec, "epsilon")
    again = make_schedule(json.loads(json.dumps(spec)), "epsilon")
    assert again == schedule
    assert make_schedule(schedule, "epsilon") is schedule
    if isinstance(spec, dict):
        assert schedule == Schedule(**spec)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1.0, 2.0, 1.0, "cosine"), r"shape must be one of \['linear', 'exponential'\], got 'cos"),
        ((1.0, 2.0, 0.0), r"fraction must be in \(0, 1\], got 0.0"),
        ((1.0, 2.0, 1.5), r"fraction must be in \(0, 1\], got 1.5"),
        ((1.0, 0.0, 1.0, "exponential"), "start > 0 and end > 0"),
        ((-1.0, 1.0, 1.0, "exponential"), "start > 0 and end > 0"),
        ((math.nan, 1.0), "must be finite numbers"),
        ((1.0, math.inf), "must be finite numbers"),
        (("high", 1.0), "must be finite numbers"),
    ],
)
def test_schedules_that_are_none(arguments, message):
    with pytest.raises(ValueError, match=message):
        Schedule(*arguments)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"start": 1.0},
            r"rate: a schedule has start, end, fraction, shape and hold; got \{'start'",
        ),
        ({"start": 1.0, "end": 2.0, "speed": 3}, "rate: a schedule has start, end"),
        ({"start": "high", "end": 2.0}, "must be finite numbers"),
        ("0.5", "rate must be a number or a schedule, got '0.5'"),
        (None, "rate must be a number or a schedule, got None"),
        (True, "rate must be a number or a schedule, got True"),
        (math.nan, "must be finite numbers"),
    ],
)
def test_specs_that_are_none(spec, message):
    with pytest.raises(ValueError, match=message):
        make_schedule(spec, "rate")
