"""A tokenizer as GGUF holds one: words, their kinds, merges or scores, special tokens, chat template.

What counts is how transformers splits a text, whatever file it read that from. Byte-level BPE whose splitting llama.cpp
knows by a name is written, and the BPE of SentencePiece; anything else is refused, for llama.cpp would split texts
otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.catalogue.folders import read_json
from workspace.errors import DataError, reading

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
"""Kinds of words, as llama.cpp counts them."""

_LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_QWEN2 = _LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
_BYTES = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}
_SPLIT_BYTES = {**_BYTES, "use_regex": True}
_DIGITS = {"type": "Digits", "individual_digits": True}


def _split(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


_PRE: tuple[tuple[str, list[dict[str, Any]], bool], ...] = (
    ("gpt-2", [_SPLIT_BYTES], False),
    ("smollm", [_DIGITS, _SPLIT_BYTES], False),
    ("llama-bpe", [_split(_LLAMA3), _BYTES], True),
    ("dbrx", [_split(_LLAMA3), _BYTES], False),
    ("qwen2", [_split(_QWEN2), _BYTES], False),
)
"""llama.cpp's name, how a text is split before anything is merged, and whether whole words are looked up first."""

_SPACE = "\u2581"
_PREPEND = {"type": "Prepend", "prepend": _SPACE}
_REPLACE = {"type": "Replace", "pattern": {"String": " "}, "content": _SPACE}
_METASPACE = {"type": "Metaspace", "replacement": _SPACE, "split": False}


@dataclass(frozen=True)
class Merging:
    """How llama.cpp makes words of a text.

    Attributes:
        model: ``gpt2`` for byte-level BPE, ``llama`` for SentencePiece's.
        pre: llama.cpp's name for how a text is split before, of byte-level BPE.
        merges: Of byte-level BPE, first come first.
        scores: Of SentencePiece, by id; higher ones are merged first.
        prefixed: Of SentencePiece, whether a text is given a space in front.
        remark: What transformers does otherwise; empty where nothing.
    """

    model: str
    pre: str = "default"
    merges: Sequence[str] = ()
    scores: Sequence[float] = ()
    prefixed: bool = False
    remark: str = ""


@dataclass(frozen=True)
class Vocabulary:
    """What a GGUF file says of a tokenizer.

    Attributes:
        merging: How words are made of a text.
        words: Every token's text, by id.
        kinds: Every token's kind, by id.
        special: Ids by the names bos, eos, eot, eom, unk and pad.
        adds_bos: Whether a text is given the token bos in front.
        adds_eos: Whether a text is given the token eos at its end.
        template: The chat template, if there is one.
        remarks: What llama.cpp does otherwise than transformers, for a person.
    """

    merging: Merging
    words: Sequence[str]
    kinds: Sequence[int]
    special: Mapping[str, int]
    adds_bos: bool
    adds_eos: bool
    template: str | None
    remarks: tuple[str, ...]

    def write(self, writer: Any) -> None:
        """Put it into a writer of the gguf package."""
        writer.add_tokenizer_model(self.merging.model)
        writer.add_tokenizer_pre(self.merging.pre)
        writer.add_token_list(self.words)
        writer.add_token_types(self.kinds)
        writer.add_token_merges(self.merging.merges)
        writer.add_token_scores(self.merging.scores)
        if self.merging.model == "llama":
            writer.add_add_space_prefix(self.merging.prefixed)
        for name, number in self.special.items():
            getattr(writer, f"add_{name}_token_id")(number)
        writer.add_add_bos_token(self.adds_bos)
        writer.add_add_eos_token(self.adds_eos)
        if self.template is not None:
            writer.add_chat_template(self.template)


