"""JSON and YAML: what they hold, and how much of it is read."""

import time

import pytest

from seqgen_envs.documents import MAX_YAML, parse_json, parse_yaml, read_json, read_yaml

LAUGHS = "a0: &a0 [lol]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
)
MERGES = "a0: &a0 {k: 1}\n" + "".join(
    f"a{i}: &a{i}\n  <<: [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
)


def test_yaml_is_read_as_ever():
    text = "default: &it {c: 0.5, tau: 1e-3}\npsi:\n  <<: *it\n  c: 2\nsame: *it\n"
    block = {"c": 0.5, "tau": 0.001}
    assert parse_yaml(text) == {"default": block, "psi": {**block, "c": 2}, "same": block}
    assert parse_yaml("") is None
    assert parse_yaml('{"json": [1, null]}') == {"json": [1, None]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, "stands for more than 100,000 values"),
        (MERGES, "stands for more than 100,000 values"),
        ("&a [*a]", "more than 50 deep"),
        ("[" * 100_000, "more than 50 deep"),
        ("- " * 1000, "more than 50 deep"),
        ("x" * (MAX_YAML + 1), "characters, at most"),
        ("a: [1", "expected"),
        ("!!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("!!timestamp x", "."),
        ("!!bool x", "."),
        ("2001-99-99", "month must be"),
        ("? [a]\n: b", "unhashable"),
        ("\x1b", "special characters"),
    ],
)
def test_other_yaml_is_refused_in_one_line(text, message):
    began = time.process_time()
    with pytest.raises(ValueError, match=message) as caught:
        parse_yaml(text)
    assert time.process_time() - began < 1
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["[" * 100_000, "[" * 60 + "]" * 60, '{"a":' * 99_999])
def test_deep_json_is_refused(text):
    with pytest.raises(ValueError, match="more than 50 deep"):
        parse_json(text)


def test_files_are_named(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"\xef\xbb\xbfa: 1")
    assert read_yaml(path) == {"a": 1}
    path.write_bytes(b"\xff\xfe{")
    with pytest.raises(ValueError, match=r"a is not YAML: 'utf-8' codec"):
        read_yaml(path)
    with pytest.raises(ValueError, match=r"a is not JSON: "):
        read_json(path)
