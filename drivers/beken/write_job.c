/* SPDX-License-Identifier: MIT */
/* A whole write: what is to be done, what around it must stay as it is, and what is said in the end. */
#include "drivers/beken/write.h"

#include "drivers/base/memory.h"
#include "drivers/beken/crc.h"

#include <inttypes.h>

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
static enum status note_surroundings(struct write_run *run, const struct flasher_job *job,
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

static enum status repair_piece(struct write_run *run, const struct piece *piece,
                                const uint8_t *reference, struct error *error)
{
    struct flasher *flasher = run->flasher;
    /* Only with the old contents at hand, and never a T's bootloader, which runs while we speak. */
    bool with_rf = true;
    struct plan *plan = plan_create(&flasher->module, piece->address, reference + piece->address,
                                    piece->length, with_rf, false);
    struct write_run repair = *run;
    repair.plan = plan;
    repair.quiet = true;
    session_progress(flasher, "repair", 0, piece->length, piece->address);
    enum status status = compare_plan(flasher, plan, COMPARE_QUIETLY, false, error);
    run->result->repaired += (unsigned)plan_count_action(plan, PLAN_WRITE);
    if (status == STATUS_OK)
        status = write_blocks(&repair, error);
    if (status == STATUS_OK)
        status = write_verified(&repair, error);
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
static enum status check_surroundings(struct write_run *run, const struct flasher_job *job,
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
        status = repair_piece(run, piece, job->reference, error);
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

static enum status do_job(struct write_run *run, const struct flasher_job *job,
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
    run->todo = write_todo(plan);
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
    for (unsigned judged = 0, round = 0; status == STATUS_OK && round < WRITE_VERIFY_ROUNDS;
         round++) {
        status = write_verified(run, error);
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
static enum status interrupted(struct write_run *run, enum status status, struct error *error)
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
    if (done < run->todo && run->at != WRITE_NOWHERE)
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
    struct write_run run = {
        .flasher = flasher,
        .plan = plan_create(&flasher->module, job->address, job->bytes, job->length, job->with_rf,
                            flasher->options.open_guards),
        .result = result,
        .stage = job->bytes == NULL ? "erase" : "write",
        .at = WRITE_NOWHERE,
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
