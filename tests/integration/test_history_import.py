# SPDX-License-Identifier: MIT
"""`bl2mqtt history import` through the binary: other programs' files, again and again, beside own readings."""

import json
import random
import sqlite3
import time

import pytest

from harness import run, wait_for, write_config
from test_history import UWH_PER_COUNT, make_history, ms

BEGIN = ms("2026-03-01T00:00+00:00")
HOUR = 3_600_000


def counter(path, values, head="time,total\n"):
    path.write_text(head + "".join(f"{at // 1000},{total}\n" for at, total in values))
    return path


def import_(path, file, *args, expected=0, channel="a"):
    result = run("history", "import", file, "--database", path, "--device", "house", "--channel", channel, *args,
                 "--json", env={"TZ": "UTC"}, timeout=120)
    assert result.returncode == expected, result.stderr
    return json.loads(result.stdout) if expected == 0 else result.stderr


def csv_energy(path, begin="2026-03-01"):
    return run("history", "energy", "--database", path, "--device", "house", "--channel", "a", "--from", begin,
               "--to", "2026-03-04", "--bucket", "day", "--csv", env={"TZ": "UTC"}).stdout


def energy(path, *args, bucket="day", begin="2026-03-01", end="2026-03-04"):
    result = run("history", "energy", "--database", path, "--device", "house", "--from", begin, "--to", end,
                 "--bucket", bucket, *args, "--json", env={"TZ": "UTC"})
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


@pytest.fixture
def history(folder):
    """Own readings on 3 March only, one a minute."""
    path = folder / "history.db"
    make_history(path, {1: ("house", "a")},
                 [(BEGIN + 48 * HOUR + i * 60_000, 1, 100, 10, 0) for i in range(24 * 60)])
    return path


def stored(path):
    with sqlite3.connect(path) as db:
        return db.execute("SELECT device, channel, quarter, imported_uwh, exported_uwh FROM foreign_quarter "
                          "JOIN foreign_series ON id = series ORDER BY 1, 2, 3").fetchall()


def test_before_the_first_reading(history, folder):
    before = energy(history)
    # 0.1 kWh every 10 minutes, from 1 March on into 3 March
    file = counter(folder / "meter.csv", [(BEGIN + i * 600_000, 100 + i / 10) for i in range(6 * 60)])
    dry = import_(history, file, "--dry-run")
    assert dry["id"] is None and stored(history) == [] and energy(history) == before
    report = import_(history, file)
    assert report["id"] == 1 and report["format"] == "kwh"
    assert {k: v for k, v in report.items() if k not in ("id", "dry_run")} == \
        {k: v for k, v in dry.items() if k not in ("id", "dry_run")}
    assert report["quarters"]["new"] == 2 * 96 and report["quarters"]["measured"] > 0
    assert report["new_kwh"] == pytest.approx(28.8, abs=1e-8)
    assert report["new_kwh"] + report["measured_kwh"] == pytest.approx(35.9, abs=1e-8)
    rows = energy(history, "--channel", "a")
    for row in rows[:2]:
        assert row["energy_kwh"] == row["energy_from_files_kwh"] == pytest.approx(14.4, abs=1e-8)
        assert row["coverage"] == 0 and row["power_mean_w"] is None
    assert rows[2] == before[2] and "energy_from_files_kwh" not in rows[2]
    header = csv_energy(history).splitlines()[0].split(",")  # the keys of JSON, of all rows together
    assert header == list(rows[0]) and csv_energy(history, "2026-03-03").splitlines()[0].split(",") == list(rows[2])
    # hours add up to days, exactly
    hours = energy(history, bucket="hour")
    assert sum(round(row["energy_kwh"] * 1e9) for row in hours) == sum(round(row["energy_kwh"] * 1e9) for row in rows)
    # again: nothing
    again = import_(history, file)
    assert again["id"] is None and again["quarters"]["new"] == again["quarters"]["raised"] == 0
    assert again["quarters"]["known"] == 192 and energy(history) == rows
    table = run("history", "energy", "--database", history, "--device", "house", "--from", "2026-03-01",
                "--to", "2026-03-04", env={"TZ": "UTC"}).stdout
    assert "* with energy that was imported" in table and table.count(" *") == 2
    # and out again
    imports = json.loads(run("history", "import", "--list", "--json", "--database", history).stdout)
    assert [(i["id"], i["file"], i["quarters"]) for i in imports] == [(1, "meter.csv", 192)]
    assert run("history", "import", "--undo", 1, "--database", history).returncode == 0
    assert energy(history) == before
    assert "no import 1" in run("history", "import", "--undo", 1, "--database", history).stderr


