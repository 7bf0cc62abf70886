/* SPDX-License-Identifier: MIT */
/** The three checksums that Beken modules know. Pure. */
#ifndef DRIVERS_BEKEN_CRC_H
#define DRIVERS_BEKEN_CRC_H

#include <stddef.h>
#include <stdint.h>

/** What CheckCRC answers: CRC-32 of zlib without its final inversion. 4096 bytes of FF: 0EAB98F5.
 */
uint32_t beken_crc32_wire(const uint8_t *bytes, size_t length);

/** zlib's own spelling, as RBL headers and the bootloader fingerprints use it. */
uint32_t beken_crc32(const uint8_t *bytes, size_t length);

/** CRC-16 behind every 32 bytes of code in flash, stored big-endian: polynomial 8005, start FFFF,
 * no reflection, no final xor. "123456789": AEE7. */
uint16_t beken_crc16(const uint8_t *bytes, size_t length);

/** OpenBeken's configuration checksum, with the arithmetic shift of a signed char that the BK7231
 *  firmware really does. "123456789": 63. */
uint8_t beken_crc8_config(const uint8_t *bytes, size_t length);

/** FNV-1a, 32 bits: the hash in an RBL header, over the deframed (still encrypted) code. */
uint32_t beken_fnv1a(uint32_t hash, const uint8_t *bytes, size_t length);
#define BEKEN_FNV1A_START 2166136261u

#endif
