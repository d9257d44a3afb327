from __future__ import annotations

import pytest
from langchain_core.messages import HumanMessage
from pydantic import BaseModel, ConfigDict, Field

from models.chat.local import LocalChat
from models.chat.remote import remote
from models.chat.structured import structured
from tests.fixtures_chat import ScriptedServer
from workspace.settings import ChatSettings, RoleCall, SamplingSettings

pytest_plugins = ["tests.fixtures_local"]
ASK = [HumanMessage("Write the layer down.")]


class Note(BaseModel):
    model_config = ConfigDict(extra="forbid")
    title: str = Field(min_length=3, max_length=60)
    score: int = Field(ge=1, le=9)


@pytest.fixture
def far(openai_server: ScriptedServer) -> LocalChat:
    chat = ChatSettings(model="tiny", server=openai_server.url, timeout=10, retries=0)
    return remote(RoleCall(chat=chat, sampling=SamplingSettings()))  # type: ignore[return-value]


def test_a_local_model_fills(tiny_chat: LocalChat) -> None:
    told: list[str] = []
    done = structured(tiny_chat, Note, ASK, seed=2, hints={"title": ["outer shell"]}, on_text=told.append)
    assert done.value.title == "outer shell"
    assert any(line.startswith("score: ") for line in told)


def test_hints_reach_a_served_model(openai_server: ScriptedServer, far: LocalChat) -> None:
    openai_server.script = [{"title": "Outer shell", "score": 7}]
    told: list[str] = []
    done = structured(far, Note, ASK, seed=2, hints={"title": ["Outer shell"]}, on_text=told.append)
    assert done.value.title == "Outer shell"
    assert [Note.model_validate_json(text) for text in told] == [done.value]
    assert "Outer shell" in str(openai_server.requests[0]["messages"])
