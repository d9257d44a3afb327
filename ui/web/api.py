"""The API over the front door, at ``/api/v1``: designs submitted, followed, read, taken away. Only where asked for.

Each route is a few lines on the door; options, bounds and descriptions are those of the verbs' own classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response

import studio
from studio.sharing.following import Events
from ui.desk.door import Door
from ui.desk.render import render
from ui.desk.run.following import RUN_ID
from ui.web.api_models import Answer, Fault, Formats, Listed, Listing, NewDesign, Result, State, Stopped
from ui.web.handing import handed
from workspace.errors import ServiceError, StorageError, StudioError, Unfinished, UsageError, masked
from workspace.jobs import SETTLED
from workspace.letters import whole_data

AT = "/api/v1"
ABOUT = """Designs, submitted to the queue of this Studio and read back. Everything is JSON, faults
too: `{"error": ...}`.

A POST says `Content-Type: application/json`. Where a log-in is asked for, every request brings a token of
`studio users token NAME` as `Authorization: Bearer TOKEN`."""

_FAULTS: dict[int | str, dict[str, Any]] = {
    404: {"model": Fault, "description": "There is no such design"},
    422: {"model": Fault, "description": "Something is out of its bounds"},
}
RunId = Annotated[str, Path(pattern=RUN_ID.pattern, max_length=100, description="A design's id")]


def api(door: Door, find: Callable[[str, str], bytes | None]) -> FastAPI:
    """Make the API as an application of its own, to be mounted at `AT`.

    Args:
        door: What it asks.
        find: Gives a picture's PNG file for a run's id and the picture's name, or nothing.
    """
    app = FastAPI(
        title="Studio",
        version=studio.__version__,
        summary="An agentic design studio for bio-inspired materials",
        description=ABOUT,
        docs_url=None,
        redoc_url=None,
        responses=_FAULTS,
    )
    app.exception_handler(StudioError)(_fault)
    app.exception_handler(RequestValidationError)(_invalid)
    app.exception_handler(HTTPException)(_refused)
    app.exception_handler(404)(_refused)
    _add_docs(app)
    _add_designs(app, door)
    _add_reading(app, door, find)
    return app


def _add_docs(app: FastAPI) -> None:
    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return HTMLResponse(render("api", spec=app.openapi(), at=AT))


def _add_designs(app: FastAPI, door: Door) -> None:
    known = Depends(_known(door))

    @app.post("/designs", status_code=202, summary="Submit a design", response_model=State)
    def submit(wish: NewDesign) -> State:
        given = wish.model_dump(exclude_unset=True)
        return State.of(door.job(door.submit(given.pop("brief"), **given)))

    @app.get("/designs", summary="List designs, newest first", response_model=Listing)
    def listing(
        limit: Annotated[int, Query(ge=1, le=200, description="How many at most")] = 20,
        search: Annotated[str, Query(max_length=200, description="Only briefs that hold these words")] = "",
        before: Annotated[float | None, Query(ge=0, description="Only older ones than this moment")] = None,
    ) -> Listing:
        found = studio.list_runs(limit=limit, search=search, before=before, settings=door.settings)
        names = ("run_id", "status", "brief", "created", "message")
        return Listing(designs=[Listed(**{name: getattr(one, name) for name in names}) for one in found])

    @app.get("/designs/{run_id}", summary="How a design stands", response_model=State, dependencies=[known])
    def state(run_id: RunId) -> State:
        job = door.job(run_id)
        going = job.state not in SETTLED and job.state != "queued"
        return State.of(job, studio.job_progress(run_id, settings=door.settings) if going else None)

    @app.post("/designs/{run_id}/stop", summary="Stop a design", response_model=Stopped, dependencies=[known])
    def stop(run_id: RunId) -> Stopped:
        return Stopped(stopped=door.stop(run_id))

    @app.post(
        "/designs/{run_id}/resume",
        status_code=202,
        summary="Go on with a design, or answer what it waits with",
        response_model=State,
        dependencies=[known],
    )
    def resume(run_id: RunId, answer: Answer) -> State:
        given = answer.model_dump(exclude_unset=True)
        if given:
            door.answer(run_id, **given)
        else:
            door.go_on(run_id)
        return State.of(door.job(run_id))


def _add_reading(app: FastAPI, door: Door, find: Callable[[str, str], bytes | None]) -> None:
    known = Depends(_known(door))

    @app.get(
        "/designs/{run_id}/events", summary="What happened after an event", response_model=Events, dependencies=[known]
    )
    def events(
        run_id: RunId,
        after: Annotated[int, Query(ge=0, le=2**53, description="The last event already known")] = 0,
        limit: Annotated[int, Query(ge=1, le=5_000, description="How many at most")] = 500,
    ) -> Events:
        return studio.events_after(run_id, after=after, limit=limit, settings=door.settings)

    @app.get("/designs/{run_id}/result", summary="What a design came to", response_model=Result, dependencies=[known])
    def result(run_id: RunId) -> Result:
        return Result.of(door.open_run(run_id), f"{AT}/designs/{run_id}/pictures")

    @app.get(
        "/designs/{run_id}/pictures/{name}",
        summary="A picture",
        response_class=Response,
        responses={200: {"content": {"image/png": {}}}},
        dependencies=[known],
    )
    def picture(run_id: RunId, name: Annotated[str, Path(pattern=r"^[0-9]{1,6}\.png$")]) -> Response:
        content = find(run_id, name)
        if content is None:
            raise HTTPException(404, "there is no such picture")
        return Response(content, media_type="image/png", headers={"cache-control": "private, max-age=31536000"})

    @app.get(
        "/designs/{run_id}/export",
        summary="A design as one file",
        response_class=Response,
        responses={200: {"content": {"application/octet-stream": {}}}},
        dependencies=[known],
    )
    def export(run_id: RunId, format: Annotated[Formats, Query(description="Which")] = "html") -> Response:
        return handed(door, run_id, format)


def _known(door: Door) -> Callable[[str], None]:
    """A check that a design is there."""

    def check(run_id: str) -> None:
        try:
            kind = door.job(run_id).kind
        except UsageError as error:
            raise HTTPException(404, str(error)) from error
        if kind != "design":
            raise HTTPException(404, f"{run_id} is no design")

    return check


def _said(error: str, status: int, at: str = "") -> JSONResponse:
    told = Fault(error=str(whole_data(masked(error)))[:2_000], at=at)
    return JSONResponse(told.model_dump(), status, {"cache-control": "no-store"})


def _fault(request: Request, error: Any) -> JSONResponse:
    kinds = ((UsageError, 422), (Unfinished, 409), (ServiceError, 503), (StorageError, 503))
    return _said(str(error), next((status for kind, status in kinds if isinstance(error, kind)), 422))


def _refused(request: Request, error: Any) -> JSONResponse:
    return _said(str(error.detail), error.status_code)


def _invalid(request: Request, error: Any) -> JSONResponse:
    first = error.errors()[0]
    place = [str(one) for one in first["loc"] if one not in ("body", "query", "path")]
    at, words = ".".join(place)[:100], str(first["msg"]).removeprefix("Value error, ")
    if first["loc"][:1] == ("path",):
        return _said("there is no such design or picture", 404)
    return _said(f"{at}: {words}" if at else words, 422, at)
