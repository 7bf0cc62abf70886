/* SPDX-License-Identifier: MIT */
/* Reading, comparing, erasing and writing flash, sector by sector, with everything checked by CRC.
 */
#include "drivers/beken/session.h"

#include "drivers/base/memory.h"
#include "drivers/beken/bytes.h"
#include "drivers/beken/crc.h"

#include <inttypes.h>
#include <string.h>

enum {
    READ_ROUNDS = 8, /* of re-reading what the CRC finds different */
    SECTOR_TRIES = 12,
    TRIES_PER_RATE = 3, /* failures of one sector before the rate goes down */
    VERIFY_ROUNDS = 5,
    WRITE_REPLY_MS = 300,
    WRITE_REPLY_FLAPPING_MS = 45,
    TYPICAL_ERASE_4K_US = 60000,
    TYPICAL_ERASE_64K_US = 300000,
};

static uint32_t block_end(uint32_t address, uint32_t end)
{
    uint32_t next = (address / BEKEN_BLOCK_SIZE + 1) * BEKEN_BLOCK_SIZE;
    return next < end ? next : end;
}

/* ------------------------------------------------------------------ reading */

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

enum status flasher_read(struct flasher *flasher, uint32_t address, uint8_t *bytes, size_t length,
                         struct error *error)
{
    uint32_t end = address + (uint32_t)length;
    for (uint32_t at = address; at < end;) {
        uint32_t stop = block_end(at, end);
        for (uint32_t sector = at; sector < stop; sector += BEKEN_SECTOR_SIZE) {
            if (link_stopped(flasher->link))
                return link_stop_error(error);
            session_progress(flasher, "backup", sector - address, length, sector);
            enum status status =
                session_read_sector(flasher, sector, bytes + (sector - address), error);
            if (status != STATUS_OK && link_stopped(flasher->link))
                return link_stop_error(error);
            if (status != STATUS_OK)
                return error_prefix(error, status, "Reading 0x%" PRIX32 ": ", sector);
        }
        enum status status = check_read(flasher, at, bytes + (at - address), stop - at, error);
        if (status != STATUS_OK)
            return status;
        at = stop;
    }
    session_progress(flasher, "backup", length, length, end);
    return STATUS_OK;
}

/* ------------------------------------------------------------------ comparing */

/* A stage that is part of another one and shows no progress of its own. */
static const char QUIETLY[] = "";

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

static bool block_has(struct plan *plan, const struct plan_block *block, enum plan_action action)
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
    if (block_has(plan, block, PLAN_LEAVE))
        return STATUS_OK;
    if (surely)
        return session_crc_equals(flasher, block->address, wanted, block->length, equal, error);
    enum status status = session_crc(flasher, block->address, block->length, false, &crc, error);
    *equal = crc == beken_crc32_wire(wanted, block->length);
    return status;
}

/* The sector that tells most about its block: blank ones are often equal by chance. */
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
    if (strcmp(stage, QUIETLY) != 0)
        session_progress(flasher, stage, index * (uint64_t)BEKEN_SECTOR_SIZE,
                         plan_count(plan) * (uint64_t)BEKEN_SECTOR_SIZE, address);
}

/* Before a write a damaged answer only costs a needless write; afterwards it would be a false
 * alarm. */
static enum status compare_plan(struct flasher *flasher, struct plan *plan, const char *stage,
                                bool surely, struct error *error)
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

/* ------------------------------------------------------------------ one sector */

/* A write under way. */
struct run {
    struct flasher *flasher;
    struct plan *plan;
    struct flasher_result *result;
    const char *stage; /* of progress: what the passes over the plan are called */
    bool quiet;        /* part of something else: no progress of its own */
    bool proven;       /* a CRC has shown that this flash takes writes */
    size_t todo;       /* sectors that differed in the beginning */
    size_t at;         /* index of the sector that is being erased or sent; NOWHERE */
};

#define NOWHERE SIZE_MAX

/* A stuck T must be helped before its watchdog bites; elsewhere what was seen so far tells. */
static int64_t write_patience_ms(const struct flasher *flasher)
{
    if (session_is_flapping(flasher))
        return WRITE_REPLY_FLAPPING_MS;
    if (flasher->slowest_tail_us == 0)
        return WRITE_REPLY_MS;
    return WRITE_REPLY_FLAPPING_MS + 3 * flasher->slowest_tail_us / 1000;
}

