# SPDX-License-Identifier: MIT
"""`bl2mqtt flash write` in trouble: slow flashes, bad lines, modules that reset, adapters that vanish, flashers
that are stopped or killed."""

import contextlib
import json
import os
import pathlib
import pty
import select
import signal
import subprocess
import sys
import termios
import threading
import tty
from concurrent.futures import ThreadPoolExecutor

import pytest

from beken_images import APP, SECTOR, make_ua
from beken_module import answer, attended, put
from flash_helper import missing
from harness import BINARY, pause, run
from simulator import make_raw, open_tty

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "campaign"))
import flash_campaign  # noqa: E402


def test_slow_flash_is_not_overrun(module, folder):
    """700 us for 32 bytes at 921600 overruns an unpaced sender at once; a paced one never does."""
    path = put(folder, "image.bin", make_ua("BK7231N", 30000))

    def overruns():
        sim = module(speed=1, program_us=700, crc_bytes_per_s=100000000)
        answer(sim, "write", path, "--no-backup", "--baud", "921600")
        stats = sim.stop()
        assert stats["flash"]["unerased"] == 0 or stats["counters"]["overruns"] > 0
        return stats["counters"]["overruns"]

    # Each of the 938 programs of an unpaced sender overruns. At true speed a busy machine can hold back a paced
    # sender's bytes and deliver some of them in a burst, so a few are no proof.
    assert any(overruns() < 20 for _ in range(4))


def held_up(process, number):
    """Stops a process for a moment, again and again, until the flasher has ended."""
    def go(flasher):
        while flasher.poll() is None:
            pause(0.1, "it runs for a moment")
            os.kill(process(flasher), signal.SIGSTOP)
            pause(number, "and stands still for one")
            with contextlib.suppress(ProcessLookupError):
                os.kill(process(flasher), signal.SIGCONT)
    return go


