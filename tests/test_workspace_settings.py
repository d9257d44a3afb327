import tomllib
from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from workspace.errors import StorageError, StudioError, UsageError
from workspace.layers import PROFILES
from workspace.settings import ROLES, ChatSettings, PainterSettings, RoleSettings, Settings, load_settings, resolved


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """An empty working directory and home, and no STUDIO_ variables but STUDIO_HOME."""
    import os

    for name in list(os.environ):
        if name.startswith("STUDIO_"):
            monkeypatch.delenv(name)
    (tmp_path / "cwd").mkdir()
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "home"))
    return tmp_path


def _write(place, where, text):
    path = place / where / "studio.toml"
    path.write_text(text)
    return path


def test_the_embedded_profile_is_the_default(place):
    settings = load_settings()
    assert settings.profile == "embedded"
    assert settings.home == place / "home"
    assert (settings.chat.model, settings.chat.server) == ("smollm2-135m-instruct", None)
    assert settings.painter.model == "studio-micro-flux"
    assert settings.origins["chat.model"] == "profile embedded"
    assert settings.origins["home"] == "STUDIO_HOME"
    assert settings.origins["flow.images"] == "default"


def test_the_shipped_profiles(place):
    gpu = load_settings("gpu")
    assert gpu.chat.server == "http://127.0.0.1:8000/v1"
    assert (gpu.vision.server, gpu.sees) == ("http://127.0.0.1:8001/v1", True)
    assert (gpu.painter.model, gpu.painter.adapter, gpu.painter.size) == ("flux.1-dev", "leaf-flux-lora", 1024)
    assert (gpu.painter.device, gpu.painter.dtype) == ("cuda", "bfloat16")
    remote = load_settings("remote")
    assert (remote.chat.api_key_env, remote.vision.model, remote.vision.server) == (
        "OPENAI_API_KEY",
        "studio-critic",
        None,
    )
    assert (remote.painter.model, remote.origins["painter.model"]) == ("studio-micro-flux", "profile embedded")
    assert {path.stem for path in PROFILES.glob("*.toml")} == {"embedded", "gpu", "remote"}


LEVELS = ("command line", "variable", "cwd", "home", "profile")


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    given_at=st.dictionaries(
        st.sampled_from(LEVELS),
        st.dictionaries(
            st.sampled_from(["flow.images", "chat.retries", "roles.critic.top_k", "sampling.max_tokens"]),
            st.integers(1, 9),
            min_size=1,
        ),
    )
)
def test_the_nearer_place_wins_key_by_key(tmp_path_factory, given_at):
    place = tmp_path_factory.mktemp("settings")
    for name in ("cwd", "home"):
        (place / name).mkdir()
        _write(place, name, _toml(given_at.get(name, {})))
    (place / "mine.toml").write_text(_toml(given_at.get("profile", {})))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_HOME", str(place / "home"))
        for key, value in given_at.get("variable", {}).items():
            patch.setenv("STUDIO_" + key.upper().replace(".", "__"), str(value))
        settings = load_settings(str(place / "mine.toml"), given_at.get("command line"), place / "cwd")
    words = {
        "command line": "command line",
        "variable": "STUDIO_",
        "cwd": str(place / "cwd" / "studio.toml"),
        "home": str(place / "home" / "studio.toml"),
        "profile": str(place / "mine.toml"),
    }
    for key in {key for keys in given_at.values() for key in keys}:
        winner = next(level for level in LEVELS if key in given_at.get(level, {}))
        assert _at(settings, key) == given_at[winner][key]
        assert settings.origins[key].startswith(words[winner])


def _toml(dotted):
    return "".join(f"{key} = {value}\n" for key, value in dotted.items())


def _at(settings, key):
    inner = settings.model_dump()
    for part in key.split("."):
        inner = inner[part]
    return inner


