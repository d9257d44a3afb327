"""The painter's training learns, resumes bit for bit, refuses what does not fit; FluxPipeline loads the result."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import FluxPipeline
from safetensors.torch import load_file
from transformers import BertConfig, BertModel, BertTokenizerFast

from models.encoders.minilm import load_minilm
from training.embedded.microstructures.drawing import FAMILIES, PALETTES, caption, draw, sample
from training.embedded.painter import data as painter_data
from training.embedded.painter import train as painter
from training.embedded.painter.config import PainterConfig, load_config
from training.embedded.painter.train import main
from training.loop.checkpoints import load_tensors, save_tensors
from training.loop.trainee import Trainee
from workspace.errors import DataError

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ROOT / "models" / "weights" / "studio-micro-flux"
TINY = {
    "size": 32,
    "pictures": 12,
    "captions": 1,
    "held_out": 4,
    "tokens": 16,
    "log_every": 1,
    "save_every": 2,
    "autoencoder": {"width": 8, "encoder_blocks": [0, 1, 1, 1], "decoder_blocks": [1, 1, 1, 0]}
    | {"size": 32, "pictures": 12, "steps": 6, "batch": 4, "crop": 32, "rate": 5e-3},
    "flow": {"layers": 1, "single_layers": 1, "heads": 2, "head_width": 16, "rope": [4, 6, 6]}
    | {"steps": 6, "batch": 4, "rate": 5e-3, "average": 0.5, "reading": 20},
}


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory):
    """A tiny random BERT, as wide as MiniLM, that knows the captions' words."""
    folder = tmp_path_factory.mktemp("minilm")
    rng = np.random.default_rng(0)
    said = {word for _ in range(200) for word in caption(sample(rng), rng).lower().replace(",", " ").split()}
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ",", *sorted(said)]
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=384,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        pad_token_id=0,
    )
    BertModel(config).save_pretrained(folder)
    BertTokenizerFast(vocab={word: number for number, word in enumerate(words)}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def trained(encoder_folder, tmp_path_factory):
    """One whole tiny training, shared by the tests that only read it."""
    out = tmp_path_factory.mktemp("painter")
    main(PainterConfig(**TINY), encoder_folder, out)
    return out


def rows(out: Path, stage: str) -> list[dict]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [row for row in lines if row["stage"] == stage]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    parts = ("vae", "transformer")
    return {
        f"{part}.{k}": v for part in parts for k, v in load_file(next((folder / part).glob("*.safetensors"))).items()
    }


def test_both_stages_log_every_step_and_measure_the_held_out_pictures(trained):
    for stage in ("autoencoder", "flow"):
        logged = rows(trained, stage)
        assert [row["step"] for row in logged] == [1, 2, 3, 4, 5, 6]
        assert all(np.isfinite(row["loss"]) for row in logged)
    assert [row["step"] for row in rows(trained, "flow") if "held_out" in row] == [2, 4, 6]


def test_the_autoencoder_learns(encoder_folder, tmp_path):
    config = PainterConfig(**TINY)
    config = config.model_copy(update={"autoencoder": config.autoencoder.model_copy(update={"steps": 30})})
    pictures = painter.render(config, tmp_path, 32, 12)
    torch.manual_seed(config.seed)
    before = painter.build_autoencoder(config.autoencoder).state_dict()
    after = painter.train_autoencoder(config, pictures, tmp_path).state_dict()
    losses = [row["loss"] for row in rows(tmp_path, "autoencoder")]
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])
    assert all(not torch.equal(before[name], after[name]) for name in before)


def test_the_flow_learns(tmp_path):
    config = PainterConfig(**TINY)
    config = config.model_copy(update={"flow": config.flow.model_copy(update={"steps": 30})})
    pattern = torch.randn(1, 4, 64, generator=torch.Generator().manual_seed(1)).repeat(12, 1, 1).half()
    texts = (torch.zeros(13, 5, 384).half(), torch.zeros(13, 384).half())
    painter.train_flow(config, pattern, texts, tmp_path)
    losses = [row["loss"] for row in rows(tmp_path, "flow")]
    held_out = [row["held_out"] for row in rows(tmp_path, "flow") if "held_out" in row]
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])
    assert held_out[-1] < held_out[0]


def flow_with(emphasis: dict[str, float]) -> PainterConfig:
    return PainterConfig(**{**TINY, "flow": {**TINY["flow"], "emphasis": emphasis}})


