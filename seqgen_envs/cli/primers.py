"""``--primer`` of ``seqgen sample``: what it stands for, and what its file says."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqgen_envs.cli.common import FLAGS, taken

if TYPE_CHECKING:
    from seqgen_envs.domain import Domain


def read_primer(
    domain: Domain, primer: str | None, keep: int | None, options: Mapping[str, Any]
) -> Any:
    """Ids of the primer, or of several: one of the domain's files, a file with a text a line (of
    which each sequence draws one), or a text. ``options`` are those of the domain's reader.

    Raises:
        ValueError: neither a readable file nor a text of known tokens, or options for no reader.
    """
    from seqgen_envs.domain_groups import Template
    from seqgen_envs.starts import beginning, read_primers

    if keep == 0:
        raise ValueError("--primer-length 0 keeps nothing of the primer: leave --primer out")
    files = domain.files
    if (file := _file_of_one(domain, primer)) and files.read is not None:
        ids = files.read(file, **taken(files.read, options, domain, "files"))
        return _kept(ids.tolist(), keep)
    if asked := [FLAGS[name] for name, value in options.items() if value is not None]:
        raise ValueError(f"{', '.join(asked)} is for a --primer that is a file of {domain.plural}")
    if primer is None:
        return None
    if os.path.isfile(primer):
        found = read_primers(Path(primer), domain, sys.maxsize)
        if not any(isinstance(one, Template) for one in found):
            return [_kept(list(beginning(one)), keep) for one in found]
        _no_length(keep)
        return primer
    if domain.templates.read is not None and domain.templates.read(primer.strip()) is not None:
        _no_length(keep)
        return primer.strip()
    try:
        return _kept(domain.to_ids(primer.strip()).tolist(), keep)
    except ValueError as error:
        raise ValueError(
            f"the primer {primer!r} is neither a file nor a text of tokens: {error}"
        ) from error


def _kept(ids: list[int], keep: int | None) -> list[int]:
    """The first tokens, the last where ``keep`` is below 0, all where it is None."""
    return ids[keep:] if keep is not None and keep < 0 else ids[:keep]


def _no_length(keep: int | None) -> None:
    """Raise a ValueError for ``--primer-length`` beside a primer with open places."""
    if keep is not None:
        raise ValueError("--primer-length cannot cut a primer with open places such as [*]")


def _file_of_one(domain: Domain, primer: str | None) -> Path | None:
    """The primer, if it is a file that the domain reads as one sequence."""
    # Path.is_file() raises where a text is too long for a name.
    if primer is None or domain.files.read is None or not os.path.isfile(primer):
        return None
    return Path(primer) if primer.lower().endswith(tuple(domain.files.suffixes)) else None


def facts_of(
    domain: Domain, primer: str | None, keep: int | None, options: Mapping[str, Any]
) -> Mapping[str, Any]:
    """What the primer's file says of how sequences are written."""
    facts, file = domain.files.facts, _file_of_one(domain, primer)
    if facts is None or file is None:
        return {}
    last = -keep if keep is not None and keep < 0 else None
    return facts(file, last=last, **taken(facts, options, domain, "files"))


def check_fits(primer: Any, length: int) -> None:
    """Raise a ValueError, which names the options, where ids of a primer leave nothing to write."""
    if not isinstance(primer, list) or not primer:
        return
    longest = max(map(len, primer)) if isinstance(primer[0], list) else len(primer)
    if longest >= length:
        raise ValueError(
            f"the primer has {longest} tokens and must be shorter than length = {length}: give "
            f"--length above {longest}, or --primer-length N for its first N tokens (-N: its last)"
        )


def legible(domain: Domain, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with ids of a primer as its text; of several primers, the first and a count."""
    import numpy as np

    primer = arguments.get("primer")
    if not isinstance(primer, Sequence) or isinstance(primer, str) or not primer:
        return dict(arguments)
    several = not isinstance(primer[0], int)
    one = primer[0] if several else primer
    text = one if isinstance(one, str) else domain.to_text(np.array(one, dtype=np.int64))
    return {**arguments, "primer": f"{text} (first of {len(primer)})" if several else text}