@pytest.mark.parametrize("who", ["module", "flasher"])
def test_late_is_not_lost(module, who):
    """Answers that a busy machine holds back for 80 ms are no reason to call the line bad and to refuse to erase."""
    sim = module(speed=4)
    hold_up = held_up(lambda flasher: sim.process.pid if who == "module" else flasher.pid, 0.08)
    flasher = subprocess.Popen([BINARY, "flash", "erase", "--address", "0x20000", "--length", "0x3000", "--port",
                                str(sim.port)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    hold_up(flasher)
    output, words = flasher.communicate()
    assert flasher.returncode == 0, words
    assert output.startswith("Verified 3 sectors: 0 written, 3 blanked"), output


MISHAPS = [
    ("BK7231N", {"brownout_at_program": 300}),
    ("BK7231T", {"brownout_at_program": 300}),
    ("BK7231N", {"vanish_at_program": 300, "vanish_s": 0.5}),
    ("BK7231T", {"vanish_at_program": 300, "vanish_s": 0.5, "vanish_resets": 1}),
    ("BK7231N", {"bad_sector": 0x15000, "bad_programs": 3}),
    ("BK7231N", {"stream": 0, "rx_ring": 8192}),
]


def test_comes_through(module, folder):
    """A reset in mid write, an adapter that vanishes, a sector that fails, a ROM that takes a sector before
    it programs. Side by side, because they mostly wait."""
    def one(number, sim, chip, faults):
        before = sim.flash()
        image = make_ua(chip, 60000)
        path = put(sim.folder, f"image-{number}.bin", image)
        result = attended(sim, "flash", "write", path, "--port", sim.port, "--no-backup", "--json", "--progress",
                          "none")
        assert result.returncode == 0, f"{chip} {faults}: {result.stderr}"
        after = sim.flash()
        assert after[APP:APP + len(image)] == image, f"{chip} {faults}"
        assert after[:APP] == before[:APP] and after[APP + 0xF000:] == before[APP + 0xF000:], f"{chip} {faults}"

    with ThreadPoolExecutor(3) as pool:
        jobs = []
        for number, (chip, faults) in enumerate(MISHAPS):
            sim = module(chip, args=("--reset-every", "0.5"), **faults)
            jobs.append(pool.submit(one, number, sim, chip, faults))
        for job in jobs:
            job.result()


def start_write(sim, path, *args):
    return subprocess.Popen([BINARY, "flash", "write", str(path), "--port", str(sim.port), "--no-backup",
                             "--progress", "json", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_ctrl_c_stops_and_the_next_run_goes_on(module, folder):
    sim = module(speed=8)
    image = make_ua("BK7231N", 100000)
    path = put(folder, "image.bin", image)
    process = start_write(sim, path)
    flash_campaign.until_write(process, 0x18000)
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "Stopped. " in words.splitlines()[-1] and "it goes on where it stopped" in words.splitlines()[-1]
    left = missing(sim.flash(), image)
    assert 0 < left < len(image) // SECTOR
    done = json.loads(attended(sim, "flash", "write", path, "--port", sim.port, "--no-backup", "--json",
                               "--progress", "none").stdout)
    assert done["written"] == left
    assert missing(sim.flash(), image) == 0


def short_campaign(job, folder, seeds):
    """A few runs of tests/campaign/flash_campaign.py, three at a time: they mostly wait."""
    def one(number):
        own = folder / str(number)
        own.mkdir()
        kind, end, _, _, problem, words, faults = job(number, own)
        assert problem is None, f"seed {number} ({kind}, {faults}): {problem}\n{words}"
        return end

    with ThreadPoolExecutor(3) as pool:
        return set(pool.map(one, seeds))


def test_kill_in_mid_write(folder, seed):
    """kill -9 at a random moment: the next run sends only what is missing."""
    count = int(os.environ.get("TEST_KILLS", 3))
    assert short_campaign(flash_campaign.kill, folder, range(seed, seed + count)) == {"finished"}


def test_bad_lines(folder, seed):
    count = int(os.environ.get("TEST_RUNS", 3))
    ends = short_campaign(lambda number, own: flash_campaign.run(number, own, short=True), folder,
                          range(seed, seed + count))
    assert ends <= {"written", "refused"}


class Relay(threading.Thread):
    """A wire between flasher and module that loses one byte of one frame: the nth that begins with `head`
    loses its byte at `offset`."""

    def __init__(self, module, head, offset, nth):
        super().__init__(daemon=True)
        self.near, self.far = pty.openpty()
        tty.setraw(self.far)
        self.port = os.ttyname(self.far)
        self.module = open_tty(module.port)
        self.head, self.offset, self.nth = head, offset, nth
        self.seen = b""
        self.dropped = 0
        self.ending = threading.Event()
        self.start()

    def lose(self, data):
        self.seen = (self.seen + data)[-8192:]
        kept = bytearray()
        for index in range(len(data)):
            at = len(self.seen) - len(data) + index - self.offset
            if at >= 0 and self.seen[at:at + len(self.head)] == self.head:
                self.nth -= 1
                if self.nth == 0:
                    self.dropped += 1
                    continue
            kept.append(data[index])
        return bytes(kept)

    def run(self):
        speed = None
        while not self.ending.is_set():
            ready = select.select([self.near, self.module], [], [], 0.05)[0]
            now = termios.tcgetattr(self.near)[4]
            if now != speed:
                speed = now
                make_raw(self.module, speed)
            with contextlib.suppress(OSError):
                if self.near in ready:
                    os.write(self.module, self.lose(os.read(self.near, 4096)))
                if self.module in ready:
                    os.write(self.near, os.read(self.module, 4096))

    def close(self):
        self.ending.set()
        self.join()
        for fd in (self.near, self.far, self.module):
            os.close(fd)


def test_a_write_that_hits_another_place_is_repaired(module, folder):
    """A write that loses its first address byte lands in the bootloader of an N, and nothing says so but
    the comparison of everything afterwards."""
    sim = module(args=("--reset-every", "0.5"))
    before = sim.flash()
    write_4k = bytes.fromhex("01e0fcfff4051007")
    for number, with_backup in enumerate((True, False)):
        image = make_ua("BK7231N", 40000, seed=number)
        path = put(folder, "image.bin", image)
        sim.tell("power-cycle")
        relay = Relay(sim, write_4k, 8, nth=3)
        choice = ("--backup", folder / "saved.bin") if with_backup else ("--no-backup",)
        try:
            result = run("flash", "write", path, "--port", relay.port, *choice, "--json", "--progress", "none",
                         timeout=60)
        finally:
            relay.close()
        assert relay.dropped == 1
        if with_backup:
            assert result.returncode == 0, result.stderr
            assert json.loads(result.stdout)["repaired"] > 0
            after = sim.flash()
            assert after[:APP] == before[:APP] and after[0x20000:] == before[0x20000:]
            assert after[APP:APP + len(image)] == image
        else:
            assert result.returncode == 5 and "restore its backup" in result.stderr
