"""``seqgen score``: what a prior and a task's rules say of the user's own files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqgen_envs.cli.common import (
    AsWrittenOption,
    ColumnOption,
    FitKeyOption,
    NeutralizeOption,
    NoStereoOption,
    PartOption,
    PriorOption,
    RawCsvOption,
    TaskOption,
    TrustOption,
    installed_domains,
    parse_task,
    set_trust,
    taken,
)
from seqgen_envs.cli.listing import show_sequences
from seqgen_envs.domain_groups import Entry
from seqgen_envs.reporting.console import fail, progress, say, show_metrics, warn

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from seqgen_envs.domain import Domain

FILES_A_TABLE = 5
#: Invalid sequences that are named; of more, the number.
NAMED = 5
#: Rewritten sequences that are shown, and how much of each.
EXAMPLES, EXAMPLE = 3, 80
#: Longest message about one sequence: what is wrong with it may quote it.
MESSAGE = 1000
_NOT_METRICS = ("name", "text", "tokens")


def score(
    ctx: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="Files of one sequence or of many.")],
    domain: Annotated[
        str | None, typer.Option(help="Their domain (default: the one their names belong to).")
    ] = None,
    prior: PriorOption = None,
    task: TaskOption = None,
    part: PartOption = None,
    fit_key: FitKeyOption = False,
    c: Annotated[float, typer.Option(help="return = log-prior + task return / c.")] = 0.5,
    column: ColumnOption = None,
    no_stereo: NoStereoOption = False,
    neutralize: NeutralizeOption = False,
    as_written: AsWrittenOption = False,
    csv: Annotated[Path | None, typer.Option(help="Write the scores to this file too.")] = None,
    keep_columns: Annotated[
        bool,
        typer.Option(
            "--keep-columns", help="Tables: their other columns go into --csv, as given_NAME."
        ),
    ] = False,
    raw_csv: RawCsvOption = False,
    trust: TrustOption = False,
) -> None:
    """Score files: log-prior, every rule's total and every metric.

    A sequence is judged as the episode that would have made it. Molecules are cleaned as those of
    a corpus are, unless --as-written is given; what that changes is said, and the CSV has what was
    given. An invalid SMILES is named, and scored as one that an agent wrote.

    A file or a sequence that cannot be read is named and left out; one that a rule or an oracle
    fails on is named, and its cells in the CSV are nan. The others are scored all the same, and
    the exit code is 1.
    """
    from seqgen_envs.cli.episodes import NamedFailures, replay_all, score_rows
    from seqgen_envs.registration import get_domain
    from seqgen_envs.reporting.files import write_csv
    from seqgen_envs.settings import LaneSettings

    set_trust(ctx, trust, domain, parse_task(task))
    kind = get_domain(domain or domain_of(files)).for_prior(prior)
    reader = kind.files.read_many or kind.files.read
    if reader is None:
        raise ValueError(f"domain {kind.name!r} reads no files")
    given = {
        "column": column,
        "no_stereo": no_stereo,
        "neutralize": neutralize,
        "as_written": as_written,
        "keep_columns": keep_columns,
        "part": part,
        "fit_key": fit_key,
    }
    options = taken(reader, given, kind, "files")
    judge, rules = kind.load_prior(prior), kind.make_task(parse_task(task))
    kind = kind.beside(judge, rules)
    LaneSettings(kind, judge, rules, c)  # what is wrong with an option is not each file's fault
    failures = rules.failures = NamedFailures()
    found = _read_all(kind, files, options)
    rows: list[dict[str, Any]] = [{} for _ in found.sequences]
    names = [_name(file, entry) for file, entry in found.entries]
    for indices, episodes in replay_all(kind, found.sequences, judge, rules, c):
        scored = score_rows(kind, episodes, [names[i] for i in indices], c, failures)
        for i, row in zip(indices, scored, strict=True):
            rows[i] = row
            for problem in failures.of(found.sequences[i]).values():
                found.problems.append(f"{_whole_place(*found.entries[i])}: {problem}")
    labels = _labels(found.entries)
    _say_rewritten(kind, found.entries)
    few = kind.files.read_many is None or len(rows) <= FILES_A_TABLE
    if rows and not (few and kind.vocabulary.end_id is None):
        show_sequences(kind, rows, kind.vocabulary.padded(found.sequences), names=labels)
    if few:
        _show_metrics(rows, labels)
    elif csv is None:
        say("--csv FILE writes every rule and metric of each")
    if csv is not None and rows:
        table = [_described(row, *of) for row, of in zip(rows, found.entries, strict=True)]
        write_csv(csv, table, raw=raw_csv)
        say(f"{csv} has the scores of {len(rows)} {kind.plural}")
    _say_unknown(kind, found.unknown)
    _warn_of_invalid(kind, found.entries)
    _say_notices(kind, found.entries)
    for problem in found.problems:
        fail(problem)
    if total := failures.total(kind, len(rows), rows):
        fail(total)
    if found.problems:
        raise typer.Exit(1)


def domain_of(files: Sequence[Path]) -> str:
    """The domain whose files have such names.

    Raises:
        ValueError: there is none, or several.
    """
    suffixes = {domain.name: tuple(domain.files.suffixes) for domain in installed_domains()}
    found: set[str] = set()
    for file in files:
        if file.is_dir():
            raise ValueError(f"{file} is a folder: give the files in it, as {file / '*'}")
        owners = {name for name, ends in suffixes.items() if file.name.lower().endswith(ends)}
        if len(owners) != 1:
            ends = "; ".join(
                f"{' '.join(suffixes[name])} ({name})" for name in suffixes if suffixes[name]
            )
            raise ValueError(
                f"the name of {file} does not tell its domain; give --domain, or files of types "
                f"that tell it: {ends}"
            )
        found |= owners
    if len(found) > 1:
        raise ValueError(f"the files are of the domains {sorted(found)}; give those of one")
    return found.pop()


@dataclass
class _Found:
    """What files hold: sequences that can be scored, and what is wrong with the others."""

    entries: list[tuple[Path, Entry]]
    sequences: list[NDArray[np.int64]]
    problems: list[str]
    unknown: Counter[str]


def _read_all(domain: Domain, files: Sequence[Path], options: Mapping[str, Any]) -> _Found:
    from seqgen_envs.cli.episodes import complete
    from seqgen_envs.vocabulary import UnknownTokenError

    found = _Found([], [], [], Counter())
    for file in progress(files, "reading", "file"):
        try:
            for entry, ids in _sequences_of(domain, file, options):
                try:
                    if entry.problem:
                        raise ValueError(entry.problem)
                    ids = domain.to_ids(entry.text) if ids is None else ids
                    found.sequences.append(complete(domain, ids))
                    found.entries.append((file, entry))
                except ValueError as error:
                    if isinstance(error, UnknownTokenError):
                        found.unknown.update(error.tokens)
                    found.problems.append(_naming(_whole_place(file, entry), error))
        except (ValueError, OSError) as error:
            found.problems.append(_naming(str(file), error))
    return found


def _sequences_of(
    domain: Domain, file: Path, options: Mapping[str, Any]
) -> Iterator[tuple[Entry, NDArray[np.int64] | None]]:
    """A file's sequences, and their ids where the file is of one."""
    if domain.files.read_many is None:
        assert domain.files.read is not None
        yield Entry("", ""), domain.files.read(file, **options)
        return
    for entry in domain.files.read_many(file, **options):
        if isinstance(entry, Entry):
            yield entry, None
        else:  # a pair of a place and a text
            yield Entry("", entry[1], entry[0]), None


