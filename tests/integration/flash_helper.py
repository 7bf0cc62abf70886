# SPDX-License-Identifier: MIT
"""Files and places that the tests of `bl2mqtt flash` share."""

import pathlib

import beken_images
from beken_images import SECTOR, make_qio, make_rbl, make_ua, make_ug

TESTS = pathlib.Path(__file__).resolve().parents[1]
RF = {"BK7231N": 0x1D0000, "BK7231M": 0x1D0000, "BK7231T": 0x1E0000}
CONFIG = {"BK7231N": 0x1D1000, "BK7231T": 0x1E1000}
ON_OPEN = ("--power-cycle-on-open",)
STEP = {"stage", "done", "total", "address", "retries", "baud"}

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


def missing(flash_now, image):
    """How many of the image's sectors, which go to the application's place, are not in the flash."""
    app = beken_images.APP
    return sum(flash_now[app + i:app + i + SECTOR] != image[i:i + SECTOR].ljust(SECTOR, b"\xff")
               for i in range(0, len(image), SECTOR))
