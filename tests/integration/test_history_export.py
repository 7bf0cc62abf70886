# SPDX-License-Identifier: MIT
"""`bl2mqtt history export`: known readings come out calibrated, in order and complete; hours for Home
Assistant are whole hours of UTC whatever the local clock does, and add up to `history energy`."""

import csv
import datetime
import io
import json
import os
import sqlite3
import subprocess

import pytest

from harness import BINARY, pause, run, write_config
from test_history import BERLIN, KP, UWH_PER_COUNT, energy, make_history, ms

HOUR = 3600000
BEGIN, END = ms("2026-10-24T00:00+02:00"), ms("2026-10-26T00:00+01:00")  # Berlin's 24 + 25 hours


@pytest.fixture
def two_days(folder):
    path = folder / "history.db"
    rows = []
    for i, at in enumerate(range(BEGIN, END, 10000)):
        rows.append((at + 250, 1, 500 + i % 7 * 100, 3 + i % 2, 0))
        rows.append((at, 2, -200, 0, 1))
    make_history(path, {1: ("house", "a"), 2: ("house", "b"), 3: ("my-barn", "x")}, rows)
    with sqlite3.connect(path) as db:  # a new calibration in the middle, the clamp turned
        db.execute("INSERT INTO calibration VALUES (9, 1, ?, 15900.0, 128000.0, 320.0, 1, 2)", (BEGIN + 30 * HOUR,))
    db.close()
    return path


def export(path, form, *args, env=BERLIN):
    result = run("history", "export", "--database", path, "--format", form, *args, env=env)
    assert result.returncode == 0, result.stderr
    return result.stdout


SPAN = ("--from", "2026-10-24", "--to", "2026-10-26")


def test_csv(two_days):
    rows = list(csv.DictReader(io.StringIO(export(two_days, "csv", "--device", "house", *SPAN))))
    assert len(rows) == 2 * 49 * 360
    first = next(row for row in rows if row["channel"] == "a")
    assert first == {"time": "2026-10-24T00:00:00.250+02:00", "device": "house", "channel": "a",
                     "voltage_v": "230.000", "current_a": "4.350", "power_w": "500.000", "frequency_hz": "50.000",
                     "counter": "1", "counts": "3", "counts_produced": "0", "energy_kwh": first["energy_kwh"],
                     "energy_produced_kwh": "0.000000000", "energy_over_s": ""}
    assert float(first["energy_kwh"]) == pytest.approx(3 * UWH_PER_COUNT * 1e-9, abs=2e-9)
    later = next(row for row in rows if row["channel"] == "a" and row["time"] >= "2026-10-25T05:00:00.250+01:00")
    raw = round((500 + (30 * 360) % 7 * 100) * KP)
    assert float(later["power_w"]) == pytest.approx(-raw / 320, abs=0.001)
    assert later["voltage_v"] == f"{3653159 / 15900:.3f}"
    times = [datetime.datetime.fromisoformat(row["time"]) for row in rows]
    assert times == sorted(times)
    # exact to the microwatt hour
    for channel in "ab":
        whole = energy(two_days, "--device", "house", "--channel", channel, *SPAN)
        for key in ("energy_kwh", "energy_produced_kwh"):
            mine = sum(round(float(row[key]) * 1e9) for row in rows if row["channel"] == channel)
            assert mine == sum(round(row[key] * 1e9) for row in whole)


def test_json_lines(two_days):
    span = ("--device", "house", "--channel", "a", "--from", "2026-10-25T01:59:50+02:00", "--to", "2026-10-25T02:00:20+02:00")
    rows = [json.loads(line) for line in export(two_days, "jsonl", *span).splitlines()]
    assert [row["time"] for row in rows] == [f"2026-10-25T{t}.250+02:00" for t in ("01:59:50", "02:00:00", "02:00:10")]
    table = list(csv.DictReader(io.StringIO(export(two_days, "csv", *span))))
    assert [{k: "" if v is None else str(v) for k, v in row.items() if not k.endswith(("_v", "_a", "_w", "_hz", "_kwh"))} for row in rows] == \
        [{k: v for k, v in row.items() if not k.endswith(("_v", "_a", "_w", "_hz", "_kwh"))} for row in table]
    assert all(isinstance(row[k], (int, float)) for row in rows for k in row
               if k not in ("time", "device", "channel", "counter", "energy_over_s"))
    assert [row["counter"] for row in rows] == [None, 1, None]  # kept of one in a minute


