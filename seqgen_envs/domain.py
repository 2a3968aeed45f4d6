"""Domains: what an environment needs to know of melodies, molecules or anything else.

A new domain is one :class:`Domain` and one registration (see :mod:`seqgen_envs.registration`);
nothing else in the package asks which domain it serves. What an environment reads are the fields of
the Domain itself; what only some commands and reports read are its groups.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache, partial
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.domain_groups import (
    Corpora,
    Files,
    Ingredient,
    Metrics,
    Template,
    Templates,
    View,
    informed,
)
from seqgen_envs.loading import NothingThereError, call_object, is_reference, load_object
from seqgen_envs.rules import Task, Tokens
from seqgen_envs.spelling import did_you_mean
from seqgen_envs.user_tasks import task_from
from seqgen_envs.vocabulary import Vocabulary

if TYPE_CHECKING:  # prior imports PyTorch: seconds that registering a domain need not cost
    from seqgen_envs.prior import Prior

ActionMask = Callable[[Tokens, Tokens], NDArray[np.int8]]


@dataclass(frozen=True)
class Domain:
    """One kind of sequence.

    Args:
        name: lower case, as in ``SequenceEnv(domain=name)``.
        vocabulary: the tokens.
        priors: bundled priors by name, as functions that load them, such as
            :class:`StoredPrior`.
        tasks: task factories by name; keyword arguments come from the environment's ``task``. A
            name that ends in a colon is a family: ``"similarity:CCO"`` calls the factory
            ``"similarity:"`` with ``"CCO"``.
        default_prior, default_task: keys of the two.
        horizon: default length T of an episode, in tokens.
        min_horizon: the shortest length that makes sense.
        decode: ids [n] (padded or not) to the text of a finished sequence.
        encode: text of a sequence to its tokens' ids, the inverse of ``decode``.
        action_mask: (tokens [N, T], lengths [N]) to int8 [N, V], 1 for each token that may follow,
            at least one a row; or None where all may. A pure function of each prefix and T, which
            can be pickled; what it has worked out it may keep.
        masks: further action masks, which hold where the environment's ``mask`` names them, as
            functions that make one.
        plural: what several sequences are called; default the name and an s.
        of_vocabulary: the same domain with other tokens, for priors that have other tokens than
            ``vocabulary``; None: the domain has these tokens only.
        ingredients: what objectives are made of; None: nobody puts any together.
        view, metrics, files, corpora, templates: see :mod:`seqgen_envs.domain_groups`.

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
    action_mask: ActionMask | None = None
    masks: Mapping[str, Callable[[], ActionMask]] = field(default_factory=dict)
    plural: str = ""
    of_vocabulary: Callable[[Vocabulary], Domain] | None = None
    ingredients: Callable[[], Sequence[Ingredient]] | None = None
    view: View = field(default_factory=View)
    metrics: Metrics = field(default_factory=Metrics)
    files: Files = field(default_factory=Files)
    corpora: Corpora = field(default_factory=Corpora)
    templates: Templates = field(default_factory=Templates)
    #: How another process gets this object: a function of this module, and its arguments.
    _made_by: tuple[Callable[..., Domain], tuple[Any, ...]] | None = field(
        default=None, init=False, repr=False, compare=False
    )

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
        return self._made_by or super().__reduce_ex__(protocol)

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
        return self.vocabulary.from_text(text)

    def beside(self, prior: Prior | None, task: Task | None = None) -> Domain:
        """This domain for sequences of one prior and one task.

        Metrics compare with the prior's own corpus, and metrics, view and files have the task's
        facts, where that matters. The registry does not know the domain returned: it is for use in
        this process.
        """
        metrics, facts = self.metrics, {} if task is None else task.facts
        folder = getattr(prior, "source", None)
        if metrics.against is not None and folder is not None:
            metrics = metrics.against(folder)
        if metrics is self.metrics and not facts:
            return self
        return replace(
            self,
            metrics=informed(metrics, facts),
            view=informed(self.view, facts),
            files=informed(self.files, facts),
        )

    def summary(
        self, ids: Tokens, prior: Prior | None = None, task: Task | None = None
    ) -> dict[str, float]:
        """``metrics.summary`` of ids [N, T], :meth:`beside` the prior and the task."""
        summary = self.beside(prior, task).metrics.summary
        return summary(ids) if summary else {}

    def for_prior(self, prior: str | Path | Prior | None = None) -> Domain:
        """This domain with the prior's vocabulary; of a stored prior no weights are loaded.

        Where sequences end by a token, the horizon is at least the length that the prior was
        trained for.

        Args:
            prior: as for :meth:`load_prior`.

        Raises:
            FileNotFoundError, ValueError, TypeError: as :meth:`load_prior`, and a ValueError where
                the prior has other tokens and the domain no ``of_vocabulary``.
        """
        vocabulary, longest = self._facts_of(prior)
        same = vocabulary.fingerprint == self.vocabulary.fingerprint
        domain = self if same else self.with_vocabulary(vocabulary)
        if vocabulary.end is None or longest <= domain.horizon:
            return domain
        return domain.with_horizon(longest)

    def with_horizon(self, horizon: int) -> Domain:
        """This domain with another default length."""
        domain = replace(self, horizon=horizon)
        object.__setattr__(domain, "_made_by", (Domain.with_horizon, (self, horizon)))
        return domain

    def with_vocabulary(self, vocabulary: Vocabulary) -> Domain:
        """This domain with other tokens; the same object for the same tokens.

        Raises:
            ValueError: the domain has its own tokens only.
        """
        if self.of_vocabulary is None:
            self.vocabulary.check_same(vocabulary, f"domain {self.name!r}", "the prior")
            return self
        domain = _of_vocabulary(self.of_vocabulary, vocabulary)
        vocabulary.check_same(domain.vocabulary, "of_vocabulary's argument", "what it returned")
        if domain._made_by is None:
            object.__setattr__(domain, "_made_by", (Domain.with_vocabulary, (self, vocabulary)))
        return domain

    def _facts_of(self, prior: str | Path | Prior | None) -> tuple[Vocabulary, int]:
        """A prior's vocabulary, and the length that it was trained for (0 if it is not said)."""
        from seqgen_envs.prior import Prior, max_tokens_of, stored_max_tokens, stored_vocabulary

        found = self._find(prior)
        if isinstance(found, Prior):
            return found.vocabulary, max_tokens_of(getattr(found, "metadata", None))
        if isinstance(found, Path):
            return stored_vocabulary(found), stored_max_tokens(found)
        return self.vocabulary, 0

    def load_prior(self, prior: str | Path | Prior | None = None) -> Prior:
        """A bundled prior by name, one from a folder, or an object as it is; None: the default.

        Raises:
            FileNotFoundError: a folder that is no prior.
            ValueError: unknown name, unreadable folder, or a vocabulary other than the domain's
                (:meth:`for_prior` is the domain with the prior's vocabulary).
            TypeError: an object that is not a prior.
        """
        from seqgen_envs.prior import Prior, load_prior_folder

        loaded = self._find(prior)
        if isinstance(loaded, Path):
            loaded = load_prior_folder(loaded)
        elif not isinstance(loaded, Prior):
            loaded = loaded()
        self.vocabulary.check_same(loaded.vocabulary, f"domain {self.name!r}", "the prior")
        return loaded

    def _find(self, prior: str | Path | Prior | None) -> Path | Callable[[], Prior] | Prior:
        """A prior's folder, what loads it, or itself."""
        from seqgen_envs.prior import Prior

        if isinstance(prior, Prior):
            return prior
        if not isinstance(prior, (str, Path, NoneType)):
            raise TypeError(
                "prior must be a name, a folder or an object with vocabulary, fingerprint, "
                f"initial_state, step and sequence_log_probs; got {type(prior).__name__}"
            )
        name = self.default_prior if prior is None else str(prior)
        if name in self.priors:
            return getattr(self.priors[name], "folder", self.priors[name])
        if Path(name).expanduser().is_dir():
            return Path(name)
        raise ValueError(
            f"unknown prior {name!r} for domain {self.name!r}: neither one of "
            f"{sorted(self.priors)} nor a folder"
        )

    def make_task(self, task: str | Mapping[str, Any] | Task | None = None) -> Task:
        """A task by name, by ``{"name": ..., **arguments}``, or as it is; None: the default.

        A name that the domain does not have may be ``"module:attribute"`` or
        ``"FILE.py:attribute"``: see :func:`~seqgen_envs.user_tasks.task_from`.

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
        if not isinstance(name, str):
            raise ValueError(f"a task's name must be a text, got {name!r}")
        factory = self._task_factory(name)
        try:
            return factory(**arguments).for_vocabulary(self.vocabulary)
        except TypeError as error:
            what = _without_python(str(error), factory)
            raise ValueError(f"task {name!r} does not take these arguments: {what}") from error

    def make_mask(
        self, mask: str | None = None, templates: Sequence[Template] = ()
    ) -> ActionMask | None:
        """``action_mask``, and one of ``masks`` by name; None where all tokens may follow.

        Where the two together would leave nothing, ``action_mask`` alone holds. With ``templates``
        the mask keeps them. Without one, those with one part alone can be kept: by starting so.

        Raises:
            ValueError: unknown name, or templates that it cannot keep.
            TypeError: neither a name nor None.
        """
        keepers = self.templates.masks
        if mask is None:
            if open_ones := [one for one in templates if len(one.parts) > 1]:
                raise ValueError(
                    f"primer {open_ones[0].text!r} has {len(open_ones[0].parts)} open places, and "
                    "only a mask can write what stands between them: give mask="
                    f"{' or '.join(map(repr, keepers))}"
                )
            return self.action_mask
        if not isinstance(mask, str):
            raise TypeError(f"mask must be a name or None; got {type(mask).__name__}")
        if mask not in self.masks:
            raise ValueError(
                f"unknown mask {mask!r} for domain {self.name!r}; masks: {sorted(self.masks)}"
            )
        if templates and mask not in keepers:
            raise ValueError(
                f"mask {mask!r} cannot keep primer {templates[0].text!r} with its open places: "
                f"give mask={' or '.join(map(repr, keepers))}"
            )
        chosen = keepers[mask](templates) if templates else self.masks[mask]()
        return chosen if self.action_mask is None else _BothMasks(self.action_mask, chosen)

    def _task_factory(self, name: str) -> Callable[..., Task]:
        if name in self.tasks:
            return self.tasks[name]
        family, colon, argument = name.partition(":")
        if colon and f"{family}:" in self.tasks:
            return partial(self.tasks[f"{family}:"], argument)
        known = [f"{task}..." if task.endswith(":") else task for task in sorted(self.tasks)]
        if not is_reference(name):
            raise ValueError(
                f"unknown task {name!r} for domain {self.name!r}; tasks: {known}, or yours as "
                "'module:attribute' or 'FILE.py:attribute'"
            )
        try:
            return partial(task_from, load_object(name, "task"), name)
        except NothingThereError as error:
            raise ValueError(f"{error}; tasks of domain {self.name!r}: {known}") from error


def _without_python(message: str, function: Callable[..., Any]) -> str:
    """What a TypeError says of an unknown argument, for who has never seen the function."""
    found = re.search(r"got an unexpected keyword argument '(\w+)'", message)
    if found is None:
        return message
    known = inspect.signature(function).parameters
    return f"there is no {found.group(1)!r}{did_you_mean(found.group(1), known)}"


@dataclass(frozen=True)
class StoredPrior:
    """What loads the prior stored in ``folder``."""

    folder: Path

    def __call__(self) -> Prior:
        """The prior, one copy a process."""
        from seqgen_envs.prior import load_prior_folder

        return load_prior_folder(self.folder)


@lru_cache(maxsize=16)
def _of_vocabulary(make: Callable[[Vocabulary], Domain], vocabulary: Vocabulary) -> Domain:
    return make(vocabulary)


@cache
def load_domain(reference: str) -> Domain:
    """The domain that ``"module:attribute"`` or ``"FILE.py:attribute"`` names, one a process.

    The attribute is a :class:`Domain`, or a function without arguments that returns one. It can be
    pickled: another process loads it by the same reference.

    Raises:
        ValueError: it cannot be imported, or is something else.
    """
    domain = load_object(reference, "domain")
    if callable(domain) and not isinstance(domain, Domain):
        domain = call_object(domain, f"domain {reference!r}")
    if not isinstance(domain, Domain):
        raise ValueError(
            f"domain {reference!r} is of type {type(domain).__name__}; expected a Domain, or a "
            "function that returns one"
        )
    if domain._made_by is None:
        object.__setattr__(domain, "_made_by", (load_domain, (reference,)))
    return domain


@dataclass(frozen=True)
class _BothMasks:
    """What two masks allow; where that is nothing, what the first does."""

    first: ActionMask
    second: ActionMask

    def __call__(self, tokens: Tokens, lengths: Tokens) -> NDArray[np.int8]:
        first = self.first(tokens, lengths)
        both = first & self.second(tokens, lengths)
        return np.where(both.any(axis=1, keepdims=True), both, first)
