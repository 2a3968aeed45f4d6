"""Oracles with a fault each, and what becomes of a run: a table in print.

    PYTHONPATH=tests python -m helpers.oracles_faulty

Each is asked for twenty molecules, of which one, benzene, is the bad one where there is one.
"""

import ctypes
import math
import os
import signal
import subprocess
import sys
import time

import numpy as np

from seqgen_envs.domains.molecule.tasks import tasks
from seqgen_envs.rules import RuleError

BAD = "c1ccccc1"
MOLECULES = [*("C" * n for n in range(1, 11)), BAD, *("C" * n + "O" for n in range(1, 10))]
#: Seconds a molecule may take, for those that hang.
TIMEOUT = 1.0


def good(smiles):
    return [float(len(text)) for text in smiles]


def with_bad(smiles, value):
    """Good values, and ``value`` for the bad molecule: a callable is called there."""
    return [
        (value() if callable(value) else value) if text == BAD else float(len(text))
        for text in smiles
    ]


def raising():
    raise RuntimeError("the server is down")


def raises(smiles):
    raising()


def raises_on_one(smiles):
    return with_bad(smiles, raising)


def raises_on_many(smiles):
    if len(smiles) > 1:
        raise RuntimeError("one at a time, please")
    return good(smiles)


def nan(smiles):
    return [math.nan] * len(smiles)


def nan_on_one(smiles):
    return with_bad(smiles, math.nan)


def infinite_on_one(smiles):
    return with_bad(smiles, math.inf)


def none(smiles):
    good(smiles)  # and no return


def none_on_one(smiles):
    return with_bad(smiles, None)


def column(smiles):
    return np.array(good(smiles))[:, None]


def nested_lists(smiles):
    return [[value] for value in good(smiles)]


def tensor(smiles):
    import torch  # not where it is not needed: every process of an oracle imports this file

    return torch.tensor(good(smiles), requires_grad=True)[:, None]


def whole_numbers(smiles):
    return [int(value) for value in good(smiles)]


def truth_values(smiles):
    return [len(text) > 3 for text in smiles]


def generator(smiles):
    return (float(len(text)) for text in smiles)


def raises_half_way(smiles):
    yield from with_bad(smiles, raising)


def endless(smiles):
    while True:
        yield 1.0


def numeric_texts(smiles):
    return [str(value) for value in good(smiles)]


def text_on_one(smiles):
    return with_bad(smiles, "failed")


def one_text(smiles):
    return "1.0"


def by_smiles(smiles):
    return dict(zip(smiles, good(smiles), strict=True))


def too_few(smiles):
    return good(smiles)[1:]


def too_many(smiles):
    return [*good(smiles), 1.0]


def one_number(smiles):
    return 1.0


def mutates_the_list(smiles):
    values = good(smiles)
    smiles.clear()
    return values


def needs_a_module(smiles):
    import no_such_docking_program  # noqa: F401


def calls_sys_exit(smiles):
    return with_bad(smiles, sys.exit)


def recursion():
    return recursion()


def recurses(smiles):
    return with_bad(smiles, recursion)


def too_much_memory(smiles):
    return with_bad(smiles, lambda: len(bytearray(1 << 60)))


def exits(smiles):
    return with_bad(smiles, lambda: os._exit(3))


def exits_with_0(smiles):
    return with_bad(smiles, lambda: os._exit(0))


def exits_always(smiles):
    os._exit(3)


def segmentation_fault(smiles):
    return with_bad(smiles, lambda: ctypes.string_at(0))


def is_killed(smiles):
    """As by the system, where memory has run out."""
    return with_bad(smiles, lambda: os.kill(os.getpid(), signal.SIGKILL))


def hangs(smiles):
    return with_bad(smiles, lambda: time.sleep(1000))


def hangs_always(smiles):
    time.sleep(1000)


def hangs_deaf(smiles):
    def deaf():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            pass

    return with_bad(smiles, deaf)


#: What happens in this process (``n_jobs=0``); and in processes of their own where it is another.
SCORES, FAILS, ENDS, DIES = "scores", "one molecule fails", "ends", "takes Python with it"
FAULTY = {
    raises: ENDS, raises_on_one: FAILS, raises_on_many: SCORES, nan: ENDS, nan_on_one: FAILS,
    infinite_on_one: FAILS, none: ENDS, none_on_one: FAILS, column: SCORES, nested_lists: SCORES,
    tensor: SCORES, whole_numbers: SCORES, truth_values: SCORES, generator: SCORES,
    raises_half_way: FAILS, endless: ENDS, numeric_texts: ENDS, text_on_one: FAILS,
    one_text: ENDS, by_smiles: ENDS, too_few: ENDS, too_many: ENDS, one_number: ENDS,
    mutates_the_list: SCORES, needs_a_module: ENDS, calls_sys_exit: FAILS, recurses: FAILS,
    too_much_memory: FAILS,
}  # fmt: skip
#: Those against which only processes of their own help.
DANGEROUS = {
    exits: FAILS, exits_with_0: FAILS, exits_always: ENDS, segmentation_fault: FAILS,
    is_killed: FAILS,
}  # fmt: skip
HANGING = {hangs: FAILS, hangs_always: ENDS, hangs_deaf: FAILS}


def outcome(oracle, **options):
    """What becomes of the twenty molecules, and what is said of it."""
    task = tasks.custom_task(f"helpers.oracles_faulty:{oracle}", **options)
    try:
        verdicts = task.scorer.score(MOLECULES)
    except (RuleError, ValueError) as error:
        return ENDS, str(error)
    finally:
        task.close()
    failed = [verdict for verdict in verdicts if verdict.error is not None]
    if not failed:
        return SCORES, ""
    assert [verdict.canonical for verdict in failed] == [BAD]
    return FAILS, failed[0].error.strip().rpartition("\n")[2]


def described(oracle, **options):
    return ": ".join(filter(None, outcome(oracle, **options)))


def in_a_python_of_its_own(oracle, **options):
    """:func:`outcome` where the oracle may take Python with it."""
    code = f"from helpers.oracles_faulty import *; print(described({oracle!r}, **{options!r}))"
    try:
        ended = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
        )
    except subprocess.TimeoutExpired:
        return "hangs"
    return ended.stdout.strip() or f"{DIES} (status {ended.returncode})"


def main():
    print("| oracle | n_jobs=0 | n_jobs=1 | n_jobs=2 |\n| --- | --- | --- | --- |")
    for oracle in [*FAULTY, *DANGEROUS, *HANGING]:
        more = {"timeout": TIMEOUT} if oracle in HANGING else {}
        alone = in_a_python_of_its_own if oracle in DANGEROUS else described
        cells = ["hangs" if more else alone(oracle.__name__, n_jobs=0)]
        cells += [described(oracle.__name__, n_jobs=n, **more) for n in (1, 2)]
        note = f" (timeout={TIMEOUT:g})" if more else ""
        print(f"| {oracle.__name__}{note} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
