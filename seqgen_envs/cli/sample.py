"""``seqgen sample``: sequences from a prior or an agent, as files and as a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqgen_envs.cli.common import (
    FitKeyOption,
    LengthOption,
    MaskOption,
    NoPicturesOption,
    PartOption,
    PriorOption,
    RawCsvOption,
    SeedOption,
    TaskOption,
    TrustOption,
    check_folder,
    parse_task,
    say_overridden,
    set_trust,
    taken,
)
from seqgen_envs.cli.listing import show_sequences
from seqgen_envs.cli.primers import check_fits, facts_of, legible, read_primer
from seqgen_envs.reporting.console import say, warn

if TYPE_CHECKING:
    from seqgen_envs.domain import Domain
    from seqgen_envs.rollout import Policy


def sample(
    ctx: typer.Context,
    domain: Annotated[
        str | None,
        typer.Argument(
            help="A domain, as `seqgen envs` lists them (default: the agent's).",
            show_default=False,
        ),
    ] = None,
    *,
    out: Annotated[Path, typer.Option(help="Folder for the files and the CSV.")],
    n: Annotated[int, typer.Option("-n", "--number", min=1, help="How many sequences.")] = 16,
    prior: PriorOption = None,
    agent: Annotated[
        Path | None, typer.Option(help="A trained agent's file or folder; without it, the prior.")
    ] = None,
    task: TaskOption = None,
    primer: Annotated[
        str | None,
        typer.Option(
            help="What sequences start with: text, a file, or a file with a text a line (drawn)."
        ),
    ] = None,
    primer_length: Annotated[
        int | None,
        typer.Option(help="Use the primer's first N tokens only; with -N its last N tokens."),
    ] = None,
    part: PartOption = None,
    fit_key: FitKeyOption = False,
    length: LengthOption = None,
    mask: MaskOption = None,
    temperature: Annotated[
        float, typer.Option(help="Below 1: likelier sequences; above 1: wilder. Priors only.")
    ] = 1.0,
    c: Annotated[
        float | None,
        typer.Option(
            help="return = log-prior + task return / c; an agent acts at it. Default: the agent's, "
            "or 0.5."
        ),
    ] = None,
    seed: SeedOption = 0,
    num_envs: Annotated[
        int | None,
        typer.Option(
            min=1, help="Sequences at a time; default: as many as the agent's training, or 256."
        ),
    ] = None,
    max_files: Annotated[
        int,
        typer.Option(min=0, help="Write files of the first so many (0: of none); the CSV has all."),
    ] = 64,
    transpose: Annotated[
        str | None,
        typer.Option(
            help="Write the files higher: by so many semitones, or in this key ('D', 'D minor'). "
            "The CSV has the sequences as they were sampled. (Melodies.)"
        ),
    ] = None,
    tempo: Annotated[
        float | None, typer.Option(help="Quarter notes a minute, 5 to 1000. (Melodies.)")
    ] = None,
    instrument: Annotated[
        str | None,
        typer.Option(
            help="Of MIDI and MusicXML: a General MIDI program, 0 to 127, or its name. (Melodies.)"
        ),
    ] = None,
    title: Annotated[str | None, typer.Option(help="Of every piece. (Melodies.)")] = None,
    composer: Annotated[str | None, typer.Option(help="Of every piece. (Melodies.)")] = None,
    no_pictures: NoPicturesOption = False,
    raw_csv: RawCsvOption = False,
    trust: TrustOption = False,
) -> None:
    """Sample sequences and write each one's files or files of all, and one CSV of all of them.

    With --agent, prior, task, c, length, primer and mask are those of its training, unless they are
    given here. The same command with the same seed writes the same files; those of an earlier run
    are overwritten. Log-prior and rules leave out the primer, which nobody chose; the metrics are
    of whole sequences.
    """
    from seqgen_envs.agents import find_loader
    from seqgen_envs.cli.episodes import NamedFailures, join, sample_chunks, score_rows, write_each
    from seqgen_envs.reporting.files import write_csv
    from seqgen_envs.rollout import PriorPolicy
    from seqgen_envs.vector_env import SequenceVectorEnv

    check_folder(out)
    set_trust(ctx, trust, domain, parse_task(task))
    loader = None if agent is None else find_loader(agent)
    known = {} if loader is None or agent is None else loader.environment(agent)
    kind = _domain(domain, known).for_prior(prior or known.get("prior"))
    reading = {"part": part, "fit_key": fit_key or None}
    given = {
        "prior": prior,
        "task": parse_task(task),
        "c": c,
        "length": length,
        "primer": read_primer(kind, primer, primer_length, reading),
        "mask": mask,
    }
    arguments = _merged(kind, known, given)
    check_fits(given["primer"], arguments.get("length") or kind.horizon)
    lanes = num_envs or arguments.pop("num_envs", 256)
    env = SequenceVectorEnv(kind, min(n, lanes), **arguments)
    env.lanes.seed(seed)  # of primers that are drawn
    failures = env.lanes.task.failures = NamedFailures()
    kind = kind.beside(env.prior, env.lanes.task)
    options = {
        "transpose": transpose, "tempo": tempo, "instrument": instrument, "title": title,
        "composer": composer,
    }  # fmt: skip
    options = _checked_options(kind, options, facts_of(kind, primer, primer_length, reading))
    pictures = taken(_writer_of(kind), {"no_pictures": no_pictures}, kind, "files")
    if loader is None or agent is None:
        policy: Policy = PriorPolicy(seed, temperature)
    elif temperature != 1.0:
        raise ValueError("--temperature is the prior's; an agent has its own")
    else:
        policy = loader.load(agent, env, seed)
    observation = getattr(policy, "observation", "dict")
    episodes = join(list(sample_chunks(env.lanes, policy, n, observation)))
    width = max(4, len(str(n)))
    names = [f"{kind.name}-{i:0{width}d}" for i in range(n)]
    rows = score_rows(kind, episodes, names, env.c, failures)
    write_csv(out / f"{kind.plural}.csv", rows, raw=raw_csv)
    sequences = [episodes.tokens[i, : episodes.lengths[i]] for i in range(min(n, max_files))]
    written = write_each(kind, sequences, names, out, env.prior, options | pictures)
    if kind.files.write_many is not None and max_files:
        written |= set(
            kind.files.write_many(episodes.tokens, out, names, rows, env.prior, **pictures)
        )
    show_sequences(kind, rows, episodes.tokens)
    say(_where(kind, out, n, len(written)))
    if total := failures.total(kind, n, rows):
        warn(f"{total}; the first: {failures.first}")
    if moved := options.get("transpose"):
        say(f"The files are transposed ({moved}); {kind.plural}.csv is as sampled")
    _warn_of_leftovers(kind, out, written)


def _domain(name: str | None, known: Mapping[str, Any]) -> Domain:
    """The domain asked for, or that of an agent's training.

    Raises:
        ValueError: there is none of that name, no name is given, or the agent's is another.
    """
    from seqgen_envs.registration import get_domain, registered_domains

    trained_on = get_domain(known["domain"]) if "domain" in known else None
    kind = trained_on if name is None else get_domain(name)
    if kind is None:
        raise ValueError(f"name a domain to sample from: one of {registered_domains()}")
    if trained_on is not None and trained_on.name != kind.name:
        raise ValueError(
            f"the agent was trained on domain {trained_on.name!r}, not on {kind.name!r}: leave the "
            "domain out to sample from the agent's"
        )
    return kind


def _merged(domain: Domain, known: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What an agent's training had, with what is given in its place; says what that changes."""
    arguments = {name: value for name, value in known.items() if name != "domain"}
    chosen = {name: value for name, value in given.items() if value is not None}
    if known:
        say_overridden(legible(domain, arguments), legible(domain, chosen))
    return arguments | chosen


