"""The fields and music lines of an ABC tune, token by token, to its voices."""

from __future__ import annotations

import re

from seqgen_envs.domains.melody.reading import abc_fields as fields
from seqgen_envs.domains.melody.reading.abc_voice import LENGTH, NOTE, Voice
from seqgen_envs.domains.melody.reading.line import TuneError

_ENDING = r"\[?\d+(?:[,-]\d+)*"
# In this order: what stands first is tried first. Characters that fit nothing are passed over:
# single decorations (H-W, h-w, ~, .), slurs, spacers and what later versions may give a meaning.
_TOKEN = re.compile(
    rf"""
    (?P<field> \[[A-Za-z]:[^\]]*\] )
  | (?P<bar> (?: \[?\|[|:\]]* | :[|:\]]+ ) (?:{_ENDING})? )
  | (?P<ending> \[\s*\d+(?:[,-]\d+)* )
  | (?P<chord> (?:\[(?:"[^"]*"|![^!|]*!|[^][|"!])*\] | \+(?!f+\+)(?:{NOTE}){{2,}}\+){LENGTH} )
  | (?P<text> "[^"]*(?:"|$) | ![^!|]*! | \+[^\s+|]+\+ | y{LENGTH} | \{{[^}}]*\}} )
  | (?P<note> {NOTE} )
  | (?P<rest> [zx]{LENGTH} )
  | (?P<bars> [ZX]\d* )
  | (?P<tuplet> \(\d(?::\d*){{0,2}} )
  | (?P<broken> <+ | >+ )
  | (?P<tie> - )
  | (?P<overlay> & )
  | (?P<unclosed> \[(?=[^"]) | \{{ )
    """,
    re.VERBOSE,
)


class AbcMusic:
    """Reads the fields and music lines of one tune, in their order."""

    def __init__(self) -> None:
        self._model = Voice()
        self._current = self._model.copy()
        self._declared: dict[str, str] = {}  # voices of the header, to what it says of them
        self._in_header = True
        self._one_voice = True  # fields hold for every voice until the body names one
        self.voices = {"1": self._current}

    def field(self, letter: str, content: str) -> None:
        """One field, of a line of its own or within the music."""
        if letter == "V":
            self._voice(content)
            return
        for voice in {id(v): v for v in self._all_meant()}.values():
            if letter == "K":
                voice.key = fields.key(content) or voice.key
                voice.move(content)
            elif letter == "M":
                voice.metre = fields.metre(content)
            elif letter == "L":
                voice.unit = fields.unit_length(content) or voice.unit
            elif letter == "I" and content.split()[:1] == ["propagate-accidentals"]:
                voice.propagate = content.split()[-1]
        if letter == "K":
            self._in_header = False

    def _all_meant(self) -> list[Voice]:
        return [self._model, *self.voices.values()] if self._one_voice else [self._current]

    def _voice(self, content: str) -> None:
        name, _, properties = content.strip().partition(" ")
        if not name:
            return
        if self._in_header:
            self._declared[name] = f"{properties} {self._declared.get(name, '')}"[:1000]
            return
        self._one_voice = False
        if name not in self.voices:
            self.voices[name] = self._model.copy()
        self._current = self.voices[name]
        self._current.move(f"{self._declared.pop(name, '')} {properties}")

    def line(self, text: str) -> None:
        """One music line, without its comment."""
        for match in _TOKEN.finditer(text):
            kind, token, voice = match.lastgroup, match[0], self._current
            if kind == "field":
                self.field(token[1], token[3:-1])
            elif kind in ("note", "chord", "rest", "bars", "tuplet", "broken"):
                getattr(voice, kind)(token)
            elif kind == "tie":
                voice.tie()
            elif kind in ("bar", "overlay"):
                voice.mark("|" if kind == "bar" else "&")
            elif kind == "unclosed":
                raise TuneError(
                    "unreadable", f"a {token} is not closed: {match.string[:40].strip()}"
                )
