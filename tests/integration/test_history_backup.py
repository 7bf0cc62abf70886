# SPDX-License-Identifier: MIT
"""`bl2mqtt history backup` and `history verify`: of known files, of a file in use, and of damaged ones."""

import json
import os
import sqlite3

import pytest

from harness import ROOT, run, wait_for, write_config
from test_history import KP, make_history, ms

BEGIN = ms("2026-10-24T22:00+00:00")
UWH_PER_COUNT = 1638.4 * 256 / 3600 / KP * 1e6


@pytest.fixture
def file(folder):
    path = folder / "history.db"
    make_history(path, {1: ("house", "a"), 2: ("house", "b")},
                 [(BEGIN + i * 1000, 1 + i % 2, 100, 3 * (1 - i % 2), i % 2) for i in range(4000)])
    put_total(path, 1, 6000, 0)
    put_total(path, 2, 0, 2000)
    return path


def put_total(path, number, imported, exported):
    with sqlite3.connect(path) as db:
        db.execute("INSERT OR REPLACE INTO total VALUES (?, ?, 1, 0, ?, 0, 'boot', ?, ?, 0, 0, 0, 0)",
                   (number, number, BEGIN + 4000000, imported, exported))
    db.close()


def verify(path, expected=0):
    result = run("history", "verify", path, "--json", env={"TZ": "UTC"})
    assert result.returncode == expected, result.stdout + result.stderr
    return json.loads(result.stdout)


def backups(folder):
    return sorted(folder.glob("history.db.backup-*"))


def contents(path):
    with sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True) as db:
        return {table: db.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
                for table in ("meta", "channel", "calibration", "total", "reading", "event")}


def test_a_sound_file(file):
    answer = verify(file)
    assert answer["sound"] and answer["problems"] == [] and answer["version"] == len(list((ROOT / "migrations").glob("*.sql")))
    a, b = answer["channels"]
    assert (a["device"], a["channel"], a["readings"]) == ("house", "a", 2000)
    assert a["first"] == "2026-10-24T22:00:00+00:00" and a["last"] == "2026-10-24T23:06:38+00:00"
    assert a["energy_kwh"] == pytest.approx(6000 * UWH_PER_COUNT * 1e-9, abs=2e-9)
    assert a["energy_kwh"] == a["total_kwh"] and a["energy_produced_kwh"] == 0
    assert b["energy_produced_kwh"] == b["total_produced_kwh"] > 0
    text = run("history", "verify", file)
    assert text.returncode == 0 and "is sound" in text.stdout and "2000 readings" in text.stdout


def test_a_total_below_its_readings(file):
    put_total(file, 1, 5900, 0)
    answer = verify(file, expected=5)
    assert not answer["sound"] and [c["agrees"] for c in answer["channels"]] == [False, True]
    assert "house a is less than" in answer["problems"][0]
    # the user may do so
    with sqlite3.connect(file) as db:
        db.execute("INSERT INTO event VALUES (?, 'totals_set', 'The totals were set by request.')", (BEGIN << 15 | 1,))
    assert verify(file)["channels"][0]["set_by_user"]
    # and a greater one is what remains when old readings are deleted
    put_total(file, 2, 0, 9999)
    assert verify(file)["sound"]


