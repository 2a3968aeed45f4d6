"""Pictures are cleaned, sounds are small WAV files that sound."""

import base64
import io
import wave

import numpy as np
import pytest

from helpers import results
from seqgen_envs.benchmark.page.pictures import clean, domain_of, picture, sound, wav_address

MELODY = domain_of("MelodyGen-v0")
MOLECULE = domain_of("PMO-QED-v0")


def samples_of(address):
    head, _, content = address.partition(",")
    assert head == "data:audio/wav;base64"
    with wave.open(io.BytesIO(base64.b64decode(content))) as file:
        assert (file.getframerate(), file.getnchannels()) == (8000, 1)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767


def test_a_melody_sounds_for_its_four_seconds():
    found = samples_of(sound(MELODY, {"text": "", "tokens": results.MELODY}))
    assert len(found) == 4 * 8000
    assert 0.7 < np.abs(found).max() <= 1


def test_a_tone_keeps_its_pitch():
    at = np.arange(22050) / 22050
    found = samples_of(wav_address(0.5 * np.sin(2 * np.pi * 440 * at), 22050))
    assert np.abs(np.fft.rfft(found)).argmax() == 440


def test_silence_and_nonsense_have_no_sound():
    assert sound(MELODY, {"text": "", "tokens": [1] * 32}) == ""
    assert sound(MELODY, {"text": "no melody"}) == ""
    assert sound(MOLECULE, {"text": "CCO"}) == ""
    assert sound(None, {"text": "x"}) == ""


def test_a_piano_roll_has_a_bar_for_each_note():
    drawn = picture(MELODY, MELODY.to_text(np.array(results.MELODY)))
    notes = sum(token > 1 for token in results.MELODY)
    assert drawn.count('fill="#4c8bf5"') == notes
    assert drawn.count('fill="#1b3f8b"') == notes
    assert len(drawn) < 5000


def test_a_molecule_is_drawn_as_far_as_it_can_be_read():
    whole = picture(MOLECULE, results.MOLECULES[0])
    assert whole.startswith('<svg viewBox="0 0 ')
    assert "style" not in whole
    assert whole.count("<path") >= 13  # bonds
    assert picture(MOLECULE, "c1ccccc1C(").count("<path") > 5
    assert picture(MOLECULE, "<script>") == ""


def test_what_could_run_or_call_is_dropped():
    drawn = clean(
        '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)" viewBox="0 0 1 1" width="9">'
        '<script>alert(2)</script><a href="javascript:alert(3)"><path d="M0 0"/></a>'
        '<image href="http://example.org/x.png"/><style>@import url(x)</style>'
        '<rect style="fill:red;background:url(http://example.org)" fill="url(#x)" class="k"/>'
        "<!-- a comment --><text>&lt;b&gt;</text></svg>"
    )
    expected = (
        '<svg viewBox="0 0 1 1" aria-hidden="true"><rect fill="red" /><text>&lt;b&gt;</text></svg>'
    )
    assert drawn == expected


@pytest.mark.parametrize("wrong", ["", "<svg>", "<div/>"])
def test_what_is_no_svg_is_refused(wrong):
    with pytest.raises(ValueError, match="picture is"):
        clean(wrong)


def test_an_environment_that_is_not_installed_has_no_domain():
    assert domain_of("Nowhere-v0") is None
