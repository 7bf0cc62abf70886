# SPDX-License-Identifier: MIT
"""What `bl2mqtt flash` refuses: exit status 4, one sentence, and not one erase or program operation."""

import pytest

from beken_module import operations, write_backup
from flash_helper import FILES, N_IMAGE, T_IMAGE, flash, put


def refusal(result, sim, word):
    """Exit 4, one line that says why, nothing erased or programmed."""
    words = [line for line in result.stderr.splitlines() if line.startswith("bl2mqtt flash ")]
    assert result.returncode == 4, result.stderr
    assert len(words) == 1 and word in words[0] and words[0].endswith("."), result.stderr
    assert operations(sim.stop()) == 0


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


@pytest.mark.parametrize("fill", [b"\xff", b"\x00"])
def test_blank_backup_is_refused(module, folder, fill):
    sim = module(flash=fill * 0x200000) if fill == b"\xff" else module(unreadable=1, flash_id=0x1560EB)
    saved = folder / "saved.bin"
    refusal(flash(sim, "backup", "--output", saved), sim, "reads as")
    assert not list(folder.glob("saved*"))


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
