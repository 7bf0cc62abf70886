# SPDX-License-Identifier: MIT
"""`bl2mqtt history energy` from outside, on files that an independent hand made from
schema/history.sql; and the libraries that make disks slow or full."""

import csv
import datetime
import json
import os
import pathlib
import re
import sqlite3
import subprocess
import time

import pytest

from harness import BINARY, ROOT, run, write_config

PRELOAD = pathlib.Path(BINARY).resolve().parents[1] / "tests/integration/preload"
KP = 317.9
UWH_PER_COUNT = 1638.4 * 256 / 3600 / KP * 1e6
BERLIN = {"TZ": "Europe/Berlin", "LC_ALL": "C.UTF-8"}


def ms(text):
    return int(datetime.datetime.fromisoformat(text).timestamp() * 1000)


def make_history(path, channels, readings):
    """channels: {number: (device, channel)}; readings: (ms, number, watts, imported, exported)."""
    db = sqlite3.connect(path)
    db.executescript((ROOT / "schema/history.sql").read_text())
    db.execute("PRAGMA journal_mode = WAL")
    for number, (device, channel) in channels.items():
        db.execute("INSERT INTO channel VALUES (?, ?, ?, 1)", (number, device, channel))
        db.execute("INSERT INTO calibration VALUES (?, ?, ?, 15883.3, 128118.9, ?, 0, 1)",
                   (number, number, ms("2026-01-01T00:00+00:00"), KP))
    for at, number, watts, imported, exported in readings:
        db.execute("INSERT INTO sample VALUES (?, 3653159, 557317, ?, 0, ?)",
                   (at << 15 | number, round(watts * KP), (imported or -exported) * 32))
        if at % 60000 < 10000:  # of each minute the first
            db.execute("INSERT INTO sample_counter VALUES (?, 1)", (at << 15 | number,))
        if imported and exported:
            db.execute("INSERT INTO sample_exported VALUES (?, ?)", (at << 15 | number, exported))
    db.commit()
    db.close()


@pytest.fixture
def two_days(folder):
    """A reading every 10 s over the 48 + 1 hours around the end of summer time in Berlin."""
    path = folder / "history.db"
    begin, end = ms("2026-10-24T00:00+02:00"), ms("2026-10-26T00:00+01:00")
    rows = []
    for i, at in enumerate(range(begin, end, 10000)):
        rows.append((at, 1, 500 + i % 7 * 100, 3, 0))
        rows.append((at, 2, -200, 0, 1))
    make_history(path, {1: ("house", "a"), 2: ("house", "b")}, rows)
    return path


def energy(path, *args, env=None):
    result = run("history", "energy", "--database", path, *args, "--json", env={**BERLIN, **(env or {})})
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return json.loads(result.stdout)


def near(value, wanted):
    return value == pytest.approx(wanted, abs=2e-9)


def test_days_follow_the_local_clock(two_days):
    rows = energy(two_days, "--device", "house", "--channel", "a", "--from", "2026-10-24", "--to", "2026-10-26")
    assert [(row["start"], row["end"]) for row in rows] == [
        ("2026-10-24T00:00:00+02:00", "2026-10-25T00:00:00+02:00"),
        ("2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00")]
    assert list(rows[0]) == ["start", "end", "energy_kwh", "energy_produced_kwh", "power_min_w",
                             "power_mean_w", "power_max_w", "coverage"]
    for row, hours in zip(rows, (24, 25)):
        assert near(row["energy_kwh"], hours * 360 * 3 * UWH_PER_COUNT * 1e-9)
        assert row["energy_produced_kwh"] == 0
        assert row["power_min_w"] == pytest.approx(500, abs=0.01)
        assert row["power_max_w"] == pytest.approx(1100, abs=0.01)
        assert row["power_mean_w"] == pytest.approx(800, abs=0.1)
        assert row["coverage"] == 1


def test_hours_add_up_to_days(two_days):
    span = ("--device", "house", "--from", "2026-10-24", "--to", "2026-10-26")
    days = energy(two_days, *span)
    hours = energy(two_days, *span, "--bucket", "hour")
    months = energy(two_days, *span, "--bucket", "month")
    assert len(hours) == 49
    assert [row["start"] for row in hours if "T02" in row["start"]] == [
        "2026-10-24T02:00:00+02:00", "2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00"]
    for key in ("energy_kwh", "energy_produced_kwh"):
        sums = [sum(round(row[key] * 1e9) for row in rows) for rows in (hours, days, months)]
        assert sums[0] == sums[1] == sums[2] > 0
    # the sum of two channels has its own minimum and maximum
    assert hours[0]["power_mean_w"] == pytest.approx(600, abs=5)
    for row in hours + days + months:
        assert row["power_min_w"] == pytest.approx(500 - 200, abs=0.01)
        assert row["power_max_w"] == pytest.approx(1100 - 200, abs=0.01)


