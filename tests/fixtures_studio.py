"""The whole studio on scripted models: no model need be there."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def scripted_studio(scripted_profile: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Scripted chat models and an instant painter; returns the painter."""
    monkeypatch.setattr("studio.runs.preflight.needs", lambda settings: [])
    return scripted_profile
