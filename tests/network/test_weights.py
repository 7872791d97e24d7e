"""Weights in files: what is saved comes back, and what is damaged, swapped or hostile is refused by name."""

import hashlib
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

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
from elsface_lite.metrics.image import psnr
from elsface_lite.network import weights

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


def change_card(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Changes a card, and makes its checksum right again."""
    card_path = path.with_suffix(".json")
    card = json.loads(card_path.read_text(encoding="utf-8"))
    card["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    change(card)
    card_path.write_text(json.dumps(card), encoding="utf-8")


def change_state(path: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    """Changes the tensors of a file whose checksum then is right again."""
    state = safetensors.torch.load_file(path)
    change(state)
    path.write_bytes(safetensors.torch.save(state))
    change_card(path, lambda card: None)


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
    card = weights.read_card(saved)
    assert (card["scale"], card["data"], card["psnr"]) == (4, "made up", 12.5)
    assert sorted(file.name for file in saved.parent.iterdir()) == ["tiny.json", "tiny.safetensors"]


def test_half_precision_comes_back_as_float32(model: ELSFace, saved: Path) -> None:
    full = saved.stat().st_size
    save_pretrained(model, saved, torch.float16)
    assert saved.stat().st_size < 0.6 * full
    loaded = load_pretrained(str(saved))
    assert {value.dtype for value in loaded.state_dict().values()} == {torch.float32}
    for key, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value.half().float())


def test_the_cards_are_the_only_list_of_names(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "WEIGHTS", saved.parent)
    assert pretrained_names() == ["tiny"]
    assert load_pretrained("tiny").config.channels == 8
    with pytest.raises(ElsfaceError, match=r"no weights 'huge'.*tiny"):
        load_pretrained("huge")
    saved.unlink()
    refused(saved, "cannot read the weights")


@pytest.mark.parametrize("name", pretrained_names())
def test_shipped_weights_are_whole_and_better_than_bicubic(name: str) -> None:
    model, path = load_pretrained(name), weights.WEIGHTS / f"{name}.safetensors"
    scale = model.config.scale
    assert weights.read_card(path)["scale"] == scale
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
    refused(saved, "damaged", "checksum")
    change_card(saved, lambda card: None)  # even if somebody makes the checksum fit
    refused(saved, "does not fit its card")


def test_every_flipped_bit_is_seen(saved: Path) -> None:
    data = bytearray(saved.read_bytes())
    for place in (0, 9, len(data) // 2, len(data) - 1):
        broken = data.copy()
        broken[place] ^= 1
        saved.write_bytes(broken)
        refused(saved, "checksum")


def test_swapped_weights_are_refused(saved: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_pretrained(ELSFace(ELSFaceConfig.lite(**TINY)), other)
    shutil.copy(other, saved)
    refused(saved, "another file than its card describes")


def test_weights_without_a_card_or_with_a_damaged_one_are_refused(saved: Path) -> None:
    card = saved.with_suffix(".json")
    for text in ("", "{", "[]", "{}", '{"config": 3, "sha256": ""}', "[" * 100_000):
        card.write_text(text, encoding="utf-8")
        refused(saved, "card")
    card.write_bytes(b"\xff\xfe\x00{")
    refused(saved, "card")
    card.unlink()
    refused(saved, "cannot read the card")


def test_a_card_of_another_format_is_refused(saved: Path) -> None:
    change_card(saved, lambda card: card.update(format=99))
    refused(saved, "format 99", "update elsface-lite")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"scale": 3}, "scale"),
        ({"channels": "8"}, "channels"),
        ({"colour": 1}, "colour"),
        ({"channels": 16}, "of another shape"),
        ({"hfebs": 2}, "tensors are missing"),
        ({"heads": 0}, "heads"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(saved: Path, changes: dict[str, Any], says: str) -> None:
    change_card(saved, lambda card: card["config"].update(changes))
    refused(saved, "does not fit its card", says)


@pytest.mark.parametrize(
    "changes",
    [
        {"channels": 10**12, "heads": 1},
        {"channels": 1024, "heads": 1, "mlp_ratio": 1000},
        {"hfebs": 1000, "hfeb_blocks": 1000},
        {"window": 1024},
        {"cnn_blocks": 900},
    ],
)
def test_a_config_that_would_fill_the_memory_is_refused_first(saved: Path, changes: dict[str, int]) -> None:
    change_card(saved, lambda card: card["config"].update(changes))
    refused(saved, "does not fit its card")


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
        change_card(saved, lambda card: None)
        refused(saved, "does not fit its card")
    assert not trap.exists()
    shutil.copy(saved, tmp_path / "tiny.pt")
    refused(tmp_path / "tiny.pt", "there are no weights")


def test_saving_is_whole_or_not_at_all(model: ELSFace, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = [saved.read_bytes(), saved.with_suffix(".json").read_bytes()]

    def stop(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_text", stop)
    with pytest.raises(KeyboardInterrupt):
        save_pretrained(ELSFace(ELSFaceConfig.lite(**TINY)), saved)
    assert [saved.read_bytes(), saved.with_suffix(".json").read_bytes()] == before
    assert len(list(saved.parent.iterdir())) == 2
    with pytest.raises(ValueError, match=r"\.safetensors"):
        save_pretrained(model, saved.with_suffix(".pt"))
    with pytest.raises(ElsfaceError, match="cannot write"):
        save_pretrained(model, saved / "below-a-file.safetensors")