def test_emphasis_draws_a_familys_pictures_more_often(tmp_path):
    shown = [sample(np.random.default_rng([42, number])) for number in range(8)]
    family = shown[0].family
    latents = torch.zeros(12, 4, 64).half()
    latents[[number for number, one in enumerate(shown) if family not in (one.family, one.second)]] = torch.nan
    texts = (torch.zeros(13, 5, 384).half(), torch.zeros(13, 384).half())
    for name in ("all", "alike", "none"):
        (tmp_path / name).mkdir()
    painter.train_flow(flow_with({family: 1e12}), latents, texts, tmp_path / "all")
    with pytest.raises(DataError, match="flow loss is nan"):
        painter.train_flow(flow_with({}), latents, texts, tmp_path / "alike")
    with pytest.raises(DataError, match=r"flow\.emphasis: unknown family 'granite'; .*choices: bone"):
        painter.train_flow(flow_with({"granite": 2}), latents, texts, tmp_path / "none")


@pytest.mark.parametrize("stage", ["autoencoder", "flow"])
def test_a_killed_training_resumes_to_the_same_weights(trained, encoder_folder, tmp_path, monkeypatch, stage):
    save, saved = Trainee.save, []

    def save_then_die(self):
        save(self)
        saved.append(self.path.stem)
        if self.path.stem == stage and saved.count(stage) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Trainee, "save", save_then_die)
    with pytest.raises(KeyboardInterrupt):
        main(PainterConfig(**TINY), encoder_folder, tmp_path)
    monkeypatch.setattr(Trainee, "save", save)
    assert load_tensors(tmp_path / f"{stage}.safetensors")[1]["step"] == 4
    resumed = weights(main(PainterConfig(**TINY), encoder_folder, tmp_path))
    whole = weights(trained / "weights")
    assert resumed.keys() == whole.keys()
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_checkpoint(tmp_path, monkeypatch):
    config = PainterConfig(**TINY)
    pictures = painter.render(config, tmp_path, 32, 12)
    honest, calls = painter.reconstruction_loss, []

    def poisoned(*arguments):
        calls.append(1)
        return honest(*arguments) * (float("nan") if len(calls) == 4 else 1.0)

    monkeypatch.setattr(painter, "reconstruction_loss", poisoned)
    with pytest.raises(DataError, match=r"autoencoder loss is nan at step 4 of 6; the checkpoint of step 2 is kept"):
        painter.train_autoencoder(config, pictures, tmp_path)
    tensors, note = load_tensors(tmp_path / "autoencoder.safetensors")
    assert note["step"] == 2
    assert all(tensor.isfinite().all() for tensor in tensors.values())


def test_a_folder_of_another_recipe_is_refused(trained, encoder_folder):
    with pytest.raises(DataError, match="holds another training; pictures, seed differ"):
        main(PainterConfig(**{**TINY, "seed": 7, "pictures": 13}), encoder_folder, trained)


def test_more_steps_train_on_and_the_newest_checkpoint_can_be_published_alone(encoder_folder, tmp_path):
    first = weights(main(PainterConfig(**TINY), encoder_folder, tmp_path))
    longer = PainterConfig(**{**TINY, "flow": {**TINY["flow"], "steps": 8, "emphasis": {"nacre": 3.0}}})
    assert all(
        torch.equal(first[name], same)
        for name, same in weights(main(longer, encoder_folder, tmp_path, publish_only=True)).items()
    )
    second = weights(main(longer, encoder_folder, tmp_path))
    assert [row["step"] for row in rows(tmp_path, "flow")] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert any(not torch.equal(first[name], second[name]) for name in first)


def test_a_broken_checkpoint_is_named(tmp_path):
    (tmp_path / "flow.safetensors").write_bytes(b"half a file")
    with pytest.raises(DataError, match=r"flow\.safetensors cannot be read"):
        load_tensors(tmp_path / "flow.safetensors")


def test_tensors_and_their_note_come_back(tmp_path):
    save_tensors(tmp_path / "a.safetensors", {"x": torch.arange(3)}, {"step": 4})
    tensors, note = load_tensors(tmp_path / "a.safetensors")
    assert torch.equal(tensors["x"], torch.arange(3))
    assert note == {"step": 4}
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_an_unchanged_pipeline_paints_with_the_result(trained, encoder_folder):
    card = json.loads((trained / "weights" / "studio.json").read_text())
    picture = paint(trained / "weights", encoder_folder, card, "leaf venation, gold on black", 32)
    again = paint(trained / "weights", encoder_folder, card, "leaf venation, gold on black", 32)
    assert picture.shape == (32, 32, 3)
    assert np.array_equal(picture, again)


