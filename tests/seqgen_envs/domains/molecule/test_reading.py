"""Files of molecules as chemists have them: lines, tables, structures; one reader for all."""

import codecs
import csv
import gzip

import pytest
from rdkit import Chem

from helpers.paths import MOLECULES
from seqgen_envs.domains.molecule.corpus.cleaning import smiles_corpus
from seqgen_envs.domains.molecule.corpus.entries import read_beginnings, read_molecules
from seqgen_envs.domains.molecule.corpus.reading import ENDINGS, read_records, smiles_in
from seqgen_envs.domains.molecule.output.files import write_sdf, write_smi

SMI = "CCO ethanol\n\nc1ccccc1\tbenzene ring\tof six\r\nN"
TABLE = 'id,SMILES,note\n1,"CCO\n",a\n\n2,"c1ccccc1","b\nc"\n3\n4,N,\n'
#: A file that broke off; no time of its making in it, so that the test has one name.
CUT_SHORT = gzip.compress(b"CCO" * 99, mtime=0)[:-9]


def read(folder, name, content, **options):
    """(number of the line, SMILES, name) of each record of a file so named."""
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    records = read_records(path, **options)
    return [(int(record.place.split()[1]), record.smiles, record.name) for record in records]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.smi", SMI, [(1, "CCO", "ethanol"), (3, "c1ccccc1", "benzene ring"), (4, "N", "")]),
        ("a.txt", SMI, [(1, "CCO", "ethanol"), (3, "c1ccccc1", "benzene ring"), (4, "N", "")]),
        ("a.csv", TABLE, [(2, "CCO", "1"), (5, "c1ccccc1", "2"), (7, "", "3"), (8, "N", "4")]),
        ("a.CSV", "\ufeffsmiles\nCCO\n", [(2, "CCO", "")]),
        ("a.tsv", "x\tCanonical_SMILES\n1\tCCO\n", [(2, "CCO", "")]),
        ("empty.smi", "\n\n", []),
        ("mac.smi", "CCO a\rCCN b\r", [(1, "CCO", "a"), (2, "CCN", "b")]),
        ("head.smi", "# made by hand\nSMILES Name\nCCO a\n", [(3, "CCO", "a")]),
        ("cx.smi", "CCO |$;;X$,c:1| a\nCC |(0,0,;1,0,)|\n", [(1, "CCO", "a"), (2, "CC", "")]),
        ("bad.smi", "C(C a\nCC( b\nCCO c\n", [(1, "C(C", "a"), (2, "CC(", "b"), (3, "CCO", "c")]),
        ("first.smi", "X1 CCO\nX2 c1ccccc1\n", [(1, "CCO", "X1"), (2, "c1ccccc1", "X2")]),
        ("comma.txt", "SMILES,Name\nCCO,a b\n", [(2, "CCO", "a b")]),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_files_are_read_with_names_and_line_numbers(tmp_path, name, text, expected, zipped):
    if zipped:
        name, text = f"{name}.gz", gzip.compress(text.encode())
    assert read(tmp_path, name, text) == expected
    assert smiles_in(tmp_path / name) == [smiles for _, smiles, _ in expected]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", " "])
@pytest.mark.parametrize("ending", [".csv", ".tsv", ".txt"])
def test_the_delimiter_is_sniffed(tmp_path, delimiter, ending):
    rows = [["Compound", "pIC50", "SMILES"], ["a", "7.1", "CCO"], ["b", "6", "c1ccccc1"]]
    text = "\n".join(delimiter.join(row) for row in rows)
    assert read(tmp_path, f"a{ending}", text) == [(2, "CCO", "a"), (3, "c1ccccc1", "b")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ligand SMILES,id\nCCO,7\n", [("CCO", "7")]),
        ("canonical smiles,x\nCCO,7\n", [("CCO", "")]),
        ("SMILES string;Title\nCCO;a\n", [("CCO", "a")]),
        ("name,SMILES length,SMILES (isomeric)\nx,3,CCO\n", [("CCO", "x")]),
        ("smiles,canonical_smiles\nOCC,CCO\n", [("OCC", "")]),
        ("Verbindung,Formel\neins,CCO\nzwei,CCN\n", [("CCO", ""), ("CCN", "")]),  # by what is read
        ("CCO,1.0\nc1ccccc1,2.0\n", [("CCO", ""), ("c1ccccc1", "")]),  # no header
        ("X1,CCO,1.5\nX2,CCN,2\n", [("CCO", "X1"), ("CCN", "X2")]),
        ("CC(C,a\nCCO,b\nCCN,c\n", [("CC(C", "a"), ("CCO", "b"), ("CCN", "c")]),
        ("smiles;IC50\nCCO;1,5\nCCN;2,0\n", [("CCO", ""), ("CCN", "")]),  # decimal commas
        ("smiles,active\nCCO,N\nCCN,Y\nCCF,N\n", [("CCO", ""), ("CCN", ""), ("CCF", "")]),
        ("active,mol\nN,CCO\nN,CCF\n", [("CCO", ""), ("CCF", "")]),  # flags look like atoms
        (
            "name,text\na,'=CC\nb,C1\n",
            [("=CC", "a"), ("C1", "b")],
        ),  # `seqgen sample`'s, all invalid
        ("smiles,name\nCCO |$;;$|,a\n", [("CCO", "a")]),
    ],
)
def test_the_column_is_found(tmp_path, text, expected):
    assert [record[1:] for record in read(tmp_path, "a.csv", text)] == expected


