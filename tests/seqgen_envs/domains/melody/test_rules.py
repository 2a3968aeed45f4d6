"""The nine melody rules: golden vectors, a naive twin, and what must hold for any melody."""

import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import seqgen_envs  # noqa: F401  (registers the ids)
from helpers.melodies import C, E, G, melodies
from helpers.paths import DATA
from seqgen_envs.domains.melody import DOMAIN
from seqgen_envs.domains.melody.keys import Key
from seqgen_envs.domains.melody.rules import PreferredIntervalRule, autocorrelation
from seqgen_envs.domains.melody.tasks import RECOMMENDED_WEIGHTS, rl_tuner_task
from seqgen_envs.domains.melody.vocabulary import VOCABULARY
from seqgen_envs.domains.toy.prior import TabularPrior
from seqgen_envs.rules import ScanRule, Task, Term, score_sequences

GOLDEN = DATA / "melody_rule_vectors.npz"
NAMES = (
    "key",
    "tonic",
    "repetition",
    "autocorrelation",
    "motif",
    "repeated_motif",
    "preferred_interval",
    "leap_resolution",
    "unique_extremes",
)
HORIZONS = (1, 3, 6, 20, 32)


# -- the naive twin: the rules as the page words them, one melody and one step at a time ----------


def notes(tokens):
    return [token for token in tokens if token >= 2]


def twin_key(h, a, _):
    return 0.0 if a < 2 or (a + 46) % 12 in {0, 2, 4, 5, 7, 9, 11} else -1.0


def twin_tonic(h, a, horizon):
    t = len(h)
    if t in (0, horizon - 4) and a == 14:
        return 3.0
    if (t == horizon - 3 and a == 1) or (t > horizon - 3 and a < 2):
        return 3.0
    return 0.0


def twin_repetition(h, a, _):
    count, marked = 0, False
    for token in reversed(h):
        if token == a:
            count += 1
        elif token < 2:
            marked = True
        else:
            break
    excessive = (a == 0 and count > 1) or count > (6 if marked else 4)
    return -100.0 if excessive else 0.0


def left_to_right(values):
    total = 0.0
    for value in values:
        total += value
    return total


def twin_autocorrelation(h, a, _):
    m = [*h, a]
    n, mean = len(m), sum(m) / len(m)
    variance = left_to_right((x - mean) * (x - mean) for x in m) / n
    if variance == 0:
        return 0.0
    value = 0.0
    for lag in (1, 2, 3):
        total = left_to_right((m[i + lag] - mean) * (m[i] - mean) for i in range(n - lag))
        coefficient = total / n / variance
        value -= 3 * abs(coefficient) if abs(coefficient) > 0.15 else 0.0
    return value


def twin_motif(h, a, _):
    m = [*h, a]
    u = len(set(notes(m[-8:])))
    return 3 + 0.3 * (u - 3) if len(m) >= 8 and u >= 3 else 0.0


def twin_repeated_motif(h, a, horizon):
    m = [*h, a]
    if not twin_motif(h, a, horizon):
        return 0.0
    before, last = m[: len(m) - 8], m[-8:]
    found = any(before[i : i + 8] == last for i in range(len(before) - 7))
    return 4.0 + len(set(notes(last))) - 3 if found else 0.0


def twin_preferred_interval(h, a, _):
    if not notes(h):
        return 0.0
    b = notes(h)[-1]
    d = abs(a - b)
    if a == 1:
        value = 0.3 if b in C + G else 0.075
    elif a == 0:
        value = 0.15 if b in C + G else 0.05
    elif d == 7 and b in C + G:
        value = 0.1
    elif d == 4 and b in C + E:
        value = 0.15
    else:
        value = {4: 0.09, 2: 0.08, 5: 0.07, 9: 0.05, 7: 0.02, 11: -0.3}.get(d, 0.0)
        value = -1.0 if d > 12 else value
    return 5 * value


