"""What a person can set, with bounds, and what a role makes of it. Knows nothing of what the models do.

The numbers that suit every profile stand here; the models' names stand in ``workspace/profiles/*.toml``, of which
``embedded.toml`` is the base that the others change. Where a value came from is kept in ``Settings.origins``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from workspace.atlas.evidence import EvidenceSettings
from workspace.configuration import keys
from workspace.errors import UsageError, unknown
from workspace.layers import PROFILES, Layer, environment, flatten, origin, part, profile_layer, toml_layer
from workspace.letters import whole_letters
from workspace.postgres.address import KEY as LEDGER
from workspace.postgres.address import LedgerSettings, the_home_s

ROLES = ("scientist", "reviewer", "engineer", "illustrator", "critic")
DEFAULT_PROFILE = "embedded"
_ASKED_FIRST = (".server", ".api_key_env", ".langsmith")  # what says where briefs and keys go, as does a home's queue


def _server(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://")
    base, mark, query = url.partition("?")
    return base.rstrip("/") + mark + query


def _nothing(value: Any) -> Any:
    return None if value in ("none", "") else value


Nothing = BeforeValidator(_nothing)  # TOML and the environment have no null, so "none" stands for it
Words = Annotated[str, Field(min_length=1, max_length=500)]
Server = Annotated[str, Field(max_length=500), AfterValidator(_server)]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=100)]
Device = Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")]
Dtype = Literal["auto", "bfloat16", "float32"]
Timeout = Annotated[float, Field(gt=0, le=3600)]
Retries = Annotated[int, Field(ge=0, le=10)]
MaxBytes = Annotated[int, Field(ge=1_000, le=1_000_000_000)]
Temperature = Annotated[float, Field(ge=0, le=2)]
TopP = Annotated[float, Field(gt=0, le=1)]
TopK = Annotated[int, Field(ge=0, le=200_000)]
RepetitionPenalty = Annotated[float, Field(ge=0.5, le=2)]
NoRepeat = Annotated[int, Field(ge=0, le=64)]
MaxTokens = Annotated[int, Field(ge=1, le=131_072)]
Avoid = Annotated[tuple[Words, ...], Field(max_length=1_000)]
ServingEngine = Literal["auto", "llama.cpp", "vllm"]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _Backend(_Section):
    server: Annotated[Server | None, Nothing] = Field(None, description="OpenAI-compatible base URL; none: in process")
    api_key_env: Annotated[Variable | None, Nothing] = Field(None, description="Environment variable that has the key")
    timeout: Timeout = Field(120, description="Seconds one answer may take")
    retries: Retries = Field(2, description="How often a failed request is made again")
    max_bytes: MaxBytes = Field(4_000_000, description="Largest answer that is read")
    adapter: Annotated[Words | None, Nothing] = Field(None, description="LoRA adapter: a catalogue id or a folder")
    dtype: Dtype = Field("auto", description="Number format in process")
    device: Device = Field("auto", description="Where the model runs in process")


class ChatSettings(_Backend):
    """The language model that roles use unless they name their own."""

    model: Words = Field(description="Catalogue id, local folder, or the name the server knows")


class VisionSettings(_Backend):
    """The model that looks at pictures; without one there is no critic."""

    model: Annotated[Words | None, Nothing] = Field(None, description="As for chat; none: no critic")


class SamplingSettings(_Section):
    """How the next token is drawn."""

    temperature: Annotated[Temperature | None, Nothing] = Field(
        0.3, description="0 always takes the likeliest token; none: a server's own, in process 1"
    )
    top_p: Annotated[TopP | None, Nothing] = Field(
        0.9, description="Keep the likeliest tokens up to this share; none: a server's own, in process all"
    )
    top_k: TopK = Field(512, description="Keep this many tokens; 0: all")
    repetition_penalty: RepetitionPenalty = Field(1.1, description="Above 1: what was said becomes less likely")
    no_repeat_ngram_size: NoRepeat = Field(
        0, description="A local model says no run of this many tokens of its own answers again; 0: it may"
    )
    avoid: Avoid = Field((), description="Words that a local model does not use")
    max_tokens: MaxTokens = Field(1024, description="Longest answer")


def _as_shared(key: str) -> Any:
    """A role's own value of what all roles share: described as there, not set by default."""
    shared = ChatSettings.model_fields | SamplingSettings.model_fields
    return Field(None, description=shared[key].description)


