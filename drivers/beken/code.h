/* SPDX-License-Identifier: MIT */
/**
 * How a BK7231 keeps code in flash: every 32 bytes are followed by their CRC-16 (34 bytes on
 * flash), unused blocks are 34 x FF, and with a key the 32 bytes are XORed with a stream that
 * depends on the address. Logical addresses count without the CRCs: flash 0x11000 is logical
 * 0x10000. Pure.
 */
#ifndef DRIVERS_BEKEN_CODE_H
#define DRIVERS_BEKEN_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CODE_BLOCK_LOGICAL 32u
#define CODE_BLOCK_FLASH 34u
/** Logical address of the app, which lies at BEKEN_CODE_ADDRESS in flash. */
#define CODE_APP_LOGICAL 0x10000u

/** The word that Tuya's key XORs onto the little-endian word at a logical address. */
uint32_t code_key_stream(uint32_t logical_address);

/** XORs count bytes (a multiple of 4) in place; encrypting and decrypting are the same. */
void code_crypt(uint8_t *bytes, size_t count, uint32_t logical_address);

enum code_block { CODE_BLOCK_GOOD, CODE_BLOCK_UNUSED, CODE_BLOCK_BAD };
enum code_block code_check_block(const uint8_t block[CODE_BLOCK_FLASH]);

/** Copies whole logical bytes out of framed flash bytes; as many as both sides hold, returns that.
 */
size_t code_deframe(const uint8_t *flash, size_t flash_length, uint8_t *logical, size_t count);

#endif
