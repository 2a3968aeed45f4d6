"""The nine rules judged together: NumPy's form, plain Python's and the compiled one agree."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.melodies import melodies
from seqgen_envs.domains.melody import compiled, kernel, tasks
from seqgen_envs.domains.melody.rules import autocorrelation
from seqgen_envs.domains.melody.tasks import MelodyTask, rl_tuner_task
from seqgen_envs.rules import Task, score_sequences

HORIZONS = (1, 3, 8, 20, 32, 45)
BARS = st.sampled_from([("C major", 16), ("Eb minor", 8), ("F# major", 24)])


def same_bits(actual, expected):
    """Equal to the last bit; only the sign of a zero is free."""
    assert actual.shape == expected.shape
    assert (actual + 0.0).tobytes() == (expected + 0.0).tobytes()


@pytest.fixture
def plain(monkeypatch):
    """Neither compiled nor, for more than ``FEW`` melodies, other than NumPy's."""
    monkeypatch.setattr(MelodyTask, "_steps", -(10**9))


@pytest.fixture
def machine_code(monkeypatch):
    pytest.importorskip("numba", reason="numba is not installed: pip install 'seqgen[speed]'")
    assert compiled.judge_many() is not None
    monkeypatch.setattr(MelodyTask, "_steps", tasks.COMPILED_AFTER)


def forms_agree(batch, key, bar_length):
    task = rl_tuner_task(key, bar_length)
    twin = Task("twin", task.terms)  # rule by rule, in NumPy
    same_bits(score_sequences(task, batch), score_sequences(twin, batch))


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(HORIZONS).flatmap(lambda h: melodies(h, size=tasks.FEW)), BARS)
def check_forms(batch, scale):
    forms_agree(batch, *scale)


def test_plain_python_is_numpy_to_the_last_bit(plain):
    check_forms()


def test_the_compiled_form_is_numpy_to_the_last_bit(machine_code):
    check_forms()


def long_melodies(n=3, horizon=400):
    """Walks that repeat themselves after a while, and a random one."""
    rng = np.random.default_rng(0)
    batch = rng.integers(0, 38, (n, horizon))
    batch[0, horizon // 2 :] = batch[0, : horizon - horizon // 2]
    batch[1] = np.tile(rng.integers(0, 38, 37), horizon)[:horizon]
    return batch


@pytest.mark.parametrize("form", ["plain", "machine_code"])
def test_long_melodies_too(form, request):
    request.getfixturevalue(form)
    batch = long_melodies()
    forms_agree(batch, "C major", 16)
    repeated = score_sequences(rl_tuner_task(), batch)[:, :, 5]
    assert (repeated[:2] > 0).mean() > 0.3


@pytest.mark.parametrize("form", ["plain", "machine_code"])
def test_lanes_of_mixed_lengths(form, request):
    request.getfixturevalue(form)
    batch, lengths = long_melodies(5, 20), np.array([1, 2, 9, 17, 20])
    task = rl_tuner_task()
    state = np.repeat(task.initial_state()[0][None], 5, axis=0)
    for row, length in enumerate(lengths):
        for t in range(1, length):
            one = slice(row, row + 1)
            _, (state[one],) = task.score(
                batch[one], np.array([t]), np.zeros(1, bool), (state[one],)
            )
    values, (after,) = task.score(batch, lengths, lengths == 20, (state,))
    numpy_form = MelodyTask("numpy", task.terms)
    numpy_form._judge = lambda *arguments: False
    expected, (expected_after,) = numpy_form.score(batch, lengths, lengths == 20, (state,))
    same_bits(values, expected)
    same_bits(after, expected_after)


@pytest.mark.parametrize("form", ["plain", "machine_code"])
@pytest.mark.parametrize("bad", [38, -1, 10**6])
def test_what_is_no_token_scores_as_before(form, bad, request, caplog):
    """The rules raise; no form reads past its tables."""
    request.getfixturevalue(form)
    batch = long_melodies(2, 20)
    batch[1, 5] = bad
    task = rl_tuner_task()
    scores = score_sequences(task, batch)
    assert np.isfinite(scores).all()
    assert task.failures.count > 0 or bad == -1  # NumPy takes -1 for the last


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(HORIZONS[2:]).flatmap(melodies))
def test_running_sums_are_the_autocorrelation(batch):
    rule = next(t.rule for t in rl_tuner_task().terms if t.name == "autocorrelation")
    state = rule.initial_state()[None]
    for n in range(1, batch.shape[1] + 1):
        value, state = rule.update(state, batch, np.array([n]))
        sizes = np.abs(autocorrelation(batch[:, :n]))
        if not (sizes == rule.threshold).any():
            same_bits(value, -rule.scale * np.where(sizes > rule.threshold, sizes, 0.0).sum(axis=0))


@pytest.mark.parametrize("read_only", [True, False])
def test_arrays_that_machine_code_does_not_take_are_judged_by_numpy(machine_code, read_only):
    task, batch = rl_tuner_task(), long_melodies(8, 20)
    expected = score_sequences(task, batch)[:, 0]
    if read_only:
        batch.flags.writeable = False
    else:
        batch = np.asfortranarray(batch)
    state = np.repeat(task.initial_state()[0][None], 8, axis=0)
    values, _ = task.score(batch, np.ones(8, dtype=np.int64), np.zeros(8, bool), (state,))
    same_bits(values, expected)


def test_without_numba_nothing_is_missing(monkeypatch, caplog):
    def absent(module, extra):
        raise ImportError(f"this needs the optional package {module!r}")

    monkeypatch.setattr(compiled, "require", absent)
    with caplog.at_level("INFO"):
        assert compiled.judge_many.__wrapped__() is None
    assert "run uncompiled" in caplog.text


def test_the_rules_are_compiled_after_some_steps(machine_code, monkeypatch):
    monkeypatch.setattr(MelodyTask, "_steps", tasks.COMPILED_AFTER - 3)
    asked = []
    monkeypatch.setattr(compiled, "judge_many", lambda: asked.append(1))
    score_sequences(rl_tuner_task(), long_melodies(2, 8))
    assert len(asked) == 8 - 3
    assert rl_tuner_task().initial_state()[0].size == kernel.WIDTH
