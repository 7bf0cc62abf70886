# SPDX-License-Identifier: MIT
"""`bl2mqtt flash image`: what the program says of files that are built here from the published rules, whole,
cut and damaged, and of what is no file of firmware at all."""

import json

import pytest

from beken_images import APP, frame, make_app, make_libretiny_rbl, make_ota, make_qio, make_rbl, make_ua, make_uf2, make_ug
from beken_module import flash, put, refusal
from harness import ROOT, run

FLASH_SIZE = 0x200000
BLOCK = 34  # bytes of flash that hold 32 of code
CONFIG = (ROOT / "tests/data/obk_config_example.bin").read_bytes()
N = make_qio("BK7231N")
N_UA, T_UA = make_ua("BK7231N"), make_ua("BK7231T")


def dump(chip):
    """The whole flash of a module, RF calibration and MAC included."""
    content = bytearray(make_qio(chip, size=0x12A000 - 0x90).ljust(FLASH_SIZE, b"\xff"))
    rf = 0x1E0000 if chip == "BK7231T" else 0x1D0000
    content[rf:rf + 0x2A] = b"TLV\0".ljust(0x24, b"\0") + bytes.fromhex("C8478C000018")
    return bytes(content)


def rotated(chip):
    """As old tools read a T: from 0x11000, around the end."""
    whole = dump(chip)
    return whole[APP:] + whole[:APP]


def flipped(content, at):
    return content[:at] + bytes([content[at] ^ 0x40]) + content[at + 1:]


