"""What the site has beside the pages in ``docs/``; MkDocs calls the functions named ``on_...``.

Pages made from the source: the settings of the learners, the command line, CONTRIBUTING.md,
CHANGELOG.md, and the reports and pictures under ``benchmarks/results``. Links written as they are
right in a checkout (``../benchmarks/results/...``) are made right for the site.
"""

from __future__ import annotations

import posixpath
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from html import escape
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
#: Pages of the site that are files of the checkout, by their paths in the site.
BESIDE = {"contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
LINK = re.compile(r"(\]\()([^)#\s:]+)(?=[#)])")
#: A cross-reference in a docstring, as mkdocstrings renders it.
ROLE = re.compile(r":(?:class|func|meth|mod|data|attr):<code>~?([\w.]+)</code>")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made here."""
    made = {
        "reference/settings.md": settings_page(),
        "reference/command-line.md": command_line_page(),
    }
    for target, source in BESIDE.items():
        made[target] = (ROOT / source).read_text(encoding="utf-8")
    for uri, text in made.items():
        files.append(File.generated(config, uri, content=text))
    for path in sorted((ROOT / "benchmarks" / "results").rglob("*")):
        if path.suffix in (".md", ".png", ".html"):
            uri = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, uri, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make links that leave ``docs/`` right: in the site, ``benchmarks/`` is inside."""
    home = PurePosixPath(page.file.src_uri).parent
    checkout = home if _is_beside(page.file.src_uri) else PurePosixPath("docs") / home

    def mended(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(checkout, link[2]))
        return f"{link[1]}{posixpath.relpath(_in_the_site(target), home)}"

    return LINK.sub(mended, markdown)


def _is_beside(uri: str) -> bool:
    return uri in BESIDE or uri.startswith("benchmarks/")


def _in_the_site(path: str) -> str:
    """Where the site has a file of the checkout."""
    beside = {source: uri for uri, source in BESIDE.items()}
    return beside.get(path, path.removeprefix("docs/"))


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make cross-references of docstrings into links, where the site has what they name."""
    return ROLE.sub(_reference, html)


def _reference(role: re.Match[str]) -> str:
    short = role[1] if role[1].count(".") == 0 else role[1].rpartition(".")[2]
    return f'<autoref optional identifier="{role[1]}"><code>{short}</code></autoref>'


def command_line_page() -> str:
    """All commands and options, as Typer's own tool writes them."""
    program = (
        "from seqgen_envs.cli import add_plugins, make_app\napp = make_app()\nadd_plugins(app)\n"
    )
    command = [sys.executable, "-c", f"{program}{_DOCUMENTED}"]
    text = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    return text.replace("# `seqgen`", "# Command line", 1)


_DOCUMENTED = """
import typer.main
from typer.cli import get_docs_for_click
from seqgen_envs.cli import add_plugins, make_app
app = make_app()
add_plugins(app)
command = typer.main.get_command(app)
print(get_docs_for_click(obj=command, ctx=typer.Context(command), name="seqgen"))
"""


def settings_page() -> str:
    """The settings of every algorithm, from their classes, and the bundled files."""
    return "\n".join([*_settings_intro(), *_algorithms(), *_settings_classes(), *_bundled()])


def _settings_intro() -> Iterator[str]:
    yield "# Hyper-parameters\n"
    yield (
        "Made from the classes in `kl_agents/settings.py` when the site was built. They are "
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