def test_damage_and_strays(file, folder):
    copy = folder / "copy.db"
    assert run("history", "backup", "--database", file, "--output", copy).returncode == 0
    with sqlite3.connect(copy) as db:
        db.execute("INSERT INTO sample SELECT ?, voltage, current, power, frequency, 0 FROM sample LIMIT 1", (BEGIN << 15 | 77,))
    db.close()
    assert "readings of channels" in verify(copy, expected=5)["problems"][0]
    with sqlite3.connect(copy) as db:
        db.execute("DELETE FROM sample WHERE key & 32767 = 77 OR key = (SELECT max(key) FROM sample_counter)")
    db.close()
    assert "missing, in the table: sample_counter" in verify(copy, expected=5)["problems"][0]
    size = copy.stat().st_size
    with open(copy, "r+b") as raw:
        raw.seek(size // 2 // 4096 * 4096)
        raw.write(os.urandom(4096))
    answer = verify(copy, expected=5)
    assert "damaged" in answer["problems"][0] and answer["channels"] == []
    # a damaged history does not replace a sound copy
    good = folder / "good.db"
    assert run("history", "backup", "--database", file, "--output", good).returncode == 0
    before = good.read_bytes()
    result = run("history", "backup", "--database", copy, "--output", good)
    assert result.returncode == 5 and "damaged" in result.stderr
    assert good.read_bytes() == before
    assert not list(folder.glob("*.new*"))
    copy.write_bytes(b"SQLite format 3\0" + os.urandom(5000))
    assert not verify(copy, expected=5)["sound"]


def test_a_copy_is_complete_and_stands_alone(file, folder):
    with sqlite3.connect(file) as db:  # something that is only in the log
        db.execute("INSERT INTO event VALUES (1, 'x', 'y')")
        db.commit()
        result = run("history", "backup", "--database", file, "--output", folder / "c.db", "--json")
        assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer == {"file": str(folder / "c.db"), "bytes": (folder / "c.db").stat().st_size, "deleted": 0}
    assert {p.name for p in folder.iterdir() if p.name.startswith("c.db")} == {"c.db"}
    assert contents(folder / "c.db") == contents(file) | {"event": [(1, "x", "y")]}
    assert verify(folder / "c.db")["sound"]


def test_a_number_is_kept(file, folder):
    (folder / "history.db.backup-20200101T000000Z.keep").write_text("somebody's own")
    for i in range(3):
        (folder / f"history.db.backup-2020010{i + 1}T000000Z").write_text("old")
    result = run("history", "backup", "--database", file, "--keep", 2)
    assert result.returncode == 0 and "2 older deleted" in result.stdout
    names = [p.name for p in backups(folder)]
    assert names[:2] == ["history.db.backup-20200101T000000Z.keep", "history.db.backup-20200103T000000Z"]
    assert len(names) == 3
    assert contents(backups(folder)[2]) == contents(file)


def test_what_is_refused(file, folder):
    link = folder / "link.db"
    link.symlink_to(file)
    result = run("history", "backup", "--database", file, "--output", link)
    assert result.returncode == 4 and "history itself" in result.stderr
    for args, words in [(("--output", folder), "not a file"), (("--keep", 0), "--keep"),
                        (("--output", "x", "--keep", 2), "default name"), (("extra",), "extra")]:
        result = run("history", "backup", "--database", file, *args)
        assert result.returncode == 2 and words in result.stderr
    result = run("history", "backup", "--database", file, "--output", folder / "none/x.db")
    assert result.returncode == 1
    assert run("history", "backup", "--database", folder / "none.db").returncode == 2
    assert run("history", "verify", folder / "none.db").returncode == 2
    assert run("history", "verify", "a", "b").returncode == 2
    with sqlite3.connect(folder / "other.db") as db:
        db.execute("CREATE TABLE t (x)")
    assert "not a history" in run("history", "verify", folder / "other.db").stderr


def test_restore(file, folder):
    copy = folder / "copy.db"
    assert run("history", "backup", "--database", file, "--output", copy).returncode == 0
    with sqlite3.connect(file) as db:
        db.execute("DELETE FROM sample")
    db.close()
    before = contents(file)
    for args, status, words in [((), 2, "Say which backup"), ((copy, "more"), 2, "one word too many"),
                                ((folder / "none",), 2, "no copy"), ((folder,), 2, "not a file"),
                                ((file,), 4, "history itself"), (("--nonsense",), 2, "--help")]:
        result = run("history", "restore", *args, "--database", file)
        assert result.returncode == status and words in result.stderr, result.stderr
    assert contents(file) == before
    broken = folder / "broken.db"
    broken.write_bytes(copy.read_bytes()[:20000])
    result = run("history", "restore", broken, "--database", file)
    assert result.returncode == 5 and "damaged" in result.stderr
    assert contents(file) == before and not list(folder.glob("*.restor*"))
    result = run("history", "restore", copy, "--database", file)
    assert result.returncode == 0 and "is kept as" in result.stdout, result.stderr
    kept, = folder.glob("history.db.replaced-*Z")
    assert contents(kept) == before
    assert verify(file)["channels"][0]["readings"] == 2000
    assert [row[1] for row in contents(file)["event"]] == ["history_restored"]


def test_while_a_service_writes(folder, broker, spawn):
    config = write_config(folder, broker.url, [
        {"id": "house", "driver": "simulator", "interval": "50ms", "channels": {"a": {}, "b": {}}}],
        history={"commit_interval": "200ms"})
    service = spawn("--config", config, "run")
    service.wait_line("house b is online")
    path = folder / "data/history.db"

    def readings(file):
        with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as db:
            return db.execute("SELECT count(*) FROM reading").fetchone()[0]

    last = 0
    for i in range(4):
        wait_for(lambda: readings(path) > last, what="more readings")
        copy = folder / f"copy{i}.db"
        result = run("--config", config, "history", "backup", "--output", copy)
        assert result.returncode == 0, result.stderr
        answer = verify(copy)
        now = sum(channel["readings"] for channel in answer["channels"])
        assert answer["sound"] and last < now <= readings(path)
        last = now
        assert run("--config", config, "history", "verify").returncode == 0
    assert "retry" not in service.output and "error" not in service.output
    result = run("--config", config, "history", "restore", folder / "copy3.db")
    assert result.returncode == 4 and "in use" in result.stderr
    assert service.stop() == 0

    # restored, the service goes on from it
    result = run("--config", config, "history", "restore", folder / "copy3.db", "--json")
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["file"] == str(path) and readings(answer["kept"]) > readings(path) == last
    service = spawn("--config", config, "run")
    service.wait_line("house b is online")
    wait_for(lambda: readings(path) > last, what="readings after the restored ones")
    assert service.stop() == 0
    assert verify(path)["sound"]
