"""The rooms of the design and the one-way doors between them, read off the source."""

import ast
from functools import cache
from graphlib import TopologicalSorter

import pytest

from helpers.paths import ROOT

PACKAGES = ("seqgen_envs", "kl_agents")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

#: Rooms in the order of the flow: a file imports from rooms of smaller numbers (or its own room's
#: files, where the room is a folder). First match wins.
SEQGEN_ORDER = (
    (("_version", "bounded", "extras", "gru", "interrupts", "shards", "spelling"), 0),
    (("tracebacks", "vocabulary"), 0),
    (("documents",), 0.2),
    (("named_files",), 0.3),
    (("loading",), 0.4),
    (("cluster",), 0.5),
    (("recurrent", "rules", "ngram", "reporting"), 1),
    (("language_models",), 1.5),
    (("prior", "user_tasks", "domain_groups", "stepping", "answers"), 2),
    (("prompted",), 3),
    (("datasets",), 2),
    (("domain",), 3),
    (("domains", "registration", "starts"), 4),
    (("settings",), 5),
    (("lanes",), 6),
    (("observations",), 7),
    (("env", "pretrain"), 8),
    (("vector_env", "rollout", "checks"), 9),
    (("adapters", "agents", "graph", "evaluation"), 10),
    (("exact", "bounds"), 11),
    (("benchmark",), 12),
    (("cli",), 13),
)
#: What a domain's folder may import besides itself.
DOMAINS_SEE = {
    "answers",
    "bounded",
    "cluster",
    "documents",
    "interrupts",
    "spelling",
    "tracebacks",
    "loading",
    "named_files",
    "vocabulary",
    "recurrent",
    "rules",
    "prior",
    "prompted",
    "domain",
    "domain_groups",
    "datasets",
    "extras",
    "reporting",
}
AGENTS_ORDER = (
    (("backups", "schedules", "ranking", "shown", "writers"), -1),
    (("replay",), 0),
    (("storage", "checking", "augmentation"), 1),
    (("language_networks",), 1.5),
    (("networks", "env_facts"), 2),
    (("policy",), 3),
    (("collection",), 4),
    (("settings", "diagnostics", "saving", "collector_actor"), 5),
    (("losses", "best_replay", "seeding", "remote_collection"), 6),
    (("trajectory_losses", "breeding", "collectors"), 7),
    (("algorithm",), 8),
    (("q_learning", "psi_learning", "g_learning", "trajectory_balance", "policy_gradient"), 9),
    (("baselines", "best_of_n"), 9),
    (("registry",), 10),
    (("hyperparameters", "callbacks"), 11),
    (("runs", "bench"), 12),
    (("reproduction", "tuning"), 13),
    (("cli",), 14),
)
ORDERS = (SEQGEN_ORDER, AGENTS_ORDER)
TESTS = ROOT / "tests"
#: Third-party packages that only these places may import.
CONFINED = {
    "music21": "seqgen_envs/domains/melody",
    "mido": "seqgen_envs/domains/melody",
    "pretty_midi": "seqgen_envs/domains/melody",
    "verovio": "seqgen_envs/domains/melody",
    "rdkit": "seqgen_envs/domains/molecule",
    "transformers": "seqgen_envs/language_models",
    "peft": "kl_agents",
    "ray": "seqgen_envs/cluster.py",
    "optuna": "kl_agents/tuning",
}


def name_of(path):
    """``seqgen_envs/domains/toy/__init__.py`` is ``seqgen_envs.domains.toy``."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path) for path in FILES}


@cache
def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def is_type_checking(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports_in(node):
    """Names imported anywhere under ``node``, functions included, annotations' needs left out."""
    for child in ast.iter_child_nodes(node):
        if is_type_checking(child):
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "relative import"
            for alias in child.names:
                whole = f"{child.module}.{alias.name}"
                yield whole if whole in MODULES else child.module
        else:
            yield from imports_in(child)


@cache
def imports_of(path):
    return set(imports_in(tree_of(path)))


def room_of(module):
    return module.split(".")[1] if "." in module else "__init__"


