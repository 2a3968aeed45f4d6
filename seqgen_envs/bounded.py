"""Files from elsewhere, read within bounds: their sizes are compared before memory is taken.

A compressed file of a few kilobytes may stand for gigabytes, and the header of an array for more
than any machine has. What is read here is refused with one sentence when it is larger than any
honest file of its kind.
"""

from __future__ import annotations

import gzip
import io
import math
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

#: Bytes of one file, packed or not. ZINC250k is 11 million, all of ChEMBL as SMILES 150 million.
MAX_BYTES = 2 * 1024**3
#: Bytes that a compressed file holds for each of its own. SMILES give 3 to 10, MusicXML 10 to 30;
#: what deflate can do at most is 1,032.
MAX_RATIO = 100
#: Below so many bytes the ratio says nothing: a file of zeros may well be small.
FREE_BYTES = 16 * 1024**2
#: Members of an archive. Ours have 8 at most, a .mxl file a handful.
MAX_MEMBERS = 1000

PathOrFile = str | os.PathLike[str] | IO[bytes]
_CHUNK = 1024**2
#: What :mod:`zipfile` and NumPy raise at damaged files: they let through what they are built on.
_BROKEN_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    KeyError,
    EOFError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    struct.error,
    TypeError,
    SyntaxError,
    tokenize.TokenError,  # NumPy's, at headers of arrays
    OSError,
)


def read_bytes(path: str | os.PathLike[str], limit: int = MAX_BYTES) -> bytes:
    """All of a file.

    Args:
        path: of the file; a ``.gz`` is not unpacked.
        limit: bytes.

    Raises:
        OSError: it cannot be read, or is a folder.
        ValueError: it has more than ``limit`` bytes; those are not read.
    """
    if os.path.isdir(path):
        raise IsADirectoryError(f"{os.fspath(path)} is a folder: give a file")
    with open(path, "rb") as file:
        _check_size(os.fstat(file.fileno()).st_size, limit, path)
        parts, size = [], 0
        while part := file.read(_CHUNK):  # a device or a pipe has no size of its own
            parts.append(part)
            size += len(part)
            _check_size(size, limit, path)
    return b"".join(parts)


def read_unpacked(path: str | os.PathLike[str], limit: int = MAX_BYTES) -> bytes:
    """All that a file holds; one whose name ends in ``.gz`` is unpacked.

    Raises:
        OSError: it cannot be read.
        ValueError: it is larger than ``limit``, no gzip, or holds more than :data:`MAX_RATIO` bytes
            for each of its own.
    """
    data = read_bytes(path, limit)
    return gunzip(data, str(path), limit) if Path(path).suffix.lower() == ".gz" else data


def gunzip(data: bytes, name: str, limit: int = MAX_BYTES) -> bytes:
    """What gzipped ``data`` hold.

    Raises:
        ValueError: they are no gzip, or hold more than ``limit`` bytes or than :data:`MAX_RATIO`
            for each of theirs; the message begins with ``name``.
    """
    allowed = min(limit, max(FREE_BYTES, MAX_RATIO * len(data)))
    parts, size = [], 0
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            while part := file.read(_CHUNK):
                parts.append(part)
                size += len(part)
                if size > allowed:
                    raise ValueError(
                        f"{name} is refused: its {len(data):,} bytes unpack to more than "
                        f"{allowed:,} (at most {MAX_RATIO} for each byte, {limit:,} in all)"
                    )
    except (EOFError, zlib.error, struct.error, OSError) as error:
        raise ValueError(f"{name} cannot be unpacked: {error}") from error
    return b"".join(parts)


