"""The tasks of melodies: the nine rules of ``rules.py``, judged together."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.domains.melody import compiled, kernel
from seqgen_envs.domains.melody.keys import Key
from seqgen_envs.domains.melody.rules import (
    DEFAULT_BAR_LENGTH,
    DEFAULT_KEY,
    AutocorrelationRule,
    KeyRule,
    LeapResolutionRule,
    MotifRule,
    PreferredIntervalRule,
    RepeatedMotifRule,
    RepetitionRule,
    TonicRule,
    UniqueExtremesRule,
)
from seqgen_envs.rules import Rule, ScanRule, Task, Term, Tokens, Values

#: Weights of the task ``recommended``: those of rules that seldom pay, such as the extremes once a
#: melody, count for more.
RECOMMENDED_WEIGHTS: Mapping[str, float] = {
    "key": 2.0,
    "tonic": 2.0,
    "autocorrelation": 2.0,
    "motif": 2.0,
    "repeated_motif": 1.4,
    "leap_resolution": 2.1,
    "unique_extremes": 10.0,
}
#: So many melodies at most are judged by plain Python, which is faster there than NumPy's calls.
FEW = 6
#: Steps of a process after which the rules are compiled, where numba is installed: loading it costs
#: about a second, and so many steps of 256 melodies gain that.
COMPILED_AFTER = 2_000


class MelodyTask(Task):
    """The nine rules as :func:`rl_tuner_task` makes them, in one of three forms.

    They are rules like others, which :class:`~seqgen_envs.rules.Task` can ask one by one in NumPy;
    a few melodies are judged in plain Python, and all by machine code once that is loaded (see
    :meth:`prepare`). The three agree to the last bit. Arguments are those of Task.
    """

    _steps = 0

    def prepare(self) -> None:
        """Load the compiled form, where numba is installed."""
        MelodyTask._steps = COMPILED_AFTER
        compiled.judge_many()

    def initial_state(self) -> tuple[Values, ...]:
        """The scan rules' states in one row, [:data:`~.kernel.WIDTH`]."""
        return (np.concatenate(super().initial_state()),)

    def begin(self, state: tuple[Values, ...], lengths: Tokens) -> tuple[Values, ...]:
        """See :meth:`~seqgen_envs.rules.Task.begin`: a melody is judged with its primer."""
        return state

    def score(
        self,
        tokens: Tokens,
        lengths: Tokens,
        finished: NDArray[np.bool_],
        state: tuple[Values, ...],
    ) -> tuple[Values, tuple[Values, ...]]:
        """See :meth:`~seqgen_envs.rules.Task.score`."""
        values = np.empty((len(tokens), len(self.terms)))
        after = np.empty((len(tokens), kernel.WIDTH))
        if self._judge(tokens, lengths, state[0], values, after):
            values *= self._weights
            return values, (after,)
        parts = np.split(state[0], np.cumsum(self._widths)[:-1], axis=1)
        values, left = super().score(tokens, lengths, finished, tuple(parts))
        return values, (np.concatenate(left, axis=1),)

    def _judge(
        self, tokens: Tokens, lengths: Tokens, state: Values, values: Values, after: Values
    ) -> bool:
        """Fill ``values`` and ``after``; False where NumPy is to do it."""
        if MelodyTask._steps < COMPILED_AFTER:
            MelodyTask._steps += 1
        elif (judge := compiled.judge_many()) is not None:
            try:
                return judge(tokens, lengths, state, *self._packed, values, after)
            except TypeError:  # arrays that are read-only, not contiguous or of another type
                return False
        return len(tokens) <= FEW and kernel.judge_few(
            tokens, lengths, state, self._constants, values, after
        )

    @cached_property
    def _widths(self) -> list[int]:
        return [term.rule.width for term in self.terms if isinstance(term.rule, ScanRule)]

    @cached_property
    def _packed(self) -> tuple[Tokens, Values]:
        ints, floats = kernel.packed(self._constants)
        return np.array(ints, dtype=np.int64), np.array(floats)

    @cached_property
    def _constants(self) -> kernel.Constants:
        rules: dict[str, Any] = {term.name: term.rule for term in self.terms}
        tonic, repetition, leap = (rules[k] for k in ("tonic", "repetition", "leap_resolution"))
        autocorrelation, motif = rules["autocorrelation"], rules["motif"]
        return kernel.Constants(
            key=tuple(rules["key"].table.tolist()),
            interval=tuple(rules["preferred_interval"].table.tolist()),
            motif=tuple(motif.table.tolist()),
            repeated_motif=tuple(rules["repeated_motif"].table.tolist()),
            tonic_token=tonic.key.tonic_token,
            closing=tonic.closing,
            tonic_bonus=tonic.bonus,
            limit=repetition.limit,
            interrupted_limit=repetition.interrupted_limit,
            rest_limit=repetition.rest_limit,
            penalty=repetition.penalty,
            threshold=autocorrelation.threshold,
            scale=autocorrelation.scale,
            window=motif.window,
            least=leap.least,
            patience=leap.patience,
            resolved=leap.resolved,
            doubled=leap.doubled,
            extremes_bonus=rules["unique_extremes"].bonus,
        )


