# SPDX-License-Identifier: MIT
"""Sinks: what stands in the history arrives at time-series engines, once and in order, whatever happens on the
way. The engines are real ones where their packages are installed."""

import json
import os
import random
import re
import signal
import sqlite3
import time

import pytest

import house
from engines import Influx, Pretender, VictoriaMetrics
from harness import pause, wait_for, write_config

DEVICE = {"id": "demo", "driver": "simulator", "channels": {"a": {"load": "constant"}, "b": {"load": "constant"}}}
LINE = re.compile(r"bl2mqtt,bridge=test,channel=(\w),device=demo (\S+) (\d+)")
DAY_MS = 86400000
FULL = os.environ.get("TEST_FULL") == "1"  # a whole day behind


def fields(line):
    """(channel, stamp, {field: value}) of a line, by a reader that is not the program's own."""
    channel, pairs, stamp = LINE.fullmatch(line).groups()
    return channel, int(stamp), {key: float(value) for key, value in (p.split("=") for p in pairs.split(","))}


@pytest.fixture
def pretender():
    instance = Pretender()
    yield instance
    instance.close()


@pytest.fixture(params=[Influx, VictoriaMetrics], ids=lambda kind: kind.NAME)
def engine(request, folder):
    if not request.param.there():
        pytest.skip(f"the package of {request.param.NAME} is not installed")
    instance = request.param(folder)
    yield instance
    instance.stop(signal.SIGKILL)


def write(folder, broker, sink, interval="1h", **more):
    path = write_config(folder, broker.url, [{**DEVICE, "interval": interval}], **more)
    config = json.loads(path.read_text())
    config["sinks"] = [{"id": "out", "interval": "1s", **sink}]
    path.write_text(json.dumps(config))
    return path


def make_history(folder, broker, spawn, seconds, since_ms=1700000000000):
    """A history of two channels at one second, as the service would have written it."""
    path = write(folder, broker, {"url": "http://127.0.0.1:1"})
    process = spawn("--config", path, "run")
    stored = house.Stored(folder)
    process.wait_line("Running with")
    assert process.stop() == 0
    dice = random.Random(5)
    db = sqlite3.connect(stored.path)
    with db:
        db.execute("DELETE FROM sample")
        db.executemany("INSERT INTO sample VALUES (?, ?, ?, ?, 0, ?)", (
            (((since_ms + i * 1000) << house.CHANNEL_BITS) | channel, 3600000 + dice.randint(-9999, 9999),
             128118 * channel, 80000 + dice.randint(0, 999), dice.randint(0, 1) * 32)
            for i in range(seconds) for channel in (1, 2)))
        db.execute("UPDATE sink SET cursor = 0")
        db.execute("UPDATE meta SET value = '1' WHERE name = 'stopped_clean'")
    db.close()
    return stored


def rows(stored):
    return stored.query("SELECT count(*) FROM reading")[0][0]


def all_there(engine, stored):
    """Every stored reading is there, and nothing else."""
    wanted = {}
    for key, in stored.query("SELECT key FROM reading"):
        wanted.setdefault("ab"[(key & 32767) - 1], set()).add(key >> house.CHANNEL_BITS)
    got = {channel: set(points) for channel, points in engine.points().items()}
    return got == wanted


def test_lines(folder, broker, spawn, pretender):
    """The values are those of the history, calibrated, in one line per reading, authorised and compressed."""
    stored = make_history(folder, broker, spawn, 50)
    path = write(folder, broker, {"url": pretender.url + "/insert/0/influx/", "bucket": "a b&c", "org": "ö",
                                  "token": "s3cret", "batch": 30})
    process = spawn("--config", path, "run")
    wait_for(lambda: sum(len(lines) for *_, lines in pretender.requests) >= 100, 10, "all lines")
    assert process.stop() == 0
    assert "s3cret" not in process.output
    where, headers, _ = pretender.requests[0]
    assert where == "/insert/0/influx/api/v2/write?precision=ms&org=%C3%B6&bucket=a%20b%26c"
    assert headers["Authorization"] == "Token s3cret" and headers["Content-Encoding"] == "gzip"
    lines = [line for *_, lines in pretender.requests for line in lines]
    assert max(len(lines) for *_, lines in pretender.requests) == 30
    factors = {number: values for number, *values in stored.query(
        "SELECT channel, voltage, current, power FROM calibration")}
    expected = []
    for key, voltage, current, power, frequency, imported in stored.query(
            "SELECT key, voltage, current, power, frequency, imported FROM reading ORDER BY key"):
        by_volt, by_ampere, by_watt = factors[key & 32767]
        expected.append(("ab"[(key & 32767) - 1], key >> house.CHANNEL_BITS, {
            "voltage": voltage / by_volt, "current": current / by_ampere, "power": power / by_watt,
            "frequency": 1e6 / frequency, "energy": imported * 419430.4 / (3.6e6 * by_watt),
            "energy_produced": 0}))
    got = [fields(line) for line in lines[:100]]
    assert [item[:2] for item in got] == [item[:2] for item in expected]
    for (*_, values), (*_, wanted) in zip(got, expected):
        assert values == pytest.approx(wanted, abs=0.00051)
        assert values["energy"] == pytest.approx(wanted["energy"], abs=1.1e-9)