@hypothesis_settings(max_examples=150, deadline=None)
@given(
    text=st.one_of(
        st.binary(max_size=200),
        st.text(alphabet="[]{}=\"'.,#\n\t abcx019_-:Té", max_size=120).map(str.encode),
        st.lists(
            st.sampled_from(
                [
                    "[chat]",
                    "[[chat]]",
                    "[roles.critic]",
                    "[roles]",
                    "chat = 1",
                    "images = 'x'",
                    "model = ''",
                    "home = 1",
                    "flow = []",
                    "flow.images = 2020-01-01",
                    "top_p = nan",
                    "timeout = inf",
                    "profile = 3",
                    "model = 7",
                ]
            ),
            max_size=6,
        ).map(lambda lines: "\n".join(lines).encode()),
    )
)
def test_any_file_gives_settings_or_one_line_that_names_it(tmp_path_factory, text):
    cwd = tmp_path_factory.mktemp("settings")
    (cwd / "studio.toml").write_bytes(text)
    try:
        load_settings(cwd=cwd)
    except StudioError as error:
        assert error.exit_code == 2
        assert "studio.toml" in str(error) or "profile" in str(error)
        assert "\n" not in str(error)


@pytest.mark.parametrize(
    "text, words",
    [
        ("[chat\n", "is not TOML: .*line 1"),
        ("x = " + "[" * 5000, "is nested too deeply|is not TOML"),
        ("[flow]\nimages = 'two'\n", r"line 2: flow.images should be a valid integer.*, not 'two'"),
        ("\n\n[flow]\nimages = 0\n", "line 4: flow.images should be greater than or equal to 1, not 0"),
        ("flow.images = 1000", "line 1: flow.images should be less than or equal to 64, not 1000"),
        ("[painter]\nsize = 100", "line 2: painter.size should be a multiple of 16, not 100"),
        ("[chat]\nserver = 'ftp://x'", "line 2: chat.server must begin with http"),
        ("[chat]\nmodl = 'x'", r"line 2: unknown setting 'chat.modl'; did you mean 'chat.model'\?"),
        ("temperature = 1.0", r"line 1: unknown setting 'temperature'; did you mean '.*temperature'\?"),
        ("[roles.cricket]\nmodel = 'x'", r"unknown setting 'roles.cricket.model'; did you mean 'roles.critic.model'"),
        ("[zzz]\nqqq = 1", "unknown setting 'zzz.qqq'$"),
        ("chat = 3", "line 1: chat should be a section, not 3"),
        ("[roles]\ncritic = 'x'", "line 2: roles.critic should be a section, not 'x'"),
        ("[sampling]\ntop_p = nan", "line 2: sampling.top_p should be"),
        ("[flow]\nimages = 0\nrounds = 0", r"\(and 1 more\)"),
        ("[chat]\napi_key_env = 'sk-secret-key'", "line 2: chat.api_key_env"),
        ("home = 3", "line 1: home should be a folder, not 3"),
        ("[flow.images]\nx = 1", "unknown setting 'flow.images.x'"),
    ],
)
def test_a_broken_file_is_named_with_line_and_key(place, monkeypatch, text, words):
    monkeypatch.delenv("STUDIO_HOME")
    monkeypatch.setenv("STUDIO_TRUST_FOLDER", str(place / "cwd"))
    path = _write(place, "cwd", text)
    with pytest.raises(UsageError, match=words) as caught:
        load_settings()
    assert str(path) in str(caught.value)
    assert "sk-secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text_or_no_file(place):
    _write(place, "cwd", "").write_bytes(b"a = '\xff'")
    with pytest.raises(UsageError, match=r"studio\.toml is not UTF-8 text: byte 5"):
        load_settings()
    (place / "cwd" / "studio.toml").unlink()
    (place / "cwd" / "studio.toml").mkdir()
    with pytest.raises(StorageError, match=r"cannot read .*studio\.toml: Is a directory"):
        load_settings()


def test_home_and_profile_only_where_they_make_sense(place):
    _write(place, "home", 'home = "/elsewhere"')
    with pytest.raises(UsageError, match=r"home/studio\.toml, line 1: home cannot be set here"):
        load_settings()
    _write(place, "home", 'profile = "gpu"')
    assert load_settings().profile == "gpu"
    assert load_settings("remote").profile == "remote"
    (place / "mine.toml").write_text('profile = "gpu"')
    with pytest.raises(UsageError, match="profile cannot be set here"):
        load_settings(str(place / "mine.toml"))


