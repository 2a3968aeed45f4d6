"""Tasks for collectors, in a module that their processes can import."""

import os
import signal

import numpy as np

from seqgen_envs.rules import RuleError, Task, Term


def even(tokens, lengths):
    """1 where the first token is an even one."""
    return (tokens[:, 0] % 2 == 0).astype(float)


class Budget(Task):
    """Pays a sequence once: what is known or beyond the budget earns nothing."""

    def __init__(self, budget, *more):
        super().__init__("budget", [Term("even", even, at="end"), *more])
        self.budget, self.known = budget, []

    def score(self, tokens, lengths, finished, state):
        values, after = super().score(tokens, lengths, finished, state)
        for row in np.flatnonzero(finished):
            ids = tokens[row, : lengths[row]].tolist()
            if ids in self.known or self.spent:
                values[row] = 0.0
            else:
                self.known.append(ids)
        return values, after

    @property
    def spent(self):
        return len(self.known) >= self.budget

    def state_dict(self):
        return {"known": list(self.known)}

    def load_state_dict(self, state):
        self.known = list(state["known"])


def broken(tokens, lengths):
    raise RuleError("rule 'broken' has a fault")


def deadly(tokens, lengths):
    os.kill(os.getpid(), signal.SIGKILL)


def odd_one(tokens, lengths):
    """Fails on sequences that begin with token 1."""
    return np.where(tokens[:, 0] == 1, np.nan, 1.0)


def task_of(rule):
    return Task("one", [Term(rule.__name__, rule, at="end")])


def failing():
    return task_of(odd_one)
