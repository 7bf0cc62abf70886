# SPDX-License-Identifier: MIT
"""`bl2mqtt history gaps` and `history events`: on files that an independent hand made, and on what a
real service leaves behind when it is stopped, killed, and its adapter pulled."""

import datetime
import json
import signal
import sqlite3
import time

import pytest

from harness import SimulatedMeter, run, wait_for, write_config
from test_history import BERLIN, make_history, ms

BEGIN = ms("2026-10-24T22:00+00:00")  # midnight in Berlin
MINUTE = 60000


def put_events(path, events):
    """events: (ms, number, kind)"""
    with sqlite3.connect(path) as db:
        db.executemany("INSERT INTO event VALUES (?, ?, ?)",
                       ((at << 15 | number, kind, f"Something about {kind}.") for at, number, kind in events))


def minutes(*spans, number=1, step=1000):
    """A reading each second in each span of minutes since BEGIN."""
    return [(at, number, 100, 0, 0) for begin, end in spans
            for at in range(BEGIN + begin * MINUTE, BEGIN + end * MINUTE + 1, step)]


@pytest.fixture
def night(folder):
    path = folder / "history.db"
    rows = minutes((0, 10), (12, 20), (30, 40), (50, 60), (61, 70)) + minutes((0, 70), number=2, step=20000)
    make_history(path, {1: ("house", "a"), 2: ("house", "b"), 3: ("barn", "a")}, rows)
    at = lambda minute: BEGIN + minute * MINUTE
    put_events(path, [
        (at(10) + 5000, 1, "offline"), (at(10) + 6000, 1, "port_gone"), (at(12), 1, "online"),
        (at(20) + 500, 0, "stopped"), (at(30) - 500, 0, "started"),
        (at(41), 2, "offline"),  # another channel's
        (at(60) + 20000, 1, "chip_reset"),
    ])
    return path


def ask(command, path, *args):
    result = run("history", command, "--database", path, *args, "--json", env=BERLIN)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


SPAN = ("--from", "2026-10-25", "--to", "2026-10-25T01:10")


def test_gaps_and_their_reasons(night):
    gaps = ask("gaps", night, "--device", "house", *SPAN, "--min", "30s")
    assert list(gaps[0]) == ["start", "end", "device", "channel", "reason"]
    assert [(gap["start"][11:], gap["end"][11:], gap["channel"], gap["reason"]) for gap in gaps] == [
        ("00:10:00+02:00", "00:12:00+02:00", "a", "port_gone"),
        ("00:20:00+02:00", "00:30:00+02:00", "a", "service_stopped"),
        ("00:40:00+02:00", "00:50:00+02:00", "a", "unknown"),
        ("01:00:00+02:00", "01:01:00+02:00", "a", "unknown")]
    assert len(ask("gaps", night, "--device", "house", *SPAN, "--min", "5m")) == 2
    # a minute is not longer than a minute; and b, read every 20 s, has none
    assert len(ask("gaps", night, "--device", "house", *SPAN)) == 3
    assert ask("gaps", night, "--device", "house", "--channel", "b", *SPAN, "--min", "21s") == []
    text = run("history", "gaps", "--database", night, "--device", "house", *SPAN, env=BERLIN).stdout
    assert "10:00" in text and "service_stopped" in text and len(text.splitlines()) == 4


def test_gaps_are_cut_to_the_span(night):
    gaps = ask("gaps", night, "--device", "house", "--channel", "a", "--from", "2026-10-25T00:22", "--to",
               "2026-10-25T00:28")
    assert [(gap["start"][11:19], gap["end"][11:19], gap["reason"]) for gap in gaps] == [
        ("00:22:00", "00:28:00", "service_stopped")]
    # still going on when the span ends; a reason from before the span
    gaps = ask("gaps", night, "--device", "house", "--channel", "a", "--from", "2026-10-25T01:05", "--to",
               "2026-10-25T03:00")
    assert [(gap["start"][11:], gap["end"][11:]) for gap in gaps] == [("01:10:00+02:00", "03:00:00+01:00")]
    # a channel that was configured and never answered; the other device has no part in it
    gaps = ask("gaps", night, "--device", "barn", *SPAN)
    assert [(gap["start"][11:16], gap["end"][11:16], gap["device"]) for gap in gaps] == [("00:00", "01:10", "barn")]
    assert len(ask("gaps", night, *SPAN)) == 4


