"""The groups of a domain's abilities, all optional: what commands and reports read of it.

Ids are int64: a sequence [n], or a batch of them [N, T], padded with V.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.rules import Tokens

if TYPE_CHECKING:  # prior imports PyTorch: seconds that registering a domain need not cost
    from seqgen_envs.datasets.corpus import Corpus

Group = TypeVar("Group", "View", "Metrics", "Files")


def informed(group: Group, facts: Mapping[str, Any]) -> Group:
    """The group with a task's facts given to each of its functions that takes such keywords."""
    chosen: dict[str, Any] = {}
    for one in fields(group):
        function = getattr(group, one.name)
        if callable(function):
            takes = inspect.signature(function).parameters
            if told := {name: value for name, value in facts.items() if name in takes}:
                chosen[one.name] = partial(function, **told)
    return replace(group, **chosen) if chosen else group


class Entry(NamedTuple):
    """A sequence of a file of many.

    Args:
        name: its own; empty where it has none.
        text: of its tokens.
        place: where it stands in the file, such as ``line 3``.
        given: what is written there, where the reader may change that; None: it does not.
        fields: what else the file says of it, by name.
        problem: why it is no sequence; empty where it is one.
        invalid: why the domain calls it invalid, where its tokens can be read and so be scored.
        notice: what to know of it besides, in a clause; of many, the first is shown.
    """

    name: str
    text: str
    place: str = ""
    given: str | None = None
    fields: Mapping[str, str] = {}
    problem: str = ""
    invalid: str = ""
    notice: str = ""


@dataclass(frozen=True)
class View:
    """How one sequence is seen and heard; what is None the domain does not have.

    Args:
        text: ids of a prefix [n] to what ``render_mode="ansi"`` shows; None: the sequence's text.
        image: (ids of a prefix [n], T) to uint8 [H, W, 3]; None: a grid of tokens.
        waveform: ids of a sequence [n] to float32 samples [m] in -1..1.
        sample_rate: samples a second of ``waveform``.
        svg: a sequence's text to a picture, one ``<svg>`` element with a viewBox, drawn dark on
            nothing: pages give it their own ground, and turn it light on a dark one. Text that is
            no sequence it draws as far as it can, and it escapes what it writes.
    """

    text: Callable[[Tokens], str] | None = None
    image: Callable[[Tokens, int], NDArray[np.uint8]] | None = None
    waveform: Callable[[Tokens], NDArray[np.float32]] | None = None
    sample_rate: int = 22050
    svg: Callable[[str], str] | None = None


@dataclass(frozen=True)
class Metrics:
    """Numbers that describe sequences; what is None the domain does not have.

    Args:
        each: ids [N, T] to float64 [N] by name: one number a sequence.
        summary: ids [N, T] to one number by name: of the whole batch.
        published: published columns by model, of the rows of ``summary``.
        against: the folder of a prior to the metrics that compare with its corpus; None where no
            metric compares with a corpus.
    """

    each: Callable[[Tokens], dict[str, NDArray[np.float64]]] | None = None
    summary: Callable[[Tokens], dict[str, float]] | None = None
    published: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    against: Callable[[Path], Metrics] | None = None


@dataclass(frozen=True)
class Files:
    """Sequences as files; what is None the domain cannot do.

    Args:
        read: (path) of a file of one sequence to ids [n]. Further keywords it takes are options of
            ``seqgen score`` and of ``seqgen sample --primer``.
        read_many: (path) of a file of many sequences to an :class:`Entry` each, or to pairs of a
            place in the file and a text; keywords likewise.
        read_beginnings: a file of primers to an :class:`Entry` each; None: a text a line.
        write: (ids [n], folder, stem, prior) writes a sequence's files, named by the stem, into a
            folder that exists, and returns their paths. Further keywords it takes are options of
            ``seqgen sample``, or a task's facts.
        check: the options of ``write``, to raise a ValueError for what cannot be written; called
            before there are sequences.
        facts: a file as of ``read``, with the same keywords, to what it says besides its tokens:
            keywords of ``write``. A further keyword, ``last``, says that so many tokens at its end
            are what sequences begin with; None: its beginning.
        write_many: (ids [N, T], folder, N names, N rows, prior) writes files of many sequences
            into a folder that exists, and returns their paths; the rows are those of
            ``seqgen sample``'s CSV. Further keywords are its options, as of ``write``.
        suffixes: how the names of the files that are read end, lower case, such as ".smi".
        also: further such endings, of files that are of many kinds: they are read where the domain
            is named, and do not tell which domain it is.
    """

    read: Callable[..., Tokens] | None = None
    read_many: Callable[..., Sequence[Entry | tuple[str, str]]] | None = None
    read_beginnings: Callable[[Path], Sequence[Entry]] | None = None
    write: Callable[..., Sequence[Path]] | None = None
    check: Callable[..., object] | None = None
    facts: Callable[..., Mapping[str, Any]] | None = None
    write_many: Callable[..., Sequence[Path]] | None = None
    suffixes: Sequence[str] = ()
    also: Sequence[str] = ()