def test_profile_files_and_relative_places(place, monkeypatch):
    (place / "cwd" / "mine.toml").write_text("[flow]\nimages = 7\n")
    (place / "cwd" / "below").mkdir()
    assert load_settings("mine.toml").flow.images == 7
    monkeypatch.delenv("STUDIO_HOME")
    monkeypatch.setenv("STUDIO_TRUST_FOLDER", str(place / "cwd"))
    _write(place, "cwd", 'home = "data"\nprofile = "./mine.toml"')
    monkeypatch.chdir(place)
    settings = load_settings(cwd=place / "cwd")
    assert settings.home == place / "cwd" / "data"
    assert settings.flow.images == 7
    assert settings.origins["home"].endswith("studio.toml, line 1")
    with pytest.raises(UsageError, match=r"there is no profile file .*none\.toml"):
        load_settings("none.toml")
    with pytest.raises(
        UsageError, match=r"unknown profile 'gpuu'; did you mean 'gpu'\? choices: embedded, gpu, remote"
    ):
        load_settings("gpuu")


def test_the_home_directory_is_the_last_resort(place, monkeypatch):
    monkeypatch.delenv("STUDIO_HOME")
    monkeypatch.setenv("HOME", str(place))
    assert load_settings().home == place / ".studio"
    monkeypatch.setenv("STUDIO_HOME", "~/data")
    assert load_settings().home == place / "data"
    monkeypatch.setenv("STUDIO_HOME", "")
    assert load_settings(overrides={"home": place / "home"}).home == place / "home"


def test_variables(monkeypatch):
    monkeypatch.setenv("STUDIO_CHAT__SERVER", "http://127.0.0.1:9/v1/")
    monkeypatch.setenv("STUDIO_ROLES__CRITIC__MAX_TOKENS", "77")
    monkeypatch.setenv("STUDIO_FLOW__REVIEW", "true")
    monkeypatch.setenv("STUDIO_FLOW__IMAGES", "")
    monkeypatch.setenv("STUDIO_SOMETHING_ELSE", "is left alone")
    settings = load_settings("gpu")
    assert settings.chat.server == "http://127.0.0.1:9/v1"
    assert settings.roles["critic"].max_tokens == 77
    assert (settings.flow.review, settings.flow.images) == (True, 2)
    assert settings.origins["chat.server"] == "STUDIO_CHAT__SERVER"
    monkeypatch.setenv("STUDIO_VISION__MODEL", "none")
    assert not load_settings("gpu").sees
    monkeypatch.setenv("STUDIO_FLOW__IMAGE", "3")
    with pytest.raises(
        UsageError, match=r"STUDIO_FLOW__IMAGE: unknown setting 'flow.image'; did you mean 'flow.images'"
    ):
        load_settings()
    monkeypatch.delenv("STUDIO_FLOW__IMAGE")
    monkeypatch.setenv("STUDIO_FLOW__IMAGES", "many")
    with pytest.raises(UsageError, match=r"STUDIO_FLOW__IMAGES: flow.images should be a valid integer"):
        load_settings()
    monkeypatch.setenv("STUDIO_FLOW__IMAGES", "3")
    monkeypatch.setenv("STUDIO_FLOW__IMAGES__MORE", "3")
    with pytest.raises(UsageError, match="set both as a value and as a section"):
        load_settings()


def test_the_queue_is_set_as_everything_else(place, monkeypatch):
    assert (load_settings().queue.jobs_at_once, load_settings().queue.light_at_once) == (1, 4)
    path = _write(place, "home", "[queue]\njobs_at_once = 2\nlight_at_once = 8\n")
    monkeypatch.setenv("STUDIO_QUEUE__JOBS_AT_ONCE", "3")
    settings = load_settings()
    assert (settings.queue.jobs_at_once, settings.queue.light_at_once) == (3, 8)
    assert settings.origins["queue.jobs_at_once"] == "STUDIO_QUEUE__JOBS_AT_ONCE"
    assert settings.origins["queue.light_at_once"] == f"{path}, line 3"
    assert load_settings(overrides={"queue.jobs_at_once": 4}).queue.jobs_at_once == 4
    for key, value in {"jobs_at_once": 0, "light_at_once": 33}.items():
        with pytest.raises(UsageError, match=rf"command line: queue\.{key} should be .*, not {value}"):
            load_settings(overrides={f"queue.{key}": value})


