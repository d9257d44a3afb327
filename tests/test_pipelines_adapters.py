from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipelines.pictures.adapters import find_adapter, put_on, set_scale, take_off
from pipelines.pictures.painter import Painter
from tests.fixtures_flux import PUBLISHED, MicroFlux
from workspace.errors import DataError, ServiceError, UsageError
from workspace.settings import PainterSettings


def _painter(folder: Path, home: Path, adapter: Path | None = None, scale: float = 1.0) -> Painter:
    settings = PainterSettings(
        model=str(folder), adapter=str(adapter) if adapter else None, adapter_scale=scale, size=64, steps=2
    )
    return Painter.load(settings, home)


def _pixels(painter: Painter) -> bytes:
    [image] = painter.paint([painter.spec("leaf", "a leaf with fine veins", seed=3)])
    return image.tobytes()


@pytest.mark.parametrize("model", ["flux", "micro"])
def test_scale_zero_is_the_bare_model_and_scale_one_is_not(
    model: str, flux_folder: Path, micro_flux: MicroFlux, leaf_lora: Path, home: Path
) -> None:
    folder, home = (flux_folder, home) if model == "flux" else (micro_flux.folder, micro_flux.home)
    bare = _pixels(_painter(folder, home))
    full = _pixels(_painter(folder, home, leaf_lora))
    assert full != bare
    assert _pixels(_painter(folder, home, leaf_lora, scale=0.0)) == bare
    assert _pixels(_painter(folder, home, leaf_lora, scale=0.5)) not in (bare, full)
    assert _pixels(_painter(folder, home, leaf_lora)) == full
    assert _pixels(_painter(folder, home)) == bare


def test_every_published_layer_is_reached(flux_folder: Path, leaf_lora: Path, home: Path) -> None:
    painter = _painter(flux_folder, home)
    pipe = painter._easel().pipe
    try:
        assert put_on(pipe, find_adapter(str(leaf_lora), home)) == len(PUBLISHED)
    finally:
        take_off(pipe)
    assert not getattr(pipe.transformer, "peft_config", None)


def test_kohya_and_comfyui_keys_are_converted(flux_folder: Path, kohya_lora: Path, home: Path) -> None:
    bare = _pixels(_painter(flux_folder, home))
    painter = _painter(flux_folder, home, kohya_lora)
    assert painter.trigger == "wovenleaf"
    assert _pixels(painter) != bare


def test_one_painter_changes_adapters_and_each_picture_keeps_its_own(
    flux_folder: Path, leaf_lora: Path, kohya_lora: Path, home: Path
) -> None:
    painter, specs = _painter(flux_folder, home), []
    for adapter in (None, leaf_lora, kohya_lora, leaf_lora, None):
        painter.set_adapter(str(adapter) if adapter else None)
        specs.append(painter.spec("leaf", "a leaf with fine veins", seed=3))
    bare, leaf, kohya, leaf_again, bare_again = (image.tobytes() for image in painter.paint(specs))
    assert len({bare, leaf, kohya}) == 3
    assert (leaf_again, bare_again) == (leaf, bare)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("unet", "changes no layer of this model: none of its 2 keys match"),
        ("sdxl", "is no LoRA for FLUX"),
        ("far", "the model has no layer transformer_blocks.7.attn.to_q"),
        ("wide", "transformer_blocks.0.attn.to_q is 32 wide, the adapter 96"),
    ],
)
def test_an_adapter_for_another_model_is_refused(
    name: str, words: str, foreign_loras: dict[str, Path], flux_folder: Path, home: Path
) -> None:
    with pytest.raises(DataError, match=words) as caught:
        _painter(flux_folder, home, foreign_loras[name])
    assert "\n" not in str(caught.value) and caught.value.hint
    painter = _painter(flux_folder, home)
    before = _pixels(painter)
    with pytest.raises(DataError, match=words):
        put_on(painter._easel().pipe, find_adapter(str(foreign_loras[name]), home))
    assert _pixels(painter) == before