# content, kind, chip, write_at, and the word of the problem (None: valid without any)
FILES = {
    "N QIO": (N, "QIO", "BK7231N", 0, None),
    "M QIO": (make_qio("BK7231M"), "QIO", "BK7231M", 0, None),
    "T QIO": (make_qio("BK7231T"), "QIO", "BK7231T", APP, None),
    "N UA": (N_UA, "UA", "BK7231N", APP, None),
    "M UA": (make_ua("BK7231M"), "UA", "BK7231M", APP, None),
    "T UA": (T_UA, "UA", "BK7231T", APP, None),
    "RBL": (make_rbl(), "RBL", "unknown", None, None),
    "N RBL": (make_rbl(version=b"1.1.2-bk7231n"), "RBL", "BK7231N", None, None),
    "UG": (make_ug(), "UG", "unknown", None, None),
    "N dump": (dump("BK7231N"), "dump", "BK7231N", 0, None),
    "M dump": (dump("BK7231M"), "dump", "BK7231M", 0, None),
    "T dump": (dump("BK7231T"), "dump", "BK7231T", 0, None),
    "rotated T dump": (rotated("BK7231T"), "dump", "BK7231T", 0, None),
    "config": (CONFIG, "obk-config", "unknown", None, None),
    "config sector": (CONFIG.ljust(4096, b"\xff"), "obk-config", "unknown", None, None),
    # Damaged.
    "damaged QIO": (flipped(N, APP + 0x1000), "QIO", "BK7231N", 0, "wrong CRC"),
    "damaged bootloader": (flipped(N, 0x3000), "QIO", "BK7231N", 0, "wrong CRC"),
    "damaged UA": (flipped(T_UA, 0x2000), "UA", "BK7231T", APP, "wrong CRC"),
    "damaged RBL": (flipped(make_rbl(), 200), "RBL", "unknown", None, "damaged"),
    "damaged UG": (flipped(make_ug(), 200), "UG", "unknown", None, "checksum"),
    "damaged config": (flipped(CONFIG, 0x20), "obk-config", "unknown", None, "checksum"),
    "T bootloader, N app": (make_qio("BK7231T")[:APP] + N[APP:], "QIO", "BK7231N", 0, "BK7231T's"),
    "bad dump": (flipped(dump("BK7231N"), APP + 0x1000), "dump", "BK7231N", 0, "wrong CRC"),
    "empty dump": (b"\xff" * FLASH_SIZE, "dump", "unknown", 0, "nothing but FF"),
    "zero dump": (bytes(FLASH_SIZE), "dump", "unknown", 0, "nothing but 00"),
    # Cut short, also where a block of code ends.
    "QIO without its end": (N[:-200], "QIO", "BK7231N", 0, "cut short"),
    "QIO cut at a block": (N[:APP + BLOCK * 500], "QIO", "BK7231N", 0, "cut short"),
    "QIO cut before the app": (N[:0x9000], "QIO", "BK7231N", 0, "cut short"),
    "UA cut at a block": (T_UA[:BLOCK * 500], "UA", "BK7231T", APP, "cut short"),
    "UA cut in its last block": (N_UA[:-BLOCK * 2], "UA", "BK7231N", APP, "cut short"),
    "UA cut in mid block": (N_UA[:BLOCK * 500 + 7], "UA", "BK7231N", APP, "cut short"),
    "UA cut behind 100 bytes": (T_UA[:100], "UA", "unknown", APP, "no chip"),
    "RBL cut": (make_rbl()[:-1], "RBL", "unknown", None, "cut short"),
    "UG cut": (make_ug()[:-1], "UG", "unknown", None, "cut short"),
    "config cut": (CONFIG[:-1], "obk-config", "unknown", None, "cut short"),
    "N dump cut": (dump("BK7231N")[:-1], "QIO", "BK7231N", 0, "cut short"),
    "T dump cut": (dump("BK7231T")[:0x1E1000], "QIO", "BK7231T", APP, "cut short"),
    "rotated dump cut": (rotated("BK7231T")[:-1], "UA", "BK7231T", APP, "cut short"),
    # Does not tell its length.
    "UA of another SDK": (make_ua("BK7231N", tells_length=False, filler=False), "UA", "BK7231N", APP, "may be cut short"),
    # Nothing of the kind.
    "text": (b"hello" * 1000, "unknown", "unknown", None, "no firmware"),
    "empty": (b"", "unknown", "unknown", None, "empty"),
    "one byte": (b"\x69", "unknown", "unknown", None, "no firmware"),
    "UF2": (make_uf2(N_UA), "UA", "BK7231N", APP, None),
    "T UF2": (make_uf2(T_UA, "BK7231T", step=476 - 40), "UA", "BK7231T", APP, None),
    "UF2 cut": (make_uf2(N_UA)[:-512], "unknown", "unknown", None, "cut short"),
    "UF2 cut in a block": (make_uf2(N_UA)[:-100], "unknown", "unknown", None, "cut short"),
    "UF2 with a damaged block": (flipped(make_uf2(N_UA), 512 * 9 + 2), "unknown", "unknown", None, "Block 9"),
    "UF2 of another family": (make_uf2(N_UA, "ESP32"), "unknown", "unknown", None, "another family"),
    "UF2 of a T with an N's app": (make_uf2(N_UA, "BK7231T"), "UA", "BK7231N", APP, "BK7231T's"),
    "UF2 that belongs elsewhere": (make_uf2(N_UA, app_at=0x20000), "unknown", "unknown", None, "0x20000"),
    "UF2 for over the air only": (make_uf2(N_UA, names=b"ota\0download\0"), "unknown", "unknown", None, "no app"),
    "beginning of a UF2": (b"UF2\n" + bytes(508), "unknown", "unknown", None, "UF2"),
    "one byte again and again": (b"\xff" * 200_000, "unknown", "unknown", None, "nothing but FF"),
    "zeros": (bytes(70_000), "unknown", "unknown", None, "nothing but 00"),
    "compiler's output": (make_app("BK7231M", 90_000)[1], "unknown", "unknown", None, "before it was packaged"),
    "N package": (make_ota("BK7231N"), "RBL", "BK7231N", None, None),
    "T package": (make_ota("BK7231T"), "RBL", "BK7231T", None, None),
    "N UG": (make_ug(make_ota("BK7231N")), "UG", "BK7231N", None, None),
    "T UG": (make_ug(make_ota("BK7231T")), "UG", "BK7231T", None, None),
    "RF": (b"TLV\0" + bytes(4092), "unknown", "unknown", None, "MAC"),
    "another key": (make_ua("BK7231N")[BLOCK:], "unknown", "unknown", None, "key"),
}


def examine(folder, content):
    result = run("flash", "image", put(folder, "file", content), "--json")
    facts = json.loads(result.stdout)
    assert result.returncode == (0 if facts["valid"] else 5), result.stderr
    return facts


