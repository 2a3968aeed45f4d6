"""Melodies in which runs, rests, leaps, motifs and repeats do happen."""

import numpy as np
from hypothesis import strategies as st

C, E, G = (2, 14, 26), (6, 18, 30), (9, 21, 33)
TOKEN = st.integers(0, 37)
STEPS = (-12, -8, -5, -4, -3, 0, 3, 4, 5, 8, 12)
SEGMENT = st.one_of(
    st.tuples(st.just("tokens"), st.lists(TOKEN, min_size=1, max_size=6)),
    st.tuples(st.just("tokens"), st.lists(st.sampled_from(C + E + G), min_size=2, max_size=5)),
    st.tuples(st.just("tokens"), st.lists(st.sampled_from((0, 1)), min_size=1, max_size=5)),
    st.tuples(st.just("run"), st.tuples(TOKEN, st.integers(3, 9), st.sampled_from((0, 1, None)))),
    st.tuples(st.just("walk"), st.lists(st.sampled_from(STEPS), min_size=3, max_size=10)),
    st.tuples(st.just("copy"), st.integers(8, 11)),
    st.tuples(st.just("echo"), st.integers(7, 10)),
)


def flatten(segments, horizon):
    melody = []
    for kind, what in segments:
        if kind == "tokens":
            melody += what
        elif kind == "run":
            token, count, between = what
            melody += [token] * count if between is None else [token, between] * count
        elif kind == "walk":
            melody += [2 + place % 36 for place in np.cumsum([14, *what]).tolist()]
        elif kind == "echo":
            melody += melody[-what:]
        else:
            melody += melody[:what]
    return (melody + [1] * horizon)[:horizon]


def melodies(horizon=32, size=1, low=0, high=37):
    one = st.lists(SEGMENT, min_size=2, max_size=9).map(lambda s: flatten(s, horizon))
    clipped = one.map(lambda m: [min(max(x, low), high) if x > 1 or low > 1 else x for x in m])
    return st.lists(clipped, min_size=size, max_size=size).map(np.array)