class RoleSettings(_Section):
    """What one role has of its own; whatever is not set is taken from ``[chat]`` (the critic: ``[vision]``).

    ``"none"`` for ``server``, ``api_key_env``, ``adapter``, ``temperature`` or ``top_p`` says that this role has none.
    """

    model: Words | None = _as_shared("model")
    server: Literal["none"] | Server | None = _as_shared("server")
    api_key_env: Variable | None = _as_shared("api_key_env")
    timeout: Timeout | None = _as_shared("timeout")
    retries: Retries | None = _as_shared("retries")
    max_bytes: MaxBytes | None = _as_shared("max_bytes")
    adapter: Words | None = _as_shared("adapter")
    dtype: Dtype | None = _as_shared("dtype")
    device: Device | None = _as_shared("device")
    temperature: Literal["none"] | Temperature | None = _as_shared("temperature")
    top_p: Literal["none"] | TopP | None = _as_shared("top_p")
    top_k: TopK | None = _as_shared("top_k")
    repetition_penalty: RepetitionPenalty | None = _as_shared("repetition_penalty")
    no_repeat_ngram_size: NoRepeat | None = _as_shared("no_repeat_ngram_size")
    avoid: Avoid | None = _as_shared("avoid")
    max_tokens: MaxTokens | None = _as_shared("max_tokens")


class PainterSettings(_Section):
    """The model that paints; size, steps and guidance are the model's own unless set."""

    model: Words = Field(description="Catalogue id or local folder")
    adapter: Annotated[Words | None, Nothing] = Field(None, description="LoRA adapter: a catalogue id or a file")
    adapter_scale: float = Field(1.0, ge=0, le=4, description="How strongly the adapter acts")
    device: Device = Field("auto", description="Where the model runs")
    dtype: Dtype = Field("auto", description="Number format")
    offload: Literal["none", "model", "sequential"] = Field("none", description="Keep parts in main memory")
    size: Annotated[int, Field(ge=64, le=2048, multiple_of=16)] | None = Field(None, description="Pixels a side")
    steps: Annotated[int, Field(ge=1, le=200)] | None = Field(None, description="Denoising steps")
    guidance: Annotated[float, Field(ge=0, le=30)] | None = Field(None, description="How closely the prompt is kept")
    batch: int = Field(
        1, ge=1, le=64, description="Pictures painted at once; on a GPU more than 1 may change their last bits"
    )


class FlowSettings(_Section):
    """How long a design goes on."""

    program: Words = Field("relate-and-design", description="A program's name (see `studio programs`) or file")
    images: int = Field(2, ge=1, le=64, description="Pictures a round")
    rounds: int = Field(1, ge=1, le=10, description="Rounds of pictures at most")
    review: bool = Field(False, description="Whether the draft design is reviewed")
    reviews: int = Field(1, ge=0, le=10, description="How often the reviewer may send it back")


class QueueSettings(_Section):
    """How much of what was asked for runs at the same time on this machine; the rest waits its turn."""

    jobs_at_once: int = Field(
        1,
        ge=1,
        le=16,
        description="Heavy jobs (designs, trainings, merges, evaluations) that run at the same time on this machine",
    )
    light_at_once: int = Field(4, ge=1, le=32, description="Downloads and other light jobs at the same time")
    most_waiting: int = Field(500, ge=1, le=100_000, description="Jobs that may wait for their turn; more are refused")


class ServingSettings(_Section):
    """How `studio serve` serves models on this machine."""

    engine: ServingEngine = Field(
        "auto", description="Which engine serves; auto: what suits this machine, as doctor tells"
    )


class TracingSettings(_Section):
    """Who is told of every prompt and answer; nobody, unless it is said here."""

    langsmith: bool = Field(False, description="Send all prompts and answers to LangSmith, as its variables say where")


_layers: ContextVar[tuple[Layer, ...]] = ContextVar("layers", default=())


class _LayerSource(PydanticBaseSettingsSource):
    def __init__(self, settings_cls: type[BaseSettings], layer: Layer) -> None:
        super().__init__(settings_cls)
        self._layer = layer

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return self._layer.values.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return self._layer.values


