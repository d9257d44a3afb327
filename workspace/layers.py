"""Where settings come from: TOML files, the environment, the command line. Knows their shape, not their meaning."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from workspace.errors import StorageError, UsageError, masked, one_line, unknown

PREFIX = "STUDIO_"
PROFILES = Path(__file__).parent / "profiles"
_HEADER = re.compile(r"\s*\[\s*([A-Za-z0-9_.\"' -]+?)\s*\]\s*(#.*)?$")
_KEY = re.compile(r"\s*([A-Za-z0-9_.\"' -]+?)\s*=")


@dataclass(frozen=True)
class Layer:
    """Nested values from one place.

    Args:
        values: As read.
        source: The place in words.
        folder: What relative paths in it are relative to.
        places: For some dotted keys a more exact place.
    """

    values: dict[str, Any]
    source: str
    folder: Path
    places: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_dotted(
        cls, dotted: Mapping[str, Any], source: str, folder: Path, places: Mapping[str, str] | None = None
    ) -> Layer:
        """Nest dotted keys."""
        values: dict[str, Any] = {}
        layer = cls(values, source, folder, places or {})
        for key, value in dotted.items():
            *sections, last = key.split(".")
            inner = values
            for section in sections:
                inner = inner.setdefault(section, {})
                if not isinstance(inner, dict):
                    raise UsageError(f"{layer.place(key)}: {section} is set both as a value and as a section")
            if isinstance(inner.get(last), dict) and not isinstance(value, dict):
                raise UsageError(f"{layer.place(key)}: {last} is set both as a value and as a section")
            inner[last] = value
        return layer

    def get(self, key: str) -> Any:
        """Return the value at a dotted key, or None."""
        inner: Any = self.values
        for part in key.split("."):
            if not isinstance(inner, dict) or part not in inner:
                return None
            inner = inner[part]
        return inner

    def has(self, key: str) -> bool:
        """Say whether the dotted key is set here."""
        return self.get(key) is not None

    def place(self, key: str) -> str:
        """Say in words where the dotted key is set."""
        return self.places.get(key, self.source)

    def path(self, key: str) -> Path:
        """Return the value at ``key`` as an absolute path."""
        value = self.get(key)
        if not isinstance(value, str | Path) or not str(value):
            raise UsageError(f"{self.place(key)}: {key} should be a folder, not {value!r}")
        return (self.folder / Path(value).expanduser()).absolute()

    def check(self, known: Collection[str], without: Collection[str] = ()) -> None:
        """Refuse keys that are not known, sections that are no tables, and keys that make no sense here.

        Raises:
            UsageError: Names the place, the key and the nearest known key.
        """
        sections = {key.rpartition(".")[0] for key in known} | {key.split(".")[0] for key in known if "." in key}
        for key in flatten(self.values):
            if key in without:
                raise UsageError(f"{self.place(key)}: {key} cannot be set here")
            if key in sections and self.get(key) != {}:
                raise UsageError(f"{self.place(key)}: {key} should be a section, not {masked(repr(self.get(key))):.80}")
            if key not in known and key not in sections:
                raise UsageError(f"{self.place(key)}: {_unknown(key, known)}")


def flatten(values: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return the dotted keys of nested values; an empty section stands for itself."""
    keys: list[str] = []
    for name, value in values.items():
        inner = isinstance(value, dict) and value
        keys += flatten(value, f"{prefix}{name}.") if inner else [f"{prefix}{name}"]
    return keys


def part(layers: list[Layer], owner: str, belonging: str, name: Callable[[Any], Any] = lambda value: value) -> None:
    """Where a layer names another owner than the one that a layer below has a belonging for, there is no belonging.

    Args:
        layers: The strongest first; one that says ``none`` is put in where it is needed.
        owner: The dotted key of what owns, such as a model.
        belonging: The dotted key of what belongs to it alone, such as its adapter.
        name: What two values of ``owner`` have in common if they are the same owner.
    """
    names = [number for number, layer in enumerate(layers) if layer.has(owner)]
    held = next((number for number, layer in enumerate(layers) if layer.has(belonging)), len(layers))
    below = next((number for number in names if number >= held), None)
    if not names or names[0] >= held or below is None:
        return
    top = layers[names[0]]
    if name(layers[below].get(owner)) != name(top.get(owner)):
        source = f"another {owner.rpartition('.')[2]} at {top.place(owner)}"
        layers.insert(names[0] + 1, Layer.of_dotted({belonging: "none"}, source, top.folder))


def origin(server: Any) -> tuple[str, str] | None:
    """The scheme, host and port of a server's address, to which its key belongs; nothing where there is no server."""
    if not server or server == "none":
        return None
    parts = urlsplit(str(server))
    host = parts.netloc.rpartition("@")[2].lower()
    usual = {"http": ":80", "https": ":443"}.get(parts.scheme, ":")
    return parts.scheme, host.removesuffix(usual)


def environment(variables: Mapping[str, str], cwd: Path) -> Layer:
    """Read ``STUDIO_HOME``, ``STUDIO_PROFILE`` and ``STUDIO_SECTION__KEY``; empty ones count as not set."""
    found = {
        name.removeprefix(PREFIX).lower().replace("__", "."): (name, value)
        for name, value in variables.items()
        if name.startswith(PREFIX) and value and ("__" in name or name in (f"{PREFIX}HOME", f"{PREFIX}PROFILE"))
    }
    values = {key: value for key, (_, value) in found.items()}
    return Layer.of_dotted(values, "environment", cwd, {key: name for key, (name, _) in found.items()})


def toml_layer(path: Path) -> list[Layer]:
    """Read a TOML file that may not be there.

    Raises:
        UsageError: If it is no TOML; file and line are named.
        StorageError: If it is there and cannot be read.
    """
    try:
        text = path.read_bytes().decode()
        values = tomllib.loads(text)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text: byte {error.start}") from None
    except RecursionError:
        raise UsageError(f"{path} is nested too deeply") from None
    except ValueError as error:
        raise UsageError(f"{path} is not TOML: {one_line(error)}") from None
    return [Layer(values, str(path), path.parent.absolute(), _lines(text, path))]


def profile_layer(name: str, folder: Path) -> Layer:
    """Read a shipped profile by name, or a profile file relative to ``folder``."""
    if name.endswith(".toml") or "/" in name:
        path = folder / Path(name).expanduser()
        layers = toml_layer(path)
        if not layers:
            raise UsageError(f"there is no profile file {path}")
        return layers[0]
    shipped = {path.stem: path for path in PROFILES.glob("*.toml")}
    if name not in shipped:
        raise UsageError(unknown("profile", name, shipped), hint="or name a TOML file")
    (layer,) = toml_layer(shipped[name])
    return Layer(layer.values, f"profile {name}", layer.folder)


def _lines(text: str, path: Path) -> dict[str, str]:
    """Find the line of each key that is written in the usual way, one a line."""
    places: dict[str, str] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            section = _plain(header[1])
            places.setdefault(section, f"{path}, line {number}")
        elif key := _KEY.match(line):
            places.setdefault(f"{section}.{_plain(key[1])}".lstrip("."), f"{path}, line {number}")
    return places


def _plain(key: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in key.split("."))


def _unknown(key: str, known: Collection[str]) -> str:
    near = get_close_matches(key, known, n=1, cutoff=0.5)
    if not near:  # the right name in the wrong section
        near = [each for each in sorted(known) if each.rpartition(".")[2] == key.rpartition(".")[2]][:1]
    return f"unknown setting {key!r}" + (f"; did you mean {near[0]!r}?" if near else "")
