"""The tables of the shelf and of opinions, in SQLite's words. Knows columns; nothing of who fills them."""

from __future__ import annotations

SCHEMA = """
CREATE TABLE IF NOT EXISTS shelf_runs (
    run_id TEXT PRIMARY KEY, created REAL NOT NULL, seen REAL NOT NULL, title TEXT NOT NULL, brief TEXT NOT NULL,
    words TEXT NOT NULL, program TEXT NOT NULL, models TEXT NOT NULL, adapter TEXT NOT NULL, family TEXT NOT NULL,
    score REAL, best TEXT NOT NULL, pictures INTEGER NOT NULL, fault TEXT NOT NULL,
    star INTEGER NOT NULL DEFAULT 0, rating INTEGER NOT NULL DEFAULT 0, binned REAL NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS shelf_runs_by_time ON shelf_runs (created, run_id);
CREATE INDEX IF NOT EXISTS shelf_runs_in_bin ON shelf_runs (binned) WHERE binned > 0;
CREATE TABLE IF NOT EXISTS shelf_pictures (
    run_id TEXT NOT NULL, name TEXT NOT NULL, created REAL NOT NULL, seed INTEGER NOT NULL, round INTEGER NOT NULL,
    score REAL, width INTEGER NOT NULL, height INTEGER NOT NULL, sha256 TEXT NOT NULL, prompt TEXT NOT NULL,
    star INTEGER NOT NULL DEFAULT 0, rating INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (run_id, name)
) STRICT;
CREATE INDEX IF NOT EXISTS shelf_pictures_by_time ON shelf_pictures (created, run_id, name);
CREATE INDEX IF NOT EXISTS shelf_pictures_by_hash ON shelf_pictures (sha256);
CREATE TABLE IF NOT EXISTS boards (
    name TEXT NOT NULL, run_id TEXT NOT NULL, picture TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (name, run_id, picture)
) STRICT;
CREATE INDEX IF NOT EXISTS boards_by_run ON boards (run_id);
CREATE TABLE IF NOT EXISTS shelf_filled (
    name TEXT PRIMARY KEY, at REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS feedback (
    feedback_id TEXT PRIMARY KEY, run_id TEXT NOT NULL, subject TEXT NOT NULL, kind TEXT NOT NULL,
    value TEXT NOT NULL, reason TEXT NOT NULL, who TEXT NOT NULL, at REAL NOT NULL, data TEXT NOT NULL,
    provenance TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS feedback_by_run ON feedback (run_id, subject);
CREATE INDEX IF NOT EXISTS feedback_by_time ON feedback (at, feedback_id);
CREATE INDEX IF NOT EXISTS jobs_by_update ON jobs (kind, updated)
"""
"""Rows of the shelf say what is listed of a run and of a picture; their last columns are a person's marks."""
