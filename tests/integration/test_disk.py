# SPDX-License-Identifier: MIT
"""Disks that are full and databases that are damaged: metering and MQTT go on, it is reported, nothing
that was counted is lost."""

import contextlib
import json
import random
import signal
import sqlite3
import subprocess
import time

import pytest

import house
from harness import pause, preloaded, run, wait_for, write_config

LOADS = {"a": 15000, "b": -9000}


class TinyDisk:
    """A file system of 3 MB at data/ where one may be mounted; else a library that says ENOSPC."""

    def __init__(self, folder):
        self.data = folder / "data"
        self.data.mkdir()
        self.switch = folder / "full"
        mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "bl2mqtt-test", str(self.data)]
        self.mounted = subprocess.run(mount, capture_output=True).returncode == 0
        self.env = None if self.mounted else preloaded(
            "full_disk", FULL_DISK_FILE=self.switch, FULL_DISK_PREFIX=self.data)
        print(f"the tiny disk is {'a tmpfs' if self.mounted else 'a library'}")

    def fill(self):
        if not self.mounted:
            self.switch.touch()
            return
        with contextlib.suppress(OSError), open(self.data / "filler", "wb", buffering=0) as filler:
            for size in (65536, 512):  # to the last byte, but not its page: there is none
                with contextlib.suppress(OSError):
                    while filler.write(b"x" * size) == size:
                        pass

    def free(self):
        if self.mounted:
            (self.data / "filler").unlink()
        else:
            self.switch.unlink()

    def close(self):
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.data)], check=True)


@pytest.fixture
def disk(folder):
    tiny = TinyDisk(folder)
    yield tiny
    tiny.close()


def config_of(folder, broker, **more):
    # often, as a transaction on a full disk still fits into the log until that has to grow
    return write_config(folder, broker.url, [house.house(folder, **more)], history={"commit_interval": "250ms"})


def bridge_events(watch):
    return [json.loads(payload)["type"] for payload in watch.payloads("bl2mqtt/bridge/event")]


def latest_state(watch):
    payloads = watch.payloads("bl2mqtt/house")
    return json.loads(payloads[-1]) if payloads else {}


def wait_metering(watch):
    watch.wait("bl2mqtt/house", lambda s: s["energy_a"] is not None and s["energy_b"] is not None, 15)


def test_full_disk(folder, broker, spawn, chips, disk):
    stored = house.Stored(folder)
    watch = broker.subscribe("bl2mqtt/#", "homeassistant/#")
    process = spawn("--config", config_of(folder, broker), "run", env=disk.env)
    wait_metering(watch)
    for name, chip in chips.items():
        house.load(chip, LOADS[name])
    watch.wait("bl2mqtt/house", lambda s: (s["energy_a"] or 0) > 0)

    disk.fill()
    watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "history_problem", 15)
    health = watch.wait("bl2mqtt/bridge/health", lambda h: h["problems"])
    assert "no room" in json.dumps(health["problems"])
    broker.publish("bl2mqtt/bridge/request/device/energy/set", json.dumps({"id": "house", "channel": "a", "energy": 4711}))
    answer = watch.wait("bl2mqtt/bridge/response/device/energy/set")
    assert answer["status"] == "error" and "Try again" in answer["error"]  # a restart would take it back
    rows = len(stored.rows("a"))
    watch.clear()
    energy = watch.wait("bl2mqtt/house", lambda s: s["energy_a"] is not None)["energy_a"]
    wait_for(lambda: latest_state(watch)["energy_a"] > energy + 0.005, 8, "published totals to go on")
    assert len(stored.rows("a")) == rows, "the disk was not full; nothing was tested"
    assert process.running()

    disk.free()
    watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "history_resumed", 40)
    watch.wait("bl2mqtt/bridge/health", lambda h: not h["problems"])
    house.settle(chips, folder)
    distances = stored.distances("a")
    print(f"figure: maximum distance of readings over the time without room: {max(distances)} ms")
    assert max(distances) < 750  # 250 ms is the interval: none is missing
    house.judge_states(watch.messages, house.announced_keys(watch.messages))
    assert process.stop() == 0
    stored.assert_consistent()