def levels(order):
    return {room: level for rooms, level in order for room in rooms}


def check_order(package, order):
    """Every import inside ``package`` that does not go down, as ``importer -> imported``."""
    level = levels(order)
    wrong = []
    for path in FILES:
        here = name_of(path)
        if not here.startswith(f"{package}."):
            continue
        for there in imports_of(path):
            if not there.startswith(f"{package}."):
                continue
            a, b = room_of(here), room_of(there)
            if a != b and level[b] >= level[a]:
                wrong.append(f"{here} -> {there}")
    return wrong


# -- rooms ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("package", "order"), list(zip(PACKAGES, ORDERS, strict=True)))
def test_every_room_has_its_place(package, order):
    rooms = {room_of(m) for m in MODULES if m.startswith(f"{package}.")}
    assert not rooms - set(levels(order)), "give the new room a place in the orders above"


@pytest.mark.parametrize(("package", "order"), list(zip(PACKAGES, ORDERS, strict=True)))
def test_imports_go_one_way(package, order):
    assert check_order(package, order) == []


def test_the_checker_would_notice():
    upside_down = tuple((rooms, -level) for rooms, level in SEQGEN_ORDER)
    wrong = check_order("seqgen_envs", upside_down)
    assert "seqgen_envs.vector_env -> seqgen_envs.env" in wrong
    assert "seqgen_envs.domain -> seqgen_envs.prior" in wrong  # inside a function


def test_nothing_imports_the_package_root():
    """A module that does can neither be read nor imported by itself."""
    for path in FILES:
        here = name_of(path)
        if here != "seqgen_envs.cli" and not here.startswith(("seqgen_envs.cli.", "kl_agents")):
            assert not imports_of(path) & set(PACKAGES), here


def test_seqgen_envs_never_imports_kl_agents():
    for path in FILES:
        if name_of(path).startswith("seqgen_envs"):
            assert not any(m.split(".")[0] == "kl_agents" for m in imports_of(path)), path


def test_environments_never_import_training():
    for path in FILES:
        if any(m.startswith("seqgen_envs.pretrain") for m in imports_of(path)):
            allowed = ("seqgen_envs.pretrain", "seqgen_envs.cli", "seqgen_envs.benchmark")
            assert name_of(path).startswith(allowed), path


def test_domains_see_up_to_domain():
    seen = 0
    for path in FILES:
        here = name_of(path)
        if not here.startswith("seqgen_envs.domains."):
            continue
        mine = ".".join(here.split(".")[:3])
        for there in imports_of(path):
            if there.startswith("seqgen_envs.") and not there.startswith(mine):
                assert room_of(there) in DOMAINS_SEE, f"{here} -> {there}"
                seen += 1
    assert seen > 5


def test_nothing_outside_a_command_line_imports_one():
    for path in FILES:
        if "cli" not in name_of(path).split("."):
            assert not any("cli" in m.split(".") for m in imports_of(path)), path


# -- tests ----------------------------------------------------------------------------------------


def are_tests(module):
    parts = module.split(".")
    return parts[0] == "tests" or any(p == "conftest" or p.startswith("test_") for p in parts)


def test_no_test_imports_a_test():
    """What several share is in ``tests/helpers``."""
    shared = 0
    for path in TESTS.rglob("*.py"):
        modules = imports_of(path)
        assert not [m for m in modules if are_tests(m)], path
        shared += any(m.startswith("helpers.") for m in modules)
    assert shared > 10
    assert are_tests("test_policy")
    assert are_tests("tests.kl_agents")


def test_folders_of_tests_mirror_the_packages():
    files = [path.relative_to(TESTS) for path in TESTS.rglob("test_*.py")]
    assert {path.parts[0] for path in files} == {*PACKAGES, "repository"}
    for folder in {path.parent for path in files if path.parts[0] in PACKAGES}:
        assert (ROOT / folder / "__init__.py").exists(), f"{folder} is no folder of the package"


def test_folders_of_tests_are_no_packages():
    """They bear the packages' names, and ``tests`` is on the path for its helpers."""
    packages = {path.parent.relative_to(TESTS).parts[0] for path in TESTS.rglob("__init__.py")}
    assert packages == {"helpers"}