def _naming(name: str, error: Exception) -> str:
    message = str(error)
    message = message if len(message) <= MESSAGE else f"{message[:MESSAGE]}..."
    return message if name in message else f"{name}: {message}"


def _whole_place(file: Path, entry: Entry) -> str:
    return ", ".join(filter(None, (str(file), entry.place, entry.name)))


def _place(file: Path | str, entry: Entry) -> str:
    return f"{file}, {entry.place}" if entry.place else str(file)


def _name(file: Path, entry: Entry) -> str:
    return entry.name or _place(file, entry)


def _described(row: Mapping[str, Any], file: Path, entry: Entry) -> dict[str, Any]:
    """A row of the CSV: where a file is of many sequences, with what it says of this one."""
    if entry.given is None:
        return dict(row)
    more = {"name": row["name"], "source": _place(file, entry), "given": entry.given}
    more |= {f"given_{name}": value for name, value in entry.fields.items()}
    return more | dict(row)


def _say_rewritten(domain: Domain, entries: Sequence[tuple[Path, Entry]]) -> None:
    pairs = [(e.given, e.text) for _, e in entries if e.given is not None and e.given != e.text]
    if pairs:
        shown = [f"{given[:EXAMPLE]} -> {text[:EXAMPLE]}" for given, text in pairs[:EXAMPLES]]
        say(
            f"{len(pairs)} of {len(entries)} {domain.plural} were rewritten (--as-written leaves "
            f"them): {'; '.join(shown)}{'; ...' if len(pairs) > EXAMPLES else ''}"
        )


def _warn_of_invalid(domain: Domain, entries: Sequence[tuple[Path, Entry]]) -> None:
    """How many are invalid, and which the first ones are."""
    places = [f"{_whole_place(*of)}: {of[1].invalid}" for of in entries if of[1].invalid]
    if places:
        more = f", and {len(places) - NAMED} more" if places[NAMED:] else ""
        warn(
            f"{len(places)} of {len(entries)} {domain.plural} are invalid and are scored as such "
            f"({'; '.join(places[:NAMED])}{more})"
        )


def _say_notices(domain: Domain, entries: Sequence[tuple[Path, Entry]]) -> None:
    """The first notice, and how many others there are."""
    noted = [(file, entry) for file, entry in entries if entry.notice]
    if noted:
        file, entry = noted[0]
        more = f" ({len(noted) - 1} more {domain.plural} likewise)" if noted[1:] else ""
        say(f"{_name(file, entry)}: {entry.notice}{more}")


def _say_unknown(domain: Domain, unknown: Counter[str]) -> None:
    if unknown:
        counts = ", ".join(f"{token[:EXAMPLE]} in {n}" for token, n in unknown.most_common(20))
        say(f"Tokens that the prior lacks, and how many {domain.plural} hold them: {counts}")


def _show_metrics(rows: Sequence[Mapping[str, Any]], labels: Sequence[str]) -> None:
    for start in range(0, len(rows), FILES_A_TABLE):
        part = slice(start, start + FILES_A_TABLE)
        columns = {
            label: {name: value for name, value in row.items() if name not in _NOT_METRICS}
            for label, row in zip(labels[part], rows[part], strict=True)
        }
        show_metrics("Scores", columns)


def _labels(entries: Sequence[tuple[Path, Entry]]) -> list[str]:
    """Names, else places in files without their folders; numbered where they are not apart.

    Places in one file of many titles go without the file's name.
    """
    files = {file for file, _ in entries}
    titled = len(files) == 1 and all(entry.place.startswith("#") for _, entry in entries)
    short = [
        entry.name or (entry.place if titled else _place(file.name, entry))
        for file, entry in entries
    ]
    if len(set(short)) == len(short):
        return short
    return [f"{i + 1}: {_name(*one)}" for i, one in enumerate(entries)]