def test_killed_and_started_while_the_disk_is_full(folder, broker, spawn, chips, disk):
    stored = house.Stored(folder)
    watch = broker.subscribe("bl2mqtt/#", "homeassistant/#")
    config = config_of(folder, broker)
    process = spawn("--config", config, "run", env=disk.env)
    wait_metering(watch)
    for name, chip in chips.items():
        house.load(chip, LOADS[name])
    watch.wait("bl2mqtt/house", lambda s: (s["energy_a"] or 0) > 0)
    disk.fill()
    watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "history_problem", 15)
    # What is published now is not on disk; the next start must not show less.
    energy = latest_state(watch)["energy_a"]
    wait_for(lambda: latest_state(watch)["energy_a"] > energy + 0.005, 8, "published totals to go on")
    process.signal(signal.SIGKILL)
    process.stop()
    before = list(watch.messages)
    watch.clear()
    process = spawn("--config", config, "run", env=disk.env)
    watch.wait("bl2mqtt/house", lambda s: s["power_a"] is not None and s["power_b"] is not None, 15)
    wait_for(lambda: "history_problem" in bridge_events(watch), 15, "the problem to be reported again")
    disk.free()
    watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "history_resumed", 40)
    house.settle(chips, folder)
    assert process.stop() == 0
    assert latest_state(watch)["energy_a"] > 0
    house.judge_states(before + watch.messages, house.announced_keys(before))
    stored.assert_consistent()


@pytest.mark.parametrize("what", ["folder", "file"])
def test_moved_away_and_back(folder, broker, spawn, chips, what):
    """It is the same file, and nobody else's: the service resumes with it, log and all."""
    stored = house.Stored(folder)
    watch = broker.subscribe("bl2mqtt/#", "homeassistant/#")
    process = spawn("--config", config_of(folder, broker), "run")
    wait_metering(watch)
    for name, chip in chips.items():
        house.load(chip, LOADS[name])
    watch.wait("bl2mqtt/house", lambda s: (s["energy_a"] or 0) > 0)
    first, inode = stored.rows("a")[0][0], stored.path.stat().st_ino
    moved, place = (folder / "away", folder / "data") if what == "folder" else (folder / "data/away.db", stored.path)
    place.rename(moved)
    watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "history_problem", 15)
    pause(0.6, "what is measured meanwhile waits in memory")
    watch.clear()
    moved.rename(place)
    watch.wait("bl2mqtt/bridge/event", lambda e: "moved away and back" in e["message"], 40)
    watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "history_resumed", 15)
    house.settle(chips, folder)
    house.judge_states(watch.messages, house.announced_keys(watch.messages))
    assert process.stop() == 0
    assert stored.path.stat().st_ino == inode and stored.rows("a")[0][0] == first
    if what == "folder":  # else the readings of meanwhile are in the file that was there then
        assert max(stored.distances("a")) < 750
        stored.assert_consistent()
    assert run("history", "verify", stored.path).returncode == 0


def age(path, rows=30000):
    """Makes the file as big as some weeks would, in the past."""
    db = sqlite3.connect(path)
    begin = int(time.time() * 1000) - 86400000
    db.executemany("INSERT INTO sample VALUES (?, 3653159, 557317, 100, 0, 0)",
                   ((begin + i * 1000 << 15 | 1,) for i in range(rows)))
    db.commit()
    db.close()


def damage(path, dice, first, last):
    """Random bytes from one part of the file to another."""
    size = path.stat().st_size
    with open(path, "r+b") as file:
        file.seek(int(size * first))
        file.write(dice.randbytes(int(size * last) - int(size * first)))


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "stopped"])
def test_damaged_while_stopped(folder, broker, spawn, chips, seed, killed):
    stored, dice = house.Stored(folder), random.Random(seed)
    watch = broker.subscribe("bl2mqtt/#", "homeassistant/#")
    config = config_of(folder, broker)
    process = spawn("--config", config, "run")
    wait_metering(watch)
    for name, chip in chips.items():
        house.load(chip, LOADS[name])
    watch.wait("bl2mqtt/house", lambda s: (s["energy_a"] or 0) > 0.004)
    if killed:
        process.signal(signal.SIGKILL)
        process.stop()
        age(stored.path)
        damage(stored.path, dice, 0.4, 0.6)
    else:
        assert process.stop() == 0
        damage(stored.path, dice, 0.1, 1)  # all but the beginning: what is read at start is hit

    process = spawn("--config", config, "run")
    watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "history_renewed", 15)
    watch.wait("bl2mqtt/bridge/health", lambda h: any("quarantined" in problem for problem in h["problems"]))
    house.settle(chips, folder)
    aside = [path for path in (folder / "data").iterdir() if "damaged" in path.name]
    assert aside
    # From the first message after the start on, nothing published is lower than before.
    house.judge_states(watch.messages, house.announced_keys(watch.messages))
    assert process.stop() == 0
    assert stored.query("PRAGMA integrity_check") == [("ok",)]


