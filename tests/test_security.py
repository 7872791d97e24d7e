"""What a stranger could abuse is not there: code from data, shells, connections, telemetry, an open notebook server."""

import ast
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from chapters import code_cells, source
from conftest import ROOT, project_files
from IPython.core.inputtransformer2 import TransformerManager
from jupyter_server.auth import IdentityProvider
from jupyter_server.serverapp import ServerApp
from jupyterlab.labapp import LabApp

# Calls by which data or a text would become code, in whatever module they lie.
CODE_FROM_DATA = {
    "eval", "exec", "os.system", "os.popen", "pickle.load", "pickle.loads", "joblib.load", "dill.load", "yaml.load",
    "marshal.loads", "shelve.open",
}  # fmt: skip
CONNECTIONS = ("urllib.request.", "requests.", "httpx.", "socket.", "http.client.HTTP")
TRACKERS = {"wandb", "sentry_sdk", "posthog", "mixpanel", "segment", "analytics", "mlflow", "comet_ml"}


def code_of(name: str) -> list[str]:
    """The Python of a file, or of each code cell of a notebook, with magics turned into calls."""
    if name.endswith(".ipynb"):
        return [TransformerManager().transform_cell(source(cell)) for cell in code_cells(ROOT / name)]
    return [(ROOT / name).read_text(encoding="utf-8")]


def faults(code: str) -> list[str]:
    """The calls and imports that are not allowed anywhere outside of tests."""
    found = []
    with warnings.catch_warnings(action="ignore"):
        nodes = list(ast.walk(ast.parse(code)))
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            found += [f"import {name}" for name in names if name.split(".")[0] in TRACKERS]
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        unsafe_load = name == "torch.load" and options.get("weights_only") != "True"
        shell = options.get("shell", "False") != "False" or options.get("allow_pickle", "False") != "False"
        if name in CODE_FROM_DATA or unsafe_load or shell:
            found.append(ast.unparse(node))
    return found


def test_no_code_from_data_no_shell_no_telemetry():
    """Tests are left out: they make hostile files on purpose."""
    files = [name for name in project_files() if name.endswith((".py", ".ipynb"))]
    bad = {name: faults(code) for name in files if not name.startswith("tests/") for code in code_of(name)}
    print(f"{len(files)} files")
    assert len(files) > 90
    assert not {name: calls for name, calls in bad.items() if calls}


@pytest.mark.parametrize(
    "code",
    ["eval('1')", "exec(text)", "run(['ls'], shell=True)", "torch.load(f)", "torch.load(f, weights_only=False)",
     "pickle.load(f)", "np.load(f, allow_pickle=True)", "import wandb", "from sentry_sdk import init"],
)  # fmt: skip
def test_the_search_sees_a_fault(code):
    assert faults(code)


def test_the_search_lets_good_code_through():
    code = "model.eval()\ntorch.load(f, weights_only=True)\nrun(['ls'], shell=False)\nre.compile('a')"
    assert not faults(code)


def test_only_the_data_sources_open_connections():
    """And fetch what the user asked for by name (tests/data/test_sources.py), or a table of the repository."""
    connecting = set()
    for path in (ROOT / "elsface_lite").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).startswith(CONNECTIONS):
                connecting.add(path.name)
    assert connecting == {"sources.py", "tables.py"}


def recipe(target: str) -> list[str]:
    """The words of the last command that a target of the Makefile runs."""
    printed = subprocess.run(
        ["make", "-n", "--no-print-directory", "-o", "setup", target],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return printed.stdout.replace("\\\n", " ").splitlines()[-1].split()


def test_lab_listens_on_this_machine_with_a_token(monkeypatch):
    """Jupyter's own reading of the command line of `make lab`, whatever the user has in the home folder."""
    monkeypatch.delenv("JUPYTER_TOKEN", raising=False)
    words = recipe("lab")
    assert Path(words[0]).name == "jupyter" and words[1] == "lab"
    lab = LabApp()
    lab.parse_command_line(words[2:])
    server, identity = ServerApp(config=lab.config), IdentityProvider(config=lab.config)
    assert server.ip == "127.0.0.1" and not server.allow_remote_access
    assert identity.auth_enabled and len(identity.token) >= 32
    assert lab.news_url is None and lab.check_for_updates_class.__name__ == "NeverCheckForUpdate"


def audit(venv: Path, **environment: str) -> subprocess.CompletedProcess:
    """`make audit` with the tools of a virtual environment."""
    command = ["make", "-s", "--no-print-directory", "-o", "setup", f"VENV={venv}", "audit"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ | environment, timeout=600)


def with_uv(folder: Path, script: str) -> Path:
    """A virtual environment of which only uv is there, and does as the script says."""
    (folder / "bin").mkdir()
    (folder / "bin" / "uv").write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (folder / "bin" / "uv").chmod(0o755)
    return folder


def test_audit_without_a_network_says_so_in_one_line(tmp_path):
    uv = with_uv(tmp_path, f'exec "{sys.executable}" -m uv "$@"')
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", "UV_OFFLINE": "1"}
    done = audit(uv, **nowhere)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    assert "could not reach osv.dev" in line


def test_audit_fails_where_something_is_known(tmp_path):
    done = audit(with_uv(tmp_path, "echo Found 1 known vulnerability in 1 package; exit 1"))
    assert done.returncode != 0 and "Found 1 known" in done.stdout
