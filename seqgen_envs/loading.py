"""Objects that users name in text: ``"module:attribute"`` or ``"FILE.py:attribute"``.

A file becomes a submodule of this module, whose name spells the file's path: so what the file
defines can be pickled, and a spawned process that unpickles it finds the file by that name.

Whoever types such a name means it. A name that comes out of a file, which somebody else may have
written, is loaded only where the user trusts the file: who reads the file says so by
:func:`from_file`, and the user by :func:`trusting` (``--trust``).
"""

from __future__ import annotations

import difflib
import importlib
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.abc import SourceLoader
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import spec_from_file_location, spec_from_loader
from pathlib import Path
from types import ModuleType
from typing import Any

from seqgen_envs.named_files import absolute_command

__path__: list[str] = []  # this module is a package: of the files below
_FILES = f"{__name__}.file_"
#: Contents of files of another machine that stand for those of this one.
_CARRIED: dict[Path, bytes] = {}


class NothingThereError(ValueError):
    """There is no module or file of that name."""


class UntrustedCodeError(PermissionError):
    """A file names code to run, and nobody has said that it may be trusted."""


#: Whether code that files name may be run, and what the user has named himself.
_TRUST: ContextVar[tuple[bool, frozenset[str]]] = ContextVar("trust", default=(False, frozenset()))
#: The file whose names are being loaded; None: the user's own words are.
_SOURCE: ContextVar[str | None] = ContextVar("source", default=None)


@contextmanager
def trusting(everything: bool = True, given: Any = None) -> Iterator[None]:
    """Code that files name may be run meanwhile.

    Args:
        everything: all of it; False leaves that as it is.
        given: texts, nested at will, that the user gave: what they name is trusted anyway.
    """
    before, known = _TRUST.get()
    names = {form for text in texts_in(given) for form in _forms(text)}
    token = _TRUST.set((before or everything, known | names))
    try:
        yield
    finally:
        _TRUST.reset(token)


@contextmanager
def trusting_nobody() -> Iterator[None]:
    """No code that files name may be run meanwhile, whatever the user has said."""
    token = _TRUST.set((False, frozenset()))
    try:
        yield
    finally:
        _TRUST.reset(token)


@contextmanager
def from_file(source: str | os.PathLike[str]) -> Iterator[None]:
    """What is loaded meanwhile is named by the file ``source``: :func:`check_trusted` minds it."""
    token = _SOURCE.set(_SOURCE.get() or str(source))
    try:
        yield
    finally:
        _SOURCE.reset(token)


@contextmanager
def from_installation() -> Iterator[None]:
    """What is loaded meanwhile is named by an installed package, whoever asks for it."""
    token = _SOURCE.set(None)
    try:
        yield
    finally:
        _SOURCE.reset(token)


def check_trusted(code: str, what: str) -> None:
    """Whoever is about to run code that a text names asks this first.

    Args:
        code: a reference, a module, or a command.
        what: what it is for, such as ``"task"``.

    Raises:
        UntrustedCodeError: the text comes out of a file, and was neither given by the user nor is
            the file trusted.
    """
    source, (everything, given) = _SOURCE.get(), _TRUST.get()
    if source is not None and not everything and given.isdisjoint(_forms(code)):
        raise UntrustedCodeError(
            f"{source} names code to run ({what} {code!r}): add --trust (in Python, trust=True or "
            "seqgen_envs.loading.trusting) if you trust whoever wrote it"
        )


