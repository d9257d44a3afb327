"""Evaluations from end to end with tiny models: asked once, kept, resumed, served, as lm-eval has them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.fixtures_chat import Fault, ScriptedServer
from tests.fixtures_local import sentences
from training.evaluation.asking.answering import Told, scores
from training.evaluation.asking.config import EvaluateConfig
from training.evaluation.asking.evaluate import EVALUATIONS, evaluate, kept_evaluations
from training.evaluation.asking.questions import Question
from training.evaluation.asking.scoring import Scorer
from workspace.errors import DataError, ServiceError, Unfinished, UsageError
from workspace.files import claim
from workspace.progress import Progress, QuestionsAnswered, Remark

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::DeprecationWarning")
LINES = sentences()


def benchmark(folder: Path, name: str = "own", count: int = 6) -> Path:
    """Choices whose right option the tiny model learned, and statements."""
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(LINES[:count]):
        options = ["zq xk vj qx", line] if number % 2 else [line, "zq xk vj qx"]
        rows.append({"id": f"c{number}", "question": f"So {number}?", "options": options, "answer": line})
        rows[-1] |= {"subset": "basic" if number < 2 else "advanced", "passage": f"p{number // 2}"}
    rows.append({"id": "t", "question": "Silk holds.", "answer": "true", "subset": "basic"})
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def texts(events: list[Progress]) -> list[str]:
    return [event.text for event in events if isinstance(event, Remark)]


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many prompts, and answers to write, a model in this process was given, call by call."""
    given: list[int] = []
    for name in ("likelihoods", "write"):
        own = getattr(Scorer, name)

        def call(self: Scorer, asked: Any, *rest: Any, own: Callable[..., Any] = own) -> Any:
            given.append(len(asked))
            return own(self, asked, *rest)

        monkeypatch.setattr(Scorer, name, call)
    return given


def test_a_model_is_asked_and_what_it_knows_counts(word_llama: Path, home: Path, tmp_path: Path) -> None:
    config = EvaluateConfig(tasks=(str(benchmark(tmp_path)),))
    seen: list[Progress] = []
    [found] = evaluate(word_llama, config, home, seen.append)
    assert (found.model, found.task, found.protocol, found.rule) == (word_llama.name, "own", "likelihood", "plain")
    assert found.template and len(found.fingerprint) == 64 and found.unparsed == 0 and found.seconds > 0
    assert [answer.right for answer in found.answers[:6]] == [True] * 6
    assert [answer.given for answer in found.answers[:6]] == list("ABABAB")
    assert all(answer.confidence is not None and 0.5 <= answer.confidence <= 1 for answer in found.answers)
    assert found.answers[-1].kind == "truth" and found.answers[-1].given in "TF" and found.answers[-1].wanted == "T"
    assert [answer.subset for answer in found.answers[:3]] == ["basic", "basic", "advanced"]
    assert found.passages is not None and len(set(found.passages)) == 4
    assert seen[-1] == QuestionsAnswered(model=word_llama.name, answered=7, of=7)
    assert kept_evaluations(home) == [found]


def test_nothing_is_asked_twice(word_llama: Path, home: Path, tmp_path: Path, counted: list[int]) -> None:
    config = EvaluateConfig(tasks=(str(benchmark(tmp_path)),))
    [first] = evaluate(word_llama, config, home)
    asked = list(counted)
    [again] = evaluate(word_llama, config, home)
    assert again == first.model_copy(update={"seconds": 0.0}) and counted == asked
    [rule] = evaluate(word_llama, config.model_copy(update={"rule": "pmi"}), home)
    assert rule.rule == "pmi" and counted == asked, "another rule reads what is kept"
    [part] = evaluate(word_llama, config.model_copy(update={"subsets": ("basic", "choice")}), home)
    assert [one.id for one in part.answers] == ["c0", "c1"] and part.answers == first.answers[:2] and counted == asked
    [few] = evaluate(word_llama, config.model_copy(update={"limit": 3}), home)
    assert few.answers == first.answers[:3] and few.task_fingerprint != first.task_fingerprint and counted == asked
    [other] = evaluate(word_llama, EvaluateConfig(tasks=(str(benchmark(tmp_path, "other", 7)),)), home)
    assert len(other.answers) == 8 and sum(counted) == sum(asked) + 3, "the one question that is new, put in three ways"
    [plain] = evaluate(word_llama, config.model_copy(update={"template": False}), home)
    assert not plain.template and plain.task_fingerprint != first.task_fingerprint and sum(counted) > sum(asked) + 3
    assert len(kept_evaluations(home)) == 6


