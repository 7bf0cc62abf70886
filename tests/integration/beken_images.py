# SPDX-License-Identifier: MIT
"""Firmware files for tests, made from the published rules (code framing, key stream, chip marks, RBL
trailers), with made-up code; independent of the C code under test."""

import random
import struct
import zlib

APP = 0x11000
SECTOR = 4096

BOOTLOADER_START = {
    "BK7231N": bytes.fromhex("690CB59635FF2A99"),
    "BK7231M": bytes.fromhex("480B00EA14F09FE5"),
    "BK7231T": bytes.fromhex("4309B59635FF2A99"),
}
APP_START = {True: bytes.fromhex("2F07B59435FF2A9B"), False: bytes.fromhex("0E0000EA14F09FE5")}
T_MARK = bytes.fromhex("2117369E20DF179F")


def _crc16_table():
    table = []
    for byte in range(256):
        crc = byte << 8
        for _ in range(8):
            crc = ((crc << 1) ^ 0x8005) & 0xFFFF if crc & 0x8000 else (crc << 1) & 0xFFFF
        table.append(crc)
    return table


CRC16_TABLE = _crc16_table()


def crc16(block):
    crc = 0xFFFF
    for byte in block:
        crc = ((crc << 8) & 0xFFFF) ^ CRC16_TABLE[(crc >> 8) ^ byte]
    return crc


def frame(logical):
    logical = logical.ljust(-(-len(logical) // 32) * 32, b"\xff")
    blocks = (logical[i:i + 32] for i in range(0, len(logical), 32))
    return b"".join(block + struct.pack(">H", crc16(block)) for block in blocks)


def _rotate(value, bits):
    return (value >> bits | value << (32 - bits)) & 0xFFFFFFFF


def key_word(address):
    x = _rotate(address, 8) ^ 0x510FB093
    return _rotate(x, 15) ^ (0xE519A4F1 & ((x >> 2 & 15) * 0x11111111)) ^ 0x5993A17E


def crypt(code, address):
    words = struct.unpack(f"<{len(code) // 4}I", code)
    return struct.pack(f"<{len(words)}I", *(w ^ key_word(address + 4 * i) for i, w in enumerate(words)))


def fnv1a(data):
    value = 2166136261
    for byte in data:
        value = ((value ^ byte) * 16777619) & 0xFFFFFFFF
    return value


def trailer(name, code, built=1785699515):
    head = b"RBL\0" + struct.pack("<II", 0, built) + name.ljust(16, b"\0") + b"1.00".ljust(24, b"\0")
    head += b"0" * 23 + b"\0" + struct.pack("<IIII", 0, fnv1a(code), len(code), len(code))
    return frame(head + struct.pack("<I", zlib.crc32(head)))


def make_app(chip, length, seed=1, version="1.18.300", tells_length=True, filler=True):
    """Framed app of about `length` flash bytes, without a trailer; a UA file. Also its hash's input."""
    rng = random.Random(seed)
    keyed = chip != "BK7231M"
    logical = bytearray(rng.randbytes(length // 34 * 32))
    letter = chip[-1] if chip != "BK7231M" else "N"
    text = f"OpenBK7231{letter} {version} Aug  2\0".encode()
    logical[0x400:0x400 + len(text)] = text
    logical[0x100:0x108] = b"BK7231\0\0"
    # What the start-up code copies into RAM ends the app; a block and a half of padding is behind it.
    if tells_length:
        end = 0x10000 + len(logical) - 39
        logical[0x694:0x6A0] = struct.pack("<III", end - 0x55, 0x400100, 0x400155)
    if filler:
        logical[-16:] = crypt(b"\xff" * 16, 0x10000 + len(logical) - 16) if keyed else b"\xff" * 16
    code = bytearray(crypt(bytes(logical), 0x10000) if keyed else logical)
    code[:8] = APP_START[keyed]
    if chip == "BK7231T":
        code[0x100:0x108] = T_MARK
    return frame(bytes(code)), bytes(code)


def make_ua(chip, length=40000, seed=1, **options):
    return make_app(chip, length, seed, **options)[0]


def make_qio(chip, app_length=60000, size=0x30000, seed=1, blank_tail=True):
    """Bootloader and app with their trailers, FF between the app's end and its trailer."""
    keyed = chip != "BK7231M"
    logical = bytearray(random.Random(f"bootloader {chip}").randbytes(0x4000))
    text = (b"BK7231S_1.0.5" if chip == "BK7231T" else b"BK7231N_1.0.1") + b"\0"
    logical[0x94:0x94 + len(text)] = text
    code = bytearray(crypt(bytes(logical), 0) if keyed else logical)
    code[:8] = BOOTLOADER_START[chip]
    image = bytearray(b"\xff" * size)
    framed = frame(bytes(code))
    image[:len(framed)] = framed
    image[0x10F9A:0x11000] = trailer(b"bootloader", bytes(code))
    app, app_code = make_app(chip, app_length, seed)
    image[APP:APP + len(app)] = app
    image[size - 102:size] = trailer(b"app", app_code)
    return bytes(image)


def make_rbl(body=b"packed" * 100, version=b"25.05.28"):
    head = b"RBL\0" + struct.pack("<II", 0x102, 1785699515) + b"app".ljust(16, b"\0")
    head += version.ljust(24, b"\0") + b"0" * 24
    head += struct.pack("<IIII", zlib.crc32(body), 0, 5000, len(body))
    return head + struct.pack("<I", zlib.crc32(head)) + body


def make_ug():
    body = make_rbl()
    head = b"\x55\xaa\x55\xaa" + b"1.18.219".ljust(12, b"\0") + struct.pack(">II", len(body), sum(body))
    return head + struct.pack(">I", sum(head)) + b"\xaa\x55\xaa\x55" + body
