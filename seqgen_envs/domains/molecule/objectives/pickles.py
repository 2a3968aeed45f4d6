"""Reads the data out of pickled scikit-learn models, and runs none of what they ask for.

A pickle is a program: it names functions and has them called. This reader knows no function of any
package. Names of scikit-learn become :class:`Record`, which only keeps what it is given; NumPy's
three become readers of plain numbers written here; any other name is refused.
"""

from __future__ import annotations

import io
import math
import pickle
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Where scikit-learn's classes may lie; what they are called there does not matter.
_RECORDS = ("sklearn",)
_NUMPY = ("numpy", "numpy.core.multiarray", "numpy._core.multiarray")
#: Types that an array may have: booleans, integers and floats; never objects.
_NUMBER = re.compile(r"[<>=|][biuf]\d+")


class UnsafePickleError(ValueError):
    """A pickle that asks for more than numbers and records."""


class Record:
    """An object of a class that is not there: its constructor's arguments and its state."""

    arguments: tuple[Any, ...]
    state: dict[str, Any]

    def __new__(cls, *arguments: Any) -> Record:
        """Also what is called where a pickle leaves a constructor out."""
        record = super().__new__(cls)
        record.arguments, record.state = arguments, {}
        return record

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise UnsafePickleError(f"expected an object's state to be a dict, got {type(state)}")
        self.state = state


class _Dtype:
    """Stands for ``numpy.dtype``: a number's type, or named fields of them."""

    def __init__(self, code: str, *_: Any) -> None:
        self.code, self.order = code, "="
        self.fields: dict[str, tuple[_Dtype, int]] = {}
        self.size = 0

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]
        if state[3] is not None:
            self.fields, self.size = {name: state[4][name] for name in state[3]}, state[5]

    def real(self) -> np.dtype[Any]:
        """The type itself; only numbers pass."""
        if self.fields:
            return np.dtype(
                {
                    "names": list(self.fields),
                    "formats": [dtype.real() for dtype, _ in self.fields.values()],
                    "offsets": [offset for _, offset in self.fields.values()],
                    "itemsize": self.size,
                }
            )
        text = f"{self.order}{self.code}"
        if not _NUMBER.fullmatch(text):
            raise UnsafePickleError(f"an array of type {text!r} holds more than numbers")
        return np.dtype(text)


class Array:
    """Stands for ``numpy.ndarray``; ``value`` is the array of numbers."""

    def __init__(self, *_: Any) -> None:
        self.value: NDArray[Any] = np.zeros(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, by_column, content = state
        if not isinstance(dtype, _Dtype) or not isinstance(content, bytes):
            raise UnsafePickleError("an array holds more than numbers")
        flat = np.frombuffer(content, dtype.real())
        if flat.size != math.prod(shape):
            raise UnsafePickleError(f"an array of shape {shape} has {flat.size} numbers")
        self.value = flat.reshape(shape, order="F" if by_column else "C")


def _reconstruct(*_: Any) -> Array:
    return Array()


def _scalar(dtype: _Dtype, content: bytes) -> Any:
    return np.frombuffer(content, dtype.real())[0]


_NAMES = {"ndarray": Array, "dtype": _Dtype, "_reconstruct": _reconstruct, "scalar": _scalar}


class _Reader(pickle.Unpickler):
    """An unpickler that finds nothing but what stands above."""

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in of a name.

        Raises:
            UnsafePickleError: the name has none.
        """
        if module in _NUMPY and name in _NAMES:
            return _NAMES[name]
        if module.split(".")[0] in _RECORDS:
            return Record
        raise UnsafePickleError(
            f"the file asks for {module}.{name}: expected only scikit-learn's classes and "
            "NumPy's arrays; it was not run"
        )


def read_pickle(content: bytes) -> Any:
    """What a pickle holds: :class:`Record`, :class:`Array`, and Python's own simple types.

    Args:
        content: the pickle.

    Raises:
        UnsafePickleError: it asks for anything else, or is no such pickle.
    """
    try:
        return _Reader(io.BytesIO(content)).load()
    except UnsafePickleError:
        raise
    except Exception as error:  # truncated or nonsense: each opcode raises its own
        raise UnsafePickleError(f"the file cannot be read as a pickle ({error!r})") from error