static enum status send_sector(struct flasher *flasher, const struct plan_sector *sector,
                               struct error *error)
{
    struct beken_command command;
    struct beken_reply reply;
    beken_command_write_4k(&command, sector->address, sector->wanted);
    const struct link_want want = {
        .flash = true,
        .command = BEKEN_FLASH_WRITE_4K,
        .has_address = true,
        .address = sector->address,
        .timeout_ms = write_patience_ms(flasher),
        .piece_us = pace_period_us(&flasher->pace, link_baud(flasher->link)),
    };
    int64_t start_us = session_now_us();
    enum status status = link_ask(flasher->link, &command, &want, &reply, error);
    flasher->times.write_us += session_now_us() - start_us;
    if (status == STATUS_OK && reply.status != BEKEN_FLASH_OK)
        return error_set(error, STATUS_NO_ANSWER,
                         "The module refused a write to 0x%" PRIX32 " (error %u).", sector->address,
                         reply.status);
    if (status != STATUS_OK)
        return status;
    int64_t tail_us = link_tail_us(flasher->link);
    if (tail_us > flasher->slowest_tail_us)
        flasher->slowest_tail_us = tail_us;
    pace_success(&flasher->pace, tail_us - link_round_trip_us(flasher->link));
    return STATUS_OK;
}

static enum status sector_holds(struct flasher *flasher, const struct plan_sector *sector,
                                bool *equal, struct error *error)
{
    return session_crc_equals(flasher, sector->address, sector->wanted, BEKEN_SECTOR_SIZE, equal,
                              error);
}

static void lower_rate(struct flasher *flasher, uint32_t address)
{
    uint32_t before = link_baud(flasher->link);
    if (!session_step_down(flasher))
        return;
    session_note(flasher,
                 "Writing at 0x%" PRIX32 " failed again and again at %" PRIu32
                 " baud; going on at %" PRIu32 ". A powered adapter or shorter wires may help.",
                 address, before, flasher->baud);
}

/* After a write that was not answered: get the chip to listen, and see whether the sector is right
 * all the same (only the answer may have been lost). */
static enum status after_failed_write(struct flasher *flasher, const struct plan_sector *sector,
                                      unsigned failures, bool *equal, struct error *error)
{
    flasher->retries++;
    flasher->doubts++;
    pace_failure(&flasher->pace);
    enum status status = session_recover(flasher, error);
    if (status == STATUS_OK && failures % TRIES_PER_RATE == 0) {
        lower_rate(flasher, sector->address);
        status = link_set_baud(flasher->link, flasher->baud, error);
        if (status == STATUS_NO_ANSWER || status == STATUS_FAILED)
            status = session_recover(flasher, error);
    }
    return status == STATUS_OK ? sector_holds(flasher, sector, equal, error) : status;
}

static enum status sector_failed(const struct flasher *flasher, const struct plan_sector *sector,
                                 struct error *error)
{
    return error_set(
        error, STATUS_FAILED,
        "The sector at 0x%" PRIX32 " could not be written in %d tries at %" PRIu32
        " baud. If the next run stops at the same place, the flash is worn out there; if at "
        "another, the adapter's 3.3 V is too weak or the wires are bad.",
        sector->address, SECTOR_TRIES, link_baud(flasher->link));
}

/* The CRC after the first write of a session: a protected flash says yes to everything and does
 * nothing. */
static enum status prove_flash(struct run *run, const struct plan_sector *sector, bool *equal,
                               struct error *error)
{
    enum status status = sector_holds(run->flasher, sector, equal, error);
    run->proven = status == STATUS_OK && *equal;
    return status;
}

static enum status protected_error(const struct plan_sector *sector, struct error *error)
{
    return error_set(
        error, STATUS_FAILED,
        "The module said yes to erasing and writing 0x%" PRIX32 ", but the flash does not hold "
        "the data: it is write-protected, or worn out there. Switching the module off and on "
        "may help.",
        sector->address);
}

