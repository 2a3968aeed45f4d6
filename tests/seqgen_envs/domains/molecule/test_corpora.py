"""Named corpora and files: fetched, checked, cleaned and cached; no test needs a network."""

import csv
import gzip
import hashlib
import subprocess
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import numpy as np
import pytest

from seqgen_envs.datasets.cache import cache_folder, cached_corpus
from seqgen_envs.datasets.corpus import Corpus
from seqgen_envs.datasets.fetch import FetchError, download, sha256_of, wheel
from seqgen_envs.domains.molecule.corpus import named as corpora
from seqgen_envs.domains.molecule.corpus.augment import TRIES, augment
from seqgen_envs.domains.molecule.corpus.named import read_corpus
from seqgen_envs.domains.molecule.smiles import VOCABULARY, canonicalize, encode
from seqgen_envs.vocabulary import Vocabulary

SMILES = ["CC(C)(C)c1ccc2occ(CC(=O)Nc3ccccc3F)c2c1", "C[C@@H]1CC(Nc2cncc(-c3nncn3C)c2)C[C@@H](C)C1"]
SMILES += ["C" * n + "O" for n in range(1, 60)]
NOWHERE = "http://127.0.0.1:9/file.csv"  # the port of "discard", which nobody listens to


def texts(corpus):
    return [VOCABULARY.to_text(tokens) for tokens in corpus.sequences]