def test_the_command_line():
    assert load_settings(overrides={"flow.images": 5, "painter.size": None}).flow.images == 5
    with pytest.raises(UsageError, match=r"command line: flow.images should be greater than or equal to 1, not 0"):
        load_settings(overrides={"flow.images": 0})
    with pytest.raises(UsageError, match=r"command line: unknown setting 'flow.pictures'"):
        load_settings(overrides={"flow.pictures": 0})


def _leaves(model, path=()):
    for name, info in model.model_fields.items():
        held = (info.annotation, *getattr(info.annotation, "__args__", ()))
        inner = next((kind for kind in held if hasattr(kind, "model_fields")), None)
        yield from _leaves(inner, (*path, name)) if inner else [(".".join((*path, name)), info)]


def _bounded(schema):
    if "enum" in schema or "const" in schema or schema.get("type") in ("boolean", "null"):
        return True
    if "anyOf" in schema:
        return all(map(_bounded, schema["anyOf"]))
    if schema["type"] in ("integer", "number"):
        return bool({"minimum", "exclusiveMinimum"} & schema.keys()) and "maximum" in schema
    if schema["type"] == "array":
        return "maxItems" in schema and _bounded(schema["items"])
    return schema.get("format") == "path" or "maxLength" in schema or "pattern" in schema


def test_every_setting_is_described_and_bounded():
    leaves = dict(_leaves(Settings))
    assert len(leaves) > 50 and {"home", "chat.timeout", "roles.top_k", "queue.jobs_at_once"} <= leaves.keys()
    for key, info in leaves.items():
        assert info.description, key
        schema = TypeAdapter(Annotated[info.annotation, info]).json_schema()
        assert _bounded(schema), (key, schema)


def test_roles_inherit_what_they_do_not_set():
    settings = Settings(
        chat=ChatSettings(model="big", server="http://a/v1", api_key_env="KEY", adapter="leafy"),
        painter=PainterSettings(model="flux"),
        roles={
            "engineer": RoleSettings(temperature=0, max_tokens=99),
            "reviewer": RoleSettings(model="small", server="none", api_key_env="none"),
        },
    )
    assert resolved(settings, "scientist").chat == settings.chat
    assert resolved(settings, "scientist").sampling == settings.sampling
    engineer = resolved(settings, "engineer")
    assert (engineer.chat, engineer.sampling.temperature, engineer.sampling.max_tokens) == (settings.chat, 0, 99)
    reviewer = resolved(settings, "reviewer").chat
    assert (reviewer.model, reviewer.server, reviewer.api_key_env, reviewer.adapter) == ("small", None, None, None)
    with pytest.raises(UsageError, match="no vision model is set"):
        resolved(settings, "critic")
    with pytest.raises(UsageError, match=r"unknown role 'critc'; did you mean 'critic'"):
        resolved(settings, "critc")


def test_the_critic_inherits_from_vision():
    settings = load_settings("gpu", {"roles.critic.timeout": 5})
    critic = resolved(settings, "critic").chat
    assert (critic.model, critic.server, critic.timeout) == ("smolvlm2-2.2b-instruct", "http://127.0.0.1:8001/v1", 5)
    assert load_settings(overrides={"roles.critic.model": "eye"}).sees
    for role in ROLES:
        assert resolved(settings, role).chat.model


def test_settings_survive_json():
    settings = load_settings("gpu", {"roles.critic.server": "none", "roles.engineer.top_k": 3})
    again = Settings.model_validate(settings.model_dump(mode="json"))
    assert again.model_dump() == settings.model_dump()
    assert resolved(again, "critic") == resolved(settings, "critic")


def test_settings_built_directly_read_no_file_and_no_variable(place, monkeypatch):
    _write(place, "cwd", "[flow]\nimages = 9")
    monkeypatch.setenv("STUDIO_FLOW__IMAGES", "8")
    built = Settings(chat=ChatSettings(model="a"), painter=PainterSettings(model="b"))
    assert built.flow.images == 2
    assert built.origins == {}