/* erased: the sector was erased just now (with its block). */
static enum status write_sector(struct run *run, struct plan_sector *sector, bool erased,
                                struct error *error)
{
    struct flasher *flasher = run->flasher;
    bool equal = false;
    unsigned failures = 0;
    for (int i = 0; i < SECTOR_TRIES; i++) {
        if (link_stopped(flasher->link))
            return link_stop_error(error);
        /* After a CheckCRC a T ignores writes until the next erase. */
        bool closed = session_is_flapping(flasher) && !flasher->erase_opened;
        enum status status = STATUS_OK;
        if (!erased || closed)
            status = session_erase(flasher, BEKEN_ERASE_4K, sector->address, error);
        if (status != STATUS_OK) /* it has done all it can by itself */
            return status;
        erased = false; /* whatever happens next, it is not blank any more */
        if (!sector->wants_blank)
            status = send_sector(flasher, sector, error);
        if (status == STATUS_OK && run->proven && failures == 0)
            return STATUS_OK;
        if (status == STATUS_OK)
            status = prove_flash(run, sector, &equal, error);
        else if (status == STATUS_NO_ANSWER || status == STATUS_FAILED)
            status = after_failed_write(flasher, sector, ++failures, &equal, error);
        if (status != STATUS_OK || equal)
            return status;
        failures += failures == 0;
        flasher->retries++;
    }
    return run->proven ? sector_failed(flasher, sector, error) : protected_error(sector, error);
}

/* ------------------------------------------------------------------ blocks */

static bool is_todo(const struct plan_sector *sector)
{
    return sector->action == PLAN_WRITE || sector->action == PLAN_UNKNOWN;
}

static size_t count_todo(const struct plan *plan)
{
    return plan_count_action(plan, PLAN_WRITE) + plan_count_action(plan, PLAN_UNKNOWN);
}

/* One pass over the plan. */
struct pass {
    uint64_t done, total; /* bytes */
};

static void pass_progress(const struct run *run, const struct pass *pass, uint32_t address)
{
    if (!run->quiet)
        session_progress(run->flasher, run->stage, pass->done, pass->total, address);
}

static enum status write_block(struct run *run, struct pass *pass, const struct plan_block *block,
                               struct error *error)
{
    struct flasher *flasher = run->flasher;
    static const struct plan_costs typical = {.erase_4k_us = TYPICAL_ERASE_4K_US,
                                              .erase_64k_us = TYPICAL_ERASE_64K_US};
    bool whole = plan_erase_whole_block(run->plan, block, &typical);
    if (whole) {
        pass_progress(run, pass, block->address);
        run->at = block->first;
        enum status status = session_erase(flasher, BEKEN_ERASE_64K, block->address, error);
        if (status != STATUS_OK)
            return status;
    }
    for (size_t i = block->first; i < block->end; i++) {
        struct plan_sector *sector = plan_sector(run->plan, i);
        if (!is_todo(sector))
            continue;
        pass_progress(run, pass, sector->address);
        run->at = i;
        /* A T must see an erase before it takes a write; elsewhere a blank sector needs none. */
        bool blank = whole || (sector->is_blank && !session_is_flapping(flasher));
        if (!(whole && sector->wants_blank)) {
            enum status status = write_sector(run, sector, blank, error);
            if (status != STATUS_OK)
                return status;
        }
        run->at = NOWHERE;
        pass->done += BEKEN_SECTOR_SIZE;
        sector->action = PLAN_EQUAL; /* until verification says otherwise */
        sector->is_blank = sector->wants_blank;
        sector->is_done = true;
    }
    return STATUS_OK;
}

static enum status write_blocks(struct run *run, struct error *error)
{
    struct pass pass = {.total = count_todo(run->plan) * (uint64_t)BEKEN_SECTOR_SIZE};
    uint32_t end = 0;
    for (size_t first = 0; first < plan_count(run->plan);) {
        struct plan_block block = plan_block_at(run->plan, first);
        first = block.end;
        if (!block_has(run->plan, &block, PLAN_WRITE) &&
            !block_has(run->plan, &block, PLAN_UNKNOWN))
            continue;
        run->flasher->writing = true;
        enum status status = write_block(run, &pass, &block, error);
        if (status != STATUS_OK)
            return status;
        end = block.address + block.length;
    }
    if (pass.total > 0)
        pass_progress(run, &pass, end);
    return STATUS_OK;
}

