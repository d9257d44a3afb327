from __future__ import annotations

import json
import logging
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.pictures import easel, flux
from pipelines.pictures.easel import fit
from pipelines.pictures.painter import Painter
from pipelines.pictures.picture import open_picture, pixels_sha256, public_name, read_spec, write_png
from tests.fixtures_flux import MicroFlux
from workspace.errors import DataError, ServiceError, UsageError
from workspace.settings import PainterSettings


@pytest.fixture
def flux_painter(flux_folder: Path, home: Path) -> Painter:
    return Painter.load(PainterSettings(model=str(flux_folder), size=64, steps=2), home)


@pytest.fixture
def micro_painter(micro_flux: MicroFlux) -> Painter:
    return Painter.load(PainterSettings(model=str(micro_flux.folder)), micro_flux.home)


@pytest.fixture(params=["flux", "micro"])
def painter(request: pytest.FixtureRequest) -> Painter:
    found: Painter = request.getfixturevalue(f"{request.param}_painter")
    return found


def _count(monkeypatch: pytest.MonkeyPatch, module: Any) -> list[Any]:
    calls: list[Any] = []
    forward: Callable[..., Any] = module.forward

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls.append(args[0] if args else kwargs["input_ids"])
        return forward(*args, **kwargs)

    monkeypatch.setattr(module, "forward", counted)
    return calls


def test_the_same_spec_gives_the_same_pixels_and_another_seed_others(painter: Painter) -> None:
    one, two = painter.spec("leaf", "a leaf", seed=1), painter.spec("leaf", "a leaf", seed=2)
    [first], [again], [other] = painter.paint([one]), painter.paint([one]), painter.paint([two])
    assert first.size == (64, 64) and first.mode == "RGB"
    assert pixels_sha256(first) == pixels_sha256(again) != pixels_sha256(other)


def test_the_prompt_matters_and_so_does_each_form(painter: Painter) -> None:
    pairs = [("leaf", "a leaf"), ("comb", "a leaf"), ("leaf", "a comb of hexagons")]
    specs = [painter.spec(short, long, seed=1) for short, long in pairs]
    assert len({pixels_sha256(image) for image in painter.paint(specs)}) == 3


def test_pictures_painted_together_are_those_painted_alone(painter: Painter) -> None:
    specs = [
        painter.spec("leaf", "a leaf", seed=seed, size=size) for seed, size in [(1, 64), (2, 64), (3, 96), (4, 64)]
    ]
    together = painter.paint(specs)
    alone = [painter.paint([spec])[0] for spec in reversed(specs)][::-1]
    assert [pixels_sha256(image) for image in together] == [pixels_sha256(image) for image in alone]
    assert [image.size for image in together] == [(64, 64), (64, 64), (96, 96), (64, 64)]


