/* SPDX-License-Identifier: MIT */
/* `bl2mqtt flash erase`: a part of the flash becomes blank. See bl2mqtt-flash-erase(1). */
#include "bridge/commands/command.h"
#include "bridge/commands/flash_session.h"

#include <stdio.h>

#define NAME "flash erase"

struct options {
    struct flash_options flash;
    int64_t length; /* -1: not given */
};

static enum status erase(struct flash_session *session, const struct options *options,
                         struct flasher_result *result, struct error *error)
{
    struct flasher *flasher = flash_session_flasher(session);
    const struct flasher_job job = {.address = (uint32_t)options->flash.address,
                                    .length = (size_t)options->length};
    bool force = options->flash.force_bootloader;
    enum status status =
        plan_check_range(flasher_module(flasher), job.address, job.length, force, error);
    if (status == STATUS_OK && force)
        status = flash_session_confirm(session, job.address, job.length,
                                       "nothing (it will be blank)", error);
    /* Little is sent, so the first rate will do; unless a damaged command could destroy the module. */
    bool test =
        options->flash.baud != 0 || flasher_module(flasher)->protocol != BEKEN_PROTOCOL_BOOT_ROM;
    if (status == STATUS_OK && test)
        status = flasher_choose_baud(flasher, true, error);
    return status == STATUS_OK ? flasher_write(flasher, &job, result, error) : status;
}

static enum status check_alignment(const struct options *options, struct error *error)
{
    if (options->flash.address % BEKEN_SECTOR_SIZE == 0 && options->length % BEKEN_SECTOR_SIZE == 0)
        return STATUS_OK;
    return error_set(
        error, STATUS_USAGE,
        "Flash is erased in sectors: --address and --length must be multiples of 0x1000.");
}

static enum status run(const struct command_context *context, void *own)
{
    (void)context;
    const struct options *options = own;
    const struct command_line *line = &command_flash_erase.line;
    struct error error = {""};
    struct flasher_result result = {0};
    json_t *answer = NULL;
    if (options->flash.address < 0)
        return command_missing(NAME, "where with --address");
    struct flash_session *session = flash_session_create(line, &options->flash);
    enum status status = check_alignment(options, &error);
    if (status == STATUS_OK)
        status = flash_session_open(line, &options->flash, &session, &error);
    if (status == STATUS_OK)
        status = erase(session, options, &result, &error);
    if (status != STATUS_OK) {
        status = flash_fail(line, session, status, &error);
    } else if (options->flash.json) {
        answer = flash_json_result(flash_session_flasher(session), &result);
        (void)json_object_set_new(answer, "address", json_integer(options->flash.address));
        (void)json_object_set_new(answer, "bytes", json_integer(options->length));
    } else {
        flash_print_result("Verified", flash_session_flasher(session), &result, "");
    }
    flash_session_close(session);
    return answer == NULL ? status : command_print_json(NAME, answer, JSON_INDENT(2));
}

static const struct option_row rows[] = {
    {.name = "length",
     .kind = OPTION_ADDRESS,
     .argument = "L",
     .at = offsetof(struct options, length),
     .low = 1,
     .high = UINT32_MAX,
     .wanted = "a number of bytes, like 0x1000",
     .required = "how much with --length",
     .help = "how many bytes, a multiple of 4096"},
    {.name = NULL},
};

const struct command command_flash_erase = {
    .line = {.name = NAME,
             .summary = "make a part of the flash blank",
             .purpose =
                 "Erases whole sectors and verifies that they are blank. Refuses the bootloader "
                 "of a BK7231T, the RF calibration with the MAC address, and anything beyond the "
                 "end of the flash.",
             .tables = {flash_module_rows, flash_address_rows, rows, flash_guard_rows,
                        flash_json_rows},
             .size = sizeof(struct options)},
    .run = run,
};