def test_a_damaged_adapter_is_refused(kohya_lora: Path, flux_folder: Path, home: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(kohya_lora.read_bytes()[:-20])
    pickled = tmp_path / "pickled.safetensors"
    pickled.write_bytes(b"\x80\x04\x95" + b"\x00" * 64)
    for file in (cut, pickled):
        with pytest.raises(DataError, match=file.name):
            _painter(flux_folder, home, file)


def test_a_spec_of_another_version_of_its_adapter_is_refused(
    flux_folder: Path, leaf_lora: Path, kohya_lora: Path, home: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.safetensors"
    shutil.copy(leaf_lora / "pytorch_lora_weights.safetensors", mine)
    painter = _painter(flux_folder, home, mine)
    spec = painter.spec("leaf", seed=1)
    shutil.copy(kohya_lora, mine)
    painter.set_adapter(str(mine))
    painter.paint([painter.spec("leaf", seed=1)])
    with pytest.raises(DataError, match="another version of adapter"):
        painter.paint([spec])


def test_names_that_are_no_adapter(flux_folder: Path, home: Path, leaf_lora: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"flux\.1-dev"):
        find_adapter("flux.1-dev", home)
    with pytest.raises(UsageError, match="leaf-flux-lora"):
        find_adapter("leaf-flux-loar", home)
    with pytest.raises(ServiceError, match="studio models fetch leaf-flux-lora"):
        find_adapter("leaf-flux-lora", home)
    several = tmp_path / "several"
    several.mkdir()
    (several / "adapter_config.json").write_text(json.dumps({}))
    for name in ("a", "b"):
        shutil.copy(leaf_lora / "pytorch_lora_weights.safetensors", several / f"{name}.safetensors")
    with pytest.raises(UsageError, match=r"name one file: a\.safetensors, b\.safetensors"):
        find_adapter(str(several), home)


def test_the_catalogue_names_the_trigger(leaf_lora: Path, home: Path) -> None:
    shutil.copytree(leaf_lora, home / "models" / "leaf-flux-lora")
    adapter = find_adapter("leaf-flux-lora", home)
    assert adapter.trigger == "<leaf microstructure>"
    assert adapter.fingerprint == find_adapter(str(leaf_lora), home).fingerprint


def test_scale_without_an_adapter_does_nothing(flux_folder: Path, home: Path) -> None:
    painter = _painter(flux_folder, home)
    before = _pixels(painter)
    set_scale(painter._easel().pipe, None, 1.0)
    assert _pixels(painter) == before


def _file(weights: dict[str, Any], file: Path) -> Path:
    from safetensors.torch import save_file

    save_file({name: value.contiguous() for name, value in weights.items()}, file, metadata={"format": "pt"})
    return file


def _kohya(kohya_lora: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(kohya_lora)


_PARTLY = "is no LoRA for FLUX|would be put on without"
STEM = "lora_unet_double_blocks_0_img_attn_proj"


@pytest.mark.parametrize(
    ("key", "shape", "words"),
    [
        (f"{STEM}.dora_scale", (32, 1), "DoRA in kohya's form"),
        (f"{STEM}.diff_b", (32,), "whole differences of weights"),
        ("lora_te2_encoder_block_0_layer_0_SelfAttention_q.lora_down.weight", (4, 32), "weights for T5"),
        ("bundle_emb.word.t5_out", (2, 32), "trained embeddings"),
        ("lora_unet_double_blocks_0_img_attn_proj.hada_w1_a", (32, 4), "a LoHa"),
        (
            "lora_unet_double_blocks_9_img_attn_proj.lora_up.weight",
            (32, 4),
            _PARTLY,
        ),
        ("lora_unet_final_layer_linear.strange", (4,), _PARTLY),
    ],
)
def test_an_adapter_is_applied_whole_or_refused_with_what_is_left_out(
    key: str, shape: tuple[int, ...], words: str, kohya_lora: Path, flux_folder: Path, home: Path, tmp_path: Path
) -> None:
    import torch

    file = _file({**_kohya(kohya_lora), key: torch.ones(shape)}, tmp_path / "more.safetensors")
    with pytest.raises(DataError, match=words) as caught:
        _painter(flux_folder, home, file)
    assert "\n" not in str(caught.value)


def test_an_adapter_of_another_width_is_one_line_at_the_start(
    kohya_lora: Path, flux_folder: Path, home: Path, tmp_path: Path
) -> None:
    import torch

    stem = "lora_unet_single_blocks_0_linear1"
    wide = {f"{stem}.lora_down.weight": torch.ones(4, 64), f"{stem}.lora_up.weight": torch.ones(448, 4)}
    with pytest.raises(DataError, match=r"adapter .* (is no LoRA for FLUX|does not fit this model)") as caught:
        _painter(flux_folder, home, _file(wide, tmp_path / "wide.safetensors"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("alpha", [float("nan"), -4.0, 0.0])
def test_an_alpha_that_is_no_weight_is_refused(
    alpha: float, kohya_lora: Path, flux_folder: Path, home: Path, tmp_path: Path
) -> None:
    import torch

    weights = {**_kohya(kohya_lora), f"{STEM}.alpha": torch.tensor(alpha)}
    with pytest.raises(DataError, match="alpha must be one number above 0"):
        _painter(flux_folder, home, _file(weights, tmp_path / "alpha.safetensors"))


def test_weights_of_eight_bits_are_widened_and_applied(
    kohya_lora: Path, flux_folder: Path, home: Path, tmp_path: Path
) -> None:
    import torch

    weights = _kohya(kohya_lora)
    small = {name: one.to(torch.float8_e4m3fn) if one.ndim == 2 else one for name, one in weights.items()}
    wide = {name: one.to(torch.bfloat16) if one.ndim == 2 else one for name, one in small.items()}
    bare = _pixels(_painter(flux_folder, home))
    found = _pixels(_painter(flux_folder, home, _file(small, tmp_path / "small.safetensors")))
    assert found != bare
    assert found == _pixels(_painter(flux_folder, home, _file(wide, tmp_path / "wide.safetensors")))


def test_weights_as_peft_holds_them_in_memory_are_refused(
    leaf_lora: Path, flux_folder: Path, home: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    weights = load_file(leaf_lora / "pytorch_lora_weights.safetensors")
    raw = {name.replace(".weight", ".default.weight"): one for name, one in weights.items()}
    with pytest.raises(DataError, match="peft's weights as they stand in memory"):
        _painter(flux_folder, home, _file(raw, tmp_path / "raw.safetensors"))


@pytest.mark.parametrize("layer", [0, 7])
def test_weights_for_clip_fit_a_model_with_clip_only(
    layer: int, kohya_lora: Path, flux_folder: Path, micro_flux: MicroFlux, home: Path, tmp_path: Path
) -> None:
    import torch

    weights = _kohya(kohya_lora)
    for part in ("q", "k", "v", "out"):
        stem = f"lora_te1_text_model_encoder_layers_{layer}_self_attn_{part}_proj"
        weights |= {f"{stem}.lora_down.weight": torch.randn(4, 32), f"{stem}.lora_up.weight": torch.randn(32, 4)}
    file = _file(weights, tmp_path / "clip.safetensors")
    if layer == 0:
        assert _pixels(_painter(flux_folder, home, file)) != _pixels(_painter(flux_folder, home, kohya_lora))
    else:
        with pytest.raises(DataError, match="the model has no layer"):
            _painter(flux_folder, home, file)
    with pytest.raises(DataError, match="the model has no layer"):
        _painter(micro_flux.folder, micro_flux.home, file)


def _noted(leaf_lora: Path, file: Path, **fields: Any) -> Path:
    """The published adapter with diffusers' own metadata in it."""
    from safetensors.torch import load_file, save_file

    weights = load_file(leaf_lora / "pytorch_lora_weights.safetensors")
    layers = sorted({key.removeprefix("transformer.").rpartition(".lora_")[0] for key in weights})
    said = {"r": 4, "lora_alpha": 4, "target_modules": layers} | fields
    notes = {"lora_adapter_metadata": json.dumps({f"transformer.{key}": value for key, value in said.items()})}
    save_file(weights, file, metadata=notes)
    return file


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("megatron_config", {"a": 1}),
        ("init_lora_weights", "pissa"),
        ("use_dora", True),
        ("bias", "all"),
        ("layer_replication", [[0, 1]] * 9),
        ("alora_invocation_tokens", [1]),
        ("modules_to_save", ["proj_out"]),
        ("fan_in_fan_out", True),
        ("lora_alpha", float("nan")),
        ("lora_alpha", 1e30),
        ("lora_alpha", 0),
        ("lora_alpha", "8"),
        ("alpha_pattern", {"to_q": float("inf")}),
        ("r", "4"),
        ("r", 8),
        ("target_modules", "([a-z._0-9]+)+!"),
        ("target_modules", "[a-z._0-9]*" * 9 + "!"),
        ("rank_pattern", {"([a-z]{1,99}){1,99}!": 4}),
        ("odd", 1),
    ],
)
def test_metadata_that_asks_for_another_kind_of_adapter_is_refused(
    field: str, value: Any, leaf_lora: Path, flux_folder: Path, home: Path, tmp_path: Path
) -> None:
    file = _noted(leaf_lora, tmp_path / "noted.safetensors", **{field: value})
    with pytest.raises(DataError) as caught:
        _pixels(_painter(flux_folder, home, file))
    assert "\n" not in str(caught.value)
    again = _painter(flux_folder, home, leaf_lora)  # nothing of it is left in the pipeline
    assert put_on(again._easel().pipe, find_adapter(str(leaf_lora), home)) == len(PUBLISHED)
    take_off(again._easel().pipe)


@pytest.mark.parametrize("notes", ["[1]", "5", "{", "[" * 100_000])
def test_metadata_that_is_no_table_is_refused(
    notes: str, leaf_lora: Path, flux_folder: Path, home: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    file = tmp_path / "noted.safetensors"
    weights = load_file(leaf_lora / "pytorch_lora_weights.safetensors")
    save_file(weights, file, metadata={"lora_adapter_metadata": notes})
    with pytest.raises(DataError, match="no JSON object"):
        _painter(flux_folder, home, file)


def test_an_alpha_in_the_metadata_counts(leaf_lora: Path, flux_folder: Path, home: Path, tmp_path: Path) -> None:
    plain = _pixels(_painter(flux_folder, home, leaf_lora))
    usual = _noted(leaf_lora, tmp_path / "usual.safetensors")
    double = _noted(leaf_lora, tmp_path / "double.safetensors", lora_alpha=8)
    assert _pixels(_painter(flux_folder, home, usual)) == plain
    assert _pixels(_painter(flux_folder, home, double)) == _pixels(_painter(flux_folder, home, leaf_lora, scale=2.0))


@pytest.mark.parametrize("number", [float("nan"), float("inf"), None])
def test_weights_that_are_no_numbers_are_refused(
    number: float | None, leaf_lora: Path, flux_folder: Path, home: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    weights = load_file(leaf_lora / "pytorch_lora_weights.safetensors")
    key = next(name for name in weights if ".lora_A." in name)
    if number is None:  # of rank 0
        weights[key], other = weights[key][:0], key.replace("lora_A", "lora_B")
        weights[other] = weights[other][:, :0]
    else:
        weights[key][0, 1] = number
    with pytest.raises(DataError, match="holds what is no number"):
        _painter(flux_folder, home, _file(weights, tmp_path / "bad.safetensors"))


def test_keys_are_shown_without_what_a_terminal_would_obey(
    leaf_lora: Path, flux_folder: Path, home: Path, tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import load_file

    weights = load_file(leaf_lora / "pytorch_lora_weights.safetensors")
    file = _file({**weights, "\x1b[31mx\n.lora_A.weight": torch.ones(4, 4)}, tmp_path / "odd.safetensors")
    with pytest.raises(DataError, match=r"would be put on without 1 of its keys: \\x1b\[31mx\\n") as caught:
        _painter(flux_folder, home, file)
    assert str(caught.value).isprintable()