def test_a_gpu_batch_keeps_order_and_seeds(micro_painter: Painter, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    specs = [micro_painter.spec(word, "a pattern", seed=seed) for word, seed in [("leaf", 1), ("comb", 2), ("silk", 3)]]
    alone = micro_painter.paint(specs)
    monkeypatch.setattr(easel.Easel, "on_cpu", False)
    together = micro_painter.paint(specs)
    for one, other in zip(alone, together, strict=True):
        assert np.abs(np.asarray(one, int) - np.asarray(other, int)).max() <= 2


def test_a_wide_picture(flux_painter: Painter) -> None:
    [image] = flux_painter.paint([flux_painter.spec("leaf", seed=1, size=(96, 64))])
    assert image.size == (96, 64)


def test_progress_is_counted_over_all_pictures(flux_painter: Painter) -> None:
    seen: list[tuple[int, int]] = []
    specs = [flux_painter.spec("leaf", seed=1), flux_painter.spec("leaf", seed=2, steps=3)]
    flux_painter.paint(specs, lambda done, total: seen.append((done, total)))
    assert seen == [(done, 5) for done in range(1, 6)]


def test_previews_foretell_a_picture_and_change_nothing(painter: Painter) -> None:
    import numpy as np

    specs = [painter.spec("leaf", seed=1, size=(96, 64)), painter.spec("comb", seed=2, size=(64, 64))]
    seen: list[tuple[int, np.ndarray]] = []
    bare = painter.paint(specs)
    shown = painter.paint(specs, on_preview=lambda number, image: seen.append((number, np.asarray(image, float))))
    assert [pixels_sha256(image) for image in shown] == [pixels_sha256(image) for image in bare]
    assert {number for number, _ in seen} == {0, 1}
    for number, image in enumerate(bare):
        whole = np.asarray(image, float)
        off = [np.abs(one - whole).mean() for place, one in seen if place == number and one.shape == whole.shape]
        assert off and off[-1] <= off[0]  # each is nearer to what comes


def test_a_prompt_is_encoded_once(flux_painter: Painter, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = flux_painter._easel().pipe
    clip, t5 = _count(monkeypatch, pipe.text_encoder), _count(monkeypatch, pipe.text_encoder_2)
    specs = [flux_painter.spec("once", "only once", seed=seed) for seed in range(3)]
    flux_painter.paint(specs)
    flux_painter.paint(specs[:1])
    assert (len(clip), len(t5)) == (1, 1)
    flux_painter.paint([flux_painter.spec("once", "and another", seed=1)])
    assert (len(clip), len(t5)) == (2, 2)


def test_short_goes_to_clip_and_long_to_t5(flux_painter: Painter, monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = flux_painter._easel().pipe
    clip, t5 = _count(monkeypatch, pipe.text_encoder), _count(monkeypatch, pipe.text_encoder_2)
    flux_painter.paint([flux_painter.spec("shortform", "long form", seed=1)])
    assert pipe.tokenizer.decode(clip[0][0], skip_special_tokens=True).strip() == "shortform"
    assert clip[0].shape == (1, 77)
    assert pipe.tokenizer_2.decode(t5[0][0], skip_special_tokens=True).strip() == "long form"
    assert t5[0].shape == (1, 512)


def test_a_prompt_past_77_tokens_is_cut_at_a_word_with_a_notice_and_no_warning(
    flux_painter: Painter, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("diffusers", "transformers"):
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)
    notices: list[str] = []
    short, long = "leaf vein " * 20, "the leaf vein " * 30
    with caplog.at_level(logging.WARNING):
        flux_painter.paint([flux_painter.spec(short, long, seed=1)], on_notice=notices.append)
        flux_painter.paint([flux_painter.spec(short, long, seed=2)], on_notice=notices.append)
    assert len(notices) == 1
    assert notices[0].startswith("the short prompt is longer than the 77 tokens its encoder reads; cut: ")
    assert [record.getMessage() for record in caplog.records] == []
    with caplog.at_level(logging.WARNING):
        flux_painter._easel().pipe.encode_prompt(short, long)  # what would be said of a cut that nobody chose
    assert any("truncated" in record.getMessage() for record in caplog.records)


def test_a_prompt_that_fits_gives_no_notice(flux_painter: Painter) -> None:
    notices: list[str] = []
    flux_painter.paint([flux_painter.spec("leaf veins", "word " * 60, seed=1)], on_notice=notices.append)
    assert notices == []


@settings(deadline=None, max_examples=150)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=300), limit=st.integers(8, 77))
@pytest.mark.parametrize("which", ["tokenizer", "tokenizer_2"])
def test_what_is_kept_always_fits(which: str, text: str, limit: int, flux_tokenizers: dict[str, Any]) -> None:
    tokenizer = flux_tokenizers[which]
    kept, left = fit(text, tokenizer, limit)
    assert text.startswith(kept) and text[len(kept) :].strip() == left
    assert len(tokenizer(kept, verbose=False)["input_ids"]) <= limit
    if len(tokenizer(text, verbose=False)["input_ids"]) <= limit:
        assert kept == text


@pytest.fixture(scope="module")
def flux_tokenizers(flux_folder: Path) -> dict[str, Any]:
    from transformers import CLIPTokenizer, T5TokenizerFast

    return {
        "tokenizer": CLIPTokenizer.from_pretrained(flux_folder / "tokenizer"),
        "tokenizer_2": T5TokenizerFast.from_pretrained(flux_folder / "tokenizer_2"),
    }


def test_a_cut_falls_between_words(flux_tokenizers: dict[str, Any]) -> None:
    assert fit("leaf veins of silk", flux_tokenizers["tokenizer"], 14) == ("leaf veins of", "silk")
    assert fit("leaf veins of silk", flux_tokenizers["tokenizer"], 12) == ("leaf veins", "of silk")
    assert fit("reticulatevenation", flux_tokenizers["tokenizer"], 8)[0] == "reticu"


def test_a_picture_can_be_painted_again_from_its_file(painter: Painter, tmp_path: Path) -> None:
    spec = painter.spec("leaf", "a leaf\nwith véins", seed=5)
    [image] = painter.paint([spec])
    write_png(tmp_path / "a.png", image, spec)
    [again] = painter.paint([read_spec(tmp_path / "a.png")])
    assert pixels_sha256(again) == pixels_sha256(open_picture(tmp_path / "a.png"))


def test_defaults_come_from_settings_then_the_card_then_the_kind(
    flux_folder: Path, micro_flux: MicroFlux, home: Path
) -> None:
    dev = Painter.load(PainterSettings(model=str(flux_folder)), home)
    assert (dev.defaults().size, dev.defaults().steps, dev.defaults().guidance) == (1024, 25, 3.5)
    assert dev.vocabulary() == {} and dev.trigger is None
    micro = Painter.load(PainterSettings(model=str(micro_flux.folder)), micro_flux.home)
    assert (micro.defaults().size, micro.defaults().steps, micro.defaults().true_cfg) == (64, 3, 3.0)
    assert micro.vocabulary()["palettes"] == ["green", "amber"]
    own = Painter.load(PainterSettings(model=str(flux_folder), size=128, steps=7, guidance=2), home)
    spec = own.spec("leaf", seed=1)
    assert (spec.width, spec.height, spec.steps, spec.guidance, spec.long_prompt) == (128, 128, 7, 2.0, "leaf")


def test_a_model_without_guidance_is_a_schnell(flux_folder: Path, home: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(flux_folder, tmp_path / "schnell")
    config = folder / "transformer" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"guidance_embeds": False}))
    defaults = Painter.load(PainterSettings(model=str(folder)), home).defaults()
    assert (defaults.steps, defaults.guidance, defaults.max_sequence_length) == (4, 0.0, 256)


