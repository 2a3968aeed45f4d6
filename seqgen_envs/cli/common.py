"""What the commands share: their options, and how they fail."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from seqgen_envs.reporting.console import fail, say

if TYPE_CHECKING:
    from seqgen_envs.datasets.corpus import Corpus
    from seqgen_envs.domain import Domain

#: What a user can cause and mend: shown as one sentence. Anything else is a bug, with a traceback.
EXPECTED = (ValueError, OSError, ImportError)
COMMAND_KEY = "seqgen.command"

DomainArgument = Annotated[
    str,
    typer.Argument(help="A domain, as `seqgen envs` lists them, or module:attribute, FILE.py:..."),
]
PriorOption = Annotated[
    str | None, typer.Option(help="A bundled prior's name, or a prior's folder.")
]
TaskOption = Annotated[
    str | None,
    typer.Option(
        help="A task's name, module:attribute or FILE.py:attribute, or JSON with its arguments: "
        "'{\"name\": ..., ...}'."
    ),
]
MaskOption = Annotated[
    str | None, typer.Option(help="A mask of the domain's: only what it lets follow is written.")
]
LengthOption = Annotated[int | None, typer.Option(help="Tokens in a sequence, primer included.")]
VocabularyOption = Annotated[
    str | None,
    typer.Option(
        help="'corpus': all tokens that the corpus has, not the domain's alone (molecules)."
    ),
]
PartOption = Annotated[
    str | None,
    typer.Option(
        help="Which part of an arrangement is the melody: its number or name, 'channel N' of MIDI, "
        "or 'highest', the top line of all."
    ),
]
FitKeyOption = Annotated[
    bool,
    typer.Option(
        "--fit-key",
        help="Move a tune that is read to C major or A minor, as the priors' tunes were; files of "
        "melodies that go on from it are moved back. (Melodies.)",
    ),
]
ColumnOption = Annotated[
    str | None,
    typer.Option(
        help="Tables: the column of the sequences, by name or by number, from 1 (default: found)."
    ),
]
NoStereoOption = Annotated[
    bool, typer.Option("--no-stereo", help="Molecules: leave out stereochemistry.")
]
NeutralizeOption = Annotated[
    bool, typer.Option("--neutralize", help="Molecules: take off charges, as far as protons do.")
]
AsWrittenOption = Annotated[
    bool, typer.Option("--as-written", help="Molecules: leave SMILES as they are written.")
]
NoPicturesOption = Annotated[
    bool, typer.Option("--no-pictures", help="Draw nothing: pictures take most of the time.")
]
RawCsvOption = Annotated[
    bool,
    typer.Option(
        "--raw-csv",
        help="Texts in the CSV as they are: no ' before those a spreadsheet takes for formulas.",
    ),
]
TrustOption = Annotated[
    bool,
    typer.Option("--trust", help="Run the code that files name (a run's task or algorithm, say)."),
]


class Backend(str, Enum):
    """Where the parts of a work are done."""

    LOCAL = "local"
    RAY = "ray"


BackendOption = Annotated[
    Backend,
    typer.Option(help="Where: processes of this machine, or a Ray cluster's (extra cluster)."),
]
AddressOption = Annotated[
    str | None,
    typer.Option(
        help="With --backend ray: the cluster's address, 'auto' for the one on this machine "
        "(default: RAY_ADDRESS, else this machine's cores)."
    ),
]
ShardOption = Annotated[
    str | None,
    typer.Option(help="K/N: only the K-th of N equal parts of the work, for job arrays."),
]
SeedOption = Annotated[int, typer.Option(min=0, help="Seed of all random numbers.")]
ThreadsOption = Annotated[
    int | None, typer.Option(min=1, help="PyTorch's threads (default: PyTorch's own choice).")
]


class ExpectedErrors(TyperGroup):
    """A group whose commands' expected errors are one red sentence and exit code 1."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keep the command line, for reports that say how they were made."""
        ctx.meta[COMMAND_KEY] = shlex.join(["seqgen", *args])
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # `seqgen ... | head`: typer's business
        except EXPECTED as error:
            if ctx.params.get("debug"):
                raise
            fail(str(error) or repr(error))
            raise typer.Exit(1) from error


def set_trust(ctx: typer.Context, trust: bool, *given: Any) -> None:
    """For the length of the command: whether code that files name may be run.

    Args:
        ctx: the command's.
        trust: ``--trust``.
        given: what the command line says, which is trusted anyway.
    """
    from seqgen_envs.loading import trusting

    ctx.with_resource(trusting(trust, given=given))


def check_backend(backend: Backend, address: str | None) -> None:
    """Raise a ValueError if an address is given that nothing reads."""
    if address is not None and backend is not Backend.RAY:
        raise ValueError("--address is that of a Ray cluster: add --backend ray")


