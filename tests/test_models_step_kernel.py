"""The compiled step: no digit depends on threads or neighbours; what is kept of it on disk may be lost or broken."""

from __future__ import annotations

import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import pytest
import torch
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM

from models.decoder.engine import Engine, Tape
from models.decoder.step import compiled
from models.decoder.step.crew import Crew
from models.decoder.step.room import Room
from models.decoder.step.stepper import Stepper, stepper_of

ROWS, READ = 7, 40


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def model(request: pytest.FixtureRequest) -> LlamaForCausalLM:
    torch.manual_seed(5)
    config = LlamaConfig(
        vocab_size=150,  # no whole number of blocks
        hidden_size=64,
        intermediate_size=112,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
    )
    return LlamaForCausalLM(config).to(request.param).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def stepper(model: LlamaForCausalLM) -> Stepper:
    found = stepper_of(model)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def read(model: LlamaForCausalLM) -> DynamicCache:
    """Several texts that were read."""
    cache = DynamicCache()
    torch.manual_seed(6)
    with torch.inference_mode():
        model(input_ids=torch.randint(0, 150, (ROWS, READ)), past_key_values=cache, use_cache=True)
    return cache


def _room(read: DynamicCache, rows: slice) -> Room:
    cache = DynamicCache()
    for number, layer in enumerate(read.layers):
        cache.update(layer.keys[rows].clone(), layer.values[rows].clone(), number)
    return Room(cache)


def _advance(stepper: Stepper, room: Room, tokens: list[int], number: int = 0) -> torch.Tensor:
    places = torch.full((len(tokens), 1), READ + number)
    counts = torch.ones(len(tokens), READ + number + 1, dtype=torch.bool)
    return stepper.advance(torch.tensor(tokens)[:, None], places, counts, room, None)[:, 0]


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_neither_threads_nor_neighbours_change_a_digit(stepper: Stepper, read: DynamicCache, threads: int) -> None:
    before = torch.get_num_threads()
    alone = [_room(read, slice(row, row + 1)) for row in range(ROWS)]
    together = _room(read, slice(ROWS))
    try:
        for number in range(12):
            torch.set_num_threads(1)
            tokens = [(31 * row + number) % 150 for row in range(ROWS)]
            each = torch.cat([_advance(stepper, room, [tokens[row]], number) for row, room in enumerate(alone)])
            torch.set_num_threads(threads)
            assert torch.equal(_advance(stepper, together, tokens, number), each)
    finally:
        torch.set_num_threads(before)


def test_tokens_read_at_once_are_those_read_one_by_one(stepper: Stepper, read: DynamicCache) -> None:
    tokens = [(7 * number + 3) % 150 for number in range(150)]
    one, several, begun = (_room(read, slice(2, 3)) for _ in range(3))
    each = [stepper.step(token, READ + number, one) for number, token in enumerate(tokens)]
    assert torch.equal(stepper.follow(tokens, READ, several), each[-1])
    stepper.follow(tokens[:97], READ, begun)
    assert torch.equal(stepper.follow(tokens[97:], READ + 97, begun), each[-1])
    for ours, theirs in zip(several.cache.layers, one.cache.layers, strict=True):
        assert torch.equal(ours.keys, theirs.keys) and torch.equal(ours.values, theirs.values)


def test_texts_of_any_length_are_begun_at_once(stepper: Stepper) -> None:
    texts = [[5], [9, 8, 7, 6, 5, 4], [40, 41, 42]]
    width = max(map(len, texts))
    counts = torch.tensor([[False] * (width - len(text)) + [True] * len(text) for text in texts])
    tokens = torch.tensor([[0] * (width - len(text)) + text for text in texts])
    places = (counts.cumsum(-1) - 1).clamp(min=0)

    def empty(texts: int) -> Room:
        cache = DynamicCache()
        stepper.lay_out(cache, texts)
        return Room(cache)

    for last in (True, False):
        found = stepper.advance(tokens, places, counts, empty(3), None, last=last)
        for row, text in enumerate(texts):
            alone = empty(1)
            each = torch.stack([stepper.step(token, place, alone) for place, token in enumerate(text)])
            assert torch.equal(
                found[row, -1:] if last else found[row, width - len(text) :], each[-1:] if last else each
            )
        assert last or not found[0, :-1].any()  # what is not there says nothing


def test_several_who_ask_at_once_do_not_mix(stepper: Stepper, read: DynamicCache) -> None:
    def write(row: int) -> list[torch.Tensor]:
        room = _room(read, slice(row, row + 1))
        return [stepper.step((row + number) % 150, READ + number, room) for number in range(60)]

    expected = [write(row) for row in range(ROWS)]
    with ThreadPoolExecutor(ROWS) as pool:
        for ours, theirs in zip(pool.map(write, range(ROWS)), expected, strict=True):
            assert torch.equal(torch.stack(ours), torch.stack(theirs))


def test_what_is_kept_on_disk_is_whole_and_may_be_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    compiled._make("float32")
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert kept
    code = b"".join(path.read_bytes().partition(b"BC\xc0\xde")[0] for path in kept)  # before what LLVM may link again
    parts = {name.decode() for name in re.findall(rb"\0_?_ZN6models7decoder4step\d+[a-z]+\d+(\w+?)B\d+v\d+B", code)}
    assert not {name for name in parts if not name.startswith("run_")}, "what is called may be another process's part"
    for path in kept:
        path.write_bytes(b"no machine code")
    assert callable(compiled._make("float32"))


def test_a_machine_that_lets_no_code_be_made_writes_all_the_same(
    word_llama: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(kind: str) -> None:
        raise OSError("Permission denied: memory that is written and run")

    monkeypatch.setattr(compiled, "_make", refuse)
    monkeypatch.setattr(compiled, "_made", {})
    engine = Engine.load(word_llama, device="cpu")
    assert engine.stepper is None
    assert "texts are written slower: Permission denied" in caplog.text
    tape = Tape(engine)
    tape.read([5, 6])
    assert tape.read([7]).isfinite().all()


def test_helpers_help_and_are_made_anew_in_a_forked_process() -> None:
    crew = Crew(3)

    def helped() -> bool:
        names: set[str] = set()
        all_here = threading.Barrier(3)

        def work() -> None:
            names.add(threading.current_thread().name)
            all_here.wait(timeout=30)

        crew.run(work)
        return "studio-step" in names

    assert helped()
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if helped() else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_helper_that_is_late_is_not_waited_for() -> None:
    crew, busy, done = Crew(2), threading.Event(), threading.Event()
    main = threading.get_ident()
    crew.run(lambda: None if threading.get_ident() == main else (busy.set(), done.wait(30)))
    assert busy.wait(30)
    crew.run(lambda: None)  # the helper still stands at the first
    done.set()


def test_who_is_stopped_leaves_when_helpers_are_done() -> None:
    crew, main, begun, runs = Crew(2), threading.get_ident(), threading.Event(), []

    def work() -> None:
        if threading.get_ident() != main:
            begun.set()
            return
        assert begun.wait(30)
        runs.append(1)
        if len(runs) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crew.run(work)
    assert len(runs) == 2
    crew.run(lambda: runs.append(1))
    assert len(runs) >= 3


def test_where_no_thread_is_to_be_had_one_works_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    done: list[int] = []
    Crew(4).run(lambda: done.append(1))
    assert done == [1]