def test_what_was_not_measured_is_empty(two_days):
    at = BEGIN - 1000
    with sqlite3.connect(two_days) as db:
        db.execute("INSERT INTO sample (key, counted) VALUES (?, 0)", (at << 15 | 1,))
        db.execute("UPDATE channel SET channel = 'a,\"b' WHERE number = 2")
    db.close()
    span = ("--from", "2026-10-23T23:59:59", "--to", "2026-10-24T00:00:01")
    line, = export(two_days, "csv", "--device", "house", "--channel", "a", "--from", "2026-10-23T23:59:59", "--to",
                   "2026-10-24").splitlines()[1:]
    assert line == "2026-10-23T23:59:59+02:00,house,a,,,,,,0,0,0.000000000,0.000000000,"
    row = json.loads(export(two_days, "jsonl", "--device", "house", "--channel", "a", *span).splitlines()[0])
    assert row["voltage_v"] is row["power_w"] is row["frequency_hz"] is row["counter"] is None
    assert json.loads(export(two_days, "jsonl", "--device", "house", *span).splitlines()[1])["channel"] == 'a,"b'
    rows = list(csv.DictReader(io.StringIO(export(two_days, "csv", "--device", "house", *span))))
    assert rows[1]["channel"] == 'a,"b'


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe"])
def test_hours_for_home_assistant(two_days, zone):
    span = ("--from", "2026-10-24T00:00+02:00", "--to", "2026-10-26T00:00+01:00")
    document = json.loads(export(two_days, "ha", "--device", "house", *span, env={"TZ": zone}))
    assert [s["metadata"]["statistic_id"] for s in document] == [
        "sensor.house_energy_a", "sensor.house_energy_produced_a", "sensor.house_energy_b",
        "sensor.house_energy_produced_b"]
    for statistics in document:
        # as Home Assistant 2026.11's command takes it for an entity of its own
        assert statistics["metadata"] == {"has_sum": True, "mean_type": 0, "unit_class": "energy", "source": "recorder",
                                          "unit_of_measurement": "kWh", "name": None,
                                          "statistic_id": statistics["metadata"]["statistic_id"]}
        starts = [datetime.datetime.fromisoformat(s["start"]) for s in statistics["stats"]]
        assert len(starts) == 49
        assert all((later - earlier).total_seconds() == 3600 for earlier, later in zip(starts, starts[1:]))
        assert all(s.utcoffset().total_seconds() == 0 and s.minute == s.second == 0 for s in starts)
        sums = [s["sum"] for s in statistics["stats"]]
        assert sums == sorted(sums) and all(s["state"] == s["sum"] for s in statistics["stats"])
    a, _, b, b_produced = document
    whole = energy(two_days, "--device", "house", "--channel", "a", *span)
    assert round(a["stats"][-1]["sum"] * 1e9) == sum(round(row["energy_kwh"] * 1e9) for row in whole)
    assert b_produced["stats"][0]["sum"] == pytest.approx(360 * UWH_PER_COUNT * 1e-9, abs=2e-9)
    assert b["stats"][-1]["sum"] == 0
    old = json.loads(export(two_days, "ha", "--device", "house", "--before-2025-11", *span, env={"TZ": zone}))
    assert old[0]["metadata"]["has_mean"] is False and "mean_type" not in old[0]["metadata"]
    assert [s["stats"] for s in old] == [s["stats"] for s in document]


def test_only_whole_hours_and_sums_that_go_on(two_days):
    whole = json.loads(export(two_days, "ha", "--device", "house", "--channel", "a", *SPAN))[0]["stats"]
    part = json.loads(export(two_days, "ha", "--device", "house", "--channel", "a", "--from", "2026-10-24T09:30",
                             "--to", "2026-10-24T12:59"))[0]["stats"]
    assert part == [row for row in whole if row["start"] in ("2026-10-24T08:00:00+00:00", "2026-10-24T09:00:00+00:00")]
    # a device with one channel, and a name that Home Assistant would not take
    empty = json.loads(export(two_days, "ha", "--device", "my-barn"))
    assert [(s["metadata"]["statistic_id"], s["stats"]) for s in empty] == [
        ("sensor.my_barn_energy", []), ("sensor.my_barn_energy_produced", [])]


