"""The nine music-theory rules of Sequence Tutor.

Source: Jaques et al. 2017 (arXiv 1611.02796), section 4.2, with the constants of its reference
implementation. Notation: ``a`` is the judged token, the last of a prefix; ``h`` the tokens before
it; ``t = len(h)`` its index; T the horizon (``tokens.shape[1]``). A *special* is a note off or a
no event; a *note* is any other token. Values are rewards, unweighted.

Every rule is a frozen dataclass (hashable, picklable) whose fields are its constants. Those that
look at the last tokens alone, or once a melody at the whole, are called as ``rule(tokens,
lengths)``: int64 [N, T] and [N] in, float64 [N] out. The others carry running counts and sums from
step to step (:class:`~seqgen_envs.rules.ScanRule`), so that a step costs the same however long the
prefix is. What stands in a row of ``tokens`` at and after its length is never read. Rows of equal
length (the usual case) are judged at once on a slice; otherwise one group a length.

:class:`~seqgen_envs.domains.melody.tasks.MelodyTask` judges the nine together and faster, to the
same bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.domains.melody.keys import Key, pitch_class
from seqgen_envs.domains.melody.vocabulary import FIRST_NOTE, HOLD, NOTE_OFF, SIZE
from seqgen_envs.rules import ScanRule, Tokens, Values

DEFAULT_KEY = "C major"
#: Tokens in a bar of 4/4.
DEFAULT_BAR_LENGTH = 16
#: Lags of rule 4, in tokens.
LAGS = (1, 2, 3)

#: Rule 7: values of an interval in semitones (unscaled); others up to an octave are worth 0.
INTERVAL_VALUES = {2: 0.08, 4: 0.09, 5: 0.07, 7: 0.02, 9: 0.05, 11: -0.3}
#: Rule 7: an interval of more than an octave.
LARGE_INTERVAL_VALUE = -1.0
#: Rule 7: a fifth from the tonic or the fifth; the key's third from the tonic or the third.
KEY_FIFTH_VALUE, KEY_THIRD_VALUE = 0.1, 0.15
#: Rule 7: (after the tonic or the fifth, after any other note).
HOLD_VALUES, REST_VALUES = (0.3, 0.075), (0.15, 0.05)


def common_length(lengths: Tokens) -> int | None:
    """The length all rows share, or None."""
    first = lengths.item(0)
    return first if (lengths == first).all() else None


def last_tokens(tokens: Tokens, lengths: Tokens) -> Tokens:
    """The judged token of every prefix, shape [N]."""
    if len(lengths) == 0 or (length := common_length(lengths)) is None:
        return tokens[np.arange(len(tokens)), lengths - 1]
    return tokens[:, length - 1]


def recent_tokens(tokens: Tokens, lengths: Tokens, count: int) -> Tokens:
    """The last ``count`` tokens of every prefix, shape [N, count], the judged one first.

    Places before a prefix's beginning hold 0.
    """
    at = lengths[:, None] - 1 - np.arange(count)
    found: Tokens = np.take_along_axis(tokens, np.maximum(at, 0), axis=1)
    return np.where(at < 0, 0, found)


@dataclass(frozen=True)
class MelodyRule:
    """A rule that judges prefixes of one length at a time; see the module's docstring."""

    def __call__(self, tokens: Tokens, lengths: Tokens) -> Values:
        """Value [N] of each prefix's last token."""
        n, horizon = tokens.shape
        if n == 0:
            return np.zeros(0)
        length = common_length(lengths)
        if length is not None:
            return self.judge(tokens[:, :length], horizon)
        values = np.empty(n)
        for length in np.unique(lengths).tolist():
            rows = np.flatnonzero(lengths == length)
            values[rows] = self.judge(tokens[rows, :length], horizon)
        return values

    def judge(self, prefixes: Tokens, horizon: int) -> Values:
        """Values [N] of the last tokens of ``prefixes`` [N, t + 1]; a fresh array."""
        raise NotImplementedError


@dataclass(frozen=True)
class KeyRule(MelodyRule):
    """Rule 1: ``penalty`` if ``a`` is a note outside the key's scale."""

    key: Key
    penalty: float = -1.0

    @cached_property
    def table(self) -> Values:
        """Values by the token, [V]."""
        outside = [t >= FIRST_NOTE and pitch_class(t) not in self.key.scale for t in range(SIZE)]
        return np.where(outside, self.penalty, 0.0)

    def judge(self, prefixes: Tokens, horizon: int) -> Values:
        """See the class."""
        return self.table.take(prefixes[:, -1])

    def memory(self, tokens: Tokens, lengths: Tokens) -> Values:
        """Nothing, [N, 0]: see :func:`~seqgen_envs.rules.remembers`."""
        return np.zeros((len(tokens), 0))


