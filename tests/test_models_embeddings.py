"""Sentence embeddings are unit vectors that do not depend on their neighbours, and near in meaning is near in space."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.catalogue.fetch import locate
from models.encoders.embeddings import Embedder

WORDS = ["spider", "silk", "collagen", "leaf", "vein", "nacre", "brick", "tough", "tax", "return", "due", "in", "april"]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    vocabulary = {word: index for index, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = BertConfig(vocab_size=len(vocabulary), pad_token_id=0, max_position_embeddings=512, **sizes)
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return Embedder(folder)


def test_rows_are_unit_float32_in_the_order_given(tiny: Embedder) -> None:
    texts = [" ".join(WORDS[: 1 + n % 7]) for n in range(70)]
    rows = tiny.encode(texts)
    assert rows.shape == (70, 16) and rows.dtype == np.float32
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    for index in (0, 6, 33, 69):
        assert np.allclose(rows[index], tiny.encode([texts[index]])[0], atol=1e-5)


def test_nothing_an_empty_text_and_a_very_long_one(tiny: Embedder) -> None:
    assert tiny.encode([]).shape == (0, 16)
    assert np.isfinite(tiny.encode(["", "silk " * 5000])).all()


@pytest.mark.embedded
def test_near_in_meaning_is_near_in_space(embedded_home: Path) -> None:
    embedder = Embedder(locate("all-minilm-l6-v2", embedded_home, kind="embedding"))
    rows = embedder.encode(
        [
            "spider silk is a tough protein fibre",
            "the dragline thread of an orb-weaving spider resists fracture",
            "collagen fibrils reinforce tendon",
            "quarterly tax returns are due in April",
        ]
    )
    assert rows.shape == (4, 384)
    close = rows @ rows[0]
    assert close[1] > close[2] > close[3] and close[1] > 0.5 and close[3] < 0.1