def test_the_quality_of_the_voltage(two_days):
    """By ISO weeks of the local clock, from readings that no service has made minutes of."""
    command = ("history", "voltage", "--database", two_days, "--device", "house", "--from", "2026-10-24",
               "--to", "2026-10-27")
    rows = json.loads(run(*command, "--json", env=BERLIN).stdout)
    assert [(row["start"][:10], row["end"][:10], row["channel"], row["coverage"]) for row in rows] == [
        ("2026-10-24", "2026-10-26", "a", 1), ("2026-10-24", "2026-10-26", "b", 1),
        ("2026-10-26", "2026-10-27", "a", 0), ("2026-10-26", "2026-10-27", "b", 0)]
    volts = pytest.approx(3653159 / 15883.3, abs=0.001)
    for row in rows[:2]:
        assert row["within_limits"] == 1 and row["voltage_min_v"] == row["voltage_max_v"] == volts
        assert (row["sags"], row["swells"], row["interruptions"], row["deepest_v"]) == (0, 0, 0, None)
    for row in rows[2:]:
        assert {row[key] for key in ("within_limits", "voltage_min_v", "sags", "longest_s")} == {None}
    lines = run(*command, "--csv", env=BERLIN).stdout.splitlines()
    assert lines[0].split(",") == list(rows[0]) and len(lines) == 5
    for bucket in "day", "week":
        table = run(*command, "--bucket", bucket, env=BERLIN).stdout.splitlines()
        assert len(table) == {"day": 7, "week": 5}[bucket] and max(map(len, table)) <= 80, table


def test_another_zone_has_other_days(two_days):
    rows = energy(two_days, "--device", "house", "--from", "2026-10-24", "--to", "2026-10-27",
                  env={"TZ": "Asia/Kathmandu"})
    assert [row["start"][-6:] for row in rows] == ["+05:45"] * 3
    assert 0 < rows[0]["coverage"] < 1


def test_empty_buckets_are_there(two_days):
    rows = energy(two_days, "--device", "house", "--channel", "b", "--from", "2026-10-26", "--to", "2026-10-28")
    assert len(rows) == 2
    assert rows[1] == {"start": "2026-10-27T00:00:00+01:00", "end": "2026-10-28T00:00:00+01:00",
                       "energy_kwh": None, "energy_produced_kwh": None, "power_min_w": None,
                       "power_mean_w": None, "power_max_w": None, "coverage": 0}


def test_the_default_is_a_week_of_days(two_days):
    rows = energy(two_days, "--device", "house")
    assert len(rows) == 7
    assert all("T00:00:00" in row["start"] for row in rows)
    assert len(energy(two_days, "--device", "house", "--bucket", "hour")) == 24
    assert len(energy(two_days, "--device", "house", "--bucket", "month")) == 12


def test_the_table(two_days):
    span = ("history", "energy", "--database", two_days, "--device", "house", "--from", "2026-10-24",
            "--to", "2026-10-26")
    table = run(*span, env={**BERLIN, "COLUMNS": "110"}).stdout.splitlines()
    assert len(table) == 3
    assert table[0].split()[:7] == ["from", "kWh", "produced", "min", "W", "mean", "W"]
    full_bar = re.search(r"full bar: (\d+\.\d+) kWh$", table[0])
    assert full_bar[1] == max((line.split()[2] for line in table[1:]), key=float)
    assert table[2].startswith("2026-10-25 Sun") and "█" in table[2]
    assert run(*span, env={**BERLIN, "LC_ALL": "C"}).stdout.isascii()
    hours = run(*span, "--channel", "a", "--bucket", "hour", env=BERLIN).stdout.splitlines()
    assert len(hours) == 50
    assert [line[:21] for line in hours if " 02:00" in line][1:] == [
        "2026-10-25 02:00 CEST", "2026-10-25 02:00 CET "]
    assert all(len(line) < 120 for line in table + hours)


@pytest.mark.parametrize("columns", [60, 80, 132])
def test_tables_fit_into_the_terminal(two_days, columns):
    for bucket in ("15m", "hour", "day", "month"):
        for channel in ([], ["--channel", "a"]):
            text = run("history", "energy", "--database", two_days, "--device", "house", *channel, "--from", "2026-10-24",
                       "--to", "2026-10-26", "--bucket", bucket, env={**BERLIN, "COLUMNS": str(columns)}).stdout
            assert len(text.splitlines()) > 1 and (columns < 80 or max(map(len, text.splitlines())) <= columns)
    for command in ("gaps", "events"):
        text = run("history", command, "--database", two_days, "--from", "2026-10-20", "--to", "2026-10-27",
                   env={**BERLIN, "COLUMNS": str(columns)}).stdout
        assert columns < 80 or max(map(len, text.splitlines())) <= columns


