"""What a benchmark gives away to one who never sees its questions: a trigram model of the training text.

Where wrong answers sound otherwise than the text that a model is trained on, picking what sounds like it is enough, and
a gain on them is none in knowledge. Such a reader's share belongs beside every figure. Knows texts and questions.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from training.evaluation.asking.answering import Question, offered

_SHARES = 0.6, 0.3, 0.1
"""What trigrams, bigrams and single words weigh."""


class Trigrams:
    """An interpolated trigram model of words, single ones with one added to each count.

    Source: Jelinek and Mercer, "Interpolated estimation of Markov source parameters" (1980).

    Args:
        texts: What it counts.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self.counts = [Counter[tuple[str, ...]]() for _ in range(4)]
        for text in texts:
            words = ("", "", *_words(text))
            for place in range(2, len(words)):
                for length in (1, 2, 3):
                    self.counts[length][words[place - length + 1 : place + 1]] += 1
                for length in (1, 2):
                    self.counts[0][words[place - length : place]] += 1
        self.single = sum(self.counts[1].values())
        self.kinds = len(self.counts[1]) + 1

    def likelihood(self, text: str) -> float:
        """The log-likelihood of a text's words, from its beginning."""
        words, total = ("", "", *_words(text)), 0.0
        for place in range(2, len(words)):
            one, two, three = (words[place - length + 1 : place + 1] for length in (1, 2, 3))
            chance = _SHARES[2] * (self.counts[1][one] + 1) / (self.single + self.kinds)
            for share, gram in ((_SHARES[0], three), (_SHARES[1], two)):
                if before := self.counts[0][gram[:-1]]:
                    chance += share * self.counts[len(gram)][gram] / before
            total += math.log(chance)
        return total


def blind_answers(texts: Iterable[str], questions: Sequence[Question]) -> list[bool]:
    """Whether the option that sounds most like the texts, a byte, is the right one, no question being read."""
    model = Trigrams(texts)
    right = []
    for question in questions:
        choices = offered(question)
        scores = [model.likelihood(choice) / len(choice.encode()) for choice in choices]
        right.append(choices[scores.index(max(scores))] == question["answer"])
    return right


def _words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\w+|[^\w\s]", text.lower()))
