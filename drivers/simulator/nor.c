/* SPDX-License-Identifier: MIT */
#include "drivers/simulator/nor.h"

#include "drivers/base/memory.h"

#include <string.h>

/* How the protection bits of a chip are laid out. */
enum layout {
    LAYOUT_BP5_CMP, /* BP0..BP2 level, BP3 bottom, BP4 sectors, CMP in bit 14: GD25Q16 and kin */
    LAYOUT_BP4,     /* BP0..BP2 level, BP3 bottom: EN25QH16 */
    LAYOUT_BP4_TB,  /* BP0..BP3 level, TB (bit 12, configuration register) bottom: MX25V1635F */
};

struct part {
    uint32_t id;
    enum layout layout;
    unsigned status_registers;
};

/* Parts that differ from the rest (BP5_CMP, two status registers). */
static const struct part parts[] = {
    {0x15701C, LAYOUT_BP4, 1},     {0x1523C2, LAYOUT_BP4_TB, 2},  {0x1423C2, LAYOUT_BP4_TB, 2},
    {0x154285, LAYOUT_BP5_CMP, 1}, {0x1464C8, LAYOUT_BP5_CMP, 1}, {0x1560C4, LAYOUT_BP5_CMP, 3},
};

struct nor {
    uint8_t *cells;
    uint8_t *touched; /* one bit per sector */
    uint32_t size;
    uint32_t id;
    uint32_t status;
    int64_t ready_ns;
    struct nor_faults faults;
    struct nor_counters counters;
    struct chance *chance;
};

struct nor *nor_create(uint32_t size, uint32_t id, uint32_t status, struct chance *chance)
{
    struct nor *nor = memory_new(1, sizeof *nor);
    nor->cells = memory_new(size, 1);
    nor->touched = memory_new(size / NOR_SECTOR / 8, 1);
    memset(nor->cells, 0xFF, size);
    nor->size = size;
    nor->id = id;
    nor->status = status;
    nor->chance = chance;
    return nor;
}

void nor_free(struct nor *nor)
{
    if (nor == NULL)
        return;
    free(nor->cells);
    free(nor->touched);
    free(nor);
}

uint32_t nor_size(const struct nor *nor)
{
    return nor->size;
}

uint32_t nor_id(const struct nor *nor)
{
    return nor->faults.unreadable ? 0 : nor->id;
}

void nor_set_id(struct nor *nor, uint32_t id)
{
    nor->id = id;
}

void nor_set_faults(struct nor *nor, const struct nor_faults *faults)
{
    nor->faults = *faults;
}

void nor_get_faults(const struct nor *nor, struct nor_faults *faults)
{
    *faults = nor->faults;
}

uint8_t *nor_cells(struct nor *nor)
{
    return nor->cells;
}

void nor_peek(const struct nor *nor, uint32_t address, uint8_t *bytes, size_t length)
{
    if (nor->faults.unreadable) {
        memset(bytes, 0, length);
        return;
    }
    while (length > 0) {
        uint32_t at = address % nor->size;
        size_t part = nor->size - at;
        if (part > length)
            part = length;
        memcpy(bytes, nor->cells + at, part);
        bytes += part;
        length -= part;
        address += (uint32_t)part;
    }
}

void nor_read(struct nor *nor, uint32_t address, uint8_t *bytes, size_t length)
{
    nor->counters.reads++;
    nor->counters.read_bytes += length;
    nor_peek(nor, address, bytes, length);
}

static struct part part_of(const struct nor *nor)
{
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (parts[i].id == nor->id)
            return parts[i];
    return (struct part){nor->id, LAYOUT_BP5_CMP, 2};
}

void nor_protected(const struct nor *nor, uint32_t *first, uint32_t *end)
{
    const struct part part = part_of(nor);
    unsigned level = (nor->status >> 2) & (part.layout == LAYOUT_BP4_TB ? 15U : 7U);
    bool bottom =
        part.layout == LAYOUT_BP4_TB ? (nor->status & 0x1000U) != 0 : (nor->status & 0x20U) != 0;
    bool by_sector = part.layout == LAYOUT_BP5_CMP && (nor->status & 0x40U) != 0;
    bool complement =
        part.layout == LAYOUT_BP5_CMP && part.status_registers > 1 && (nor->status & 0x4000U) != 0;

    uint32_t length = 0;
    if (level >= 6)
        length = nor->size; /* the two highest levels mean everything, with any other bit */
    else if (level > 0 && by_sector)
        length = NOR_SECTOR << (level - 1 < 3 ? level - 1 : 3);
    else if (level > 0)
        length = nor->size / 32 << (level - 1);
    if (length > nor->size)
        length = nor->size;

    *first = bottom || length == 0 ? 0 : nor->size - length;
    *end = *first + length;
    if (!complement)
        return;
    if (length == nor->size) {
        *end = *first = 0;
    } else if (*first == 0) {
        *first = length;
        *end = nor->size;
    } else {
        *end = *first;
        *first = 0;
    }
}