def test_a_question_that_stands_twice_is_asked_once(word_llama: Path, home: Path, tmp_path: Path) -> None:
    row = {"question": "So?", "options": LINES[:2], "answer": LINES[0]}
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps({**row, "id": name}) + "\n" for name in "abc"))
    seen: list[Progress] = []
    [found] = evaluate(word_llama, EvaluateConfig(tasks=(str(path),)), home, seen.append)
    assert len({answer.given for answer in found.answers}) == 1
    assert [event.answered for event in seen if isinstance(event, QuestionsAnswered)] == [0, 3]


def test_what_was_stopped_goes_on(
    word_llama: Path, home: Path, tmp_path: Path, counted: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.evaluation.asking.scoring.TOKENS", 60)
    config = EvaluateConfig(tasks=(str(benchmark(tmp_path)),))

    def stop(event: Progress) -> None:
        if isinstance(event, QuestionsAnswered) and event.answered == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(word_llama, config, home, stop)
    [kept] = (home / EVALUATIONS).glob("*/likelihood-template.jsonl")
    assert len(kept.read_text().splitlines()) == 4 and kept_evaluations(home) == []
    with kept.open("a") as file:
        file.write('{"key": "half')
    counted.clear()
    seen: list[Progress] = []
    [found] = evaluate(word_llama, config, home, seen.append)
    assert len(found.answers) == 7 and next(e.answered for e in seen if isinstance(e, QuestionsAnswered)) == 4
    assert any("was half written" in text for text in texts(seen))
    assert sum(counted) <= 3 * 3, "the three that were left"
    lines = kept.read_text().splitlines()
    assert len(lines) == 7 and all(json.loads(line)["said"] for line in lines)


def test_a_damaged_line_is_told_and_asked_again(word_llama: Path, home: Path, tmp_path: Path) -> None:
    config = EvaluateConfig(tasks=(str(benchmark(tmp_path)),))
    [first] = evaluate(word_llama, config, home)
    [kept] = (home / EVALUATIONS).glob("*/likelihood-template.jsonl")
    lines = kept.read_text().splitlines(keepends=True)
    kept.write_text("".join([lines[0], "not JSON\n", *lines[2:]]))
    seen: list[Progress] = []
    [again] = evaluate(word_llama, config, home, seen.append)
    assert any("1 line is damaged in likelihood-template.jsonl" in text for text in texts(seen))
    assert [one.given for one in again.answers] == [one.given for one in first.answers]
    next((home / EVALUATIONS).glob("*/*.json")).write_text("{")
    with pytest.raises(DataError, match=r"is damaged; remove it"):
        kept_evaluations(home)


def test_two_processes_do_not_ask_one_model_the_same_way(word_llama: Path, home: Path, tmp_path: Path) -> None:
    config = EvaluateConfig(tasks=(str(benchmark(tmp_path)),))
    evaluate(word_llama, config, home)
    [kept] = (home / EVALUATIONS).glob("*/likelihood-template.jsonl")
    with claim(kept.with_suffix(".lock")), pytest.raises(Unfinished, match="is being evaluated already"):
        evaluate(word_llama, config, home)
    evaluate(word_llama, config, home)


def test_answers_are_written_and_read(word_llama: Path, home: Path, tmp_path: Path) -> None:
    config = EvaluateConfig(tasks=(str(benchmark(tmp_path)),), protocol="written", max_tokens=12)
    seen: list[Progress] = []
    [found] = evaluate(word_llama, config, home, seen.append)
    assert found.protocol == "written" and found.rule == "" and len(found.answers) == 7
    assert all(answer.text and answer.confidence is None for answer in found.answers), "it writes sentences"
    assert found.unparsed > 0 and not any(answer.right for answer in found.answers if not answer.given)
    assert any(f"{found.unparsed} of 7 answers could not be read" in text for text in texts(seen))
    [again] = evaluate(word_llama, config, home)
    assert again.answers == found.answers and again.seconds == 0.0


@pytest.mark.parametrize("model", ["word_llama", "tiny_llama"])
def test_what_is_written_together_is_what_is_written_alone(model: str, request: pytest.FixtureRequest) -> None:
    scorer = Scorer.load(request.getfixturevalue(model), dtype="float32")
    prompts = [scorer.chat("So?"), scorer.chat("What of the leaf and of the silk thread, then?"), "The"]
    heard: dict[int, str] = {}
    together = scorer.write(prompts, 12, heard.__setitem__)
    assert [heard[place] for place in range(3)] == together and any(together)
    for prompt, text in zip(prompts, together, strict=True):
        assert scorer.write([prompt], 12) == [text]
        import torch

        ids = torch.tensor([scorer.tokens(prompt)])
        out = scorer.model.generate(ids, max_new_tokens=12, do_sample=False, attention_mask=torch.ones_like(ids))
        assert scorer.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True).strip() == text


