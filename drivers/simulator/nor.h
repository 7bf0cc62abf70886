/* SPDX-License-Identifier: MIT */
/**
 * A serial NOR flash as its datasheet describes it: programming only clears bits and wraps inside a
 * 256-byte page, erasing sets whole 4 KiB sectors or 64 KiB blocks, the status registers protect
 * ranges (BP, TB, SEC, CMP) and may be locked. Addresses wrap at the size: the address lines above
 * it are not there. Pure; time is a parameter in nanoseconds. Written from the datasheets of the
 * GD25Q16 family (most chips share its status register layout), EN25QH16 and MX25V1635F.
 */
#ifndef DRIVERS_SIMULATOR_NOR_H
#define DRIVERS_SIMULATOR_NOR_H

#include "drivers/simulator/chance.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NOR_PAGE 256U
#define NOR_SECTOR 4096U
#define NOR_BLOCK 65536U
/** Below this the BK7231's bootloader lives; writing there is counted apart. */
#define NOR_BOOTLOADER_END 0x11000U

/** What is wrong with this flash; zero-initialised: nothing. */
struct nor_faults {
    uint32_t bad_sector;   /**< an address in the sector that bad_erases and bad_programs hit */
    unsigned bad_erases;   /**< so many erases of it leave a byte behind */
    unsigned bad_programs; /**< so many program operations in it leave their first byte alone */
    bool status_locked;    /**< SRP0 set and WP low: writing the status registers does nothing */
    bool unreadable;       /**< everything, also the id, reads as 0 */
};

/** What was done to it since it was created. */
struct nor_counters {
    uint64_t reads, read_bytes;
    uint64_t erases_4k, erases_64k, erases_chip;
    uint64_t programs, program_bytes; /**< operations of at most 32 bytes, and what they carried */
    uint64_t ignored;                 /**< erases and programs that protection swallowed */
    uint64_t unerased;                /**< bytes that asked for a 1 where a 0 was */
    uint64_t bootloader_erases;       /**< of these, below NOR_BOOTLOADER_END (ignored ones too) */
    uint64_t bootloader_programs;
    uint64_t status_writes;
};

struct nor;

/**
 * An erased flash of size bytes (a multiple of 64 KiB), with status as its status registers
 * (SR1 | SR2 << 8 | SR3 << 16) at power-on. id is mfr | type << 8 | capacity << 16; an id that is
 * not known gets the GD25Q16's status registers. chance is borrowed.
 */
struct nor *nor_create(uint32_t size, uint32_t id, uint32_t status, struct chance *chance);
void nor_free(struct nor *nor);

uint32_t nor_size(const struct nor *nor);
uint32_t nor_id(const struct nor *nor);
void nor_set_id(struct nor *nor, uint32_t id);
void nor_set_faults(struct nor *nor, const struct nor_faults *faults);
/** With what is left of bad_erases and bad_programs. */
void nor_get_faults(const struct nor *nor, struct nor_faults *faults);

/** The cells themselves, nor_size() bytes, behind the back of protection and counters. */
uint8_t *nor_cells(struct nor *nor);

void nor_read(struct nor *nor, uint32_t address, uint8_t *bytes, size_t length);
/** The same without counting, for the CRC unit. */
void nor_peek(const struct nor *nor, uint32_t address, uint8_t *bytes, size_t length);
/** At most a page. done < length: the power failed after so many bytes. */
void nor_program(struct nor *nor, uint32_t address, const uint8_t *bytes, size_t length,
                 size_t done);
/** size is NOR_SECTOR, NOR_BLOCK or nor_size(); address may lie anywhere in what is erased. */
void nor_erase(struct nor *nor, uint32_t address, uint32_t size);

/** opcode 05, 35 or 15; bit 0 of SR1 is WIP. A register the chip has not reads as 0. */
uint8_t nor_read_status(const struct nor *nor, uint8_t opcode, int64_t now_ns);
/** opcode 01, 31 or 11 with one or two bytes; WIP stays for duration_ns. */
void nor_write_status(struct nor *nor, uint8_t opcode, const uint8_t *bytes, size_t count,
                      int64_t now_ns, int64_t duration_ns);
/** All registers at once, without WIP. */
uint32_t nor_status(const struct nor *nor);
/** When WIP clears; in the past if it is clear. */
int64_t nor_ready_ns(const struct nor *nor);

/** The protected range as [*first, *end); equal if nothing is protected. */
void nor_protected(const struct nor *nor, uint32_t *first, uint32_t *end);

const struct nor_counters *nor_counters(const struct nor *nor);
/** True if the sector with this number was erased or programmed. */
bool nor_touched(const struct nor *nor, uint32_t sector);

#endif
