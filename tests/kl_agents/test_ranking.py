"""The ranking against sorting all anew."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from kl_agents.ranking import Ranking

CHANGES = st.lists(st.lists(st.tuples(st.integers(0, 39), st.integers(-2, 2)), max_size=4))


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 40), CHANGES)
def test_the_order_is_that_of_the_returns_whatever_came_when(first, changes):
    ranking, returns = Ranking(40, 0.1), np.zeros(first)
    ranking.change(np.arange(first), returns)
    for part in changes:
        part = [(slot % first, value) for slot, value in part]
        if part:
            slots, values = (np.array(column) for column in zip(*part, strict=True))
            ranking.change(slots, values.astype(float))
            for slot, value in part:
                returns[slot] = value
        ranking.draw(1, np.random.default_rng(0))
        assert ranking._order.tolist() == np.argsort(-returns, kind="stable").tolist()