def other_llama(kind: str, folder: Path, word_llama: Path) -> Path:
    """A model that is no Llama, untrained, with the tokenizer of one."""
    import torch
    from transformers import AutoTokenizer, MambaConfig, MambaForCausalLM, MistralConfig, MistralForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(word_llama)
    shape = {"vocab_size": len(tokenizer), "hidden_size": 32, "num_hidden_layers": 2}
    torch.manual_seed(0)
    if kind == "mamba":
        MambaForCausalLM(MambaConfig(**shape, state_size=4, time_step_rank=4)).save_pretrained(folder)
    else:
        config = MistralConfig(**shape, num_attention_heads=4, num_key_value_heads=2, sliding_window=12)
        MistralForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["llama", "mamba", "mistral"])
def test_answers_that_are_read_together_are_those_read_alone(
    kind: str, word_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr("training.evaluation.asking.scoring.TOKENS", 64)  # some answers of a prompt share no row
    folder = word_llama if kind == "llama" else other_llama(kind, tmp_path, word_llama)
    scorer = Scorer.load(folder, dtype="float32")
    long = scorer.chat("What holds the silk thread together, and what the leaf, when the wind pulls at both of them?")
    answers = ["yes", "the silk thread", "a leaf that holds what the wind pulls", "", "silk", "the leaf and the silk"]
    asked = [(scorer.chat("So?"), answers), (long, answers[:3]), (scorer.chat("So?"), answers[::-1]), ("The", answers)]
    asked += [(long, ["the leaf"]), (long, [])]
    heard: dict[int, list[float]] = {}
    found = scorer.likelihoods(asked, heard.__setitem__)
    assert [heard[place] for place in range(len(asked))] == found
    assert scorer._branches == (kind != "mamba"), "answers share rows wherever the model keeps them apart"
    for (prompt, offered), all_of in zip(asked, found, strict=True):
        stem, tails = scorer.parted(prompt, offered)
        for tail, score in zip(tails, all_of, strict=True):
            chances = scorer.model(torch.tensor([stem + tail])).logits[0].log_softmax(-1)
            told = sum(float(chances[len(stem) - 1 + step, word]) for step, word in enumerate(tail))
            assert score == pytest.approx(told, abs=2e-4)


def test_a_prompt_and_its_answers_lose_no_letter(word_llama: Path) -> None:
    scorer = Scorer.load(word_llama)
    melted = 0
    for prompt in ("The silk thre", "The silk", "The silk\n", "The  ", " ", "<|im_start|>user\n"):
        for answer in ("ad", " thread", "s", "\nso", ""):
            stem, [tail] = scorer.parted(prompt, [answer])
            assert scorer.tokenizer.decode([*stem, *tail]) == prompt + answer
            melted += [*stem, *tail] != scorer.tokens(prompt + answer)
    assert melted > 0


def test_confidence_is_the_share_of_the_answer_by_the_rule(word_llama: Path, home: Path, tmp_path: Path) -> None:
    path = benchmark(tmp_path)
    told = {}
    for rule in ("plain", "pmi", "letters"):
        [found] = evaluate(word_llama, EvaluateConfig(tasks=(str(path),), rule=rule), home)
        told[rule] = found.answers
    [kept] = (home / EVALUATIONS).glob("*/likelihood-template.jsonl")
    said = {row["question"]: row["said"] for row in map(json.loads, kept.read_text().splitlines())}
    question = Question(id="c0", kind="choice", question="So 0?", options=(LINES[0], "zq xk vj qx"), answer=LINES[0])
    for rule, answers in told.items():
        ranks = scores(rule, question.row(), Told(*map(tuple, said["c0"].values())))
        shares = [math.exp(one) / sum(map(math.exp, ranks)) for one in ranks]
        assert (
            answers[0].confidence == pytest.approx(max(shares)) and answers[0].given == "AB"[shares.index(max(shares))]
        )
        assert answers[-1].kind == "truth" and answers[-1].confidence is not None


def test_a_model_without_a_template_is_asked_in_plain_text(word_llama: Path, home: Path, tmp_path: Path) -> None:
    import shutil

    bare = tmp_path / "bare"
    shutil.copytree(word_llama, bare)
    (bare / "chat_template.jinja").unlink()
    seen: list[Progress] = []
    [found] = evaluate(bare, EvaluateConfig(tasks=(str(benchmark(tmp_path)),)), home, seen.append)
    assert not found.template and any("bare has no chat template" in text for text in texts(seen))
    assert [answer.right for answer in found.answers[:6]] == [True] * 6
    [written] = evaluate(bare, EvaluateConfig(tasks=(str(benchmark(tmp_path)),), protocol="written"), home)
    assert not written.template and len(written.answers) == 7


def test_a_lora_is_folded_into_what_it_lies_over(
    word_llama: Path, home: Path, tmp_path: Path, tiny_adapter: Callable[..., Path]
) -> None:
    config = EvaluateConfig(tasks=(str(benchmark(tmp_path)),))
    folder = tiny_adapter()
    [bare], [tuned] = evaluate(word_llama, config, home), evaluate(folder, config, home)
    assert tuned.model == folder.name and tuned.fingerprint != bare.fingerprint and tuned.template
    assert [one.confidence for one in tuned.answers] != [one.confidence for one in bare.answers]
    with pytest.raises(UsageError, match="is a whole model and lies over none"):
        evaluate(word_llama, config.model_copy(update={"base": str(word_llama)}), home)
    settings = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**settings, "base_model_name_or_path": None}))
    with pytest.raises(UsageError, match="names no model under it"):
        evaluate(folder, config, home)
    for asked, base in ((folder, str(word_llama)), (f"{word_llama}+{folder}", None)):
        [named] = evaluate(asked, config.model_copy(update={"base": base}), home)
        assert named.model == folder.name and named.template
        assert [one.confidence for one in named.answers] == pytest.approx([one.confidence for one in tuned.answers])
    with pytest.raises(UsageError, match="says already what the LoRA lies over"):
        evaluate(f"{word_llama}+{folder}", config.model_copy(update={"base": str(word_llama)}), home)