@pytest.mark.parametrize(("change", "word"), [({"size": 100}, "100"), ({"seed": -1}, "seed"), ({"steps": 0}, "steps")])
def test_a_bad_request_is_refused(change: dict[str, Any], word: str, flux_painter: Painter) -> None:
    with pytest.raises(UsageError, match=word):
        flux_painter.spec("leaf", **{"seed": 1} | change)


def test_none_and_too_many_pictures_are_refused(flux_painter: Painter) -> None:
    for count in (0, 65):
        with pytest.raises(UsageError, match="outside 1 to 64"):
            flux_painter.paint([flux_painter.spec("leaf", seed=1)] * count)


def test_a_spec_of_another_model_is_refused(flux_painter: Painter, micro_painter: Painter) -> None:
    with pytest.raises(DataError, match="is specified for model"):
        micro_painter.paint([flux_painter.spec("leaf", seed=1)])


def test_a_missing_model_says_how_to_get_it(home: Path) -> None:
    with pytest.raises(ServiceError, match=r"studio models fetch flux\.1-dev"):
        Painter.load(PainterSettings(model="flux.1-dev"), home)
    with pytest.raises(UsageError, match="smollm2-135m-instruct"):
        Painter.load(PainterSettings(model="smollm2-135m-instruct"), home)
    with pytest.raises(UsageError, match="unknown"):
        Painter.load(PainterSettings(model="flux.1-def"), home)


