"""What is kept and said of errors in users' code."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

_HERE = Path(__file__).resolve().parent
#: Folders of code that users did not write: these packages, Python's own, what is installed.
_OTHERS = (
    _HERE,
    _HERE.parent / "kl_agents",
    *{Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platlib", "purelib")},
)


def told(error: BaseException) -> str:
    """The traceback of an error; its last line says all that a user needs (:func:`last_line`)."""
    return f"{''.join(traceback.format_exception(error)).rstrip()}\n{brief(error)}"


def brief(error: BaseException) -> str:
    """An error in one line, with the file and line of the user's that it came from."""
    message = " ".join(str(error).split())
    said = f"{type(error).__name__}: {message}" if message else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    mine = [frame for frame in frames if _is_users(frame.filename)]
    return f"{said} ({Path(mine[-1].filename).name}, line {mine[-1].lineno})" if mine else said


def last_line(text: str | None) -> str:
    """What an error says, of its traceback."""
    return str(text).strip().rpartition("\n")[2]


def _is_users(filename: str) -> bool:
    path = Path(filename)
    return path.is_file() and not any(path.resolve().is_relative_to(one) for one in _OTHERS)
