"""A rule of your own: the shortest one, and a task made of it and the nine bundled rules.

seqgen sample melody -n 4 --out high-notes --task examples/rule.py:high_note
seqgen sample melody -n 4 --out ten-rules --task examples/rule.py:ten_rules
"""

import numpy as np

from seqgen_envs import Task, Term, get_domain


def high_note(tokens, lengths):
    """1 for a note from C5 up.

    ``tokens`` is int64 [N, T], padded; ``lengths`` int64 [N]. What is judged is the last token of
    each row: 2 is C3, 26 is C5, 37 is B5.
    """
    last = tokens[np.arange(len(tokens)), lengths - 1]
    return np.where(last >= 26, 1.0, 0.0)


def ten_rules(weight=0.5):
    """The nine rules of the paper and this one."""
    nine = get_domain("melody").make_task("rl-tuner").with_weights({"key": 2.0})
    return Task("ten", [*nine.terms, Term("high_note", high_note, weight=weight)])