def test_a_damaged_model_gives_no_number(word_llama: Path, home: Path, tmp_path: Path) -> None:
    import shutil

    import torch
    from safetensors.torch import load_file, save_file

    broken = tmp_path / "broken"
    shutil.copytree(word_llama, broken)
    weights = load_file(broken / "model.safetensors")
    weights["model.norm.weight"] = torch.full_like(weights["model.norm.weight"], float("nan"))
    save_file(weights, broken / "model.safetensors", {"format": "pt"})
    for protocol in ("likelihood", "written"):
        with pytest.raises(DataError, match=r"no number|are no numbers"):
            evaluate(broken, EvaluateConfig(tasks=(str(benchmark(tmp_path)),), protocol=protocol), home)
    assert kept_evaluations(home) == []


def test_a_question_longer_than_the_model_reads_is_refused(word_llama: Path, home: Path, tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    path.write_text(json.dumps({"question": " ".join(LINES), "options": ["a", "b"], "answer": "A"}))
    with pytest.raises(DataError, match=r"a question has [\d,]+ tokens with its answer, the model reads 512"):
        evaluate(word_llama, EvaluateConfig(tasks=(str(path),)), home)


def served(server: ScriptedServer, path: Path, **more: Any) -> EvaluateConfig:
    return EvaluateConfig(tasks=(str(path),), protocol="written", server=server.url, **more)


def test_a_served_model_writes(openai_server: ScriptedServer, home: Path, tmp_path: Path) -> None:
    openai_server.script = ["**B**"]
    config = served(openai_server, benchmark(tmp_path))
    [found] = evaluate("tiny", config, home)
    assert [answer.given for answer in found.answers] == ["B"] * 6 + [""]
    assert [answer.right for answer in found.answers] == [False, True] * 3 + [False] and found.unparsed == 1
    assert found.model == "tiny" and found.template and len(openai_server.requests) == 7
    put = {request["messages"][-1]["content"] for request in openai_server.requests}
    assert f"So 0?\nA. {LINES[0]}\nB. zq xk vj qx\nAnswer with the letter alone." in put
    assert "True or false? Silk holds.\nAnswer with one word, true or false." in put
    assert {request["temperature"] for request in openai_server.requests} == {0}
    [again] = evaluate("tiny", config, home)
    assert again.answers == found.answers and len(openai_server.requests) == 7
    [other] = evaluate("other", config, home)
    assert other.fingerprint != found.fingerprint and len(openai_server.requests) == 14


def test_a_server_that_dies_midway_keeps_what_was_answered(
    openai_server: ScriptedServer, home: Path, tmp_path: Path
) -> None:
    openai_server.script = ["A", "A", "A", Fault("status", 401)]
    config = served(openai_server, benchmark(tmp_path, count=40), at_once=1)
    with pytest.raises(ServiceError, match=r"3 of 41 answers to own are kept .*the same command goes on") as refused:
        evaluate("tiny", config, home)
    assert refused.value.exit_code == 69 and kept_evaluations(home) == []
    asked = len(openai_server.requests)
    assert asked < 41, "what had not begun is left"
    openai_server.script = ["True"]
    [found] = evaluate("tiny", config, home)
    assert sorted(answer.text for answer in found.answers) == ["A"] * 3 + ["True"] * 38
    assert len(openai_server.requests) == asked + 38


def test_a_model_that_declines_is_wrong_and_not_asked_again(
    openai_server: ScriptedServer, home: Path, tmp_path: Path
) -> None:
    choice = {"message": {"content": None, "refusal": "It is false."}, "finish_reason": "stop"}
    openai_server.script = [Fault("body", body=json.dumps({"choices": [choice]}))]
    config = served(openai_server, benchmark(tmp_path))
    [found] = evaluate("tiny", config, home)
    assert found.unparsed == 7 and "the model refused: It is false." in found.answers[0].text
    asked = len(openai_server.requests)
    evaluate("tiny", config, home)
    assert len(openai_server.requests) == asked


def test_a_server_that_is_not_there_is_one_line(closed_url: str, home: Path, tmp_path: Path) -> None:
    config = EvaluateConfig(tasks=(str(benchmark(tmp_path)),), protocol="written", server=closed_url, timeout=5)
    with pytest.raises(ServiceError, match=r"cannot be reached.*0 of 7 answers to own are kept") as refused:
        evaluate("tiny", config, home)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"server": "http://127.0.0.1:1/v1"}, "tells no answers' likelihood"),
        ({"server": "http://127.0.0.1:1/v1", "protocol": "written", "template": False}, "its model's template"),
        ({"server": "http://127.0.0.1:1/v1", "protocol": "written", "base": "x"}, "LoRA folder in this process"),
        ({"protocol": "written", "rule": "pmi"}, "rule: is for protocol likelihood"),
        ({"tasks": ("sample", "sample")}, "'sample' stands twice"),
        ({"columns": {"anser": "x"}}, "did you mean 'answer'"),
        ({"tasks": ()}, "at least 1 item"),
        ({"limit": 0}, "greater than or equal to 1"),
        ({"rule": "loudest"}, "Input should be"),
        ({"tsaks": ("sample",)}, "Extra inputs"),
    ],
)
def test_what_does_not_fit_together_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        EvaluateConfig.model_validate(given)