def test_a_day_behind(folder, broker, spawn, engine):
    """Hours at 1 Hz wait; the engine is killed and stopped while they are fetched, the service too."""
    hours = 24 if FULL else 3
    stored = make_history(folder, broker, spawn, hours * 3600)
    path = write(folder, broker, {"url": engine.url, **({"database": "my meters"} if engine.NAME == "influx" else {})},
                 interval="1s")
    # An engine that has acknowledged has it on disk, if it is one: VictoriaMetrics writes some seconds later.
    number = signal.SIGKILL if engine.NAME == "influx" else signal.SIGTERM
    began = time.monotonic()
    process = spawn("--config", path, "run")
    resident = []
    for outage in range(2):
        wait_for(lambda: engine.count() > hours * 1600 * (outage + 1), 60, "the first part", every=0.1)
        resident.append(resident_kib(process))
        engine.stop(number)
        if outage == 1:
            process.signal(signal.SIGKILL)
            process.stop()
            process = spawn("--config", path, "run")
        pause(1.5, "the engine is away")
        engine.start()
    wait_for(lambda: engine.count() >= hours * 7200, 60, "all of it", every=0.2)
    took = time.monotonic() - began
    resident.append(resident_kib(process))
    wait_for(lambda: rows(stored) > hours * 7200 + 4, 15, "new readings")
    assert process.stop() == 0
    # What was measured last was sent with the rest, or will be with the next start.
    process = spawn("--config", path, "run")
    wait_for(lambda: all_there(engine, stored), 20, "the engine to have what the history has", every=0.5)
    assert process.stop() == 0
    assert all_there(engine, stored) or engine.count() <= rows(stored)
    print(f"figure: {engine.NAME}: {rows(stored)} readings of {hours} h through two outages and a kill in {took:.1f} s; "
          f"RSS {', '.join(f'{kib / 1024:.1f}' for kib in resident)} MB")
    assert max(resident) < 1.3 * min(resident)


def resident_kib(process):
    with open(f"/proc/{process.pid}/status") as status:
        return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))


def test_what_engines_answer(folder, broker, spawn, pretender):
    """Busy, too large, refused readings, wrong token: nothing is lost, nothing blocks forever."""
    stored = make_history(folder, broker, spawn, 150)
    poison = {line for line, in stored.query("SELECT (key >> 15) FROM reading WHERE key % 7 = 0 LIMIT 3")}
    taken, answers = [], []

    def judge(lines):
        if len(answers) < 1:
            return 503, b"starting"
        if len(answers) < 2:
            return 429, b""
        if len(lines) > 100:
            return 413, b"too large"
        if any(fields(line)[1] in poison for line in lines):
            return 400, b'{"error":"unable to parse"}'
        taken.extend(lines)
        return 204, b""

    def judge_and_note(lines):
        answer = judge(lines)
        answers.append(answer[0])
        return answer

    pretender.judge = judge_and_note
    watch = broker.subscribe("bl2mqtt/bridge/#")
    path = write(folder, broker, {"url": pretender.url, "user": "u", "password": "p w", "gzip": False})
    process = spawn("--config", path, "run")
    refused = watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "sink_refused", 20)
    bad = [line for *_, lines in pretender.requests for line in lines if fields(line)[1] in poison]
    assert str(len(set(bad))) in refused["message"] and "unable to parse" in refused["message"]
    good = {fields(line)[:2] for line in taken}
    assert len(good) == rows(stored) - len(set(bad)) and len(taken) < 600
    assert pretender.requests[0][1]["Authorization"].startswith("Basic ")
    wait_for(lambda: stored.query("SELECT refused FROM sink") == [(len(set(bad)),)], 10, "the count to be stored")

    # A token that no longer holds is reported at once, and again when it does.
    pretender.judge = lambda lines: (401, b'{"error":"authorization failed"}')
    insert(stored)
    problem = watch.wait("bl2mqtt/bridge/event", lambda e: "authorization failed" in e["message"], 20)
    assert problem["type"] == "sink_problem" and "check token" in problem["message"]
    watch.wait("bl2mqtt/bridge/health", lambda h: any("Sink out" in p for p in h["problems"]), 10)
    watch.clear()
    pretender.judge = lambda lines: (204, b"")
    watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "sink_recovered", 20)
    watch.wait("bl2mqtt/bridge/health", lambda h: h["problems"] == [], 10)
    assert process.stop() == 0


def insert(stored):
    """A reading that another one would have written: the newest."""
    db = sqlite3.connect(stored.path, timeout=10)
    with db:
        db.execute("INSERT INTO sample SELECT max(key) + (5000 << 15), 1, 1, 1, 0, 0 FROM sample")
    db.close()


def test_a_reading_behind_the_cursor(folder, broker, spawn, pretender):
    """The clock is set back: what is stored in the past now is sent all the same. A sink that starts now gets
    nothing of before."""
    stored = make_history(folder, broker, spawn, 20, since_ms=int(time.time() * 1000) + DAY_MS)
    path = write(folder, broker, {"id": "later", "url": pretender.url, "start": "now"}, interval="300ms")
    process = spawn("--config", path, "run")
    wait_for(lambda: rows(stored) > 46, 15, "new readings, a day before the old ones")
    assert process.stop() == 0
    process = spawn("--config", path, "run")
    process.wait_line("Running with")  # perhaps everything is there already
    there = lambda: {fields(line)[1] for *_, lines in pretender.requests for line in lines}  # noqa: E731
    wanted = {stamp for stamp, in stored.query("SELECT key >> 15 FROM reading")}
    wait_for(lambda: wanted <= there(), 15, "all readings")
    assert process.stop() == 0


def test_no_sink_no_library(folder, broker, spawn):
    """libcurl is only loaded when there is somebody to send to."""
    process = spawn("--config", write_config(folder, broker.url, [DEVICE]), "run")
    process.wait_line("Running with")
    with open(f"/proc/{process.pid}/maps") as maps:
        assert "libcurl" not in maps.read()
    assert process.stop() == 0
