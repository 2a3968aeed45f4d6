"""Make docs/reference/settings.md: the settings of every algorithm, and the bundled files.

    python docs/settings.py [--check]

It is kept beside the other pages, where a checkout is read without the site. ``--check`` writes
nothing and fails where the page is not what would be made.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import fields
from html import escape
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reference" / "settings.md"


def main() -> None:
    """Write the page, or check it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail if the page is out of date")
    made = settings_page()
    if not parser.parse_args().check:
        PAGE.write_text(made, encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != made:
        raise SystemExit("docs/reference/settings.md is out of date: run python docs/settings.py")


def settings_page() -> str:
    """The settings of every algorithm, from their classes, and the bundled files."""
    parts = (_settings_intro(), _algorithms(), _settings_classes(), _bundled())
    return "\n".join(line for part in parts for line in part) + "\n"


def _settings_intro() -> Iterator[str]:
    yield "# Hyper-parameters\n"
    yield (
        "Made from the classes in `kl_agents/settings.py` by `python docs/settings.py`. They are "
        "keyword arguments of the learners, keys of YAML files (`--hyperparams FILE`) and of "
        "`--set KEY=VALUE`. A schedule is a number or "
        "`{start: 10, end: 1.5, fraction: 0.5, shape: exponential, hold: 0}`: it begins to change "
        "after the share `hold` of the training and has done so after the share `fraction`; "
        "`shape` is `linear` or `exponential`.\n"
    )


def _algorithms() -> Iterator[str]:
    from kl_agents.registry import ALGORITHMS

    yield "## Algorithms\n"
    yield "| name | class | settings | defaults of its own |"
    yield "| --- | --- | --- | --- |"
    for name, algorithm in ALGORITHMS.items():
        kind = algorithm.settings_class
        base = {f.name: f.default for f in fields(kind.__mro__[1])} if _is_settings(kind) else {}
        own = [
            f"`{f.name}` {f.default}"
            for f in fields(kind)
            if f.name in base and base[f.name] != f.default
        ]
        yield f"| `{name}` | `{algorithm.__name__}` | `{kind.__name__}` | {', '.join(own)} |"


def _is_settings(kind: type) -> bool:
    return hasattr(kind.__mro__[1], "__dataclass_fields__")


def _settings_classes() -> Iterator[str]:
    """A section for each class of settings, with what it adds to the one it is made from."""
    from kl_agents.registry import ALGORITHMS

    kinds: dict[type, None] = {}
    for algorithm in ALGORITHMS.values():
        for kind in reversed(algorithm.settings_class.__mro__):
            if hasattr(kind, "__dataclass_fields__"):
                kinds.setdefault(kind)
    for kind in kinds:
        yield from _settings_class(kind)


def _settings_class(kind: type) -> Iterator[str]:
    from kl_agents.settings import arguments_of

    parent = kind.__mro__[1]
    inherited = {f.name for f in fields(parent)} if _is_settings(kind) else set()
    own = [f for f in fields(kind) if f.name not in inherited]
    if not own:
        return
    hints = get_type_hints(kind, include_extras=True)
    described = arguments_of(kind)
    yield f"\n## {kind.__name__}\n"
    yield f"{(kind.__doc__ or '').strip().splitlines()[0]}\n"
    if inherited:
        yield f"Beside those of `{parent.__name__}`:\n"
    yield "| setting | kind | default | meaning |\n| --- | --- | --- | --- |"
    for f in own:
        text = " ".join(described[f.name].partition(":")[2].split()).replace("|", "\\|")
        text = re.sub(r":\w+:`~?([\w.]+)`", r"`\1`", text)
        yield f"| `{f.name}` | {_kind(hints[f.name])} | `{f.default}` | {text} |"


def _kind(annotation: Any) -> str:
    """``a number in [0, 1]``, off an annotation."""
    limit: Any = ""
    if get_origin(annotation) is Annotated:
        annotation, limit = get_args(annotation)[:2]
    options = getattr(limit, "options", None)
    if options:
        return " or ".join(f"`{option}`" for option in options)
    kinds = get_args(annotation) or (annotation,)
    words = [_WORDS.get(getattr(kind, "__name__", ""), "") for kind in kinds]
    unset = ", or null" if type(None) in kinds else ""
    named = next((word for word in ("a schedule", "a number") if word in words), "")
    named = named or next(filter(None, words), escape(str(annotation)))
    return f"{named}{limit}{unset}"


_WORDS = {
    "Schedule": "a schedule",
    "float": "a number",
    "int": "a whole number",
    "bool": "true or false",
    "str": "a text",
}


def _bundled() -> Iterator[str]:
    yield "\n## Bundled files\n"
    yield "`kl_agents/hyperparams/` has a file for each environment or family of environments.\n"
    for path in sorted((ROOT / "kl_agents" / "hyperparams").glob("*.yml")):
        yield f"\n### {path.name}\n\n```yaml\n{path.read_text(encoding='utf-8').rstrip()}\n```"


if __name__ == "__main__":
    main()
