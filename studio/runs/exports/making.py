"""How a run was made and how it is made again: models, seed, versions, and the exact command. Knows no format."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.runs.folder import shown, versions
from studio.runs.record import row_of
from studio.runs.request import NOT_RECORDED, dotted, recorded
from workspace.errors import DataError, StudioError, one_line
from workspace.files import read_inside
from workspace.layers import profile_layer

if TYPE_CHECKING:
    from studio.runs.record import Design
    from workspace.ledger import RunRow

_OPTIONS = {
    "flow.program": "--program",
    "flow.images": "--images",
    "flow.rounds": "--rounds",
    "painter.size": "--size",
    "chat.model": "--model",
    "painter.adapter": "--adapter",
}
"""Settings that a design's own options name; others go by their variable."""

_EMBEDDED = "embedded"


@dataclass(frozen=True)
class Maker:
    """A model that did a role's work."""

    role: str
    model: str
    adapter: str = ""
    fingerprint: str = ""


@dataclass(frozen=True)
class Making:
    """How a run was made.

    Attributes:
        command: Makes it again, in any home that has its models.
        replay: Makes it again where it lies, with a person's answers, and says what came out identical.
        seed: What all randomness came from.
        program: How its roles worked.
        profile: Which settings it began from.
        makers: Which models did what.
        versions: What of, by package.
        answers: How often a person answered; the command alone does not say what.
    """

    command: str
    replay: str
    seed: int
    program: str
    profile: str
    makers: tuple[Maker, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    answers: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "command": self.command,
            "replay": self.replay,
            "seed": self.seed,
            "program": self.program,
            "profile": self.profile,
            "models": [vars(one) for one in self.makers],
            "versions": dict(self.versions),
            "answers": self.answers,
        }

    def remark(self) -> str:
        """What the command leaves out, in one sentence; empty where it says all."""
        if not self.answers:
            return ""
        times = "once" if self.answers == 1 else f"{self.answers} times"
        return f"A person answered {times}; {self.replay} gives the same answers again."


def making(run: Design, home: Path) -> Making:
    """How a run was made, by its row and its manifest.

    Args:
        run: The run.
        home: STUDIO_HOME.

    Raises:
        DataError: The manifest is damaged.
    """
    row, manifest = row_of(home, run.run_id), manifest_of(run)
    settings = shown(row.settings["settings"])
    return Making(
        command=command(row, settings),
        replay=f"studio replay {run.run_id}",
        seed=run.seed,
        program=str((row.settings.get("program") or {}).get("name", "")),
        profile=str(settings.get("profile", "")),
        makers=tuple(_makers(manifest.get("models") or {}) or _asked(settings)),
        versions=manifest.get("versions") or versions(),
        answers=len(manifest.get("answers") or ()),
    )


def manifest_of(run: Design) -> Mapping[str, Any]:
    """A run's manifest; empty where it is not finished.

    Raises:
        DataError: It cannot be read.
    """
    path = run.folder / "manifest.json"
    if not path.is_file():
        return {}
    try:
        found = json.loads(read_inside(run.folder, path.name))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read: {one_line(error)}") from error
    return found if isinstance(found, dict) else {}


def command(row: RunRow, settings: Mapping[str, Any]) -> str:
    """The command that asks for the same once more, on one line for a shell.

    Args:
        row: What was asked for.
        settings: Its settings, as they may be handed on.
    """
    words: list[str] = []
    for name in row.brief.get("inspirations") or ():
        words += ["--inspiration", str(name)]
    profile, variables = str(settings.get("profile") or _EMBEDDED), []
    plain, usual = dict(dotted(dict(settings))), _usual(profile)
    for key, option in _OPTIONS.items():
        if (value := plain.get(key)) is not None and (key.startswith("flow.") or value != usual.get(key)):
            words += [option, str(value)]
    for key, value in sorted(plain.items()):
        other = key not in _OPTIONS and key.partition(".")[0] not in (*NOT_RECORDED, "profile")
        if other and key in usual and value != usual[key]:
            variables.append(f"STUDIO_{key.replace('.', '__').upper()}={_quoted(_written(value))}")
    words += ["--profile", profile] if profile != _EMBEDDED else []
    words += ["--seed", str(row.seed)]
    words += [f"--{name}" for name in ("ask", "choose") if row.settings.get(name)]
    text = str(row.brief.get("text", ""))
    words = [*words, "--", text] if text.startswith("-") else [text, *words]
    return " ".join([*variables, "studio", "design", *map(_quoted, words)])


def _quoted(word: str) -> str:
    """A word for a shell, on one line; what a terminal would obey is written by its number."""
    if word.isprintable():
        return shlex.quote(word)
    made = [one if one.isprintable() and one not in "\\'" else _numbered(one) for one in word]
    return "$'" + "".join(made) + "'"


def _numbered(letter: str) -> str:
    return {"\n": "\\n", "\t": "\\t", "'": "\\'", "\\": "\\\\"}.get(letter, f"\\U{ord(letter):08x}")


def _usual(profile: str) -> dict[str, Any]:
    """What holds by a profile alone, by dotted key; empty where the profile is not to be had any more."""
    try:
        merged: dict[str, Any] = {}
        for name in dict.fromkeys((_EMBEDDED, profile)):
            _lay_over(merged, profile_layer(name, Path()).values)
        made = recorded(merged | {"profile": profile}, Path())
    except (StudioError, OSError):
        return {}
    return dict(dotted(made.model_dump(mode="json", exclude={"home"})))


def _lay_over(below: dict[str, Any], above: Mapping[str, Any]) -> None:
    for key, value in above.items():
        if isinstance(value, Mapping):
            _lay_over(below.setdefault(key, {}), value)
        else:
            below[key] = value


def _written(value: Any) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value)


def _makers(used: Mapping[str, Any]) -> Iterator[Maker]:
    """Which models a finished run's manifest names, role by role."""
    for role, one in used.items():
        if isinstance(one, dict):
            named = [str(one.get(key) or "") for key in ("model", "adapter", "fingerprint")]
            yield Maker(str(role), named[0], named[1], named[2][:12])


def _asked(settings: Mapping[str, Any]) -> Iterator[Maker]:
    """Which models a run that is not finished asks for."""
    for section, role in (("chat", "all roles"), ("painter", "painter")):
        if (one := settings.get(section)) and one.get("model"):
            yield Maker(role, str(one["model"]), str(one.get("adapter") or ""))
    for role, one in (settings.get("roles") or {}).items():
        if one and one.get("model"):
            yield Maker(str(role), str(one["model"]), str(one.get("adapter") or ""))