def test_an_absence_is_spread_over_its_hours(folder):
    """What was counted while nobody read the meter is not in the hour of the return; sums are exact."""
    path, away = folder / "history.db", 9
    begin, back = BEGIN, BEGIN + (3 + away) * HOUR
    rows = [(at, 1, 500, 3, 0) for at in range(begin, begin + 3 * HOUR, 10000)]
    rows += [(back, 1, 500, 90000, 0)] + [(at, 1, 500, 3, 0) for at in range(back + 10000, back + 3 * HOUR, 10000)]
    make_history(path, {1: ("house", "a")}, rows)
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO estimate VALUES (?, ?, 90000, 0)", (back << 15 | 1, begin + 3 * HOUR - 10000))
    db.close()
    args = ("--device", "house", "--from", "2026-10-24", "--to", "2026-10-24T15:00")
    (consumed, produced) = json.loads(export(path, "ha", *args))
    assert len(consumed["stats"]) == len(produced["stats"]) == 15
    sums = [0] + [round(row["sum"] * 1e9) for row in consumed["stats"]]
    hours = [later - earlier for earlier, later in zip(sums, sums[1:])]
    spread = 90000 * UWH_PER_COUNT
    assert all(h == pytest.approx(spread / away, rel=0.002) for h in hours[3:12]), hours
    assert hours[12] == pytest.approx(hours[13], rel=0.01) == pytest.approx(hours[0], rel=0.01)
    whole = energy(path, *args, "--bucket", "hour")
    assert hours == [round(row["energy_kwh"] * 1e9) for row in whole]
    # and so is its power
    answer = json.loads(run("history", "power", "--database", path, *args, "--bucket", "1h", "--json", env=BERLIN).stdout)
    assert all(row["power_mean_w"] is None and row["power_estimated_w"] == pytest.approx(spread / away * 1e-6, rel=0.002)
               for row in answer[4:11]), answer
    assert all("power_estimated_w" not in row and row["power_mean_w"] == pytest.approx(500, abs=1) for row in answer[13:])
    plot = run("history", "power", "--database", path, *args, "--bucket", "1h", env=BERLIN).stdout
    assert "estimated" in plot, plot
    # rows have it at the return and say over how long; another history takes it in as it was
    rows = list(csv.DictReader(export(path, "csv", *args).splitlines()))
    lines = [json.loads(line) for line in export(path, "jsonl", *args).splitlines()]
    marked = [row for row in rows if row["energy_over_s"]]
    assert [row["energy_over_s"] for row in marked] == [f"{away * 3600 + 10}.000"]
    assert [line["energy_over_s"] for line in lines if line["energy_over_s"] is not None] == [away * 3600 + 10]
    other, table = folder / "other.db", folder / "rows.csv"
    make_history(other, {1: ("house", "b")}, [(BEGIN + 900 * HOUR, 1, 0, 0, 0)])
    table.write_text(export(path, "csv", *args))
    result = run("history", "import", table, "--database", other, "--device", "house", "--channel", "a", "--json", env=BERLIN)
    assert result.returncode == 0, result.stderr
    copied = energy(other, *args, "--channel", "a", "--bucket", "hour")
    assert [row["energy_kwh"] for row in copied] == pytest.approx([row["energy_kwh"] for row in whole], rel=0.003)
    assert sum(round(row["energy_kwh"] * 1e9) for row in copied) == sum(hours)
    table.write_text(table.read_text().replace(marked[0]["energy_over_s"], "x"))
    result = run("history", "import", table, "--database", other, "--device", "house", "--channel", "a")
    assert result.returncode == 2 and '"x" is no number of seconds' in result.stderr


