# SPDX-License-Identifier: MIT
"""What `bl2mqtt flash` refuses: exit status 4, one sentence, and not one erase or program operation."""

import json
import pathlib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from beken_images import make_ua
from beken_module import flash, put, refusal, write_backup
from flash_helper import FILES, N_IMAGE, ON_OPEN, T_IMAGE
from harness import BINARY

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "campaign"))
import flash_campaign  # noqa: E402


def all_refused(cases, start, command):
    """One module for each case, some at a time, because they mostly wait; fails with all that went wrong.
    command(case) is the command line, start(case) its module; a case ends with the word to look for."""
    def one(sim, case):
        try:
            refusal(flash(sim, *command(case)), sim, case[-1])
        except AssertionError as error:
            return f"{case}: {error}"
        return None

    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(one, start(case), case) for case in cases]
        wrong = [job.result() for job in jobs]
    assert not any(wrong), "\n".join(filter(None, wrong))


WRITES = [
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
    ("BK7231N", "text", ("--force", "--address", "0x1FF000"), "wrap"),
    ("BK7231N", "N app", ("--address", "0"), "0x11000"),
    ("BK7231N", "N app", ("--address", "0x11001"), "start of a sector"),
    ("BK7231T", "T", ("--force", "--address", "0"), "bootloader"),
    ("BK7231T", "T", ("--force", "--address", "0x10000"), "bootloader"),
    ("BK7231T", "T", ("--force", "--address", "0x200000"), "wrap"),
    ("BK7231T", "text", ("--force", "--address", "0x1DF000"), "MAC"),
    ("BK7231N", "dump", (), "restore"),
]


def test_writes(module, folder):
    paths = {name: put(folder, f"{name}.bin", content) for name, content in FILES.items()}
    all_refused(WRITES, lambda case: module(case[0]),
                lambda case: ("write", paths[case[1]], "--no-backup", *case[2]))


ERASES = [
    ("BK7231T", "0", "0x1000", "bootloader"),
    ("BK7231T", "0x10000", "0x2000", "bootloader"),
    ("BK7231T", "0x200000", "0x1000", "wrap"),
    ("BK7231T", "0x1E0000", "0x1000", "MAC"),
    ("BK7231N", "0x1D0000", "0x1000", "MAC"),
    ("BK7231N", "0x100000", "0x100000", "MAC"),
    ("BK7231N", "0x1FF000", "0x2000", "wrap"),
    ("BK7231N", "0xFFFFF000", "0x2000", "wrap"),
]


def test_erases(module):
    all_refused(ERASES, lambda case: module(case[0]),
                lambda case: ("erase", "--address", case[1], "--length", case[2]))


DOUBTS = [
    ("BK7231N", {"flash_id": 0x15AABB}, (), "not in the table"),
    ("BK7231N", {"flash_id": 0}, (), "does not"),
    ("BK7231N", {"foreign_key": 1}, (), "key of its own"),
    ("BK7231N", {"stuck_protection": 1}, (), "locked"),
    ("BK7231N", {"loss_to_host": 0.003}, (), "not fit"),
    ("BK7231N", {"loss_to_host": 1 / 5000}, ("--baud", "921600"), "no backup"),
    ("BK7231T", {"loss_to_chip": 1 / 5000}, (), "bootloader"),
]


def test_writes_where_not_all_is_sure(module, folder):
    paths = {"BK7231N": put(folder, "n.bin", N_IMAGE), "BK7231T": put(folder, "t.bin", T_IMAGE)}
    all_refused(DOUBTS, lambda case: module(case[0], **case[1]),
                lambda case: ("write", paths[case[0]], "--no-backup", *case[2]))


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


def test_restores(module, folder):
    content = module().flash()
    write_backup(folder / "damaged.bin", content, "BK7231N", "0x1560EB")
    put(folder, "damaged.bin", content[:-1] + b"\x00")
    put(folder, "no-facts.bin", content)
    put(folder, "no-facts.bin.json", b"{")
    put(folder, "good.bin", content)
    put(folder, "image.bin", N_IMAGE)
    put(folder, "blank.bin", b"\xff" * 0x200000)
    put(folder, "no-rf.bin", content[:0x1D0000] + b"\xff" * 0x1000 + content[0x1D1000:])
    larger = {"args": (*ON_OPEN, "--flash-size", "0x400000"), "flash_id": 0x1640C8}
    cases = [
        ("BK7231N", {}, ("damaged.bin",), "SHA-256"),
        ("BK7231N", {}, ("no-facts.bin",), "no-facts.bin.json"),
        ("BK7231N", {}, ("image.bin",), "dump"),
        ("BK7231N", {}, ("blank.bin",), "FF"),
        ("BK7231N", {}, ("no-rf.bin", "--full"), "without --full"),
        ("BK7231N", larger, ("good.bin",), "4096 KiB"),
        ("BK7231T", {}, ("good.bin",), "BK7231N"),
    ]
    all_refused(cases, lambda case: module(case[0], **case[1]),
                lambda case: ("restore", folder / case[2][0], *case[2][1:]))


def test_a_backup_of_another_module_is_refused(module, folder):
    sim = module(seed=7)
    write_backup(folder / "saved.bin", module(seed=8).flash(), "BK7231N", "0x1560EB")
    result = flash(sim, "write", put(folder, "image.bin", N_IMAGE), "--backup", folder / "saved.bin")
    refusal(result, sim, "no backup of this module")


def test_a_refusal_touches_no_status_register(module, folder):
    """The protection is lifted only when nothing else can say no any more."""
    sim = module(loss_to_host=1 / 5000)
    result = flash(sim, "write", put(folder, "image.bin", N_IMAGE), "--no-backup", "--baud", "921600")
    assert result.returncode == 4
    assert sim.stop()["flash"]["status_writes"] == 0


def test_a_refusal_in_mid_write_is_a_failure(module, folder):
    """Exit 4 promises that nothing was erased."""
    sim = module(brownout_at_program=300, args=(*ON_OPEN, "--reset-every", "0.5"), speed=8)
    process = subprocess.Popen([BINARY, "flash", "write", put(folder, "image.bin", make_ua("BK7231N", 100000)), "--port",
                                sim.port, "--no-backup", "--progress", "json"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    flash_campaign.until_write(process, 0x11000)
    sim.tell("fault flash-id 0x1560EC")  # another chip answers after the reset
    end = json.loads(process.communicate(timeout=60)[1].splitlines()[-1])
    assert process.returncode == end["exit_status"] == 1
    assert "of 25 sectors are written" in end["message"]
