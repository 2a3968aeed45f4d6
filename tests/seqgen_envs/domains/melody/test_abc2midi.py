"""Our reader of ABC against abc2midi: onsets and pitches, tune by tune.

Of each collection some hundred tunes, evenly spread, or all: ``SEQGEN_ALL_TUNES=1 pytest -m slow``.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from helpers.abc2midi import PROGRAM, compare
from seqgen_envs.domains.melody import dataset
from seqgen_envs.domains.melody.reading.abc import read_text, split_abc

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="abc2midi (Debian: abcmidi) is not installed"),
]
LEAST = 0.98
ALL = bool(os.environ.get("SEQGEN_ALL_TUNES"))
GENERATED = 1000 if ALL else 200
OF_A_COLLECTION = 300


def generated(seed: int) -> str:
    """A tune as the Nottingham collection writes them, with ``::``, slurs and what goes with it."""
    rng = np.random.default_rng(seed)
    metre, units = (("4/4", 8), ("6/8", 6), ("2/4", 4), ("3/4", 6), ("9/8", 9))[rng.integers(4)]
    key = rng.choice(["G", "D", "A", "C", "F", "Em", "Ador", "Dmix", "Bb", "F#m"])

    def note() -> str:
        sign = rng.choice(["", "^", "_", "="], p=[0.91, 0.03, 0.03, 0.03])
        return f"{sign}{rng.choice(list('CDEFGABcdefgab'))}"

    def group() -> tuple[str, int]:
        a, b, c = note(), note(), note()
        kinds = [
            (a, 1), (f"{a}2", 2), (f"{a}-{b}", 2), (f"{a}-{a}", 2), (f"({a}{b})", 2),
            (f"{a}>{b}", 2), (f"{a}<{b}", 2), (f"{a}/{b}/", 1), (f"(3{a}{b}{c}", 2),
            (f'"Am"{a}', 1), (f"{{{b}}}{a}", 1), (f"z{''}", 1), (f".{a}.{b}", 2), (f"!p!{a}", 1),
        ]  # fmt: skip
        return kinds[rng.integers(len(kinds))]

    def bar() -> str:
        made, left = [], units
        while left:
            written, length = group()
            if length <= left:
                made.append(written)
                left -= length
        return rng.choice(["", " "]).join(made)

    lines = []
    for _ in range(4):
        ends = [
            rng.choice(["|", "||", "::", ":|", ":|:", ":|]"], p=[0.5, *[0.1] * 5]) for _ in "1234"
        ]
        lines.append("".join(bar() + end for end in ends))
        lines.append(str(rng.choice(["w: a bad ca-fe", "% bad", "N: face", 's: "^bad" * !f!'])))
    body = "\n".join(lines)
    return f"X:1\nT:Generated {seed}\nM:{metre}\nL:1/8\nK:{key}\n|:{body}\n"


def test_generated_tunes(tmp_path: Path) -> None:
    tunes = [(f"{seed}", generated(seed)) for seed in range(GENERATED)]
    found = compare(tunes, tmp_path)
    print(f"generated: {found.share:.2%} of {GENERATED} equal", found.different[:10])
    assert not found.one_refused
    assert found.share >= LEAST


@pytest.mark.parametrize("collection", dataset.COLLECTIONS)
def test_the_collections(collection: str, tmp_path: Path) -> None:
    folder = dataset._music21_corpus() / collection
    tunes = [tune for file in sorted(folder.glob("*.abc")) for tune in split_abc(read_text(file))]
    if not ALL:
        tunes = tunes[:: max(1, len(tunes) // OF_A_COLLECTION)]
    found = compare(tunes, tmp_path)
    print(f"{collection}: {found.share:.2%} of {len(tunes)} equal", end=", ")
    print(f"{len(found.one_refused)} taken by one alone")
    print(found.different)
    assert found.share >= LEAST
    assert len(found.one_refused) < 0.02 * len(tunes)