def test_hours_that_home_assistant_missed(two_days, folder):
    """It was away for three hours: they continue its own sums, its own hours stay, and doing it again adds nothing."""
    whole = json.loads(export(two_days, "ha", "--device", "house", "--channel", "a", *SPAN))[0]["stats"]
    offset, total = 12.5, 7000  # its sum began elsewhere, and its state is our total, not what was counted here
    away = slice(10, 13)
    has = [{"start": datetime.datetime.fromisoformat(row["start"]).timestamp() * 1000, "sum": round(row["sum"] - offset, 9),
            "state": round(row["state"] + total, 9)} for row in whole[5:10] + whole[13:20]]
    answer = folder / "present.json"
    answer.write_text(json.dumps({"id": 7, "type": "result", "result": {"sensor.mine": has}}))
    args = ("--device", "house", "--channel", "a", "--present", answer, "--entity", "sensor.mine")
    (made,) = json.loads(export(two_days, "ha", *args, "--to", whole[20]["start"]))
    assert made["metadata"]["statistic_id"] == "sensor.mine"
    assert [row["start"] for row in made["stats"]] == [row["start"] for row in whole[away]]
    for row, true in zip(made["stats"], whole[away]):
        assert row["sum"] == pytest.approx(true["sum"] - offset, abs=2e-9)
        assert row["state"] == pytest.approx(true["state"] + total, abs=2e-9)
    # each hour then shows what was consumed in it, and the hour of the return as well
    merged = sorted(has + [{"start": datetime.datetime.fromisoformat(r["start"]).timestamp() * 1000, **{k: r[k] for k in
                    ("sum", "state")}} for r in made["stats"]], key=lambda row: row["start"])
    steps = [b["sum"] - a["sum"] for a, b in zip(merged, merged[1:])]
    assert steps == pytest.approx([b["sum"] - a["sum"] for a, b in zip(whole[5:20], whole[6:20])], abs=4e-9)
    answer.write_text(json.dumps({"sensor.mine": merged}))
    assert json.loads(export(two_days, "ha", *args, "--to", whole[20]["start"]))[0]["stats"] == []
    for text, words in (("[1]", "no answer"), ("{", "no JSON")):
        answer.write_text(text)
        result = run("history", "export", "--database", two_days, "--format", "ha", *args)
        assert result.returncode == 2 and words in result.stderr
    result = run("history", "export", "--database", two_days, "--format", "ha", "--device", "house", "--entity", "sensor.x")
    assert result.returncode == 2 and "--channel" in result.stderr


def test_a_file_is_complete_or_not_there(two_days, folder):
    out = folder / "out.csv"
    result = run("history", "export", "--database", two_days, "--device", "house", "--format", "csv", "--output", out, *SPAN,
                 env=BERLIN)
    assert result.returncode == 0 and result.stdout == ""
    assert out.read_text() == export(two_days, "csv", "--device", "house", *SPAN)
    before = out.read_bytes()
    result = run("history", "export", "--database", two_days, "--device", "garden", "--format", "csv", "--output", out)
    assert result.returncode == 2 and "house a" in result.stderr
    assert out.read_bytes() == before and not (folder / "out.csv.new").exists()
    command = [BINARY, "history", "export", "--database", two_days, "--device", "house", "--format", "csv"]
    with open("/dev/full", "w") as full:
        assert subprocess.run(command, stdout=full, stderr=subprocess.DEVNULL).returncode == 1


@pytest.mark.parametrize("resume", [(), ("--resume",)])
@pytest.mark.parametrize("what", ["pipe", "link to a pipe", "folder", "history", "link to the history"])
def test_what_is_not_a_file_for_it_stays(two_days, folder, what, resume):
    """Replacing is by name: a device or a pipe, or the history itself, would be gone."""
    out = folder / "out"
    aim = two_days if "history" in what else folder / "aim"
    if "pipe" in what:
        os.mkfifo(aim)
    elif what == "folder":
        aim.mkdir()
    if "link" in what:
        out.symlink_to(aim)
    else:
        out = aim
    before = aim.stat()
    result = run("history", "export", "--database", two_days, "--device", "house", "--format", "csv", "--output", out,
                 *resume, *SPAN)
    assert result.returncode == (4 if "history" in what else 2), result.stderr
    assert ("history itself" if "history" in what else "not a file") in result.stderr
    assert (aim.stat().st_ino, aim.stat().st_mode) == (before.st_ino, before.st_mode)
    assert out.is_symlink() == ("link" in what) and not list(folder.glob("*.new"))
    export(two_days, "csv", "--device", "house", *SPAN)  # the history still is one


