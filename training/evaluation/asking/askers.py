"""Who is asked: a model in this process, or one on an OpenAI-compatible server.

Knows models and how texts reach them; not which answer is right, nor where answers are kept.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from models.catalogue.fetch import fingerprint, inspect, locate
from models.catalogue.table import MODELS
from training.evaluation.asking.answering import to_write, told_by
from training.evaluation.asking.config import EvaluateConfig
from training.evaluation.asking.questions import Question
from training.evaluation.asking.scoring import Scorer
from workspace.errors import DataError, ServiceError, UsageError, masked, one_line
from workspace.progress import waiting, weighed
from workspace.settings import ChatSettings, RoleCall, SamplingSettings

Heard = Callable[[int, Any], None]
"""Called with a question's place and what was said to it, as it comes, in no order."""


_DECLINED = ("the model refused", "held back by the server's content filter")
"""How `models.chat` words an answer that is withheld, which is wrong, but no fault of the server's."""


class Written(NamedTuple):
    """What a model wrote, or why it or its server would not answer."""

    text: str
    declined: bool = False


class Asker(Protocol):
    """A model that answers questions.

    Attributes:
        name: What it is called.
        fingerprint: What tells it from any other.
        template: Whether questions are put in its chat template.
    """

    name: str
    fingerprint: str
    template: bool

    def likelihoods(self, questions: Sequence[Question], heard: Heard) -> None:
        """Tell the likelihoods of every question's answers, as `training.evaluation.asking.answering.Told`."""

    def writes(self, questions: Sequence[Question], heard: Heard) -> None:
        """Write an answer to every question, as `Written`."""


class Place(NamedTuple):
    """Where a model lies.

    Attributes:
        name: What it is called.
        folder: The whole model's, or of what a LoRA lies over.
        adapter: The LoRA's, where it is one.
    """

    name: str
    folder: Path
    adapter: Path | None = None


def find(model: str | Path, base: str | None, home: Path) -> Place:
    """Find a model without reading it.

    Args:
        model: A catalogue id, a variant's name, a model's or a LoRA's folder, or ``BASE+ADAPTER``.
        base: What a LoRA lies over, in place of what it names itself.
        home: STUDIO_HOME.

    Raises:
        UsageError: There is no such model, or what a LoRA lies over is not here.
        ServiceError: It is the catalogue's and was not fetched.
        DataError: What lies there is not sound, or no language model.
    """
    asked = str(model)
    under, plus, adapter = asked.partition("+")
    if plus and not Path(asked).expanduser().exists():
        if base:
            raise UsageError(f"base: {asked} says already what the LoRA lies over")
        asked, base = adapter, under
    folder = locate(asked, home)
    name = _called(folder) if isinstance(model, Path) or "/" in asked else asked
    if not (folder / "config.json").is_file():
        return Place(name, _under(folder, base, home), folder)
    if base:
        raise UsageError(f"base: {name} is a whole model and lies over none")
    inspect(folder, "chat")
    return Place(name, folder)


class LocalModel:
    """A model folder, or a LoRA folder over one, read when it is first asked.

    Args:
        model: As `find` takes it.
        config: How it is put to.
        home: STUDIO_HOME.

    Raises:
        StudioError: As `find`.
    """

    def __init__(self, model: str | Path, config: EvaluateConfig, home: Path) -> None:
        self.name, self.folder, self.adapter = find(model, config.base, home)
        self.config = config
        self.fingerprint = fingerprint(self.folder)
        if self.adapter is not None:
            self.fingerprint = _sum(self.fingerprint, fingerprint(self.adapter))
        self.template = config.template and _has_template(self.folder)

    @cached_property
    def scorer(self) -> Scorer:
        """The model with its weights."""
        with waiting(f"reading {weighed(self.folder, *filter(None, [self.adapter]))}"):
            return Scorer.load(self.folder, adapter=self.adapter)

    def likelihoods(self, questions: Sequence[Question], heard: Heard) -> None:
        """Tell the likelihoods of every question's answers."""
        told_by(self.scorer, [one.row() for one in questions], heard, self.template)

    def writes(self, questions: Sequence[Question], heard: Heard) -> None:
        """Write an answer to every question, the likeliest token each time."""
        texts = [to_write(one.row()) for one in questions]
        put = [self.scorer.chat(text) if self.template else text for text in texts]
        self.scorer.write(put, self.config.max_tokens, lambda place, text: heard(place, Written(text)))