def test_gaps_are_filled_only_when_asked(history, folder):
    with sqlite3.connect(history) as db:  # two hours are missing
        db.execute("DELETE FROM sample WHERE key >> 15 >= ? AND key >> 15 < ?",
                   (BEGIN + 52 * HOUR, BEGIN + 54 * HOUR))
    db.close()
    file = counter(folder / "meter.csv", [(BEGIN + 48 * HOUR + i * HOUR, i) for i in range(25)])
    assert import_(history, file)["quarters"]["new"] == 0
    report = import_(history, file, "--fill-gaps")
    assert report["quarters"] == {"new": 8, "raised": 0, "known": 0, "measured": 88}
    assert report["new_kwh"] == pytest.approx(2)


def test_a_longer_file_completes_a_shorter_one(history, folder):
    values = [(BEGIN + i * 420_000, i / 100) for i in range(300)]
    whole = folder / "whole.db"
    whole.write_bytes(history.read_bytes())
    import_(whole, counter(folder / "all.csv", values))
    for end in (37, 38, 150, 300):
        import_(history, counter(folder / "part.csv", values[:end]))
    assert stored(history) == stored(whole)


def test_home_assistant_and_back(history, folder):
    """What this program exports, another history takes in, whole hours and readings alike."""
    other = folder / "other.db"
    make_history(other, {1: ("house", "b")}, [(BEGIN + 600 * HOUR, 1, 0, 0, 0)])
    span = ("--device", "house", "--from", "2026-03-03", "--to", "2026-03-04")
    csv, ha = folder / "own.csv", folder / "ha.json"
    assert run("history", "export", "--database", history, *span, "--format", "csv", "--output", csv).returncode == 0
    assert run("history", "export", "--database", history, *span, "--format", "ha", "--output", ha).returncode == 0
    report = import_(other, csv)
    assert report["format"] == "bl2mqtt" and report["rows"]["used"] == 1440
    wanted = energy(history, bucket="hour", begin="2026-03-03")
    found = energy(other, "--channel", "a", bucket="hour", begin="2026-03-03")
    assert [row["energy_kwh"] for row in found] == [row["energy_kwh"] for row in wanted]
    assert "several sources" in import_(other, ha, expected=2, channel="c")
    report = import_(other, ha, "--source", "sensor.house_energy", channel="c")
    assert report["format"] == "ha" and report["rows"]["used"] == 24
    assert report["new_kwh"] == pytest.approx(23 * 60 * 10 * UWH_PER_COUNT * 1e-9, abs=1e-7)  # the first hour has no begin


