"""Weights in files: what is saved comes back, and what is damaged, swapped or hostile is refused by name."""

import copy
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from safetensors import safe_open
from torch import nn

from elsface_lite import (
    ELSFace,
    ELSFaceConfig,
    ElsfaceError,
    crop_face,
    downscale,
    find_faces,
    load_pretrained,
    pretrained_names,
    quantize,
    save_pretrained,
    upscale,
)
from elsface_lite.data.sources import portraits
from elsface_lite.inference.optimize import optimize
from elsface_lite.metrics.image import psnr
from elsface_lite.network import pretrained

TINY = {"channels": 8, "heads": 2, "hfebs": 1, "hfeb_blocks": 1, "out_channels": 4}


@pytest.fixture(scope="module")
def model() -> ELSFace:
    torch.manual_seed(0)
    return ELSFace(ELSFaceConfig.lite(**TINY))


@pytest.fixture
def saved(model: ELSFace, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.safetensors"
    save_pretrained(model, path, data="made up", psnr=12.5)
    return path


def rewrite(path: Path, card: dict[str, Any], state: dict[str, torch.Tensor], sealed: bool = True) -> None:
    """Writes a file of any card and tensors; its checksum is made right, but if it is to stay as it is."""
    if sealed:
        card["sha256"] = pretrained._checksum(card, state)
    path.write_bytes(safetensors.torch.save(state, {"elsface_lite": json.dumps(card)}))


def change_card(path: Path, change: Callable[[dict[str, Any]], None], sealed: bool = True) -> None:
    """Changes what a file says of itself."""
    with safe_open(path, "pt") as file:
        card = json.loads(file.metadata()["elsface_lite"])
    change(card)
    rewrite(path, card, safetensors.torch.load_file(path), sealed)


def change_state(path: Path, change: Callable[[dict[str, torch.Tensor]], None], sealed: bool = True) -> None:
    """Changes the tensors of a file."""
    card, state = pretrained.read_card(path), safetensors.torch.load_file(path)
    change(state)
    rewrite(path, card, state, sealed)


def refused(path: Path, *says: str) -> None:
    with pytest.raises(ElsfaceError) as caught:
        load_pretrained(path)
    message = str(caught.value)
    assert path.stem in message
    assert "\n" not in message
    for part in says:
        assert part in message


def test_what_is_saved_comes_back(model: ELSFace, saved: Path) -> None:
    loaded = load_pretrained(saved)
    lr = torch.rand(1, 3, 16, 16)
    assert torch.equal(loaded(lr), model.eval()(lr))
    assert loaded.config == model.config
    assert not loaded.training
    loaded(lr).mean().backward()  # it can be trained on
    assert all(value.grad is not None for value in loaded.parameters())
    card = pretrained.read_card(saved)
    assert (card["scale"], card["data"], card["psnr"]) == (4, "made up", 12.5)
    assert (card["class"], card["config"]) == ("ELSFace", model.config.to_dict())
    assert [file.name for file in saved.parent.iterdir()] == ["tiny.safetensors"]


def test_half_precision_comes_back_as_float32(model: ELSFace, saved: Path) -> None:
    full = saved.stat().st_size
    save_pretrained(model, saved, torch.float16)
    assert saved.stat().st_size < 0.6 * full
    loaded = load_pretrained(str(saved))
    assert {value.dtype for value in loaded.state_dict().values()} == {torch.float32}
    for key, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value.half().float())


def test_the_files_are_the_only_list_of_names(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "WEIGHTS", saved.parent)
    assert pretrained_names() == ["tiny"]
    assert load_pretrained("tiny").config.channels == 8
    with pytest.raises(ElsfaceError, match=r"no weights 'huge'.*tiny"):
        load_pretrained("huge")
    saved.unlink()
    refused(saved, "cannot read the weights")
    saved.mkdir()
    refused(saved, "holds 0 .safetensors files")