def test_a_column_may_be_asked_for(tmp_path):
    text = "reactant smiles,product smiles,id\nCCO,CC=O,1\nCCN,CC#N,2\n"
    with pytest.raises(ValueError, match=r"a.csv has several columns of SMILES, \['reactant smi"):
        read(tmp_path, "a.csv", text)
    for column in ("product smiles", "Product_SMILES", "2"):
        assert [r[1] for r in read(tmp_path, "a.csv", text, column=column)] == ["CC=O", "CC#N"]
    with pytest.raises(ValueError, match=r"has no column 'yield': the columns are \['reactant"):
        read(tmp_path, "a.csv", text, column="yield")
    with pytest.raises(ValueError, match="has no column '4'"):
        read(tmp_path, "a.csv", text, column="4")
    assert read(tmp_path, "a.smi", "x CCO\ny CCN\n", column="2") == [
        (1, "CCO", "x"),
        (2, "CCN", "y"),
    ]


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", b""),
        ("utf-8-sig", b""),
        ("latin-1", b""),
        ("utf-16", b""),
        ("utf-16-be", codecs.BOM_UTF16_BE),
        ("utf-32", b""),
    ],
)
def test_text_is_read_in_all_encodings(tmp_path, encoding, mark):
    content = mark + "CCO Äthanol\r\nCCN b\r\n".encode(encoding)
    assert read(tmp_path, "a.smi", content) == [(1, "CCO", "Äthanol"), (2, "CCN", "b")]