@dataclass(frozen=True)
class Corpora:
    """What priors of the domain are trained on; what is None the domain cannot do.

    Args:
        read: (data, n_jobs) to a Corpus: what ``seqgen prior train --data`` and ``seqgen data``
            name, read by so many processes. Further keywords it takes are options of
            ``seqgen data``.
        names: the names that ``read`` knows, each with a line about it.
        suffixes: how the names of files that ``read`` reads end, such as ".smi".
        downloads: other things ``seqgen data`` fetches by name, as functions that do so and return
            the files' paths.
        presets: a YAML file of named hyper-parameters for ``seqgen prior train``.
        augment: (ids of a training sequence [n], generator) to ids of the same thing spelled
            another way; None: a sequence has one spelling.
        cross: (ids of one finished sequence [n], of another [m], generator) to ids of a child of
            the two without an end token, or None where they have none; None: sequences of this
            domain are not crossed.
        valid: ids of finished sequences [N, T] to bool [N]; None: all are valid.
        describe: (corpus, folder of a prior trained on it) writes there what
            :attr:`Metrics.against` needs, and returns its path.
        columns: the folder of a prior, or None, to what its corpus itself would score: columns of
            the rows of :attr:`Metrics.summary`.
    """

    read: Callable[..., Any] | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    suffixes: Sequence[str] = ()
    downloads: Mapping[str, Callable[[], Sequence[Path]]] = field(default_factory=dict)
    presets: Path | None = None
    augment: Callable[[Tokens, np.random.Generator], Tokens] | None = None
    cross: Callable[[Tokens, Tokens, np.random.Generator], Tokens | None] | None = None
    valid: Callable[[Tokens], NDArray[np.bool_]] | None = None
    describe: Callable[[Corpus, Path], Path] | None = None
    columns: Callable[[Path | None], Mapping[str, Mapping[str, float]]] | None = None


@dataclass(frozen=True)
class Template:
    """A sequence with open places: fixed parts, and after each of them what generation writes.

    Attributes:
        text: as the user wrote it.
        parts: ids of the fixed parts, one at least; sequences start with the first.
        least: tokens of the shortest sequence that has the parts and fills the places.
    """

    text: str
    parts: tuple[tuple[int, ...], ...]
    least: int


@dataclass(frozen=True)
class Templates:
    """Primers with open places; what is None the domain does not have.

    Args:
        read: a text to its template; None where the text has no open places.
        masks: by names of :attr:`~seqgen_envs.domain.Domain.masks`: templates to an action mask
            that keeps all their parts and fills their places, beside what that mask promises.
    """

    read: Callable[[str], Template | None] | None = None
    masks: Mapping[str, Callable[[Sequence[Template]], Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class Ingredient:
    """Something that objectives are made of, as a list of them shows it.

    Attributes:
        name: as descriptions name it.
        kind: what it is, in the singular, such as ``"property"``.
        about: one line.
        arguments: what it takes, by name: what that is and, in brackets, its default.
        values: what comes out.
        example: the description of an objective that uses it, plain data.
    """

    name: str
    kind: str
    about: str
    arguments: Mapping[str, str]
    values: str
    example: Mapping[str, Any]
