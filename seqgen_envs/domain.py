"""Domains: what an environment needs to know of melodies, molecules or anything else.

A new domain is one :class:`Domain` and one :func:`register_domain`; nothing else in the package
asks which domain it serves.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.rules import Task
from seqgen_envs.vocabulary import Vocabulary

if TYPE_CHECKING:  # prior imports PyTorch: seconds that registering a domain need not cost
    from seqgen_envs.datasets.corpus import Corpus
    from seqgen_envs.prior import Prior

Tokens = NDArray[np.int64]
ActionMask = Callable[[Tokens, Tokens], NDArray[np.int8]]
CollectionWriter = Callable[
    [Tokens, Path, Sequence[str], Sequence[Mapping[str, Any]]], Sequence[Path]
]


@dataclass(frozen=True)
class Domain:
    """One kind of sequence.

    Args:
        name: lower case, as in ``SequenceEnv(domain=name)``.
        vocabulary: the tokens.
        priors: bundled priors by name, as functions that load them.
        of_vocabulary: makes this domain for the vocabulary of a prior that has another, or None:
            priors must have this one.
        tasks: task factories by name; keyword arguments come from the environment's ``task``. A
            name that ends in a colon is a family: ``"similarity:CCO"`` calls the factory
            ``"similarity:"`` with ``"CCO"``.
        default_prior, default_task: keys of the two.
        horizon: default length T of an episode, in tokens.
        min_horizon: the shortest length that makes sense.
        decode: ids [n] (padded or not) to the text of a finished sequence.
        encode: text of a sequence to its tokens' ids, the inverse of ``decode``.
        render_text: ids of a prefix to what ``render_mode="ansi"`` shows.
        render_image: (ids of a prefix, T) to uint8 [H, W, 3]; None draws a grid of tokens.
        sequence_metrics: ids [N, T] to arrays [N] by name, or None.
        summarize: ids [N, T] to the numbers that describe a batch, by name, or None.
        compared_with: the folder of a prior to those of ``sequence_metrics``, ``summarize`` and
            ``write_collection``, by name, that compare with its corpus; None where it makes no
            difference.
        describe_corpus: (corpus, folder of a prior trained on it) writes there what that comparison
            needs.
        corpus_columns: the folder of a prior, or None, to what its corpus itself would score:
            columns of the rows of ``summarize``.
        waveform: ids of a sequence to float32 samples [n] in -1..1, or None: it makes no sound.
        sample_rate: samples a second of ``waveform``.
        write_sequence: (ids, folder, stem, prior) writes a sequence's files into a folder that
            exists, returns their paths.
        write_collection: (ids [N, T], folder, N names, N rows) writes files of many sequences into
            a folder that exists, returns their paths; the rows are those of ``seqgen sample``'s
            CSV.
        read_sequence: a user's file of one sequence to ids.
        read_sequences: a user's file of many sequences to pairs of name and text.
        suffixes: how the names of these files end, lower case, such as ".smi".
        read_corpus: (data, n_jobs) to a Corpus: what ``seqgen prior train --data`` and
            ``seqgen data`` name, read by so many processes. Further keywords it takes are options
            of ``seqgen data``.
        corpora: the names that ``read_corpus`` knows, each with a line about it.
        corpus_files: how the names of files end that ``read_corpus`` reads, such as ".smi".
        downloads: other things ``seqgen data`` fetches by name, as functions that do so and return
            the files' paths.
        augment: (ids of a training sequence int64 [n], generator) to ids of the same thing spelled
            another way, or None: a sequence has one spelling.
        valid: ids of finished sequences int64 [N, T], padded, to bool [N], or None: all are.
        action_mask: (tokens [N, T], lengths [N]) to int8 [N, V], 1 for each token that may follow,
            at least one a row; or None where all may. A pure function of each prefix and T, which
            can be pickled; what it has worked out it may keep.
        masks: further action masks, which hold where the environment's ``mask`` names them, as
            functions that make one.
        plural: what several sequences are called; default the name and an s.
        published: published columns by model, of the rows of ``summarize``, or None.
        presets: a YAML file of named hyper-parameters for ``seqgen prior train``, or None.

    Raises:
        ValueError: a default is not among what it defaults to, or a horizon is out of range.
    """

    name: str
    vocabulary: Vocabulary
    priors: Mapping[str, Callable[[], Prior]]
    tasks: Mapping[str, Callable[..., Task]]
    default_prior: str
    default_task: str
    horizon: int
    min_horizon: int = 1
    decode: Callable[[Any], str] | None = None
    encode: Callable[[str], Tokens] | None = None
    render_text: Callable[[Tokens], str] | None = None
    render_image: Callable[[Tokens, int], NDArray[np.uint8]] | None = None
    sequence_metrics: Callable[[Tokens], dict[str, NDArray[np.float64]]] | None = None
    summarize: Callable[[Tokens], dict[str, float]] | None = None
    compared_with: Callable[[Path], Mapping[str, Any]] | None = None
    describe_corpus: Callable[[Corpus, Path], Path] | None = None
    corpus_columns: Callable[[Path | None], Mapping[str, Mapping[str, float]]] | None = None
    waveform: Callable[[Tokens], NDArray[np.float32]] | None = None
    sample_rate: int = 22050
    write_sequence: Callable[[Tokens, Path, str, Prior], Sequence[Path]] | None = None
    write_collection: CollectionWriter | None = None
    read_sequence: Callable[[Path], Tokens] | None = None
    read_sequences: Callable[[Path], Sequence[tuple[str, str]]] | None = None
    suffixes: Sequence[str] = ()
    read_corpus: Callable[..., Any] | None = None
    corpora: Mapping[str, str] = field(default_factory=dict)
    corpus_files: Sequence[str] = ()
    downloads: Mapping[str, Callable[[], Sequence[Path]]] = field(default_factory=dict)
    augment: Callable[[Tokens, np.random.Generator], Tokens] | None = None
    valid: Callable[[Tokens], NDArray[np.bool_]] | None = None
    action_mask: ActionMask | None = None
    masks: Mapping[str, Callable[[], ActionMask]] = field(default_factory=dict)
    plural: str = ""
    published: Mapping[str, Mapping[str, float]] | None = None
    presets: Path | None = None
    of_vocabulary: Callable[[Vocabulary], Domain] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "plural", self.plural or f"{self.name}s")
        for what, default, known in (
            ("prior", self.default_prior, self.priors),
            ("task", self.default_task, self.tasks),
        ):
            if default not in known:
                raise ValueError(
                    f"domain {self.name!r}: its default {what} {default!r} "
                    f"is not among {list(known)}"
                )
        if not 1 <= self.min_horizon <= self.horizon:
            raise ValueError(
                f"domain {self.name!r}: need 1 <= min_horizon <= horizon, "
                f"got {self.min_horizon} and {self.horizon}"
            )

    def __deepcopy__(self, memo: dict[int, Any]) -> Domain:
        return self  # frozen: every copy of an environment may share it

    def __reduce_ex__(self, protocol: Any) -> Any:
        home = _HOMES.get(self.name)
        if home is not None and _REGISTRY[self.name] is self:
            return _import, (home,)
        return super().__reduce_ex__(protocol)

    def for_prior(self, prior: Prior) -> Domain:
        """This domain in the tokens of ``prior``; itself where they are the same.

        Raises:
            ValueError: they differ, and the domain has no other tokens than its own.
        """
        if prior.vocabulary == self.vocabulary or self.of_vocabulary is None:
            self.vocabulary.check_same(prior.vocabulary, f"domain {self.name!r}", "the prior")
            return self
        return self.of_vocabulary(prior.vocabulary)

    def to_text(self, ids: Any) -> str:
        """A sequence as text: ``decode`` where the domain has one, otherwise joined tokens."""
        return self.decode(ids) if self.decode else self.vocabulary.to_text(ids)

    def to_ids(self, text: str) -> Tokens:
        """Ids of a sequence's text, the inverse of :meth:`to_text`.

        Raises:
            ValueError: a token is unknown.
        """
        if self.encode:
            return self.encode(text)
        joiner = self.vocabulary.joiner
        if not joiner:
            return self.vocabulary.encode(text)
        return self.vocabulary.encode(text.split(None if joiner.isspace() else joiner))

    def beside(self, prior: Prior | None) -> Domain:
        """This domain, comparing sequences with the prior's own corpus if that matters.

        The registry does not know the domain returned: it is for use in this process.
        """
        folder = getattr(prior, "source", None)
        if self.compared_with is None or folder is None:
            return self
        return replace(self, **self.compared_with(folder))

    def summary(self, ids: Tokens, prior: Prior | None = None) -> dict[str, float]:
        """``summarize`` of ids [N, T], against the prior's own corpus if that matters."""
        summarize = self.beside(prior).summarize
        return summarize(ids) if summarize else {}

    def load_prior(self, prior: str | Path | Prior | None = None) -> Prior:
        """A bundled prior by name, one from a folder, or an object as it is; None: the default.

        Raises:
            ValueError: unknown name, unreadable folder, or a vocabulary other than the domain's.
            TypeError: an object that is not a prior.
        """
        from seqgen_envs.prior import Prior

        if prior is None:
            prior = self.default_prior
        if isinstance(prior, (str, Path)):
            loaded = self._named_prior(prior)
        elif isinstance(prior, Prior):
            loaded = prior
        else:
            raise TypeError(
                "prior must be a name, a folder or an object with vocabulary, fingerprint, "
                f"initial_state, step and sequence_log_probs; got {type(prior).__name__}"
            )
        self.for_prior(loaded)  # raises where the two do not fit
        return loaded

    def _named_prior(self, prior: str | Path) -> Prior:
        if str(prior) in self.priors:
            return self.priors[str(prior)]()
        if Path(prior).expanduser().is_dir():
            return _load_prior_in(prior)
        raise ValueError(
            f"unknown prior {str(prior)!r} for domain {self.name!r}: neither one of "
            f"{sorted(self.priors)} nor a folder"
        )

    def make_task(self, task: str | Mapping[str, Any] | Task | None = None) -> Task:
        """A task by name, by ``{"name": ..., **arguments}``, or as it is; None: the default.

        Raises:
            ValueError: unknown name or argument.
            TypeError: none of these.
        """
        if isinstance(task, Task):
            return task.for_vocabulary(self.vocabulary)
        if not isinstance(task, (str, Mapping, NoneType)):
            raise TypeError(
                "task must be a name, a dict {'name': ..., **arguments} or a Task; "
                f"got {type(task).__name__}"
            )
        arguments = {"name": task} if isinstance(task, str) else dict(task or {})
        name = arguments.pop("name", None) or self.default_task
        factory = self._task_factory(name)
        try:
            return factory(**arguments).for_vocabulary(self.vocabulary)
        except TypeError as error:
            raise ValueError(f"task {name!r} does not take these arguments: {error}") from error

    def make_mask(self, mask: str | None = None) -> ActionMask | None:
        """``action_mask``, and one of ``masks`` by name; None where all tokens may follow.

        Where the two together would leave nothing, ``action_mask`` alone holds.

        Raises:
            ValueError: unknown name.
            TypeError: neither a name nor None.
        """
        if mask is None:
            return self.action_mask
        if not isinstance(mask, str):
            raise TypeError(f"mask must be a name or None; got {type(mask).__name__}")
        if mask not in self.masks:
            raise ValueError(
                f"unknown mask {mask!r} for domain {self.name!r}; masks: {sorted(self.masks)}"
            )
        chosen = self.masks[mask]()
        return chosen if self.action_mask is None else _BothMasks(self.action_mask, chosen)

    def _task_factory(self, name: str) -> Callable[..., Task]:
        if name in self.tasks:
            return self.tasks[name]
        family, colon, argument = name.partition(":")
        if colon and f"{family}:" in self.tasks:
            return partial(self.tasks[f"{family}:"], argument)
        known = [f"{task}..." if task.endswith(":") else task for task in sorted(self.tasks)]
        raise ValueError(f"unknown task {name!r} for domain {self.name!r}; tasks: {known}")