@pytest.mark.parametrize("name", ["a.smi", "a.csv"])
def test_a_line_of_a_megabyte_is_survived(tmp_path, name):
    limit = csv.field_size_limit()
    (tmp_path / name).write_text(f"smiles\n{'C' * 1_000_000}\nCCO\n")
    lines = smiles_in(tmp_path / name)
    assert [len(line) for line in lines] == [1_000_000, 3]
    assert csv.field_size_limit() == limit  # everybody's: put back
    corpus = smiles_corpus(lines, "made up", n_jobs=1, progress=False)
    assert len(corpus) == 1
    assert corpus.report.dropped["too long"] == 1


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("a.pdf", b"", ValueError, r"a.pdf is not a file of SMILES; expected \.smi, "),
        ("none.smi", None, FileNotFoundError, r"there is no file .*none.smi"),
        ("a.smi", b"\xff\xfe\x00", ValueError, "cannot be read as text"),
        ("a.smi", "CCO".encode("utf-16-le"), ValueError, "holds zero bytes; save it as UTF-8"),
        ("a.smi.gz", b"no gzip", ValueError, "cannot be unpacked"),
        ("b.smi.gz", CUT_SHORT, ValueError, "cannot be unpacked"),
        (
            "a.csv",
            b"name,weight\nx,1\n",
            ValueError,
            r"no column of SMILES: its first row is \['na",
        ),
        ("b.csv", b"", ValueError, r"b\.csv is empty: there is no row in it"),
        ("c.csv", b'smiles,n\nCCO,"a\nCCN,b\n', ValueError, "a quoted cell in line 2 that never"),
        ("d.csv", b"ether,acid\nCOC,CO\nCOCC,CCO\n", ValueError, r"several .*\['ether', 'acid'\]"),
    ],
)
def test_files_that_cannot_be_read_are_named(tmp_path, name, content, error, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(error, match=message):
        read_records(tmp_path / name)


# -- structures ------------------------------------------------------------------------------------


@pytest.fixture
def sdf(tmp_path):
    """One record named, one by its field, one that cannot be read."""
    path = tmp_path / "a.sdf"
    write_sdf(path, [("ethanol", "OCC", {"qed": 0.4}), ("", "c1ccccc1", {})])
    text = path.read_text().replace("\nM  END\n", "\nM  END\n>  <ID>\nZ7\n\n", 2)
    broken = Chem.MolToMolBlock(Chem.MolFromSmiles("CC")).replace(" C ", " Qx")
    path.write_text(f"{text}{broken}$$$$\n")
    return path


def test_structures_have_names_and_fields(sdf):
    good, other, broken = read_records(sdf, fields=True)
    assert (good.place, good.smiles, good.name) == ("record 1", "OCC", "ethanol")  # as spelled
    assert good.fields["qed"] == "0.4"
    assert (other.smiles, other.name) == ("c1ccccc1", "Z7")
    assert (broken.place, broken.smiles) == ("record 3", "")
    assert broken.problem == "its structure cannot be read"
    assert read_molecules(sdf)[2].problem == broken.problem
    assert [r.smiles for r in read_records(sdf, "SMILES")] == ["OCC", "c1ccccc1", ""]
    with pytest.raises(ValueError, match=r"has no field 'smi': the fields are \['ID', 'SMILES'"):
        read_records(sdf, "smi")
    zipped = sdf.with_suffix(".sdf.gz")
    zipped.write_bytes(gzip.compress(sdf.read_bytes()))
    assert smiles_in(zipped) == ["OCC", "c1ccccc1", ""]


def test_a_spelling_of_another_molecule_is_not_believed(tmp_path):
    write_sdf(tmp_path / "a.sdf", [("a", "CCO", {})])
    text = (tmp_path / "a.sdf").read_text().replace("CCO", "CCN")
    (tmp_path / "a.sdf").write_text(text)
    assert smiles_in(tmp_path / "a.sdf") == ["CCO"]


# -- entries ---------------------------------------------------------------------------------------


def test_cases_are_read():
    def of(name, **options):
        return [(e.name, e.text) for e in read_molecules(MOLECULES / name, **options)]

    assert of("names.csv") == [("cmpd-7", "CCO"), ("cmpd-8", "CCN")]
    assert of("semicolon.csv") == [("X1", "CCO"), ("X2", "c1ccccc1")]
    assert of("no-header.csv") == [("", "CCO"), ("", "c1ccccc1")]
    assert of("other-header.csv") == [("1", "CCO")]
    assert of("other-header.csv", column="ligand smiles") == [("1", "CCO")]
    assert of("latin1-name.smi") == [("äthanol", "CCO"), ("benzol", "c1ccccc1")]
    spellings = dict(of("spellings.smi"))
    benzamides = {spellings[name] for name in ("aromatic", "kekule", "canonical", "brackets")}
    assert benzamides == {"CNC(=O)c1ccccc1"}
    assert spellings["pct"] == spellings["nine"] == "C1CCCCC1"
    assert spellings["salt"] == "CC(=O)[O-]"
    written = [entry.given for entry in read_molecules(MOLECULES / "spellings.smi")]
    assert [text for _, text in of("spellings.smi", as_written=True)] == written


def test_other_columns_are_kept_on_request():
    (first, _) = read_molecules(MOLECULES / "names.csv", keep_columns=True)
    assert first.fields == {"IC50": "1.5"}
    (first, _) = read_molecules(MOLECULES / "no-header.csv", keep_columns=True)
    assert first.fields == {"2": "1.0"}
    assert not read_molecules(MOLECULES / "names.csv")[0].fields


def test_what_is_no_molecule_stays_and_reactions_are_refused(tmp_path):
    path = tmp_path / "a.smi"
    write_smi(path, [("a", "C1CC"), ("b", "CCO>>CC=O"), ("c", "OCC")])
    for as_written in (False, True):
        ring, reaction, _ = read_molecules(path, as_written=as_written)
        invalid = "it is not a valid SMILES"
        assert (ring.text, ring.problem, ring.invalid) == ("C1CC", "", invalid)
        assert "reaction SMILES" in reaction.problem
    (tmp_path / "empty.smi").write_text("\n \n")
    with pytest.raises(ValueError, match=r"empty\.smi holds no SMILES"):
        read_molecules(tmp_path / "empty.smi")
    assert {".smi.gz", ".sdf", ".sdf.gz", ".tsv"} <= set(ENDINGS)


def test_beginnings_stay_as_they_are_written_while_they_have_tokens(tmp_path, caplog):
    path = tmp_path / "a.csv"
    path.write_text("name;smiles\na;OC(\nb;OCC\nc;C9CCCCC9\nd;[cH]1\n")
    assert [entry.text for entry in read_beginnings(path)] == ["OC(", "OCC", "C1CCCCC1", "[cH]1"]
    (said,) = caplog.messages
    assert said.endswith("line 4: C9CCCCC9 has tokens that the prior lacks and is read as C1CCCCC1")
