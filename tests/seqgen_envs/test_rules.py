"""Tasks: weighted terms over batches of prefixes. (Failing rules: see test_env_errors.)"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqgen_envs.domains.toy.rules import SecondB, alternation, balance, letters_task
from seqgen_envs.rules import RuleError, ScanRule, Task, Term, score_sequences

PAD = 4


def last(tokens, lengths):
    return tokens[np.arange(len(tokens)), lengths - 1].astype(float)


def length_rule(tokens, lengths):
    return lengths.astype(float)


class RunningSum(ScanRule):
    """The sum of all tokens so far: what only a state can know without walking back."""

    width = 2

    def initial_state(self):
        return np.array([0.0, 10.0])

    def update(self, state, tokens, lengths):
        total = state[:, 0] + last(tokens, lengths)
        return total, np.stack([total, state[:, 1] + 1], axis=1)


def padded(sequences, horizon=5):
    tokens = np.full((len(sequences), horizon), PAD)
    for row, sequence in enumerate(sequences):
        tokens[row, : len(sequence)] = sequence
    return tokens, np.array([len(s) for s in sequences])


prefixes = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=5), min_size=1, max_size=6)


@given(prefixes)
@settings(deadline=None)
def test_scores_are_weighted_values_at_their_places(sequences):
    terms = [
        Term("last", last, weight=2.0),
        Term("end", length_rule, at="end"),
        Term("sum", RunningSum(), weight=-1.0),
    ]
    tokens, lengths = padded(sequences)
    values = score_sequences(Task("t", terms), tokens, lengths)
    assert values.shape == (len(sequences), 5, 3)
    expected = np.zeros_like(values)
    for row, sequence in enumerate(sequences):
        for t, token in enumerate(sequence):
            ends = t == len(sequence) - 1
            expected[row, t] = [2.0 * token, (t + 1) * ends, -sum(sequence[: t + 1])]
    np.testing.assert_array_equal(values, expected)


def test_rows_may_have_any_lengths_in_one_call():
    tokens, lengths = padded([[1], [2, 3], [0, 0, 1]])
    task = Task("t", [Term("last", last), Term("end", length_rule, at="end")])
    finished = np.array([False, True, False])
    values, state = task.score(tokens, lengths, finished, ())
    np.testing.assert_array_equal(values, [[1, 0], [3, 2], [1, 0]])
    assert state == ()


def test_end_rules_are_called_for_finished_rows_only():
    calls = []

    def spy(tokens, lengths):
        calls.append(tokens.tolist())
        return np.ones(len(tokens))

    task = Task("t", [Term("spy", spy, at="end")])
    tokens, lengths = padded([[1, 2], [3, 0]], horizon=2)
    task.score(tokens, lengths, np.array([False, False]), ())
    assert calls == []
    task.score(tokens, lengths, np.array([False, True]), ())
    assert calls == [[[3, 0]]]


def test_scan_states_are_carried_and_never_changed_in_place():
    task = Task("t", [Term("sum", RunningSum())])
    (start,) = task.initial_state()
    state = (np.repeat(start[None], 2, axis=0),)
    tokens, lengths = padded([[1], [2]])
    _, after = task.score(tokens, lengths, np.zeros(2, bool), state)
    np.testing.assert_array_equal(state[0], [[0, 10], [0, 10]])
    np.testing.assert_array_equal(after[0], [[1, 11], [2, 11]])


def test_toy_rules_by_hand():
    assert alternation(*padded([[0], [0, 0], [0, 1]])).tolist() == [0.0, -0.5, 0.5]
    assert balance(*padded([[0, 0, 3], [0, 2, 3], [1, 3]])).tolist() == [-0.5, 1.5, 1.5]
    task = Task("b", [Term("b", SecondB())])
    values = score_sequences(task, np.array([[1, 0, 1, 1, 1]]))[0, :, 0]
    assert values.tolist() == [0.0, 0.0, 1.0, -1.0, -1.0]


# -- weights --------------------------------------------------------------------------------------


def test_with_weights_replaces_only_those_named():
    task = letters_task()
    changed = task.with_weights({"balance": 0.0, "second_b": 4})
    assert {t.name: t.weight for t in changed.terms} == {
        "alternation": 1.0,
        "second_b": 4.0,
        "balance": 0.0,
    }
    assert [t.weight for t in task.terms] == [1.0, 1.0, 1.0]
    assert changed.names == task.names
    tokens = np.array([[1, 1, 0, 2, 3]])
    ratio = np.array([1.0, 4.0, 0.0])
    np.testing.assert_array_equal(
        score_sequences(changed, tokens), score_sequences(task, tokens) * ratio
    )
    strict = Task("t", task.terms, on_error="raise").with_weights({})
    assert strict.on_error == "raise"


def test_unknown_terms_are_named():
    with pytest.raises(ValueError, match=r"no term \['volume'\]; terms: \['alternation'"):
        letters_task({"volume": 1.0})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Term("x", last, at="start"), "at must be 'step' or 'end', got 'start'"),
        (lambda: Term("x", RunningSum(), at="end"), "a ScanRule is judged at every step"),
        (lambda: Term("x", last, weight=float("nan")), "weight must be finite, got nan"),
        (lambda: Task("t", []), "task 't' has no terms"),
        (lambda: Task("t", [Term("x", last)] * 2), r"names repeat: \['x', 'x'\]"),
        (lambda: Task("t", [Term("x", last)], on_error="ignore"), "'invalid' or 'raise'"),
    ],
)
def test_tasks_are_checked(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# -- failures -------------------------------------------------------------------------------------


class WrongState(RunningSum):
    def update(self, state, tokens, lengths):
        values, after = super().update(state, tokens, lengths)
        return values, after[:, 0]


class WrongValues(RunningSum):
    def update(self, state, tokens, lengths):
        values, after = super().update(state, tokens, lengths)
        return values[:, None], after


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (lambda tokens, lengths: 1.0, r"rule 'x' of task 't' returned shape \(\) for 2 prefixes"),
        (lambda tokens, lengths: np.ones((2, 1)), r"returned shape \(2, 1\).*expected \(2,\)"),
        (WrongValues(), r"returned shape \(2, 1\).*expected \(2,\)"),
        (WrongState(), r"returned a state of shape \(2,\); expected \(2, 2\)"),
    ],
)
def test_wrong_shapes_are_errors_of_the_program(rule, message):
    task = Task("t", [Term("x", rule)])
    with pytest.raises(RuleError, match=message):
        score_sequences(task, np.array([[0, 1], [2, 3]]))
    assert task.failures.count == 0


def fragile(tokens, lengths):
    if (last(tokens, lengths) == 3).any():
        raise ZeroDivisionError("three")
    return last(tokens, lengths)


@pytest.mark.parametrize("at", ["step", "end"])
def test_a_raising_rule_is_asked_again_row_by_row(at):
    task = Task("t", [Term("steady", length_rule), Term("fragile", fragile, at=at)])
    tokens, lengths = padded([[1], [3], [2], [3]])
    values, _ = task.score(tokens, lengths, np.ones(4, bool), ())
    np.testing.assert_array_equal(values, [[1, 1], [0, 0], [1, 2], [0, 0]])
    assert task.failures.by_term == {"fragile": 2}
    assert "ZeroDivisionError: three" in task.failures.first
    assert "tokens [3]" in task.failures.first


def test_on_error_raise_raises():
    tokens, lengths = padded([[3]])
    task = Task("t", [Term("fragile", fragile)], on_error="raise")
    with pytest.raises(ZeroDivisionError):
        task.score(tokens, lengths, np.ones(1, bool), ())
    task = Task("t", [Term("inf", lambda t, n: np.full(len(t), np.inf))], on_error="raise")
    with pytest.raises(ValueError, match=r"rule 'inf' of task 't' returned inf.*tokens \[3\]"):
        task.score(tokens, lengths, np.ones(1, bool), ())


def test_zero_weight_does_not_turn_infinity_into_nan():
    task = Task("t", [Term("inf", lambda t, n: np.full(len(t), np.inf), weight=0.0)])
    with np.errstate(all="raise"):
        values = score_sequences(task, np.array([[0, 1]]))
    assert not values.any()
    assert task.failures.count == 2


def always_raises(tokens, lengths):
    raise KeyError("no such table")


class ScanAlwaysRaises(RunningSum):
    def update(self, state, tokens, lengths):
        raise KeyError("no such table")


@pytest.mark.parametrize("rule", [always_raises, ScanAlwaysRaises()])
def test_a_rule_that_fails_on_every_sequence_is_an_error_of_the_program(rule):
    message = r"rule 'x' of task 't' fails on every sequence \(KeyError: 'no such table'\)"
    with pytest.raises(RuleError, match=message) as caught:
        score_sequences(Task("t", [Term("x", rule)]), np.array([[0, 1], [2, 3]]))
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("sequences", [[[3]], [[3], [3]]])
def test_one_sequence_alone_never_ends_a_run(sequences):
    task = Task("t", [Term("x", always_raises)])
    values, _ = task.score(*padded(sequences), np.zeros(len(sequences), bool), ())
    assert not values.any()
    assert task.failures.count == len(sequences)


def test_a_rule_that_has_worked_may_fail_on_all_of_a_few_but_not_of_many():
    def early(tokens, lengths):
        if (lengths > 1).any():
            raise IndexError("late")
        return np.ones(len(tokens))

    task = Task("t", [Term("early", early)])
    score_sequences(task, np.array([[0, 1], [2, 3]]))
    assert task.failures.count == 2
    with pytest.raises(RuleError, match="IndexError: late"):
        score_sequences(task, np.stack([np.arange(40), np.arange(40)], axis=1))


def test_rows_that_fail_differently_are_each_to_blame():
    def picky(tokens, lengths):
        raise (KeyError if tokens[0, 0] else IndexError)("bad")

    task = Task("t", [Term("picky", picky)])
    score_sequences(task, np.array([[0], [1]]))
    assert task.failures.count == 2


def test_a_batch_of_values_is_asked_for_once():
    """NaN says which rows failed; only a rule that raises is asked again."""
    calls = []

    class Half:
        def __call__(self, tokens, lengths):
            calls.append(len(tokens))
            return np.where(tokens[:, 0] > 1, np.nan, 1.0)

        def explain(self, sequence):
            return f"on {sequence[0]}: it is above 1"

    task = Task("t", [Term("half", Half())])
    values = score_sequences(task, np.array([[0], [1], [2], [3]]))
    assert values[:, 0, 0].tolist() == [1, 1, 0, 0]
    assert calls == [4]
    assert task.failures.first == "rule 'half' failed on tokens [2]: on 2: it is above 1"


def test_new_weights_start_new_accounts():
    task = Task("t", [Term("x", always_raises)])
    task.score(*padded([[3]]), np.zeros(1, bool), ())
    assert task.with_weights({"x": 2.0}).failures.count == 0
