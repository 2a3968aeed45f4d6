"""``seqgen data``: fetch, clean and store corpora."""

from __future__ import annotations

import inspect
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from seqgen_envs.cli.common import (
    AsWrittenOption,
    ColumnOption,
    NeutralizeOption,
    NoStereoOption,
    PartOption,
    VocabularyOption,
    installed_domains,
    taken,
)
from seqgen_envs.reporting.console import say, show, warn

if TYPE_CHECKING:
    from seqgen_envs.datasets.corpus import Corpus
    from seqgen_envs.domain import Domain

#: Dropped sequences that are named one by one.
SHOWN = 10
#: Below so many sequences a training that starts from a bundled prior is suggested, and how.
FEW = 1_000
ON_FROM_IT = "--learning-rate 0.0005"


def data(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A corpus's name, a file or a folder; without it, the names are listed."
        ),
    ] = None,
    domain: Annotated[
        str | None, typer.Option(help="Whose corpus it is (default: who knows the name).")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The .npz file to write (default: NAME.npz).")
    ] = None,
    column: ColumnOption = None,
    no_stereo: NoStereoOption = False,
    neutralize: NeutralizeOption = False,
    as_written: AsWrittenOption = False,
    length: Annotated[
        int | None, typer.Option(min=2, help="Longest sequence kept, in tokens.")
    ] = None,
    vocabulary: VocabularyOption = None,
    part: PartOption = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Clean again, whatever the cache has.")
    ] = False,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes that clean (default: one a core).")
    ] = None,
) -> None:
    """Fetch a corpus or read files, clean it, and write it as FILE.npz for `seqgen prior train`.

    What was dropped, and why, is shown, and FILE.dropped.csv names it. Downloads and cleaned
    corpora are kept in the user's cache folder, or the one SEQGEN_CACHE names.
    """
    from seqgen_envs.registration import get_domain
    from seqgen_envs.reporting.files import write_csv

    if name is None:
        show(_names())
        return
    kind = _domain_of(name) if domain is None else get_domain(domain)
    if name in kind.corpora.downloads:
        for path in kind.corpora.downloads[name]():
            say(str(path))
        return
    out = out or Path(f"{_stem(name, kind)}.npz")
    if out.suffix != ".npz":
        raise ValueError(f"--out {out} must end in .npz")
    given = {
        "column": column,
        "no_stereo": no_stereo,
        "neutralize": neutralize,
        "as_written": as_written,
        "length": length,
        "vocabulary": vocabulary,
        "refresh": refresh,
        "part": part,
    }
    corpus = _read(kind, name, jobs, given)
    _report(corpus)
    if corpus.report.unknown:
        say("With --vocabulary corpus those of tokens that the domain lacks are kept.")
    if corpus.vocabulary != kind.vocabulary:
        new = sorted(set(corpus.vocabulary.tokens).difference(kind.vocabulary.tokens))
        say(f"The corpus has its own {corpus.vocabulary.size} tokens, new ones: {' '.join(new)}")
    if rows := corpus.report.rows():
        dropped = out.with_suffix(".dropped.csv")
        write_csv(dropped, rows)
        say(f"{dropped} names what was dropped, and why")
    corpus.save(out)
    say(f"{out} is the corpus. To train a prior on it:")
    where = f"--data {shlex.quote(str(out))} --out {kind.name}-prior"
    if len(corpus) < FEW and _goes_on(kind, corpus):
        say(f"  seqgen prior train {kind.name} --initial {kind.default_prior} {ON_FROM_IT} {where}")
        say(
            f"With so few sequences ({len(corpus):,}) it goes on from a bundled prior; without "
            "--initial and --learning-rate a training starts from nothing."
        )
    else:
        say(f"  seqgen prior train {kind.name} {where}")


def _goes_on(domain: Domain, corpus: Corpus) -> bool:
    """Whether a training on the corpus can start from the domain's default prior."""
    from seqgen_envs.domain import StoredPrior

    stored = isinstance(domain.priors[domain.default_prior], StoredPrior)
    return stored and corpus.vocabulary == domain.vocabulary


def _names() -> Table:
    table = Table("name", "domain", "what it is", title="Corpora", title_justify="left")
    for domain in _domains():
        for name, about in domain.corpora.names.items():
            table.add_row(name, domain.name, about)
        for name, function in domain.corpora.downloads.items():
            table.add_row(name, domain.name, (inspect.getdoc(function) or "").partition("\n")[0])
        if domain.corpora.suffixes:
            table.add_row("a file", domain.name, " ".join(domain.corpora.suffixes))
    return table


def _domains() -> list[Domain]:
    """All whose libraries are installed; the others are named."""
    return installed_domains(lambda name, why: warn(f"domain {name!r} is not available: {why}"))


def _domain_of(name: str) -> Domain:
    """The domain that has a corpus of that name, or else reads files of that kind.

    Raises:
        ValueError: none or several do.
    """
    domains = _domains()
    ours = [d for d in domains if name in {**d.corpora.names, **d.corpora.downloads}]
    ours = ours or [d for d in domains if name.lower().endswith(tuple(d.corpora.suffixes))]
    if len(ours) == 1:
        return ours[0]
    if ours:
        raise ValueError(f"{name!r} is known to {', '.join(d.name for d in ours)}: add --domain")
    if Path(name).is_dir():
        raise ValueError(f"{name} is a folder: say whose files are in it by --domain")
    if Path(name).exists():
        raise ValueError(f"{name} is not a kind of file known as a corpus: add --domain")
    known = sorted(corpus for d in domains for corpus in (*d.corpora.names, *d.corpora.downloads))
    endings = " ".join(ending for d in domains for ending in d.corpora.suffixes)
    raise ValueError(
        f"there is no corpus {name!r}: give one of {', '.join(known)}, or a file ({endings})"
    )


def _read(domain: Domain, name: str, jobs: int | None, options: dict[str, Any]) -> Corpus:
    from seqgen_envs.datasets.corpus import Corpus

    if domain.corpora.read is None:
        raise ValueError(f"domain {domain.name!r} reads no corpora")
    corpus = domain.corpora.read(
        name, n_jobs=jobs, **taken(domain.corpora.read, options, domain, "corpora")
    )
    assert isinstance(corpus, Corpus)
    return corpus


def _report(corpus: Corpus) -> None:
    from seqgen_envs.datasets.corpus import SPLITS

    problems = corpus.report.problems[:SHOWN]
    for problem in problems:
        warn(f"dropped {problem}")
    if more := corpus.report.n_dropped - len(problems):
        warn(f"dropped {more:,} more for such reasons")
    show(corpus.report.table(f"Corpus: {corpus.source}"))
    for hint in corpus.report.hints:
        say(f"hint: {hint}")
    for example in corpus.report.examples:
        say(f"rewritten: {example}")
    shares = ", ".join(f"{split} {len(corpus.split(split)):,}" for split in SPLITS)
    say(f"{len(corpus):,} sequences of {corpus.n_tokens:,} tokens: {shares}")


def _stem(name: str, domain: Domain) -> str:
    """A file's name without the ending that tells its kind."""
    name = Path(name).name
    known = [end for end in domain.corpora.suffixes if name.lower().endswith(end)]
    return name[: -len(max(known, key=len))] if known else name.partition(".")[0]
