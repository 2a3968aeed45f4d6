"""The nine rules for one melody in plain numbers: ``rules.py`` once more, to the same bits.

:func:`judge` runs as it stands, which for a few melodies is several times faster than NumPy's
calls, and is what :mod:`~seqgen_envs.domains.melody.compiled` has numba compile. Python and numba
agree because this file keeps to what both compute alike: whole numbers, and float sums from left to
right. It is one file because numba's cache looks at the date of one.

A melody's state is one row of :data:`WIDTH` numbers: those of the scan rules, in their order. What
is searched in the whole prefix has two forms, one in terms of Python's fast searches and one of
loops for the compiler.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from seqgen_envs.domains.melody import rules
from seqgen_envs.domains.melody.vocabulary import FIRST_NOTE, HOLD, SIZE
from seqgen_envs.rules import Tokens, Values

#: Where each scan rule's numbers begin in a state, and how many there are.
REPETITION, SUMS, LATEST, LEAP, WIDTH = 0, 5, 10, 11, 15
#: Lags of rule 4, and so many tokens of a prefix's beginning :func:`judge` is handed.
LAGS = len(rules.LAGS)
#: Start positions that the compiled search looks at together.
BLOCK = 64


class Constants(NamedTuple):
    """What the rules' fields say; the first four are tables."""

    key: Any
    interval: Any
    motif: Any
    repeated_motif: Any
    tonic_token: int
    closing: int
    tonic_bonus: float
    limit: int
    interrupted_limit: int
    rest_limit: int
    penalty: float
    threshold: float
    scale: float
    window: int
    least: int
    patience: int
    resolved: float
    doubled: float
    extremes_bonus: float


def tonic(a: int, t: int, close: int, c: Constants) -> float:
    """Rule 2 of token ``a`` at index t; the closing begins at ``close``."""
    pays = (t == 0 or t == close) and a == c.tonic_token
    pays = pays or (t == close + 1 and a == HOLD) or (t > close + 1 and a <= HOLD)
    return c.tonic_bonus if pays else 0.0


def repetition(a: int, state: Any, c: Constants, after: Any) -> float:
    """Rule 3, and its state after token ``a``."""
    latest, count, specials = state[REPETITION], state[REPETITION + 1], state[REPETITION + 2]
    offs, holds = state[REPETITION + 3], state[REPETITION + 4]
    if a >= FIRST_NOTE:
        again = a == latest
        excess = again and count > (c.interrupted_limit if specials > 0 else c.limit)
        count = count + 1 if again else 1.0
        specials = specials if again else offs + holds
        latest, offs, holds = float(a), 0.0, 0.0
    elif a == HOLD:
        excess = holds > (c.interrupted_limit if offs > 0 else c.limit)
        specials, holds = specials + 1, holds + 1
    else:
        excess = offs > c.rest_limit
        specials, offs = specials + 1, offs + 1
    after[REPETITION], after[REPETITION + 1], after[REPETITION + 2] = latest, count, specials
    after[REPETITION + 3], after[REPETITION + 4] = offs, holds
    return c.penalty if excess else 0.0


def autocorrelation(
    recent: Any, first: Any, tokens: Tokens, n: int, state: Any, c: Constants, after: Any
) -> float:
    """Rule 4, and its sums after the last token; see :func:`judge` for the arguments."""
    last = len(recent) - 1
    a = recent[last]
    total, squares = int(state[SUMS]) + a, int(state[SUMS + 1]) + a * a
    after[SUMS], after[SUMS + 1] = float(total), float(squares)
    power = float(n * (n * squares - total * total))
    value, ends, tie = 0.0, 0, False
    for lag in range(1, LAGS + 1):
        product = int(state[SUMS + 1 + lag])
        if lag < n:
            product += a * recent[last - lag]
            ends += first[lag - 1] + recent[last + 1 - lag]
            about = n * n * product - n * total * (2 * total - ends)
            if power != 0:
                size = abs(float(about + (n - lag) * (total * total)) / power)
                value += size if size > c.threshold else 0.0
                tie = tie or size == c.threshold
        after[SUMS + 1 + lag] = float(product)
    return -c.scale * (rounded_sizes(tokens, n, c.threshold) if tie else value)


