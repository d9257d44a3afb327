"""Takes out of answers what would tell a judge who wrote them. Knows names of models; not what an answer is worth.

Hidden are the names of all models that are judged, and families and makers of language models. A model that is called
by a plain word which the prompts use too, such as ``silk``, keeps it: the word tells nothing there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from training.evaluation.conversations import prompts
from training.evaluation.conversations.shapes import Turn

HIDDEN = "[name]"
"""What stands for a name."""

_SIZE = r"(?:[-_ .]?v?\d+(?:[.x]\d+)*[a-z]?(?:illion)?)"
_KIND = r"(?:[-_ ](?:instruct|chat|base|it|turbo|mini|large|small|medium|pro|sonnet|opus|haiku|preview))"
_FENCE = re.compile(r"(?m)^(\s*)(={3,}|-{3,})(?=\s*(?:Answer|Question|Reply)\b)")


class Disguise:
    """What is hidden in every answer of a comparison.

    Args:
        names: Of the models that are judged: as tables call them, and as settings do.
    """

    def __init__(self, names: Iterable[str]) -> None:
        families, makers = prompts.model_names()
        own = sorted({part for name in names for part in _parts(name)}, key=len, reverse=True)
        spelled = [_spelled(name) for name in own]
        known = [rf"(?:{family}){_SIZE}*{_KIND}*{_SIZE}*" for family in families]
        every = "|".join([*spelled, *makers, *known])
        self._pattern = re.compile(rf"(?i)(?<![\w])(?:{every})(?![\w])")

    def text(self, text: str) -> tuple[str, int]:
        """A text without names, and how many it held."""
        hidden, count = self._pattern.subn(HIDDEN, text)
        return _FENCE.sub(r"\1", hidden), count

    def turns(self, turns: Sequence[Turn]) -> tuple[list[Turn], int]:
        """A conversation's turns without names, and how many they held."""
        pairs = [(turn, *self.text(turn.said)) for turn in turns]
        return [turn.model_copy(update={"said": said}) for turn, said, _ in pairs], sum(count for *_, count in pairs)


def _parts(name: str) -> list[str]:
    """What of a name gives it away: the whole, and its last part where it is a path."""
    plain = prompts.prompt_words()
    found = [name.strip(), re.split(r"[/\\]", name.rstrip("/\\"))[-1].strip()]
    return [part for part in found if len(part) > 1 and part.lower() not in plain]


def _spelled(name: str) -> str:
    """A pattern of a name, however its words are joined."""
    words = [re.escape(word) for word in re.split(r"[\s_\-]+", name) if word]
    return r"[\s_\-]*".join(words)
