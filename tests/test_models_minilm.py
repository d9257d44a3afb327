"""The MiniLM encoder in both text places: padding changes nothing, pooling is the mean, faults are named."""

import json

import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizerFast

from models.encoders.minilm import load_minilm
from workspace.errors import DataError

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "spider", "silk", "leaf", "vein", "web", "gold", "##s"]


@pytest.fixture
def folder(tmp_path):
    """A tiny random BERT with a WordPiece tokenizer, laid out like the real thing."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=48,
        max_position_embeddings=64,
        pad_token_id=0,
    )
    BertModel(config).save_pretrained(tmp_path)
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizerFast(vocab={word: number for number, word in enumerate(WORDS)}).save_pretrained(tmp_path)
    return tmp_path


def ids(tokenizer, prompts, length):
    return tokenizer(prompts, padding="max_length", max_length=length, truncation=True, return_tensors="pt").input_ids


def test_padding_does_not_change_what_a_prompt_means(folder):
    encoder, tokenizer = load_minilm(folder)
    short, long = encoder(ids(tokenizer, ["spider silk"], 6)), encoder(ids(tokenizer, ["spider silk"], 24))
    assert torch.allclose(short[0][:, :4], long[0][:, :4], atol=1e-5)
    assert torch.allclose(short.pooler_output, long.pooler_output, atol=1e-5)


def test_states_at_padding_are_zero_and_the_pooled_vector_is_the_mean_of_the_rest(folder):
    encoder, tokenizer = load_minilm(folder)
    answer = encoder(ids(tokenizer, ["spider silk webs", "leaf"], 16), output_hidden_states=False)
    assert answer[0].shape == (2, 16, 32)
    assert answer[0][0, 6:].abs().max() == 0
    assert answer[0][0, :6].abs().min(dim=0).values.max() > 0
    assert torch.allclose(answer.pooler_output[1], answer[0][1, :3].mean(0), atol=1e-5)


def test_prompts_in_one_batch_do_not_touch_each_other(folder):
    encoder, tokenizer = load_minilm(folder)
    alone = encoder(ids(tokenizer, ["leaf veins"], 12))[0]
    beside = encoder(ids(tokenizer, ["leaf veins", "gold spider webs"], 12))[0]
    assert torch.allclose(alone[0], beside[0], atol=1e-5)
    assert not torch.allclose(beside[0], beside[1])


def test_the_encoder_is_frozen_typed_and_the_tokenizer_has_the_asked_length(folder):
    encoder, tokenizer = load_minilm(folder, torch.bfloat16, max_length=10)
    assert tokenizer.model_max_length == 10
    assert encoder.dtype == torch.bfloat16
    assert not encoder.training
    assert not any(weight.requires_grad for weight in encoder.parameters())


def test_a_missing_file_is_named(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(DataError, match=r"lacks model\.safetensors"):
        load_minilm(folder)


def test_the_weights_come_from_the_file(folder):
    encoder, _ = load_minilm(folder)
    config = BertConfig(**json.loads((folder / "config.json").read_text()))
    fresh = BertModel(config, add_pooling_layer=False)
    saved, random = encoder.embeddings.word_embeddings.weight, fresh.embeddings.word_embeddings.weight
    assert not torch.allclose(saved, random)
    assert torch.allclose(saved, BertModel.from_pretrained(folder).embeddings.word_embeddings.weight)


def test_a_painter_without_a_reader_is_read_by_the_mean(folder, tmp_path):
    assert load_minilm(folder, painter=tmp_path)[0].reader is None
