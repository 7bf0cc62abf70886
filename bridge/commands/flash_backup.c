/* SPDX-License-Identifier: MIT */
/* `bl2mqtt flash backup`: the whole flash into a file. See bl2mqtt-flash-backup(1). */
#include "bridge/commands/command.h"
#include "bridge/commands/flash_session.h"

#include "drivers/beken/backup_file.h"

#include <stdio.h>
#include <stdlib.h>

#define NAME "flash backup"

struct options {
    struct flash_options flash;
    const char *output;
};

static enum status take(struct flash_session *session, const char *path, size_t *length,
                        struct error *error)
{
    struct flasher *flasher = flash_session_flasher(session);
    uint8_t *bytes = NULL;
    enum status status = flasher_choose_baud(flasher, false, error);
    if (status == STATUS_OK)
        status = flasher_identify_contents(flasher, error);
    if (status == STATUS_OK)
        status = flash_take_backup(session, path, &bytes, length, error);
    free(bytes);
    return status;
}

static json_t *describe(const struct flasher *flasher, const char *path, size_t length)
{
    const struct flasher_times times = flasher_times(flasher);
    json_t *seconds = json_pack("{s:o, s:o}", "read", flash_json_seconds(times.read_us), "crc",
                                flash_json_seconds(times.crc_us));
    return json_pack("{s:s, s:I, s:I, s:I, s:o}", "file", path, "bytes", (json_int_t)length,
                     "retries", (json_int_t)flasher_retries(flasher), "baud",
                     (json_int_t)flasher_baud(flasher), "seconds", seconds);
}

static enum status run(const struct command_context *context, void *own)
{
    (void)context;
    const struct options *options = own;
    const struct command_line *line = &command_flash_backup.line;
    struct error error = {""};
    size_t length = 0;
    json_t *answer = NULL;
    struct flash_session *session = flash_session_create(line, &options->flash);
    enum status status = backup_file_check(options->output, &error);
    if (status == STATUS_OK)
        status = flash_session_open(line, &options->flash, &session, &error);
    if (status == STATUS_OK)
        status = take(session, options->output, &length, &error);
    if (status == STATUS_FAILED && flash_session_stopped())
        (void)error_set(&error, status, "Stopped; nothing was changed, and no file was made.");
    if (status != STATUS_OK)
        status = flash_fail(line, session, status, &error);
    else if (options->flash.json)
        answer = describe(flash_session_flasher(session), options->output, length);
    else
        (void)printf("%zu bytes are in %s, checked by the chip's CRC.\n", length, options->output);
    flash_session_close(session);
    return answer == NULL ? status : command_print_json(NAME, answer, JSON_INDENT(2));
}

static const struct option_row rows[] = {
    {.name = "output",
     .argument = "F",
     .at = offsetof(struct options, output),
     .required = "which file to make with --output",
     .file = true,
     .help = "file to make; F.json is made beside it"},
    {.name = NULL},
};

const struct command command_flash_backup = {
    .line = {.name = NAME,
             .summary = "the module's whole flash into a file",
             .purpose =
                 "Reads the module's whole flash, checks it by the chip's own CRC, and keeps it "
                 "in a file with a second one, F.json, that says which module it is from. "
                 "Nothing is erased or written, but a BK7231T write-protects its flash when it is "
                 "asked for checksums; its firmware lifts that by itself.",
             .tables = {flash_module_rows, rows, flash_json_rows},
             .size = sizeof(struct options)},
    .run = run,
};
