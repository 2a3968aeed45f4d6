"""Cross-references in docstrings name things that there are."""

import builtins
import importlib
import re

import pytest

from helpers.paths import ROOT

PACKAGES = ("seqgen_envs", "kl_agents")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
ROLE = re.compile(r":(?:class|func|meth|mod|data|attr|exc|obj):`~?([\w.]+)`")


def module_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def whole(name):
    """The object of that full name; an ImportError or AttributeError where there is none."""
    parts = name.split(".")
    for n in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:n]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[n:]:
            found = vars(found)[attribute] if attribute in vars(found) else has(found, attribute)
        return found
    raise ImportError(name)


def has(owner, attribute):
    """An attribute, or a field that a dataclass annotates without a default."""
    annotated = {name for base in getattr(owner, "__mro__", ()) for name in annotations(base)}
    return None if attribute in annotated else getattr(owner, attribute)


def annotations(kind):
    return vars(kind).get("__annotations__", {})


def resolves(name, path):
    """In full; seen from the module that says it, or from a class there; with a dot in front, from
    a package around it.
    """
    module = module_of(path)
    if name.startswith("."):
        parts = module.split(".")
        return any(is_there(".".join(parts[:n]) + name) for n in range(1, len(parts) + 1))
    kinds = [k for k in vars(importlib.import_module(module)).values() if isinstance(k, type)]
    homes = ["", f"{module}.", *(f"{kind.__module__}.{kind.__qualname__}." for kind in kinds)]
    return any(is_there(home + name) for home in homes) or hasattr(builtins, name)


def is_there(name):
    try:
        whole(name)
    except (ImportError, AttributeError):
        return False
    return True


@pytest.mark.parametrize("package", PACKAGES)
def test_every_reference_resolves(package):
    broken = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in FILES
        if path.is_relative_to(ROOT / package)
        for name in sorted(set(ROLE.findall(path.read_text(encoding="utf-8"))))
        if not resolves(name, path)
    ]
    assert broken == []