def rl_tuner_task(
    key: str = DEFAULT_KEY,
    bar_length: int = DEFAULT_BAR_LENGTH,
    weights: Mapping[str, float] | None = None,
) -> MelodyTask:
    """The task ``rl-tuner``: the nine rules, each a term of weight 1.

    Args:
        key: a major or minor key, such as ``"C major"``, ``"D minor"``, ``"F# major"``.
        bar_length: tokens in a bar: a motif is half a bar, the closing of rule 2 a quarter.
        weights: other weights than 1, by the terms' names.

    Raises:
        ValueError: an unknown key or term, or a bar length that is not a multiple of 4 from 8 up.
    """
    scale = Key.parse(key)
    if not isinstance(bar_length, int) or bar_length % 4 or bar_length < 8:
        raise ValueError(f"bar_length must be a multiple of 4, at least 8, got {bar_length!r}")
    rules: dict[str, Rule] = {
        "key": KeyRule(scale),
        "tonic": TonicRule(scale, closing=bar_length // 4),
        "repetition": RepetitionRule(),
        "autocorrelation": AutocorrelationRule(),
        "motif": MotifRule(window=bar_length // 2),
        "repeated_motif": RepeatedMotifRule(window=bar_length // 2),
        "preferred_interval": PreferredIntervalRule(scale),
        "leap_resolution": LeapResolutionRule(),
        "unique_extremes": UniqueExtremesRule(),
    }
    facts = {"key": key, "bar_length": bar_length}
    task = MelodyTask("rl-tuner", [Term(name, r) for name, r in rules.items()], facts=facts)
    return task.with_weights(weights) if weights else task


#: Rules of the task ``local``: those that need to remember little of a melody.
LOCAL_RULES = ("key", "tonic", "preferred_interval", "leap_resolution")


def local_task(
    key: str = DEFAULT_KEY,
    bar_length: int = DEFAULT_BAR_LENGTH,
    weights: Mapping[str, float] | None = None,
) -> Task:
    """The task ``local``: the rules :data:`LOCAL_RULES`, each of weight 1.

    What they have to remember of a melody is finite and small, so under a prior of few states (the
    bundled ``bigram``) the optimum is known exactly, at any length (:mod:`seqgen_envs.graph`).
    Arguments and errors are those of :func:`rl_tuner_task`.
    """
    whole = rl_tuner_task(key, bar_length)
    task = Task("local", [t for t in whole.terms if t.name in LOCAL_RULES], facts=whole.facts)
    return task.with_weights(weights) if weights else task


def recommended_task(
    key: str = DEFAULT_KEY,
    bar_length: int = DEFAULT_BAR_LENGTH,
    weights: Mapping[str, float] | None = None,
) -> MelodyTask:
    """The task ``recommended``: the nine rules with :data:`RECOMMENDED_WEIGHTS`.

    Found by trial on seeds 0 to 2: psi-learning then meets every row of the paper's table and
    still writes varied melodies. Arguments and errors are those of :func:`rl_tuner_task`;
    ``weights`` replace the recommended ones, term by term.
    """
    task = rl_tuner_task(key, bar_length, {**RECOMMENDED_WEIGHTS, **(weights or {})})
    return MelodyTask("recommended", task.terms, facts=task.facts)
