"""Conversations to tokens: each answer follows what inference renders, and ends.

Only the assistant's turns are learned, the token that ends them included. Where the template renders a turn otherwise
once others follow it (Qwen3 drops the thoughts of earlier answers), every answer becomes a sequence of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from training.language.tokens.encoded import IGNORED, Encoded
from training.turns import after_answer, turn_end
from workspace.errors import DataError, one_line

Message = Mapping[str, Any]


_THOUGHTS = r"(?:<(?P<tag>think|thinking|thought|reasoning|seed:think)>|\[THINK\])"
_OPENED = re.compile(rf"{_THOUGHTS}\s*$")
_EMPTY = re.compile(r"\s*(?:<(?P<tag>[\w:]+)>\s*</(?P=tag)>|\[THINK\]\s*\[/THINK\])\n*")
_OTHERWISE = "the template renders it otherwise in training than at inference"
_ANOTHER = "name another model's template: chat_template in the recipe"


@dataclass(frozen=True)
class _Turn:
    """An answer in its place: the text before it, as inference renders it, and its own up to the template's end."""

    number: int
    asked: str
    answer: str


class Conversations:
    """A tokenizer's chat template as training uses it.

    Args:
        tokenizer: With a chat template.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.end = turn_end(tokenizer)
        self.ends = {tokenizer.eos_token_id, self.end} - {None}
        self.tail = after_answer(tokenizer)

    def text(self, messages: Sequence[Message], ask: bool, where: str = "a row") -> str:
        """A conversation as inference renders it; with ``ask`` up to where the assistant goes on.

        Raises:
            DataError: The chat template is broken, or refuses the conversation.
        """
        from jinja2 import TemplateError

        try:
            plain = [{"role": one["role"], "content": one["content"]} for one in messages]
            made = self.tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=ask)
        except TemplateError as fault:
            raise DataError(f"{where}: the chat template cannot render it: {one_line(fault)}") from None
        return str(made)

    def ids(self, text: str) -> list[int]:
        """The tokens of a rendered text; the template has written all special ones already."""
        found: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    def encoded(self, messages: Sequence[Message], where: str = "a row", first: int = 0) -> list[Encoded]:
        """A conversation's tokens, up to the end of its last answer.

        Args:
            messages: The last is the assistant's. An answer that says ``learned``: false is read, not learned.
            where: What the row is called in errors.
            first: From which message on answers are learned.

        Returns:
            One sequence; one for each answer where the template renders an earlier one otherwise.

        Raises:
            DataError: No answer is learned, inference would render one otherwise than training, or one does not end
                with a token that ends generation.
        """
        said = [number for number, one in enumerate(messages) if one["role"] == "assistant" and number >= first]
        learned = [number for number in said if messages[number].get("learned", True)]
        if not learned:
            raise DataError(f"{where}: no answer of it is learned")
        turns = [self._turn(messages, number, where) for number in learned]
        return self._whole(messages, turns, where) or [self._alone(turn, where) for turn in turns]

    def _whole(self, messages: Sequence[Message], turns: Sequence[_Turn], where: str) -> list[Encoded]:
        """All turns in one sequence; nothing where they do not stand in it as they would alone."""
        last = turns[-1].asked + turns[-1].answer
        if any(not last.startswith(turn.asked + turn.answer) for turn in turns):
            return []
        ids = self.ids(last)
        labels = [IGNORED] * len(ids)
        for turn in turns:
            asked = self.ids(turn.asked)
            if ids[: len(asked)] != asked:
                return []
            stop = self._stop(ids, len(asked), turn, where)
            labels[len(asked) : stop] = ids[len(asked) : stop]
        return [Encoded(ids[:stop], labels[:stop])]

    def _alone(self, turn: _Turn, where: str) -> Encoded:
        """A turn as a sequence: its text at once, else its question's tokens and then its own."""
        asked, joined = self.ids(turn.asked), self.ids(turn.asked + turn.answer)
        ids = joined
        if ids[: len(asked)] != asked:
            ids = asked + self.ids(turn.answer)
            if self.tokenizer.decode(ids) != self.tokenizer.decode(joined):
                raise DataError(f"{where}, message {turn.number + 1}: {_OTHERWISE}", hint=_ANOTHER)
        stop = self._stop(ids, len(asked), turn, where)
        return Encoded(ids[:stop], [IGNORED] * len(asked) + ids[len(asked) : stop])

    def _turn(self, messages: Sequence[Message], number: int, where: str) -> _Turn:
        asked = self.text(messages[:number], ask=True, where=where)
        until = self.text(messages[: number + 1], ask=False, where=where)
        content = messages[number]["content"]
        where = f"{where}, message {number + 1}"
        self._check_content(content, where)
        begun = _thoughts_begun(asked, content, where)
        if until.startswith(asked):
            answer = until[len(asked) :]
            added = _EMPTY.match(answer)
            if added and not _EMPTY.match(content):  # thoughts that neither the row holds nor inference begins with
                answer = answer[added.end() :]
        if not until.startswith(asked) or _bare(content) not in _bare(begun + answer):  # as where thoughts are left out
            answer = self._composed(asked, content, where)
        return _Turn(number, asked, answer)

    def _composed(self, asked: str, content: str, where: str) -> str:
        """An answer after what inference renders, where the template leaves a part of that out of a whole conversation.

        So do templates that end the prompt with thoughts, or write the system's words into the last question.
        """
        question = [{"role": "user", "content": "Which layer?"}]
        plain = self.text(question, ask=True)
        told = self.text([*question, {"role": "assistant", "content": "Qzx"}], ask=False)
        begun, lead = _thoughts_begun(asked, content, where), ""
        if told.startswith(plain):
            lead = "" if begun else _EMPTY.sub("", told[len(plain) :].partition("Qzx")[0], count=1)
        elif not told.startswith(_thoughtless(plain)):
            raise DataError(f"{where}: {_OTHERWISE}", hint=_ANOTHER)
        body = content.strip()
        if begun:
            body = body.removeprefix(begun).lstrip() if body.startswith(begun) else body
        elif (added := _EMPTY.match(body)) and _EMPTY.search(asked[-64:]):
            body = body[added.end() :]
        return lead + body + self.tail

    def _check_content(self, content: str, where: str) -> None:
        """Refuse an answer whose own words would end it."""
        for token in self.tokenizer.convert_ids_to_tokens(sorted(self.ends)):
            if token in content:
                raise DataError(f"{where}: its content holds {token}, which ends an answer", hint="take it out")

    def _stop(self, ids: Sequence[int], start: int, turn: _Turn, where: str) -> int:
        """After which token of a sequence the answer that begins at ``start`` has ended."""
        stop = next((place + 1 for place in range(start, len(ids)) if ids[place] in self.ends), None)
        if stop is None:
            raise DataError(
                f"{where}, message {turn.number + 1}: no end-of-turn token comes after it; it would never stop",
                hint=_ANOTHER,
            )
        return stop


def _thoughts_begun(asked: str, content: str, where: str) -> str:
    """The tag with which inference begins an answer's thoughts, if it does.

    Raises:
        DataError: It does, and the answer has none.
    """
    opened = _OPENED.search(asked)
    tag = opened[0].strip() if opened else ""
    if tag and f"{tag[0]}/{tag[1:]}" not in content:
        raise DataError(
            f"{where}: inference begins the answer with {tag}, and the row has no thoughts",
            hint=f"write them into its content and end them with {tag[0]}/{tag[1:]}, or {_ANOTHER}",
        )
    return tag


def _bare(text: str) -> str:
    """A text without its white space, which templates set as they like."""
    return "".join(text.split())


def _thoughtless(asked: str) -> str:
    """A prompt without the thoughts that its end begins, or says to be none."""
    bare = _OPENED.sub("", asked)
    ends = [found for found in _EMPTY.finditer(bare) if found.end() == len(bare)]
    return bare[: ends[-1].start()] if ends else bare