def twin_leap(state, h, a):
    direction, left, steps = state
    if not h:
        return 0.0, state
    if a < 2:
        return 0.0, (direction, left, steps + 1)
    b = notes(h)[-1] if notes(h) else a
    if abs(a - b) >= 7:
        this = "up" if a > b else "down"
        if direction is None:
            return 0.0, (this, b, 0)
        if this != direction:
            return (5.0 if steps > 6 else 0.0), (None, None, 0)
        return -5.0, (direction, left, 0)
    if (direction == "up" and a <= left) or (direction == "down" and a >= left):
        return 5.0, (None, None, steps + 1)
    return 0.0, (direction, left, steps + 1)


def twin_unique_extremes(h, a, horizon):
    m = [*h, a]
    if len(m) < horizon:
        return 0.0
    lowest = notes(m) and notes(m).count(min(notes(m))) == 1
    return 3.0 * (m.count(max(m)) == 1) + 3.0 * bool(lowest)


def twin_scores(melody):
    rules = (
        twin_key,
        twin_tonic,
        twin_repetition,
        twin_autocorrelation,
        twin_motif,
        twin_repeated_motif,
        twin_preferred_interval,
    )
    rows, state = [], (None, None, 0)
    for t, a in enumerate(melody):
        h = melody[:t]
        leap, state = twin_leap(state, h, a)
        row = [rule(h, a, len(melody)) for rule in rules]
        rows.append([*row, leap, twin_unique_extremes(h, a, len(melody))])
    return np.array(rows)


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as data:
        return {name: data[name] for name in data.files}


@pytest.fixture(scope="module")
def golden_scores(golden):
    return score_sequences(rl_tuner_task(), golden["tokens"])


@pytest.mark.parametrize("name", NAMES)
def test_golden_vectors_at_every_step(golden, golden_scores, name):
    assert tuple(golden["rule_names"]) == rl_tuner_task().names == NAMES
    column = NAMES.index(name)
    expected = golden["rewards"][:, :, column]
    np.testing.assert_allclose(golden_scores[:, :, column], expected, rtol=0, atol=1e-5)


def test_golden_vectors_through_the_vector_environment(golden):
    env = gym.make_vec("MelodyGen-v0", num_envs=len(golden["tokens"]), autoreset_mode="Disabled")
    env.reset()
    for t, actions in enumerate(golden["tokens"].T.astype(np.int64)):
        terms = env.step(actions)[-1]["reward_terms"]
        for name, expected in zip(NAMES, golden["rewards"][:, t].T, strict=True):
            np.testing.assert_allclose(terms[name], expected, rtol=0, atol=1e-5, err_msg=name)


def test_golden_vectors_through_the_single_environment(golden):
    uniform = TabularPrior(np.full((1, 39, 38), -np.log(38)), VOCABULARY)  # quick
    env = gym.make("MelodyGen-v0", prior=uniform, disable_env_checker=True)
    for melody, expected in zip(golden["tokens"], golden["rewards"], strict=True):
        env.reset()
        terms = [env.step(token)[-1]["reward_terms"] for token in melody]
        assert all(tuple(row) == NAMES for row in terms)
        values = [list(row.values()) for row in terms]
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-5)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(HORIZONS).flatmap(melodies))
def test_naive_twin(batch):
    scores = score_sequences(rl_tuner_task(), batch)[0]
    np.testing.assert_allclose(scores, twin_scores(batch[0].tolist()), rtol=0, atol=1e-9)


@settings(max_examples=30, deadline=None)
@given(melodies(size=5))
def test_a_batch_scores_as_its_rows_do(batch):
    task = rl_tuner_task()
    rows = [score_sequences(task, row[None])[0] for row in batch]
    np.testing.assert_array_equal(score_sequences(task, batch), rows)


def states_before(task, batch, lengths):
    """The scan rules' states before the last token of each prefix."""
    state = [np.repeat(row[None], len(batch), axis=0) for row in task.initial_state()]
    for i, length in enumerate(lengths):
        row = tuple(carried[i : i + 1] for carried in state)
        for t in range(1, length):
            _, row = task.score(batch[i : i + 1], np.array([t]), np.array([False]), row)
        for carried, after in zip(state, row, strict=True):
            carried[i] = after[0]
    return tuple(state)


