#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The history under the worst: the service killed again and again at random moments, and a disk that is full,
read-only or damaged. Real binary, real files, two simulated chips whose truth is known. A short run of each is
part of the integration tests.

    tests/campaign/history_campaign.py kills [--rounds 500] [--seed N] [--binary build/release/bridge/bl2mqtt]
    tests/campaign/history_campaign.py disk  [--rounds 60]  ...

Needs the libraries of tests/integration/preload, from the binary's own build or from build/asan.

kills: after each kill the file is sound, has what was read up to one commit interval before it, and its readings
add up to its totals. disk: each round fills the disk (where a file system may be mounted), makes it
read-only or damages random pages, with kills in between; metering and MQTT go on, the fault is reported. Both: no
published total is ever lower than one before, and at the end the totals are what the chips counted, to the
count.
"""

import contextlib
import errno
import pathlib
import random
import signal
import sqlite3
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "integration"))

import campaign_main  # noqa: E402
import harness  # noqa: E402
import house  # noqa: E402
from harness import Broker, Process, preloaded, wait_for, write_config  # noqa: E402

INTERVAL_MS = 100
COMMIT_MS = 400
# What may pass between a reading and its commit beside the interval: a busy machine, and the fsync.
SLACK_MS = 1500


class Campaign:
    def __init__(self, folder, seed):
        self.folder = pathlib.Path(folder)
        self.dice = random.Random(seed)
        self.stored = house.Stored(self.folder)
        self.data = self.folder / "data"
        self.data.mkdir()
        self.switch = self.folder / "read-only"
        self.service = self.watch = None
        self.mounted = False
        self.floor, self.keys, self.judged = {}, set(), 0
        self.tally, self.losses = {}, []
        self.broker = Broker(self.folder)
        self.chips = {name: house.meter(self.folder / f"usb-{name}", seed=seed % 1000 + i)
                      for i, name in enumerate("ab")}
        self.config = write_config(self.folder, self.broker.url, [house.house(self.folder, f"{INTERVAL_MS}ms")],
                                   history={"commit_interval": f"{COMMIT_MS}ms"}, bridge={"log_level": "info"})

    def close(self):
        if self.service is not None:
            self.service.kill()
        if self.watch is not None:
            self.watch.close()
        for chip in self.chips.values():
            chip.close()
        self.broker.stop()
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.data)], check=True)

    def count(self, what):
        self.tally[what] = self.tally.get(what, 0) + 1

    def mount(self):
        """A small file system at data/, where one may be mounted."""
        self.mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "bl2mqtt-test", str(self.data)],
                                      capture_output=True).returncode == 0
        if not self.mounted:
            print("nothing can be mounted here: the disk is not filled")

    def start(self):
        self.service = Process([harness.BINARY, "--config", self.config, "run"],
                               env=preloaded("full_disk", FULL_DISK_FILE=self.switch, FULL_DISK_PREFIX=self.data,
                                             FULL_DISK_ERRNO=errno.EROFS))

    def begin(self):
        self.watch = self.broker.subscribe("bl2mqtt/#", "homeassistant/#")
        self.start()
        self.watch.wait("bl2mqtt/house", lambda s: s["energy_a"] is not None and s["energy_b"] is not None, 15)
        wait_for(lambda: house.announced_keys(self.watch.messages), 10, "discovery")
        self.keys = house.announced_keys(self.watch.messages)
        # Where a channel's total begins is safe with the first commit; a kill before that moves it.
        wait_for(lambda: self.stored.query("SELECT sum(known) FROM total") == [(2,)], 10, "the first totals")
        for name, chip in self.chips.items():
            house.load(chip, {"a": 15000, "b": -9000}[name])

    def judge(self):
        messages = list(self.watch.messages)
        self.judged += house.judge_states(messages, self.keys, self.floor)
        for message in messages:
            if message["topic"] == "bl2mqtt/bridge/event" and "continues from the backup" in message["payload"]:
                self.count("times it went on from a copy")
        del self.watch.messages[:len(messages)]

    def kill(self):
        """Returns when."""
        self.service.signal(signal.SIGKILL)
        at_ms = time.time() * 1000
        self.service.stop(signal.SIGKILL)
        return at_ms

    def finish(self):
        house.settle(self.chips, self.folder, timeout=40)
        status = self.service.stop()
        assert status == 0, f"exit {status}\n{self.service.output[-3000:]}"
        self.judge()
        assert self.stored.query("PRAGMA integrity_check") == [("ok",)]
        for name, chip in self.chips.items():
            print(f"figure: channel {name}: counted {house.counted(chip)}, stored {sum(self.stored.totals()[name])}")
        print(f"figure: {self.judged} state messages judged; " +
              ", ".join(f"{name} {count}" for name, count in sorted(self.tally.items())))

    # ---- kills ----

    def check_killed(self, began_ms, killed_ms):
        """By a connection that recovers the log, as the service's own will."""
        db = sqlite3.connect(self.stored.path, timeout=5)
        try:
            assert db.execute("PRAGMA quick_check").fetchall() == [("ok",)]
            unequal = db.execute(
                "SELECT count(*) FROM total t WHERE (imported, exported) <> (SELECT coalesce(sum(imported), 0), "
                "coalesce(sum(exported), 0) FROM reading WHERE key & 32767 = t.channel)").fetchone()
            assert unequal == (0,), "the readings are not what the totals say"
            newest_ms, = db.execute("SELECT max(key) >> 15 FROM reading").fetchone()
        finally:
            db.close()
        lived_ms = killed_ms - began_ms
        if lived_ms > COMMIT_MS + SLACK_MS:
            lost_ms = killed_ms - newest_ms
            self.losses.append(lost_ms)
            assert lost_ms < COMMIT_MS + SLACK_MS, f"{lost_ms:.0f} ms before the kill are lost"

    def kills(self, rounds):
        self.begin()
        for _ in range(rounds):
            began_ms = time.time() * 1000
            time.sleep(self.dice.choice([self.dice.uniform(0, 0.3), self.dice.uniform(0, 1), self.dice.uniform(0.5, 3)]))
            assert self.service.running(), self.service.output[-3000:]
            self.check_killed(began_ms, self.kill())
            self.count("kills")
            self.judge()
            self.start()
        self.finish()
        self.stored.assert_consistent()
        if self.losses:
            print(f"figure: readings lost by a kill of a running service: {house.percentile(self.losses, 50):.0f} ms in the "
                  f"middle, {max(self.losses):.0f} ms at most; the commit interval is {COMMIT_MS} ms")

    # ---- the disk ----

    def metering(self, seconds):
        """States with power go on coming."""
        self.judge()
        try:
            self.watch.wait("bl2mqtt/house", lambda s: s["power_a"] is not None and s["power_b"] is not None, 20)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.service.output[-3000:]}") from None
        time.sleep(seconds)
        assert self.service.running(), self.service.output[-3000:]

    def told(self, kind, timeout=45):
        self.watch.wait("bl2mqtt/bridge/event", lambda e: e["type"] == kind, timeout)

    def perhaps_kill(self):
        if self.dice.random() < 0.4:
            self.kill()
            self.count("kills meanwhile")
            self.judge()
            self.start()
            return True
        return False

    def ends_for_want_of_room(self):
        """Damage of before that is only found now needs a fresh file, and that needs room: then the service says so
        and leaves it to systemd to try again."""
        with contextlib.suppress(AssertionError):
            wait_for(lambda: not self.service.running(), 1.5, "the end")
            assert "no room" in self.service.output, self.service.output
            self.count("starts that needed room")
            return True
        return False

    def full(self):
        filler = self.data / "filler"
        with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
            for size in (65536, 512):
                with contextlib.suppress(OSError):
                    while file.write(b"x" * size) == size:
                        pass
        self.told("history_problem")
        if self.perhaps_kill() and self.ends_for_want_of_room():
            filler.unlink()
            self.start()
            return self.metering(1)
        self.metering(self.dice.uniform(0.5, 2))
        filler.unlink()
        self.written_again()

    def read_only(self):
        """Under the running service, as a kernel does it with a broken card (which root cannot do with files in use,
        hence by library); where something can be mounted, also at a start, which then has to go on all the same."""
        self.switch.touch()
        self.told("history_problem")
        self.metering(self.dice.uniform(0.5, 2))
        self.switch.unlink()
        self.written_again()
        if self.mounted and self.dice.random() < 0.5:
            self.count("starts on a read-only disk")
            assert self.service.stop() == 0
            self.remount("ro")
            self.start()
            self.told("history_problem")
            self.metering(0.5)
            self.remount("rw")
            self.written_again()

    def remount(self, how):
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.data)], check=True)

    def written_again(self):
        before = self.stored_rows()
        try:
            wait_for(lambda: self.stored_rows() > before, 45, "the history to be written again", every=0.1)
        except AssertionError as error:
            raise AssertionError(f"{error} than {before}, now {self.stored_rows()}\n{self.service.output[-3000:]}") from None

    def stored_rows(self):
        # A damaged schema is quoted in the error's text, junk bytes and all.
        with contextlib.suppress(sqlite3.Error, UnicodeDecodeError):
            return self.stored.query("SELECT coalesce(max(key), 0) FROM reading")[0][0]
        return 0

    def damage(self, how):
        """Random pages get random bytes, of the file or of its log."""
        paths = [path for path in (self.stored.path, pathlib.Path(f"{self.stored.path}-wal"))
                 if path.exists() and path.stat().st_size > 8192]
        path = self.dice.choice(paths)
        pages = path.stat().st_size // 4096
        with open(path, "r+b") as file:
            for _ in range(self.dice.randint(1, 8)):
                file.seek(self.dice.randrange(pages) * 4096 + self.dice.randrange(4000))
                file.write(self.dice.randbytes(self.dice.randint(1, 96)))
        self.count(f"damaged {'log' if path.name.endswith('wal') else 'file'} {how}")

    def damaged_running(self):
        if self.dice.random() < 0.5:
            self.copy()
        self.damage("while running")
        self.metering(self.dice.uniform(0.5, 1.5))
        # The writer has the pages it needs in memory; it may not notice for long that nobody else can read them.
        if self.stored_rows() > 0:
            self.written_again()
        else:
            self.count("times only others saw the damage")
        # A page that nobody reads stays damaged without a word until the file is checked: at the start
        # after an unclean stop.
        self.kill()
        self.judge()
        self.start()
        self.written_again()

    def copy(self):
        """The newest of two; of a history that is damaged already there is none."""
        status = harness.run("history", "backup", "--database", self.stored.path, "--keep", 2).returncode
        self.count("copies made" if status == 0 else f"copies refused ({status})")

    def damaged_killed(self):
        self.kill()
        self.judge()
        self.damage("while killed")
        self.start()
        self.metering(self.dice.uniform(0.5, 1.5))
        self.written_again()

    def disk(self, rounds):
        self.mount()
        self.begin()
        # A history of the first minutes has its totals in the log alone, before the first copy of them
        # (PATH.totals.json) is made; who damages that log takes them away for good.
        assert self.service.stop() == 0
        self.start()
        faults = [self.damaged_killed, self.damaged_running, self.read_only] + ([self.full] if self.mounted else [])
        deck = []
        for _ in range(rounds):
            if not deck:
                deck = list(faults)
                self.dice.shuffle(deck)
            fault = deck.pop()
            self.count(fault.__name__.replace("_", " "))
            fault()
            self.judge()
            self.drop_set_aside()
        # A last clean stop: what is counted from here on must be exact whatever was lost before.
        self.finish()

    def drop_set_aside(self):
        """The small disk has no room for all of them."""
        for path in self.data.glob("history.db.damaged-*"):
            if not path.name.endswith(("-wal", "-shm")):
                self.count("histories quarantined")
            path.unlink()


def main():
    parser = campaign_main.parser(__doc__)
    parser.add_argument("what", choices=["kills", "disk"])
    parser.add_argument("--rounds", type=int, default=None)
    options = parser.parse_args()
    with campaign_main.campaign(Campaign, options, "bl2mqtt-history-") as campaign:
        if options.what == "kills":
            campaign.kills(options.rounds or 500)
        else:
            campaign.disk(options.rounds or 60)
    return 0


if __name__ == "__main__":
    sys.exit(main())