def _checked_options(
    domain: Domain, given: Mapping[str, Any], facts: Mapping[str, Any]
) -> dict[str, Any]:
    """What files are written with: the options given, and facts where they say nothing.

    Raises:
        ValueError: the domain's files have no such option, or not such a value.
    """
    options = {**facts, **taken(_writer_of(domain), given, domain, "files")}
    if domain.files.check is not None:
        domain.files.check(**options)
    return options


def _writer_of(domain: Domain) -> Callable[..., Any]:
    return domain.files.write or domain.files.write_many or _write_nothing


def _write_nothing() -> None:
    """What a domain without files does; it takes no options."""


def _where(domain: Domain, out: Path, n: int, written: int) -> str:
    table = f"{out / f'{domain.plural}.csv'} has all {n} {domain.plural}"
    return f"{table}; {written} files are in {out}" if written else table


def _warn_of_leftovers(domain: Domain, out: Path, written: set[Path]) -> None:
    """Name the files that an earlier run left in ``out``: they are easily taken for this run's."""
    others = sorted(set(out.glob(f"{domain.name}-[0-9]*")) - written)
    if others:
        warn(
            f"{out} also holds {len(others)} files of an earlier run, such as {others[0].name}; "
            f"{domain.plural}.csv is not about them"
        )
