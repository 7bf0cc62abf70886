/* SPDX-License-Identifier: MIT */
/* `bl2mqtt flash erase`: a part of the flash becomes blank. See bl2mqtt-flash-erase(1). */
#include "bridge/commands/command.h"
#include "bridge/commands/flash_session.h"

#include <inttypes.h>

static const struct flash_command self = {
    .name = "flash erase",
    .accepts = FLASH_ACCEPTS_MODULE | FLASH_ACCEPTS_ADDRESS | FLASH_ACCEPTS_LENGTH |
               FLASH_ACCEPTS_FORCE_BOOTLOADER,
    .purpose = "Erases whole sectors and verifies that they are blank. Refuses the bootloader of a "
               "BK7231T,\n"
               "the RF calibration with the MAC address, and anything beyond the end of the flash.",
};

static enum status erase(struct flash_session *session, const struct flash_options *options,
                         struct flasher_result *result, struct error *error)
{
    struct flasher *flasher = flash_session_flasher(session);
    enum status status = plan_check_range(flasher_module(flasher), options->address,
                                          options->length, options->force_bootloader, error);
    if (status == STATUS_OK && options->force_bootloader)
        status = flash_session_confirm(session, options->address, options->length,
                                       "nothing (it will be blank)", error);
    /* Little is sent, so the first rate will do; unless a damaged command could destroy the module.
     */
    bool test =
        options->flasher.baud != 0 || flasher_module(flasher)->protocol != BEKEN_PROTOCOL_BOOT_ROM;
    if (status == STATUS_OK && test)
        status = flasher_choose_baud(flasher, true, error);
    if (status != STATUS_OK)
        return status;
    const struct flasher_job job = {.address = options->address, .length = options->length};
    return flasher_write(flasher, &job, result, error);
}

static enum status check_alignment(const struct flash_options *options, struct error *error)
{
    if (options->address % BEKEN_SECTOR_SIZE == 0 && options->length % BEKEN_SECTOR_SIZE == 0)
        return STATUS_OK;
    return error_set(
        error, STATUS_USAGE,
        "Flash is erased in sectors: --address and --length must be multiples of 0x1000.");
}

enum status command_flash_erase(const struct command_context *context, int argc, char **argv)
{
    (void)context;
    struct flash_options options;
    struct error error = {""};
    struct flash_session *session = NULL;
    struct flasher_result result = {0};
    bool done = false;
    enum status status = flash_options_parse(&self, argc, argv, &options, &done);
    if (status != STATUS_OK || done)
        return status;
    session = flash_session_create(&self, &options);
    status = check_alignment(&options, &error);
    if (status == STATUS_OK)
        status = flash_session_open(&self, &options, &session, &error);
    if (status == STATUS_OK)
        status = erase(session, &options, &result, &error);
    json_t *answer = NULL;
    if (status != STATUS_OK) {
        status = flash_fail(&self, session, status, &error);
    } else if (options.json) {
        answer = flash_json_result(flash_session_flasher(session), &result);
        (void)json_object_set_new(answer, "address", json_integer((json_int_t)options.address));
        (void)json_object_set_new(answer, "bytes", json_integer((json_int_t)options.length));
    } else {
        flash_print_result("Verified", flash_session_flasher(session), &result);
        (void)putchar('\n');
    }
    flash_session_close(session);
    return answer == NULL ? status : command_print_json(self.name, answer, JSON_INDENT(2));
}