@pytest.mark.slow
@pytest.mark.parametrize("name", pretrained_names())
def test_shipped_weights_are_whole_and_better_than_bicubic(name: str) -> None:
    model, path = load_pretrained(name), pretrained.WEIGHTS / f"{name}.safetensors"
    scale = model.config.scale
    assert pretrained.read_card(path)["scale"] == scale
    assert path.stat().st_size < 10e6
    assert path.with_suffix(".md").is_file() and path.with_suffix(".csv").is_file()
    faces = torch.stack([crop_face(photograph, find_faces(photograph)[0]) for photograph in portraits().values()])
    hr = quantize(faces)
    lr = downscale(hr, scale)
    with torch.inference_mode():
        gain = psnr(quantize(model(lr)), hr) - psnr(upscale(lr, scale), hr)
    print(f"{name}: {gain.tolist()} dB over bicubic on two portraits")
    assert (gain > 1).all()


@pytest.mark.parametrize("part", [0, 10, 0.5, -1])
def test_truncated_weights_are_refused(saved: Path, part: float) -> None:
    data = saved.read_bytes()
    end = int(part * len(data)) if isinstance(part, float) else part
    saved.write_bytes(data[:end])
    refused(saved, "damaged")


def test_every_flipped_bit_is_seen(saved: Path) -> None:
    data = bytearray(saved.read_bytes())
    header = int.from_bytes(data[:8], "little")
    for place in (0, 9, *range(8, 8 + header, 37), 8 + header, len(data) // 2, len(data) - 1):
        broken = data.copy()
        broken[place] ^= 1
        saved.write_bytes(broken)
        refused(saved)
    refused(saved, "is damaged (checksum)")  # the last of them was a weight


def test_weights_under_another_networks_name_are_refused(saved: Path) -> None:
    change_state(saved, lambda state: next(iter(state.values())).add_(1), sealed=False)
    refused(saved, "checksum")


def test_a_file_that_does_not_say_what_it_is_is_refused(saved: Path) -> None:
    state = safetensors.torch.load_file(saved)
    for metadata in (None, {}, {"format": "pt"}, {"elsface_lite": "null"}, {"elsface_lite": "[]"}):
        saved.write_bytes(safetensors.torch.save(state, metadata))
        refused(saved, "does not say what network it is of")
    for text in ("", "{", "[" * 100_000):
        saved.write_bytes(safetensors.torch.save(state, {"elsface_lite": text}))
        refused(saved, "is damaged in what it says of itself")
    for lacking in ("class", "config", "sha256"):
        save_pretrained(ELSFace(ELSFaceConfig.lite(**TINY)), saved)
        change_card(saved, lambda card, lacking=lacking: card.update({lacking: None}), sealed=lacking != "sha256")
        refused(saved, "is damaged in what it says of itself", lacking)


def test_another_format_is_refused(saved: Path) -> None:
    change_card(saved, lambda card: card.update(format=99))
    refused(saved, "format 99", "update elsface-lite")


def test_a_card_cannot_be_changed_without_the_checksum(saved: Path) -> None:
    change_card(saved, lambda card: card.update(psnr=99.9), sealed=False)
    refused(saved, "checksum")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"scale": 5}, "scale"),
        ({"channels": "8"}, "channels"),
        ({"colour": 1}, "colour"),
        ({"channels": 16}, "of another shape"),
        ({"hfebs": 2}, "tensors are missing"),
        ({"heads": 0}, "heads"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(saved: Path, changes: dict[str, Any], says: str) -> None:
    change_card(saved, lambda card: card["config"].update(changes))
    refused(saved, "does not fit its own config", says)


@pytest.mark.parametrize(
    "changes",
    [
        {"channels": 10**12, "heads": 1},
        {"channels": 1024, "heads": 1, "mlp_ratio": 1000},
        {"hfebs": 1000, "hfeb_blocks": 1000},
        {"window": 1024},
        {"cnn_blocks": 900},
        {"cnn_blocks": 10**9},
        {"depth": 1000, "window": 32},
        {"rstb_recursions": 10**9},
    ],
)
def test_a_config_that_would_fill_the_memory_is_refused_first(saved: Path, changes: dict[str, int]) -> None:
    change_card(saved, lambda card: card["config"].update(changes))
    refused(saved, "does not fit its own config")


def test_weights_that_are_missing_too_many_or_not_finite_are_refused(saved: Path) -> None:
    change_state(saved, lambda state: state.update(extra=torch.zeros(1)))
    refused(saved, "1 tensors", "extra")
    change_state(saved, lambda state: (state.pop("extra"), next(iter(state.values())).fill_(torch.nan)))
    refused(saved, "not finite")
    change_state(saved, lambda state: state.pop(next(iter(state))))
    refused(saved, "1 tensors")


class Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_pickle_is_never_executed(saved: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trapped"
    for write in (lambda: saved.write_bytes(pickle.dumps(Trap(trap))), lambda: torch.save({"w": Trap(trap)}, saved)):
        write()
        refused(saved, "is damaged, or no safetensors file")
    assert not trap.exists()
    shutil.copy(saved, tmp_path / "tiny.pt")
    refused(tmp_path / "tiny.pt", "there are no weights")


def test_saving_is_whole_or_not_at_all(model: ELSFace, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def stop(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", stop)
        with pytest.raises(KeyboardInterrupt):
            save_pretrained(ELSFace(ELSFaceConfig.lite(**TINY)), saved)
    assert saved.read_bytes() == before
    assert len(list(saved.parent.iterdir())) == 1
    with pytest.raises(ElsfaceError, match=r"to a \.safetensors file or into a folder, not to tiny\.pt"):
        save_pretrained(model, saved.with_suffix(".pt"))
    with pytest.raises(ElsfaceError, match="cannot write"):
        save_pretrained(model, saved / "below-a-file.safetensors")
    with pytest.raises(ElsfaceError, match="facts are what JSON can hold"):
        save_pretrained(model, saved, data={1, 2})


class Mine(ELSFace):
    """A subclass with a layer, a whole number and a buffer of its own."""

    def __init__(self, config: ELSFaceConfig | None = None) -> None:
        super().__init__(config)
        self.gain = nn.Parameter(torch.ones(3, 1, 1))
        self.register_buffer("steps", torch.tensor(2**40 + 1))
        self.register_buffer("scratch", torch.empty(4), persistent=False)
        if self.cnn is not None:
            self.cnn = nn.Sequential(nn.Conv2d(self.config.channels, self.config.channels, 1), nn.BatchNorm2d(8))

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        self.scratch.fill_(1)
        return super().forward(lr) * self.gain


class Bare(ELSFace):
    """A subclass without weights of its own."""


def test_a_subclass_comes_back_as_what_it_is(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, lr = Mine(ELSFaceConfig.lite(**TINY)).eval(), torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        model.gain.mul_(2)
        model.upsample[-1].weight.normal_(std=0.1)
    path = model.save_pretrained(tmp_path / "mine", torch.float16, psnr=1.5)
    assert path == tmp_path / "mine" / "model.safetensors"
    assert (pretrained.read_card(path)["class"], pretrained.read_card(tmp_path / "mine")["psnr"]) == ("Mine", 1.5)
    loaded = Mine.from_pretrained(tmp_path / "mine")
    assert type(loaded) is Mine and not loaded.training
    assert loaded.steps == 2**40 + 1
    with torch.inference_mode():
        assert (loaded(lr) - model(lr)).abs().max() < 0.01
    other = r"holds a Mine, not a (ELSFace|Bare): load it by Mine\.from_pretrained\.$"
    for load in (load_pretrained, ELSFace.from_pretrained, Bare.from_pretrained):
        with pytest.raises(ElsfaceError, match=other):
            load(path)


def test_a_subclass_may_begin_with_the_weights_of_its_base() -> None:
    assert type(Bare.from_pretrained("lite-x4")) is Bare
    with pytest.raises(ElsfaceError, match=r"does not fit its own config: .* tensors are missing"):
        Mine.from_pretrained("lite-x4")


@pytest.mark.slow
def test_a_network_is_saved_out_of_its_wrapping(model: ELSFace, tmp_path: Path) -> None:
    compiled = torch.compile(model, backend="eager")
    for number, wrapped in enumerate((compiled, nn.DataParallel(model), nn.DataParallel(compiled))):
        path = save_pretrained(wrapped, tmp_path / f"{number}.safetensors")
        state = load_pretrained(path).state_dict()
        assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())


def test_weights_that_are_shared_are_saved(tmp_path: Path) -> None:
    class Tied(ELSFace):
        def __init__(self, config: ELSFaceConfig | None = None) -> None:
            super().__init__(config)
            self.hfebs[0].high_pass.body[2].weight = self.hfebs[0].high_pass.body[0].weight

    model = Tied(ELSFaceConfig.lite(**TINY))
    loaded = Tied.from_pretrained(model.save_pretrained(tmp_path))
    assert all(torch.equal(loaded.state_dict()[key], value) for key, value in model.state_dict().items())


def test_what_its_config_does_not_build_is_not_saved(model: ELSFace, tmp_path: Path) -> None:
    changed = copy.deepcopy(model)
    changed.hfebs[0] = nn.Conv2d(8, 8, 3)
    fast = optimize(ELSFace(ELSFaceConfig.paper(channels=12, heads=2, hfebs=1, hfeb_blocks=1)))

    class Wants(ELSFace):
        def __init__(self, config: ELSFaceConfig, more: int) -> None:
            super().__init__(config)

    for network, says in (
        (changed, r"not those of ELSFace\(config\), see hfebs\.0\..*constructor of a subclass"),
        (fast, "as it was before `optimize`"),
        (nn.Linear(2, 2), "what is saved is an ELSFace, not a Linear"),
        (Wants(model.config, 1), "a Wants cannot be built from its config alone"),
    ):
        with pytest.raises(ElsfaceError, match=says):
            save_pretrained(network, tmp_path / "wrong.safetensors")
    assert not list(tmp_path.iterdir())


def test_what_can_be_saved_can_be_loaded_and_what_is_absurd_cannot_be_made() -> None:
    for field in ("channels", "window", "depth", "mlp_ratio", "cnn_recursions", "hfeb_blocks"):
        with pytest.raises(ValueError, match=f"{field} must be at most"):
            ELSFaceConfig.lite(**{field: 1026, "heads": 1})


def test_a_folder_is_taken_if_one_file_is_in_it(saved: Path) -> None:
    assert load_pretrained(saved.parent).config.channels == 8
    shutil.copy(saved, saved.with_name("other.safetensors"))
    with pytest.raises(ElsfaceError, match=r"holds 2 \.safetensors files: name one of them"):
        load_pretrained(saved.parent)


def test_sharpness_lies_on_the_line_between_two_weights(tmp_path: Path) -> None:
    ends = []
    for seed, name in enumerate(("mine", "mine-gan")):
        torch.manual_seed(seed)
        ends.append(ELSFace(ELSFaceConfig.lite(**TINY)))
        ends[-1].save_pretrained(tmp_path / f"{name}.safetensors")
    for sharpness in (0, 0.25, 1):
        between = load_pretrained(tmp_path / "mine.safetensors", sharpness)
        for weight, first, last in zip(*(network.parameters() for network in (between, *ends)), strict=True):
            torch.testing.assert_close(weight, first + sharpness * (last - first))
    for wrong in (-0.1, 1.5, float("nan")):
        with pytest.raises(ElsfaceError, match=r"sharpness goes from 0 \(faithful\) to 1 \(sharp\), not to"):
            load_pretrained(tmp_path / "mine.safetensors", wrong)
    with pytest.raises(ElsfaceError, match=r"mine-gan.* has no weights for sharpness: there is no mine-gan-gan"):
        load_pretrained(tmp_path / "mine-gan.safetensors", 1)
    ELSFace(ELSFaceConfig.lite(**TINY | {"channels": 16})).save_pretrained(tmp_path / "mine-gan.safetensors")
    with pytest.raises(ElsfaceError, match="two configs"):
        load_pretrained(tmp_path / "mine.safetensors", 0.5)
