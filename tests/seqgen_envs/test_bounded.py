"""Files whose sizes are compared before memory is taken."""

import gzip
import io
import zipfile

import numpy as np
import pytest

from seqgen_envs import bounded


def test_a_file_is_read_up_to_its_limit(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    assert bounded.read_bytes(path, 5) == b"12345"
    with pytest.raises(ValueError, match=r"a is refused: it has 5 bytes, at most 4 are read"):
        bounded.read_bytes(path, 4)
    with pytest.raises(ValueError, match="zero is refused"):
        bounded.read_bytes("/dev/zero", 10_000)


def test_gzip_is_unpacked_and_a_bomb_is_not(tmp_path):
    path = tmp_path / "a.GZ"
    path.write_bytes(gzip.compress(b"one") + gzip.compress(b"two"))
    assert bounded.read_unpacked(path) == b"onetwo"
    path.write_bytes(gzip.compress(bytes(bounded.FREE_BYTES - 10)))
    assert len(bounded.read_unpacked(path)) == bounded.FREE_BYTES - 10
    path.write_bytes(gzip.compress(bytes(bounded.FREE_BYTES + 10)))
    with pytest.raises(ValueError, match=r"a\.GZ is refused: its .* bytes unpack to more than"):
        bounded.read_unpacked(path)
    for content in (b"", b"no gzip", gzip.compress(b"one" * 100)[:20]):
        path.write_bytes(content)
        if content:
            with pytest.raises(ValueError, match=r"a\.GZ cannot be unpacked"):
                bounded.read_unpacked(path)


def archive_of(**members):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed


def test_an_archive_declares_its_sizes():
    with bounded.open_zip(archive_of(a=b"x" * 1000, b=b"y"), "it") as archive:
        assert bounded.member(archive, "b") == b"y"
        with pytest.raises(ValueError, match="it lacks c"):
            bounded.member(archive, "c")
    for made, message in (
        (archive_of(a=bytes(bounded.FREE_BYTES + 1)), "it is refused: its .* bytes unpack to"),
        (archive_of(**{str(i): b"" for i in range(1001)}), "it is refused: it has 1,001 members"),
        (io.BytesIO(b"PK nothing"), "it is no readable archive"),
    ):
        with pytest.raises(ValueError, match=message), bounded.open_zip(made, "it"):
            pass


def test_a_member_that_lies_about_its_size_is_read_no_further():
    content = bytearray(archive_of(a=b"x" * 100_000).getvalue())
    at = content.index(b"PK\x01\x02") + 24  # uncompressed size, in the central directory
    content[at : at + 4] = (10).to_bytes(4, "little")
    with (
        bounded.open_zip(io.BytesIO(content), "it") as archive,
        pytest.raises(ValueError, match="its a is damaged"),
    ):
        bounded.member(archive, "a")


def test_arrays_are_as_numpy_reads_them():
    arrays = {
        "a": np.arange(6, dtype=np.int16).reshape(2, 3),
        "f": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "text": np.array(["one", "three"]),
        "one": np.array(3),
        "none": np.zeros((0, 4), np.float32),
    }
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)
    found = bounded.read_arrays(packed, "it")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((10**12,), "<f8", r"it declares the shape \(1000000000000,\) of float64"),
        ((2**62, 2**62), "|i1", "it declares the shape"),
        ((-1,), "|i1", "it declares the shape"),
        ((1,), "|O", "it holds Python objects"),
        ((3,), "|i1", "its header declares 3 bytes, it has 8"),
    ],
)
def test_an_array_is_no_larger_than_its_data(shape, dtype, message):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    packed = archive_of(**{"a.npy": header.getvalue() + bytes(8)})
    with pytest.raises(ValueError, match=message):
        bounded.read_arrays(packed, "it")
