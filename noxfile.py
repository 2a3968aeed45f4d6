"""Tasks of development, each in a virtual environment of its own.

    pip install nox
    nox -l                          # lists them
    nox                             # lint, types, tests
    nox -s slow                     # long learning runs, an hour or more
    nox -s "clients(library='skrl')" -- --steps 100000

``.ci/run`` needs no nox: it runs lint, types and tests by themselves, and of the clients those that
need nothing but the extra ``test``.
"""

from __future__ import annotations

import configparser
from pathlib import Path

import nox

nox.options.sessions = ["lint", "types", "tests"]
nox.options.reuse_existing_virtualenvs = True

#: Scripts of examples/clients, their arguments, and what they need beside this package.
CLIENTS: dict[str, tuple[str, list[str], list[str]]] = {
    "cleanrl": ("cleanrl_ppo.py", [], []),
    "sb3": ("sb3_ppo.py", [], []),
    "maskable": ("contrib_ppo.py", ["--algorithm", "MaskablePPO"], [".[clients]"]),
    "recurrent": ("contrib_ppo.py", ["--algorithm", "RecurrentPPO"], [".[clients]"]),
    "rllib": ("rllib_ppo.py", [], ["ray[rllib]>=2.50,<3"]),
    "rllib-masked": ("rllib_ppo.py", ["--masked"], ["ray[rllib]>=2.50,<3"]),
    "skrl": ("skrl_ppo.py", [], ["skrl[torch]>=2.1,<3"]),
    "tianshou": ("tianshou_ppo.py", [], ["tianshou>=2.0.1,<3"]),
    "torchrl": ("torchrl_ppo.py", [], ["torchrl>=0.14,<0.16"]),
}


def extra(name: str, package: str) -> str:
    """A requirement of an extra, as setup.cfg has it."""
    settings = configparser.ConfigParser()
    settings.read(Path(__file__).parent / "setup.cfg")
    lines = settings["options.extras_require"][name].split()
    return next(line for line in lines if line.startswith(package))


@nox.session
def lint(session: nox.Session) -> None:
    """Style and imports."""
    session.install(extra("dev", "ruff"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Types of both packages."""
    session.install("-e", ".[test]", extra("dev", "mypy"))
    session.run("mypy")


@nox.session(python=["3.10", "3.11", "3.12", "3.13"])
def tests(session: nox.Session) -> None:
    """All tests but the slow ones, two at a time."""
    session.install("-e", ".[test]")
    session.run("pytest", "-n", "2", "--dist", "worksteal", *session.posargs)


@nox.session
def slow(session: nox.Session) -> None:
    """The slow tests alone."""
    session.install("-e", ".[test]")
    session.run("pytest", "-m", "slow", *session.posargs)


@nox.session
@nox.parametrize("library", list(CLIENTS))
def clients(session: nox.Session, library: str) -> None:
    """A client of another library, as a user would run it."""
    script, arguments, needed = CLIENTS[library]
    session.install(".", *needed)
    session.run("python", f"examples/clients/{script}", *arguments, *session.posargs)


@nox.session
def browser(session: nox.Session) -> None:
    """The benchmark's page in the system's Chromium."""
    session.install("-e", ".[test,browser]")
    page = "tests/seqgen_envs/benchmark/page/test_page_browser.py"
    session.run("pytest", "-rP", page, *session.posargs, env={"SEQGEN_BROWSER": "1"})


@nox.session
def bench(session: nox.Session) -> None:
    """The benchmark of the bundled agents on the toy suite, and its page."""
    session.install(".[bench]")
    agents = [part for name in ("psi", "g", "prior") for part in ("--agent", name)]
    out = session.create_tmp()
    session.run("seqgen", "bench", "run", "--suite", "toy-v1", *agents, "--out", f"{out}/results")
    session.run("seqgen", "bench", "report", f"{out}/results", "--out", f"{out}/report")


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation, strict, and whether its search answers newcomers' questions."""
    session.install("-e", ".[docs]")
    site = session.create_tmp()
    session.run("mkdocs", "build", "--strict", "--site-dir", site)
    session.run("python", "docs/questions.py", site)


@nox.session
def release(session: nox.Session) -> None:
    """The two archives in dist/, checked; the wheel, installed alone, writes a melody."""
    session.install("build", "twine")
    session.run("python", "-m", "build", "--outdir", "dist")
    version = Path("seqgen_envs/_version.py").read_text(encoding="utf-8").split('"')[-2]
    archives = sorted(Path("dist").glob(f"seqgen-{version}*"))
    session.run("twine", "check", "--strict", *map(str, archives))
    session.install(str(next(path for path in archives if path.suffix == ".whl")))
    with session.chdir(session.create_tmp()):  # not in the checkout, whose folders would be found
        session.run("seqgen", "sample", "melody", "-n", "2", "--out", "melodies")