def vocabulary_of(folder: Path, rows: int) -> Vocabulary:
    """Read a model folder's tokenizer.

    Args:
        folder: The model folder.
        rows: Of its embeddings; ids that the tokenizer does not use are filled up to them.

    Raises:
        DataError: llama.cpp would split texts otherwise than this tokenizer does; the line says why.
    """
    from transformers import AutoTokenizer

    name = folder.name
    with reading(f"the tokenizer in {folder}"):
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        backend = getattr(tokenizer, "backend_tokenizer", None)
        data = None if backend is None else json.loads(backend.to_str())
        template = tokenizer.chat_template
        bare, whole = tokenizer.encode("a", add_special_tokens=False), tokenizer.encode("a")
    if data is None or data["model"].get("type") != "BPE":
        kind = type(tokenizer).__name__ if data is None else data["model"].get("type")
        raise DataError(
            f"the tokenizer of {name} is of type {kind}; as GGUF are written: BPE of bytes, SentencePiece BPE"
        )
    words, kinds = _words(data, rows, name)
    merging = (_sentencepiece if data["model"].get("byte_fallback") else _byte_level)(data, words, kinds, name)
    special, further = _special(tokenizer, _ends(folder), rows)
    front = next((at for at in range(len(whole)) if whole[at : at + len(bare)] == bare), len(whole))
    before, after = whole[:front], whole[front + len(bare) :]
    for added, key in ((before, "bos"), (after, "eos")):
        if added and added != [special.get(key)]:
            raise DataError(f"the tokenizer of {name} puts {added} around every text; only its {key} can be written")
    remarks = [f"{name}: {merging.remark}"] if merging.remark else []
    if further:
        remarks.append(f"{name}: llama.cpp is told three tokens that end an answer; {further} are further ones")
    if isinstance(template, dict):
        template = template.get("default")
    return Vocabulary(merging, words, kinds, special, bool(before), bool(after), template, tuple(remarks))


def _ends(folder: Path) -> list[int]:
    """The ids that end an answer, as the configurations have them."""
    found: list[int] = []
    for file in (folder / "generation_config.json", folder / "config.json"):
        said = read_json(file) if file.is_file() else {}
        ids = said.get("eos_token_id") if isinstance(said, dict) else None
        found += ids if isinstance(ids, list) else [] if ids is None else [ids]
    return found


def _special(tokenizer: Any, ends: list[int], rows: int) -> tuple[dict[str, int], list[int]]:
    """Special ids by GGUF's names, and the ends of an answer beyond the three that it has names for."""

    def sound(number: object) -> bool:
        return type(number) is int and 0 <= number < rows

    known = [end for end in dict.fromkeys([tokenizer.eos_token_id, *ends]) if sound(end)]
    named = {"bos": tokenizer.bos_token_id, "unk": tokenizer.unk_token_id, "pad": tokenizer.pad_token_id}
    named |= dict(zip(("eos", "eot", "eom"), known, strict=False))
    return {key: number for key, number in named.items() if sound(number)}, known[3:]


def _words(data: Mapping[str, Any], rows: int, name: str) -> tuple[list[str], list[int]]:
    """Every token's text and kind, by id."""
    ids: dict[str, int] = dict(data["model"]["vocab"])
    fallback = data["model"].get("byte_fallback")
    kinds = {ids[word]: BYTE for word in _byte_words() if fallback and word in ids}
    if fallback and data["model"].get("unk_token") in ids:
        kinds[ids[data["model"]["unk_token"]]] = UNKNOWN
    for token in data.get("added_tokens") or ():
        word, number = token["content"], token["id"]
        if ids.setdefault(word, number) != number:
            raise DataError(f"the tokenizer of {name} has two ids for {word!r}")
        if any(token.get(flag) for flag in ("lstrip", "rstrip", "single_word")):
            raise DataError(f"the tokenizer of {name} takes the spaces or the words around {word!r} into account")
        kinds.setdefault(number, CONTROL if token.get("special") else USER_DEFINED)
    by_id = {number: word for word, number in ids.items()}
    if len(by_id) != len(ids) or not by_id or min(by_id) < 0:
        raise DataError(f"the tokenizer of {name} has two words for an id")
    if max(by_id) >= rows:
        raise DataError(f"the tokenizer of {name} has the id {max(by_id)}; the model has {rows} words")
    for number in range(rows):
        if number not in by_id:
            by_id[number], kinds[number] = f"[PAD{number}]", UNUSED
    words = [by_id[number] for number in range(rows)]
    if len(set(words)) != rows:
        raise DataError(f"the tokenizer of {name} has words that look like unused ones, such as [PAD0]")
    return words, [kinds.get(number, NORMAL) for number in range(rows)]


def _byte_words() -> list[str]:
    return [f"<0x{byte:02X}>" for byte in range(256)]