def texts_in(value: Any) -> Iterator[str]:
    """Every text in mappings, lists and tuples, nested at will; keys are none."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (Mapping, list, tuple)):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from texts_in(inner)


def _forms(text: str) -> Iterator[str]:
    """``text`` as it is, and without ``family:``; files with their whole path, commands too."""
    for form in (text, text.partition(":")[2]):
        where, colon, attribute = form.rpartition(":")
        if where.endswith(".py"):
            yield f"{Path(where).expanduser().resolve()}{colon}{attribute}"
        elif form:
            yield form
            yield absolute_command(form)


def is_reference(text: str) -> bool:
    """Whether ``text`` has the form ``"module:attribute"`` or ``"FILE.py:attribute"``."""
    where, _, attribute = text.rpartition(":")
    return bool(where) and all(name.isidentifier() for name in attribute.split("."))


def load_object(reference: str, what: str) -> Any:
    """The object that ``reference`` names.

    The current folder (and a file's own) is searched too, while the module is imported.

    Args:
        reference: ``"module:attribute"`` or ``"FILE.py:attribute"``; the attribute may be dotted.
        what: what the object is for, such as ``"task"``: it begins the messages.

    Raises:
        NothingThereError: there is no such module or file (a ValueError).
        UntrustedCodeError: see :func:`check_trusted`.
        ValueError: the reference has another form, the module cannot be imported (the message
            gives the cause), or has no such attribute.
    """
    where, _, attribute = checked_reference(reference, what).rpartition(":")
    found: Any = load_module(where, f"{what} {reference!r}")
    for name in attribute.split("."):
        if isinstance(found, ModuleType) and not getattr(found, "__file__", None):
            folder = next(iter(getattr(found, "__path__", ())), None)
            if folder is not None and not hasattr(found, name):
                raise ValueError(
                    f"{what} {reference!r}: {where} is a folder, {folder}: name a file in it, as "
                    f"{where.replace('.', '/')}/FILE.py:{attribute}"
                )
        if not hasattr(found, name):
            near = difflib.get_close_matches(name, dir(found), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{what} {reference!r}: {where} has no attribute {name!r}{hint}")
        found = getattr(found, name)
    return found


def load_callable(reference: str, what: str) -> Callable[..., Any]:
    """The function that ``reference`` names.

    Raises:
        UntrustedCodeError, ValueError: see :func:`load_object`; or it is no function.
    """
    found = load_object(reference, what)
    if not callable(found):
        raise ValueError(f"{what} {reference!r} is no function: {found!r}")
    function: Callable[..., Any] = found
    return function


def checked_reference(reference: str, what: str) -> str:
    """``reference``, if it has the form of one and its file is there; nothing is imported.

    Raises:
        UntrustedCodeError: see :func:`check_trusted`.
        NothingThereError: there is no such file (a ValueError).
        ValueError: it has another form.
    """
    if not is_reference(reference):
        raise ValueError(
            f"{what} {reference!r} must have the form 'module:attribute' or 'FILE.py:attribute'"
        )
    where = reference.rpartition(":")[0]
    check_trusted(reference, what)
    if where.endswith(".py"):
        _file(where, f"{what} {reference!r}")
    return reference


def files_of(references: Iterable[str]) -> dict[str, bytes]:
    """The contents of the files among references, for :func:`carry` on another machine."""
    names = {reference.rpartition(":")[0] for reference in references}
    return {name: _file(name, name).read_bytes() for name in names if name.endswith(".py")}


def carry(files: Mapping[str, bytes]) -> None:
    """Have files of another machine stand where this one has none of the name, or another.

    What such a file imports is looked for as ever, beside it too.

    Args:
        files: contents, by the names that references have.
    """
    for name, content in files.items():
        path = Path(name).expanduser().resolve()
        if not path.is_file() or path.read_bytes() != content:
            _CARRIED[path] = content


class _CarriedFile(SourceLoader):
    """Imports a file from memory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def get_filename(self, fullname: str) -> str:
        return str(self.path)

    def get_data(self, path: str) -> bytes:
        if path != str(self.path):  # no byte code of another one
            raise FileNotFoundError(path)
        return _CARRIED[self.path]


def _file(where: str, what: str) -> Path:
    path = Path(where).expanduser().resolve()
    if not path.is_file() and path not in _CARRIED:
        raise NothingThereError(f"{what}: there is no file {path}")
    return path


def call_object(function: Any, what: str, **arguments: Any) -> Any:
    """What a user's function returns, such as one that makes a task.

    Raises:
        ValueError: it raised something; the message begins with ``what`` and gives the cause.
    """
    try:
        return function(**arguments)
    except (Exception, SystemExit) as error:  # whatever the user's code does when it is called
        raise ValueError(f"{what} cannot be made: {type(error).__name__}: {error}") from error


def load_module(where: str, what: str) -> ModuleType:
    """The module or the file ``where``, imported; see :func:`load_object`.

    Raises:
        NothingThereError: there is no such module or file (a ValueError).
        ValueError: it cannot be imported; the message begins with ``what`` and gives the cause.
    """
    folders = [os.getcwd()]
    name = where
    if where.endswith(".py"):
        path = _file(where, what)
        name = _FILES + os.fsencode(path).hex()
        folders.append(str(path.parent))
    try:
        with _searching(folders):
            return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # whatever the user's code does when it is imported
        if isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}."):
            raise NothingThereError(
                f"{what}: there is no module {where!r}, neither installed nor in {folders[0]}"
            ) from error
        raise ValueError(
            f"{what}: {where} cannot be imported: {type(error).__name__}: {error}"
        ) from error


@contextmanager
def _searching(folders: Sequence[str]) -> Iterator[None]:
    """Python's search path begins with ``folders`` meanwhile."""
    importlib.invalidate_caches()  # the file may be younger than Python's list of the folder
    sys.path[:0] = folders
    try:
        yield
    finally:
        for folder in folders:
            sys.path.remove(folder)


class _UsersCode:
    """Finds the files above by their names; in worker processes the current folder's modules too.

    What a worker unpickles it imports by name, long after :func:`load_object` found it here.
    """

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See :class:`importlib.abc.MetaPathFinder`."""
        if name.startswith(_FILES):
            file = os.fsdecode(bytes.fromhex(name[len(_FILES) :]))
            if Path(file) in _CARRIED:
                return spec_from_loader(name, _CarriedFile(Path(file)))
            return spec_from_file_location(name, file)
        if path is None and multiprocessing.parent_process() is not None:
            return PathFinder.find_spec(name, [os.getcwd()])
        return None


sys.meta_path.append(_UsersCode)
