"""Texts as files: many in one, and once more with stress marks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.domains.text.output.render import marks
from seqgen_envs.reporting.files import write_text
from seqgen_envs.vocabulary import Vocabulary

if TYPE_CHECKING:
    from seqgen_envs.prior import Prior

#: Files of :func:`write_collection`.
TXT, JSONL, MARKED = "texts.txt", "texts.jsonl", "texts.marked.txt"
_IDS = ("name", "text", "tokens")


def write_collection(
    tokens: NDArray[np.int64],
    folder: Path,
    names: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    prior: Prior | None = None,
    *,
    vocabulary: Vocabulary,
    no_pictures: bool = False,
) -> list[Path]:
    """Write texts as ``.txt`` (a blank line between two), ``.jsonl``, and with stress marks.

    Args:
        tokens: int [N, T], padded with V.
        folder: that exists.
        names: of the N texts.
        rows: what is known of each: further keys of the ``.jsonl``.
        prior: is not asked.
        vocabulary: of the tokens.
        no_pictures: leave out the file with marks.

    Raises:
        ValueError: names or rows are not as many as the texts.
        OSError: a file cannot be written.
    """
    texts = [vocabulary.to_text(ids) for ids in tokens]
    objects = [
        json.dumps(
            {"name": name, "text": text} | {k: v for k, v in row.items() if k not in _IDS},
            ensure_ascii=False,
        )
        for name, text, row in zip(names, texts, rows, strict=True)
    ]
    written = {TXT: "\n\n".join(texts) + "\n", JSONL: "\n".join(objects) + "\n"}
    if not no_pictures:
        blocks = [
            f"{name}\n" + "".join(f"{above}\n{line}\n" for above, line in marks(text))
            for name, text in zip(names, texts, strict=True)
        ]
        written[MARKED] = "\n".join(blocks)
    for name, content in written.items():
        write_text(folder / name, content)
    return [folder / name for name in written]