class ServedModel:
    """A model on an OpenAI-compatible server, several questions at a time, at temperature 0.

    Args:
        model: The name the server knows.
        config: With its address.

    Raises:
        UsageError: The variable that should hold the key does not.
    """

    def __init__(self, model: str, config: EvaluateConfig) -> None:
        from models.chat.remote import remote

        chat = ChatSettings(model=model, server=config.server, api_key_env=config.api_key_env, timeout=config.timeout)
        sampling = SamplingSettings(temperature=0, top_p=None, max_tokens=config.max_tokens)
        self.chat, self.config = remote(RoleCall(chat=chat, sampling=sampling)), config
        self.name, self.template = model, True
        self.fingerprint = _sum(masked(str(config.server)), model)

    def likelihoods(self, questions: Sequence[Question], heard: Heard) -> None:
        """Refuse: a chat server tells none."""
        raise UsageError(f"{self.chat.server} tells no answers' likelihood", hint="protocol: written")

    def writes(self, questions: Sequence[Question], heard: Heard) -> None:
        """Ask for every answer; what came before a fault has been heard.

        Raises:
            ServiceError: The server fails; the first fault is told.
        """
        fault: BaseException | None = None
        pool = ThreadPoolExecutor(self.config.at_once)
        try:
            asked = {pool.submit(self._write, one): place for place, one in enumerate(questions)}
            for future in as_completed(asked):
                if future.cancelled():
                    continue
                if (error := future.exception()) is None:
                    heard(asked[future], future.result())
                elif fault is None:
                    fault = error
                    for other in asked:
                        other.cancel()  # what has not begun; what is under way may still be heard
        finally:
            pool.shutdown(cancel_futures=True)
        if fault is not None:
            raise fault

    def _write(self, question: Question) -> Written:
        """One answer; a model or its server may decline to give any."""
        try:
            return Written(str(self.chat.invoke(to_write(question.row())).content))
        except ServiceError as fault:
            if any(words in fault.message for words in _DECLINED):
                return Written(fault.message, declined=True)
            raise


def _sum(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _called(folder: Path) -> str:
    """What a folder's model is called; one that was kept after an epoch has its stage's name and the epoch."""
    try:
        card = json.loads((folder / "variant.json").read_text(encoding="utf-8"))
        return f"{card['name']}-epoch-{card['epoch']:g}"
    except (OSError, ValueError, KeyError, TypeError):
        return folder.name


def _under(adapter: Path, named: str | None, home: Path) -> Path:
    """The folder of what a LoRA lies over: as the user says, else as its own configuration does."""
    if named:
        return locate(named, home, kind="chat")
    path = adapter / "adapter_config.json"
    try:
        base = json.loads(path.read_text(encoding="utf-8")).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError) as fault:
        raise DataError(f"{adapter} is no model and no LoRA: cannot read {path.name}: {one_line(fault)}") from None
    if not base:
        raise UsageError(f"{path} names no model under it", hint=f"BASE+{adapter} names it")
    known = next((entry.id for entry in MODELS.values() if entry.hub == base), str(base))
    try:
        return locate(known, home, kind="chat")
    except UsageError as fault:
        if known in MODELS:  # of another kind
            raise
        raise UsageError(
            f"the base of the adapter {adapter.name}, {base}, is not here", hint=f"BASE+{adapter} names another place"
        ) from fault


def _has_template(folder: Path) -> bool:
    """Whether a model's tokenizer has a chat template, by its files."""
    if (folder / "chat_template.jinja").is_file() or (folder / "chat_template.json").is_file():
        return True
    try:
        held = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    except (OSError, ValueError, RecursionError) as fault:
        raise DataError(f"cannot read {folder / 'tokenizer_config.json'}: {one_line(fault)}") from None
    return bool(isinstance(held, dict) and held.get("chat_template"))
