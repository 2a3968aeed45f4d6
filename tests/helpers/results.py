"""A store of made-up results: three domains, several agents and seeds, one that is hostile."""

from dataclasses import replace
from itertools import product

import numpy as np

from seqgen_envs.benchmark.store import FAILED, FINISHED, Row, Store
from seqgen_envs.benchmark.suites import load_suite

HOSTILE = "<img src=x onerror=alert(1)>|`'\"</script><script>alert(2)</script>"
HOSTILE_SMILES = "C</code><script>alert('smiles')</script>"
TRACEBACK = 'Traceback (most recent call last):\n  File "<b>mine.py</b>"\nValueError: <i>broken</i>'
MELODY = [14, 1, 18, 1, 21, 1, 1, 0, 26, 1, 24, 1, 21, 1, 1, 1] * 2
MOLECULES = ("CC(=O)Oc1ccccc1C(=O)O", "CN1C=NC2=C1C(=O)N(C(=O)N2C)C", "c1ccc2[nH]ccc2c1")
AGENTS = ("psi", "g", "reinvent", "PPO", "prior")
MACHINE = {"cpu": "A processor", "cores": 2, "system": "Linux x86_64", "python": "3.11.7",
           "torch": "2.13.0", "numpy": "2.4.6", "seqgen": "0.1.0"}  # fmt: skip


def fill(folder, tasks=3):
    """The store in ``folder``, filled with results on so many tasks of each suite."""
    store = Store(folder)
    for row in rows(tasks):
        store.add(row)
    return store


def fill_large(folder, agents=12, tasks=6):
    """A store of so many agents on so many tasks, of melodies and of molecules; and its suites."""
    store, names = Store(folder), [*AGENTS, *(f"agent {n}" for n in range(len(AGENTS), agents))]
    suites = {}
    for name in ("melody-v1", "pmo-v1"):
        suite = load_suite(name)
        known = list(suite.tasks.values())
        made = [replace(known[n % len(known)], name=f"task {n}") for n in range(tasks)]
        suite = replace(suite, seeds=3, tasks={task.name: task for task in made})
        suites[name] = suite
        for task, (place, agent), seed in product(suite.tasks, enumerate(names), range(3)):
            store.add(row(suite, task, agent, seed, place))
    return store, suites


def rows(tasks=3):
    for name in ("toy-v1", "melody-v1", "pmo-mini-v1"):
        suite = load_suite(name)
        agents = (*AGENTS, HOSTILE) if name == "pmo-mini-v1" else AGENTS
        for task in list(suite.tasks)[:tasks]:
            for place, agent in enumerate(agents):
                for seed in range(suite.seeds):
                    yield row(suite, task, agent, seed, place)


def row(suite, task, agent, seed, place=0, **given):
    """A row of plausible numbers; the hostile agent's last seed has failed."""
    failed = agent == HOSTILE and seed == 2
    known = {} if failed else measured(suite, task, agent, place, seed)
    return Row(
        suite=suite.name,
        suite_fingerprint=suite.fingerprint,
        agent=agent,
        agent_fingerprint=f"{place:016x}",
        task=task,
        seed=seed,
        reference=agent,
        status=FAILED if failed else FINISHED,
        error=TRACEBACK if failed else "",
        seconds=100.0 + 10 * place + seed,
        steps=60_000,
        commit_id="abc1234",
        date=f"2026-11-2{seed}T10:00:00+00:00",
        machine=MACHINE,
        **{**known, **given},
    )


def measured(suite, task, agent, place, seed):
    """Metrics, curve and samples."""
    rng = np.random.default_rng([place, seed, len(task)])
    good = 0.0 if agent == "prior" else 1 - 0.18 * place + rng.normal(0, 0.03)
    if suite.measure == "calls":
        best = 0.55 + 0.4 * good
        calls = np.linspace(1, 2000, 40)
        curve = [
            {"calls": float(n), "top10": float(best * (1 - 0.4 * np.exp(-n / 500)))} for n in calls
        ]
        metrics = {"auc_top10": 0.93 * best, "top10": best, "calls": 2000.0, "steps": 60_000.0,
                   "scaffolds_of_best": 60.0 + seed, "diversity_of_best": 0.7}  # fmt: skip
        shown = (HOSTILE_SMILES, *MOLECULES) if agent == HOSTILE else MOLECULES
        samples = [{"text": t, "score": best - 0.01 * i} for i, t in enumerate(shown)]
        return {"metrics": metrics, "curve": curve, "samples": samples}
    log_z, kl = 4.96, 2.2 * abs(good) + 0.02 * seed
    objective = 3.1 + 1.8 * good
    metrics = {"objective": objective, "log_z": log_z, "kl_to_optimum": log_z - objective,
               "kl_to_prior": kl, "task_return": 1.5 + 2 * good, "log_prior": -1.1 - good / 9,
               "distinct": 0.9 - good / 4, "term_alternation": 0.6 + good, "term_variety": 1.1,
               "term_repetition": -1.2 + good}  # fmt: skip
    curve = [
        {"steps": float(s), "task_return": 1.5 + 2 * good * s / 60_000 + rng.normal(0, 0.05)}
        for s in range(1000, 60_001, 1000)
    ]
    domain = "melody" if suite.name.startswith("melody") else "toy"
    return {"metrics": metrics, "curve": curve, "samples": samples_of(domain, place + seed)}


def samples_of(domain, number):
    if domain == "toy":
        return [{"text": "abc"[: 1 + number % 3], "tokens": [0, 1, 2][: 1 + number % 3]}]
    from seqgen_envs.domains.melody import DOMAIN

    tokens = [t if t < 2 else 2 + (t - 2 + number) % 30 for t in MELODY]
    return [{"text": DOMAIN.to_text(np.array(tokens)), "tokens": tokens}]
