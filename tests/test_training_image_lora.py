"""Adapter training: a caption folder checked, an adapter that the painter loads, resumes, stops and refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from typer.testing import CliRunner

from pipelines.pictures.painter import Painter
from tests.fixtures_flux import MicroFlux
from training.embedded.microstructures import leaf_pictures
from training.images import lora as image_lora
from training.images.config import ImageLoraConfig, load_config
from training.images.folder import read_folder, same_caption, square
from training.images.lora import main
from training.loop.checkpoints import load_tensors
from training.loop.trainee import Trainee
from ui.cli import app
from workspace.errors import DataError, UsageError
from workspace.progress import Progress, StageFinished, StageStarted, TrainingStep
from workspace.settings import PainterSettings

pytest_plugins = ["tests.fixtures_flux"]
TRIGGER = "<leaf microstructure>"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(4):
        pixels = rng.integers(0, 255, (80, 64 + number, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(f"[trigger] veins number {number}\n")
    return folder


def config(folder: Path, pictures: Path, **changes: Any) -> ImageLoraConfig:
    given = {"name": "tiny", "base": str(folder), "pictures": pictures, "trigger": TRIGGER, "size": 64, "rank": 2}
    given |= {"steps": 6, "batch": 2, "rate": 0.01, "log_every": 1, "save_every": 2, "sample_every": 0, "warmup": 0}
    return ImageLoraConfig.model_validate(given | changes)


def tensors(file: Path) -> dict[str, torch.Tensor]:
    with safe_open(file, "pt") as weights:
        return {name: weights.get_tensor(name) for name in weights.keys()}  # noqa: SIM118 - not a dict


@pytest.mark.parametrize("kind", ["micro", "flux"])
def test_the_adapter_is_loaded_by_the_painter_and_changes_its_pictures(
    kind: str, micro_flux: MicroFlux, flux_folder: Path, home: Path, pictures: Path, tmp_path: Path
) -> None:
    folder, home = (micro_flux.folder, micro_flux.home) if kind == "micro" else (flux_folder, home)
    events: list[Progress] = []
    plan = config(folder, pictures, samples=("a [trigger] web",), sample_every=3, sample_steps=1, accumulate=2)
    made = main(plan, home, tmp_path / "out", events.append)
    steps = [event for event in events if isinstance(event, TrainingStep)]
    assert [event.step for event in steps] == [1, 2, 3, 4, 5, 6] and steps[0].pictures_s
    assert [event.doing for event in events if isinstance(event, StageStarted)] == ["encoding pictures", "training"]
    assert events[-1] == StageFinished()
    assert made.trigger == TRIGGER and made.loss.is_file() and made.metrics.is_file()
    assert sorted(path.name for path in (tmp_path / "out" / "samples").iterdir()) == ["000003-0.png", "000006-0.png"]

    def pixels(scale: float) -> bytes:
        adapter = str(made.adapter.parent)
        settings = PainterSettings(model=str(folder), adapter=adapter, adapter_scale=scale, size=64, steps=2)
        painter = Painter.load(settings, home)
        assert painter.trigger == TRIGGER
        return painter.paint([painter.spec("leaf", seed=1)])[0].tobytes()

    assert pixels(1.0) != pixels(0.0)


def test_alpha_is_folded_in_so_that_every_loader_reads_the_same(
    micro_flux: MicroFlux, pictures: Path, tmp_path: Path
) -> None:
    plain = main(config(micro_flux.folder, pictures, alpha=2), micro_flux.home, tmp_path / "a")
    twice = tmp_path / "b"
    twice.mkdir()
    for name in ("training.json", "cache.safetensors", "checkpoint.safetensors", "metrics.jsonl"):
        (twice / name).write_bytes((tmp_path / "a" / name).read_bytes())
    noted = json.loads((twice / "training.json").read_text()) | {"alpha": 4.0}
    (twice / "training.json").write_text(json.dumps(noted))
    double = tensors(main(config(micro_flux.folder, pictures, alpha=4), micro_flux.home, twice).adapter)
    for name, weight in tensors(plain.adapter).items():
        assert torch.allclose(double[name], weight * (2 if "lora_B" in name else 1), rtol=1e-2)
    assert not any("alpha" in name for name in double)


def test_a_killed_training_resumes_to_the_same_adapter(
    micro_flux: MicroFlux, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = config(micro_flux.folder, pictures)
    whole = tensors(main(plan, micro_flux.home, tmp_path / "whole").adapter)
    update = Trainee.update

    def die(self: Trainee, share: float) -> None:
        if self.step == 5:
            raise KeyboardInterrupt
        update(self, share)

    monkeypatch.setattr(Trainee, "update", die)
    with pytest.raises(KeyboardInterrupt):
        main(plan, micro_flux.home, tmp_path / "cut")
    monkeypatch.setattr(Trainee, "update", update)
    assert load_tensors(tmp_path / "cut" / "checkpoint.safetensors")[1]["step"] == 4
    resumed = tensors(main(plan, micro_flux.home, tmp_path / "cut").adapter)
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_a_loss_that_is_no_number_stops_and_says_the_step(
    micro_flux: MicroFlux, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest, calls = image_lora.functional.mse_loss, []

    def poisoned(*given: Any) -> torch.Tensor:
        calls.append(1)
        return honest(*given) * (float("nan") if len(calls) == 4 else 1.0)

    monkeypatch.setattr(image_lora.functional, "mse_loss", poisoned)
    with pytest.raises(DataError, match=r"the loss is nan at step 4 of 6; the checkpoint of step 2 .*lower the rate"):
        main(config(micro_flux.folder, pictures), micro_flux.home, tmp_path / "out")
    assert load_tensors(tmp_path / "out" / "checkpoint.safetensors")[1]["step"] == 2


def test_a_folder_of_another_training_is_refused(micro_flux: MicroFlux, pictures: Path, tmp_path: Path) -> None:
    main(config(micro_flux.folder, pictures, steps=1), micro_flux.home, tmp_path / "out")
    (pictures / "0.txt").write_text("something else")
    with pytest.raises(DataError, match=r"holds another training; data, rank differ"):
        main(config(micro_flux.folder, pictures, rank=4), micro_flux.home, tmp_path / "out")


class TestFolder:
    def test_captions_carry_the_trigger(self, pictures: Path) -> None:
        found = read_folder(pictures, TRIGGER)
        assert [one.caption for one in found] == [f"{TRIGGER} veins number {number}" for number in range(4)]
        assert same_caption(found) is None

    @pytest.mark.parametrize(
        ("harm", "fault"),
        [
            (lambda folder: (folder / "1.txt").unlink(), r"1\.txt is missing"),
            (lambda folder: (folder / "1.txt").write_text(" \n"), r"1\.txt is empty"),
            (lambda folder: (folder / "1.txt").write_bytes(b"\xff\xfe\xff"), r"1\.txt is not UTF-8"),
            (lambda folder: (folder / "1.png").write_bytes(b"half a picture"), r"1\.png cannot be read as a picture"),
            (lambda folder: Image.new("RGB", (8, 8)).save(folder / "1.png"), r"1\.png is 8x8"),
            (lambda folder: Image.new("1", (9000, 9000)).save(folder / "1.png"), r"1\.png is 9000x9000"),
            (
                lambda folder: Image.new("RGB", (64, 64)).save(folder / "1.jpg"),
                r"1\.jpg: 2 pictures share .*; 1\.png: 2 pictures",
            ),
            (
                lambda folder: (
                    Image.new("RGB", (64, 64)).save(
                        folder / "1.webp", save_all=True, append_images=[Image.new("RGB", (64, 64), "red")]
                    )
                    or (folder / "1.png").unlink()
                ),
                r"1\.webp is animated \(2 frames\)",
            ),
            (lambda folder: [path.unlink() for path in folder.iterdir()], "holds no pictures"),
        ],
    )
    def test_a_fault_names_the_file(self, pictures: Path, harm: Any, fault: str) -> None:
        harm(pictures)
        with pytest.raises(DataError, match=fault):
            read_folder(pictures, TRIGGER)

    def test_a_trigger_that_is_wanted_must_be_given(self, pictures: Path) -> None:
        with pytest.raises(DataError, match=r"0\.txt says \[trigger\] but the config names no trigger"):
            read_folder(pictures, "")

    def test_the_same_caption_twice_is_remarked(self, pictures: Path) -> None:
        (pictures / "1.txt").write_text("[trigger] veins number 0")
        assert (
            same_caption(read_folder(pictures, TRIGGER))
            == f"2 pictures have the same caption: '{TRIGGER} veins number 0'"
        )

    def test_pictures_are_cropped_square_upright_and_on_white(self, tmp_path: Path) -> None:
        clear = Image.new("RGBA", (40, 20), (255, 0, 0, 0))
        clear.save(tmp_path / "clear.png")
        pixels = square(tmp_path / "clear.png", 16)
        assert pixels.shape == (16, 16, 3)
        assert (pixels == 255).all()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("rank: [", "cannot be read"),
        ("name: x1\nbase: b\npictures: p\nrnak: 4", r"unknown key 'rnak'; did you mean 'rank'"),
        ("name: x1\nbase: b\npictures: p\nrank: 0", "rank must be 1 to 256, not 0"),
        ("name: x1\nbase: b", "pictures: Field required"),
        ("- a list", "should be a valid dictionary"),
    ],
)
def test_a_faulty_config_is_refused_by_key(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(DataError, match=fault):
        load_config(tmp_path / "c.yaml")


@pytest.mark.parametrize("name", ["leaf-adapter", "leaf-flux"])
def test_the_shipped_training_files_are_valid(name: str) -> None:
    plan = load_config(Path(image_lora.__file__).parents[1] / "configs" / f"{name}.yaml")
    assert plan.trigger == TRIGGER
    assert (plan.rank, plan.alpha) == (16, 16)


def test_leaf_pictures_are_a_folder_to_train_from(tmp_path: Path) -> None:
    leaf_pictures.main(tmp_path, 4, 64, 7)
    read = read_folder(tmp_path, TRIGGER)
    assert len(read) == 4 and all(TRIGGER in one.caption for one in read)
    first = (tmp_path / "0000.png").read_bytes()
    leaf_pictures.main(tmp_path, 1, 64, 7)
    assert (tmp_path / "0000.png").read_bytes() == first


def test_every_field_of_the_config_says_what_it_is_and_has_bounds() -> None:
    for name, field in ImageLoraConfig.model_fields.items():
        assert field.description, name
        if field.annotation in (int, float):
            assert {"Ge", "Gt"} & {type(one).__name__ for one in field.metadata}, name
            assert "Le" in {type(one).__name__ for one in field.metadata}, name


def test_the_config_is_read_without_torch() -> None:
    code = "import sys, training.images.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_plan_says_that_the_base_is_not_there(micro_flux: MicroFlux, pictures: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    given = {"name": "tiny", "pictures": str(pictures), "trigger": TRIGGER}
    for base, why in (("flux.1-dev", "studio models fetch flux.1-dev"), (str(micro_flux.folder), None)):
        file.write_text(json.dumps(given | {"base": base}))
        done = CliRunner().invoke(app, ["train", "image-lora", str(file), "--plan", "--json"])
        assert done.exit_code == 0, done.output
        missing = json.loads(done.stdout)["missing"]
        assert missing is None if why is None else why in missing
    file.write_text(json.dumps(given | {"base": "flux.2-dev"}))
    assert isinstance(CliRunner().invoke(app, ["train", "image-lora", str(file), "--plan"]).exception, UsageError)


def test_recomputed_activations_are_no_other_training(micro_flux: MicroFlux, pictures: Path, tmp_path: Path) -> None:
    first = config(micro_flux.folder, pictures, steps=2)
    main(first, micro_flux.home, tmp_path / "out")
    again = first.model_copy(update={"checkpointing": True, "steps": 3, "log_every": 2, "save_every": 3})
    main(again, micro_flux.home, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("out")] == ["out"]  # nothing begun anew
