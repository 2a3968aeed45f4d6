"""The PMO score against its definition, written out naively."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqgen_envs.benchmark.scores import auc_top, best_so_far


def naive_auc(values, k, budget, every):
    """As the benchmark's own program goes about it: sort, look, add up trapezia."""
    values = values[:budget]
    area, before, called = 0.0, 0.0, 0
    for calls in [*range(every, len(values), every), len(values)]:
        now = float(np.mean(sorted(values[:calls], reverse=True)[:k]))
        area += (calls - called) * (now + before) / 2
        before, called = now, calls
    return (area + (budget - len(values)) * before) / budget


def test_a_constant_oracle():
    assert auc_top([0.5] * 10_000) == pytest.approx(0.4975, abs=1e-12)


def test_a_run_that_stops_early_keeps_its_last_value():
    assert auc_top([0.5] * 100) == pytest.approx((25 + 0.5 * 9_900) / 10_000)


def test_calls_beyond_the_budget_do_not_count():
    assert auc_top([0.1] * 200 + [1.0] * 50, budget=200) == auc_top([0.1] * 200, budget=200)


def test_nothing_scored():
    assert auc_top([]) == 0.0


def test_negative_values_count_as_they_are():
    assert auc_top([-1.0] * 10, k=1, budget=10, every=10) == pytest.approx(-0.5)


@given(
    st.lists(st.floats(-5, 5), min_size=1, max_size=60),
    st.integers(1, 12),
    st.integers(1, 80),
    st.integers(1, 25),
)
def test_equals_the_naive_form(values, k, budget, every):
    assert auc_top(values, k=k, budget=budget, every=every) == pytest.approx(
        naive_auc(values, k, budget, every), abs=1e-9
    )


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=40), st.integers(1, 12))
def test_best_so_far(values, k):
    expected = [np.mean(sorted(values[: n + 1], reverse=True)[:k]) for n in range(len(values))]
    np.testing.assert_allclose(best_so_far(values, k), expected, atol=1e-12)


@pytest.mark.parametrize("wrong", [{"k": 0}, {"budget": 0}, {"every": 0}])
def test_numbers_below_1(wrong):
    with pytest.raises(ValueError, match="at least 1"):
        auc_top([1.0], **wrong)


def test_a_failed_molecule_has_cost_its_call():
    values = [1.0, float("nan"), float("inf"), 0.5]
    assert auc_top(values, k=1, budget=4, every=1) == auc_top(
        [1.0, 0.0, 0.0, 0.5], k=1, budget=4, every=1
    )
    assert auc_top([float("nan")] * 4, k=1, budget=4, every=4, failed=-2.0) == -1.0
