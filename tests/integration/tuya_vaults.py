# SPDX-License-Identifier: MIT
"""Tuya vaults and dumps for tests, made from the published format; independent of the C code under test.
Nothing here comes from a real device. AES is OpenSSL's command line."""

import functools
import json
import random
import struct
import subprocess

import beken_images

BLOCK, PAGE, PAGES = 4096, 128, 32
KEY_ADDRESS, PROTECTED, MIRROR = 0x1EE000, 0x1ED000, 0x1CF000
RF = {"BK7231N": 0x1D0000, "BK7231T": 0x1E0000}
MASTER = b"qwertyuiopasdfgh"
MAGIC_KEY, MAGIC, MAGIC_NEW = 0x13579753, 0x98761234, 0x135726AB
KEY = bytes(range(16))
MAC = bytes.fromhex("d81f12345678")


@functools.lru_cache(maxsize=None)
def aes(key, data):
    return subprocess.run(["openssl", "enc", "-aes-128-ecb", "-nopad", "-K", key.hex()], input=data,
                          stdout=subprocess.PIPE, check=True).stdout


def data_key(inner):
    return bytes(("8710_2M"[i & 3].encode()[0] + b"HHRRQbyemofrtytf"[i] + inner[i]) % 256 for i in range(16))


def key_block(inner=KEY, checksum=None):
    checksum = sum(inner) if checksum is None else checksum
    return aes(MASTER, (struct.pack("<II", MAGIC_KEY, checksum) + inner).ljust(BLOCK, b"\xff"))


class Block:
    """One data block: pages by number, and which of them are index pages."""

    def __init__(self, number, generation=1):
        self.number, self.generation = number, generation
        self.pages, self.index = {}, set()

    def free(self):
        return PAGES - 1 - len(self.pages)

    def add(self, page, is_index=False):
        place = next(i for i in range(1, PAGES) if i not in self.pages)
        self.pages[place] = page.ljust(PAGE, b"\xff")
        if is_index:
            self.index.add(place)
        return place

    def plain(self, magic=MAGIC, checksum=None):
        bits = sum(1 << i for i in self.index)
        head = struct.pack("<HIB", self.number, self.generation, 4) + struct.pack("<I", bits)
        body = head.ljust(PAGE - 8, b"\xff")
        body += b"".join(self.pages.get(i, b"\xff" * PAGE) for i in range(1, PAGES))
        return struct.pack("<II", magic, sum(body) if checksum is None else checksum) + body


class Vault:
    """put() values, then bytes() of key block and data blocks."""

    def __init__(self, inner=KEY, magic=MAGIC, count=17):
        self.inner, self.magic = inner, magic
        self.blocks = [Block(i) for i in range(count)]
        self.extra = []  # further blocks, as swap copies

    def put(self, name, value, block=None, checksum=None):
        """The value's pages go where there is room (across blocks); its index page to `block` or behind them."""
        left = [value[i:i + PAGE] for i in range(0, len(value), PAGE)]
        parts = []
        for one in self.blocks:
            while left and one.free() > 1:  # one page stays free for an index
                place = one.add(left.pop(0))
                if parts and parts[-1][0] == one.number and parts[-1][2] == place - 1:
                    parts[-1][2] = place
                else:
                    parts.append([one.number, place, place])
        assert not left, "the vault is full"
        home = self.blocks[block] if block is not None else next(b for b in self.blocks if b.free() > 0)
        place = next(i for i in range(1, PAGES) if i not in home.pages)
        label = name.encode() + b"\0"
        page = struct.pack("<IIHBHIB", sum(value) if checksum is None else checksum, len(value), home.number,
                           place, len(parts), 1, len(label)) + label
        page += b"".join(struct.pack("<HBB", *part) for part in parts)
        assert len(page) <= PAGE
        home.add(page, is_index=True)
        return self

    def data(self):
        key = data_key(self.inner)
        return [aes(key, block.plain(self.magic)) for block in self.blocks + self.extra]

    def bytes(self):
        return key_block(self.inner) + b"".join(self.data())


