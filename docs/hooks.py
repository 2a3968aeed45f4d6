"""What the site has beside the pages in ``docs/``; MkDocs calls the functions named ``on_...``.

The command line, made from the source, CONTRIBUTING.md, CHANGELOG.md, and the reports and pictures
under ``benchmarks/results``. Links written as they are right in a checkout
(``../benchmarks/results/...``) are made right for the site.
"""

from __future__ import annotations

import posixpath
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath

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
    made = {"reference/command-line.md": command_line_page()}
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
