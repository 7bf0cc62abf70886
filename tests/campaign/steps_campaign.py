#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A program that replaces the history, killed before its first, second, third ... step in the data folder (rename,
unlink, sync), until it goes through. Real binary, real files. A short run is part of the integration tests.

    tests/campaign/steps_campaign.py [SCENARIO ...] [--seed N] [--binary build/release/bridge/bl2mqtt]

Scenarios: found (damage found at the start, with a copy), running (damage while the service runs, with a copy), alone
(damage found at the start, without a copy), restore, backup, migration; all of them by default. After each kill the
next start must end with a history that has its readings (the copy's or the original's), totals as they were, no half
files, and that passes `history verify`.
"""

import pathlib
import random
import shutil
import signal
import sqlite3
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

import campaign_main  # noqa: E402
import harness  # noqa: E402
from harness import ROOT, Process, preloaded, run, wait_for, write_config  # noqa: E402

FIRST_MS = 1790000000000
READINGS = 20000  # of which the copy has
COPIED = 15000
COUNTED = READINGS * 3
MIGRATIONS = sorted((ROOT / "migrations").glob("*.sql"))
# What may stand in the folder after a start that went well; each is documented.
WHOLE = ("history.db", "history.db-wal", "history.db-shm", "history.db.lock", "history.db.totals.json", "topics.json",
         "preferences.json")
KEPT = ("history.db.damaged-", "history.db.replaced-", "history.db.before-", "history.db.backup-", "history.db.moved-")


def make(path, version, readings):
    """A history of channel 1, of a device that the service does not have, so that nothing may change in it."""
    db = sqlite3.connect(path)
    db.execute("PRAGMA page_size = 1024")
    for file in MIGRATIONS[:version]:
        db.executescript(file.read_text())
    db.execute(f"PRAGMA user_version = {version}")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("INSERT INTO channel VALUES (1, 'cellar', 'a', 1)")
    db.execute("INSERT INTO calibration (id, channel, valid_from_ms, voltage, current, power, invert) "
               "VALUES (1, 1, ?, 15883.3, 128118.9, 317.9, 0)", (FIRST_MS,))
    db.execute("INSERT INTO meta VALUES ('stopped_clean', '0')")
    db.commit()
    db.close()
    append(path, version, 0, readings)


def append(path, version, first, readings):
    db = sqlite3.connect(path)
    row = "reading VALUES (?, 3653159, 557317, 1000, 1, 20000, 0, 3, 0)" if version < 6 else \
        "sample VALUES (?, 3653159, 557317, 1000, 0, 3 * 32)"
    db.executemany(f"INSERT INTO {row}", ((FIRST_MS + i * 1000 << 15 | 1,) for i in range(first, readings)))
    db.execute("INSERT OR REPLACE INTO total (channel, calibration, known, counter, counter_wall_ms, counter_boot_ms, "
               "boot_id, imported, exported, base_imported_uwh, base_exported_uwh) "
               "VALUES (1, 1, 1, 0, ?, 0, 'boot', ?, 0, 0, 0)", (FIRST_MS + readings * 1000, readings * 3))
    db.commit()
    db.close()


class Steps:
    def __init__(self, folder, seed):
        self.folder = pathlib.Path(folder)
        self.dice = random.Random(seed)
        self.copies = self.folder / "copies"
        self.data = self.folder / "data"
        self.path = self.data / "history.db"
        self.which = self.folder / "step"
        self.config = write_config(self.folder, "mqtt://127.0.0.1:1",
                                   [{"id": "house", "driver": "simulator", "channels": {"a": {}}}],
                                   history={"commit_interval": "200ms", "backup": {"folder": str(self.copies)}})
        self.env = preloaded("kill_step", KILL_STEP_PREFIX=self.data, KILL_STEP_FILE=self.which)
        self.made = {}

    def close(self):
        pass

    # ---- the state before ----

    def prepare(self, name, version=len(MIGRATIONS)):
        """The same files for every step, made once."""
        template = self.folder / f"template-{name}"
        if not template.exists():
            (template / "data").mkdir(parents=True)
            (template / "copies").mkdir()
            path = template / "data/history.db"
            make(path, version, COPIED)
            if version == len(MIGRATIONS):
                status = run("history", "backup", "--database", path, "--output", template / "copies/copy").returncode
                assert status == 0, status
                (template / "copies/copy").rename(template / "copies/history.db.backup-20260101T000000Z")
            append(path, version, COPIED, READINGS)
        for folder in (self.data, self.copies):
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(template / folder.name, folder)
        self.which.unlink(missing_ok=True)
        self.env["KILL_STEP_PREFIX"] = str(self.data)

    def damage(self):
        """The middle, as a reading table's page is; what is small stays."""
        with open(self.path, "r+b") as file:
            size = self.path.stat().st_size
            file.seek(int(size * 0.3))
            file.write(self.dice.randbytes(int(size * 0.6)))

    # ---- what is killed: True if it went through ----

    def command(self, *words):
        result = run("--config", self.config, *words, env=self.env)
        assert result.returncode in (0, -signal.SIGKILL), result
        return result.returncode == 0

    def service(self, line):
        process = Process([harness.BINARY, "--config", self.config, "run"], env=self.env)
        try:
            wait_for(lambda: line in process.output or not process.running(), 30, line)
            return line in process.output
        finally:
            process.kill()

    def found(self):
        self.prepare("copy")
        self.damage()
        return lambda: self.service("house a is online")

    def alone(self):
        self.prepare("copy")
        next(self.copies.iterdir()).unlink()
        self.damage()
        return lambda: self.service("house a is online")

    def restore(self):
        self.prepare("copy")
        return lambda: self.command("history", "restore", next(self.copies.iterdir()))

    def backup(self):
        self.prepare("copy")
        self.env["KILL_STEP_PREFIX"] = str(self.copies)
        return lambda: self.command("history", "backup")

    def migration(self):
        self.prepare("old", 3)
        return lambda: self.service("house a is online")

    def running(self):
        self.prepare("copy")
        return self.damaged_running

    def damaged_running(self):
        wanted = self.which.read_text()
        self.which.unlink()
        process = Process([harness.BINARY, "--config", self.config, "run"], env=self.env)
        try:
            process.wait_line("house a is online", 20)
            wait_for(lambda: self.query("SELECT count(*) FROM total")[0][0] == 2, 10, "a commit")
            db = sqlite3.connect(self.path, timeout=5)
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            db.close()
            self.which.write_text(wanted)
            with open(self.path, "r+b") as file:  # all of it, so that it is noticed soon
                file.seek(2048)
                file.write(self.dice.randbytes(self.path.stat().st_size - 2048))
            wait_for(lambda: "is written again" in process.output or not process.running(), 30, "it to go on")
            return "is written again" in process.output
        finally:
            process.kill()

    # ---- what it must come to ----

    def query(self, sql):
        db = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=5)
        try:
            return db.execute(sql).fetchall()
        finally:
            db.close()

    def judge(self, scenario):
        self.which.unlink(missing_ok=True)
        process = Process([harness.BINARY, "--config", self.config, "run"])
        try:
            process.wait_line("house a is online", 30)
            wait_for(lambda: self.query("SELECT count(*) FROM total")[0][0] == 2, 10, "a commit")
        finally:
            status = process.stop()
        said = f"{sorted(path.name for path in self.data.iterdir())}\n{process.output[-3000:]}"
        assert status == 0, said
        (rows,), = self.query(f"SELECT count(*) FROM reading WHERE key >> 15 BETWEEN {FIRST_MS} AND {FIRST_MS + READINGS * 1000}")
        assert rows in {"alone": (0, READINGS), "migration": (READINGS,), "backup": (READINGS,)}.get(scenario, (COPIED, READINGS)), \
            f"{rows} readings\n{said}"
        if scenario in ("found", "running"):
            assert rows == COPIED, said
        (total,), = self.query("SELECT imported FROM total WHERE channel = 1")
        assert total == COUNTED, f"a total of {total}, not {COUNTED}\n{said}"
        for name in (path.name for path in self.data.iterdir()):
            whole = name.removesuffix("-wal").removesuffix("-shm")
            known = name in WHOLE or whole.startswith(KEPT) and not whole.endswith(".new")
            assert known, f"{name} is left\n{said}"
        # The history, and what is kept as a copy: what has such a name is whole.
        for path in [self.path, *self.data.glob("history.db.before-*"), *self.copies.iterdir()]:
            result = run("history", "verify", path)
            assert result.returncode == 0, f"{path.name}: {result.stdout}{result.stderr}\n{said}"

    def scenario(self, name, stride=1, first=1):
        """Every step, or every so many-th from a first one on."""
        began, step, tried = time.monotonic(), first, 0
        while True:
            act = getattr(self, name)()
            self.which.write_text(str(step))
            through = act()
            tried += 1
            try:
                self.judge(name)
            except AssertionError as error:
                raise AssertionError(f"{name}, killed before step {step}: {error}") from None
            if through:
                break
            step += stride
        print(f"figure: {name}: {tried} starts, {step} steps, {time.monotonic() - began:.1f} s", flush=True)
        assert tried > 1, "it was never killed"


SCENARIOS = ("found", "running", "alone", "restore", "backup", "migration")


def main():
    parser = campaign_main.parser(__doc__)
    parser.add_argument("scenarios", nargs="*")
    parser.add_argument("--stride", type=int, default=1, help="take every so many-th step")
    options = parser.parse_args()
    failed = []
    with campaign_main.campaign(Steps, options, "bl2mqtt-steps-") as campaign:
        for name in options.scenarios or SCENARIOS:
            try:
                campaign.scenario(name, options.stride)
            except AssertionError as error:
                print(error)
                failed.append(name)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