def _steps(part: Mapping[str, Any] | None, inside: str) -> list[dict[str, Any]]:
    """The steps of a normalizer or pre-tokenizer; what says nothing of how a text is split is left out."""
    steps = [] if part is None else part[inside] if part["type"] == "Sequence" else [part]
    return [{key: value for key, value in step.items() if key != "trim_offsets"} for step in steps]


def _byte_level(data: Mapping[str, Any], words: Sequence[str], kinds: Sequence[int], name: str) -> Merging:
    from tokenizers.pre_tokenizers import ByteLevel

    model = data["model"]
    steps = _steps(data.get("pre_tokenizer"), "pretokenizers")
    normal = _steps(data.get("normalizer"), "normalizers")
    whole = bool(model.get("ignore_merges"))
    pre = next((named for named, splitting, looked_up in _PRE if (splitting, looked_up) == (steps, whole)), None)
    odd = [key for key in ("dropout", "continuing_subword_prefix", "end_of_word_suffix") if model.get(key)]
    if pre is None or odd or normal not in ([], [{"type": "NFC"}]):
        raise DataError(
            f"the tokenizer of {name} splits texts in a way that llama.cpp has no name for",
            hint=f"it has names for: {', '.join(named for named, _, _ in _PRE)}, and SentencePiece",
        )
    alphabet = set(ByteLevel.alphabet())
    merges = [" ".join(pair) for pair in model["merges"]]
    plain = [word for word, kind in zip(words, kinds, strict=True) if kind == NORMAL]
    strange = [word for word in plain if set(word) - alphabet] + [pair for pair in merges if pair.count(" ") != 1]
    if strange:
        raise DataError(f"the tokenizer of {name} has {strange[0][:60]!r}, which is not spelt in bytes")
    remark = "llama.cpp leaves letters and their accents apart (no NFC) where a text has them apart" if normal else ""
    return Merging("gpt2", pre, merges=merges, remark=remark)


def _sentencepiece(data: Mapping[str, Any], words: Sequence[str], kinds: Sequence[int], name: str) -> Merging:
    prefixed, remark = _prefix(data, name)
    ids = {word: number for number, word in enumerate(words)}
    if any(word not in ids for word in _byte_words()):
        raise DataError(f"the tokenizer of {name} lacks words for single bytes")
    pairs = [(left, right) for left, right in data["model"]["merges"]]
    ranks: dict[str, list[int]] = {}
    for rank, pair in enumerate(pairs):
        ranks.setdefault("".join(pair), []).append(rank)
    known = set(pairs)
    plain = {word for word, kind in zip(words, kinds, strict=True) if kind in (NORMAL, USER_DEFINED)}
    for word, kind in zip(words, kinds, strict=True):
        ways = [(word[:at], word[at:]) for at in range(1, len(word))] if kind == NORMAL else []
        lacks = any(way not in known and plain.issuperset(way) for way in ways)
        found = ranks.get(word, [0])
        if lacks or found[-1] - found[0] + 1 != len(found) or data["model"].get("ignore_merges"):
            raise DataError(f"the tokenizer of {name} merges {word!r} in another order than SentencePiece would")
    scores = [-float(ranks[word][0]) if word in ranks else 0.0 for word in words]
    return Merging("llama", scores=scores, prefixed=prefixed, remark=remark)


def _prefix(data: Mapping[str, Any], name: str) -> tuple[bool, str]:
    """Whether a space goes in front of a text, and where transformers has it otherwise than llama.cpp."""
    normal = _steps(data.get("normalizer"), "normalizers")
    before = _steps(data.get("pre_tokenizer"), "pretokenizers")
    if not before and normal in ([_PREPEND, _REPLACE], [_REPLACE]):
        return normal[0] == _PREPEND, ""
    scheme = before[0].pop("prepend_scheme", None) if len(before) == 1 else None
    if normal or before != [_METASPACE] or scheme not in ("always", "first", "never"):
        raise DataError(f"the tokenizer of {name} puts spaces into a text in a way that llama.cpp does not")
    remark = {
        "always": "llama.cpp puts a space before a text that begins with one, which transformers does not",
        "first": "llama.cpp puts no space before a text that begins with no special token, which transformers does",
    }.get(scheme, "")
    return scheme == "always", remark
