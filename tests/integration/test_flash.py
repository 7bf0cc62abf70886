# SPDX-License-Identifier: MIT
"""`bl2mqtt flash` against `simulate module`: the real binary on a real pty. Whatever a test does, a T's
flash below 0x11000 must have been neither erased nor written at its end (Module.stop checks it)."""

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import pty
import random
import select
import signal
import subprocess
import sys
import termios
import threading
import time
import tty
from concurrent.futures import ThreadPoolExecutor

import pytest

import beken_images
from beken_images import APP, SECTOR, make_qio, make_rbl, make_ua, make_ug
from beken_module import Module, answer, attended, flash, operations, put, refusal, write_backup
from harness import BINARY, run
from simulator import make_raw, open_tty

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "campaign"))
import flash_campaign  # noqa: E402

TESTS = pathlib.Path(__file__).resolve().parents[1]
RF = {"BK7231N": 0x1D0000, "BK7231M": 0x1D0000, "BK7231T": 0x1E0000}
CONFIG = {"BK7231N": 0x1D1000, "BK7231T": 0x1E1000}
ON_OPEN = ("--power-cycle-on-open",)


# ---------------------------------------------------------------------- knowing

@pytest.mark.parametrize("chip,bootloader,flash_id,protected", [
    ("BK7231N", "BK7231N_1.0.1", "0x1560EB", True),
    ("BK7231M", None, "0x1560EB", True),
    ("BK7231T", "BK7231S_1.0.5", None, None),
])
def test_probe(module, chip, bootloader, flash_id, protected):
    sim = module(chip)
    facts = answer(sim, "probe")
    rf = sim.flash()[RF[chip]:]
    assert facts["chip"] == chip
    assert facts["flash_id"] == flash_id
    assert facts["flash_name"] == ("TH25Q16HB" if flash_id else None)
    assert facts["flash_size"] == 0x200000
    assert facts["protected"] is protected
    assert facts["mac"] == ":".join(f"{b:02x}" for b in rf[0x24:0x2A])
    assert facts["baud"] == 115200
    if bootloader:
        assert facts["bootloader"] == bootloader
    assert operations(sim.stop()) == 0


@pytest.mark.parametrize("args,application", [
    (("--contents", "openbeken"), "openbeken"),
    (("--contents", "blank"), "blank"),
    (("--vault", "VAULT"), "tuya"),
])
def test_probe_tells_the_application(module, folder, args, application):
    needle = bytes.fromhex("46DCED0E672F3B70AE1276A3F8712E03")
    vault = put(folder, "vault", bytes(32) + needle * 254)
    args = [str(vault) if arg == "VAULT" else arg for arg in args]
    assert answer(module(args=[*ON_OPEN, *args]), "probe")["application"] == application


def test_no_module_is_exit_3_with_a_reason(module):
    sim = module(args=("--reset-every", "0"))
    result = run("flash", "probe", "--port", sim.port, "--timeout", 0.5)
    assert result.returncode == 3
    assert "not one byte came in" in result.stderr and "P10" in result.stderr
    result = run("flash", "probe", "--port", "/dev/not-there", "--timeout", 2)
    assert result.returncode == 3


def test_link_test_finds_the_highest_clean_rate(module):
    report = answer(module(max_clean_baud=500000, over_baud_loss=0.01), "link-test")
    assert [rate["baud"] for rate in report["rates"]] == [115200, 230400, 460800, 921600]
    errors = [rate["errors"] for rate in report["rates"]]
    assert errors[:3] == [0, 0, 0] and errors[3] > 0
    assert report["recommended_baud"] == 460800
    assert "460800" in report["verdict"] and "921600" in report["verdict"]


# ---------------------------------------------------------------------- round trips

