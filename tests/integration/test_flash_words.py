# SPDX-License-Identifier: MIT
"""What `bl2mqtt flash` says: to a person, to a program, and when it has to give up."""

import fcntl
import itertools
import json
import os
import pathlib
import pty
import re
import signal
import struct
import subprocess
import termios
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from beken_images import APP, SECTOR, make_ua
from beken_module import answer, attended, flash, put
from flash_helper import CONFIG, ON_OPEN, STEP, T_IMAGE, TESTS, missing
from harness import BINARY, PATIENCE, ROOT, run

WAIT_S = 0.8


def start(sim, command, *args, progress="json"):
    return subprocess.Popen([BINARY, "flash", command, *map(str, args), "--port", str(sim.port), "--progress",
                             progress], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def lines_until(process, stage, address=0):
    """Reads the steps until this one is there; returns them."""
    steps = []
    for line in process.stderr:
        steps.append(json.loads(line))
        if steps[-1]["stage"] == stage and steps[-1]["address"] >= address:
            return steps
    raise AssertionError(f"ended with {process.wait()}: {steps[-3:]}")


# ---------------------------------------------------------------------- giving up

def lose_for_good(sim, mishap):
    image = make_ua(sim.chip, 100000)
    path = put(sim.folder, f"{sim.port.name}.bin", image)
    process = start(sim, "write", path, "--no-backup", "--timeout", WAIT_S)
    lines_until(process, "write", 0x15000)
    sim.tell("unplug 600" if mishap == "unplug" else "fault hang-at-frame 1")
    began = time.monotonic()
    lines = [json.loads(line) for line in process.communicate(timeout=60 * PATIENCE)[1].splitlines()]
    assert process.returncode == 3
    assert WAIT_S <= time.monotonic() - began < WAIT_S + 10 * PATIENCE
    assert all(STEP <= set(line) <= STEP | {"message", "exit_status"} for line in lines)
    messages = [line["message"] for line in lines if "message" in line]
    assert len(messages) == 2, messages  # that it waits, and the end
    assert ("has gone" if mishap == "unplug" else "Waiting for the module") in messages[0]
    end = lines[-1]
    assert end["exit_status"] == 3 and end["message"] == messages[1]
    found = re.search(r"(\d+) of (\d+) sectors are written, the sector at (0x[0-9A-F]+) is half written",
                      end["message"])
    assert found, end["message"]
    assert "run the same command again; it goes on where it stopped." in end["message"]
    assert f"within {WAIT_S} s" in end["message"] and "P10" not in end["message"]
    assert ("Plug it in" if mishap == "unplug" else "Switch the module off and on") in end["message"]
    left = missing(sim.flash(), image)
    total = -(-len(image) // SECTOR)
    # The sector under way may have been complete, but unanswered.
    assert int(found[2]) == total and int(found[1]) in (total - left, total - left - 1)
    assert int(found[3], 16) == APP + int(found[1]) * SECTOR
    if mishap == "hang":
        sim.tell("power-cycle")
        result = attended(sim, "flash", "write", path, "--port", sim.port, "--no-backup", "--json", "--progress",
                          "none")
        assert json.loads(result.stdout)["written"] == left
        assert missing(sim.flash(), image) == 0


def test_a_module_that_is_gone_for_good(module, folder):
    """It is waited for once, said once, and the end says how far the write got; the next run goes on there."""
    with ThreadPoolExecutor(3) as pool:
        jobs = []
        for chip, mishap in (("BK7231N", "unplug"), ("BK7231N", "hang"), ("BK7231T", "hang")):
            sim = module(chip, speed=8, args=(*ON_OPEN, "--reset-every", "0"))
            jobs.append(pool.submit(lose_for_good, sim, mishap))
        for job in jobs:
            job.result()


def test_a_module_that_is_gone_for_good_to_a_person(module, folder):
    sim = module(args=(*ON_OPEN, "--reset-every", "0"), hang_at_frame=400)
    result = run("flash", "backup", "--output", folder / "saved.bin", "--port", sim.port, "--timeout", WAIT_S,
                 "--progress", "none")
    words = result.stderr.splitlines()
    assert result.returncode == 3
    assert len(words) == 2 and words[0].startswith("Waiting for the module"), words
    assert words[1].startswith("bl2mqtt flash backup: ") and "stopped answering" in words[1]
    assert words[1].endswith("Switch the module off and on and run the same command again.")


def test_stopped(module, folder):
    """Ctrl-C before anything was erased says that nothing was changed."""
    path = put(folder, "image.bin", make_ua("BK7231N", 100000))

    def one(sim, command, args, stage):
        process = start(sim, command, *args)
        lines_until(process, stage)
        process.send_signal(signal.SIGINT)
        end = json.loads(process.communicate(timeout=30 * PATIENCE)[1].splitlines()[-1])
        assert process.returncode == end["exit_status"] == 1
        assert end["message"].startswith("Stopped; nothing was changed"), end["message"]

    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(one, module(speed=8, crc_bytes_per_s=10000), *what)
                for what in (("backup", ("--output", folder / "saved-1.bin"), "backup"), ("verify", (path,), "verify"),
                             ("write", (path, "--backup", folder / "saved-2.bin"), "backup"))]
        for job in jobs:
            job.result()
    assert not list(folder.glob("saved*"))


# ---------------------------------------------------------------------- progress

def test_progress_and_trace(module, folder):
    sim = module()
    trace = folder / "trace.txt"
    path = put(folder, "image.bin", make_ua("BK7231N"))
    result = run("flash", "write", path, "--port", sim.port, "--no-backup", "--progress", "json", "--json",
                 "--trace", trace, "--timeout", 15)
    assert result.returncode == 0, result.stderr
    steps = [json.loads(line) for line in result.stderr.splitlines()]
    assert all(STEP <= set(step) <= STEP | {"message"} for step in steps)
    stages = [stage for stage, _ in itertools.groupby(step["stage"] for step in steps)]
    assert stages == ["connect", "identify", "link-test", "check", "surroundings", "write", "verify", "reboot"]
    for stage, group in itertools.groupby(steps, lambda step: step["stage"]):
        group = list(group)
        if stage in ("link-test", "identify"):
            continue
        assert len({step["total"] for step in group}) == 1, f"the total of {stage} changes"
        done = [step["done"] for step in group]
        assert done == sorted(done) and done[-1] == group[-1]["total"], f"{stage} ends at {done[-1]}"
        addresses = [step["address"] for step in group]
        assert addresses == sorted(addresses), f"{stage}'s addresses"
    lines = trace.read_text().splitlines()
    assert any(line.split()[1:] == ["<", "04", "0e", "05", "01", "e0", "fc", "01", "00"] for line in lines)
    assert any(line.split()[1] == ">" and line.split()[2:9] == "01 e0 fc ff f4 05 10".split() for line in lines)


def test_bar_on_a_terminal(module, folder):
    """Speed and remaining time, also for the seconds that a short write takes; speed and time taken at last."""
    sim = module(speed=4)
    path = put(folder, "image.bin", make_ua("BK7231N", 100000))
    near, far = pty.openpty()
    process = subprocess.Popen([BINARY, "flash", "write", path, "--port", sim.port, "--no-backup", "--baud", "115200"],
                               stdout=subprocess.PIPE, stderr=far, text=True)
    os.close(far)
    shown = b""
    try:
        while piece := os.read(near, 4096):
            shown += piece
    except OSError:
        pass  # the other side was closed
    os.close(near)
    assert process.wait() == 0
    bars = re.split(r"[\r\n]", shown.decode())
    writes = [bar for bar in bars if "write " in bar]
    assert any(re.search(r"\d kB/s  0:0\d left  115200 baud", bar) for bar in writes), writes
    assert "100 %" in writes[-1] and re.search(r"\d kB/s in 0:0\d", writes[-1]), writes[-1]
    process.stdout.close()


def test_all_lines_fit_the_terminal(module, folder):
    """Bars, what is asked of the person, and the result on a terminal of 80 columns: none is wider, each has its
    line to itself, and a bar that is full stays."""
    sim = module(speed=40, args=("--reset-every", "0"))
    path = put(folder, "image.bin", make_ua("BK7231N", 100000))
    near, far = pty.openpty()
    fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen([BINARY, "flash", "write", path, "--port", sim.port, "--backup", folder / "saved.bin"],
                               stdout=far, stderr=far)
    os.close(far)
    shown = b""
    asked = False
    try:
        while piece := os.read(near, 4096):
            shown += piece
            if b"Waiting for the module" in shown and not asked:
                asked = True
                sim.tell("power-cycle")
    except OSError:
        pass  # the other side was closed
    os.close(near)
    assert process.wait() == 0, shown
    assert asked
    lines = [line.split("\r")[-1].replace("\033[K", "") for line in shown.decode().replace("\r\n", "\n").split("\n")]
    assert max(len(line) for line in lines) < 80, lines
    for stage in ("connect", "identify", "backup", "write", "verify", "reboot"):
        full = [line for line in lines if line.startswith(f"{stage:12}") and "100 %" in line]
        assert len(full) == 1, (stage, lines)
    assert any(line.startswith("Verified ") for line in lines), lines


# ---------------------------------------------------------------------- answers

def adds_up(facts):
    return facts["sectors"] == facts["written"] + facts["blanked"] + facts["equal"] + facts["guarded"]


@pytest.mark.parametrize("equal", [5, 10])
def test_counts_add_up(module, folder, equal):
    """What is right already is left alone, also where erasing its whole block would be quicker."""
    image = make_ua("BK7231N", 0x2F000)
    sim = module()
    flash_now = bytearray(sim.flash())
    flash_now[0x20000:0x20000 + equal * SECTOR] = image[0xF000:0xF000 + equal * SECTOR]
    sim.stop()
    sim = module(flash=bytes(flash_now))
    facts = answer(sim, "write", put(folder, "image.bin", image), "--no-backup")
    stats = sim.stop()["flash"]
    assert adds_up(facts) and facts["equal"] == equal
    touched = set(stats["touched_sectors"])
    assert touched == set(range(0x11, 0x40)) - set(range(0x20, 0x20 + equal))
    assert facts["chip"] == "BK7231N"


def test_answers_are_documented(module, folder):
    """Each key of an answer stands in the command's man page; times have no more than milliseconds."""
    sim = module(speed=100)
    path = put(folder, "image.bin", make_ua("BK7231N"))
    saved = folder / "saved.bin"
    answers = {"write": answer(sim, "write", path, "--backup", saved), "verify": answer(sim, "verify", path),
               "restore": answer(sim, "restore", saved), "backup": answer(sim, "backup", "--output", folder / "b.bin"),
               "erase": answer(sim, "erase", "--address", "0x1E5000", "--length", "0x1000"),
               "image": json.loads(run("flash", "image", path, "--json").stdout), "probe": answer(sim, "probe"),
               "link-test": answer(sim, "link-test", "--rates", "115200")}
    for command, facts in answers.items():
        page = (ROOT / f"docs/man/bl2mqtt-flash-{command}.1").read_text()
        keys = [*facts, *facts.get("seconds", {}), *(facts.get("rates") or [{}])[0], *(facts.get("differing") or [])]
        absent = [key for key in keys if not re.search(rf"(Dq|It) (Li )?{key}\b", page)]
        assert not absent, f"flash {command}: {absent}"
        for value in facts.get("seconds", {}).values():
            assert round(value, 3) == value, f"flash {command}: {value} s"
    for command in ("write", "restore", "erase"):
        assert adds_up(answers[command]), answers[command]


# ---------------------------------------------------------------------- protection

PROTECTION = [  # chip, status register as found and as left, what the answer says
    ("BK7231N", 0x7C, 0x7C, "as-found"),
    ("BK7231N", 0x0228, 0x0228, "as-found"),
    ("BK7231N", 0x0200, 0x0200, "as-found"),
    ("BK7231T", 0x7C, 0x1C, "bootloader"),
]


def test_protection_is_put_back(module, folder):
    """An N's flash is protected again as it was found; a T's bootloader does that in its own way."""
    def one(sim, path, found, left, word):
        result = flash(sim, "write", path, "--no-backup", "--json")
        stats = sim.stop()["flash"]
        assert json.loads(result.stdout)["protection"] == word
        assert stats["status"] == left, f"{sim.chip} found with 0x{found:X} has 0x{stats['status']:X}"
        assert stats["status_writes"] > 0 or found == 0x0200

    def to_a_person(sim):
        result = flash(sim, "write", put(folder, "t.bin", T_IMAGE), "--no-backup")
        assert result.returncode == 0 and "bootloader has write-protected the flash in its own way" in result.stdout

    with ThreadPoolExecutor(5) as pool:
        jobs = [pool.submit(to_a_person, module("BK7231T"))]
        for chip, found, left, word in PROTECTION:
            sim = module(chip, args=(*ON_OPEN, "--status", hex(found)))
            jobs.append(pool.submit(one, sim, put(folder, f"{chip}.bin", make_ua(chip)), found, left, word))
        for job in jobs:
            job.result()


# ---------------------------------------------------------------------- people

def test_force_bootloader_wants_a_typed_confirmation(module, folder):
    sim = module()
    path = put(folder, "image.bin", T_IMAGE)
    args = ("flash", "write", path, "--port", sim.port, "--no-backup", "--force-bootloader", "--json")
    result = run(*args, stdin="yes\n")
    assert result.returncode == 4 and "Not confirmed; nothing was changed." in result.stderr
    for word in ("0x011000 to 0x01B000", "this BK7231N", "image.bin", "for chip BK7231T"):
        assert word in result.stderr, result.stderr
    # Confirmed, even the wrong chip's image goes in.
    result = run(*args, stdin="overwrite the bootloader\n")
    assert result.returncode == 0, result.stderr
    assert sim.flash()[APP:APP + len(T_IMAGE)] == T_IMAGE


def test_force_bootloader_says_what_is_at_stake(module, folder):
    sim = module("BK7231T")
    result = flash(sim, "erase", "--address", "0", "--length", "0x200000", "--force-bootloader", stdin="no\n")
    assert result.returncode == 4
    for word in ("0x000000 to 0x200000", "covers the bootloader", "RF calibration", "nothing (it will be blank)"):
        assert word in result.stderr, result.stderr


def test_a_port_without_reset_lines_is_told(module):
    sim = module(args=("--reset-every", "0.5"))
    result = flash(sim, "probe", "--reset", "rts")
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("no RTS and DTR") == 1


def test_one_is_not_many(module, folder):
    sim = module()
    config = TESTS / "data/obk_config_example.bin"
    result = flash(sim, "write", config, "--no-backup")
    assert result.stdout.startswith("Verified 1 sector: 1 written, 0 blanked, 0 right already ("), result.stdout
    result = flash(sim, "verify", config)
    assert result.stdout == f"The module holds this file (1 sector at 0x{CONFIG['BK7231N']:X}).\n"


def test_verify_says_what_is_the_matter_with_a_file(module, folder):
    sim = module()
    whole = make_ua("BK7231N", 9000)
    cut, other = put(folder, "cut.bin", whole[:-100]), put(folder, "other.bin", make_ua("BK7231T", 9000))
    result = flash(sim, "verify", cut)
    assert result.returncode == 5 and "Compared all the same: " in result.stderr, result.stderr
    assert "cut short" in result.stderr
    result = flash(sim, "verify", other)
    assert result.returncode == 5
    assert "The file is for a BK7231T, but the module is a BK7231N." in result.stderr, result.stderr


def test_a_port_without_a_name_is_none():
    result = run("flash", "probe", "--port", "")
    assert (result.returncode, "Say which adapter with --port" in result.stderr) == (2, True), result.stderr


def test_temporary_names_are_not_told(module, folder):
    sim = module()
    saved = folder / "no-such-folder" / "saved.bin"
    result = flash(sim, "backup", "--output", saved)
    assert result.returncode == 1
    assert f"The file {saved} could not be created" in result.stderr and ".new" not in result.stderr


def test_a_backup_that_cannot_be_kept_is_told_before_the_flash_is_read(folder):
    saved = folder / "no-such-folder" / "saved.bin"
    result = run("flash", "backup", "--output", saved, "--port", "/dev/not-there")
    assert (result.returncode, f"{saved} could not be created: No such" in result.stderr) == (1, True), result.stderr
    result = run("flash", "backup", "--output", "", "--port", "/dev/not-there")
    assert (result.returncode, "no name of a file" in result.stderr) == (2, True), result.stderr


def test_a_file_that_nobody_knows_is_told_before_the_module_is_looked_for(folder):
    path = put(folder, "garbage.bin", b"no firmware" * 999)
    result = run("flash", "verify", path, "--port", "/dev/not-there")
    assert result.returncode == 2
    assert "garbage.bin is not recognised as firmware" in result.stderr and "--address" in result.stderr


def test_errors_before_the_port_is_opened_are_machine_readable(folder):
    path = put(folder, "garbage.bin", b"no firmware" * 999)
    for command in (("write", path), ("verify", path), ("restore", path), ("backup", "--output", path)):
        result = run("flash", *command, "--port", "/dev/not-there", "--progress", "json")
        line = json.loads(result.stderr)
        assert line["stage"] == "start" and line["exit_status"] == result.returncode != 0 and line["message"]


@pytest.mark.parametrize("command", ["flash probe", "check", "history energy", "simulate meter"])
def test_wrong_options_are_told_by_the_whole_name(command):
    result = run(*command.split(), "--no-such-option")
    assert result.returncode == 2
    assert result.stderr.splitlines()[0] == f"bl2mqtt {command}: unrecognized option '--no-such-option'"
    assert pathlib.Path(BINARY).name == "bl2mqtt"