class Settings(BaseSettings):
    """Everything that can be set. :func:`load_settings` reads it; constructed directly it takes only its arguments."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    home: Path = Field(default_factory=lambda: Path("~/.studio").expanduser(), description="Where everything is kept")
    profile: Words = Field(DEFAULT_PROFILE, description="A shipped profile's name or a TOML file")
    chat: ChatSettings
    sampling: SamplingSettings = SamplingSettings()
    roles: dict[str, RoleSettings] = Field({}, description="What a role has of its own, by the role's name")
    vision: VisionSettings = VisionSettings()
    painter: PainterSettings
    flow: FlowSettings = FlowSettings()
    queue: QueueSettings = QueueSettings()
    serving: ServingSettings = ServingSettings()
    evidence: EvidenceSettings = EvidenceSettings()
    tracing: TracingSettings = TracingSettings()
    ledger: Annotated[LedgerSettings, AfterValidator(the_home_s)] = LedgerSettings()
    _origins: dict[str, str] = PrivateAttr(default_factory=dict)

    @property
    def origins(self) -> dict[str, str]:
        """Where each value came from, by dotted key."""
        return self._origins

    @property
    def sees(self) -> bool:
        """Whether there is a model that looks at pictures, and so a critic."""
        return (self.roles.get("critic", RoleSettings()).model or self.vision.model) is not None

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take the arguments and the layers that :func:`load_settings` found, nothing else."""
        return (init_settings, *(_LayerSource(settings_cls, layer) for layer in _layers.get()))


class RoleCall(_Section):
    """The model one role talks to, and how."""

    chat: ChatSettings
    sampling: SamplingSettings


def resolved(settings: Settings, role: str) -> RoleCall:
    """Merge what ``role`` has of its own with what all roles share.

    Raises:
        UsageError: If there is no such role, or it is the critic and no vision model is set.
    """
    if role not in ROLES:
        raise UsageError(unknown("role", role, ROLES))
    own = {
        key: value for key, value in settings.roles.get(role, RoleSettings()).model_dump().items() if value is not None
    }
    shared = (settings.vision if role == "critic" else settings.chat).model_dump()
    if origin(own.get("server", shared["server"])) != origin(shared["server"]):
        shared["api_key_env"] = None  # a key belongs to one server
    if not shared["api_key_env"] and origin(own.get("server", shared["server"])) == origin(settings.chat.server):
        shared["api_key_env"] = settings.chat.api_key_env
    if own.get("model", shared["model"]) != shared["model"]:
        shared["adapter"] = None  # an adapter belongs to one model
    chat = shared | {key: value for key, value in own.items() if key in ChatSettings.model_fields}
    if chat["model"] is None:
        raise UsageError("no vision model is set", hint="set vision.model, or STUDIO_VISION__MODEL")
    sampling = settings.sampling.model_dump() | {key: own[key] for key in SamplingSettings.model_fields if key in own}
    return RoleCall(chat=ChatSettings(**chat), sampling=SamplingSettings(**sampling))


def load_settings(
    profile: str | None = None, overrides: Mapping[str, Any] | None = None, cwd: Path | None = None
) -> Settings:
    """Read the settings: overrides, then ``STUDIO_*``, ``./studio.toml``, ``$STUDIO_HOME/studio.toml``, the profile.

    Args:
        profile: A shipped profile's name or a TOML file; None leaves it to the other places.
        overrides: Dotted keys from the command line, such as ``{"flow.images": 2}``; None values are left out.
        cwd: The folder to look in; the working directory by default.

    Raises:
        UsageError: If something is wrong, with the file and line or the variable, the key and the nearest name; or if
            ``./studio.toml`` says where briefs and keys go, and ``STUDIO_TRUST_FOLDER`` does not name its folder.
    """
    cwd = cwd or _here()
    known = known_keys()
    given = {**(overrides or {}), **({"profile": profile} if profile else {})}
    command = Layer.of_dotted({key: value for key, value in given.items() if value is not None}, "command line", cwd)
    layers = [command, environment(os.environ, cwd), *toml_layer(cwd / "studio.toml")]
    for layer in layers:
        layer.check(known, without=(LEDGER,) if layer is command else ())
    own = next((layer.path("home") for layer in layers[:2] if "home" in layer.values), Path("~/.studio").expanduser())
    _check_trust(layers[2:], cwd, own)
    home = next((layer.path("home") for layer in layers if "home" in layer.values), Path("~/.studio").expanduser())
    if whole_letters(str(home)) != str(home):
        raise UsageError(f"home: the folder's name is not UTF-8: {whole_letters(str(home))!r}", hint="set STUDIO_HOME")
    if home != cwd:
        for layer in layers[2:]:
            layer.check(known, without=(LEDGER,))
        mine = toml_layer(home / "studio.toml")
        for layer in mine:
            layer.check(known, without=("home",))
        layers += mine
    profiles = _profile_layers(layers, known)
    if not any("profile" in layer.values for layer in layers[:2]):  # nobody has typed it
        lying = [one for one in profiles if one.folder.is_relative_to(cwd) and one.folder != PROFILES.absolute()]
        _check_trust(lying, cwd, own)
    layers += profiles
    for section in ("chat", "vision", "painter"):
        part(layers, f"{section}.model", f"{section}.adapter")
    for section in ("chat", "vision", *(f"roles.{role}" for role in ROLES)):
        part(layers, f"{section}.server", f"{section}.api_key_env", origin)
    settings = _validated(layers, home)
    settings._origins.update(_origins(settings, layers))
    keys.look_in(home)
    return settings