def rounded_sizes(tokens: Tokens, n: int, threshold: float) -> float:
    """Sum of the coefficients above ``threshold``, with the reference implementation's rounding."""
    total = 0
    for i in range(n):
        total += int(tokens[i])
    mean, variance, value = total / n, 0.0, 0.0
    for i in range(n):
        variance += (tokens[i] - mean) * (tokens[i] - mean)
    for lag in range(1, min(LAGS + 1, n)):
        product = 0.0
        for i in range(lag, n):
            product += (tokens[i] - mean) * (tokens[i - lag] - mean)
        size = abs(product / n / (variance / n))
        value += size if size > threshold else 0.0
    return value


def distinct_notes(recent: Any, window: int) -> int:
    """How many different notes the last ``window`` tokens hold."""
    seen = distinct = 0
    for i in range(len(recent) - window, len(recent)):
        bit = recent[i] - FIRST_NOTE
        if bit >= 0 and not (seen >> bit) & 1:
            seen |= 1 << bit
            distinct += 1
    return distinct


def leap_resolution(a: int, state: Any, c: Constants, after: Any) -> float:
    """Rule 8, and its state after token ``a``."""
    direction, left, steps, latest = state[LEAP], state[LEAP + 1], state[LEAP + 2], state[LEAP + 3]
    note = a >= FIRST_NOTE
    interval = a - latest if note and latest >= FIRST_NOTE else 0.0
    leap = abs(interval) >= c.least
    sign = 1.0 if interval > 0 else -1.0
    turn = direction * sign if leap else 0.0
    returns = note and not leap and direction != 0 and direction * (a - left) <= 0
    starts = leap and direction == 0
    pending = sign if starts else (0.0 if returns or turn < 0 else direction)
    after[LEAP] = pending
    after[LEAP + 1] = (latest if starts else left) if pending != 0 else 0.0
    after[LEAP + 2] = min(steps + 1, c.patience + 1.0) if pending != 0 and not leap else 0.0
    after[LEAP + 3] = float(a) if note else latest
    if returns or (turn < 0 and steps > c.patience):
        return c.resolved
    return c.doubled if turn > 0 else 0.0


def judge(
    recent: Any,
    first: Any,
    tokens: Tokens,
    n: int,
    state: Any,
    c: Constants,
    values: Any,
    after: Any,
) -> bool:
    """Write the nine values of a prefix's last token, and the state after it.

    Args:
        recent: the last ``1 + max(LAGS, c.window)`` tokens or all there are, the judged one last.
        first: the first :data:`LAGS` tokens.
        tokens: the melody int64 [T], of which n tokens are read.
        n: length of the prefix.
        state: :data:`WIDTH` floats.
        c: the rules' constants.
        values: gets nine floats.
        after: gets :data:`WIDTH` floats.

    Returns:
        False if a token is none: what was written then means nothing.
    """
    a, latest, horizon = recent[len(recent) - 1], int(state[LATEST]), len(tokens)
    if a < 0 or a >= SIZE or latest < 0 or latest >= SIZE:
        return False
    values[0] = c.key[a]
    values[1] = tonic(a, n - 1, horizon - c.closing, c)
    values[2] = repetition(a, state, c, after)
    values[3] = autocorrelation(recent, first, tokens, n, state, c, after)
    values[4] = values[5] = 0.0
    if n >= c.window:
        distinct = distinct_notes(recent, c.window)
        values[4], worth = c.motif[distinct], c.repeated_motif[distinct]
        if worth != 0 and n >= 2 * c.window and occurs_before(tokens, n, c.window):
            values[5] = worth
    values[6] = c.interval[latest * SIZE + a]
    after[LATEST] = float(a if a >= FIRST_NOTE else latest)
    values[7] = leap_resolution(a, state, c, after)
    values[8] = c.extremes_bonus * extremes(tokens, n) if n >= horizon else 0.0
    return True


def occurs_before(tokens: Tokens, n: int, window: int) -> bool:
    """See :func:`~seqgen_envs.domains.melody.rules.occurs_before`."""
    return rules.occurs_before(tokens[:n], window)


