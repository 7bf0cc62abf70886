# SPDX-License-Identifier: MIT
"""Firmware files for tests, made from the published rules (code framing, key stream, chip marks, RBL
trailers), with made-up code; independent of the C code under test."""

import gzip
import random
import struct
import subprocess
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


def make_app(chip, length, seed=1, version="1.18.300", tells_length=True, filler=True, twin=False,
             esphome=None):
    """Framed app of about `length` flash bytes, without a trailer; a UA file. Also its hash's input. esphome: no
    OpenBeken, but this text where ESPHome has what was compiled in."""
    rng = random.Random(seed)
    keyed = chip != "BK7231M"
    logical = bytearray(rng.randbytes(length // 34 * 32))
    letter = chip[-1] if chip != "BK7231M" else "N"
    text = f"OpenBK7231{letter} {version} Aug  2\0".encode()
    if esphome is not None:
        text = b"esphomelib\0"
        logical[0x700:0x700 + len(esphome) + 10] = b"compiled " + esphome.encode() + b"\0"
    logical[0x400:0x400 + len(text)] = text
    logical[0x100:0x108] = b"BK7231\0\0"
    if twin:
        logical[0x500:0x50b] = b"BL0942opts\0"
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


def make_qio(chip, app_length=60000, size=0x30000, seed=1, blank_tail=True, version="1.18.300", twin=False,
             name_at=0x94):
    """Bootloader and app with their trailers, FF between the app's end and its trailer."""
    keyed = chip != "BK7231M"
    logical = bytearray(random.Random(f"bootloader {chip}").randbytes(max(0x4000, name_at + 0x20)))
    text = (b"BK7231S_1.0.5" if chip == "BK7231T" else b"BK7231N_1.0.1") + b"\0"
    logical[name_at:name_at + len(text)] = text
    code = bytearray(crypt(bytes(logical), 0) if keyed else logical)
    code[:8] = BOOTLOADER_START[chip]
    image = bytearray(b"\xff" * size)
    framed = frame(bytes(code))
    image[:len(framed)] = framed
    image[0x10F9A:0x11000] = trailer(b"bootloader", bytes(code))
    app, app_code = make_app(chip, app_length, seed, version, twin=twin)
    image[APP:APP + len(app)] = app
    image[size - 102:size] = trailer(b"app", app_code)
    return bytes(image)


FAMILIES = {"BK7231N": 0x7B3EF230, "BK7231T": 0x675A40B0, "ESP32": 0x1C5F21B0}


def uf2_tag(kind, value):
    size = 4 + len(value)
    return (bytes([size]) + struct.pack("<I", kind)[:3] + value).ljust(-(-size // 4) * 4, b"\0")


def make_uf2(app, chip="BK7231N", app_at=APP, step=256, schemes=b"\x00\x02\x00", names=b"app\0download\0"):
    """As LibreTiny's uf2tool: a block of tags, the over-the-air package, then the app for a serial line. schemes:
    a nibble for each of six, the fourth is that of the serial line; the number of a name, 0 for none."""
    def entry(name, offset, size):
        return struct.pack("<I16s16sII4x", 0x45503130, name, b"flash0", offset, size)
    table = entry(b"app", app_at, 0x119000) + entry(b"download", 0x12A000, 0xA6000)
    head = uf2_tag(0x9FC7BC, b"1.2.3") + uf2_tag(0x8288ED, table) + uf2_tag(0x6EC68A, b"\x10\x01\x00")
    blocks = [(0, b"", head)]
    for number, (data, info) in enumerate(((b"package" * 100, b"\x20\x00\x00" + names), (app, b"\x00\x01\x00" + names))):
        for at in range(0, len(data), step):
            blocks.append((at, data[at:at + step], uf2_tag(0xC0EE0C, info) if at == 0 else b""))
    made = b""
    for number, (address, data, tags) in enumerate(blocks):
        block = b"UF2\n" + struct.pack("<7I", 0x9E5D5157, 0x2000 | (0x8000 if tags else 0), address, len(data), number,
                                       len(blocks), FAMILIES[chip]) + data + tags
        made += block.ljust(508, b"\0") + struct.pack("<I", 0x0AB16F30)
    return made


def make_libretiny_rbl(chip, size):
    """An app with its trailer as ltchiptool packs it; size: bytes of code before padding. Its hash runs over 16
    bytes of 10 that are not in the file, and where that is not enough, ends early."""
    code = make_app(chip, 34 * (-(-size // 32)))[1]
    length = (size + 16 + 31) // 32 * 32 + 16
    stream = (code + b"\xff" * 16 + b"\x10" * 16)[:length]
    head = b"RBL\0" + struct.pack("<II", 0, 1785699515) + b"app".ljust(16, b"\0") + b"26.11.30-bk7231n".ljust(24, b"\0")
    head += b"0" * 23 + b"\0" + struct.pack("<IIII", zlib.crc32(stream), fnv1a(stream), length, len(code) + 32)
    body = frame(code + b"\xff" * 32)
    return body.ljust(len(body) + 4000, b"\xff") + frame(head + struct.pack("<I", zlib.crc32(head)))


def make_rbl(body=b"packed" * 100, version=b"25.05.28"):
    head = b"RBL\0" + struct.pack("<II", 0x102, 1785699515) + b"app".ljust(16, b"\0")
    head += version.ljust(24, b"\0") + b"0" * 24
    head += struct.pack("<IIII", zlib.crc32(body), 0, 5000, len(body))
    return head + struct.pack("<I", zlib.crc32(head)) + body


OTA_KEY = b"0123456789ABCDEF" * 2
OTA_IV = b"0123456789ABCDEF"


def ota_crypt(data, key=OTA_KEY, decrypt=False):
    return subprocess.run(["openssl", "enc", "-aes-256-cbc", "-nopad", "-d" if decrypt else "-e", "-K", key.hex(), "-iv",
                           OTA_IV.hex()], input=data, stdout=subprocess.PIPE, check=True).stdout


def make_ota(chip, version="1.18.300", twin=False, length=40000, seed=1, key=OTA_KEY):
    """An over-the-air package with a real app in it: gzip, then AES, as OpenBeken's build makes it."""
    keyed = chip != "BK7231M"
    code = make_app(chip, length, seed, version, twin=twin)[1]
    plain = crypt(code, 0x10000) if keyed else code
    packed = gzip.compress(plain, 6)
    packed = packed.ljust(-(-len(packed) // 16) * 16, b"\0")
    body = ota_crypt(packed, key)
    head = b"RBL\0" + struct.pack("<II", 0x102, 1785699515) + b"app".ljust(16, b"\0")
    head += version.encode().ljust(24, b"\0") + b"0" * 24
    head += struct.pack("<IIII", zlib.crc32(body), fnv1a(plain), len(plain), len(body))
    return head + struct.pack("<I", zlib.crc32(head)) + body


def make_ug(body=None):
    body = make_rbl() if body is None else body
    head = b"\x55\xaa\x55\xaa" + b"1.18.219".ljust(12, b"\0") + struct.pack(">II", len(body), sum(body))
    return head + struct.pack(">I", sum(head)) + b"\xaa\x55\xaa\x55" + body
