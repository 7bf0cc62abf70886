# SPDX-License-Identifier: MIT
"""What `bl2mqtt flash` refuses: exit status 4, one sentence, and not one erase or program operation."""

import json
import pathlib
import subprocess
import sys

import pytest

from beken_images import make_ua
from beken_module import flash, put, refusal, write_backup
from flash_helper import FILES, N_IMAGE, ON_OPEN, T_IMAGE
from harness import BINARY

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "campaign"))
import flash_campaign  # noqa: E402


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
    ("BK7231N", "N app", ("--address", "0x11001"), "start of a sector"),
    ("BK7231N", "text", ("--force", "--address", "0x1FF000"), "wrap"),
    ("BK7231T", "text", ("--force", "--address", "0x1DF000"), "MAC"),
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
    sim = module()
    refusal(flash(sim, "restore", put(folder, "blank.bin", b"\xff" * 0x200000)), sim, "FF")
    sim = module(args=(*ON_OPEN, "--flash-size", "0x400000"), flash_id=0x1640C8)
    refusal(flash(sim, "restore", put(folder, "small.bin", content)), sim, "4096 KiB")
    sim = module()
    without_rf = content[:0x1D0000] + b"\xff" * 0x1000 + content[0x1D1000:]
    refusal(flash(sim, "restore", put(folder, "no-rf.bin", without_rf), "--full"), sim, "without --full")
    sim = module()
    (folder / "n.bin.json").write_text("{")
    refusal(flash(sim, "restore", folder / "n.bin"), sim, "n.bin.json")


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
