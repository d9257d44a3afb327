"""The critic's training: rows that say the truth, eyes that learn, a folder that the studio sees with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import BaseModel, Field
from safetensors.torch import load_file

from agents import experience
from agents.documents import Check, Sight, Verdict
from agents.experience import shots
from agents.roles import critic as role
from agents.roles.critic import checklist
from agents.roles.scores import rubric
from models.chat.vision import VisionChat
from models.encoders.eyes import Shape, load_eyes
from models.filling.shots import ahead, text_ahead
from tests.fixtures_local import trained_llama, word_tokenizer
from training.embedded.critic import painted
from training.embedded.critic import rows as critic_rows
from training.embedded.critic import tower as critic_tower
from training.embedded.critic import train as critic
from training.embedded.critic.rows import NONE, Truth, Wanted, called, coloured, critique, prompt_of, score, wanted_of
from training.embedded.microstructures.drawing import sample
from training.embedded.microstructures.wordings import FAMILIES
from training.embedded.writer.branches import lay_out
from workspace.errors import DataError


@pytest.mark.parametrize("number", range(60))
def test_a_row_is_a_valid_verdict_that_says_the_truth(number: int) -> None:
    rng = np.random.default_rng(number)
    truth = Truth.of(sample(rng))
    wanted = wanted_of(truth, rng, matching=number % 2 == 0)
    made = Verdict.model_validate(critique(truth, wanted, rng))
    names = [called(name) for name in truth.families]
    assert [made.sees.pattern, made.sees.second] == (names if len(names) > 1 else [*names, NONE])
    assert all(name in made.seen for name in names)
    answers = {check.question: check.answer for check in made.checks}
    for name in wanted.families:
        asked = f"Does the picture show {called(name)}?"
        assert answers[asked] == ("yes" if name in truth.families else "no")
    if number % 2 == 0:
        assert made.fit == 10 and "no" not in [check.answer for check in made.checks[:-1]]
    else:
        assert made.fit < 10


def test_a_better_match_fits_better() -> None:
    truth = Truth(("leaf", "web"), "open", "gold", "none")
    both, one, none = (
        score(truth, Wanted(families, "gold")) for families in (("leaf", "web"), ("leaf",), ("bone", "nacre"))
    )
    assert both > one > none
    assert score(truth, Wanted(("leaf", "web"), "coral")) < both


def test_rows_ask_as_the_critic_asks() -> None:
    tokenizer, rng = word_tokenizer(), np.random.default_rng(3)
    truth = Truth.of(sample(rng))
    wanted = wanted_of(truth, rng, matching=True)
    tree = critic_rows.tree(truth, wanted, np.random.default_rng(5), tokenizer, 16)
    made = {
        "short": prompt_of(wanted, np.random.default_rng(0)),
        "motifs": [called(name) for name in wanted.families],
        "palette": coloured(wanted.palette),
    }
    asked = shots("critique", made["short"], " and ".join(made["motifs"]), f"Colours are {made['palette']}.").about
    text = tokenizer.decode(tree.stem[16:])
    assert text.split("\n", 1)[1] == asked.split("\n", 1)[1] + "\n" and text.startswith("Wanted: ")
    told = [tokenizer.decode([token for tokens, _ in branch for token in tokens]) for branch in tree.branches]
    assert told[1].startswith(f"Pattern: {called(truth.families[0])}\nSecond: ")
    design = {"inspirations": []}
    assert checklist(design, made, "city")[0] in told[-1]
    learned = [tokenizer.decode(tokens) for tokens, learns in tree.branches[-1] if learns]
    assert set(learned) <= {" yes\n", " no\n"} and len(learned) >= 3


def test_a_changed_question_changes_the_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    truth = Truth.of(sample(rng))
    wanted = wanted_of(truth, rng, matching=True)
    before = critique(truth, wanted, np.random.default_rng(5))["checks"]
    monkeypatch.setattr(role, "shows", lambda motif: f"Is there any {motif} in sight?")
    monkeypatch.setattr(role, "_coloured", lambda palette: f"Is it painted in {palette}?")
    monkeypatch.setattr(experience, "about", lambda wanted, after, notes: f"Title: {wanted}")
    after = critique(truth, wanted, np.random.default_rng(5))["checks"]
    assert [one["answer"] for one in after] == [one["answer"] for one in before]
    motifs = len(wanted.families)
    asked = [f"Is there any {called(name)} in sight?" for name in wanted.families]
    assert [one["question"] for one in after[: motifs + 1]] == [*asked, f"Is it painted in {coloured(wanted.palette)}?"]
    assert after[motifs + 1 :] == before[motifs + 1 :]
    tokenizer = word_tokenizer()
    tree = critic_rows.tree(truth, wanted, rng, tokenizer, 0)
    assert tokenizer.decode(tree.stem).startswith("Title: ")
    learned = "".join(tokenizer.decode(tokens) for tokens, _ in tree.branches[-1])
    assert all(f"Question: {question}" in learned for question in asked)


SMALL = Shape(size=128, patch=32, width=16, layers=1, heads=2, hidden=24, tokens=4, words=64)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """A critic trained for a moment on a tiny language model: its folder, and the base's."""
    root = tmp_path_factory.mktemp("critic")
    tokenizer = word_tokenizer()
    trained_llama(tokenizer, steps=0).bfloat16().save_pretrained(root / "base")
    tokenizer.save_pretrained(root / "base")
    pictures = [np.asarray(critic_tower.drawn(128, number)[0]) for number in range(4)]
    (root / "painted").mkdir()
    np.save(root / "painted" / "000000.npy", np.stack(pictures))
    with pytest.MonkeyPatch.context() as patch:
        for module in (critic, critic_tower):
            patch.setattr(module, "_HELD_OUT", 4)
        patch.setattr(critic, "LONGEST", 900)
        critic_tower.main(root / "tower", root / "painted", count=16, steps=4, batch=4, shape=SMALL)
        recipe = critic.Recipe(introduction=60, steps=24, batch=3, rank=4, rate=0.05, count=16)
        folder = critic.main(root / "base", root / "tower", root / "painted", root / "out", recipe)
        yield folder, root / "base"