@dataclass(frozen=True)
class TonicRule(MelodyRule):
    """Rule 2: the tonic first, and again as the last ``closing`` tokens begin, then no new note.

    Pays ``bonus`` for the tonic token (octave from middle C) at t = 0 and t = T - closing, for a
    no event at the token after that, and for any special from then on.
    """

    key: Key
    closing: int = DEFAULT_BAR_LENGTH // 4
    bonus: float = 3.0

    def judge(self, prefixes: Tokens, horizon: int) -> Values:
        """See the class."""
        t = prefixes.shape[1] - 1
        close = horizon - self.closing
        action = prefixes[:, -1]
        pays = np.zeros(len(prefixes), dtype=bool)
        if t in (0, close):
            pays |= action == self.key.tonic_token
        if t == close + 1:
            pays |= action == HOLD
        elif t > close + 1:
            pays |= action <= HOLD
        return self.bonus * pays

    def memory(self, tokens: Tokens, lengths: Tokens) -> Values:
        """Nothing, [N, 0]: see :func:`~seqgen_envs.rules.remembers`."""
        return np.zeros((len(tokens), 0))


@dataclass(frozen=True)
class RepetitionRule(ScanRule):
    """Rule 3: ``penalty`` if ``a`` is excessively repeated.

    Walking back through ``h`` as long as tokens are specials or equal to ``a``, the tokens equal
    to ``a`` are counted. Too many are: more than ``limit``; more than ``interrupted_limit`` where
    the walk met specials other than ``a``; more than ``rest_limit`` where ``a`` is a note off.

    State [5]: the latest note (0: none); how often it occurs since the last other note, and how
    many specials there are since that; the note offs and the no events since the latest note.
    """

    limit: int = 4
    interrupted_limit: int = 6
    rest_limit: int = 1
    penalty: float = -100.0
    width = 5

    def initial_state(self) -> Values:
        """No token."""
        return np.zeros(self.width)

    def update(self, state: Values, tokens: Tokens, lengths: Tokens) -> tuple[Values, Values]:
        """See the class and :class:`~seqgen_envs.rules.ScanRule`."""
        latest, count, specials, offs, holds = state.T
        action = last_tokens(tokens, lengths)
        note, hold, off = action >= FIRST_NOTE, action == HOLD, action == NOTE_OFF
        again = note & (action == latest)
        equal = again * count + hold * holds + off * offs
        interrupted = np.where(hold, offs, specials) > 0
        limit = np.where(interrupted, self.interrupted_limit, self.limit)
        limit[off] = self.rest_limit
        after = np.empty_like(state)
        after[:, 0] = np.where(note, action, latest)
        after[:, 1] = np.where(again | ~note, count, 0) + note
        after[:, 2] = np.where(again | ~note, specials, offs + holds) + ~note
        after[:, 3] = (offs + off) * ~note
        after[:, 4] = (holds + hold) * ~note
        return self.penalty * (equal > limit), after


def autocorrelation(sequences: Tokens, lags: tuple[int, ...] = LAGS) -> Values:
    """Autocorrelation coefficients [lags, N] of int [N, n]; nan where the variance is 0.

    Sums are over integers (deviations from the mean times n), so exact: the same whatever the
    batch and the machine.
    """
    n = sequences.shape[1]
    centred = n * sequences - sequences.sum(axis=1, keepdims=True)
    power = np.einsum("ij,ij->i", centred, centred)
    products = np.zeros((len(lags), len(sequences)))
    for row, lag in enumerate(lags):
        if lag < n:
            products[row] = np.einsum("ij,ij->i", centred[:, lag:], centred[:, :-lag])
    return products / np.where(power == 0, np.nan, power)


def _float_autocorrelation(sequences: Tokens, lags: tuple[int, ...]) -> Values:
    """The same with the reference implementation's rounding: float sums from left to right."""
    n = sequences.shape[1]
    centred = sequences - (sequences.sum(axis=1, keepdims=True) / n)
    variance = (centred * centred).cumsum(axis=1)[:, -1] / n
    coefficients = np.zeros((len(lags), len(sequences)))
    for row, lag in enumerate(lags):
        if lag < n:
            products = (centred[:, lag:] * centred[:, :-lag]).cumsum(axis=1)
            coefficients[row] = products[:, -1] / n / variance
    return coefficients