@pytest.mark.parametrize("chip", ["BK7231N", "BK7231T"])
def test_round_trip(module, folder, chip):
    sim = module(chip)
    before = sim.flash()
    saved = folder / "saved.bin"
    image = make_qio(chip)
    path = put(folder, "image.bin", image)
    result = answer(sim, "write", path, "--backup", saved)
    assert result["verified"] and result["retries"] == 0
    assert saved.read_bytes() == before
    facts = json.loads((folder / "saved.bin.json").read_text())
    assert facts["sha256"] == hashlib.sha256(before).hexdigest()
    assert facts["chip"] == chip and facts["mac"] and facts["time"]
    assert sorted(p.name for p in folder.glob("saved*")) == ["saved.bin", "saved.bin.json"]

    start = APP if chip == "BK7231T" else 0
    after = sim.flash()
    assert after[start:len(image)] == image[start:]
    assert after[:start] == before[:start] and after[len(image):] == before[len(image):]

    # Written again, nothing is left to do.
    again = answer(sim, "write", path, "--no-backup")
    assert again["written"] == 0 and again["erased"] == 0 and again["equal"] == again["sectors"]
    assert flash(sim, "verify", path).returncode == 0

    # A byte changes behind our back: verify names its sector, and only that one is sent.
    sim.stop()
    changed = bytearray(after)
    changed[APP + 0x2345] ^= 1
    sim = module(chip, flash=bytes(changed))
    result = flash(sim, "verify", path, "--json")
    assert result.returncode == 5
    assert json.loads(result.stdout)["differing"] == [{"address": APP + 0x2000, "length": SECTOR}]
    fixed = answer(sim, "write", path, "--no-backup")
    assert fixed["written"] == 1 and fixed["erased"] == 0

    restored = answer(sim, "restore", saved)
    assert restored["guarded"] == (18 if chip == "BK7231T" else 1)
    assert sim.flash() == before


def test_configuration_goes_to_its_place(module, folder):
    config = (TESTS / "data/obk_config_example.bin").read_bytes()
    path = put(folder, "config.bin", config)
    for chip in ("BK7231N", "BK7231T"):
        sim = module(chip)
        answer(sim, "write", path, "--no-backup")
        assert sim.flash()[CONFIG[chip]:CONFIG[chip] + SECTOR] == config.ljust(SECTOR, b"\xff")


def test_long_image_leaves_rf_alone(module, folder):
    """OpenBeken images with a configuration behind them hold FF where the RF sector is."""
    sim = module()
    before = sim.flash()
    image = bytearray(make_qio("BK7231N", size=0x1D2000))
    image[-102:] = b"\xff" * 102
    image[0x30000 - 102:0x30000] = make_qio("BK7231N", size=0x30000)[-102:]
    result = answer(sim, "write", put(folder, "long.bin", bytes(image)), "--no-backup")
    assert result["guarded"] == 1
    after = sim.flash()
    assert after[RF["BK7231N"]:][:SECTOR] == before[RF["BK7231N"]:][:SECTOR]
    assert after[:RF["BK7231N"]] == image[:RF["BK7231N"]]


def test_restore_full_brings_rf_back(module, folder):
    sim = module()
    before = sim.flash()
    saved = put(folder, "saved.bin", before)
    sim.stop()
    damaged = bytearray(before)
    damaged[0x1D0000:0x1D1000] = b"\xff" * SECTOR
    sim = module(flash=bytes(damaged))
    answer(sim, "restore", saved)
    assert sim.flash() == bytes(damaged)
    answer(sim, "restore", saved, "--full")
    assert sim.flash() == before


def test_erase(module):
    sim = module()
    before = sim.flash()
    facts = answer(sim, "erase", "--address", "0x1E5000", "--length", "0x2000")
    assert facts["verified"]
    after = sim.flash()
    assert after[0x1E5000:0x1E7000] == b"\xff" * 0x2000
    assert after[:0x1E5000] == before[:0x1E5000] and after[0x1E7000:] == before[0x1E7000:]


def test_64k_erases_where_they_pay(module, folder):
    sim = module(flash=bytes(0x200000 - SECTOR) + bytes(SECTOR))
    answer(sim, "erase", "--address", "0x2F000", "--length", "0x22000")
    flash_stats = sim.stop()["flash"]
    assert flash_stats["erases_64k"] == 2 and flash_stats["erases_4k"] == 2


# ---------------------------------------------------------------------- refusals

