# SPDX-License-Identifier: MIT
"""`bl2mqtt simulate meter` from outside: an independent host talks to its pty, byte by byte."""

import contextlib
import json
import os
import select
import signal
import subprocess
import termios
import time

import pytest

from harness import BINARY, pause, run, wait_for
from simulator import Simulator, make_raw, open_tty, starter

KV, KI, KP = 15883.34, 128118.87, 317.931
FACTORS = ("--calibration", f"{KV},{KI},{KP}")
CONSTANT = ("--voltage", 230, "--current", 10, "--power", 2000)


class Meter(Simulator):
    KIND = "meter"
    tell = Simulator.send

    def truth(self, *commands):
        self.send(*commands, "truth")
        return self.answer()


@pytest.fixture
def meter():
    with starter(Meter) as start:
        yield start


class Host:
    """A serial host of the test's own."""

    def __init__(self, path, baud=termios.B4800):
        self.fd = open_tty(path)
        self.set_baud(baud)

    def set_baud(self, baud):
        make_raw(self.fd, baud)

    def ask(self, request, length, timeout=0.5):
        """Sends, then reads until length bytes came or it is quiet for timeout seconds."""
        pause(0.025, "every chip on the line has given up the request before")
        os.write(self.fd, bytes(request))
        answer = b""
        while len(answer) < length and select.select([self.fd], [], [], timeout)[0]:
            answer += os.read(self.fd, 256)
        return answer

    def packet(self, address=0):
        answer = self.ask([0x58 | address, 0xAA], 23)
        assert len(answer) == 23 and answer[0] == 0x55, answer.hex(" ")
        assert answer[22] == ~(sum(answer[:22]) + (0x58 | address)) & 0xFF, answer.hex(" ")
        return answer

    def register(self, register, address=0):
        answer = self.ask([0x58 | address, register], 4)
        assert len(answer) == 4 and answer[3] == ~(sum(answer[:3]) + (0x58 | address) + register) & 0xFF
        return int.from_bytes(answer[:3], "little")

    def write(self, register, value, address=0):
        frame = bytes([0xA8 | address, register]) + value.to_bytes(3, "little")
        assert self.ask(frame + bytes([~sum(frame) & 0xFF]), 1, timeout=0.03) == b""

    def close(self):
        os.close(self.fd)


@contextlib.contextmanager
def host(path, baud=termios.B4800):
    one = Host(path, baud)
    try:
        yield one
    finally:
        one.close()


def u24(packet, at):
    return int.from_bytes(packet[at:at + 3], "little")


def test_packet_tells_the_load(meter):
    m = meter(*FACTORS, *CONSTANT, "--frequency", 49.98)
    assert [chip["address"] for chip in m.start["chips"]] == [0] and m.start["link"] is None
    with host(m.start["port"]) as h:
        wait_for(lambda: u24(h.packet(), 4) > 0, 3, "the first refresh")
        started = time.monotonic()
        packet = h.packet()
        assert time.monotonic() - started > 0.045  # 23 bytes at 4800 baud, not all at once
        assert u24(packet, 1) / KI == pytest.approx(10, rel=5e-4)
        assert u24(packet, 4) / KV == pytest.approx(230, rel=5e-4)
        assert u24(packet, 10) / KP == pytest.approx(2000, rel=5e-4)
        assert 1e6 / int.from_bytes(packet[16:18], "little") == pytest.approx(49.98, abs=0.02)
        assert packet[18] == packet[21] == 0
        registers = m.truth()["chips"][0]["registers"]
        assert abs(registers["v_rms"] - u24(packet, 4)) / KV < 0.2
        m.tell("load 231 1 -200 50.02")
        wait_for(lambda: u24(h.packet(), 10) == m.truth()["chips"][0]["registers"]["watt"] & 0xFFFFFF
                 and u24(h.packet(), 10) >> 23, 3, "negative power")


def test_settings_are_written_and_read_back(meter):
    m = meter(*CONSTANT)
    with host(m.start["port"]) as h:
        assert h.register(0x19) == 0x87
        h.write(0x19, 0x8F)
        assert h.register(0x19) == 0x87  # locked
        h.write(0x1D, 0x55)
        assert h.register(0x1D) == 1
        h.write(0x19, 0x8F)
        assert h.register(0x19) == 0x8F
        assert m.truth()["chips"][0]["mode"] == 0x8F
        # The rate that MODE selects: the host must follow.
        h.write(0x19, 0x28F)
        assert len(h.ask([0x58, 0x19], 4, timeout=0.1)) != 4
        h.set_baud(termios.B19200)
        assert h.register(0x19) == 0x28F
        truth = m.truth("reset")["chips"][0]
        assert truth["mode"] == 0x87 and truth["resets"] == 1
        h.set_baud(termios.B4800)
        assert h.register(0x19) == 0x87
        assert h.register(0x1D) == 0


