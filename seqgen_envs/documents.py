"""JSON and YAML from elsewhere, within bounds: how long, how deep, and how much aliases repeat.

YAML is version 1.1 as PyYAML's safe loader has it (no tag makes Python objects), but ``1e-3`` is a
number, as in YAML 1.2, and not a text.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import yaml

from seqgen_envs.bounded import read_bytes

#: Bytes of a YAML file. PyYAML reads some hundred thousand a second.
MAX_YAML = 512 * 1024
#: Bytes of a JSON file.
MAX_JSON = 64 * 1024**2
#: Lists and mappings within each other. An objective of means of means has ten.
MAX_DEPTH = 50
#: Values of a YAML file after every alias is replaced by what it stands for.
MAX_VALUES = 100_000


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """See the module."""

    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """One value; what is within it is composed by recursion."""
        if self._depth > MAX_DEPTH:
            raise ValueError(_too_deep())
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def read_yaml(path: str | os.PathLike[str]) -> Any:
    """What a YAML (or JSON) file holds.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not YAML, or beyond the bounds above.
    """
    data = read_bytes(path, MAX_YAML)
    try:
        return parse_yaml(data.decode("utf-8-sig"))
    except ValueError as error:  # a text's encoding too
        raise ValueError(f"{path} is not YAML: {error}") from error


def parse_yaml(text: str) -> Any:
    """What a YAML text holds.

    Raises:
        ValueError: it is not YAML, or beyond the bounds above.
    """
    if len(text) > MAX_YAML:
        raise ValueError(f"it has {len(text):,} characters, at most {MAX_YAML:,} are read")
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _count_values(node, {}, 0)
        return loader.construct_document(node)
    except ValueError:
        raise
    except (yaml.YAMLError, ArithmeticError, LookupError, TypeError, AttributeError) as error:
        # the last ones are PyYAML's at tags such as !!bool of something else
        raise ValueError(" ".join(str(error).split())) from error


def _count_values(node: yaml.Node, counted: dict[int, int], depth: int) -> int:
    """How many values a node stands for; one that is repeated by aliases counts each time."""
    if depth > MAX_DEPTH:  # an alias within its own anchor never ends either
        raise ValueError(_too_deep())
    if id(node) not in counted:
        total = 1
        if isinstance(node, yaml.SequenceNode):
            total += sum(_count_values(inner, counted, depth + 1) for inner in node.value)
        elif isinstance(node, yaml.MappingNode):
            for pair in node.value:
                total += sum(_count_values(inner, counted, depth + 1) for inner in pair)
        counted[id(node)] = total
    if counted[id(node)] > MAX_VALUES:
        raise ValueError(
            f"it stands for more than {MAX_VALUES:,} values, aliases replaced by what they repeat"
        )
    return counted[id(node)]


def read_json(path: str | os.PathLike[str]) -> Any:
    """What a JSON file holds.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not JSON, or beyond the bounds above; the message names the file.
    """
    data = read_bytes(path, MAX_JSON)
    try:
        return parse_json(data)
    except ValueError as error:
        raise ValueError(f"{Path(path)} is not JSON: {error}") from error


def parse_json(text: str | bytes) -> Any:
    """What a JSON text holds.

    Raises:
        ValueError: it is not JSON, or beyond the bounds above.
    """
    if len(text) > MAX_JSON:
        raise ValueError(f"it has {len(text):,} bytes, at most {MAX_JSON:,} are read")
    try:
        found = json.loads(text)
    except RecursionError as error:
        raise ValueError(_too_deep()) from error
    level, depth = [found], 0
    while level:  # level by level: what is too deep must not be walked by recursion
        if depth > MAX_DEPTH:
            raise ValueError(_too_deep())
        level = [
            inner
            for value in level
            if isinstance(value, (list, dict))
            for inner in (value.values() if isinstance(value, dict) else value)
        ]
        depth += 1
    return found


def _too_deep() -> str:
    return f"its lists and mappings lie within each other more than {MAX_DEPTH} deep"
