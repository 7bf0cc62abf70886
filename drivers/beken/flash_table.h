/* SPDX-License-Identifier: MIT */
/**
 * The SPI flash chips that Beken modules are built with: size and how their protection bits lie.
 * The table is data: schema/flash_chips.csv, compiled into the binary and parsed at each look-up.
 */
#ifndef DRIVERS_BEKEN_FLASH_TABLE_H
#define DRIVERS_BEKEN_FLASH_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BEKEN_SR_MAX 3u

struct flash_chip {
    uint32_t id; /**< manufacturer | type << 8 | capacity << 16, as tools print it */
    char name[24];
    char manufacturer[12];
    uint32_t size;     /**< bytes */
    unsigned sr_count; /**< status registers in use, 0 to 3 */
    uint8_t read_opcodes[BEKEN_SR_MAX];
    uint8_t write_opcode;
    uint32_t protect_mask; /**< over SR1 | SR2 << 8 | SR3 << 16 */
    uint32_t unprotected;  /**< value under the mask that protects nothing */
    bool generic;          /**< not in the table: the usual layout was assumed */
};

/** False if the id is not in the table. */
bool flash_table_find(uint32_t id, struct flash_chip *chip);

/** What is usual (two registers, BP0-BP4 and CMP) for an id that the table lacks; the size comes
 *  from the id's capacity byte, 0 if that is not plausible. */
void flash_table_generic(uint32_t id, struct flash_chip *chip);

/** The row'th chip of the table; false past its end. */
bool flash_table_row(size_t row, struct flash_chip *chip);

/** 000000 and FFFFFF: the flash did not answer at all. */
bool flash_id_is_silent(uint32_t id);

#endif