def test_the_harness_gives_every_answer_the_same_likelihood(word_llama: Path, home: Path, tmp_path: Path) -> None:
    pytest.importorskip("lm_eval", reason="lm-evaluation-harness is not installed")
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    from training.evaluation.asking.questions import Benchmark
    from training.evaluation.asking.tasks import benchmark_of, write_task

    scorer = Scorer.load(word_llama, dtype="float32")
    own: Benchmark = benchmark_of(str(benchmark(tmp_path)))
    names = write_task(own, tmp_path / "tasks")[:2]
    manager = TaskManager(include_path=str(tmp_path / "tasks"), include_defaults=False)
    lm = HFLM(pretrained=str(word_llama), device="cpu", dtype="float32", batch_size=4)
    from training.evaluation.asking.answering import told_by

    for template in (True, False):
        told = told_by(scorer, [one.row() for one in own.questions], lambda place, said: None, template)
        out = simple_evaluate(lm, tasks=names, task_manager=manager, apply_chat_template=template, bootstrap_iters=0)
        for part, name in enumerate(names):
            for sample in sorted(out["samples"][name], key=lambda one: one["doc_id"]):
                mine = told[sample["doc_id"]]
                ours = (mine.asked, mine.letters or mine.asked)[part]
                assert [float(one[0][0]) for one in sample["resps"]] == pytest.approx(ours, abs=2e-3)