def test_no_import_circles():
    """Functions' imports count: one that hides inside a function is a circle all the same."""
    order = TopologicalSorter({name_of(path): imports_of(path) & MODULES for path in FILES})
    order.prepare()  # raises CycleError, which names the circle
    assert order.is_active()


def test_molecules_have_wings():
    folder = ROOT / "seqgen_envs" / "domains" / "molecule"
    assert len([entry for entry in folder.iterdir() if entry.name != "__pycache__"]) <= 8


# -- libraries ------------------------------------------------------------------------------------


@pytest.mark.parametrize("library", CONFINED)
def test_a_domains_libraries_stay_in_its_folder(library):
    for path in FILES:
        if any(m.split(".")[0] == library for m in imports_of(path)):
            assert path.is_relative_to(ROOT / CONFINED[library]), path


def test_agent_libraries_stay_out_of_the_environments():
    for path in FILES:
        libraries = {m.split(".")[0] for m in imports_of(path)}
        if name_of(path).startswith("seqgen_envs") and "stable_baselines3" in libraries:
            assert name_of(path) in ("seqgen_envs.adapters.sb3", "seqgen_envs.benchmark.stable")
        assert "sb3_contrib" not in libraries, path  # a test's dependency only


# -- habits ---------------------------------------------------------------------------------------


def names_of_domains():
    folders = (ROOT / "seqgen_envs" / "domains").iterdir()
    return {f.name for f in folders if f.is_dir() and f.name != "__pycache__"} | {"molecule"}


def strings_in(node):
    """Texts in an expression, those left out that are keys: a column may be called as a domain."""
    nodes = list(ast.walk(node))
    keys = {id(n.slice) for n in nodes if isinstance(n, ast.Subscript)}
    constants = (n for n in nodes if isinstance(n, ast.Constant) and id(n) not in keys)
    return {n.value for n in constants if isinstance(n.value, str)}


def test_nobody_asks_which_domain_it_serves():
    domains = names_of_domains()
    assert {"toy", "melody"} <= domains
    for path in FILES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, (ast.Compare, ast.Match)):
                compared = isinstance(node, ast.Compare)
                parts = [*node.comparators, node.left] if compared else [node]
                asked = set().union(*(strings_in(p) for p in parts)) & domains
                assert not asked, f"{path}:{node.lineno} asks for {asked}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_are_not_too_long(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 500


def calls_in(node):
    return [n for n in ast.walk(node) if isinstance(n, ast.Call)]


def test_nothing_is_ever_unpickled():
    for path in FILES:
        for call in calls_in(tree_of(path)):
            keywords = {k.arg: ast.unparse(k.value) for k in call.keywords}
            name = ast.unparse(call.func)
            if name == "torch.load":
                assert keywords.get("weights_only") == "True", f"{path}:{call.lineno}"
            if name in ("np.load", "numpy.load"):
                assert keywords.get("allow_pickle", "False") == "False", f"{path}:{call.lineno}"
            assert name not in ("pickle.load", "pickle.loads"), f"{path}:{call.lineno}"
        if "Unpickler" in path.read_text(encoding="utf-8"):  # the reader that knows no functions
            assert name_of(path) == "seqgen_envs.domains.molecule.objectives.pickles"


def test_importing_changes_no_global_state():
    """Neither threads nor seeds are set where a module is imported."""
    setters = ("set_num_threads", "manual_seed", "np.random.seed", "random.seed", "basicConfig")
    for path in FILES:
        for statement in tree_of(path).body:
            if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
                continue
            for call in calls_in(statement):
                assert not ast.unparse(call.func).endswith(setters), f"{path}:{call.lineno}"


def test_randomness_comes_from_generators():
    """NumPy's global random state is nobody's."""
    allowed = {"default_rng", "Generator", "SeedSequence", "PCG64"}
    for path in FILES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) in (
                "np.random",
                "numpy.random",
            ):
                assert node.attr in allowed, f"{path}:{node.lineno} uses np.random.{node.attr}"
