# SPDX-License-Identifier: MIT
"""Copies of the history that the running service makes: daily, on request, and when they cannot be made."""

import json
import os
import sqlite3
import time
from datetime import datetime, timedelta, timezone

import jsonschema
import pytest

from harness import PATIENCE, ROOT, pause, preloaded, run, wait_for, write_config

DEVICES = [{"id": "house", "driver": "simulator", "interval": "50ms", "channels": {"a": {}, "b": {}}}]
HEALTH = json.loads((ROOT / "schema/mqtt/bridge_health.json").read_text())


def copies(folder):
    return sorted(path for path in folder.glob("history.db.backup-*") if ".new" not in path.name)


def events(path, kind):
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        return [row[0] for row in db.execute("SELECT message FROM event WHERE kind = ?", (kind,))]


@pytest.fixture
def service(folder, broker, spawn):
    def begin(env=None, **backup):
        config = write_config(folder, broker.url, DEVICES, history={"commit_interval": "200ms", "backup": backup})
        watch = broker.subscribe("bl2mqtt/bridge/#")
        process = spawn("--config", config, "run", env={"TZ": "UTC", **(env or {})})
        process.wait_line("house b is online", 15)
        return watch, process
    return begin


def test_on_request(folder, broker, service):
    places = folder / "data/copies"
    watch, process = service(time="off", keep=2, folder="copies")
    health = watch.wait("bl2mqtt/bridge/health")
    jsonschema.validate(health, HEALTH)
    assert health["backup"] == {"last": None, "file": None, "bytes": None}
    for number in range(3):
        watch.clear()
        broker.publish("bl2mqtt/bridge/request/backup", {"transaction": number})
        answer = watch.wait("bl2mqtt/bridge/response/backup", timeout=20)
        assert answer["status"] == "ok" and answer["transaction"] == number, answer
        path = answer["data"]["path"]
        assert os.path.getsize(path) == answer["data"]["bytes"] > 0
        assert run("history", "verify", path).returncode == 0
        event = watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "backup_made")
        assert path in event["message"]
        health = watch.wait("bl2mqtt/bridge/health", lambda h: h["backup"]["file"] == path)
        jsonschema.validate(health, HEALTH)
        assert health["backup"]["bytes"] == answer["data"]["bytes"] and not health["problem"]
    assert len(copies(places)) == 2 and copies(places)[-1].samefile(path)
    broker.publish("bl2mqtt/bridge/request/backup", {"output": "/etc/passwd"})
    answer = watch.wait("bl2mqtt/bridge/response/backup", lambda a: a["data"].get("path") != path)
    assert answer["status"] == "ok" and answer["data"]["path"].startswith(str(places))  # what it does not know is ignored
    assert process.stop() == 0
    assert len(events(folder / "data/history.db", "backup_made")) == 4
    # the command makes its copies in the same place and keeps as many
    assert run("--config", folder / "bridge.yaml", "history", "backup").returncode == 0
    assert len(copies(places)) == 2 and not copies(folder / "data")


def test_requests_do_not_push_daily_ones_out(folder, broker, service):
    """A client that sends requests as fast as it can: the week of daily backups stays, and every request is answered."""
    (folder / "data").mkdir()
    daily = [folder / f"data/history.db.backup-2026010{day}T033000Z" for day in range(1, 8)]
    for path in daily:
        path.write_bytes(b"whatever it is")
    watch, process = service(time="off", keep=7)
    for number in range(40):
        broker.publish("bl2mqtt/bridge/request/backup", {"transaction": number})
    answers = {}
    while len(answers) < 40:
        answer = watch.wait("bl2mqtt/bridge/response/backup", lambda a: a["transaction"] not in answers, timeout=20)
        assert answer["status"] == "ok", answer
        answers[answer["transaction"]] = answer["data"]["path"]
    assert all(path.exists() for path in daily)
    assert len(set(answers.values())) < 40  # those that came meanwhile got the answer of the running one
    assert len(list((folder / "data").glob("history.db.backup-requested-*"))) <= 7
    assert process.stop() == 0


def test_a_copy_that_cannot_be_made(folder, broker, service):
    full = folder / "full"
    watch, process = service(preloaded("full_disk", FULL_DISK_FILE=full, FULL_DISK_PREFIX=folder / "data/copies"),
                             time="off", folder="copies")
    full.touch()
    broker.publish("bl2mqtt/bridge/request/backup", "")
    answer = watch.wait("bl2mqtt/bridge/response/backup", timeout=20)
    assert answer["status"] == "error" and "no room" in answer["error"], answer
    event = watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "backup_failed")
    assert "no new backup" in event["message"]
    health = watch.wait("bl2mqtt/bridge/health", lambda h: h["problem"])
    assert "no new backup" in health["problems"][0] and health["backup"]["last"] is None
    assert list((folder / "data/copies").iterdir()) == []
    full.unlink()
    watch.clear()
    broker.publish("bl2mqtt/bridge/request/backup", "")
    assert watch.wait("bl2mqtt/bridge/response/backup", timeout=20)["status"] == "ok"
    watch.wait("bl2mqtt/bridge/health", lambda h: not h["problem"] and h["backup"]["last"] is not None)
    assert process.stop() == 0


