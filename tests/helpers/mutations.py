"""Files spoilt at random, some blindly, some by one who knows their format."""

import copy
import io
import json
import re
import zipfile

from helpers.hostile import sealed

LARGEST = 1_000_000
NASTY = (
    b"\x00", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x1b[31m", b"\r", b"\n\n",
    b"\xef\xbb\xbf", b"\xff\xfe", b"99999999999", b"-1", b"0", b"1e308", b"1/0", b"NaN",
    b"Infinity", b"null", b"[", b"{", b"((((((((", b"]]]]", b"\"", b"'", b"<", b"&#x0;",
    b"<!DOCTYPE x>", b"C99999999", b"Z9999", b"(9", b"(3:2:9", b"[V:2]", b"K:none", b"L:1/0",
    b"M:0/0", b"Q:1/4=0", b"::", b"|:", b">>>>", b"&a", b"*a", b"<<: *a",
    b"!!python/object:os.system x", b"%99", b"[999C]", b"[C@@@H]", b"C1CC2", b"$$$$", b"M  END",
    b"=cmd|' /C calc'!A0", b",,,,,", b";", b"\t", b"\xc3\x28", b"\xd8\x00", b"MThd", b"MTrk",
    b"\xff\x59\x02\x7f\x05", b"\xff\x2f\x00", b"\xff\x51\x03\x00\x00\x00", b"\x83\xff\xff\x7f",
    b"RIFF",
)  # fmt: skip
VALUES = (
    None, True, -1, 0, 1, 10**9, 2**63, 10**30, 1e308, float("nan"), float("inf"), "", "x",
    "os:system", "custom:os:system", "/dev/zero", "\x1b[2J", [], {}, [[]], {"name": "x"},
    [None] * 50, "C" * 5000,
)  # fmt: skip


def mutated(rng, seeds):
    """One of ``seeds`` (bytes), spoilt once or a few times."""
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        data = rng.choice(WAYS)(rng, data, seeds)[:LARGEST]
    return bytes(data)


def _flip(rng, data, seeds):
    for _ in range(rng.choice((1, 1, 2, 8))):
        if data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return data


def _cut(rng, data, seeds):
    return data[: rng.randrange(len(data) + 1)]


def _span(rng, data):
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.choice((1, 2, 8, 64, 512)))


def _delete(rng, data, seeds):
    start, end = _span(rng, data)
    return data[:start] + data[end:]


def _repeat(rng, data, seeds):
    start, end = _span(rng, data)
    return data[:end] + data[start:end] * rng.choice((1, 2, 50, 1000)) + data[end:]


def _splice(rng, data, seeds):
    other = rng.choice(seeds)
    start, end = _span(rng, other)
    at = rng.randrange(len(data) + 1)
    return data[:at] + other[start:end] + data[at:]


def _insert(rng, data, seeds):
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice(NASTY) + data[at + rng.choice((0, 0, 1, 4)) :]


def _number(rng, data, seeds):
    found = list(re.finditer(rb"-?\d+(\.\d+)?", data))
    if not found:
        return _insert(rng, data, seeds)
    start, end = rng.choice(found).span()
    new = rng.choice((b"0", b"-1", b"7", b"255", b"65536", b"4294967296", b"9" * 30, b"1e9", b"x"))
    return data[:start] + new + data[end:]


WAYS = (_flip, _flip, _cut, _delete, _repeat, _splice, _insert, _insert, _number)


def mutated_json(rng, seeds):
    """JSON of which a value is another, or is gone; now and then spoilt blindly."""
    if rng.random() < 0.2:
        return mutated(rng, seeds)
    tree = json.loads(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 2, 4))):
        places = list(_places(tree))
        if places:
            holder, key = rng.choice(places)
            if rng.random() < 0.2:
                del holder[key]
            else:
                holder[key] = copy.deepcopy(rng.choice(VALUES))
    return json.dumps(tree).encode()


def _places(tree):
    if isinstance(tree, (dict, list)):
        for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
            yield tree, key
            yield from _places(tree[key])


def mutated_zip(rng, seeds, seal=False):
    """A zip of which a member is spoilt, its checksum and digests right; or spoilt blindly."""
    if rng.random() < 0.3:
        return mutated(rng, seeds)
    with zipfile.ZipFile(io.BytesIO(rng.choice(seeds))) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(list(members))
    change = mutated_json if name.endswith(".json") else mutated
    members[name] = change(rng, [members[name]])
    if rng.random() < 0.1:
        del members[rng.choice(list(members))]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED if not seal else 0) as archive:
        for name, content in (sealed(members) if seal else members).items():
            archive.writestr(name, content)
    return packed.getvalue()


def mutated_agent(rng, seeds):
    """See :func:`mutated_zip`; sealed as agents are."""
    return mutated_zip(rng, seeds, seal=True)