def extremes(tokens: Tokens, n: int) -> int:
    """1 if the highest token of a melody occurs once, plus 1 if its lowest note does."""
    melody = tokens[:n].tolist()
    notes = [token for token in melody if token >= FIRST_NOTE]
    once = int(melody.count(max(melody)) == 1)
    return once + (1 if notes and notes.count(min(notes)) == 1 else 0)


def judge_few(
    tokens: Tokens, lengths: Tokens, state: Values, c: Constants, values: Values, after: Values
) -> bool:
    """:func:`judge` of each of a few melodies: tokens [N, T], the rest a row each.

    Returns:
        False if a token is none.
    """
    value, fresh = [0.0] * values.shape[1], [0.0] * WIDTH
    far = 1 + max(LAGS, c.window)
    for row, n in enumerate(lengths.tolist()):
        melody = tokens[row]
        recent, first = melody[max(n - far, 0) : n].tolist(), melody[:LAGS].tolist()
        if not judge(recent, first, melody, n, state[row].tolist(), c, value, fresh):
            return False
        values[row], after[row] = value, fresh
    return True


# -- for the compiler: what it is given instead of the functions of the same names above ----------


def scan_before(tokens: Any, n: int, window: int) -> bool:
    """:func:`occurs_before` in loops: blocks of starts without two of the tokens are passed by."""
    begins, late = n - window, n - 1
    early = begins  # the places of two different notes of the window: there are three at least
    while tokens[early] < FIRST_NOTE:
        early += 1
    while tokens[late] < FIRST_NOTE or tokens[late] == tokens[early]:
        late -= 1
    one, other = tokens[early], tokens[late]
    early, late = early - begins, late - begins
    for block in range(0, begins - window + 1, BLOCK):
        end = min(block + BLOCK, begins - window + 1)
        hits = 0
        for start in range(block, end):
            hits += (tokens[start + early] == one) & (tokens[start + late] == other)
        if hits:
            for start in range(block, end):
                same = 0
                while same < window and tokens[start + same] == tokens[begins + same]:
                    same += 1
                if same == window:
                    return True
    return False


def scan_extremes(tokens: Any, n: int) -> int:
    """:func:`extremes` in loops."""
    highest, lowest, high, low = -1, SIZE, 0, 0
    for i in range(n):
        token = tokens[i]
        if token > highest:
            highest, high = token, 0
        high += token == highest
        if FIRST_NOTE <= token < lowest:
            lowest, low = token, 0
        low += token == lowest
    return (1 if high == 1 else 0) + (1 if low == 1 else 0)


def judge_many(
    tokens: Tokens, lengths: Tokens, state: Values, ints: Tokens, floats: Values, values: Values,
    after: Values,
) -> bool:  # fmt: skip
    """:func:`judge_few` for the compiler, with the constants as :func:`packed` lays them out."""
    window = ints[5]
    tables = SIZE + SIZE * SIZE
    motif, repeated = tables + window + 1, tables + 2 * (window + 1)
    f = floats[repeated:]
    c = Constants(
        floats[:SIZE], floats[SIZE:tables], floats[tables:motif], floats[motif:repeated],
        ints[0], ints[1], f[0], ints[2], ints[3], ints[4], f[1], f[2], f[3], window, ints[6],
        ints[7], f[4], f[5], f[6],
    )  # fmt: skip
    far = 1 + max(LAGS, window)
    for row in range(len(lengths)):
        n, melody = lengths[row], tokens[row]
        if n < 1 or n > len(melody):
            return False
        recent, first = melody[max(n - far, 0) : n], melody[:LAGS]
        if not judge(recent, first, melody, n, state[row], c, values[row], after[row]):
            return False
    return True


def packed(c: Constants) -> tuple[list[int], list[float]]:
    """The constants as :func:`judge_many` reads them: whole numbers, and tables and floats."""
    ints = [c.tonic_token, c.closing, c.limit, c.interrupted_limit, c.rest_limit, c.window]
    floats = [c.tonic_bonus, c.penalty, c.threshold, c.scale]
    floats += [c.resolved, c.doubled, c.extremes_bonus]
    tables = [*c.key, *c.interval, *c.motif, *c.repeated_motif]
    return [*ints, c.least, c.patience], tables + floats
