/* SPDX-License-Identifier: MIT */
/**
 * What a new module's flash holds, made up: no vendor's code is in it, but everything that tools
 * look at is where it belongs. Code regions are pseudo-random data in CRC16 framing and Tuya's
 * keystream with the real first bytes, version strings, chip markers and RBL trailers; the first
 * 256 (N: 257) bytes have the CRC-32 by which tools know the bootloader; the RF sector has a MAC.
 * Sources: BK7231GUIFlashTool, bk7231tools, OpenBeken's SDKs and release images.
 */
#ifndef DRIVERS_SIMULATOR_MODULE_CONTENTS_H
#define DRIVERS_SIMULATOR_MODULE_CONTENTS_H

#include "drivers/simulator/module.h"

enum module_contents_kind {
    MODULE_CONTENTS_VENDOR,    /**< bootloader, Tuya application, RF */
    MODULE_CONTENTS_OPENBEKEN, /**< bootloader, OpenBeken, RF, OpenBeken's configuration */
    MODULE_CONTENTS_BLANK,     /**< all FF, but a T keeps bootloader and RF, to be reachable */
};

bool module_contents_parse(const char *name, enum module_contents_kind *kind);

struct module_contents_options {
    enum module_chip chip;
    enum module_contents_kind kind;
    uint64_t seed;           /**< of code bytes and MAC */
    bool unknown_bootloader; /**< its CRC is in nobody's table */
};

/** Fills all size bytes (at least 2 MiB; the rest is FF). */
void module_contents_fill(const struct module_contents_options *options, uint8_t *flash,
                          size_t size);

/** The MAC that the seed gives. */
void module_contents_mac(uint64_t seed, uint8_t mac[6]);

/** CRC16 of a 32-byte code block: polynomial 0x8005, start FFFF, not reflected. */
uint16_t module_contents_crc16(const uint8_t *bytes, size_t length);
/** Tuya's keystream word at a logical address. */
uint32_t module_contents_keystream(uint32_t address);

/** True if an application stands at 0x11000 that runs on this chip with this key. */
bool module_contents_runs(const uint8_t *flash, size_t size, enum module_chip chip);

#endif