def test_csv_and_years(two_days):
    span = ("history", "energy", "--database", two_days, "--device", "house", "--from", "2025-12-31",
            "--to", "2027-01-01", "--bucket", "year")
    rows = list(csv.DictReader(run(*span, "--csv", env=BERLIN).stdout.splitlines()))
    assert [row["start"][:10] for row in rows] == ["2025-12-31", "2026-01-01"]
    assert rows[0]["energy_kwh"] == "" and rows[0]["coverage"] == "0.000"  # nothing was measured then
    whole = json.loads(run(*span, "--json", env=BERLIN).stdout)
    assert whole[0]["energy_kwh"] is None
    assert float(rows[1]["energy_kwh"]) == whole[1]["energy_kwh"] > 0
    assert [line.split()[1] for line in run(*span, env=BERLIN).stdout.splitlines()[1:]][0] == "-"
    assert "not both" in run(*span, "--csv", "--json").stderr


@pytest.mark.parametrize("args, words", [
    ((), "--device"),
    (("--device", "garden"), "house a, house b"),
    (("--device", "house", "--channel", "c"), "house a, house b"),
    (("--device", "house", "--bucket", "week"), "hour, day, month or year"),
    (("--device", "house", "--from", "yesteryear"), "--from"),
    (("--device", "house", "--from", "2026-10-02", "--to", "2026-10-01"), "ends before it begins"),
    (("--device", "house", "--nonsense",), "--help"),
    (("--device", "house", "extra"), "extra"),
])
def test_wrong_questions(two_days, args, words):
    result = run("history", "energy", "--database", two_days, *args, env=BERLIN)
    assert result.returncode == 2
    assert result.stdout == ""
    assert words in result.stderr


def test_wrong_files(folder):
    missing = folder / "none.db"
    result = run("history", "energy", "--database", missing, "--device", "house")
    assert result.returncode == 2 and "no history" in result.stderr
    assert not missing.exists()
    other = folder / "other.db"
    other.write_text("not a database at all, but long enough to be taken for one" * 100)
    result = run("history", "energy", "--database", other, "--device", "house")
    assert result.returncode == 1 and "damaged" in result.stderr
    assert run("history", "energy", "--help").stdout.startswith("Usage: bl2mqtt history energy")
    with open("/dev/full", "w") as full:
        make_history(folder / "history.db", {1: ("house", "a")}, [])
        command = [BINARY, "history", "energy", "--database", folder / "history.db", "--device", "house"]
        assert subprocess.run(command, stdout=full, stderr=subprocess.DEVNULL).returncode == 1


def test_the_file_of_the_configuration(folder):
    config = write_config(folder, "mqtt://127.0.0.1:1", [
        {"id": "house", "driver": "simulator", "channels": {"a": {}}}])
    (folder / "data").mkdir()
    make_history(folder / "data/history.db", {1: ("house", "a")}, [])
    result = run("--config", config, "history", "energy", "--device", "house", "--json")
    assert result.returncode == 0, result.stderr
    assert len(json.loads(result.stdout)) == 7
    config.write_text("bridge: [")
    result = run("--config", config, "history", "energy", "--device", "house")
    assert result.returncode == 2 and "--database" in result.stderr


def preload(library, **variables):
    return {**os.environ, "LD_PRELOAD": str(PRELOAD / f"{library}.so"), **variables}


def sqlite(path, sql, env):
    return subprocess.run(["sqlite3", path, sql], env=env, capture_output=True, text=True, timeout=20)


def test_a_slow_disk_can_be_had(folder):
    switch = folder / "slow"
    env = preload("slow_fsync", SLOW_FSYNC_MS="300", SLOW_FSYNC_FILE=str(switch))
    sql = "CREATE TABLE IF NOT EXISTS t (x); INSERT INTO t VALUES (1);"

    def seconds():
        began = time.monotonic()
        assert sqlite(folder / "x.db", sql, env).returncode == 0
        return time.monotonic() - began

    fast = seconds()
    switch.touch()
    assert seconds() > fast + 0.3


def test_a_full_disk_can_be_had(folder):
    switch = folder / "full"
    (folder / "data").mkdir()
    env = preload("full_disk", FULL_DISK_FILE=str(switch), FULL_DISK_PREFIX=str(folder / "data"))
    sql = "CREATE TABLE IF NOT EXISTS t (x); INSERT INTO t VALUES (1);"
    assert sqlite(folder / "data/x.db", sql, env).returncode == 0
    switch.touch()
    result = sqlite(folder / "data/x.db", sql, env)
    assert result.returncode != 0 and "full" in result.stderr
    assert sqlite(folder / "elsewhere.db", sql, env).returncode == 0
    switch.unlink()
    assert sqlite(folder / "data/x.db", sql, env).returncode == 0