def parse_task(text: str | None) -> str | dict[str, Any] | None:
    """A ``--task``: a name as it is, JSON as a dict.

    Raises:
        ValueError: it starts like JSON and is none.
    """
    if text is None or not text.lstrip().startswith("{"):
        return text
    from seqgen_envs.documents import parse_json

    try:
        return dict(parse_json(text))
    except ValueError as error:
        raise ValueError(f"--task {text} is not JSON: {error}") from error


#: Options by the keyword, of a domain's function that reads or writes, that they set.
FLAGS = {
    "column": "--column",
    "keep_columns": "--keep-columns",
    "no_stereo": "--no-stereo",
    "neutralize": "--neutralize",
    "as_written": "--as-written",
    "length": "--length",
    "vocabulary": "--vocabulary",
    "refresh": "--refresh",
    "transpose": "--transpose",
    "tempo": "--tempo",
    "instrument": "--instrument",
    "title": "--title",
    "composer": "--composer",
    "part": "--part",
    "fit_key": "--fit-key",
    "no_pictures": "--no-pictures",
}


def taken(
    function: Callable[..., Any], given: Mapping[str, Any], domain: Domain, what: str
) -> dict[str, Any]:
    """Those of the options ``given`` that are set (not None, not False), for ``function``.

    Args:
        function: of the domain's, such as ``corpora.read``; each option is one of its keywords.
        given: values by keyword.
        domain: whose function it is.
        what: what it reads or writes, in the plural: it begins the message.

    Raises:
        ValueError: it has no such keywords; the message names the options by :data:`FLAGS`.
    """
    chosen = {name: value for name, value in given.items() if value is not None}
    chosen = {name: value for name, value in chosen.items() if value is not False}
    takes = inspect.signature(function).parameters
    if unknown := [FLAGS[name] for name in chosen if name not in takes]:
        raise ValueError(f"{what} of domain {domain.name!r} have no option {', '.join(unknown)}")
    return chosen


def say_overridden(of_the_run: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """One line that names what is given in place of what a run had; none where nothing differs."""
    changes = [
        f"{name} {_shown(value)} in place of {_shown(of_the_run.get(name))}"
        for name, value in given.items()
        if value is not None and of_the_run.get(name) != value
    ]
    if changes:
        say(f"Not as the agent was trained: {'; '.join(changes)}")


def _shown(value: Any) -> str:
    text = "the default" if value is None else value if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def load_corpus(
    domain: Domain,
    data: str,
    jobs: int | None,
    options: Mapping[str, Any],
    *,
    any_tokens: bool = False,
) -> Corpus:
    """``--data``: a corpus file (.npz), or whatever the domain's ``corpora.read`` makes of it.

    Args:
        domain: whose corpus it is; where ``length`` is not given, its horizon is.
        data: what was given.
        jobs: processes that read.
        options: of the domain's reader, by keyword, where ``data`` is no .npz file.
        any_tokens: a .npz file may have another vocabulary than the domain.

    Raises:
        ValueError: it is neither, or a .npz file with options for a reader; the domain's reader
            says what else may be wrong.
    """
    from seqgen_envs.datasets.corpus import Corpus

    if Path(data).suffix == ".npz":
        if given := [FLAGS[name] for name, value in options.items() if value]:
            raise ValueError(
                f"{data} is cleaned already: leave out {', '.join(given)}, for `seqgen data`"
            )
        return Corpus.load(data, None if any_tokens else domain.vocabulary)
    if domain.corpora.read is None:
        raise ValueError(f"domain {domain.name!r} reads no corpora: give --data a .npz file")
    chosen = taken(domain.corpora.read, options, domain, "corpora")
    if "length" in inspect.signature(domain.corpora.read).parameters:
        chosen = {"length": domain.horizon, **chosen}
    corpus = domain.corpora.read(data, n_jobs=jobs, **chosen)
    assert isinstance(corpus, Corpus)
    return corpus


def installed_domains(missing: Callable[[str, ImportError], object] | None = None) -> list[Domain]:
    """All domains whose libraries are installed; ``missing`` is told of the others, and why."""
    from seqgen_envs.registration import get_domain, registered_domains

    domains = []
    for name in registered_domains():
        try:
            domains.append(get_domain(name))
        except ImportError as error:
            if missing is not None:
                missing(name, error)
    return domains


def check_folder(out: Path) -> None:
    """Say at once, not after the work, that ``--out`` cannot be a folder.

    Raises:
        ValueError: there is a file of that name.
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out {out} is a file; give the name of a folder")


def set_threads(threads: int | None) -> None:
    """PyTorch's threads, if the user chose a number."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