def test_gaps_in_the_future_are_none(night):
    gaps = ask("gaps", night, "--device", "house", "--channel", "a", "--from", "2026-10-25", "--to", "2100-01-01")
    assert datetime.datetime.fromisoformat(gaps[-1]["end"]).timestamp() <= time.time()


def test_events(night):
    events = ask("events", night, *SPAN)
    assert len(events) == 7
    assert events[0] == {"time": "2026-10-25T00:10:05+02:00", "device": "house", "channel": "a",
                         "kind": "offline", "message": "Something about offline."}
    assert events[3] == {"time": "2026-10-25T00:20:00.500+02:00", "device": None, "channel": None,
                         "kind": "stopped", "message": "Something about stopped."}
    assert [event["kind"] for event in ask("events", night, "--device", "house", "--channel", "b", *SPAN)] == ["offline"]
    assert len(ask("events", night, "--device", "house", *SPAN)) == 5
    assert ask("events", night, "--device", "barn", *SPAN) == []
    lines = run("history", "events", "--database", night, *SPAN, env=BERLIN).stdout.splitlines()
    assert len(lines) == 7 and "bridge" in lines[3]


def test_many_events(night):
    put_events(night, [(BEGIN + 70 * MINUTE + i, i % 3, "noise") for i in range(1000)])
    events = ask("events", night, "--from", "2026-10-25", "--to", "2026-10-26")
    assert len(events) == 1007
    assert [e["time"] for e in events] == sorted(e["time"] for e in events)


@pytest.mark.parametrize("command", ["gaps", "events"])
def test_wrong_words(night, command):
    for args, words in [(("--device", "garden"), "house a, house b"), (("--from", "soon"), "--from"),
                        (("--channel", "z"), "barn a"),
                        (("--from", "2026-10-02", "--to", "2026-10-01"), "ends before it begins"), (("more",), "more")]:
        result = run("history", command, "--database", night, *args, env=BERLIN)
        assert result.returncode == 2 and words in result.stderr, result.stderr
        assert result.stdout == ""
    assert run("history", command, "--database", night.parent / "none.db").returncode == 2
    assert run("history", command, "--help").stdout.startswith(f"Usage: bl2mqtt history {command}")
    if command == "gaps":
        assert "unit" in run("history", "gaps", "--database", night, "--min", "5").stderr


def test_what_a_service_leaves_behind(folder, broker, spawn):
    meter = SimulatedMeter(folder / "usb-a", "--load", "idle")
    try:
        config = write_config(folder, broker.url, [
            {"id": "house", "driver": "bl0942", "interval": "250ms", "channels": {"a": {"port": f"{folder}/usb-a"}}}],
            history={"commit_interval": "200ms"})
        path = folder / "data/history.db"

        def readings():
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
                return db.execute("SELECT count(*) FROM reading").fetchone()[0]

        def run_until_more(since):
            process = spawn("--config", config, "run")
            process.wait_line("house a is online")
            wait_for(lambda: readings() > since + 2, what="readings")
            return process

        first = run_until_more(-3 if not path.exists() else 0)
        assert first.stop() == 0
        with sqlite3.connect(path) as db:  # that was an hour ago
            for table in ("sample", "sample_counter", "event"):
                db.execute(f"UPDATE {table} SET key = key - (3600000 << 15)")
            db.execute("UPDATE calibration SET valid_from_ms = valid_from_ms - 3600000")
        db.close()
        second = run_until_more(readings())
        second.stop(signal.SIGKILL)
        kinds = [event["kind"] for event in ask("events", path)]
        assert [k for k in kinds if k in ("started", "stopped")] == ["started", "stopped", "started"]
        gaps = ask("gaps", path, "--device", "house", "--min", "1s")
        assert [gap["reason"] for gap in gaps] == ["service_stopped"]
        begin, end = (datetime.datetime.fromisoformat(gaps[0][key]) for key in ("start", "end"))
        assert 3590 < (end - begin).total_seconds() < 3660
    finally:
        meter.close()