@dataclass(frozen=True)
class AutocorrelationRule(ScanRule):
    """Rule 4: each lag whose |coefficient| exceeds ``threshold`` costs ``scale * |coefficient|``.

    The coefficients are :func:`autocorrelation`'s, to the last bit. Where one is exactly the
    threshold, the reference implementation's rounding decides.

    State [2 + lags]: the sums of the tokens, of their squares, and of their products with the token
    each lag before; whole numbers, and exact.
    """

    threshold: float = 0.15
    scale: float = 3.0
    lags: tuple[int, ...] = LAGS

    @property
    def width(self) -> int:  # type: ignore[override]
        """Numbers in the state."""
        return 2 + len(self.lags)

    def initial_state(self) -> Values:
        """Sums of nothing."""
        return np.zeros(self.width)

    def update(self, state: Values, tokens: Tokens, lengths: Tokens) -> tuple[Values, Values]:
        """See the class and :class:`~seqgen_envs.rules.ScanRule`."""
        recent = recent_tokens(tokens, lengths, 1 + max(self.lags))
        action, n = recent[:, 0], lengths
        after = state.copy()
        after[:, 0] += action
        after[:, 1] += action * action
        after[:, 2:] += action[:, None] * recent[:, self.lags]
        total, squares, *products = after.T.astype(np.int64)
        power = n * (n * squares - total * total)
        sizes = np.zeros((len(self.lags), len(tokens)))
        for row, lag in enumerate(self.lags):
            ends = tokens[:, :lag].sum(axis=1) + recent[:, :lag].sum(axis=1)
            about = n * n * products[row] - n * total * (2 * total - ends)
            sizes[row] = np.where(lag < n, about + (n - lag) * (total * total), 0)
        sizes = np.abs(sizes / np.where(power == 0, np.nan, power))
        ties = sizes == self.threshold
        if ties.any():
            for at in np.flatnonzero(ties.any(axis=0)):
                prefix = tokens[at : at + 1, : lengths[at]]
                sizes[:, at] = np.abs(_float_autocorrelation(prefix, self.lags))[:, 0]
        sizes[~(sizes > self.threshold)] = 0.0  # nan (no variance) included
        return -self.scale * sizes.sum(axis=0), after


_NOTE_BITS = np.array([0] * FIRST_NOTE + [1 << i for i in range(SIZE - FIRST_NOTE)])
_HALF = (SIZE - FIRST_NOTE) // 2
_ONES = np.array([i.bit_count() for i in range(1 << _HALF)], dtype=np.int8)


def distinct_notes(windows: Tokens) -> Tokens:
    """How many different notes (specials left out) each row of [N, w] holds, shape [N]."""
    notes = np.bitwise_or.reduce(_NOTE_BITS.take(windows), axis=1)
    found: Tokens = _ONES.take(notes & ((1 << _HALF) - 1)) + _ONES.take(notes >> _HALF)
    return found


@dataclass(frozen=True)
class MotifRule(MelodyRule):
    """Rule 5: the last ``window`` tokens hold u >= ``least`` different notes.

    Pays ``bonus + extra * (u - least)``.
    """

    window: int = DEFAULT_BAR_LENGTH // 2
    least: int = 3
    bonus: float = 3.0
    extra: float = 0.3

    def judge(self, prefixes: Tokens, horizon: int) -> Values:
        """See the class."""
        if prefixes.shape[1] < self.window:
            return np.zeros(len(prefixes))
        distinct = distinct_notes(prefixes[:, -self.window :])
        return self.table.take(distinct)

    @cached_property
    def table(self) -> Values:
        """By the number of different notes."""
        distinct = np.arange(self.window + 1)
        return np.where(
            distinct >= self.least, self.bonus + self.extra * (distinct - self.least), 0.0
        )


def occurs_before(prefix: Tokens, window: int) -> bool:
    """Whether the last ``window`` of the tokens [n] stand, one after another, before those too."""
    data = prefix.astype(np.uint8).tobytes()  # the fastest search for a run that Python has
    return data.find(data[-window:], 0, len(data) - window) >= 0


@dataclass(frozen=True)
class RepeatedMotifRule(MotifRule):
    """Rule 6: a motif (rule 5) that stands, token for token, wholly before its window as well.

    Pays ``bonus + extra * (u - least)``.
    """

    bonus: float = 4.0
    extra: float = 1.0

    def judge(self, prefixes: Tokens, horizon: int) -> Values:
        """See the class."""
        n, length = prefixes.shape
        values = np.zeros(n)
        before = length - self.window
        if before < self.window:
            return values
        distinct = distinct_notes(prefixes[:, before:])
        worth = self.table.take(distinct)
        for row in np.flatnonzero(worth).tolist():
            if occurs_before(prefixes[row], self.window):
                values[row] = worth[row]
        return values