@pytest.mark.parametrize("args, words", [
    ((), "--device"), (("--device", "house"), "--format"), (("--device", "house", "--format", "xml"), "csv, jsonl or ha"),
    (("--device", "house", "--format", "csv", "--from", "soon"), "--from"),
    (("--device", "house", "--format", "ha", "--from", "2026-10-02", "--to", "2026-10-01"), "ends before it begins"),
    (("--device", "house", "--format", "csv", "x"), "x"),
])
def test_wrong_words(two_days, args, words):
    result = run("history", "export", "--database", two_days, *args)
    assert result.returncode == 2 and words in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("form", ["csv", "jsonl", "ha"])
def test_nothing_is_written_of_what_is_not_there(two_days, folder, form):
    for path, device in [(two_days, "garden"), (folder / "none.db", "house")]:
        result = run("history", "export", "--database", path, "--device", device, "--format", form)
        assert result.returncode == 2 and result.stderr and result.stdout == ""


def test_memory_is_bounded(folder):
    sizes = {}
    for count in (1000, 150000):
        path = folder / f"{count}.db"
        make_history(path, {1: ("house", "a")}, ((BEGIN + i * 1000, 1, 500, 3, 0) for i in range(count)))
        process = subprocess.Popen([BINARY, "history", "export", "--database", path, "--device", "house", "--format", "csv"],
                                   stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        assert status == 0
        sizes[count] = usage.ru_maxrss
    assert sizes[150000] < sizes[1000] + 12000, sizes  # KiB; the rows alone would be more


def test_while_a_service_writes(folder, broker, spawn):
    config = write_config(folder, broker.url, [
        {"id": "house", "driver": "simulator", "interval": "50ms", "channels": {"a": {}, "b": {}}}],
        history={"commit_interval": "200ms"})
    service = spawn("--config", config, "run")
    service.wait_line("house b is online")
    seen = []
    for _ in range(4):
        pause(0.5, "some commits lie between two exports")
        result = run("--config", config, "history", "export", "--device", "house", "--format", "csv")
        assert result.returncode == 0, result.stderr
        rows = result.stdout.splitlines()
        assert rows[:len(seen)] == seen  # nothing that was once out is ever another
        seen = rows
    assert len(seen) > 20
    assert service.stop() == 0


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_resumed(two_days, folder, form):
    whole, part = folder / "whole", folder / "part"
    args = ("history", "export", "--database", two_days, "--device", "house", "--format", form)
    assert run(*args, "--output", whole, *SPAN, env=BERLIN).returncode == 0
    wanted = whole.read_bytes()
    # what is new is added
    for to in ("2026-10-24T07:00", "2026-10-25T12:00:00.250", "2026-10-25T12:00:00.250", "2026-10-26"):
        result = run(*args, "--output", part, "--resume", "--from", "2026-10-24", "--to", to, env=BERLIN)
        assert result.returncode == 0, result.stderr
    assert part.read_bytes() == wanted
    # an interruption anywhere, in the file itself or before it has its name
    lines = wanted.splitlines(keepends=True)
    for cut in (len(lines[0]), len(wanted) // 2, len(wanted) // 2 + 17, len(wanted) - 1, len(b"".join(lines[:4001])), 0):
        for name in ("part", "part.new"):
            part.unlink(missing_ok=True)
            (folder / name).write_bytes(wanted[:cut])
            result = run(*args, "--output", part, "--resume", *SPAN, env=BERLIN)
            assert result.returncode == 0, result.stderr
            assert part.read_bytes() == wanted, (cut, name)
    part.write_text("something else\n")
    result = run(*args, "--output", part, "--resume", *SPAN)
    assert result.returncode == 2 and "can be resumed" in result.stderr and part.read_text() == "something else\n"
    if form == "csv":  # a table of a version without the last column keeps its shape
        old = [line.rsplit(b",", 1)[0] for line in wanted.splitlines()]
        for kept in (1, 1000):
            part.write_bytes(b"\n".join(old[:kept]) + b"\n")
            assert run(*args, "--output", part, "--resume", *SPAN, env=BERLIN).returncode == 0
            assert part.read_bytes().splitlines() == old
    for wrong in (("--resume",), ("--resume", "--output", part, "--format", "ha")):
        assert "--resume" in run(*args, *wrong).stderr