@settings(max_examples=40, deadline=None)
@given(melodies(size=4), melodies(size=4), st.lists(st.integers(1, 32), min_size=4, max_size=4))
def test_only_the_prefix_is_read_at_mixed_lengths(batch, other, lengths):
    task = rl_tuner_task()
    lengths = np.array(lengths)
    ends = lengths == 32
    expected = score_sequences(task, batch)[np.arange(4), lengths - 1]
    state = states_before(task, batch, lengths)
    future = np.arange(32) >= lengths[:, None]
    for rest in (batch, other, np.full_like(batch, 38)):
        changed = np.where(future, rest, batch)
        values, after = task.score(changed, lengths, ends, state)
        np.testing.assert_array_equal(values, expected)
        for i in range(4):
            rows = slice(i, i + 1)
            one = tuple(s[rows] for s in state)
            alone, alone_after = task.score(changed[rows], lengths[rows], ends[rows], one)
            np.testing.assert_array_equal(alone, values[rows])
            np.testing.assert_array_equal(alone_after[0], after[0][rows])


@settings(max_examples=20, deadline=None)
@given(melodies(size=2), st.sampled_from(NAMES), st.floats(-10, 10))
def test_weights_scale_one_term(batch, name, weight):
    plain = score_sequences(rl_tuner_task(), batch)
    weighted = score_sequences(rl_tuner_task(weights={name: weight}), batch)
    plain[:, :, NAMES.index(name)] *= weight
    np.testing.assert_array_equal(weighted, plain)


