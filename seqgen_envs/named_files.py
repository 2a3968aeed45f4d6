"""Files that arguments name in text, as users write them: found, and made absolute.

A text names a file as ``FILE``, ``family:FILE``, ``FILE:attribute`` or ``family:FILE:attribute``,
where there is such a file. A name without a dot is never one, whatever lies in the current folder.
A command (``command:PROGRAM ARGUMENTS``, or what an argument ``command`` holds) names files by its
words.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from seqgen_envs.documents import read_yaml

COMMAND = "command"
#: Files of arguments, which may name further files.
_ARGUMENTS = (".yml", ".yaml", ".json")


def with_absolute_files(value: Any, folder: Path | None = None, key: str = "") -> Any:
    """Arguments as JSON holds them, with whole paths.

    Args:
        value: a value, nested at will.
        folder: where files are looked for before the current folder.
        key: the value's own in the mapping that it stands in.
    """
    if isinstance(value, Mapping):
        return {name: with_absolute_files(one, folder, name) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [with_absolute_files(one, folder) for one in value]
    if isinstance(value, Path):
        return str(value.expanduser().resolve())
    if not isinstance(value, str):
        return value
    before, command = _command_in(value, key)
    if command:
        return before + absolute_command(command)
    before, file, after = _split_file(value, folder)
    return value if file is None else f"{before}{file}{after}"


def files_in(value: Any, folder: Path | None = None, key: str = "") -> Iterator[Path]:
    """The files that arguments name: of a command its program or script, the first file that it
    names (what it writes may be among the others); of a YAML or JSON file also those that this
    names. Arguments as those of :func:`with_absolute_files`.
    """
    if isinstance(value, (Mapping, list, tuple)):
        pairs = value.items() if isinstance(value, Mapping) else (("", one) for one in value)
        for name, inner in pairs:
            yield from files_in(inner, folder, name)
    elif isinstance(value, str):
        if command := _command_in(value, key)[1]:
            yield from [file for _, file in _words(command) if file is not None][:1]
            return
        file = _split_file(value, folder)[1]
        if file is not None:
            yield file
            if file.suffix in _ARGUMENTS:
                yield from _inside(file)


def absolute_command(command: str) -> str:
    """A command with whole paths for the files among its words."""
    words = _words(command)
    if all(file is None for _, file in words):
        return command  # as it was quoted
    return shlex.join(word if file is None else str(file) for word, file in words)


def _command_in(text: str, key: str) -> tuple[str, str]:
    """What stands before a command, and the command; empty where there is none."""
    if key == COMMAND:
        return "", text
    family, colon, rest = text.partition(":")
    return (family + colon, rest) if colon and family == COMMAND else ("", "")


def _words(command: str) -> list[tuple[str, Path | None]]:
    """The words of a command, with the files that they are."""
    try:
        words = shlex.split(command)
    except ValueError:  # whoever runs it says so
        return []
    # a program without a folder is looked for on PATH
    return [
        (word, _file(word, bare=False) if at or "/" in word else None)
        for at, word in enumerate(words)
    ]


def _inside(file: Path) -> Iterator[Path]:
    try:
        arguments = read_yaml(file)
    except (ValueError, OSError):  # whoever reads it for its arguments says so
        return
    yield from files_in(arguments, file.parent)


def _split_file(text: str, folder: Path | None) -> tuple[str, Path | None, str]:
    """What stands before a file, the file (None: there is none), and what stands after it."""
    family, attribute = re.match(r"[^:]*:", text), re.search(r":[^:]*$", text)
    befores = ["", *([family.group()] if family else [])]
    afters = ["", *([attribute.group()] if attribute else [])]
    for before in befores:
        for after in afters:
            name = text[len(before) : len(text) - len(after)]
            for where in (folder, None):
                file = _file(name if where is None else str(where / Path(name).expanduser()))
                if file is not None:
                    return before, file, after
    return text, None, ""


def _file(name: str, bare: bool = True) -> Path | None:
    """The file of a name with a dot; or, unless it is to be ``bare``, with a folder."""
    file = Path(name).expanduser()
    try:
        named = file.suffix or (not bare and "/" in name)
        return file.resolve() if named and file.is_file() else None
    except (OSError, ValueError):  # too long for a name, say: a sequence's text
        return None
