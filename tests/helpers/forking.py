"""``seqgen`` and ``python`` out of a process that has imported much: pages have a hundred of them.

``python -m helpers.forking FOLDER`` writes executables ``seqgen`` and ``python`` into the folder
and serves what calls them: each call is a fork that has the caller's arguments, folder, environment
and streams. ``python`` takes ``-c CODE`` and ``-m MODULE``, and imports our packages anew, so that
code which forgets to import them fails. What a process of its own does is tested in
``test_main.py`` and by ``.ci/run``.
"""

import contextlib
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from helpers.paths import ROOT

SOCKET = "socket"
CLIENT = """#!{python} -SEs
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as link:
    link.connect({path!r})
    told = json.dumps([sys.argv, os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(link, [len(told).to_bytes(8, "big")], [0, 1, 2])
    link.sendall(told)
    sys.exit(int(link.recv(8) or b"1"))
"""


@contextlib.contextmanager
def seqgen_server(folder, *paths):
    """The folder to put first on ``PATH``; the server ends with the block.

    ``paths``: folders that it finds packages in, too.
    """
    command = [sys.executable, "-m", "helpers.forking", str(folder)]
    found = os.pathsep.join(map(str, [ROOT / "tests", *paths]))
    environment = os.environ | {"PYTHONPATH": found, "OMP_NUM_THREADS": "1"}
    server = subprocess.Popen(command, cwd=folder, env=environment)
    try:
        while not (Path(folder) / "seqgen").exists():
            assert server.poll() is None, "the server did not start"
            time.sleep(0.05)
        yield folder
    finally:
        server.terminate()
        server.wait()


#: What commands import when they run: a second or two each time.
PRELOADED = (
    "torch", "stable_baselines3", "tensorboard.summary", "matplotlib.pyplot",
    "rdkit.Chem.Draw", "music21", "kl_agents.cli", "kl_agents.runs.page",
    "seqgen_envs.cli.episodes", "seqgen_envs.benchmark.runner", "seqgen_envs.benchmark.page.report",
    "seqgen_envs.domains.melody", "seqgen_envs.domains.molecule.output.files",
    "seqgen_envs.domains.text",
)  # fmt: skip


#: Packages that ``python`` imports anew.
OURS = ("seqgen_envs", "kl_agents")


def serve(folder):
    os.environ["MPLBACKEND"] = "agg"
    import gymnasium

    registered = dict(gymnasium.registry)
    for name in PRELOADED:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # forks that have ended go at once
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / SOCKET))
    listener.listen()
    for program in ("python", "seqgen"):
        client = folder / "written"
        client.write_text(CLIENT.format(python=sys.executable, path=str(folder / SOCKET)))
        client.chmod(0o755)
        client.rename(folder / program)  # whole, or not there
    while True:
        link, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            answer(link, registered)
        link.close()


def answer(link, registered):
    """One call, in its own process, which ends with it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, streams, _, _ = socket.recv_fds(link, 8, 3)
    told = b""
    while len(told) < int.from_bytes(size, "big"):
        told += link.recv(1 << 16)
    arguments, where, environment = json.loads(told)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(where)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = arguments
    code = run(registered)
    sys.stdout.flush()
    sys.stderr.flush()
    link.sendall(str(code).encode())
    os._exit(0)


def run(registered):
    """The exit status of the program in ``sys.argv``."""
    try:
        if Path(sys.argv[0]).name == "python":
            forget(registered)
            python()
        else:
            (command,) = entry_points(group="console_scripts", name="seqgen")
            command.load()()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def forget(registered):
    """Our packages, and the ids that they have registered."""
    import gymnasium

    for name in [name for name in sys.modules if name.split(".")[0] in OURS]:
        del sys.modules[name]
    gymnasium.registry.clear()
    gymnasium.registry.update(registered)


def python():
    """``-c CODE`` or ``-m MODULE``, as the interpreter's."""
    _, option, what, *rest = sys.argv
    sys.path.insert(0, "")
    sys.argv = [option, *rest]
    if option == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        assert option == "-c", option
        main = sys.modules["__main__"] = ModuleType("__main__")
        exec(compile(what, "<string>", "exec"), vars(main))


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