def test_captions_in_other_wordings_are_read_anew_to_the_same_codes(trained, encoder_folder, tmp_path, monkeypatch):
    shutil.copytree(trained, tmp_path / "out")
    before, _ = load_tensors(tmp_path / "out" / "codes.safetensors")
    monkeypatch.setattr(painter_data, "captions_of", lambda _, number, captions, __: [f"leaf {number % 3}"] * captions)
    painter.main(PainterConfig(**TINY), encoder_folder, tmp_path / "out")
    after, _ = load_tensors(tmp_path / "out" / "codes.safetensors")
    assert torch.equal(before["vectors"], after["vectors"])
    assert not torch.equal(before["linear_1.weight"], after["linear_1.weight"])
    shipped = load_file(tmp_path / "out" / "weights" / "transformer" / "diffusion_pytorch_model.safetensors")
    weight = shipped["time_text_embed.text_embedder.linear_1.weight"]
    assert torch.equal(weight, after["linear_1.weight"].bfloat16())


def test_the_card_names_every_family_and_palette(trained):
    card = json.loads((trained / "weights" / "studio.json").read_text())
    assert card["size"] == 32
    assert card["max_sequence_length"] == 16
    assert len(card["palettes"]) == len(PALETTES)
    for row in FAMILIES.values():
        assert set(row.biological) | set(row.geometric) <= {
            word for words in card["vocabulary"].values() for word in words
        }


def test_the_latents_the_painter_learns_decode_to_the_pictures_through_the_pipelines_own_scaling(trained):
    config = PainterConfig(**TINY)
    latents, note = load_tensors(trained / "latents.safetensors")
    assert latents["latents"].shape == (12, 4, 64)
    assert latents["latents"].float().std().item() == pytest.approx(1.0, abs=0.02)
    vae = json.loads((trained / "weights" / "vae" / "config.json").read_text())
    assert (vae["scaling_factor"], vae["shift_factor"]) == (note["scaling_factor"], note["shift_factor"])
    rng = np.random.default_rng([config.seed, 0])
    pictures = np.load(trained / "pictures-32.npy")
    assert np.array_equal(pictures[0], draw(sample(rng), config.size, rng))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("size: 4", "size"),
        ("sise: 64", "sise"),
        ("flow: {steps: 0}", "steps"),
        ("flow: {emphasis: {web: -1}}", r"flow\.emphasis\.web"),
        ("a: [", "cannot"),
    ],
)
def test_a_faulty_training_file_is_refused_by_field(tmp_path, text, fault):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(DataError, match=fault):
        load_config(tmp_path / "a.yaml")


def test_the_shipped_training_file_is_valid():
    config = load_config(ROOT / "training" / "configs" / "micro-flux.yaml")
    assert sum(config.flow.rope) == config.flow.head_width


@pytest.mark.skipif(not SHIPPED.is_dir(), reason="the shipped weights are not in this checkout")
def test_the_shipped_weights_paint(encoder_folder):
    card = json.loads((SHIPPED / "studio.json").read_text())
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file()) < 26_000_000
    picture = paint(SHIPPED, encoder_folder, card, "a spider orb web, gold on black", card["size"])
    assert picture.shape == (card["size"], card["size"], 3)
    assert picture.std() > 0.02  # of 0..1; the stand-in encoder speaks no language


def paint(folder: Path, encoder_folder: Path, card: dict, prompt: str, size: int) -> np.ndarray:
    encoder, tokenizer = load_minilm(encoder_folder, max_length=card["max_sequence_length"])
    pipeline = FluxPipeline.from_pretrained(
        folder, text_encoder=encoder, text_encoder_2=encoder, tokenizer=tokenizer, tokenizer_2=tokenizer
    )
    pipeline.set_progress_bar_config(disable=True)
    answer = pipeline(
        prompt,
        negative_prompt=card["negative_prompt"],
        true_cfg_scale=card["true_cfg"],
        guidance_scale=card["guidance"],
        height=size,
        width=size,
        num_inference_steps=2,
        max_sequence_length=card["max_sequence_length"],
        generator=torch.Generator().manual_seed(0),
        output_type="np",
    )
    return answer.images[0]


def test_a_painter_trains_on_from_a_folder_and_keeps_its_autoencoder_and_normalisation(
    trained, encoder_folder, tmp_path
):
    config = PainterConfig(**TINY)
    more = config.model_copy(update={"seed": 7, "pictures": 16})
    out = main(more, encoder_folder, tmp_path, start=trained / "weights")
    before, after = weights(trained / "weights"), weights(out)
    assert all(torch.equal(one, after[name]) for name, one in before.items() if name.startswith("vae."))
    assert any(not torch.equal(one, after[name]) for name, one in before.items() if name.startswith("transformer."))
    assert json.loads((trained / "weights/vae/config.json").read_text()) == json.loads(
        (out / "vae/config.json").read_text()
    )
    wider = config.model_copy(update={"flow": config.flow.model_copy(update={"layers": 2})})
    with pytest.raises(DataError, match="of another shape than the recipe's; num_layers differ"):
        main(wider, encoder_folder, tmp_path / "wider", start=trained / "weights")