def test_a_small_model_needs_its_text_encoder(micro_flux: MicroFlux, home: Path) -> None:
    with pytest.raises(ServiceError, match="studio models fetch all-minilm-l6-v2"):
        Painter.load(PainterSettings(model=str(micro_flux.folder)), home)


@pytest.mark.parametrize("part", ["transformer", "vae", "text_encoder_2"])
def test_truncated_weights_name_their_file(part: str, flux_folder: Path, home: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(flux_folder, tmp_path / "cut")
    [file] = (folder / part).glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(DataError, match=f"{part}/{file.name}"):
        Painter.load(PainterSettings(model=str(folder)), home)


def test_weights_cut_after_loading_began_name_their_file(flux_folder: Path, home: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(flux_folder, tmp_path / "cut")
    painter = Painter.load(PainterSettings(model=str(folder), size=64), home)
    spec = painter.spec("leaf", seed=1)
    [file] = (folder / "transformer").glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(DataError, match=file.name):
        painter.paint([spec])


@pytest.mark.parametrize("part", ["transformer", "vae", "text_encoder", "text_encoder_2"])
def test_missing_weights_are_no_random_weights(part: str, flux_folder: Path, home: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(flux_folder, tmp_path / "less")
    [file] = (folder / part).glob("*.safetensors")
    weights = load_file(file)
    dropped = sorted(name for name in weights if "weight" in name and "norm" not in name)[-1]
    save_file({name: tensor for name, tensor in weights.items() if name != dropped}, file, metadata={"format": "pt"})
    painter = Painter.load(PainterSettings(model=str(folder), size=64), home)
    with pytest.raises(DataError, match=part):
        painter.paint([painter.spec("leaf", seed=1)])


def test_folders_that_are_no_flux(flux_folder: Path, home: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(flux_folder, tmp_path / "half")
    shutil.rmtree(folder / "tokenizer_2")
    with pytest.raises(DataError, match="lacks tokenizer_2"):
        Painter.load(PainterSettings(model=str(folder)), home)
    (folder / "studio.json").write_text('{"size": 100, "steps": 4}')
    with pytest.raises(DataError, match=r"studio\.json: size"):
        Painter.load(PainterSettings(model=str(folder)), home)
    shutil.rmtree(folder / "vae")
    with pytest.raises(DataError, match=r"lacks vae/config\.json"):
        Painter.load(PainterSettings(model=str(folder)), home)


def test_a_part_of_another_class_is_refused(flux_folder: Path, home: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(flux_folder, tmp_path / "other")
    config = folder / "vae" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"_class_name": "os.system"}))
    painter = Painter.load(PainterSettings(model=str(folder), size=64), home)
    with pytest.raises(DataError, match="AutoencoderKL, AutoencoderTiny"):
        painter.paint([painter.spec("leaf", seed=1)])


@pytest.mark.parametrize("fault", [RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), MemoryError()])
def test_running_out_of_memory_says_what_helps(
    fault: BaseException, flux_painter: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise fault

    spec = flux_painter.spec("leaf", seed=1)
    before = pixels_sha256(flux_painter.paint([spec])[0])
    with monkeypatch.context() as patched:
        patched.setattr(flux_painter._easel().pipe.transformer, "forward", full)
        with pytest.raises(ServiceError, match=r"painting 1 of 64x64.*smaller size.*painter\.offload"):
            flux_painter.paint([spec])
    assert pixels_sha256(flux_painter.paint([spec])[0]) == before


def test_numbers_that_are_none_are_no_black_picture(flux_painter: Painter, monkeypatch: pytest.MonkeyPatch) -> None:
    vae = flux_painter._easel().pipe.vae
    decode = vae.decode

    def broken(*args: Any, **kwargs: Any) -> Any:
        return (decode(*args, **kwargs)[0] * float("nan"),)

    monkeypatch.setattr(vae, "decode", broken)
    with pytest.raises(DataError, match="numbers that are none"):
        flux_painter.paint([flux_painter.spec("leaf", seed=1)])


def test_a_stop_midway_leaves_the_painter_whole(flux_painter: Painter) -> None:
    spec = flux_painter.spec("leaf", seed=1)
    before = pixels_sha256(flux_painter.paint([spec])[0])

    def stop(done: int, _total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        flux_painter.paint([spec], stop)
    assert pixels_sha256(flux_painter.paint([spec])[0]) == before


def test_weights_are_read_once_and_shared_by_threads(
    micro_flux: MicroFlux, micro_painter: Painter, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.pictures import painter as module

    built: list[Path] = []

    def counted(folder: Path, *rest: Any) -> Any:
        built.append(folder)
        return flux.assemble(folder, *rest)

    module._EASELS.clear()
    monkeypatch.setattr(module, "assemble", counted)
    spec = micro_painter.spec("leaf", "a leaf", seed=1)
    found: list[str] = []

    def work() -> None:
        mine = Painter.load(PainterSettings(model=str(micro_flux.folder)), micro_flux.home)
        found.append(pixels_sha256(mine.paint([spec])[0]))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1 and len(found) == 4 and len(set(found)) == 1


def test_loading_reads_no_weights(flux_folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.pictures import painter as module

    monkeypatch.setattr(module, "assemble", lambda *_: pytest.fail("weights were read"))
    painter = Painter.load(PainterSettings(model=str(flux_folder)), home)
    assert len(painter.model_fingerprint) == 64


def test_devices_and_types(flux_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert flux.choose_dtype("auto", cpu, flux_folder) is torch.float32
    assert flux.choose_dtype("auto", cuda, flux_folder) is torch.bfloat16
    assert flux.choose_dtype("bfloat16", cpu, flux_folder) is torch.bfloat16
    monkeypatch.setattr(flux, "LARGE", 10)
    assert flux.choose_dtype("auto", cpu, flux_folder) is torch.bfloat16
    with pytest.raises(UsageError, match="choices: auto, bfloat16, float32"):
        flux.choose_dtype("float8", cpu, flux_folder)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert flux.choose_device("cpu") == cpu
    with pytest.raises(UsageError, match="'cuda' is not there"):
        flux.choose_device("cuda")
    with pytest.raises(UsageError, match="unknown device"):
        flux.choose_device("abacus")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert flux.choose_device("auto") == cuda
    with pytest.raises(UsageError, match="this machine has 1 CUDA"):
        flux.choose_device("cuda:3")


@pytest.mark.parametrize(
    ("device", "offload", "call"),
    [
        ("cpu", "none", "to"),
        ("cpu", "model", "to"),
        ("cuda", "none", "to"),
        ("cuda", "model", "enable_model_cpu_offload"),
        ("cuda", "sequential", "enable_sequential_cpu_offload"),
    ],
)
def test_offload_is_passed_on(device: str, offload: str, call: str) -> None:
    import torch

    calls: list[str] = []

    class Recorder:
        def __getattr__(self, name: str) -> Callable[..., None]:
            return lambda *_, **__: calls.append(name)

    flux.place(Recorder(), torch.device(device), offload)
    assert calls == [call]
    with pytest.raises(UsageError, match="choices: none, model, sequential"):
        flux.place(Recorder(), torch.device("cuda"), "somewhere")


def test_half_precision_paints(flux_folder: Path, home: Path) -> None:
    painter = Painter.load(PainterSettings(model=str(flux_folder), dtype="bfloat16", size=64, steps=2), home)
    spec = painter.spec("leaf", "a leaf", seed=1)
    assert pixels_sha256(painter.paint([spec])[0]) == pixels_sha256(painter.paint([spec])[0])


def test_nothing_is_said_that_nobody_can_act_on(
    micro_flux: MicroFlux,
    leaf_lora: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from pipelines.pictures import painter as module

    module._EASELS.clear()
    for name in ("diffusers", "transformers"):
        monkeypatch.setattr(logging.getLogger(name), "propagate", True)
    capfd.readouterr()
    with caplog.at_level(logging.WARNING):
        painter = Painter.load(PainterSettings(model=str(micro_flux.folder), adapter=str(leaf_lora)), micro_flux.home)
        painter.paint([painter.spec("leaf", "a leaf", seed=1)])
    assert [record.getMessage() for record in caplog.records] == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.embedded
def test_the_embedded_painter_paints_what_is_asked_twice_alike(embedded_home: Path) -> None:
    painter = Painter.load(PainterSettings(model="studio-micro-flux"), embedded_home)
    assert painter.vocabulary()
    specs = [painter.spec(text, seed=11) for text in ("honeycomb of hexagonal cells", "reticulate leaf veins")]
    first, again = painter.paint(specs), painter.paint(specs)
    assert [pixels_sha256(image) for image in first] == [pixels_sha256(image) for image in again]
    assert pixels_sha256(first[0]) != pixels_sha256(first[1])
    assert all(max(high - low for low, high in image.getextrema()) > 60 for image in first)  # no flat grey


def test_a_picture_names_no_folder_of_this_machine(micro_flux: MicroFlux, leaf_lora: Path, tmp_path: Path) -> None:
    painter = Painter.load(PainterSettings(model=str(micro_flux.folder), adapter=str(leaf_lora)), micro_flux.home)
    spec = painter.spec("leaf", seed=1)
    [image] = painter.paint([spec])
    write_png(tmp_path / "a.png", image, spec)
    for folder in (micro_flux.folder.parent, leaf_lora.parent):
        assert str(folder).encode() not in (tmp_path / "a.png").read_bytes()
    back = read_spec(tmp_path / "a.png")
    assert (back.model, back.model_fingerprint) == (micro_flux.folder.name, spec.model_fingerprint)
    assert (back.adapter, back.adapter_fingerprint) == (leaf_lora.name, spec.adapter_fingerprint)
    assert pixels_sha256(painter.paint([back])[0]) == pixels_sha256(image)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("flux.1-dev", "flux.1-dev"),
        ("org/flux", "org/flux"),
        ("/home/me/leaf.safetensors", "leaf.safetensors"),
        ("~/m", "m"),
        ("~nobody-at-all/tiny", "tiny"),
        ("/home/me/tiny/", "tiny"),
        ("/", "/"),
        ("//", "/"),
        ("n" * 400, "n" * 400),
        ("a\x00b", "a\x00b"),
    ],
)
def test_a_path_is_told_by_its_last_part(name: str, said: str) -> None:
    assert public_name(name) == said


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_noise_that_a_picture_began_with_is_drawn_again(flux_folder: Path, home: Path, dtype: str) -> None:
    import torch

    from pipelines.pictures.preview import noise

    painter = Painter.load(PainterSettings(model=str(flux_folder), size=64, steps=2, dtype=dtype), home)  # type: ignore[arg-type]
    seen: list[torch.Tensor] = []
    pipe = painter._easel().pipe
    begun = pipe.prepare_latents

    def kept(*args: Any, **kwargs: Any) -> Any:
        made = begun(*args, **kwargs)
        seen.append(made[0])
        return made

    pipe.prepare_latents = kept
    [image] = painter.paint([painter.spec("leaf", "a leaf", seed=5)])
    pipe.prepare_latents = begun
    told = image.info["noise"]
    assert (told["seeds"], told["dtype"], told["generator"]) == ([5], dtype, "torch cpu")
    drawn = torch.randn(
        told["shape"], generator=torch.Generator("cpu").manual_seed(told["seeds"][0]), dtype=getattr(torch, dtype)
    )
    packed = pipe._pack_latents(drawn, *told["shape"])
    assert torch.equal(packed, seen[-1].cpu())
    assert torch.equal(packed, noise(pipe, 64, 64, [5], packed).cpu())