def _here() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise UsageError("the working folder has been removed", hint="change to another: cd") from None


def _check_trust(layers: list[Layer], cwd: Path, home: Path) -> None:
    """Refuse what a file that merely lies in the working folder may not say without a yes: where briefs and keys go.

    Raises:
        UsageError: It names a server, a key's variable or a home, or wants tracing, and its folder is not trusted.
    """
    trusted = os.environ.get("STUDIO_TRUST_FOLDER", "").split(os.pathsep)
    if cwd.absolute() in (home.absolute(), *(Path(one).expanduser().absolute() for one in trusted if one)):
        return
    for layer in layers:
        for key in flatten(layer.values):
            if (key == "home" or key.endswith(_ASKED_FIRST)) and layer.get(key) not in ("none", "", False):
                raise UsageError(
                    f"{layer.place(key)}: {key} is not taken from the working folder, which may be anybody's",
                    hint=f"set it in {home / 'studio.toml'}, or say yes: export STUDIO_TRUST_FOLDER={cwd.absolute()}",
                )


def _profile_layers(layers: list[Layer], known: frozenset[str]) -> list[Layer]:
    """Return the profile the layers choose, and the embedded profile under it."""
    chosen = next((layer for layer in layers if "profile" in layer.values), None)
    name = str(chosen.values["profile"]) if chosen else DEFAULT_PROFILE
    found = [profile_layer(name, chosen.folder if chosen else Path())]
    if name != DEFAULT_PROFILE:
        found.append(profile_layer(DEFAULT_PROFILE, Path()))
    for layer in found:
        layer.check(known, without=("home", "profile", LEDGER))
    return found


def known_keys() -> frozenset[str]:
    """Return every dotted key there is."""
    keys = {"home", "profile"}
    for section, info in Settings.model_fields.items():
        keys |= {f"{section}.{key}" for key in getattr(info.annotation, "model_fields", ())}
    return frozenset(keys | {f"roles.{role}.{key}" for role in ROLES for key in RoleSettings.model_fields})


def _validated(layers: list[Layer], home: Path) -> Settings:
    token = _layers.set(tuple(layers))
    try:
        return Settings(home=home)  # the rest comes from the layers
    except ValidationError as error:
        raise UsageError(_wording(error, layers)) from None
    finally:
        _layers.reset(token)


def _wording(error: ValidationError, layers: list[Layer]) -> str:
    first, *others = error.errors(include_url=False)
    parts = [str(part) for part in first["loc"]]
    keys = [".".join(parts[:end]) for end in range(len(parts), 0, -1)]
    key, layer = next(
        ((key, layer) for key in keys for layer in layers if layer.has(key)), (keys[-1] if keys else "settings", None)
    )
    secret = key.endswith("api_key_env") or key.startswith("ledger")
    shown = f", not {layer.get(key)!r:.80}" if layer and not secret else ""
    reason = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    more = f" (and {len(others)} more)" if others else ""
    return f"{layer.place(key) if layer else 'settings'}: {key} {reason}{shown}{more}"


def _origins(settings: Settings, layers: list[Layer]) -> dict[str, str]:
    origins = {}
    for key in flatten(settings.model_dump()):
        layer = next((layer for layer in layers if layer.has(key)), None)
        origins[key] = layer.place(key) if layer else "default"
    return origins