def test_chips_share_a_line(meter):
    m = meter(*FACTORS, "--address", 3, "--address", 1, "--load", "idle", "--baud", 9600)
    m.tell("@1 load 230 1 230", "@3 load 220 2 -440")
    with host(m.start["port"], termios.B9600) as h:
        wait_for(lambda: u24(h.packet(1), 10) and u24(h.packet(3), 10), 3, "both chips to measure")
        pause(0.5, "the averages are of the load")
        assert u24(h.packet(1), 10) / KP == pytest.approx(230, rel=5e-4)
        assert (u24(h.packet(3), 10) - (1 << 24)) / KP == pytest.approx(-440, rel=5e-4)
        assert h.ask([0x58, 0xAA], 1, timeout=0.1) == b""  # nobody there
        m.truth("@3 silence on")
        assert h.ask([0x5B, 0xAA], 1, timeout=0.1) == b""
        h.packet(1)
        m.truth("@3 silence off", "reset 1")
        h.packet(3)
        assert [chip["resets"] for chip in m.truth()["chips"]] == [0, 1]
        # Both at once: they spoil each other's bytes.
        before = m.truth("@3 fault wrong_address 1")["chips"]
        answer = h.ask([0x59, 0xAA], 23)
        assert answer[22:] != bytes([~(sum(answer[:22]) + 0x59) & 0xFF])
        after = m.truth()["chips"]
        assert [chip["answers"] for chip in after] == [chip["answers"] + 1 for chip in before]
        assert [chip["faults"] for chip in after] == [before[0]["faults"] + 1, before[1]["faults"]]


def test_counter(meter):
    m = meter(*FACTORS, "--voltage", 230, "--current", 0, "--power", 0, "--first-count", 0xFFFFFE)
    with host(m.start["port"]) as h:
        assert u24(h.packet(), 13) == 0xFFFFFE
        sent = time.monotonic()
        m.truth("load 230 60 13800")  # 10.46 counts a second
        began = time.monotonic()
        wait_for(lambda: 10 <= u24(h.packet(), 13) < 0xFFFF, 5, "the wrap, and a second more")
        ends = time.monotonic()
        truth = m.truth("load 230 0 0")["chips"][0]
        ended = time.monotonic()
        assert 10.46 * (ends - began) - 2 <= truth["counts_imported"] <= 10.46 * (ended - sent) + 2
        assert truth["counter"] == u24(h.packet(), 13) == truth["counts_imported"] - 2
        truth = m.truth("count 500")["chips"][0]
        assert truth["counter"] == 500 and h.register(0x07) == 500


def test_faults_on_the_wire(meter, seed):
    m = meter(*CONSTANT, "--seed", seed)
    with host(m.start["port"]) as h:
        assert len(h.packet()) == 23
        m.truth("fault silence 1")
        assert h.ask([0x58, 0xAA], 1, timeout=0.15) == b""
        m.truth("fault silence 0", "fault junk_before 1")
        answer = h.ask([0x58, 0xAA], 40, timeout=0.15)
        assert 24 <= len(answer) <= 31 and answer[-23] == 0x55
        m.truth("fault junk_before 0", "fault truncate 1")
        assert 1 <= len(h.ask([0x58, 0xAA], 23, timeout=0.15)) < 23
        m.truth("fault truncate 0", "fault bit_flip 1")
        answer = h.ask([0x58, 0xAA], 23)
        assert answer[22] != ~(sum(answer[:22]) + 0x58) & 0xFF
        m.truth("fault bit_flip 0", "fault late 1")
        started = time.monotonic()
        assert len(h.ask([0x58, 0xAA], 23)) == 23 and time.monotonic() - started > 0.35
        m.truth("fault late 0", "fault reset 1")
        packet = h.packet()
        assert u24(packet, 4) == 0 and u24(packet, 13) == 0
        truth = m.truth("fault reset 0")["chips"][0]
        assert truth["faults"] == 6 and truth["answers"] == 7 and truth["resets"] == 1


def test_unplug_and_replug(meter, folder):
    link = folder / "usb-meter"
    m = meter(*FACTORS, "--link", link, *CONSTANT)
    assert os.readlink(link) == m.start["port"]
    h = Host(link)
    h.packet()
    h.close()
    h = Host(link)  # closing and opening is no unplugging
    h.packet()
    before = m.truth()["chips"][0]["counts_imported"]
    truth = m.truth("unplug")
    assert truth["port"] is None and not os.path.lexists(link)
    poll = select.poll()
    poll.register(h.fd, select.POLLIN)
    assert poll.poll(1000)[0][1] & select.POLLHUP
    with pytest.raises(OSError):
        os.write(h.fd, b"\x58\xaa")
    h.close()
    pause(1.2, "the chip counts without its port")
    truth = m.truth("unplug", "replug", "replug")  # once more changes nothing
    assert os.readlink(link) == truth["port"]
    assert truth["chips"][0]["counts_imported"] > before  # the chip was powered all the time
    with host(link) as again:
        assert u24(again.packet(), 4) > 0
    assert m.stop() == 0
    assert not os.path.lexists(link)


def test_unplugs_by_itself(meter, folder):
    link = folder / "usb-meter"
    meter("--link", link, "--unplug-every", 0.3, "--unplug-for", 0.2)
    for _ in range(3):
        wait_for(lambda: not os.path.lexists(link), 3, "the adapter to go")
        wait_for(lambda: os.path.lexists(link), 3, "the adapter to come back")


