# SPDX-License-Identifier: MIT
"""`bl2mqtt simulate module` from outside: an independent host talks to its pty, byte by byte."""

import contextlib
import json
import os
import select
import signal
import struct
import subprocess
import termios
import time
import zlib

import pytest

from harness import BINARY, during, pause, run, wait_for
from simulator import Simulator, make_raw, open_tty, starter

LINK_CHECK = bytes.fromhex("01e0fc0100")
LINK_REPLY = bytes.fromhex("040e0501e0fc0100")
BAUDS = {115200: termios.B115200, 921600: termios.B921600, 2000000: termios.B2000000}
SECTOR = 4096
IDENTITY = {"BK7231N": 0x4063D299, "BK7231T": 0xBA54C1B8}


class Module(Simulator):
    KIND = "module"

    def tell(self, command):
        self.send(command)
        return self.answer()

    def stats(self):
        return self.tell("stats")


class Host:
    """A flasher of the test's own, as simple as it can be."""

    def __init__(self, path):
        self.fd = open_tty(path)
        self.set_baud(115200)

    def set_baud(self, baud):
        make_raw(self.fd, BAUDS[baud])

    def write(self, data):
        while data:
            try:
                data = data[os.write(self.fd, data):]
            except BlockingIOError:
                select.select([], [self.fd], [], 1)

    def read(self, length, timeout):
        data = b""
        end = time.monotonic() + timeout
        while len(data) < length:
            if not select.select([self.fd], [], [], max(0, end - time.monotonic()))[0]:
                break
            got = os.read(self.fd, length - len(data))
            if not got:
                raise OSError("hung up")
            data += got
        return data

    def drain(self, quiet=0.05):
        while self.read(4096, quiet):
            pass

    def ask(self, request, length, timeout=5.0):
        self.write(request)
        return self.read(length, timeout)

    def link(self, timeout=15.0):
        """LinkChecks without a pause until one is answered; then quiet, and one more."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            received = b""
            while LINK_REPLY not in received and time.monotonic() < end:
                self.write(LINK_CHECK)
                received = (received + self.read(64, 0.002))[-64:]
            self.drain(0.02)
            if self.ask(LINK_CHECK, 8, 0.1) == LINK_REPLY:
                return
        raise AssertionError("no link")

    def change_baud(self, baud):
        self.write(bytes.fromhex("01e0fc060f") + struct.pack("<IB", baud, 20))
        pause(0.01, "the chip switches")
        self.set_baud(baud)
        reply = self.read(12, 2.0)
        assert reply == bytes.fromhex("040e0901e0fc0f") + struct.pack("<IB", baud, 20)

    def long(self, command, data, length, timeout=5.0):
        frame = bytes.fromhex("01e0fcfff4") + struct.pack("<HB", len(data) + 1, command) + data
        return self.ask(frame, length, timeout)

    def crc(self, start, length):
        reply = self.ask(bytes.fromhex("01e0fc0910") + struct.pack("<II", start, start + length - 1), 11)
        assert reply[:7] == bytes.fromhex("040e0801e0fc10")
        return struct.unpack("<I", reply[7:])[0] ^ 0xFFFFFFFF

    def read_sector(self, address):
        reply = self.long(0x09, struct.pack("<I", address), 15 + SECTOR)
        assert len(reply) == 15 + SECTOR and reply[10] == 0
        return reply[15:]

    def erase(self, address, opcode=0x20):
        reply = self.long(0x0F, struct.pack("<BI", opcode, address), 16)
        return reply[10] if len(reply) == 16 else None

    def write_sector(self, address, data, timeout=3.0):
        reply = self.long(0x07, struct.pack("<I", address) + data, 15, timeout)
        return reply[10] if len(reply) == 15 else None

    def unprotect(self):
        """What an N needs; a T does it by itself."""
        assert len(self.long(0x0D, b"\x01\x00\x00", 14)) == 14
        wait_for(lambda: self.long(0x0C, b"\x05", 13)[-1] & 1 == 0, 2, "the status register")

    def close(self):
        with contextlib.suppress(OSError):
            os.close(self.fd)


@pytest.fixture
def module():
    with starter(Module) as start:
        yield start


@pytest.fixture
def host():
    opened = []

    def open_port(path):
        opened.append(Host(path))
        return opened[-1]

    yield open_port
    for one in opened:
        one.close()


@pytest.mark.parametrize("chip", ["BK7231N", "BK7231T"])
def test_round_trip(module, host, folder, chip):
    flash = folder / "flash.bin"
    stats_file = folder / "stats.json"
    link = folder / "tty"
    one = module("--chip", chip, "--flash", flash, "--stats", stats_file, "--link", link, "--seed", 3)
    assert one.start["link"] == str(link) and one.start["chip"] == chip
    port = host(link)
    port.link()
    assert port.crc(0, 256) == IDENTITY[chip]
    port.change_baud(921600)
    rf = 0x1D0000 if chip == "BK7231N" else 0x1E0000
    sector = port.read_sector(rf)
    assert sector[:4] == b"TLV\0"
    assert sector[0x24:0x2A].hex(":").upper() == one.start["mac"]

    before = port.read_sector(0x30000)
    image = os.urandom(2 * SECTOR)
    if chip == "BK7231N":
        port.unprotect()
    else:
        assert port.ask(LINK_CHECK, 8) == LINK_REPLY
    for at in range(0, len(image), SECTOR):
        assert port.erase(0x20000 + at) == 0
        assert port.write_sector(0x20000 + at, image[at:at + SECTOR]) == 0
    assert port.crc(0x20000, len(image)) == zlib.crc32(image)
    port.write(bytes.fromhex("01e0fc020ea5"))
    wait_for(lambda: one.stats()["counters"]["reboots"] == 1, 5, "the reboot")

    stats = one.stats()
    assert stats["flash"]["touched_sectors"] == [0x20, 0x21]
    assert stats["flash"]["erases_4k"] == 2 and stats["flash"]["program_bytes"] == len(image)
    assert stats["flash"]["bootloader_erases"] == stats["flash"]["bootloader_programs"] == 0
    assert stats["flash"]["ignored"] == stats["flash"]["unerased"] == 0
    assert one.stop() == 0
    assert not link.is_symlink()
    assert json.loads(stats_file.read_text())["flash"] == stats["flash"]

    stored = flash.read_bytes()
    assert len(stored) == 0x200000 and stored[0x20000:0x22000] == image
    again = module("--chip", chip, "--flash", flash, "--seed", 4)
    port = host(again.start["port"])
    port.link()
    assert port.crc(0x20000, len(image)) == zlib.crc32(image)
    assert port.read_sector(0x30000) == before
    # Application area damaged in its first blocks: it would not run.
    assert again.stats()["application_runs"] is True


def test_throughput_is_paced_by_the_rate(module, host):
    one = module()
    port = host(one.start["port"])
    port.link()

    def fastest(reads):
        """Of several, because any of them may have to wait for a processor."""
        seconds = []
        for _ in range(reads):
            started = time.monotonic()
            port.read_sector(0x11000)
            seconds.append(time.monotonic() - started)
        return min(seconds)

    assert 0.357 < fastest(4) < 0.6
    port.change_baud(2000000)
    assert 0.0206 < fastest(30) < 0.1


def test_speed_makes_everything_but_windows_faster(module, host):
    one = module("--chip", "BK7231T", "--speed", 20)
    port = host(one.start["port"])
    port.link()
    port.change_baud(921600)
    def seconds(n):
        started = time.monotonic()
        port.read_sector(0x11000 + n * SECTOR)
        return time.monotonic() - started

    # The line alone takes 44.7 ms at speed 1. The fastest of many counts: the others had to wait for a processor.
    assert min(seconds(n) for n in range(60)) < 0.9 * 0.0447
    assert one.stats()["counters"]["watchdog_resets"] == 0


def test_wrong_baud_gives_no_answer(module, host):
    one = module()
    port = host(one.start["port"])
    port.link()
    port.change_baud(921600)
    port.set_baud(115200)
    assert port.ask(LINK_CHECK, 8, 0.2) != LINK_REPLY
    port.drain()
    port.set_baud(921600)
    port.drain()
    port.write(b"\0" * 8)  # ends whatever the garbage began
    port.drain()
    assert LINK_REPLY in (port.ask(LINK_CHECK, 8, 0.5), port.ask(LINK_CHECK, 8, 0.5))


def test_boots_unless_linked_and_is_cycled_again(module, host):
    one = module("--chip", "BK7231T", "--reset-every", "0.5")
    wait_for(lambda: one.stats()["counters"]["application_boots"] >= 2, 5, "two boots")
    port = host(one.start["port"])
    port.link()
    assert one.stats()["state"] == "linked"
    # Left alone it falls back into the application by its watchdog.
    wait_for(lambda: one.stats()["counters"]["watchdog_resets"] == 1, 5, "the watchdog")


def test_a_starved_simulator_does_not_take_it_for_silence(module, host):
    """Stopped for longer than the T's idle watchdog while its host goes on keeping it awake."""
    one = module("--chip", "BK7231T")
    port = host(one.start["port"])
    port.link()
    one.process.send_signal(signal.SIGSTOP)
    for _ in during(0.5, every=0.01):
        port.write(LINK_CHECK)
    one.process.send_signal(signal.SIGCONT)
    for _ in range(10):
        port.write(LINK_CHECK)
        port.drain(0.01)
    stats = one.stats()
    assert stats["state"] == "linked"
    assert stats["counters"]["watchdog_resets"] == 0