def test_profiles_hold_only_what_differs_from_what_lies_below():
    embedded = tomllib.loads((PROFILES / "embedded.toml").read_text())
    for path in PROFILES.glob("*.toml"):
        for section, fields in tomllib.loads(path.read_text()).items():
            model = Settings.model_fields[section].annotation
            for key, value in fields.items():
                below = {} if path.stem == "embedded" else embedded.get(section, {})
                assert below.get(key, model.model_fields[key].get_default()) != value, (path, section, key)
    assert Path(PROFILES).is_dir()


def test_an_adapter_belongs_to_one_model(place, monkeypatch):
    assert load_settings().chat.adapter == "studio-writer"
    assert [load_settings(name).chat.adapter for name in ("gpu", "remote")] == [None, None]
    other = load_settings(overrides={"chat.model": "smollm2-1.7b-instruct"})
    assert other.chat.adapter is None
    assert other.origins["chat.adapter"] == "another model at command line"
    same = load_settings(overrides={"chat.model": "smollm2-135m-instruct"})
    assert same.chat.adapter == "studio-writer"
    own = load_settings(overrides={"chat.model": "smollm2-1.7b-instruct", "chat.adapter": "mine"})
    assert own.chat.adapter == "mine"
    _write(place, "home", '[chat]\nmodel = "mine"\nadapter = "for-mine"\n')
    assert (load_settings().chat.model, load_settings().chat.adapter) == ("mine", "for-mine")
    monkeypatch.setenv("STUDIO_CHAT__MODEL", "theirs")
    assert (load_settings().chat.model, load_settings().chat.adapter) == ("theirs", None)
    assert load_settings(overrides={"chat.adapter": "none"}).chat.adapter is None


@pytest.mark.parametrize(
    "text",
    [
        '[chat]\nserver = "http://127.0.0.1:9/v1"',
        '[chat]\napi_key_env = "AWS_SECRET_ACCESS_KEY"',
        '[vision]\nserver = "http://127.0.0.1:9/v1"',
        '[roles.engineer]\napi_key_env = "AWS_SECRET_ACCESS_KEY"',
    ],
)
@pytest.mark.parametrize("way", ["itself", "by a profile"])
def test_the_working_folder_may_not_say_where_briefs_and_keys_go(place, monkeypatch, text, way):
    cwd = place / "cwd"
    if way == "itself":
        _write(place, "cwd", text)
    else:
        _write(place, "cwd", 'profile = "./mine.toml"')
        (cwd / "mine.toml").write_text(text)
    with pytest.raises(UsageError, match=r"is not taken from the working folder.*STUDIO_TRUST_FOLDER"):
        load_settings()
    monkeypatch.setenv("STUDIO_TRUST_FOLDER", f"/elsewhere:{cwd}")
    assert "127.0.0.1:9" in str(load_settings()) or "AWS_SECRET" in str(load_settings())


def test_a_working_folder_names_no_home_in_whose_queue_anything_may_wait(place, monkeypatch):
    monkeypatch.delenv("STUDIO_HOME")
    _write(place, "cwd", 'home = "data"')
    with pytest.raises(UsageError, match=r"line 1: home is not taken from the working folder.*STUDIO_TRUST_FOLDER"):
        load_settings()
    monkeypatch.setenv("STUDIO_TRUST_FOLDER", str(place / "cwd"))
    assert load_settings().home == place / "cwd" / "data"


def test_a_profile_that_was_typed_is_a_yes(place):
    (place / "cwd" / "mine.toml").write_text('[chat]\nserver = "http://127.0.0.1:9/v1"')
    assert load_settings("mine.toml").chat.server == "http://127.0.0.1:9/v1"


def test_the_home_itself_may_be_the_working_folder(place, monkeypatch):
    _write(place, "home", '[chat]\nserver = "http://127.0.0.1:9/v1"')
    monkeypatch.chdir(place / "home")
    assert load_settings().chat.server == "http://127.0.0.1:9/v1"