/* Everything is compared in the end; what differs is written again. */
static enum status verify_and_mend(struct run *run, struct error *error)
{
    const char *stage = run->quiet ? QUIETLY : "verify";
    for (int round = 0; round < VERIFY_ROUNDS; round++) {
        enum status status = compare_plan(run->flasher, run->plan, stage, true, error);
        size_t wrong = plan_count_action(run->plan, PLAN_WRITE);
        if (status != STATUS_OK || wrong == 0)
            return status;
        session_note(run->flasher,
                     wrong == 1 ? "Verification found a sector that differs; writing it again."
                                : "Verification found %zu sectors that differ; writing them again.",
                     wrong);
        run->flasher->retries += wrong;
        run->stage = "rewrite";
        status = write_blocks(run, error);
        if (status != STATUS_OK)
            return status;
    }
    for (size_t i = 0; i < plan_count(run->plan); i++)
        if (plan_sector(run->plan, i)->action == PLAN_WRITE)
            return error_set(error, STATUS_MISMATCH,
                             "What is written does not stay, from the sector at 0x%" PRIX32
                             " on (%zu in all): the flash is worn out or write-protected there.",
                             plan_sector(run->plan, i)->address,
                             plan_count_action(run->plan, PLAN_WRITE));
    return STATUS_OK;
}

/* ------------------------------------------------------------------ everything else in the flash
 */

/* What must be as before, as CRCs of pieces that lie within one 64 KiB block each: all sectors that
 * the job does not cover or must not touch. */
struct surroundings {
    size_t count;
    struct piece {
        uint32_t address, length, crc;
    } * pieces;
};

static bool is_outside(struct plan *plan, uint32_t address)
{
    uint32_t start = plan_sector(plan, 0)->address;
    size_t index = (address - start) / BEKEN_SECTOR_SIZE;
    return address < start || index >= plan_count(plan) ||
           plan_sector(plan, index)->action == PLAN_LEAVE;
}

static void find_surroundings(struct plan *plan, uint32_t flash_size, struct surroundings *around)
{
    *around = (struct surroundings){
        .pieces = memory_new(flash_size / BEKEN_SECTOR_SIZE, sizeof *around->pieces),
    };
    bool open = false;
    for (uint32_t at = 0; at < flash_size; at += BEKEN_SECTOR_SIZE) {
        bool outside = is_outside(plan, at);
        open = open && at % BEKEN_BLOCK_SIZE != 0 && outside;
        if (outside && !open)
            around->pieces[around->count++] = (struct piece){.address = at};
        if (outside)
            around->pieces[around->count - 1].length += BEKEN_SECTOR_SIZE;
        open = outside;
    }
}

/* From the known contents where there are any, else by asking the chip. */
static enum status note_surroundings(struct run *run, const struct flasher_job *job,
                                     struct surroundings *around, struct error *error)
{
    struct flasher *flasher = run->flasher;
    uint32_t size = flasher->module.flash_size;
    find_surroundings(run->plan, size, around);
    for (size_t i = 0; i < around->count; i++) {
        struct piece *piece = &around->pieces[i];
        if (job->current != NULL) {
            piece->crc = beken_crc32_wire(job->reference + piece->address, piece->length);
            continue;
        }
        if (link_stopped(flasher->link))
            return link_stop_error(error);
        session_progress(flasher, "surroundings", piece->address, size, piece->address);
        enum status status =
            session_crc(flasher, piece->address, piece->length, true, &piece->crc, error);
        if (status != STATUS_OK)
            return status;
    }
    if (job->current == NULL && around->count > 0)
        session_progress(flasher, "surroundings", size, size, size);
    return STATUS_OK;
}

static enum status mend_piece(struct run *run, const struct piece *piece, const uint8_t *reference,
                              struct error *error)
{
    struct flasher *flasher = run->flasher;
    /* Only with the old contents at hand, and never a T's bootloader, which runs while we speak. */
    bool with_rf = true;
    struct plan *plan = plan_create(&flasher->module, piece->address, reference + piece->address,
                                    piece->length, with_rf, false);
    struct run repair = *run;
    repair.plan = plan;
    repair.quiet = true;
    session_progress(flasher, "repair", 0, piece->length, piece->address);
    enum status status = compare_plan(flasher, plan, QUIETLY, false, error);
    run->result->repaired += (unsigned)plan_count_action(plan, PLAN_WRITE);
    if (status == STATUS_OK)
        status = write_blocks(&repair, error);
    if (status == STATUS_OK)
        status = verify_and_mend(&repair, error);
    if (status == STATUS_OK)
        session_progress(flasher, "repair", piece->length, piece->length,
                         piece->address + piece->length);
    plan_free(plan);
    return status;
}