@contextmanager
def open_zip(
    source: PathOrFile, name: str, limit: int = MAX_BYTES, ratio: int = MAX_RATIO
) -> Iterator[zipfile.ZipFile]:
    """An archive whose members declare no more than they may; members are read by :func:`member`.

    Args:
        source: the file, or an open one.
        name: what the messages begin with.
        limit: bytes of all members together, unpacked.
        ratio: those that they hold for each of theirs.

    Raises:
        OSError: it cannot be opened.
        ValueError: it is no archive, or has too many members or too large ones.
    """
    with _opened(source) as file:
        try:
            archive = zipfile.ZipFile(file)
        except _BROKEN_ZIP as error:
            raise ValueError(f"{name} is no readable archive: {_words(error)}") from error
        with archive:
            _check_members(archive, name, limit, ratio)
            yield archive


def member(archive: zipfile.ZipFile, name: str) -> bytes:
    """One member's content; the sizes were compared by :func:`open_zip`.

    Raises:
        ValueError: there is none of that name, or it is damaged.
    """
    try:
        return archive.read(name)  # never more than the size it declares
    except KeyError as error:
        raise ValueError(f"it lacks {name}") from error
    except _BROKEN_ZIP as error:
        raise ValueError(f"its {name} is damaged: {_words(error)}") from error


def read_arrays(
    source: PathOrFile, name: str, limit: int = MAX_BYTES, ratio: int = MAX_RATIO
) -> dict[str, NDArray[Any]]:
    """The arrays of a ``.npz`` file. Each one's header is compared with the size of its data first.

    Args:
        source, name, limit, ratio: see :func:`open_zip`.

    Raises:
        OSError: it cannot be opened.
        ValueError: it is no such file, is damaged, holds Python objects, or is too large.
    """
    arrays = {}
    with open_zip(source, name, limit, ratio) as archive:
        for info in archive.infolist():
            try:
                arrays[info.filename.removesuffix(".npy")] = _read_array(archive, info)
            except _BROKEN_ZIP as error:
                what = f"array {info.filename!r} of {name} cannot be read"
                raise ValueError(f"{what}: {_words(error)}") from error
    return arrays


def _read_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        if version == (1, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        elif version == (2, 0):
            shape, fortran, dtype = np.lib.format.read_array_header_2_0(file)
        else:
            raise ValueError(f"format {version} is not one of those that are read")
        if dtype.hasobject:
            raise ValueError("it holds Python objects, which are not read")
        declared = math.prod(shape) * dtype.itemsize
        if min(shape, default=1) < 0 or declared > info.file_size:
            raise ValueError(
                f"it declares the shape {shape} of {dtype}, {declared:,} bytes; the file has "
                f"{info.file_size:,}"
            )
        data = file.read()
    if len(data) != declared:
        raise ValueError(f"its header declares {declared:,} bytes, it has {len(data):,}")
    array = np.frombuffer(data, dtype, count=math.prod(shape)) if declared else np.zeros(0, dtype)
    return array.reshape(shape, order="F" if fortran else "C").copy()


def _check_members(archive: zipfile.ZipFile, name: str, limit: int, ratio: int) -> None:
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise ValueError(f"{name} is refused: it has {len(members):,} members")
    packed = sum(info.compress_size for info in members)
    size = sum(info.file_size for info in members)
    allowed = min(limit, max(FREE_BYTES, ratio * packed))
    if size > allowed:
        raise ValueError(
            f"{name} is refused: its {packed:,} bytes unpack to {size:,}, at most {allowed:,} are "
            f"read ({ratio} for each byte, {limit:,} in all)"
        )


def _check_size(size: int, limit: int, path: str | os.PathLike[str]) -> None:
    if size > limit:
        raise ValueError(f"{path} is refused: it has {size:,} bytes, at most {limit:,} are read")


@contextmanager
def _opened(source: PathOrFile) -> Iterator[IO[bytes]]:
    if isinstance(source, (str, os.PathLike)):
        with open(source, "rb") as file:
            yield file
    else:
        yield source


def _words(error: BaseException) -> str:
    """An error's text in one line; its kind where it has none."""
    return " ".join(str(error).split()) or type(error).__name__
