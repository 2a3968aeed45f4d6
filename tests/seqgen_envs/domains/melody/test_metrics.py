"""Melody statistics and the paper's table: golden vectors, hand-made melodies, edge cases."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.melodies import melodies
from helpers.paths import DATA
from seqgen_envs.domains.melody import metrics
from seqgen_envs.domains.melody.metrics import PAPER_TABLE, melody_stats, summarize

GOLDEN = DATA / "melody_rule_vectors.npz"


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as data:
        return {name: data[name] for name in data.files}


def test_golden_stats(golden):
    stats = melody_stats(golden["tokens"])
    assert list(stats) == golden["stat_names"].tolist()
    for name, expected in zip(stats, golden["stats"].T, strict=True):
        assert stats[name].dtype == np.float64
        np.testing.assert_allclose(stats[name], expected, rtol=0, atol=1e-5, err_msg=name)


def test_chunks_change_nothing(golden, monkeypatch):
    whole = melody_stats(golden["tokens"])
    monkeypatch.setattr(metrics, "_CHUNK", 7)
    for name, values in melody_stats(golden["tokens"]).items():
        np.testing.assert_array_equal(values, whole[name])


def test_summary_agrees_with_the_golden_stats(golden):
    stats = dict(zip(golden["stat_names"].tolist(), golden["stats"].T.astype(float), strict=True))
    n, horizon = golden["tokens"].shape
    leaps = stats["leaps_resolved"].sum() + stats["leaps_doubled"].sum()
    expected = {
        "notes_excessively_repeated": stats["notes_excessively_repeated"].sum() / (n * horizon),
        "mean_autocorrelation_lag1": np.nanmean(stats["autocorrelation_lag1"]),
        "mean_autocorrelation_lag2": np.nanmean(stats["autocorrelation_lag2"]),
        "mean_autocorrelation_lag3": np.nanmean(stats["autocorrelation_lag3"]),
        "notes_not_in_key": stats["notes_not_in_key"].sum() / (n * horizon),
        "melodies_starting_with_tonic": stats["starts_with_tonic"].sum() / n,
        "leaps_resolved": stats["leaps_resolved"].sum() / leaps,
        "melodies_with_unique_highest": stats["unique_highest"].sum() / n,
        "melodies_with_unique_lowest": stats["unique_lowest"].sum() / n,
        "notes_in_motif": stats["notes_in_motif"].sum() / (n * horizon),
        "notes_in_repeated_motif": stats["notes_in_repeated_motif"].sum() / (n * horizon),
        "distinct_melodies": len({tuple(row) for row in golden["tokens"].tolist()}) / n,
    }
    assert summarize(golden["tokens"]) == pytest.approx(expected, abs=1e-7)


@settings(max_examples=30, deadline=None)
@given(melodies(size=4), st.permutations(range(4)))
def test_each_melody_has_its_own_statistics(batch, order):
    stats = melody_stats(batch)
    for i, melody in enumerate(batch):
        for name, alone in melody_stats(melody[None]).items():
            np.testing.assert_array_equal(stats[name][i], alone[0], err_msg=name)
    expected = pytest.approx(summarize(batch), nan_ok=True)
    assert summarize(batch[order]) == expected


@settings(max_examples=50, deadline=None)
@given(melodies(size=3))
def test_copies_change_only_how_many_are_distinct(batch):
    once, twice = summarize(batch), summarize(np.concatenate([batch, batch]))
    assert twice == pytest.approx(
        once | {"distinct_melodies": once["distinct_melodies"] / 2}, nan_ok=True
    )
    shares = [value for name, value in once.items() if "autocorrelation" not in name]
    assert all(math.isnan(share) or 0 <= share <= 1 for share in shares)


def test_a_small_batch_by_hand():
    scale = [14, 16, 18, 19, 21, 23, 25, 26]  # C major from middle C up an octave
    table = summarize([scale, scale, [15, 1, 1, 1, 1, 1, 1, 0], [0] * 8])
    assert table["melodies_starting_with_tonic"] == 2 / 4
    assert table["melodies_with_unique_highest"] == table["melodies_with_unique_lowest"] == 3 / 4
    assert table["notes_not_in_key"] == 1 / 32
    assert table["notes_in_motif"] == 2 / 32
    assert table["notes_in_repeated_motif"] == 0
    assert table["notes_excessively_repeated"] == (1 + 6) / 32  # the sixth hold; rests 3 to 8
    assert table["distinct_melodies"] == 3 / 4
    assert math.isnan(table["leaps_resolved"])


def test_leaps_resolved_and_doubled():
    resolved, doubled = [14, 26, 14, 1], [14, 26, 35, 1]
    assert melody_stats([resolved, doubled])["leaps_doubled"].tolist() == [0, 1]
    slow = [14, 26, 1, 1, 1, 1, 1, 1, 1, 18]  # a leap back counts after more than 6 steps only
    fast = [14, 26, 1, 1, 1, 1, 1, 1, 18, 1]
    assert melody_stats([slow, fast])["leaps_resolved"].tolist() == [1, 0]
    assert summarize([slow, [14, 26, 35, 1, 1, 1, 1, 1, 1, 0]])["leaps_resolved"] == 1 / 2


def test_undefined_autocorrelations_are_left_out():
    lively, flat = [14, 26, 14, 26, 14, 26, 14, 26], [14] * 8
    alone, both = summarize([lively]), summarize([lively, flat])
    for lag in (1, 2, 3):
        name = f"mean_autocorrelation_lag{lag}"
        assert alone[name] == both[name] == pytest.approx((-1) ** lag * (8 - lag) / 8)
        assert math.isnan(summarize([flat])[name])


def test_key_and_bar_length_are_the_tasks():
    melody = [[16, 18, 19, 16, 18, 19, 1, 0]]
    assert melody_stats(melody, key="D minor")["starts_with_tonic"] == 1
    assert melody_stats(melody, key="D minor")["notes_not_in_key"] == 0
    assert melody_stats(melody, key="D major")["notes_not_in_key"] == 2
    assert melody_stats(melody)["notes_in_motif"] == 1
    assert melody_stats(melody, bar_length=8)["notes_in_motif"] == 4


def test_no_melodies():
    none = np.zeros((0, 32), dtype=int)
    assert all(values.shape == (0,) for values in melody_stats(none).values())
    with pytest.raises(ValueError, match="no melodies"):
        summarize(none)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([1, 2, 3], "integer array"),
        ([[1.0, 2.0]], "integer array"),
        (np.zeros((3, 0), dtype=int), "integer array"),
        ([[3, 38]], r"got 3\.\.38"),
        ([[-1, 3]], r"got -1\.\.3"),
    ],
)
def test_what_are_not_melodies(tokens, message):
    with pytest.raises(ValueError, match=message):
        melody_stats(tokens)


def test_bad_key_and_bar_length():
    with pytest.raises(ValueError, match="unknown key"):
        melody_stats([[14, 16]], key="C lydian")
    with pytest.raises(ValueError, match="bar_length"):
        summarize([[14, 16]], bar_length=6)


def test_the_papers_table_has_the_summarys_rows(golden):
    rows = [name for name in summarize(golden["tokens"]) if name != "distinct_melodies"]
    assert list(PAPER_TABLE) == ["Note RNN", "Q", "Psi", "G"]
    for column in PAPER_TABLE.values():
        assert list(column) == rows
    assert PAPER_TABLE["G"]["mean_autocorrelation_lag1"] == 0.55
    assert PAPER_TABLE["Q"]["notes_in_repeated_motif"] == 0.0011
    assert PAPER_TABLE["Note RNN"]["notes_in_repeated_motif"] == 0.00007
    assert PAPER_TABLE["Psi"]["leaps_resolved"] == 0.9