static enum status damaged_error(const struct flasher *flasher, const struct piece *piece,
                                 struct error *error)
{
    bool bootloader = piece->address < beken_chip_layout(flasher->module.chip)->guarded_below;
    return error_set(error, STATUS_MISMATCH,
                     "A damaged command has changed flash outside the write, between 0x%" PRIX32
                     " and 0x%" PRIX32 "%s. Leave the module switched on and restore its backup "
                     "now%s.",
                     piece->address, piece->address + piece->length,
                     bootloader ? ", in the bootloader" : "",
                     bootloader ? ", with --force-bootloader" : "");
}

/* A backup helps only where the flash was still as it says. */
static bool reference_holds(const struct flasher_job *job, const struct piece *piece)
{
    return job->reference != NULL &&
           beken_crc32_wire(job->reference + piece->address, piece->length) == piece->crc;
}

/* A command that lost a byte of its address may have hit another place; only then is it worth the
 * time to look. */
static enum status check_surroundings(struct run *run, const struct flasher_job *job,
                                      const struct surroundings *around, struct error *error)
{
    struct flasher *flasher = run->flasher;
    uint32_t size = flasher->module.flash_size;
    for (size_t i = 0; i < around->count; i++) {
        const struct piece *piece = &around->pieces[i];
        uint32_t crc = 0;
        session_progress(flasher, "surroundings", piece->address, size, piece->address);
        enum status status = session_crc(flasher, piece->address, piece->length, true, &crc, error);
        if (status == STATUS_OK && crc != piece->crc)
            status = session_crc(flasher, piece->address, piece->length, true, &crc, error);
        if (status != STATUS_OK)
            return status;
        if (crc == piece->crc)
            continue;
        if (!reference_holds(job, piece))
            return damaged_error(flasher, piece, error);
        status = mend_piece(run, piece, job->reference, error);
        if (status == STATUS_OK)
            status = session_crc(flasher, piece->address, piece->length, true, &crc, error);
        if (status != STATUS_OK)
            return status;
        if (crc != piece->crc)
            return damaged_error(flasher, piece, error);
    }
    session_progress(flasher, "surroundings", size, size, size);
    return STATUS_OK;
}

/* ------------------------------------------------------------------ the job */

/* Everything that may still say no; nothing has been erased yet. */
static enum status prepare(struct flasher *flasher, const struct flasher_job *job,
                           struct error *error)
{
    const struct beken_module *module = &flasher->module;
    if (module->has_flash_id && flash_id_is_silent(module->flash.id))
        return error_set(
            error, STATUS_REFUSED,
            "The flash chip does not answer (id 0x%06" PRIX32 "): something loads the module's "
            "flash pins. Hold P24 low during reset, or disconnect what is on P20 to P24.",
            module->flash.id);
    if (session_is_flapping(flasher))
        return session_require_clean_line(flasher, error);
    /* A boot ROM survives everything, so a backup makes up for a bad line. */
    return job->reference == NULL ? session_require_fair_line(flasher, error) : STATUS_OK;
}

static enum status do_job(struct run *run, const struct flasher_job *job,
                          struct surroundings *around, struct error *error)
{
    struct flasher *flasher = run->flasher;
    struct plan *plan = run->plan;
    enum status status = STATUS_OK;
    if (job->current != NULL)
        plan_compare(plan, job->current, flasher->module.flash_size);
    else
        status = compare_plan(flasher, plan, "check", false, error);
    if (status != STATUS_OK)
        return status;
    run->todo = count_todo(plan);
    if (run->todo > 0) {
        status = prepare(flasher, job, error);
        if (status == STATUS_OK)
            status = note_surroundings(run, job, around, error);
        /* The last thing that may say no, and the first that changes anything. */
        if (status == STATUS_OK)
            status = session_protection(flasher, true, error);
        if (status == STATUS_OK)
            status = write_blocks(run, error);
    }
    /* Mending may itself lose a byte, so this goes on until nothing is in doubt. */
    for (unsigned judged = 0, round = 0; status == STATUS_OK && round < VERIFY_ROUNDS; round++) {
        status = verify_and_mend(run, error);
        if (flasher->doubts == judged)
            break;
        judged = flasher->doubts;
        if (status == STATUS_OK)
            status = check_surroundings(run, job, around, error);
    }
    return status;
}