def test_power_cycle_only_on_request(module, host):
    one = module("--reset-every", 0)
    assert one.stats()["state"] == "off"
    port = host(one.start["port"])
    assert one.tell("power-cycle") == {"ok": True}
    port.link()
    assert one.stats()["counters"]["power_cycles"] == 1


def test_power_cycle_on_open(module, host):
    one = module("--reset-every", 0, "--power-cycle-on-open")
    for cycles in (1, 2):
        port = host(one.start["port"])
        port.link()
        assert one.stats()["counters"]["power_cycles"] == cycles
        port.close()
        pause(0.1, "the simulator sees that its port was closed")


def test_links_beside_another_controller(module, host):
    one = module("--fault", "chatter-ms=200")
    port = host(one.start["port"])
    port.link()
    assert one.stats()["state"] == "linked"


def test_adapter_vanishes_and_comes_back(module, host, folder):
    link = folder / "tty"
    one = module("--link", link, "--fault", "vanish-at-program=20", "--fault", "vanish-s=0.5", "--status", 0)
    port = host(link)
    port.link()
    with pytest.raises(OSError):
        port.write_sector(0x20000, b"\x55" * SECTOR, 2.0)
        port.read(1, 1.0)
    assert not link.is_symlink()
    wait_for(link.is_symlink, 5, "the adapter")
    port = host(link)
    assert port.ask(LINK_CHECK, 8, 0.2) != LINK_REPLY  # in the middle of Write4K
    port.write(b"\0" * SECTOR)
    port.drain(0.2)
    port.link()
    assert one.stats()["counters"]["vanished"] == 1