def test_truth_file_survives_a_kill(meter, folder):
    path = folder / "truth.json"
    m = meter(*CONSTANT, "--truth", path)
    wait_for(path.exists, 3, "the truth")
    with host(m.start["port"]) as h:
        h.packet()
        wait_for(lambda: json.loads(path.read_text())["chips"][0]["answers"] == 1, 3, "news of the answer")
        h.packet()
        final = m.truth()
        assert m.stop(signal.SIGINT) == 0
        written = json.loads(path.read_text())
        assert written["chips"][0]["answers"] == final["chips"][0]["answers"] == 2
    m = meter(*CONSTANT, "--truth", path)
    wait_for(lambda: json.loads(path.read_text())["chips"][0]["answers"] == 0, 3, "the new run's truth")
    m.process.kill()
    m.process.wait()
    assert json.loads(path.read_text())["port"] == m.start["port"]


def test_host_at_another_rate_is_not_understood(meter):
    m = meter(*CONSTANT, "--baud", 9600)
    with host(m.start["port"], termios.B4800) as h:
        for _ in range(5):
            assert h.ask([0x58, 0xAA], 1, timeout=0.06) == b""
        assert m.truth()["chips"][0]["answers"] == 0
        h.set_baud(termios.B9600)
        h.packet()


def test_control_is_patient(meter):
    m = meter(*CONSTANT)
    bad = ["", "   ", "nonsense", "load", "load 1", "load 1 2 x", "load 1 2 3 4 5", "load nowhere", "load 1e9 1 1",
           "fault", "fault nothing 1", "fault silence 2", "fault silence nan", "silence", "silence maybe", "@7 reset",
           "@1 reset", "@ reset", "@x", "@0", "reset 1", "reset 0 0", "count", "count -1", "count 16777216", "unplug now",
           "truth please", "quit now", "x" * 5000, "\x00\x01\x02", "a b c d e f g h i j"]
    before = m.truth()["chips"][0]
    after = m.truth(*bad)["chips"][0]
    assert after["voltage_v"] == before["voltage_v"] == 230 and after["resets"] == 0
    m.tell("quit")
    assert m.process.wait(5) == 0
    assert len(m.process.stderr.read().splitlines()) == len(bad) - 3  # two blank lines and a bare "@0" say nothing


def test_ends_with_its_controller(meter):
    m = meter()
    m.process.stdin.close()
    assert m.process.wait(5) == 0


def test_takes_its_commands_from_a_file():
    result = run("simulate", "meter", "--control", "-", stdin="load 230 1 100\ntruth\nquit\ntruth\n")
    assert result.returncode == 0 and result.stdout.count('"power_w":100.0') == 1
    with open(os.devnull) as nothing:
        process = subprocess.run([BINARY, "simulate", "meter", "--control", "-"], stdin=nothing, timeout=10,
                                 capture_output=True)
    assert process.returncode == 0, process.stderr


def test_text_for_people(spawn, folder):
    process = spawn("simulate", "meter", "--link", folder / "m", "--address", 2, "--load", "solar")
    process.wait_line(f"Link: {folder}/m")
    process.wait_line("Chip at address 2: 4800 baud, load solar")
    assert process.lines[0].startswith("Port: /dev/pts/")
    assert process.stop() == 0


@pytest.mark.parametrize("args", [
    ("--address", "4"), ("--address", "1", "--address", "1"), ("--baud", "19200"), ("--load", "factory"),
    ("--voltage", "x"), ("--voltage", "500"), ("--load", "solar", "--current", "1"), ("--load", "idle", "--voltage", "20"),
    ("--frequency", "0"), ("--calibration", "1,2"), ("--calibration", "1,2,3,4"), ("--calibration", "1,2,0"),
    ("--first-count", "16777216"), ("--seed", "-1"), ("--fault", "silence"), ("--fault", "silence=1.1"),
    ("--fault", "=1"), ("--fault", "gremlins=1"), ("--unplug-every", "5"), ("--unplug-every", "0", "--unplug-for", "1"),
    ("--control", "file"), ("--no-such-option",), ("leftover",),
])
def test_wrong_options(args):
    result = run("simulate", "meter", *args)
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr.count("\n") <= 2 and result.stderr != ""


def test_a_link_never_replaces_a_file(folder):
    path = folder / "precious"
    path.write_text("data")
    result = run("simulate", "meter", "--link", path)
    assert result.returncode == 4 and "left alone" in result.stderr
    assert path.read_text() == "data"
    result = run("simulate", "meter", "--link", folder / "no" / "such" / "folder")
    assert result.returncode == 1 and "cannot be made" in result.stderr
    result = run("simulate", "meter", "--truth", folder / "no" / "truth", timeout=10)
    assert result.returncode == 1 and "cannot be written" in result.stderr


def test_help():
    result = run("simulate", "meter", "--help")
    assert result.returncode == 0 and "--unplug-every" in result.stdout
    assert "simulate meter" in run("--help").stdout
