/* SPDX-License-Identifier: MIT */
#include "drivers/beken/compare.h"

#include "drivers/beken/crc.h"

#include <inttypes.h>
#include <string.h>

#define READ_ROUNDS 8 /* of re-reading what the CRC finds different */

static uint32_t block_end(uint32_t address, uint32_t end)
{
    uint32_t next = (address / BEKEN_BLOCK_SIZE + 1) * BEKEN_BLOCK_SIZE;
    return next < end ? next : end;
}

/* ------------------------------------------------------------------ reading */

struct span {
    uint32_t address, length;
};

static enum status reread_wrong_sectors(struct flasher *flasher, uint32_t address, uint8_t *bytes,
                                        uint32_t length, struct error *error)
{
    for (uint32_t offset = 0; offset < length; offset += BEKEN_SECTOR_SIZE) {
        bool equal = false;
        enum status status = session_crc_equals(flasher, address + offset, bytes + offset,
                                                BEKEN_SECTOR_SIZE, &equal, error);
        if (status == STATUS_OK && !equal) {
            flasher->retries++;
            status = session_read_sector(flasher, address + offset, bytes + offset, error);
        }
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static enum status check_read(struct flasher *flasher, uint32_t address, uint8_t *bytes,
                              uint32_t length, struct error *error)
{
    for (int round = 0; round < READ_ROUNDS; round++) {
        bool equal = false;
        enum status status = session_crc_equals(flasher, address, bytes, length, &equal, error);
        if (status != STATUS_OK || equal)
            return status;
        status = reread_wrong_sectors(flasher, address, bytes, length, error);
        if (status != STATUS_OK)
            return status;
    }
    return error_set(
        error, STATUS_MISMATCH,
        "What is read at 0x%" PRIX32 " does not fit the chip's own CRC, %d times: the flash is "
        "not readable reliably. If something is connected to the module's flash pins (P20 to "
        "P24), disconnect it; holding P24 low during reset has cured it, too.",
        address, READ_ROUNDS);
}

static enum status read_sectors(struct flasher *flasher, const struct span *all, uint32_t at,
                                uint8_t *bytes, uint32_t length, struct error *error)
{
    for (uint32_t sector = at; sector < at + length; sector += BEKEN_SECTOR_SIZE) {
        if (link_stopped(flasher->link))
            return link_stop_error(error);
        session_progress(flasher, "backup", sector - all->address, all->length, sector);
        enum status status = session_read_sector(flasher, sector, bytes + (sector - at), error);
        if (status != STATUS_OK && link_stopped(flasher->link))
            return link_stop_error(error);
        if (status != STATUS_OK)
            return error_prefix(error, status, "Reading 0x%" PRIX32 ": ", sector);
    }
    return STATUS_OK;
}

/* The chip goes through its flash four times as fast as the line carries it. So it is asked for the CRC before:
 * what that shows to be blank need not be carried, and what is carried is compared with it. */
static enum status read_block(struct flasher *flasher, const struct span *all, uint32_t at,
                              uint8_t *bytes, uint32_t length, struct error *error)
{
    uint32_t crc = 0;
    memset(bytes, 0xFF, length);
    session_progress(flasher, "backup", at - all->address, all->length, at);
    enum status status = session_crc(flasher, at, length, true, &crc, error);
    if (status != STATUS_OK || crc == beken_crc32_wire(bytes, length))
        return status;
    status = read_sectors(flasher, all, at, bytes, length, error);
    if (status != STATUS_OK || crc == beken_crc32_wire(bytes, length))
        return status;
    return check_read(flasher, at, bytes, length, error);
}

enum status flasher_read(struct flasher *flasher, uint32_t address, uint8_t *bytes, size_t length,
                         struct error *error)
{
    const struct span all = {.address = address, .length = (uint32_t)length};
    uint32_t end = address + all.length;
    for (uint32_t at = address; at < end;) {
        uint32_t stop = block_end(at, end);
        if (link_stopped(flasher->link))
            return link_stop_error(error);
        enum status status =
            read_block(flasher, &all, at, bytes + (at - address), stop - at, error);
        if (status != STATUS_OK)
            return status;
        at = stop;
    }
    session_progress(flasher, "backup", length, length, end);
    return STATUS_OK;
}

/* ------------------------------------------------------------------ comparing */

/* The sector's state by its CRC: equal, blank, or something else. */
static enum status compare_sector(struct flasher *flasher, struct plan_sector *sector, bool surely,
                                  struct error *error)
{
    uint32_t blank_crc = 0x0EAB98F5; /* 4096 x FF */
    uint32_t wanted = beken_crc32_wire(sector->wanted, BEKEN_SECTOR_SIZE);
    uint32_t crc = 0;
    enum status status =
        session_crc(flasher, sector->address, BEKEN_SECTOR_SIZE, surely, &crc, error);
    if (status == STATUS_OK && surely && crc != wanted)
        status = session_crc(flasher, sector->address, BEKEN_SECTOR_SIZE, true, &crc, error);
    if (status != STATUS_OK)
        return status;
    sector->action = crc == wanted ? PLAN_EQUAL : PLAN_WRITE;
    sector->is_blank = crc == blank_crc;
    return STATUS_OK;
}

bool compare_block_has(struct plan *plan, const struct plan_block *block, enum plan_action action)
{
    for (size_t i = block->first; i < block->end; i++)
        if (plan_sector(plan, i)->action == action)
            return true;
    return false;
}

static void set_block_equal(struct plan *plan, const struct plan_block *block)
{
    for (size_t i = block->first; i < block->end; i++) {
        struct plan_sector *sector = plan_sector(plan, i);
        sector->action = PLAN_EQUAL;
        sector->is_blank = sector->wants_blank;
    }
}

/* One CRC over the block; *equal. Blocks with guarded sectors are compared sector by sector. */
static enum status compare_whole(struct flasher *flasher, struct plan *plan,
                                 const struct plan_block *block, bool surely, bool *equal,
                                 struct error *error)
{
    const uint8_t *wanted = plan_sector(plan, block->first)->wanted;
    uint32_t crc = 0;
    *equal = false;
    if (compare_block_has(plan, block, PLAN_LEAVE))
        return STATUS_OK;
    if (surely)
        return session_crc_equals(flasher, block->address, wanted, block->length, equal, error);
    enum status status = session_crc(flasher, block->address, block->length, false, &crc, error);
    *equal = crc == beken_crc32_wire(wanted, block->length);
    return status;
}

/* The sector that shows most of its block: blank ones are often equal by chance. */
static struct plan_sector *sample(struct plan *plan, const struct plan_block *block)
{
    for (size_t i = block->first; i < block->end; i++) {
        struct plan_sector *sector = plan_sector(plan, i);
        if (sector->action != PLAN_LEAVE && !sector->wants_blank)
            return sector;
    }
    return NULL;
}

/* Before a write most blocks differ in all sectors, so one is looked at before the whole block's
 * CRC is worth its time; afterwards (surely) hardly any differs. */
static enum status compare_block(struct flasher *flasher, struct plan *plan,
                                 const struct plan_block *block, bool surely, struct error *error)
{
    struct plan_sector *first = surely ? NULL : sample(plan, block);
    enum status status = STATUS_OK;
    bool equal = false;
    if (first != NULL)
        status = compare_sector(flasher, first, false, error);
    if (status == STATUS_OK && (first == NULL || first->action == PLAN_EQUAL))
        status = compare_whole(flasher, plan, block, surely, &equal, error);
    if (status == STATUS_OK && equal)
        set_block_equal(plan, block);
    for (size_t i = block->first; status == STATUS_OK && !equal && i < block->end; i++) {
        struct plan_sector *sector = plan_sector(plan, i);
        if (sector != first && sector->action != PLAN_LEAVE)
            status = compare_sector(flasher, sector, surely, error);
    }
    return status;
}

static void compare_progress(struct flasher *flasher, struct plan *plan, const char *stage,
                             size_t index, uint32_t address)
{
    if (strcmp(stage, COMPARE_QUIETLY) != 0)
        session_progress(flasher, stage, index * (uint64_t)BEKEN_SECTOR_SIZE,
                         plan_count(plan) * (uint64_t)BEKEN_SECTOR_SIZE, address);
}

/* Before a write a damaged answer only costs a needless write; afterwards it would be a false
 * alarm. */
enum status compare_plan(struct flasher *flasher, struct plan *plan, const char *stage, bool surely,
                         struct error *error)
{
    size_t count = plan_count(plan);
    uint32_t end = 0;
    for (size_t first = 0; first < count;) {
        struct plan_block block = plan_block_at(plan, first);
        if (link_stopped(flasher->link))
            return link_stop_error(error);
        compare_progress(flasher, plan, stage, first, block.address);
        end = block.address + block.length;
        enum status status = compare_block(flasher, plan, &block, surely, error);
        if (status != STATUS_OK)
            return status;
        first = block.end;
    }
    compare_progress(flasher, plan, stage, count, end);
    return STATUS_OK;
}

enum status flasher_verify(struct flasher *flasher, uint32_t address, const uint8_t *bytes,
                           size_t length, bool everything, bool *differing, size_t *count,
                           struct error *error)
{
    struct plan *plan =
        plan_create(&flasher->module, address, bytes, length, everything, everything);
    enum status status = compare_plan(flasher, plan, "verify", true, error);
    *count = 0;
    for (size_t i = 0; status == STATUS_OK && i < plan_count(plan); i++) {
        differing[i] = plan_sector(plan, i)->action == PLAN_WRITE;
        *count += differing[i];
    }
    plan_free(plan);
    return status;
}