def protected_block(values, inner=bytes(range(16, 32))):
    records = b"".join(struct.pack("<I", len(value)) + name.encode().ljust(32, b"\0") + value
                       for name, value in values.items())
    assert len(records) <= BLOCK - 32
    secret = aes(data_key(inner), records.ljust(BLOCK - 32, b"\xff"))
    body = inner + struct.pack("<II", len(records), 7) + secret
    return aes(MASTER, struct.pack("<II", MAGIC_KEY, sum(body)) + body)


# ---------------------------------------------------------------------- whole dumps

def rf_sector(mac=MAC):
    head = b"TLV\0" + struct.pack("<I", 0x1F6)
    return (head.ljust(0x1C, b"\0") + bytes.fromhex("0211111106000000") + mac).ljust(BLOCK, b"\xff")


def vendor_app(chip, texts=(), length=60000, seed=1):
    """An application of nobody's, with these texts in it, each between NULs."""
    logical = bytearray(random.Random(seed).randbytes(length // 34 * 32))
    at = 0x800
    for text in ("bk7231n" if chip == "BK7231N" else "bk7231t", *texts):
        piece = b"\0" + text.encode() + b"\0"
        logical[at:at + len(piece)] = piece
        at += len(piece) + 64
    logical[0x100:0x108] = b"BK7231\0\0"
    code = bytearray(beken_images.crypt(bytes(logical), 0x10000))
    code[:8] = beken_images.APP_START[True]
    if chip == "BK7231T":
        code[0x100:0x108] = beken_images.T_MARK
    return beken_images.frame(bytes(code))


@functools.lru_cache(maxsize=None)
def _firmware(chip, texts):
    return beken_images.make_qio(chip)[:beken_images.APP] + vendor_app(chip, texts)


def dump(vault=b"", chip="BK7231N", texts=(), at=KEY_ADDRESS, protected=None, mirror=None, mac=MAC):
    flash = bytearray(b"\xff" * 0x200000)
    firmware = _firmware(chip, tuple(texts))
    flash[:len(firmware)] = firmware
    if mac is not None:
        flash[RF[chip]:RF[chip] + BLOCK] = rf_sector(mac)
    flash[at:at + len(vault)] = vault[:len(flash) - at]
    if protected is not None:
        flash[PROTECTED:PROTECTED + BLOCK] = protected
    if mirror is not None:
        flash[MIRROR:MIRROR + BLOCK] = mirror
    assert len(flash) == 0x200000
    return bytes(flash)


def rotate(flash):
    """As old tools read a T: from 0x11000 on, then around."""
    return flash[0x11000:] + flash[:0x11000]


def vendor_json(settings):
    """The vendor's way of writing an object."""
    return "{" + "".join(f"{key}:{value}," for key, value in settings.items()) + "}"


PLUG = {"rl1_pin": 6, "rl1_lv": 1, "bt1_pin": 26, "bt1_lv": 0, "netled1_pin": 8, "netled1_lv": 1,
        "module": "CB2S", "crc": 101}
SECRETS = {"uuid": "uuid-of-this-one", "psk_key": "psk-of-this-one", "auth_key": "auth-of-this-one",
           "fac_pin": "pin-of-this-one"}
NETWORK = {"nc_tp": 9, "ssid": "HomeNetwork", "passwd": "home-password", "token": "tok-4711", "region": "EU"}


def usual_values(settings=None):
    values = {
        "gw_bi": json.dumps({**SECRETS, "country_code": "EU", "prod_test": False}),
        "gw_di": json.dumps({"id": "bf00", "swv": "1.3.21", "bv": "40.00", "pk": "keyproduct1"}),
        "gw_wsm": json.dumps(NETWORK),
        "gw_ai": json.dumps({"key": "cloud-key-1", "lckey": "local-key-1"}),
        "em_sys_env": "bk7231n",
        "user_param_key": vendor_json(PLUG if settings is None else settings),
    }
    return {name: value.encode() + b"\0" for name, value in values.items()}


def usual_vault(settings=None, **options):
    vault = Vault(**options)
    for name, value in usual_values(settings).items():
        vault.put(name, value)
    return vault
