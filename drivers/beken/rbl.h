/* SPDX-License-Identifier: MIT */
/**
 * RBL: the 96-byte header of RT-Thread's over-the-air packages. A package starts with it; in flash
 * it stands, framed like code, at the end of the bootloader's and of the app's partition. Pure.
 */
#ifndef DRIVERS_BEKEN_RBL_H
#define DRIVERS_BEKEN_RBL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RBL_HEADER_SIZE 96u

struct rbl_header {
    uint32_t algorithm; /**< 0 plain, 1 XOR, 2 AES-256; + 0x100 gzip, 0x200 quicklz, 0x300 fastlz */
    int64_t time_s;     /**< when it was built, seconds since 1970 */
    char name[17];      /**< "app", "bootloader"; unprintable bytes cut it */
    char version[25];
    uint32_t body_crc; /**< zlib CRC-32 of a package's body; in flash nobody knows of what */
    uint32_t hash;     /**< FNV-1a of the raw body; in flash, of the code as stored, deframed */
    uint32_t raw_size, package_size;
};

/** False if the magic or the header's own CRC-32 is wrong. */
bool rbl_parse(const uint8_t bytes[RBL_HEADER_SIZE], struct rbl_header *header);

/** The first framed header with this name; *offset is where it stands. */
bool rbl_find_trailer(const uint8_t *flash, size_t length, const char *name, size_t *offset,
                      struct rbl_header *header);

#endif
