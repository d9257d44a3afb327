"""Part `interactive` of `page.py`: from the command to the first letter typed, beside a bare Gradio app in turns."""

from __future__ import annotations

import statistics
import time
from typing import Any

from home import environment, fresh_home
from page_served import Served, browsing, ratio, visiting

BAR = 1.3
LATER = 3
"""Visitors after the first one of a server, each of whom has nothing kept either."""
BARE = """
import gradio as gr
with gr.Blocks(title="Bare", analytics_enabled=False) as page:
    gr.Textbox(label="Brief")
page.launch(server_name="127.0.0.1", server_port={port}, quiet=True, ssr_mode=False)
"""
FIELDS = {"studio": "#ask-brief", "bare": "textarea, input[type=text]"}
PAGES = ("", "library", "compare", "models", "training", "batch", "jobs", "settings")


def served(name: str, env: dict[str, str]) -> Served:
    """One of the two servers, being started."""
    return Served(env) if name == "studio" else Served(env, ("-c", BARE))


def typed(page: Any, address: str, field: str) -> float:
    """Open a page; return the seconds until its field holds a letter that was typed."""
    began = time.perf_counter()
    page.goto(address, wait_until="commit")
    page.locator(field).first.fill("a")
    return time.perf_counter() - began


def one(name: str, env: dict[str, str], browser: Any) -> dict[str, float]:
    """Start a server, open its page as a new visitor and as some later ones, end it; the seconds that each took."""
    with served(name, env) as server:
        answers, opens = server.answered(), list[float]()
        for _ in range(1 + LATER):
            with visiting(browser) as page:
                opens.append(typed(page, server.address, FIELDS[name]))
    first, *later = opens
    return {
        "answers_s": answers,
        "opens_s": first,
        "interactive_s": answers + first,
        "later_visitor_s": statistics.median(later),
    }


def weight(name: str, env: dict[str, str], browser: Any) -> dict[str, Any]:
    """What the first page brings: requests and bytes as they travel, until two seconds after it can be typed into."""
    with served(name, env) as server, visiting(browser) as page:
        server.answered()
        told = {"requests": 0, "kilobytes": 0.0}
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")

        def asked(event: dict[str, Any]) -> None:
            told["requests"] += str(event["request"]["url"]).startswith(server.address)

        def came(event: dict[str, Any]) -> None:
            told["kilobytes"] += event["encodedDataLength"] / 1000

        session.on("Network.requestWillBeSent", asked)
        session.on("Network.loadingFinished", came)
        typed(page, server.address, FIELDS[name])
        page.wait_for_timeout(2000)
        found: dict[str, Any] = {"requests": told["requests"], "kilobytes": round(told["kilobytes"], 1)}
        if name == "studio":
            for place in PAGES:
                page.goto(f"{server.address}{place}", wait_until="load")
                page.wait_for_timeout(500)
            found["torch_in_web_process"] = server.holds("/torch/")
    return found


def figures(rounds: int = 9) -> dict[str, Any]:
    """Measure both in turns, after a round that is not counted.

    Args:
        rounds: How often each is started.
    """
    took: dict[str, list[dict[str, float]]] = {"studio": [], "bare": []}
    with fresh_home() as home, browsing() as browser:
        env = environment(home, GRADIO_ANALYTICS_ENABLED="False")
        for number in range(rounds + 1):
            for name in sorted(took, reverse=bool(number % 2)):
                seconds = one(name, env, browser)
                if number:
                    took[name].append(seconds)
        weights = {name: weight(name, env, browser) for name in took}
    median = {
        name: {key: round(statistics.median(row[key] for row in rows), 3) for key in rows[0]}
        for name, rows in took.items()
    }
    ratios = {key: ratio(*([row[key] for row in took[name]] for name in took)) for key in took["studio"][0]}
    torch = weights["studio"].pop("torch_in_web_process")
    return {
        "rounds": rounds,
        "median_seconds": median,
        "ratio": ratios,
        "bar": BAR,
        "weight": weights,
        "torch_in_web_process": torch,
        "passed": ratios["interactive_s"] <= BAR and not torch,
    }
