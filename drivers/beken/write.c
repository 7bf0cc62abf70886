/* SPDX-License-Identifier: MIT */
#include "drivers/beken/write.h"

#include <inttypes.h>

enum {
    SECTOR_TRIES = 12,
    TRIES_PER_RATE = 3, /* failures of one sector before the rate goes down */
    WRITE_REPLY_MS = 300,
    WRITE_REPLY_FLAPPING_MS = 45,
    TYPICAL_ERASE_4K_US = 60000,
    TYPICAL_ERASE_64K_US = 300000,
};

/* ------------------------------------------------------------------ one sector */

/* A stuck T must be helped before its watchdog bites; elsewhere what was seen so far decides. */
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
static enum status prove_flash(struct write_run *run, const struct plan_sector *sector, bool *equal,
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
static enum status write_sector(struct write_run *run, struct plan_sector *sector, bool erased,
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

size_t write_todo(const struct plan *plan)
{
    return plan_count_action(plan, PLAN_WRITE) + plan_count_action(plan, PLAN_UNKNOWN);
}

/* One pass over the plan. */
struct pass {
    uint64_t done, total; /* bytes */
};

static void pass_progress(const struct write_run *run, const struct pass *pass, uint32_t address)
{
    if (!run->quiet)
        session_progress(run->flasher, run->stage, pass->done, pass->total, address);
}

static enum status write_block(struct write_run *run, struct pass *pass,
                               const struct plan_block *block, struct error *error)
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
        run->at = WRITE_NOWHERE;
        pass->done += BEKEN_SECTOR_SIZE;
        sector->action = PLAN_EQUAL; /* until verification says otherwise */
        sector->is_blank = sector->wants_blank;
        sector->is_done = true;
    }
    return STATUS_OK;
}

enum status write_blocks(struct write_run *run, struct error *error)
{
    struct pass pass = {.total = write_todo(run->plan) * (uint64_t)BEKEN_SECTOR_SIZE};
    uint32_t end = 0;
    for (size_t first = 0; first < plan_count(run->plan);) {
        struct plan_block block = plan_block_at(run->plan, first);
        first = block.end;
        if (!compare_block_has(run->plan, &block, PLAN_WRITE) &&
            !compare_block_has(run->plan, &block, PLAN_UNKNOWN))
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
enum status write_verified(struct write_run *run, struct error *error)
{
    const char *stage = run->quiet ? COMPARE_QUIETLY : "verify";
    for (int round = 0; round < WRITE_VERIFY_ROUNDS; round++) {
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