T_IMAGE = make_ua("BK7231T")
N_IMAGE = make_qio("BK7231N")
FILES = {
    "T": T_IMAGE,
    "N": N_IMAGE,
    "N app": make_ua("BK7231N"),
    "M": make_qio("BK7231M"),
    "RBL": make_rbl(),
    "UG": make_ug(),
    "broken": N_IMAGE[:0x12345] + bytes([N_IMAGE[0x12345] ^ 0x40]) + N_IMAGE[0x12346:],
    "cut": N_IMAGE[:-1000],
    "text": b"no firmware" * 999,
    "dump": N_IMAGE.ljust(0x200000, b"\xff"),
}


@pytest.mark.parametrize("chip,content,args,word", [
    ("BK7231N", "T", (), "BK7231T"),
    ("BK7231T", "N", (), "BK7231N"),
    ("BK7231T", "T", ("--chip", "BK7231N"), "--chip"),
    ("BK7231M", "N", (), "no key"),
    ("BK7231N", "M", (), "unencrypted"),
    ("BK7231N", "RBL", (), "over-the-air"),
    ("BK7231N", "UG", ("--force",), "over-the-air"),
    ("BK7231N", "broken", (), "CRC"),
    ("BK7231N", "cut", (), "cut short"),
    ("BK7231N", "text", ("--address", "0x11000"), "no firmware"),
    ("BK7231N", "text", ("--force",), "--address"),
    ("BK7231N", "text", ("--force", "--address", "0x1CF000"), "MAC"),
    ("BK7231N", "N app", ("--address", "0"), "0x11000"),
    ("BK7231T", "T", ("--force", "--address", "0"), "bootloader"),
    ("BK7231T", "T", ("--force", "--address", "0x10000"), "bootloader"),
    ("BK7231T", "T", ("--force", "--address", "0x200000"), "wrap"),
    ("BK7231N", "dump", (), "restore"),
])
def test_write_refuses(module, folder, chip, content, args, word):
    sim = module(chip)
    path = put(folder, "image.bin", FILES[content])
    refusal(flash(sim, "write", path, "--no-backup", *args), sim, word)


@pytest.mark.parametrize("chip,address,length,word", [
    ("BK7231T", "0", "0x1000", "bootloader"),
    ("BK7231T", "0x10000", "0x2000", "bootloader"),
    ("BK7231T", "0x200000", "0x1000", "wrap"),
    ("BK7231T", "0x1E0000", "0x1000", "MAC"),
    ("BK7231N", "0x1D0000", "0x1000", "MAC"),
    ("BK7231N", "0x100000", "0x100000", "MAC"),
    ("BK7231N", "0x1FF000", "0x2000", "wrap"),
    ("BK7231N", "0xFFFFF000", "0x2000", "wrap"),
])
def test_erase_refuses(module, chip, address, length, word):
    sim = module(chip)
    refusal(flash(sim, "erase", "--address", address, "--length", length), sim, word)


@pytest.mark.parametrize("faults,word", [
    ({"flash_id": 0x15AABB}, "not in the table"),
    ({"flash_id": 0}, "does not answer"),
    ({"foreign_key": 1}, "key of its own"),
    ({"stuck_protection": 1}, "locked"),
    ({"loss_to_host": 0.003}, "not fit"),
])
def test_write_refuses_what_it_cannot_be_sure_of(module, folder, faults, word):
    sim = module(**faults)
    result = flash(sim, "write", put(folder, "image.bin", N_IMAGE), "--no-backup")
    refusal(result, sim, word)


def test_t_is_not_written_over_a_bad_line(module, folder):
    sim = module("BK7231T", loss_to_chip=1 / 5000)
    refusal(flash(sim, "write", put(folder, "image.bin", T_IMAGE), "--no-backup"), sim, "bootloader")


def test_without_a_backup_the_line_must_be_clean(module, folder):
    sim = module(loss_to_host=1 / 5000)
    result = flash(sim, "write", put(folder, "image.bin", N_IMAGE), "--no-backup", "--baud", "921600")
    refusal(result, sim, "no backup")


