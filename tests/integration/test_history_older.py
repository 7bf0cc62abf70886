# SPDX-License-Identifier: MIT
"""Commands that only read, on files of every older version: an answer or a sentence that says what to do, and the file
stays as it is to the byte."""

import sqlite3

import pytest

from harness import ROOT, run
from test_history import KP, ms

MIGRATIONS = sorted((ROOT / "migrations").glob("*.sql"))
BEGIN = ms("2026-10-24T00:00+00:00")
CIRCUIT = ("--device", "house", "--channel", "a")
SPAN = ("--from", "2026-10-24", "--to", "2026-10-25")
CORRECTION = ("history", "recalibrate", *CIRCUIT, "--since", "2026-10-24", "--power", 300)
READING = [
    ("energy", *CIRCUIT, *SPAN, "--bucket", "hour"), ("power", *CIRCUIT, *SPAN), ("cost", *CIRCUIT, *SPAN),
    ("gaps", *CIRCUIT, *SPAN), ("events", *SPAN), ("export", *CIRCUIT, *SPAN, "--format", "csv"),
    ("export", *CIRCUIT, *SPAN, "--format", "ha"),
    ("recalibrate", *CORRECTION[2:], "--dry-run"), ("recalibrate", *CIRCUIT, "--undo", "--dry-run"),
    ("import", "--list"), ("import", "counter.csv", *CIRCUIT, "--values", "total", "--dry-run"),
]


def make(path, version):
    db = sqlite3.connect(path)
    for file in MIGRATIONS[:version]:
        db.executescript(file.read_text())
    db.execute(f"PRAGMA user_version = {version}")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("INSERT INTO channel VALUES (1, 'house', 'a', 1)")
    db.execute("INSERT INTO calibration (id, channel, valid_from_ms, voltage, current, power, invert) "
               "VALUES (1, 1, ?, 15883.3, 128118.9, ?, 0)", (BEGIN, KP))
    db.execute("INSERT INTO total (channel, calibration, known, counter, counter_wall_ms, counter_boot_ms, boot_id, imported, "
               "exported, base_imported_uwh, base_exported_uwh) VALUES (1, 1, 1, 0, ?, 0, 'boot', 9000, 0, 0, 0)", (BEGIN,))
    row = "reading VALUES (?, 3653159, 557317, 1000, 1, 20000, 0, 3, 0)" if version < 6 else \
        "sample VALUES (?, 3653159, 557317, 1000, 0, 3 * 32)"  # what the view makes the same reading of
    db.executemany(f"INSERT INTO {row}", ((BEGIN + i * 10000 << 15 | 1,) for i in range(3000)))
    db.execute("INSERT INTO event VALUES (?, 'started', 'The service was started.')", (BEGIN << 15,))
    db.execute("INSERT INTO meta VALUES ('stopped_clean', '0')")  # whoever opened it to write would check it
    db.commit()
    db.close()


def state_of(folder):
    """Files and their bytes, but for what SQLite needs for reading: the index of a log, and a log without anything."""
    found = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    return {name: data for name, data in found.items() if not name.endswith("-shm") and not (name.endswith("-wal") and not data)}


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_reading_changes_nothing(folder, version):
    path = folder / "history.db"
    make(path, version)
    (folder / "counter.csv").write_text("time,energy_kwh\n2026-10-01T00:00:00Z,1.0\n2026-10-01T01:00:00Z,2.5\n")
    (folder / "bridge.yaml").write_text("tariffs:\n  - {currency: EUR, price: 0.3}\ndevices: []\n")
    before = state_of(folder)
    newest = version == len(MIGRATIONS)
    for command in READING:
        result = run("--config", folder / "bridge.yaml", "history", *command, "--database", path,
                     env={"TZ": "UTC"}, cwd=folder)
        words = f"{command}: {result.returncode}\n{result.stdout[-500:]}{result.stderr}"
        assert "Sanitizer" not in result.stderr, words
        if newest and "--undo" not in command:
            assert result.returncode == 0, words
        elif not newest:
            assert result.returncode == 2 and "older version. Start the service once" in result.stderr, words
            assert result.stdout == "", words
        assert state_of(folder) == before, words
    # The check looks into any version, and a copy can be verified as it is.
    result = run("history", "verify", path, env={"TZ": "UTC"})
    assert result.returncode == 0 and f"(format {version})" in result.stdout, result.stdout + result.stderr
    assert state_of(folder) == before


def test_a_trial_leaves_a_damaged_file_in_its_place(folder):
    path = folder / "history.db"
    make(path, len(MIGRATIONS))
    with open(path, "r+b") as file:
        file.seek(8192)
        file.write(b"\xee" * (path.stat().st_size - 8192))
    before = state_of(folder)
    result = run(*CORRECTION, "--dry-run", "--database", path, env={"TZ": "UTC"})
    assert result.returncode == 1 and "damaged" in result.stderr, result.stderr
    assert state_of(folder) == before


def test_a_correction_brings_the_file_up_to_date(folder):
    path = folder / "history.db"
    make(path, 2)
    result = run(*CORRECTION, "--database", path, env={"TZ": "UTC"})
    assert result.returncode == 0, result.stderr
    assert [p for p in folder.iterdir() if ".before-" in p.name], "the file as it was is kept"
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        assert db.execute("SELECT count(*) FROM recalibration").fetchone() == (1,)
    db.close()