/* Each sector once: what was right and stayed untouched, what is new, what was left alone. */
static void count_sectors(struct plan *plan, struct flasher_result *result)
{
    for (size_t i = 0; i < plan_count(plan); i++) {
        const struct plan_sector *sector = plan_sector(plan, i);
        result->sectors++;
        result->guarded += sector->action == PLAN_LEAVE;
        result->equal += sector->action == PLAN_EQUAL && !sector->is_done;
        result->blanked += sector->is_done && sector->wants_blank;
        result->written += sector->is_done && !sector->wants_blank;
    }
}

static enum flasher_protection protect_again(struct flasher *flasher)
{
    if (session_is_flapping(flasher))
        return FLASHER_PROTECTION_BOOTLOADER;
    struct error why = {""};
    if (session_protect_again(flasher, &why) == STATUS_OK)
        return FLASHER_PROTECTION_AS_FOUND;
    session_note(flasher,
                 "The flash was write-protected and is so no more: %s. It works all the same.",
                 why.text);
    return FLASHER_PROTECTION_OPEN;
}

/* What a person must know after a write that was cut short: how far it got, and that nothing of it
 * is lost. */
static enum status interrupted(struct run *run, enum status status, struct error *error)
{
    struct flasher *flasher = run->flasher;
    size_t done = run->result->written + run->result->blanked;
    if (link_stopped(flasher->link))
        status = error_set(error, STATUS_FAILED, "Stopped.");
    if (status == STATUS_REFUSED) /* which promises that nothing was erased */
        status = STATUS_FAILED;
    if (done >= run->todo)
        (void)error_append(error, status, " All that differed is written, but not verified.");
    else
        (void)error_append(error, status, " %zu of %zu %s written", done, run->todo,
                           run->todo == 1 ? "sector is" : "sectors are");
    if (done < run->todo && run->at != NOWHERE)
        (void)error_append(error, status, ", the sector at 0x%" PRIX32 " is half written",
                           plan_sector(run->plan, run->at)->address);
    if (done < run->todo)
        (void)error_append(error, status, "; the module may not start like this.");
    if (status == STATUS_NO_ANSWER)
        return error_append(error, status,
                            " %s and run the same command again; it goes on where it stopped.",
                            session_way_back(flasher));
    return error_append(error, status, " Run the same command again; it goes on where it stopped.");
}

enum status flasher_write(struct flasher *flasher, const struct flasher_job *job,
                          struct flasher_result *result, struct error *error)
{
    int64_t start_us = session_now_us();
    *result = (struct flasher_result){0};
    struct surroundings around = {0};
    struct run run = {
        .flasher = flasher,
        .plan = plan_create(&flasher->module, job->address, job->bytes, job->length, job->with_rf,
                            flasher->options.open_guards),
        .result = result,
        .stage = job->bytes == NULL ? "erase" : "write",
        .at = NOWHERE,
    };
    flasher->doubts = 0;
    flasher->writing = false;
    const struct flasher_times before = flasher->times;
    enum status status = do_job(&run, job, &around, error);
    count_sectors(run.plan, result);
    if (status == STATUS_OK)
        result->protection = protect_again(flasher);
    else if (flasher->writing && status != STATUS_MISMATCH)
        status = interrupted(&run, status, error);
    flasher->writing = false;
    result->retries = flasher->retries;
    result->reconnects = flasher->reconnects;
    result->baud = link_baud(flasher->link);
    result->times = (struct flasher_times){
        .read_us = flasher->times.read_us - before.read_us,
        .erase_us = flasher->times.erase_us - before.erase_us,
        .write_us = flasher->times.write_us - before.write_us,
        .crc_us = flasher->times.crc_us - before.crc_us,
    };
    result->total_us = session_now_us() - start_us;
    plan_free(run.plan);
    free(around.pieces);
    return status;
}