def table(path, smiles):
    """A table as the published one: a line feed within each cell."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["smiles", "logP"])
        writer.writerows([f"{text}\n", 1.5] for text in smiles)
    return path


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def site(tmp_path):
    """A web server of a folder: (folder, address, paths asked for)."""
    folder, asked = tmp_path / "site", []
    folder.mkdir()

    class Handler(Quiet):
        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def zinc(site, monkeypatch):
    """The site serves a small zinc250k."""
    folder, address, asked = site
    path = table(folder / "file.csv", SMILES)
    monkeypatch.setattr(corpora, "ZINC_URLS", (NOWHERE, f"{address}/file.csv"))
    monkeypatch.setattr(corpora, "ZINC_SHA256", sha256_of(path))
    monkeypatch.setattr(corpora, "ZINC_CONTENT", corpora.content_of(SMILES))
    return asked


def test_the_published_digest_is_of_stripped_smiles_joined_by_line_feeds():
    assert corpora.content_of(["C", "CC"]) == hashlib.sha256(b"C\nCC").hexdigest()


# -- downloads ------------------------------------------------------------------------------------


def test_a_download_is_checked_and_kept(site, tmp_path):
    folder, address, asked = site
    (folder / "good").write_bytes(b"right")
    (folder / "bad").write_bytes(b"wrong")
    digest = hashlib.sha256(b"right").hexdigest()
    cache = tmp_path / "cache"
    fetch = partial(download, "name", sha256=digest, cache_dir=cache, progress=False)
    with pytest.raises(FetchError, match=r"127.0.0.1 has a file of another checksum\)"):
        fetch([f"{address}/bad"])
    assert not (cache / "name").exists()
    assert fetch([f"{address}/bad", f"{address}/good"]).read_bytes() == b"right"
    assert fetch([f"{address}/good"]) == cache / "name"
    assert asked == ["/bad", "/bad", "/good"]
    (cache / "name").write_bytes(b"spoilt")
    assert fetch([f"{address}/good"]).read_bytes() == b"right"


def test_offline_it_says_what_to_do(tmp_path):
    message = (
        r"^name could not be downloaded \(127.0.0.1: ConnectionError\). Without a network, "
        rf"download {NOWHERE} elsewhere and put it at .*cache.name$"
    )
    with pytest.raises(FetchError, match=message):
        download("name", [NOWHERE], "0" * 64, cache_dir=tmp_path / "cache", progress=False)


def make_wheel(folder, name, files):
    """A wheel that pip takes for one."""
    package, version = name.split("-")[:2]
    info = f"{package}-{version}.dist-info"
    with zipfile.ZipFile(folder / name, "w") as archive:
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
        for inside, content in files.items():
            archive.writestr(inside, content)
    return folder / name


def test_pip_fetches_a_wheel_that_is_only_read(tmp_path, monkeypatch):
    made = make_wheel(tmp_path, "seqgentest-1.0-py3-none-any.whl", {"data.txt": "hello"})
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    cache = tmp_path / "cache"
    with wheel("seqgentest", "1.0", sha256_of(made), cache_dir=cache) as archive:
        assert archive.read("data.txt") == b"hello"


@pytest.mark.parametrize(
    ("code", "output", "quoted"),
    [
        (1, "WARNING: slow\nERROR: no network\nERROR: No match\nnotice", "ERROR: No match"),
        (1, "/usr/bin/python: No module named pip\n", "/usr/bin/python: No module named pip"),
        (0, "", "it said nothing"),  # another wheel than asked for
    ],
)
def test_without_pip_it_says_what_to_do(tmp_path, monkeypatch, code, output, quoted):
    def run(command, **options):
        return subprocess.CompletedProcess(command, code, "", output)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(FetchError) as caught:
        wheel("seqgentest", "2.0", "0" * 64, cache_dir=tmp_path).__enter__()
    assert str(caught.value) == (
        f"pip could not download seqgentest==2.0 ({quoted}). Without a network, download "
        "seqgentest-2.0-py3-none-any.whl from https://pypi.org/project/seqgentest/2.0/#files "
        f"elsewhere and put it at {tmp_path / 'seqgentest-2.0-py3-none-any.whl'}"
    )


def test_a_wheel_put_there_by_hand_needs_no_pip(tmp_path, monkeypatch):
    made = make_wheel(tmp_path, "seqgentest-1.0-py3-none-any.whl", {"data.txt": "hello"})
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with wheel("seqgentest", "1.0", sha256_of(made), cache_dir=tmp_path) as archive:
        assert archive.read("data.txt") == b"hello"
    with pytest.raises(ValueError, match=r"is not the seqgentest-1.0-py3-none-any.whl expected"):
        wheel("seqgentest", "1.0", "0" * 64, cache_dir=tmp_path).__enter__()


# -- caches ---------------------------------------------------------------------------------------


def test_a_built_corpus_is_kept_by_its_key(tmp_path, caplog):
    built = []

    def build():
        built.append(1)
        return corpora._file(table(tmp_path / "a.csv", SMILES), clean)

    clean = partial(corpora.smiles_corpus, n_jobs=1, progress=False)
    get = partial(cached_corpus, build, kind="test", vocabulary=VOCABULARY, cache_dir=tmp_path)
    first = get(key="a")
    assert texts(get(key="a")) == texts(first)
    assert len(built) == 1
    get(key="b")
    get(key="a", refresh=True)
    assert len(built) == 3
    for file in tmp_path.glob("test-*.npz"):
        file.write_bytes(b"spoilt")
    assert texts(get(key="a")) == texts(first)
    assert "the cached corpus is built again" in caplog.text
    (tmp_path / "file").write_text("")
    blocked = get(key="a", cache_dir=tmp_path / "file")
    assert len(blocked) == len(first)
    assert "is not cached in" in caplog.text


def test_other_vocabularies_have_other_caches(tmp_path):
    for tokens in ("ab", "cd"):
        vocabulary = Vocabulary(tuple(tokens))
        splits = np.array(["train"])
        corpus = Corpus([np.array([0, 1])], ["1"], splits, tokens, vocabulary)
        options = {"kind": "test", "key": "same", "vocabulary": vocabulary, "cache_dir": tmp_path}
        assert cached_corpus(lambda corpus=corpus: corpus, **options).source == tokens
        assert cached_corpus(lambda: None, **options).source == tokens


def test_the_environment_names_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEQGEN_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    assert cache_folder("elsewhere").name == "elsewhere"
    monkeypatch.delenv("SEQGEN_CACHE")
    assert "seqgen" in str(cache_folder())


# -- named corpora --------------------------------------------------------------------------------


def test_zinc250k_comes_from_its_second_home_and_from_the_cache_then(zinc, tmp_path):
    options = {"cache_dir": tmp_path / "cache", "progress": False}
    corpus = read_corpus("zinc250k", **options)
    assert corpus.source == "zinc250k"
    assert texts(corpus) == [canonicalize(smiles) for smiles in SMILES]
    again = read_corpus("corpus", **options)  # the default one
    assert texts(again) == texts(corpus)
    flat = read_corpus("zinc250k", no_stereo=True, **options)
    assert "@" not in "".join(texts(flat))
    assert len(read_corpus("zinc250k", length=30, **options)) < len(corpus)
    assert zinc == ["/file.csv"]


def test_other_molecules_in_the_file_are_noticed(zinc, tmp_path, monkeypatch):
    monkeypatch.setattr(corpora, "ZINC_CONTENT", corpora.content_of(SMILES[::-1]))
    with pytest.raises(ValueError, match="does not hold the molecules of zinc250k"):
        read_corpus("zinc250k", cache_dir=tmp_path, progress=False)


@pytest.fixture
def moses(tmp_path, monkeypatch):
    """A small MOSES, as a wheel put into the cache folder by hand."""
    parts = {
        "train": [f"{'C' * n}O" for n in range(1, 61)],
        "test": ["CO", *(f"{'C' * n}N" for n in range(1, 11))],  # the first is one to train on
        "test_scaffolds": [f"C1CC{'C' * n}C1" for n in range(1, 4)],
    }
    files = {part: gzip.compress("\n".join(["SMILES", *ls]).encode()) for part, ls in parts.items()}
    digests = {part: hashlib.sha256(content).hexdigest() for part, content in files.items()}
    cache = tmp_path / "cache"
    cache.mkdir()
    inside = {f"moses/dataset/data/{part}.csv.gz": content for part, content in files.items()}
    made = make_wheel(cache, "molsets-0.3.1-py3-none-any.whl", inside)
    monkeypatch.setattr(corpora, "MOSES_SHA256", sha256_of(made))
    monkeypatch.setattr(corpora, "MOSES_FILES", digests)
    monkeypatch.setattr(corpora, "MOSES_VALIDATION", 0.2)
    return cache


def test_moses_keeps_its_own_splits(moses):
    options = {"cache_dir": moses, "progress": False}
    corpus = read_corpus("moses", **options)
    parts = {split: corpus.split(split) for split in ("train", "validation", "test")}
    assert {split: len(part) for split, part in parts.items()}["test"] == 10
    assert len(parts["train"]) + len(parts["validation"]) == 60
    assert 4 <= len(parts["validation"]) <= 22
    assert all("N" in VOCABULARY.to_text(tokens) for tokens in parts["test"])
    assert corpus.report.dropped == {"duplicate": 1}
    assert [corpus.names[0], corpus.names[-1]] == ["train 1", "test 11"]
    (moses / "molsets-0.3.1-py3-none-any.whl").unlink()  # its files are kept by now
    other = read_corpus("moses-scaffolds", **options)
    assert texts(other)[-1] == "C1CCCCCC1"
    assert len(other.split("test")) == 3
    train = {VOCABULARY.to_text(tokens) for tokens in other.split("train")}
    assert train == {VOCABULARY.to_text(tokens) for tokens in parts["train"]}


def test_a_file_of_moses_that_is_spoilt_is_taken_out_anew(moses):
    path = corpora._moses_file("train", moses)
    good = path.read_bytes()
    path.write_bytes(b"spoilt")
    assert corpora._moses_file("train", moses).read_bytes() == good


# -- files ----------------------------------------------------------------------------------------


def test_a_file_is_read_again_when_it_changes(tmp_path):
    options = {"cache_dir": tmp_path / "cache", "progress": False}
    path = tmp_path / "mine.smi"
    path.write_text("OCC\n\nC(C\nCC\n")
    corpus = read_corpus(str(path), **options)
    assert texts(corpus) == ["CCO", "CC"]
    assert corpus.names == ["1", "4"]
    assert corpus.report.problems == ["line 3, 'C(C': it is not a valid SMILES"]
    assert texts(read_corpus(str(path), as_written=True, **options)) == ["OCC", "CC"]
    path.write_text("CCCCC\n")
    assert texts(read_corpus(str(path), **options)) == ["CCCCC"]


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ("zinc", ValueError, r"'zinc' is no corpus of molecules; there are zinc250k, moses, "),
        ("folder/a.mid", ValueError, r"files that end in \.smi, .*gzipped or not"),
        ("none.smi", FileNotFoundError, "there is no file none.smi"),
    ],
)
def test_what_is_no_corpus_is_said(data, error, message, tmp_path):
    with pytest.raises(error, match=message):
        read_corpus(data, cache_dir=tmp_path)


# -- other spellings ------------------------------------------------------------------------------

PENICILLIN = "CC1(C)S[C@@H]2[C@H](NC(=O)Cc3ccccc3)C(=O)N2[C@H]1C(=O)O"
END = [VOCABULARY.end_id]


@pytest.mark.parametrize("end", [[], END])
@pytest.mark.parametrize("smiles", [PENICILLIN, r"C/C=C\C(F)(Cl)Br", "C", *SMILES[:2]])
def test_spellings_differ_and_mean_the_same(smiles, end):
    ids = np.append(encode(smiles), end).astype(np.int64)
    spellings = [augment(ids, np.random.default_rng([0, i])) for i in range(20)]
    for spelling in spellings:
        assert canonicalize(VOCABULARY.to_text(spelling)) == canonicalize(smiles)
        assert spelling.dtype == np.int64
        assert (spelling[-1] == VOCABULARY.end_id) == bool(end)
        assert (spelling == VOCABULARY.end_id).sum() == len(end)
    assert len({spelling.tobytes() for spelling in spellings}) >= (1 if smiles == "C" else 5)
    again = augment(ids, np.random.default_rng([0, 3]))
    np.testing.assert_array_equal(again, spellings[3])


@pytest.mark.parametrize("unfit", ["C9CCC9", "C%10CCC%10", "[Xe]", "C" * 150])
def test_spellings_that_do_not_fit_are_drawn_again(unfit, monkeypatch):
    draws = []

    def drawn(molecule, rng):
        draws.append(1)
        return "OCC" if len(draws) == TRIES else unfit

    monkeypatch.setattr("seqgen_envs.domains.molecule.corpus.augment.randomize", drawn)
    ids = np.append(encode("CCO"), END).astype(np.int64)
    assert VOCABULARY.to_text(augment(ids, np.random.default_rng(0))) == "OCC"
    assert len(draws) == TRIES
    # and never again: it stays as it was
    np.testing.assert_array_equal(augment(ids, np.random.default_rng(0)), ids)
    assert len(draws) == 2 * TRIES


def test_what_is_no_molecule_stays_as_it_is():
    ids = encode("CC(C")
    np.testing.assert_array_equal(augment(ids, np.random.default_rng(0)), ids)
    np.testing.assert_array_equal(augment(ids[:0], np.random.default_rng(0)), ids[:0])