def test_backup(module, folder):
    sim = module("BK7231T")
    saved = folder / "saved.bin"
    facts = answer(sim, "backup", "--output", saved)
    assert facts["bytes"] == 0x200000 and facts["retries"] == 0
    assert saved.read_bytes() == sim.flash()
    assert operations(sim.stop()) == 0


def test_write_refuses_a_blank_backup(module, folder):
    sim = module(flash=b"\xff" * 0x200000)
    path = put(folder, "image.bin", N_IMAGE)
    refusal(flash(sim, "write", path, "--backup", folder / "saved.bin"), sim, "--no-backup")


def test_backups_are_never_written_over(module, folder):
    sim = module()
    saved = put(folder, "saved.bin", b"precious")
    refusal(flash(sim, "backup", "--output", saved), sim, "already there")
    sim = module()
    refusal(flash(sim, "write", put(folder, "image.bin", N_IMAGE), "--backup", saved), sim, "already there")
    assert saved.read_bytes() == b"precious"


def test_restore_refuses_a_damaged_or_foreign_backup(module, folder):
    sim = module()
    content = sim.flash()
    saved = folder / "saved.bin"
    write_backup(saved, content, "BK7231N", "0x1560EB")
    saved.write_bytes(content[:-1] + b"\x00")
    refusal(flash(sim, "restore", saved), sim, "SHA-256")
    sim = module("BK7231T")
    refusal(flash(sim, "restore", put(folder, "n.bin", content)), sim, "BK7231N")
    sim = module()
    refusal(flash(sim, "restore", put(folder, "image.bin", N_IMAGE)), sim, "dump")


def test_force_bootloader_wants_a_typed_confirmation(module, folder):
    sim = module()
    path = put(folder, "image.bin", T_IMAGE)
    args = ("flash", "write", path, "--port", sim.port, "--no-backup", "--force-bootloader", "--json")
    result = run(*args, stdin="yes\n")
    assert result.returncode == 4 and "Not confirmed" in result.stderr
    # Confirmed, even the wrong chip's image goes in.
    result = run(*args, stdin="overwrite the bootloader\n")
    assert result.returncode == 0, result.stderr
    assert sim.flash()[APP:APP + len(T_IMAGE)] == T_IMAGE


# ---------------------------------------------------------------------- trouble

def test_slow_flash_is_not_overrun(module, folder):
    """700 us for 32 bytes at 921600 overruns an unpaced sender at once; pacing needs no retry."""
    sim = module(speed=1, program_us=700, crc_bytes_per_s=100000000)
    path = put(folder, "image.bin", make_ua("BK7231N", 30000))
    result = answer(sim, "write", path, "--no-backup", "--baud", "921600")
    assert result["retries"] == 0
    assert sim.stop()["flash"]["unerased"] == 0


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


def wait_for_write(process, address):
    """Until that sector is on its way."""
    for line in process.stderr:
        if '"stage":"write"' in line and json.loads(line)["address"] >= address:
            return
    raise AssertionError(f"ended with {process.wait()} before 0x{address:X} was written")


def missing(flash_now, image):
    return sum(flash_now[APP + i:APP + i + SECTOR] != image[i:i + SECTOR].ljust(SECTOR, b"\xff")
               for i in range(0, len(image), SECTOR))


def test_ctrl_c_stops_and_the_next_run_goes_on(module, folder):
    sim = module(speed=8)
    image = make_ua("BK7231N", 100000)
    path = put(folder, "image.bin", image)
    process = start_write(sim, path)
    wait_for_write(process, 0x18000)
    process.send_signal(signal.SIGINT)
    _, words = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "run the same command again" in words.splitlines()[-1]
    left = missing(sim.flash(), image)
    assert 0 < left < len(image) // SECTOR
    done = json.loads(attended(sim, "flash", "write", path, "--port", sim.port, "--no-backup", "--json",
                               "--progress", "none").stdout)
    assert done["written"] == left
    assert missing(sim.flash(), image) == 0


