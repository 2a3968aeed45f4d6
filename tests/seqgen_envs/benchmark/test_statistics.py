"""Statistics of few runs against arrays worked by hand, and against scipy."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from seqgen_envs.benchmark.statistics import (
    estimate,
    interquartile_mean,
    performance_profile,
    probability_of_improvement,
    resampled,
)


def test_interquartile_mean_by_hand():
    assert interquartile_mean([1, 2, 3, 4, 5, 6, 7, 100]) == (3 + 4 + 5 + 6) / 4
    assert interquartile_mean([-50, 2, 4, 90]) == 3
    # nine: floor(9 / 4) = 2 are left out at either end
    assert interquartile_mean([9, 8, 7, 6, 5, 4, 3, 2, -100]) == (3 + 4 + 5 + 6 + 7) / 5


def test_of_three_seeds_it_is_never_the_bare_mean():
    assert interquartile_mean([0.0, 0.1, 9.0]) == 0.1
    assert interquartile_mean([1.0, 2.0]) == 1.5
    assert interquartile_mean([7.0]) == 7.0


def test_it_is_taken_over_runs_not_over_means_of_tasks():
    found = estimate({"a": [0.0, 0.0, 8.0], "b": [1.0, 2.0, 3.0, 4.0, 5.0]})
    assert found.value == (1 + 2 + 3 + 4) / 4  # of 0 0 1 2 3 4 5 8


def test_interval_of_two_runs_by_hand():
    # the median of a draw is 0, 1/2 or 1 with chances 1/4, 1/2, 1/4: both tails are above 2.5 %
    assert estimate({"a": [0.0, 1.0]}) == (0.5, 0.0, 1.0)


def test_interval_against_all_draws_there_are():
    scores = {"a": [0.0, 1.0, 5.0], "b": [2.0, 2.5, 9.0]}
    every = [
        [*a, *b] for a in product(scores["a"], repeat=3) for b in product(scores["b"], repeat=3)
    ]
    exact = np.quantile(interquartile_mean(every), [0.025, 0.975])
    found = estimate(scores, resamples=20_000)
    np.testing.assert_allclose(found[1:], exact, atol=0.13)  # the nearest values are 1/8 apart


def test_draws_stay_inside_their_task():
    scores = {"easy": [10.0] * 3, "hard": [0.0] * 3}
    assert estimate(scores) == (5.0, 5.0, 5.0)  # mixed draws would be anywhere from 0 to 10
    drawn = resampled(scores, 50)
    assert drawn.shape == (50, 6)
    assert (drawn[:, :3] == 10).all()
    assert (drawn[:, 3:] == 0).all()


def test_the_interval_is_the_same_each_time():
    scores = {"a": [0.3, 0.9, 0.1], "b": [0.2, 0.4]}
    assert estimate(scores) == estimate(scores) != estimate(scores, seed=1)


def test_one_run_has_no_interval():
    assert estimate({"a": [3.0], "b": [5.0]}) == (4.0, None, None)
    assert estimate({"a": [3.0], "b": [5.0, 6.0]})[1] is not None


def test_performance_profile_by_hand():
    scores = {"a": [0.1, 0.5], "b": [0.5, 0.9]}
    found = performance_profile(scores, [0.0, 0.5, 0.6, 1.0])
    assert found.share.tolist() == [1.0, 0.75, 0.25, 0.0]
    # at 0.6 only b's second run counts: none, one or two of b's two draws
    assert (found.low[2], found.high[2]) == (0.0, 0.5)
    lower = performance_profile(scores, [0.0, 0.5, 0.6, 1.0], higher_is_better=False)
    assert lower.share.tolist() == [0.0, 0.75, 0.75, 1.0]


def test_probability_of_improvement_by_hand():
    # 1 beats none; 2 ties twice; 3 beats two: U = 0 + 1 + 2 of nine pairs
    assert probability_of_improvement({"a": [1, 2, 3]}, {"a": [2, 2, 4]}).value == 3 / 9
    # averaged over the tasks both have: (1 + 1/2) / 2; "c" plays no part
    first = {"a": [5.0, 6.0], "b": [1.0], "c": [0.0]}
    found = probability_of_improvement(first, {"a": [1.0, 2.0], "b": [1.0]})
    assert found == (0.75, 0.75, 0.75)
    turned = probability_of_improvement(
        first, {"a": [1.0, 2.0], "b": [1.0]}, higher_is_better=False
    )
    assert turned.value == 0.25
    assert probability_of_improvement({"a": [1.0]}, {"b": [1.0]}) is None


def test_probability_of_improvement_is_mann_whitneys():
    rng = np.random.default_rng(0)
    a, b = rng.integers(6, size=9), rng.integers(6, size=7)
    found = probability_of_improvement({"t": a}, {"t": b})
    assert found.value == pytest.approx(stats.mannwhitneyu(a, b).statistic / 63)
    assert found.low < found.value < found.high


@pytest.mark.parametrize("wrong", [{}, {"a": []}, {"a": [1.0, float("nan")]}])
def test_scores_must_be_there(wrong):
    with pytest.raises(ValueError, match="scores"):
        estimate(wrong)