def prior_in(folder: Path) -> Callable[[], Prior]:
    """What loads the prior stored in ``folder``: for a domain's ``priors``."""
    return partial(_load_prior_in, folder)


def _load_prior_in(folder: str | Path) -> Prior:
    from seqgen_envs.prior import load_prior_folder

    return load_prior_folder(folder)


@dataclass(frozen=True)
class _BothMasks:
    """What two masks allow; where that is nothing, what the first does."""

    first: ActionMask
    second: ActionMask

    def __call__(self, tokens: Tokens, lengths: Tokens) -> NDArray[np.int8]:
        first = self.first(tokens, lengths)
        both = first & self.second(tokens, lengths)
        return np.where(both.any(axis=1, keepdims=True), both, first)


_REGISTRY: dict[str, Domain | str] = {}
_HOMES: dict[str, str] = {}  # "module:attribute" of those registered that way


def _import(home: str) -> Domain:
    module, attribute = home.split(":")
    domain = getattr(importlib.import_module(module), attribute)
    assert isinstance(domain, Domain)
    return domain


def register_domain(name: str, domain: Domain | str) -> None:
    """Make ``domain`` known as ``name``.

    Args:
        name: what environments and commands call it.
        domain: the object, or ``"module:attribute"`` where it is imported on first use.

    Raises:
        ValueError: the name is taken by another domain.
    """
    if name in _REGISTRY and domain not in (_REGISTRY[name], _HOMES.get(name)):
        raise ValueError(f"a domain named {name!r} is already registered")
    _REGISTRY[name] = domain
    if isinstance(domain, str):
        _HOMES[name] = domain


def get_domain(name: str | Domain) -> Domain:
    """The registered domain of that name (a :class:`Domain` is returned as it is).

    Raises:
        ValueError: no domain has that name; the message lists those there are.
    """
    if isinstance(name, Domain):
        return name
    if name not in _REGISTRY:
        raise ValueError(f"unknown domain {name!r}; registered: {sorted(_REGISTRY)}")
    entry = _REGISTRY[name]
    if isinstance(entry, str):
        entry = _REGISTRY[name] = _import(entry)
    return entry


def registered_domains() -> list[str]:
    """Names of all registered domains, sorted."""
    return sorted(_REGISTRY)