def test_brownout_in_mid_write(module, host):
    one = module("--fault", "brownout-at-program=100", "--status", 0, "--fault", "boot-window-ms=100")
    port = host(one.start["port"])
    port.link()
    assert port.write_sector(0x20000, b"\x55" * SECTOR, 1.0) is None
    port.link()
    stats = one.stats()
    assert stats["counters"]["brownouts"] == 1
    assert port.erase(0x20000) == 0
    assert port.write_sector(0x20000, b"\x55" * SECTOR) == 0


def test_control_answers_each_command(module, folder):
    one = module("--contents", "blank")
    dump = folder / "dump.bin"
    assert one.tell(f"dump {dump}") == {"ok": True}
    assert dump.read_bytes() == b"\xff" * 0x200000
    assert one.tell("fault loss-to-chip 0.5") == {"ok": True}
    assert one.tell("fault flash-id 0") == {"ok": True}
    for bad in ("fault loss-to-chip 2", "fault nonsense 1", "fault loss-to-chip", "unplug", "unplug x",
                "dump", "dump /no/such/folder/x", "hello", "x" * 5000, "dump " + "x" * 4095):
        answer = one.tell(bad)
        assert answer["ok"] is False and answer["error"].endswith("."), bad
    one.process.stdin.close()
    assert one.process.wait(10) == 0


@pytest.mark.parametrize("args", [
    ("--chip", "BK7231X"), ("--fault", "nonsense=1"), ("--fault", "loss-to-chip"),
    ("--fault", "loss-to-host=2"), ("--speed", "0"), ("--flash-size", "1000"), ("--contents", "other"),
    ("--control", "file"), ("--seed", "x"), ("--reset-every", "-1"), ("--status", "0x"), ("--bogus",),
    ("surplus",), ("--boot-version", "x" * 17),
])
def test_usage(args):
    result = run("simulate", "module", *args)
    assert result.returncode == 2
    assert result.stdout == "" and result.stderr


def test_files_are_treated_with_care(folder):
    plain = folder / "plain"
    plain.write_text("mine")
    result = run("simulate", "module", "--link", plain)
    assert result.returncode != 0 and "symbolic link" in result.stderr
    assert plain.read_text() == "mine"
    large = folder / "large"
    large.write_bytes(b"\0" * (0x200000 + 1))
    assert run("simulate", "module", "--flash", large).returncode == 2
    assert run("simulate", "module", "--vault", folder / "none").returncode == 1
    assert run("simulate", "module", "--flash", folder / "no" / "such", "--control", "-", stdin="quit\n").returncode == 1


def test_help_names_every_fault():
    result = run("simulate", "module", "--help")
    assert result.returncode == 0
    for name in ("loss-to-chip", "brownout-at-program", "vanish-s", "stuck-protection"):
        assert name in result.stdout