static bool is_protected(const struct nor *nor, uint32_t address, uint32_t length)
{
    uint32_t first;
    uint32_t end;
    nor_protected(nor, &first, &end);
    return first < end && address < end && address + length > first;
}

static void touch(struct nor *nor, uint32_t address, uint32_t length)
{
    for (uint32_t sector = address / NOR_SECTOR; sector * NOR_SECTOR < address + length; sector++)
        nor->touched[sector / 8] |= (uint8_t)(1U << (sector % 8));
}

void nor_program(struct nor *nor, uint32_t address, const uint8_t *bytes, size_t length,
                 size_t done)
{
    address %= nor->size;
    nor->counters.programs++;
    nor->counters.program_bytes += length;
    if (address < NOR_BOOTLOADER_END)
        nor->counters.bootloader_programs++;
    if (is_protected(nor, address, 1)) {
        nor->counters.ignored++;
        return;
    }
    touch(nor, address, 1);
    size_t skip = 0;
    if (nor->faults.bad_programs > 0 &&
        address / NOR_SECTOR == nor->faults.bad_sector % nor->size / NOR_SECTOR) {
        nor->faults.bad_programs--;
        skip = 1;
    }
    for (size_t i = skip; i < length && i < done; i++) {
        uint32_t at = (address & ~(NOR_PAGE - 1)) | ((address + (uint32_t)i) & (NOR_PAGE - 1));
        if ((bytes[i] & ~nor->cells[at]) != 0)
            nor->counters.unerased++;
        nor->cells[at] &= bytes[i];
    }
}

void nor_erase(struct nor *nor, uint32_t address, uint32_t size)
{
    address = address % nor->size / size * size;
    if (size == NOR_SECTOR)
        nor->counters.erases_4k++;
    else if (size == NOR_BLOCK)
        nor->counters.erases_64k++;
    else
        nor->counters.erases_chip++;
    if (address < NOR_BOOTLOADER_END)
        nor->counters.bootloader_erases++;
    if (is_protected(nor, address, size)) {
        nor->counters.ignored++;
        return;
    }
    touch(nor, address, size);
    uint32_t bad = nor->faults.bad_sector % nor->size;
    uint8_t left = nor->cells[bad];
    memset(nor->cells + address, 0xFF, size);
    if (nor->faults.bad_erases > 0 && bad >= address && bad - address < size) {
        nor->faults.bad_erases--;
        nor->cells[bad] = left & (uint8_t)chance_next(nor->chance) & 0xFEU;
    }
}

uint8_t nor_read_status(const struct nor *nor, uint8_t opcode, int64_t now_ns)
{
    const struct part part = part_of(nor);
    if (nor->faults.unreadable)
        return 0;
    if (opcode == 0x05)
        return (uint8_t)((nor->status & 0xFEU) | (now_ns < nor->ready_ns ? 1U : 0U));
    if (part.status_registers < 2)
        return 0;
    if (opcode == (part.layout == LAYOUT_BP4_TB ? 0x15 : 0x35))
        return (uint8_t)(nor->status >> 8);
    if (opcode == 0x15 && part.status_registers > 2)
        return (uint8_t)(nor->status >> 16);
    return 0;
}

void nor_write_status(struct nor *nor, uint8_t opcode, const uint8_t *bytes, size_t count,
                      int64_t now_ns, int64_t duration_ns)
{
    const struct part part = part_of(nor);
    nor->counters.status_writes++;
    if (nor->faults.status_locked || nor->faults.unreadable || count == 0)
        return;
    /* One register: the chip takes CS going high after a second byte for a mistake. */
    if (count > part.status_registers)
        return;
    uint32_t mask = 0;
    uint32_t value = 0;
    if (opcode == 0x01) {
        mask = count == 1 ? 0xFCU : 0xFFFCU;
        value = bytes[0] | (count > 1 ? (uint32_t)bytes[1] << 8 : 0);
    } else if (opcode == 0x31 && part.status_registers > 1) {
        mask = 0xFF00U;
        value = (uint32_t)bytes[0] << 8;
    } else if (opcode == 0x11 && part.status_registers > 2) {
        mask = 0xFF0000U;
        value = (uint32_t)bytes[0] << 16;
    }
    if (mask == 0)
        return;
    nor->status = (nor->status & ~mask) | (value & mask);
    nor->ready_ns = now_ns + duration_ns;
}

uint32_t nor_status(const struct nor *nor)
{
    return nor->status;
}

int64_t nor_ready_ns(const struct nor *nor)
{
    return nor->ready_ns;
}

const struct nor_counters *nor_counters(const struct nor *nor)
{
    return &nor->counters;
}

bool nor_touched(const struct nor *nor, uint32_t sector)
{
    if (sector >= nor->size / NOR_SECTOR)
        return false;
    unsigned bits = nor->touched[sector / 8];
    return (bits >> (sector % 8) & 1U) != 0;
}