def test_lost_soon_after_the_first_start(folder, broker, spawn, chips):
    """Killed and damaged all over within minutes: the totals file knows the channels, their chips' counters the rest."""
    config, stored = config_of(folder, broker), house.Stored(folder)
    watch = broker.subscribe("bl2mqtt/#", "homeassistant/#")
    process = spawn("--config", config, "run")
    wait_metering(watch)
    for name, chip in chips.items():
        house.load(chip, LOADS[name])
    watch.wait("bl2mqtt/house", lambda s: (s["energy_a"] or 0) > 0.004)
    process.signal(signal.SIGKILL)
    process.stop()
    for path in stored.path, stored.path.with_name("history.db-wal"):
        damage(path, random.Random(1), 0, 1)
    process = spawn("--config", config, "run")
    watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "history_renewed", 15)
    house.settle(chips, folder)
    house.judge_states(watch.messages, house.announced_keys(watch.messages))
    assert process.stop() == 0


def test_tables_that_lost_their_rows_while_running(folder, broker, spawn, chips):
    """As when pages were written to the wrong place: each is sound, but they do not belong together."""
    config, stored = config_of(folder, broker), house.Stored(folder)
    watch = broker.subscribe("bl2mqtt/#", "homeassistant/#")
    process = spawn("--config", config, "run")
    wait_metering(watch)
    for name, chip in chips.items():
        house.load(chip, LOADS[name])
    watch.wait("bl2mqtt/house", lambda s: (s["energy_a"] or 0) > 0.002)
    with sqlite3.connect(stored.path, timeout=10) as db:
        db.execute("DELETE FROM total")
        db.execute("DELETE FROM channel")
    db.close()
    watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "history_renewed", 15)
    watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "history_resumed", 15)
    house.settle(chips, folder)
    house.judge_states(watch.messages, house.announced_keys(watch.messages))
    assert process.stop() == 0


@pytest.mark.parametrize("copy", [True, False], ids=["copy", "none"])
def test_damaged_while_running(folder, broker, spawn, chips, seed, copy):
    """Metering goes on, and the history goes on from the newest copy where there is one, without a restart."""
    stored, dice = house.Stored(folder), random.Random(seed)
    watch = broker.subscribe("bl2mqtt/#", "homeassistant/#")
    config = write_config(folder, broker.url, [house.house(folder)], history={"commit_interval": "400ms"})
    process = spawn("--config", config, "run")
    wait_metering(watch)
    for name, chip in chips.items():
        house.load(chip, LOADS[name])
    watch.wait("bl2mqtt/house", lambda s: (s["energy_a"] or 0) > 0)
    age(stored.path)
    newest = 0
    if copy:
        newest = stored.newest_ms()
        assert run("history", "backup", "--database", stored.path).returncode == 0
    pause(1, "some readings that no copy has")
    watch.wait("bl2mqtt/house", lambda s: s["energy_a"] is not None)
    db = sqlite3.connect(stored.path)  # what is in the log alone would not be hit
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    damage(stored.path, dice, 0.02, 1)

    event = watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "history_renewed", 20)
    assert ("continues from the backup" in event["message"]) == copy
    watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "history_resumed", 20)
    health = watch.wait("bl2mqtt/bridge/health", lambda h: any("quarantined" in problem for problem in h["problems"]))
    assert ("continues from the backup" in json.dumps(health["problems"])) == copy
    house.settle(chips, folder)
    assert process.running()
    house.judge_states(watch.messages, house.announced_keys(watch.messages))
    assert process.stop() == 0
    assert stored.query("PRAGMA integrity_check") == [("ok",)]
    rows, = stored.query("SELECT count(*), min(key) >> 15, max(key >> 15) FROM reading")
    assert (rows[0] > 30000) == copy
    if copy:
        assert stored.query("SELECT count(*) FROM reading WHERE key >> 15 BETWEEN ? AND ?", newest - 500, newest)[0][0]
    totals = stored.totals()
    assert run("history", "verify", stored.path).returncode == 0
    process = spawn("--config", config, "run")
    process.wait_line("house b is online", 15)
    assert process.stop() == 0
    assert stored.totals() == totals