def test_random_counters_keep_their_energy(history, folder, seed):
    dice = random.Random(seed)
    for round_ in range(6):
        at, total, energy_wh, values = BEGIN, dice.randrange(10**6), 0, []
        quiet = 0  # a glitch beside a new beginning: nobody knows which of the two is which
        while at < BEGIN + 46 * HOUR:
            values.append((at, total / 1000))
            at += dice.choice([60, 300, 900, 7200]) * 1000
            step = dice.randrange(2000)
            if dice.random() < 0.03 and total > 6000:  # a small one cannot be distinguished from a rise
                total, energy_wh = step, energy_wh + step  # began anew
                quiet = 2
            else:
                total, energy_wh = total + step, energy_wh + step
            quiet -= 1
            if dice.random() < 0.05 and quiet < 0:
                values.append((at - 1000, dice.choice([0, 8_000_000])))  # a glitch
        values.append((at, total / 1000))
        channel = f"c{round_}"
        report = import_(history, counter(folder / "m.csv", values), channel=channel)
        assert report["new_kwh"] == pytest.approx(energy_wh / 1000, abs=1e-6), (seed, round_, report)
        rows = energy(history, "--channel", channel)
        assert sum(row["energy_kwh"] or 0 for row in rows) == pytest.approx(energy_wh / 1000, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_what_an_operator_hands_out(history, folder, seed):
    """A week of consumption by the hour, in the spelling of several countries: the sum is that of the file."""
    dice = random.Random(seed)
    values = [round(dice.uniform(0.05, 2.4), 3) for _ in range(168)]
    begin = 1752969600  # 20 July 2025
    def lines(stamp, number, separator):
        return [separator.join([time.strftime(stamp, time.gmtime(begin + i * 3600)), number(value)])
                for i, value in enumerate(values)]
    comma = lambda value: f"{value:.3f}".replace(".", ",")
    spellings = {
        "iso": "date,kWh\n" + "\n".join(lines("%Y-%m-%d %H:%M", str, ",")),
        "german": "Datum;Verbrauch (kWh)\r\n" + "\r\n".join(lines("%d.%m.%Y %H:%M", comma, ";")),
        "quoted": '"date","kWh"\n' + "\n".join(f'"{a}","{b}"' for a, b in
                                              (line.split("|") for line in lines("%d/%m/%Y %H:%M", comma, "|"))),
        "american": "date,usage\n" + "\n".join(lines("%m/%d/%Y %I:%M %p", str, ",")),
    }
    for name, text in spellings.items():
        file = folder / f"{name}.csv"
        file.write_bytes(text.encode("utf-16" if name == "german" else "utf-8"))
        report = import_(history, file, channel=name)
        assert report["values"] == "interval" and report["rows"]["used"] == 168, (name, report)
        assert report["new_kwh"] == pytest.approx(sum(values), abs=1e-6), name
    # A counter of the same shows all but what its first value already had.
    german = "Zeit;Stand\n" + "\n".join(
        f"{time.strftime('%d.%m.%Y %H:%M', time.gmtime(begin + i * 3600))};" +
        f"{998.5 + sum(values[:i + 1]):,.3f}".translate(str.maketrans(",.", ".,")) for i in range(168))
    (folder / "total.csv").write_text(german)
    report = import_(history, folder / "total.csv", channel="total")
    assert report["values"] == "total" and report["new_kwh"] == pytest.approx(sum(values[1:]), abs=1e-6)


def test_what_is_refused(history, folder):
    good = counter(folder / "m.csv", [(BEGIN, 1), (BEGIN + HOUR, 2)])
    base = ("history", "import", "--database", history)
    owner = ("--device", "house", "--channel", "a")
    for args, words in [((), "which file"), ((good,), "whose energy"), ((good, "x", *owner), "one word too many"),
                        ((folder / "none", *owner), "cannot be read"), ((folder, *owner), "is a folder"), ((good, *owner, "--format", "xml"), "auto,"),
                        ((good, *owner, "--unit", "J"), "kWh or Wh"), ((good, *owner, "--max-power", "0"), "watts"),
                        ((good, *owner, "--format", "ha"), "no columns"), (("--undo", "x"), "id of an import")]:
        result = run(*base, *args)
        assert result.returncode == 2 and words in result.stderr, (args, result.stderr)
    assert run("history", "import", good, *owner, "--database", folder / "none.db").returncode == 2
    assert stored(history) == []


def test_the_newest_row_first(history, folder):
    """Such a file was taken for one without energy."""
    lines = [f"{BEGIN // 1000 + i * 900},{i / 10}\n" for i in range(100)]
    file = folder / "m.csv"
    for order in (list(reversed(lines)), random.Random(1).sample(lines, 100)):
        file.write_text("time,total\n" + "".join(order))
        assert "not in the order of time" in import_(history, file, expected=2)
    assert stored(history) == []
    file.write_text("time,total\n" + "".join(lines + lines))  # twice the same is no harm
    assert import_(history, file)["new_kwh"] == pytest.approx(9.9, abs=1e-8)
    file.write_text(lines[0])
    report = import_(history, file)
    assert report["from"] is None and report["to"] is None and report["new_kwh"] == 0
    text = run("history", "import", file, "--database", history, "--device", "house", "--channel", "a").stdout
    assert "1970" not in text and "format kwh:" in text


def test_while_the_service_runs(folder, broker, spawn):
    config = write_config(folder, broker.url, [
        {"id": "house", "driver": "simulator", "interval": "50ms", "channels": {"a": {}}}],
        history={"commit_interval": "200ms"})
    service = spawn("--config", config, "run")
    service.wait_line("house a is online")
    path = folder / "data/history.db"

    def readings():
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
            return db.execute("SELECT count(*) FROM reading").fetchone()[0]

    wait_for(lambda: readings() > 5, what="readings")
    years = counter(folder / "m.csv", [(ms("2016-01-01T00:00+00:00") + i * HOUR, i) for i in range(5 * 8766)])
    report = import_(path, years)
    assert report["quarters"]["new"] == (5 * 8766 - 1) * 4
    before = readings()
    wait_for(lambda: readings() > before + 5, what="more readings")
    # A slow machine writes the import for longer than the service waits without a word; nothing else may go wrong.
    assert [line for line in service.lines if " error " in line and "locked by another process" not in line] == []
    assert service.stop() == 0
    assert run("history", "verify", path).returncode == 0
