"""MusicXML: encodings, archives, parts, lead sheets, bars, and what is too large."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from helpers.tunes import text, write_xml, xml_note
from seqgen_envs.domains.melody.files import MelodyFileError, read_melody
from seqgen_envs.domains.melody.reading.line import Line
from seqgen_envs.domains.melody.reading.tunes import read_tunes

BODY = "".join(xml_note(step, 4, 4) for step in "CDE")
C_D_E = "C4 - - - D4 - - - E4 - - -"
CONTAINER = '<container><rootfiles><rootfile full-path="{}"/></rootfiles></container>'


def zipped(path: Path, data: bytes, inside: str = "a/song.xml", container: bool = True) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        if container:
            archive.writestr("META-INF/container.xml", CONTAINER.format(inside))
        archive.writestr("decoy.txt", "no music")
        archive.writestr(inside, data)
    return path


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [
        ("UTF-16", "utf-16"),
        ("UTF-16", "utf-16-be"),  # without a byte order mark
        ("UTF-16", "utf-16-le"),
        ("UTF-16", "utf-8"),  # it does not keep its word
        ("UTF-8", "utf-8-sig"),
        ("ISO-8859-1", "latin-1"),
        (None, "utf-8"),
        (None, "utf-16"),
    ],
)
@pytest.mark.parametrize("archive", [False, True])
def test_encodings(declared: str | None, encoding: str, archive: bool, tmp_path: Path) -> None:
    source = write_xml(tmp_path / "a.xml", BODY).read_text().replace(">p<", ">Flöte<")
    if declared is not None:
        source = source.replace('"1.0"?', f'"1.0" encoding="{declared}"?')
    data = source.encode(encoding)
    file = tmp_path / "b.xml"
    if archive:
        file = zipped(tmp_path / "b.mxl", data)
    else:
        file.write_bytes(data)
    assert text(read_melody(file, part="flöte")) == C_D_E


def test_an_archive_without_a_container(tmp_path: Path) -> None:
    data = write_xml(tmp_path / "a.xml", BODY).read_bytes()
    assert text(read_melody(zipped(tmp_path / "b.mxl", data, container=False))) == C_D_E
    with pytest.raises(MelodyFileError, match="holds no MusicXML"):
        read_melody(zipped(tmp_path / "c.mxl", data, inside="song.txt", container=False))


def test_parts_are_chosen_by_name_and_number(tmp_path: Path) -> None:
    low = "".join(xml_note(step, 3, 4) for step in "CDE")
    file = write_xml(tmp_path / "a.xml", low, BODY)
    file.write_text(file.read_text().replace(">p<", ">Bass<", 1).replace(">p<", ">Voice<", 1))
    for part in ("2", "voice", "highest"):
        assert text(read_melody(file, part=part)) == C_D_E
    assert text(read_melody(file, part="bass")) == "C3 - - - D3 - - - E3 - - -"
    with pytest.raises(MelodyFileError, match=r"1 'Bass' \(notes C3\.\.E3: 3\); 2 'Voice'"):
        read_melody(file)


def test_a_lead_sheet_is_its_melody_with_an_upbeat(tmp_path: Path) -> None:
    chord = "<harmony><root><root-step>{}</root-step></root><kind>major</kind></harmony>"
    bars = xml_note("G", 4, 4) + '</measure><measure number="2">' + chord.format("C")
    bars += xml_note("C", 5, 8) + chord.format("G") + xml_note("B", 4, 8)
    file = write_xml(tmp_path / "a.xml", bars)
    (tune,) = read_tunes(file)
    assert isinstance(tune.line, Line)
    assert (tune.line.bar, tune.line.pickup) == (16, 4)
    assert text(read_melody(file)) == "G4 - - - C5 - - - - - - - B4 - - - - - - -"


@pytest.mark.parametrize(
    "element",
    [
        "<direction><direction-type><dynamics><f/></dynamics></direction-type>{}</direction>",
        "<harmony><root><root-step>C</root-step></root><kind>major</kind>{}</harmony>",
        '<sound tempo="90">{}</sound>',
    ],
)
def test_what_stands_beside_the_notes_makes_no_bar_longer(element: str, tmp_path: Path) -> None:
    """As in movement 3 of Mozart's K. 155 in music21's corpus, whose upbeat has a late forte."""
    late = element.format("<offset>12</offset>")
    bars = xml_note("G", 4, 4) + late + '</measure><measure number="2">' + xml_note("C", 5, 16)
    file = write_xml(tmp_path / "a.xml", bars)
    (tune,) = read_tunes(file)
    assert isinstance(tune.line, Line)
    assert (tune.line.bar, tune.line.pickup) == (16, 4)
    assert text(read_melody(file)) == "G4 - - - C5" + 15 * " -"


def test_a_key_signature_that_stands_for_no_key_is_none(tmp_path: Path) -> None:
    (tune,) = read_tunes(write_xml(tmp_path / "a.xml", BODY, fifths=9))
    assert isinstance(tune.line, Line)
    assert tune.line.sharps is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<beats>4", "<beats>100000", "'100000' beats"),
        ("<beats>4", "<beats>" + "9+" * 20 + "9", "beats"),
        ("<beats>4", "<beats >&#49;000", "beats"),
        ("<divisions>4", "<divisions>0", "cannot be parsed"),
        ("<duration>4", "<duration>999999999999", "24 hours"),
        ("<score-partwise", "<!DOCTYPE a [<!ENTITY b 'bomb'>]><score-partwise", "entities"),
    ],
)
def test_bombs_are_refused(old: str, new: str, message: str, tmp_path: Path) -> None:
    file = write_xml(tmp_path / "a.xml", BODY)
    file.write_text(file.read_text().replace(old, new))
    with pytest.raises(MelodyFileError, match=message):
        read_melody(file)


def test_what_unfolds_to_too_much_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "a.xml").open("wb") as file:
        file.truncate(2**40)
    bomb = zipped(tmp_path / "b.mxl", b" " * (10 * 2**20))
    for path in (tmp_path / "a.xml", bomb):
        with pytest.raises(MelodyFileError, match=r"bytes of XML; up to 8,388,608 are read"):
            read_melody(path)
