/* SPDX-License-Identifier: MIT */
/* `bl2mqtt flash backup`: the whole flash into a file. See bl2mqtt-flash-backup(1). */
#include "bridge/commands/command.h"
#include "bridge/commands/flash_session.h"

#include "drivers/beken/backup_file.h"

#include <inttypes.h>

static const struct flash_command self = {
    .name = "flash backup",
    .accepts = FLASH_ACCEPTS_MODULE | FLASH_ACCEPTS_OUTPUT,
    .purpose = "Reads the module's whole flash, checks it by the chip's own CRC, and keeps it in a "
               "file with\n"
               "a second one, F.json, that says which module it is from. Nothing is erased or "
               "written, but\n"
               "a BK7231T write-protects its flash when it is asked for checksums; its firmware "
               "lifts that\n"
               "by itself.",
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

enum status command_flash_backup(const struct command_context *context, int argc, char **argv)
{
    (void)context;
    struct flash_options options;
    struct error error = {""};
    struct flash_session *session = NULL;
    size_t length = 0;
    json_t *answer = NULL;
    bool done = false;
    enum status status = flash_options_parse(&self, argc, argv, &options, &done);
    if (status != STATUS_OK || done)
        return status;
    session = flash_session_create(&self, &options);
    status = backup_file_check(options.output, &error);
    if (status == STATUS_OK)
        status = flash_session_open(&self, &options, &session, &error);
    if (status == STATUS_OK)
        status = take(session, options.output, &length, &error);
    if (status == STATUS_FAILED && session != NULL && flash_session_stopped(session))
        (void)error_set(&error, status, "Stopped; nothing was changed, and no file was made.");
    if (status != STATUS_OK)
        status = flash_fail(&self, session, status, &error);
    else if (options.json)
        answer = describe(flash_session_flasher(session), options.output, length);
    else
        (void)printf("%zu bytes are in %s, checked by the chip's CRC.\n", length, options.output);
    flash_session_close(session);
    if (status != STATUS_OK || !options.json)
        return status;
    return command_print_json(self.name, answer, JSON_INDENT(2));
}
