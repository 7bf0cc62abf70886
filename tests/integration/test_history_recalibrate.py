# SPDX-License-Identifier: MIT
"""`bl2mqtt history recalibrate`: by the running service and without it."""

import json
import sqlite3

import pytest

from harness import SimulatedMeter, run, write_config
from test_history import make_history, ms

UTC = {"TZ": "UTC"}


@pytest.fixture
def chip(folder):
    instance = SimulatedMeter(folder / "usb-a", "--voltage", 230, "--current", 60, "--power", 13700,
                              "--frequency", 50)
    yield instance
    instance.close()


def recalibrate(config, *args, expected=0):
    result = run("--config", config, "history", "recalibrate", "--device", "house", "--channel", "a", *args,
                 "--json", env=UTC)
    assert result.returncode == expected, result.stderr
    return json.loads(result.stdout) if expected == 0 else result.stderr


def energy(config):
    rows = run("--config", config, "history", "energy", "--device", "house", "--channel", "a", "--bucket", "year",
               "--from", "2020-01-01", "--to", "tomorrow", "--json", env=UTC).stdout
    return sum(row["energy_kwh"] or 0 for row in json.loads(rows))


def test_with_and_without_the_service(folder, broker, spawn, chip):
    config = write_config(folder, broker.url, [
        {"id": "house", "driver": "bl0942", "interval": "250ms", "report_interval": "1s",
         "channels": {"a": {"port": f"{folder}/usb-a"}}}], history={"commit_interval": "300ms"})
    watch = broker.subscribe("bl2mqtt/#")
    service = spawn("--config", config, "run")
    watch.wait("bl2mqtt/house", lambda s: isinstance(s, dict) and (s["energy"] or 0) > 0.005, timeout=20)

    trial = recalibrate(config, "--since", "2020-01-01", "--power", 200, "--dry-run")
    assert not trial["stored"] and trial["new"]["power"] == 200
    factor = trial["old"]["power"] / 200
    assert trial["energy"]["after_kwh"] == pytest.approx(trial["energy"]["before_kwh"] * factor, abs=1e-8)

    # more energy: the published total follows at once
    watch.clear()
    more = recalibrate(config, "--since", "2020-01-01", "--power", 200)
    assert more["stored"] and more["held_kwh"] == 0 and more["in_use"] == more["old"]
    gained = more["energy"]["after_kwh"] - more["energy"]["before_kwh"]
    assert more["total"]["after_kwh"] - more["total"]["before_kwh"] == pytest.approx(gained, abs=1e-8)
    watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == "recalibrated")
    state = watch.wait("bl2mqtt/house", lambda s: isinstance(s, dict) and s["energy"] >= more["total"]["after_kwh"] - 1e-3)

    # less: it stays, and what is too much is held
    less = recalibrate(config, "--undo")
    assert less["undone"] and less["held_kwh"] == pytest.approx(gained, abs=1e-8)
    assert less["total"]["after_kwh"] == less["total"]["before_kwh"]
    assert "no recalibration" in recalibrate(config, "--undo", expected=1)
    assert service.stop() == 0
    published = [json.loads(p)["energy"] for p in watch.payloads("bl2mqtt/house")]
    assert published == sorted(published) and published[-1] >= state["energy"]

    # without the service, on the file
    before = energy(config)
    again = recalibrate(config, "--since", "2020-01-01", "--power", 200)
    assert again["held_kwh"] == 0  # it is used up
    assert energy(config) == pytest.approx(before * factor, abs=1e-8)
    with sqlite3.connect(folder / "data/history.db") as db:
        total, = db.execute("SELECT base_imported_uwh - held_imported_uwh FROM total WHERE imported = 0").fetchone()
        assert db.execute("SELECT count(*) FROM recalibration WHERE undone_ms IS NULL").fetchone() == (1,)
    assert total == pytest.approx(energy(config) * 1e9, abs=1)
    assert run("--config", config, "history", "verify").returncode == 0
    text = run("--config", config, "history", "recalibrate", "--device", "house", "--channel", "a", "--undo", env=UTC)
    assert "taken back" in text.stdout and energy(config) == pytest.approx(before, abs=1e-8)


@pytest.mark.parametrize("args, words", [
    (("--power", 300), "--since"),
    (("--since", "2026-01-01"), "Say the right factors"),
    (("--since", "2026-01-01", "--power", "-3"), "--power"),
    (("--since", "2026-01-01", "--power", 300, "--calibration", 1), "or else"),
    (("--undo", "--power", 300), "stands alone"),
])
def test_wrong_orders(folder, args, words):
    result = run("history", "recalibrate", "--database", folder / "history.db", "--device", "house", "--channel",
                 "a", *args)
    assert result.returncode == 2 and words in result.stderr


def test_a_file_keeps_its_zone(folder):
    """Whoever corrects a file by its name may sit in another zone; its days stay those of its service."""
    path = folder / "history.db"
    begin = ms("2026-10-23T22:00+00:00")
    make_history(path, {1: ("house", "a")}, [(begin + i * 60000, 1, 500, 3, 0) for i in range(3 * 1440)])
    db = sqlite3.connect(path)
    db.execute("INSERT INTO meta VALUES ('time_zone', 'Europe/Berlin')")
    db.commit()
    result = run("history", "recalibrate", "--database", path, "--device", "house", "--channel", "a", "--since", "2026-10-25",
                 "--power", 300, env={"TZ": "Asia/Kathmandu"})
    assert result.returncode == 0, result.stderr
    assert "house a from 2026-10-25T00:00:00+02:00" in result.stdout
    assert db.execute("SELECT value FROM meta WHERE name = 'time_zone'").fetchall() == [("Europe/Berlin",)]
    assert all(key >> 15 in (begin, begin + 86400000, begin + 86400000 * 2 + 3600000)
               for key, in db.execute("SELECT key FROM rollup_day"))


def test_rows_that_do_not_agree_are_found(folder, broker, spawn, chip):
    config = write_config(folder, broker.url, [
        {"id": "house", "driver": "bl0942", "interval": "250ms", "channels": {"a": {"port": f"{folder}/usb-a"}}}],
        history={"commit_interval": "300ms"})
    service = spawn("--config", config, "run")
    service.wait_line("Running with")
    assert service.stop() == 0
    path = folder / "data/history.db"
    with sqlite3.connect(path) as db:
        db.executemany("INSERT INTO sample VALUES (? << 15 | 1, 100, 1, 1, 0, 3 * 32)",
                       [(1_700_000_000_000 + 20_000 * i,) for i in range(30)])
        db.executemany("INSERT INTO rollup_minute (key, imported, exported, covered_ms, samples, voltage_sum) "
                       "VALUES (? << 15 | 1, 9, 0, 60000, 3, ?)",
                       [(1_699_999_980_000 + 60_000 * i, 300 if i != 4 else 299) for i in range(8)])
    result = run("--config", config, "history", "verify")
    assert result.returncode == 5 and "minutes do not agree" in result.stdout + result.stderr
