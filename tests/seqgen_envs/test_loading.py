"""Objects named in text: found, or refused in one sentence."""

import multiprocessing
import pickle
import sys

import pytest

from seqgen_envs.loading import (
    NothingThereError,
    carry,
    files_of,
    is_reference,
    load_object,
)

MINE = """
import beside_mine

def rule(tokens, lengths):
    return beside_mine.ONE * lengths

class Holder:
    inside = rule
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with a file that imports another and files that cannot be imported."""
    files = {
        "mine": MINE,
        "beside_mine": "ONE = 1.0",
        "needs": "import not_installed_anywhere",
        "exits": "import sys; sys.exit('usage: exits.py')",
        "wrong": "x ==",
    }
    for name, text in files.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in files:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("reference", ["mine:rule", "mine.py:rule", "mine.py:Holder.inside"])
def test_the_current_folder_is_found(folder, reference):
    before = sys.path[:]
    assert load_object(reference, "task").__name__ == "rule"
    assert sys.path == before


def test_a_file_is_found_from_elsewhere_with_the_files_beside_it(folder, monkeypatch):
    monkeypatch.chdir("/")
    loaded = load_object(f"{folder}/mine.py:rule", "task")
    assert loaded is load_object(f"{folder}/../{folder.name}/mine.py:rule", "task")
    assert pickle.loads(pickle.dumps(loaded)) is loaded


def test_two_files_of_one_name_are_two(folder):
    (folder / "sub").mkdir()
    (folder / "sub" / "mine.py").write_text("rule = 'another'")
    assert load_object("sub/mine.py:rule", "task") == "another"
    assert callable(load_object("mine.py:rule", "task"))


def test_a_spawned_worker_finds_what_it_unpickles(folder, monkeypatch):
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(folder))])
    rules = [load_object(reference, "task") for reference in ("mine.py:rule", "mine:rule")]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert [pool.apply(rule, (None, 2)) for rule in rules] == [2.0, 2.0]


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("nowhere.py:rule", r"^task 'nowhere.py:rule': there is no file /.*/nowhere.py$"),
        ("nowhere:rule", r"^task 'nowhere:rule': there is no module 'nowhere', neither .* in /"),
        ("mine.inside:rule", "there is no module 'mine.inside'"),
        ("mine.py:ruel", r"mine.py has no attribute 'ruel'; did you mean 'rule'\?"),
        ("mine:Holder.x", "mine has no attribute 'x'$"),
        ("needs:x", "needs cannot be imported: ModuleNotFoundError: .*'not_installed_anywhere'"),
        ("exits.py:x", "exits.py cannot be imported: SystemExit: usage: exits.py"),
        ("wrong.py:x", r"wrong.py cannot be imported: SyntaxError: .*wrong.py, line 1"),
        ("mine", "must have the form 'module:attribute' or 'FILE.py:attribute'"),
    ],
)
def test_what_is_wrong_is_one_sentence(folder, reference, message):
    with pytest.raises(ValueError, match=message) as caught:
        load_object(reference, "task")
    assert "\n" not in str(caught.value)
    nothing = "there is no" in str(caught.value)
    assert isinstance(caught.value, NothingThereError) == nothing


@pytest.mark.parametrize("text", ["mine", ":rule", "mine.py:", "similarity:C(=O)O", "a:b c", ""])
def test_what_is_no_reference(text):
    assert not is_reference(text)


def test_a_file_of_another_machine_stands_where_there_is_none_or_another(folder, monkeypatch):
    """What it imports is found beside it, as ever."""
    monkeypatch.setattr("seqgen_envs.loading._CARRIED", {})
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    kept = folder / "kept.py"
    for path, text in ((kept, "VALUE = 1"), (folder / "gone.py", MINE), (folder / "old.py", "")):
        path.write_text(text)
    files = files_of(["kept.py:VALUE", "gone.py:rule", f"{folder}/old.py:VALUE", "math:sqrt"])
    assert set(files) == {"kept.py", "gone.py", f"{folder}/old.py"}
    files[f"{folder}/old.py"] = b"VALUE = 'new'"
    (folder / "gone.py").unlink()
    with pytest.raises(NothingThereError, match="no file"):
        load_object("gone.py:rule", "task")
    carry(files)
    rule = load_object("gone.py:rule", "task")
    assert rule(None, 3) == 3.0
    assert pickle.loads(pickle.dumps(rule)) is rule
    assert load_object(f"{folder}/old.py:VALUE", "task") == "new"
    assert load_object("kept.py:VALUE", "task") == 1
    assert not list(folder.rglob("gone*.pyc"))
