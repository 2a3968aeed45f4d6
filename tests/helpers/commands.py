"""Commands run in this process, and what they write."""

import csv

from typer.testing import CliRunner

import seqgen_envs.cli as cli


def run(*arguments, code=0, app=None):
    result = CliRunner().invoke(app or cli.make_app(), [str(a) for a in arguments])
    assert result.exit_code == code, f"{result.output}\n{result.stderr}\n{result.exception!r}"
    return result


def refused(*arguments, code=1):
    """The last line on stderr of a command that is to fail."""
    result = run(*arguments, code=code)
    assert "Traceback" not in result.stderr
    return result.stderr.strip().splitlines()[-1]


def table(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def term_sum(row):
    return sum(float(value) for name, value in row.items() if name.startswith("term_"))


def ids_of(row):
    return [int(token) for token in row["tokens"].split()]
