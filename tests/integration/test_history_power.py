# SPDX-License-Identifier: MIT
"""`bl2mqtt history power`: pieces of every length show the same peaks, and agree with the readings."""

import csv
import json
import random
import statistics

import pytest

from harness import run
from test_history import KP, make_history, ms

BEGIN = ms("2026-03-01T00:00+00:00")


def power(path, *args, expected=0):
    result = run("history", "power", "--database", path, "--device", "house", "--channel", "a",
                 "--from", "2026-03-01", "--to", "2026-03-01T04:00", *args, env={"TZ": "UTC", "LC_ALL": "C"})
    assert result.returncode == expected, result.stderr
    return result


def rows_of(path, *args):
    return json.loads(power(path, *args, "--json").stdout)


@pytest.fixture
def readings(seed):
    dice = random.Random(seed)
    watts = [dice.choice([50, 200, 800]) + dice.randrange(50) for _ in range(4 * 3600)]
    watts[5000], watts[9000] = 9000, -4000  # of one second each
    return [(BEGIN + i * 1000, 1, w, 1, 0) for i, w in enumerate(watts) if not 11000 <= i < 12000]


@pytest.fixture
def history(folder, readings):
    path = folder / "history.db"
    make_history(path, {1: ("house", "a")}, readings)
    return path


@pytest.mark.parametrize("length", [1, 7, 10, 60, 420, 300, 900, 3600, 7200, 86400])
def test_every_length(history, readings, length):
    rows = rows_of(history, "--bucket", f"{length}s")
    assert len(rows) == -(-4 * 3600 // length)
    by_piece = {}
    for at, _, watts, _, _ in readings:
        by_piece.setdefault((at - BEGIN) // 1000 // length, []).append(round(watts * KP) / KP)
    for index, row in enumerate(rows):
        values = by_piece.get(index)
        if values is None:
            # the last reading before a gap stands for ten seconds
            assert row["power_max_w"] is None or row["coverage"] < 1
            continue
        # a reading of the piece before may reach into this one
        assert row["power_max_w"] >= max(values) - 0.01 and row["power_min_w"] <= min(values) + 0.01
        if length >= 60 and len(values) == length:
            assert row["power_mean_w"] == pytest.approx(statistics.fmean(values), rel=0.05, abs=10)
        assert row["power_min_w"] <= row["power_mean_w"] <= row["power_max_w"]
    assert max(row["power_max_w"] or 0 for row in rows) == pytest.approx(9000, abs=0.01)
    assert min(row["power_min_w"] or 0 for row in rows) == pytest.approx(-4000, abs=0.01)


def test_points(history):
    for points, rows in [(1, 1), (10, 8), (100, 48), (1000, 960), (99999, 14400)]:
        assert len(rows_of(history, "--points", points)) == rows
    assert len(rows_of(history)) == 240  # at most 300 by itself
    table = list(csv.DictReader(power(history, "--points", 10, "--csv").stdout.splitlines()))
    assert [float(row["power_max_w"]) for row in table] == [row["power_max_w"] for row in rows_of(history, "--points", 10)]


def test_plot(history):
    lines = power(history).stdout.splitlines()
    plot = [line for line in lines if " W " in line]
    assert 12 <= len(plot) <= 14 and all(len(line) <= 84 for line in lines[:-1])
    assert sum(line.count(":") for line in plot[:3]) == 3  # the peak of a second, and nothing else up there
    assert "a column is" in lines[-1]
    empty = run("history", "power", "--database", history, "--device", "house", "--channel", "a", "--from", "2020-01-01",
                "--to", "2020-01-02")
    assert "no readings of power" in empty.stdout


def test_what_is_refused(history):
    for args, words in [(("--bucket", "5"), "whole seconds"), (("--bucket", "1500ms"), "whole seconds"),
                        (("--points", "0"), "1 to 99999"), (("x",), "one word too many"),
                        (("--json", "--csv"), "not both")]:
        assert words in power(history, *args, expected=2).stderr
    result = run("history", "power", "--database", history)
    assert result.returncode == 2 and "--device" in result.stderr
    result = run("history", "power", "--database", history, "--device", "house", "--channel", "z")
    assert result.returncode == 2 and "house a" in result.stderr
    result = run("history", "power", "--database", history, "--device", "house", "--channel", "a", "--bucket", "1s",
                 "--from", "2020-01-01", "--to", "2026-01-01", "--json")
    assert result.returncode == 2 and "rows" in result.stderr