def test_kill_in_mid_write(module, folder, seed):
    """kill -9 at a random moment, again and again: the next run sends only what is missing."""
    rng = random.Random(seed)
    sim = module(speed=8, args=("--reset-every", "0.5"))
    for round_number in range(int(os.environ.get("TEST_KILLS", 1))):
        image = make_ua("BK7231N", 80000, seed=round_number)
        path = put(folder, "image.bin", image)
        process = start_write(sim, path)
        wait_for_write(process, APP + SECTOR * rng.randrange(2, 15))
        time.sleep(rng.uniform(0, 0.05))
        process.kill()
        process.communicate()
        left = missing(sim.flash(), image)
        result = attended(sim, "flash", "write", path, "--port", sim.port, "--no-backup", "--json", "--progress",
                          "none")
        assert result.returncode == 0, result.stderr
        done = json.loads(result.stdout)
        assert done["written"] <= left + 1, "more was sent than was missing"
        assert missing(sim.flash(), image) == 0


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


def test_bad_lines(folder, seed):
    """A short run of tests/campaign/flash_campaign.py, three at a time: they mostly wait."""
    def one(number):
        own = folder / str(number)
        own.mkdir()
        kind, end, _, _, problem, words, faults = flash_campaign.run(seed + number, own, short=True)
        assert problem is None, f"seed {seed + number} ({kind}, {faults}): {problem}\n{words}"
        return end

    with ThreadPoolExecutor(3) as pool:
        ends = list(pool.map(one, range(int(os.environ.get("TEST_RUNS", 3)))))
    assert set(ends) <= {"written", "refused"}


# ---------------------------------------------------------------------- what it says

def test_progress_and_trace(module, folder):
    sim = module()
    trace = folder / "trace.txt"
    path = put(folder, "image.bin", make_ua("BK7231N"))
    result = run("flash", "write", path, "--port", sim.port, "--no-backup", "--progress", "json", "--json",
                 "--trace", trace, "--timeout", 15)
    assert result.returncode == 0, result.stderr
    steps = [json.loads(line) for line in result.stderr.splitlines()]
    steps = [step for step in steps if "stage" in step]
    assert all(set(step) == {"stage", "done", "total", "address", "retries", "baud"} for step in steps)
    assert all(0 <= step["done"] <= step["total"] for step in steps)
    stages = list(dict.fromkeys(step["stage"] for step in steps))
    assert stages == ["connect", "identify", "link-test", "check", "write", "verify", "reboot"]
    lines = trace.read_text().splitlines()
    assert any(line.split()[1:] == ["<", "04", "0e", "05", "01", "e0", "fc", "01", "00"] for line in lines)
    assert any(line.split()[1] == ">" and line.split()[2:9] == "01 e0 fc ff f4 05 10".split() for line in lines)


def test_bar_on_a_terminal(module):
    sim = module()
    result = run("flash", "link-test", "--port", sim.port, "--rates", "115200", "--progress", "bar")
    assert result.returncode == 0
    assert "100 %" in result.stderr


@pytest.mark.parametrize("args", [
    ("write",), ("write", "a", "b"), ("write", "image.bin"), ("probe",), ("probe", "--port", "p", "--baud", "x"),
    ("probe", "--port", "p", "--reset", "x"), ("erase", "--port", "p", "--address", "0x1000"),
    ("erase", "--port", "p", "--address", "0x1001", "--length", "0x1000"), ("backup", "--port", "p"),
    ("write", "x", "--port", "p", "--backup", "b", "--no-backup"), ("image", "/no/such/file"),
    ("probe", "--port", "p", "--chip", "ESP32"), ("link-test", "--port", "p", "--rates", "115200,,"),
])
def test_usage_errors(args):
    result = run("flash", *args)
    assert result.returncode == 2, result.stderr
    assert result.stderr


def test_every_command_has_help():
    for command in ("probe", "link-test", "backup", "write", "verify", "restore", "erase", "image"):
        result = run("flash", command, "--help")
        assert result.returncode == 0 and f"bl2mqtt flash {command}" in result.stdout


def test_a_port_in_use_is_refused(module):
    sim = module()
    holder = os.open(sim.port, os.O_RDWR | os.O_NOCTTY)
    try:
        fcntl.flock(holder, fcntl.LOCK_EX)
        result = flash(sim, "probe")
        assert result.returncode == 4 and "in use" in result.stderr
    finally:
        os.close(holder)