@dataclass(frozen=True)
class PreferredIntervalRule(ScanRule):
    """Rule 7: the interval from the latest note of ``h``, ``scale`` times the module's values.

    Nothing where ``h`` has no note. The bonus for the key's third is for 3 semitones in minor (4
    in major), 4 in minor being worth what any major third is; all else is the same in minor.

    State [1]: the latest note (0: none).
    """

    key: Key
    scale: float = 5.0
    width = 1

    def initial_state(self) -> Values:
        """No note."""
        return np.zeros(self.width)

    @cached_property
    def table(self) -> Values:
        """Flat [V * V], by the latest note (specials: none) and ``a``."""
        table = [[self._value(b, a) for a in range(SIZE)] for b in range(SIZE)]
        return self.scale * np.array(table).ravel()

    def _value(self, previous: int, action: int) -> float:
        if previous < FIRST_NOTE:
            return 0.0
        degree = pitch_class(previous)
        stable = degree in (self.key.tonic, self.key.fifth)
        if action < FIRST_NOTE:
            return (HOLD_VALUES if action == HOLD else REST_VALUES)[0 if stable else 1]
        interval = abs(action - previous)
        if interval == 7 and stable:
            return KEY_FIFTH_VALUE
        if interval == self.key.third_interval and degree in (self.key.tonic, self.key.third):
            return KEY_THIRD_VALUE
        return LARGE_INTERVAL_VALUE if interval > 12 else INTERVAL_VALUES.get(interval, 0.0)

    def update(self, state: Values, tokens: Tokens, lengths: Tokens) -> tuple[Values, Values]:
        """See the class and :class:`~seqgen_envs.rules.ScanRule`."""
        action = last_tokens(tokens, lengths)
        latest = state[:, 0].astype(np.int64)
        after = np.where(action >= FIRST_NOTE, action, latest)[:, None].astype(np.float64)
        return self.table.take(latest * SIZE + action), after


@dataclass(frozen=True)
class LeapResolutionRule(ScanRule):
    """Rule 8: a leap (``least`` semitones or more) is to be resolved, not doubled.

    A leap with none pending is remembered: its direction, and the note it left. A pending leap is
    *resolved* by a note without leap that comes back to the note left or passes it, and by a leap
    the other way (paid only more than ``patience`` steps after the last leap); it is *doubled* by
    a leap the same way.

    State [4]: direction of the pending leap (1, -1; 0: none), the note it left and the steps since
    the last leap, counted up to one more than ``patience`` (0 both where none is pending), the
    latest note (0: none).
    """

    least: int = 7
    patience: int = 6
    resolved: float = 5.0
    doubled: float = -5.0
    width = 4

    def initial_state(self) -> Values:
        """Nothing pending, no note."""
        return np.zeros(self.width)

    def update(self, state: Values, tokens: Tokens, lengths: Tokens) -> tuple[Values, Values]:
        """See the class and :class:`~seqgen_envs.rules.ScanRule`."""
        direction, left, steps, latest = state.T
        action = last_tokens(tokens, lengths)
        note = action >= FIRST_NOTE
        interval = (action - latest) * (note & (latest >= FIRST_NOTE))
        leap = np.abs(interval) >= self.least
        turn = direction * np.sign(interval) * leap  # 1: doubled, -1: a leap back, 0: otherwise
        returns = note & ~leap & (direction != 0) & (direction * (action - left) <= 0)
        starts = leap & (direction == 0)
        resolves = returns | ((turn < 0) & (steps > self.patience))
        after = np.empty_like(state)
        after[:, 0] = np.where(starts, np.sign(interval), direction * ~(returns | (turn < 0)))
        pending = after[:, 0] != 0
        after[:, 1] = np.where(starts, latest, left) * pending
        after[:, 2] = np.minimum(steps + 1, self.patience + 1) * (pending & ~leap)
        after[:, 3] = np.where(note, action, latest)
        return self.resolved * resolves + self.doubled * (turn > 0), after


def unique_highest(sequences: Tokens) -> NDArray[np.bool_]:
    """Whether the largest token of each row of [N, n] (specials included) occurs once, [N]."""
    highest = sequences.max(axis=1, keepdims=True)
    found: NDArray[np.bool_] = np.count_nonzero(sequences == highest, axis=1) == 1
    return found


def unique_lowest(sequences: Tokens) -> NDArray[np.bool_]:
    """Whether each row of [N, n] has notes, and its lowest note occurs once, [N]."""
    notes = np.where(sequences >= FIRST_NOTE, sequences, SIZE)
    lowest = notes.min(axis=1, keepdims=True)
    once = np.count_nonzero(notes == lowest, axis=1) == 1
    unique: NDArray[np.bool_] = once & (lowest[:, 0] < SIZE)
    return unique


@dataclass(frozen=True)
class UniqueExtremesRule(MelodyRule):
    """Rule 9: at the last step, ``bonus`` each for a unique highest token and lowest note."""

    bonus: float = 3.0

    def judge(self, prefixes: Tokens, horizon: int) -> Values:
        """See the class."""
        if prefixes.shape[1] < horizon:
            return np.zeros(len(prefixes))
        return self.bonus * unique_highest(prefixes) + self.bonus * unique_lowest(prefixes)