def test_the_critic_learns_to_speak(trained: tuple[Path, Path]) -> None:
    rows = [json.loads(line) for line in (trained[0].parent / "metrics.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in rows]
    assert len(losses) == 24 and np.mean(losses[-6:]) < np.mean(losses[:6]) - 0.05, losses


class Glance(BaseModel):
    """What of a verdict a model can say that has hardly learned to speak: everything that is chosen."""

    sees: Sight
    checks: list[Check] = Field(min_length=2, max_length=2)
    fit: int = Field(ge=1, le=10)


def test_the_trained_folder_sees_through_the_usual_interface(trained: tuple[Path, Path]) -> None:
    from models.chat.structured import structured
    from tests.test_models_vision_chat import shown, url

    folder, base = trained
    chat = VisionChat(folder=base, adapter=folder, dtype="float32", device="cpu", seed=1)
    questions = ("Does the picture show leaf venation?", "Are the main colours gold on black?")
    told = shots("critique", "leaf venation, gold on black", "leaf venation", "Colours are gold on black.")
    hints = {"checks.question": questions, "sees.pattern": [called(name) for name in FAMILIES]}
    hints |= {"sees.second": ["honeycomb", NONE], "sees.palette": ["gold on black", "coral on deep teal"]}
    made = structured(chat, Glance, shown(url(1)), seed=3, hints=hints, shots=told).value
    assert made == structured(chat, Glance, shown(url(1)), seed=3, hints=hints, shots=told).value
    assert [check.question for check in made.checks] == list(questions)
    assert made.sees.pattern in hints["sees.pattern"] and 1 <= made.fit <= 10


def test_a_critic_is_trained_on(trained: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, base = trained
    for module in (critic, critic_tower):
        monkeypatch.setattr(module, "_HELD_OUT", 4)
    monkeypatch.setattr(critic, "LONGEST", 900)
    critic_tower.main(tmp_path / "tower", None, count=16, steps=1, batch=4, rate=1e-5, shape=SMALL, start=folder)
    former, seer = load_eyes(folder, 64), critic_tower.load_seer(tmp_path / "tower" / "seer.safetensors")
    assert seer.eyes.shape == former.shape
    weights = zip(seer.eyes.tower.parameters(), former.tower.parameters(), strict=True)
    assert all(torch.allclose(one, other, atol=0.02) for one, other in weights)
    recipe = critic.Recipe(introduction=2, steps=1, batch=1, rank=4, rate=1e-6, count=16)
    made = critic.main(base, tmp_path / "tower", None, tmp_path / "out", recipe, start=folder)
    adapters = [load_file(one / "adapter_model.safetensors") for one in (made, folder)]
    assert adapters[0].keys() == adapters[1].keys()
    assert all(torch.allclose(adapters[0][name], adapters[1][name], atol=1e-3) for name in adapters[1])
    with pytest.raises(DataError, match="at rank 2"):
        critic.main(base, tmp_path / "tower", None, tmp_path / "other", critic.Recipe(rank=2, count=16), start=folder)
    with pytest.raises(DataError, match="holds another training; start differ"):
        critic.main(base, tmp_path / "tower", None, tmp_path / "out", recipe)


def test_the_plainest_family_is_told_first() -> None:
    seer = critic_tower.Seer(SMALL)
    states = torch.randn(40, 32)
    for seen in critic_tower.verdicts(seer, states):
        assert len(set(seen.families)) == len(seen.families) <= 2
    truth = Truth(("leaf", "web"), "open", "gold", "none")
    assert critic.in_order(truth, Truth(("web", "bone"), "open", "gold", "none")).families == ("web", "leaf")
    assert critic.in_order(truth, Truth(("bone",), "open", "gold", "none")).families == ("leaf", "web")


def test_painted_pictures_keep_what_was_asked_for(tmp_path: Path) -> None:
    np.save(tmp_path / "000000.npy", np.zeros((3, 128, 128, 3), dtype=np.uint8))
    pictures, specs = painted.load(tmp_path)
    assert len(pictures) == len(specs) == 3
    assert specs[1] == painted.spec_of(1)[0] and painted.spec_of(1)[1] == painted.spec_of(1)[1]


def test_another_painters_pictures_do_not_come_among_those_of_the_first(tmp_path: Path) -> None:
    class FakePainter:
        def __init__(self, shade: int) -> None:
            self.shade, self.model_fingerprint = shade, str(shade)

        def spec(self, words: str, *, seed: int) -> str:
            return words

        def paint(self, specs: list[str]) -> list[Image.Image]:
            return [Image.new("RGB", (256, 256), (self.shade,) * 3) for _ in specs]

    painted.main(FakePainter(7), tmp_path, 2)  # type: ignore[arg-type]
    assert (painted.load(tmp_path)[0] == 7).all()
    with pytest.raises(DataError, match="painter"):
        painted.main(FakePainter(8), tmp_path, 30)  # type: ignore[arg-type]


def test_pictures_of_two_are_put_together_from_painted_ones() -> None:
    specs = [
        replace(painted.spec_of(0)[0], family=name, second=None, gradient="none") for name in ("leaf", "web", "web")
    ]
    pictures = np.stack([np.full((32, 32, 3), shade, dtype=np.uint8) for shade in (0, 120, 240)])
    made, shown = painted.pairs(pictures, specs, 6)
    assert made.shape == (6, 32, 32, 3) and made.dtype == np.uint8
    assert {(one.family, one.second) for one in shown} <= {("leaf", "web"), ("web", "leaf")}
    assert [one.join for one in shown] == ["over", "into"] * 3
    sides = [picture[16] for picture, one in zip(made, shown, strict=True) if one.join == "into"]
    assert all(row[0, 0] != row[-1, 0] and {int(row[0, 0]), int(row[-1, 0])} & {0} for row in sides)
    assert painted.pairs(pictures, specs[1:], 3)[1] == []


def test_rows_lay_out_behind_the_picture() -> None:
    rng = np.random.default_rng(1)
    truth = Truth.of(sample(rng))
    laid = lay_out(critic_rows.tree(truth, wanted_of(truth, rng, True), rng, word_tokenizer(), 16), 2000)
    assert laid.ids[0, :16].tolist() == [0] * 16
    assert int(laid.before.min()) >= 16
    assert torch.all(laid.sight[0, 0, 16:, :16])


def test_a_rating_is_written_after_what_is_seen_and_answered() -> None:
    rng = np.random.default_rng(3)
    truth = Truth.of(sample(rng))
    document = critique(truth, wanted_of(truth, rng, matching=False), rng)
    first = text_ahead(document, ("fit",))
    assert first.startswith(f"Pattern: {document['sees']['pattern']}\nSecond: ")
    assert first.count("Question: ") == first.count("Answer: ") == len(document["checks"])
    assert "Question: " not in text_ahead(document, ("change",)) and not text_ahead(document, ("sees", "density"))
    slots = [("checks", number, name) for number in (0, 1) for name in ("question", "answer")]
    assert ahead(("fit",), slots)[-1] == ("checks", 1, "answer")
    assert ahead(("components", 0, "name"), slots) == ()


@pytest.mark.parametrize("palette", ["gold", "coral"])
@pytest.mark.parametrize("shown", [("leaf", "web"), ("leaf",), ("bone",)])
def test_the_critic_learns_the_rubric_that_bounds_its_rating(shown: tuple[str, ...], palette: str) -> None:
    wanted = Wanted(("leaf", "web"), "gold")
    share = sum(name in wanted.families for name in shown) / 2
    strange = shown == ("bone",)
    taught = score(Truth(shown, "open", palette, "none"), wanted)
    assert taught == max(1, round(rubric(share, palette == "gold") - strange))