@pytest.mark.parametrize("name", FILES)
def test_kind_chip_place_and_problem(folder, name):
    content, kind, chip, write_at, problem = FILES[name]
    facts = examine(folder, content)
    assert (facts["kind"], facts["chip"], facts["write_at"]) == (kind, chip, write_at), facts
    assert facts["valid"] is (problem is None) and (facts["size"] == len(content) or content[:4] == b"UF2\n")
    assert bool(facts["problems"]) is (problem is not None)
    assert problem is None or problem in facts["problems"][0], facts["problems"]
    assert all(sentence.endswith(".") for sentence in facts["problems"])


def test_what_else_is_told(folder):
    facts = examine(folder, N)
    assert facts["version"] == "1.18.300" and facts["encrypted"] is True
    assert facts["build_time"] == "2026-08-02T19:38:35+00:00" and facts["bootloader"] == "BK7231N_1.0.1"
    facts = examine(folder, make_qio("BK7231T"))
    assert facts["skip"] == APP and facts["bootloader"] == "BK7231S_1.0.5"
    assert examine(folder, make_qio("BK7231M"))["encrypted"] is False


def test_what_cannot_be_read(folder):
    for path in (folder, folder / "not-there"):
        result = run("flash", "image", path)
        assert result.returncode == 2 and str(path) in result.stderr, result.stderr
    with open(folder / "sparse", "wb") as file:
        file.truncate(5 << 30)
    result = run("flash", "image", folder / "sparse")
    assert result.returncode == 2 and "sparse" in result.stderr, result.stderr


@pytest.mark.parametrize("rest", range(0, 32, 4))
def test_trailer_of_libretiny(folder, rest):
    """Its hash fits in each of the ways in which the packager rounds; a damaged file is still found."""
    content = make_libretiny_rbl("BK7231N", 40_000 + rest)
    assert examine(folder, content)["valid"] is True
    wrong = bytearray(content)
    wrong[BLOCK * 100:BLOCK * 101] = frame(bytes(32))
    facts = examine(folder, bytes(wrong))
    assert facts["valid"] is False and "hash" in facts["problems"][0]


def test_bootloader_whose_name_stands_elsewhere(folder):
    facts = examine(folder, make_qio("BK7231T", name_at=0xDF48))
    assert facts["bootloader"] == "BK7231S_1.0.5" and facts["valid"]


def test_uf2_is_written_where_its_app_belongs(module, folder):
    sim = module()
    before = sim.flash()
    result = flash(sim, "write", put(folder, "firmware.uf2", make_uf2(N_UA)), "--no-backup")
    assert result.returncode == 0 and "The module starts now" in result.stdout, result.stderr
    after = sim.flash()
    assert after[APP:APP + len(N_UA)] == N_UA and after[:APP] == before[:APP]


def test_forced_to_a_place_where_it_does_not_start(module, folder):
    sim = module()
    path = put(folder, "app.bin", N_UA)
    result = flash(sim, "write", path, "--no-backup", "--address", "0x0", "--force")
    assert result.returncode == 0, result.stderr
    assert "starts now" not in result.stdout and "belongs at 0x11000" in result.stdout, result.stdout


def test_cut_dump_is_not_sent_from_restore_to_write(module, folder):
    sim = module()
    result = flash(sim, "restore", put(folder, "backup.bin", dump("BK7231N")[:-4096]))
    assert result.returncode == 4 and "its end is missing" in result.stderr and "flash write" not in result.stderr


def test_a_cut_app_is_not_written(module, folder):
    sim = module("BK7231T")
    path = put(folder, "image.bin", T_UA[:BLOCK * 500])
    refusal(flash(sim, "write", path, "--no-backup"), sim, "cut short")


def test_an_app_that_does_not_tell_its_length(module, folder):
    """One that ends in filler is written with a warning, one that breaks off only with --force."""
    sim = module()
    path = put(folder, "image.bin", make_ua("BK7231N", 8000, tells_length=False))
    facts = examine(folder, path.read_bytes())
    assert facts["valid"] is True and "filler" in facts["problems"][0]
    result = flash(sim, "write", path, "--no-backup")
    assert result.returncode == 0 and facts["problems"][0] in result.stderr, result.stderr
    path = put(folder, "image.bin", make_ua("BK7231N", 9000, tells_length=False, filler=False))
    result = flash(sim, "write", path, "--no-backup")
    assert result.returncode == 4 and "may be cut short" in result.stderr
    assert flash(sim, "write", path, "--no-backup", "--force").returncode == 0