KEYS = ("C", "Db", "D", "D#", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")


@pytest.mark.parametrize("mode", ["major", "minor"])
@settings(max_examples=40, deadline=None)
@given(batch=melodies(high=26), shift=st.integers(1, 11))
def test_transposed_melodies_score_alike_in_the_transposed_key(mode, batch, shift):
    transposed = np.where(batch > 1, batch + shift, batch)
    here = score_sequences(rl_tuner_task(f"C {mode}"), batch)
    there = score_sequences(rl_tuner_task(f"{KEYS[shift]} {mode}"), transposed)
    raw = NAMES.index("autocorrelation")  # of token ids, specials included: not covariant
    np.testing.assert_array_equal(np.delete(here, raw, axis=2), np.delete(there, raw, axis=2))


@settings(max_examples=30, deadline=None)
@given(batch=melodies(low=2, high=26), shift=st.integers(1, 11))
def test_autocorrelation_of_melodies_without_specials_survives_transposition(batch, shift):
    np.testing.assert_array_equal(autocorrelation(batch), autocorrelation(batch + shift))


def test_other_keys():
    key = Key.parse("Bb minor")
    assert key.tonic_token == 70 - 46
    assert key.scale == {10, 0, 1, 3, 5, 6, 8}
    assert Key.parse("A# minor") == key
    assert Key.parse("B major").tonic_token == 71 - 46
    assert Key.parse("Cb major") == Key.parse("B major")


@pytest.mark.parametrize(
    ("key", "interval", "value"),
    [("D minor", 3, 0.75), ("D minor", 4, 0.45), ("D major", 3, 0.0), ("D major", 4, 0.75)],
)
def test_the_bonus_third_is_the_keys_own(key, interval, value):
    d4 = 16
    rule = PreferredIntervalRule(Key.parse(key))
    state, melody = rule.initial_state()[None], np.array([[d4, d4 + interval, 38]])
    _, state = rule.update(state, melody, np.array([1]))
    values, _ = rule.update(state, melody, np.array([2]))
    np.testing.assert_allclose(values, value)


@pytest.mark.parametrize("key", ["H minor", "C", "C dorian", "c major", "C  major", "", 3])
def test_unknown_keys_are_named_with_the_valid_ones(key):
    with pytest.raises(ValueError, match=r"unknown key .*F# minor.*Bb.*modes: major, minor"):
        rl_tuner_task(key)


@pytest.mark.parametrize("bar_length", [4, 10, 0, -16, 16.0])
def test_bad_bar_lengths(bar_length):
    with pytest.raises(ValueError, match="multiple of 4, at least 8"):
        rl_tuner_task(bar_length=bar_length)


def test_unknown_weights():
    with pytest.raises(ValueError, match=r"no term \['tonik'\]"):
        rl_tuner_task(weights={"tonik": 2.0})


def test_bar_length_sets_the_motifs_window_and_the_closing():
    melody = [14, 16, 18, 1, 14, 16, 18, 1, 1, 0, 14, 1]
    scores = score_sequences(rl_tuner_task(bar_length=8), np.array([melody]))[0]
    motif, repeated = NAMES.index("motif"), NAMES.index("repeated_motif")
    assert np.flatnonzero(scores[:, motif]).tolist() == [3, 4, 5, 6, 7]
    assert np.flatnonzero(scores[:, repeated]).tolist() == [7]
    assert np.flatnonzero(scores[:, NAMES.index("tonic")]).tolist() == [0, 10, 11]


@pytest.mark.parametrize("name", NAMES)
def test_rules_can_be_copied_pickled_and_hashed(golden, golden_scores, name):
    rule = rl_tuner_task().terms[NAMES.index(name)].rule
    few = golden["tokens"][:20]
    score_sequences(Task("alone", [Term(name, rule)]), few)  # fills whatever it caches
    for twin in (copy.deepcopy(rule), pickle.loads(pickle.dumps(rule))):
        assert twin == rule
        assert hash(twin) == hash(rule)
        scores = score_sequences(Task("alone", [Term(name, twin)]), few)
        np.testing.assert_array_equal(scores[:, :, 0], golden_scores[:20, :, NAMES.index(name)])


PREFIX_RULES = [t.name for t in rl_tuner_task().terms if not isinstance(t.rule, ScanRule)]


@pytest.mark.parametrize("name", PREFIX_RULES)
def test_what_a_rule_returns_is_the_callers(golden, name):
    rule = rl_tuner_task().terms[NAMES.index(name)].rule
    tokens = golden["tokens"].astype(np.int64)
    lengths = np.full(len(tokens), 32)
    first = rule(tokens, lengths)
    kept = first.copy()
    assert kept.any()
    first += 1000.0
    np.testing.assert_array_equal(rule(tokens, lengths), kept)


def test_no_prefixes_no_values():
    task = rl_tuner_task()
    none = np.zeros(0, dtype=np.int64)
    for term in task.terms:
        if isinstance(term.rule, ScanRule):
            state = np.zeros((0, term.rule.width))
            values, _ = term.rule.update(state, none.reshape(0, 32), none)
        else:
            values = term.rule(none.reshape(0, 32), none)
        assert values.shape == (0,)


def test_the_recommended_task_is_the_nine_rules_with_weights(golden):
    task = DOMAIN.make_task("recommended")
    weights = {term.name: term.weight for term in task.terms if term.weight != 1}
    assert weights == RECOMMENDED_WEIGHTS
    assert task.name == "recommended"
    plain, tokens = rl_tuner_task(), golden["tokens"][:8]
    factors = [RECOMMENDED_WEIGHTS.get(name, 1.0) for name in plain.names]
    np.testing.assert_allclose(
        score_sequences(task, tokens), score_sequences(plain, tokens) * factors
    )


def test_arguments_of_the_recommended_task_override():
    task = DOMAIN.make_task(
        {
            "name": "recommended",
            "key": "D minor",
            "bar_length": 8,
            "weights": {"key": 7, "tonic": 3},
        }
    )
    weights = {term.name: term.weight for term in task.terms}
    assert weights == {name: RECOMMENDED_WEIGHTS.get(name, 1.0) for name in NAMES} | {
        "key": 7.0,
        "tonic": 3.0,
    }
    rules = {term.name: term.rule for term in rl_tuner_task("D minor", 8).terms}
    assert {term.name: term.rule for term in task.terms} == rules