def test_damage_is_mended_from_the_copy(folder, broker, service):
    watch, process = service(time="off", folder="copies")
    broker.publish("bl2mqtt/bridge/request/backup", "")
    copy = watch.wait("bl2mqtt/bridge/response/backup", timeout=20)["data"]["path"]
    process.kill()  # not closed in order: the next start looks at all of it
    path = folder / "data/history.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        page = db.execute("SELECT max(pageno) FROM dbstat WHERE name = 'sample'").fetchone()[0]
        size = db.execute("PRAGMA page_size").fetchone()[0]
    db.close()
    with open(path, "r+b") as raw:
        raw.seek((page - 1) * size)
        raw.write(os.urandom(size))
    watch, process = service(time="off", folder="copies")
    event = watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "history_renewed")
    assert "quarantined as" in event["message"] and f"continues from the backup {copy}" in event["message"]
    health = watch.wait("bl2mqtt/bridge/health", lambda h: h["problem"])
    assert health["problems"] == [event["message"]] and health["backup"]["file"] == copy
    assert process.stop() == 0
    assert run("history", "verify", path).returncode == 0
    assert len(events(path, "history_restored")) == len(list((folder / "data").glob("history.db.damaged-*Z"))) == 1


def test_daily(folder, service):
    due = datetime.now(timezone.utc).replace(second=0, microsecond=0) + timedelta(hours=3)
    offset = folder / "offset"
    watch, process = service(preloaded("shift_clock", SHIFT_CLOCK_FILE=offset), time=due.strftime("%H:%M"), keep=1)

    def jump(when):
        (folder / "offset.new").write_text(str(round((when - datetime.now(timezone.utc)).total_seconds())))
        (folder / "offset.new").rename(offset)

    pause(1.2, "no copy may be made meanwhile")
    assert copies(folder / "data") == []  # not before its time; a missed one waits for some minutes
    for day in range(2):
        jump(due + timedelta(days=day, seconds=-2))
        want = (due + timedelta(days=day)).strftime("history.db.backup-%Y%m%dT%H%M")
        found = wait_for(lambda: [c for c in copies(folder / "data") if c.name.startswith(want)], 20, want)
    wait_for(lambda: copies(folder / "data") == found, what="the old one to go")
    pause(1.2, "no other may be made meanwhile")
    assert copies(folder / "data") == found  # one a day
    assert process.stop() == 0
    assert len(events(folder / "data/history.db", "backup_made")) == 2


def test_a_stop_does_not_wait_for_a_copy(folder, broker, service):
    watch, process = service(time="off")
    assert process.stop() == 0
    with sqlite3.connect(folder / "data/history.db") as db:  # large enough for the copy to last
        db.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000) "
                   "INSERT INTO sample SELECT (i * 1000) << 15 | 1, 1234567, 1234567, 1234567, 999, 999999 FROM n")
    db.close()
    watch, process = service(time="off")
    watch.clear()
    broker.publish("bl2mqtt/bridge/request/backup", "")
    wait_for(lambda: list((folder / "data").glob("*.new")), 10, "the copy to begin")
    began = time.monotonic()
    assert process.stop() == 0
    assert time.monotonic() - began < 8 * PATIENCE
    assert not list((folder / "data").glob("*.backup-*"))
    assert "given up" in watch.wait("bl2mqtt/bridge/response/backup")["error"]


def test_a_copy_from_the_future(folder, broker, service):
    """The clock was years ahead once: that copy was kept as the newest forever, and today's was deleted in its stead."""
    (folder / "data").mkdir()
    future = folder / "data/history.db.backup-requested-20990101T000000Z"
    future.write_bytes(b"whatever it is")
    watch, process = service(keep=1)
    assert watch.wait("bl2mqtt/bridge/health")["backup"]["last"] is None  # so that the missing one is made
    broker.publish("bl2mqtt/bridge/request/backup", "")
    path = watch.wait("bl2mqtt/bridge/response/backup", timeout=20)["data"]["path"]
    assert [str(copy) for copy in copies(folder / "data")] == [path]
    assert process.stop() == 0
