"""What an event is in words: a line for people, and what a bar shows of it. Knows events; prints nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workspace.events import Event


def sentence(event: Event) -> str:
    """Word an event in one line; empty for those that only a live view shows."""
    match event.type:
        case "run_started":
            return f"{'resumed' if event.resumed else 'started'} {event.run_id} (profile {event.profile})"
        case "step_started":
            return f"{event.role}: {event.label} ..."
        case "step_finished":
            kept = " (kept from before)" if event.replayed else f" ({event.seconds:.1f} s)"
            return f"{event.role}: {event.key} done{kept}"
        case "design_ready":
            return f"design: {event.design.get('title', '')}"
        case "prompt_ready":
            return f"prompt: {event.prompt.get('short', '')}"
        case "picture_ready":
            return f"picture: {event.path} (seed {event.seed})"
        case "critique_ready":
            told = event.critique
            words = f"fit {told.get('fit')} of 10. {told.get('seen')} {told.get('change')}"
            return f"critique of picture {int(told.get('picture', 0)) + 1}: {words}"
        case "decision":
            return f"director: {event.choice}: {event.reason}"
        case "question":
            return f"question: {event.text}"
        case "notice":
            return f"note: {event.text}"
        case "queued":
            many = f"{event.before} other job{'s' * (event.before != 1)}"
            return f"waiting for {many} to end" if event.before else "starting ..."
        case _:
            return _progress(event)


def _named(event: Event) -> str:
    """What words of an event of progress begin with: its stage, where it has one."""
    stage = getattr(event, "stage", "")
    return f"{stage}: " if stage else ""


def _progress(event: Event) -> str:
    """Word an event of progress in one line."""
    named = _named(event)
    match event.type:
        case "stage_started":
            return f"{named}{event.doing}"
        case "stage_finished":
            return f"{named}{'done' if event.made else 'done before'}"
        case "waiting" if not event.done and not event.of:
            return f"{named}{event.doing} ..."
        case "rows_prepared":
            words = f"{named}{event.rows:,} rows, {event.tokens:,} tokens, {event.truncated:.1%} cut"
            return f"{words}; {event.left_out}" if event.left_out else words
        case "remark":
            return f"{named or 'note: '}{event.text}"
        case "document_read" if event.why:
            return f"{named}skipped {event.document}: {event.why}"
        case "passage_distilled" if event.why:
            return f"{named}passage {event.passage}: {event.why}"
        case "job_started" if event.attempt > 1:
            return f"attempt {event.attempt} of {event.run_id}"
        case _:
            return ""


def counted(event: Event) -> tuple[str, int, int, str] | None:
    """What a bar shows of an event: what is counted, how many, of how many, and words beside it."""
    match event.type:
        case "picture_progress":
            return "painting", event.step, event.steps, ""
        case "training_step":
            rates = ((event.tokens_s, "tokens/s"), (event.pictures_s, "pictures/s"))
            words = [f"loss {event.loss:.4g}", *(f"{rate:,.4g} {unit}" for rate, unit in rates if rate is not None)]
            words += [] if event.held_out is None else [f"held out {event.held_out:.4g}"]
            words += [] if event.left_s is None else [f"{event.left_s:.0f} s left"]
            return event.stage or "step", event.step, event.of, "  ".join(words)
        case "document_read":
            return event.stage or "document", event.documents, event.of, ""
        case "vectors_made":
            words = [] if event.left_s is None else [f"{span(event.left_s)} left"]
            return "meaning of passages", event.passages, event.of, "  ".join(words)
        case "passage_distilled":
            words = [f"{event.rows} rows", f"{event.per_minute:g} passages/min", f"{event.left_s:.0f} s left"]
            return event.stage or "passage", event.passages, event.of, "  ".join(words)
        case "questions_answered":
            return f"questions to {event.model}", event.answered, event.of, ""
        case "batch_progress":
            words = [f"{event.running} at work", *([f"{event.failed:,} failed"] if event.failed else [])]
            rates = ((event.tokens_s, "tokens/s"), (event.pictures_s, "pictures/s"))
            words += [f"{rate:,.{0 if rate >= 10 else 2}f} {unit}" for rate, unit in rates if rate is not None]
            words += [] if event.left_s is None else [f"{span(event.left_s)} left"]
            return "designs", event.done + event.failed, event.of, "  ".join(words)
        case "downloaded":
            from workspace.progress import amount

            whole = f"of {amount(event.of)}" if event.of else "(size unknown)"
            return event.file, event.bytes, event.of, f"{amount(event.bytes)} {whole}"
        case "waiting" if event.of:
            from workspace.progress import amount

            words = [f"{amount(event.bytes)} of {amount(event.of)}"]
            words += [] if event.left_s is None else [f"{span(event.left_s)} left"]
            return f"{_named(event)}{event.doing}", event.bytes, event.of, "  ".join(words)
        case _:
            return None


def span(seconds: float) -> str:
    """A time in the unit that suits it."""
    for unit, length, from_here in (("days", 86_400.0, 172_800.0), ("h", 3600.0, 7200.0), ("min", 60.0, 120.0)):
        if seconds >= from_here:
            return f"{seconds / length:.1f} {unit}" if seconds < 10 * length else f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def number(event: Event, count: tuple[str, int, int, str]) -> str:
    """How many of how many, where they are things that a person counts."""
    return "" if event.type in ("downloaded", "waiting") else f"{count[1]:,} of {count[2]:,}"
