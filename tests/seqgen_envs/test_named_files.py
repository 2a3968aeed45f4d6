"""Files that arguments name: made absolute, and found for their digests."""

import pytest

from seqgen_envs.named_files import absolute_command, files_in, with_absolute_files


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("mine.py", "ext.sh", "pocket.pdb", "own.py"):
        (tmp_path / name).write_text("")
    (tmp_path / "goals").mkdir()
    (tmp_path / "goals" / "goal.yml").write_text("arithmetic: [{property: qed}, 'own.py:weigh']")
    return tmp_path


@pytest.mark.parametrize(
    ("given", "wanted", "files"),
    [
        ("custom:mine.py:score", "custom:{}/mine.py:score", ["mine.py"]),
        ({"name": "custom:mine.py:score"}, {"name": "custom:{}/mine.py:score"}, ["mine.py"]),
        ({"name": "mine.py:rule"}, {"name": "{}/mine.py:rule"}, ["mine.py"]),
        ("objective:goals/goal.yml", "objective:{}/goals/goal.yml", ["goals/goal.yml", "own.py"]),
        (
            {"objective": {"geometric": ["own.py:weigh", {"property": "qed"}]}},
            {"objective": {"geometric": ["{}/own.py:weigh", {"property": "qed"}]}},
            ["own.py"],
        ),
        ("command:./ext.sh -n 3", "command:{}/ext.sh -n 3", ["ext.sh"]),
        (
            {"name": "command", "command": "python mine.py pocket.pdb"},
            {"name": "command", "command": "python {}/mine.py {}/pocket.pdb"},
            ["mine.py"],  # the others may be what it writes
        ),
        ("command:ext.sh", "command:ext.sh", []),  # looked for on PATH
        ('command:awk "{print length($1)}"', 'command:awk "{print length($1)}"', []),
        ("mine:rule", "mine:rule", []),
        ("similarity:CC.O", "similarity:CC.O", []),
        ("custom:gone.py:score", "custom:gone.py:score", []),
    ],
)
def test_files_are_found_wherever_they_stand(here, given, wanted, files):
    def filled(value):
        if isinstance(value, dict):
            return {name: filled(one) for name, one in value.items()}
        if isinstance(value, list):
            return [filled(one) for one in value]
        return value.replace("{}", str(here))

    assert with_absolute_files(given) == filled(wanted)
    assert list(files_in(given)) == [here / name for name in files]
    assert with_absolute_files(filled(wanted)) == filled(wanted)


def test_what_a_description_names_is_looked_for_beside_it_first(here):
    beside = here / "goals" / "own.py"
    beside.write_text("")
    assert list(files_in("objective:goals/goal.yml")) == [here / "goals" / "goal.yml", beside]


def test_a_command_that_cannot_be_split_is_left_to_who_runs_it():
    assert absolute_command("a 'b") == "a 'b"
