/* SPDX-License-Identifier: MIT */
/* `bl2mqtt flash probe`: which module is this, and what is on it. See bl2mqtt-flash-probe(1). */
#include "bridge/commands/command.h"
#include "bridge/commands/flash_session.h"

#include "drivers/beken/backup_file.h"

#include <inttypes.h>
#include <stdio.h>

#define NAME "flash probe"

static void format(const struct beken_module *module, char id[16], char mac[18])
{
    id[0] = '\0';
    mac[0] = '\0';
    if (module->has_flash_id)
        (void)snprintf(id, 16, "0x%06" PRIX32, module->flash.id);
    if (module->has_mac)
        backup_file_format_mac(module->mac, mac);
}

/* "" if it is not known. */
static const char *flash_name(const struct beken_module *module)
{
    return module->has_flash_id && !module->flash.generic ? module->flash.name : "";
}

static json_t *describe(const struct beken_module *module, uint32_t baud)
{
    char id[16];
    char mac[18];
    format(module, id, mac);
    json_t *is_protected = module->is_protected == BEKEN_NOT_KNOWN
                               ? json_null()
                               : json_boolean(module->is_protected == BEKEN_YES);
    json_t *size = module->flash_is_silent ? json_null() : json_integer(module->flash_size);
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:I}", "chip",
                     beken_chip_name(module->chip), "bootloader",
                     flash_json_text(module->bootloader), "flash_id", flash_json_text(id),
                     "flash_name", flash_json_text(flash_name(module)), "flash_size", size,
                     "protected", is_protected, "mac", flash_json_text(mac), "application",
                     beken_application_name(module->application), "baud", (json_int_t)baud);
}

static void print(const struct beken_module *module)
{
    static const char *const answers[] = {"unknown", "no", "yes"};
    char id[16];
    char mac[18];
    format(module, id, mac);
    (void)printf("chip         %s\n", beken_chip_name(module->chip));
    (void)printf("bootloader   %s\n",
                 module->bootloader[0] == '\0' ? "unknown" : module->bootloader);
    if (module->flash_is_silent)
        (void)printf("flash        does not answer (%s)\n", id);
    else if (module->has_flash_id && module->flash.generic)
        (void)printf("flash        not in the table (%s)\n", id);
    else if (module->has_flash_id)
        (void)printf("flash        %s %s (%s)\n", module->flash.manufacturer, module->flash.name,
                     id);
    if (!module->flash_is_silent)
        (void)printf("flash size   %" PRIu32 " KiB\n", module->flash_size / 1024);
    (void)printf("protected    %s\n", answers[module->is_protected]);
    (void)printf("MAC address  %s\n", mac[0] == '\0' ? "unknown" : mac);
    (void)printf("application  %s\n", beken_application_name(module->application));
}

static enum status look(const struct flash_options *options, struct flasher *flasher,
                        struct error *error)
{
    enum status status = STATUS_OK;
    if (options->baud != 0)
        status = flasher_choose_baud(flasher, false, error);
    if (status == STATUS_OK && !flasher_module(flasher)->flash_is_silent)
        status = flasher_identify_contents(flasher, error);
    return status;
}

static enum status print_answer(const struct flash_options *options, struct flash_session *session)
{
    const struct flasher *flasher = flash_session_flasher(session);
    const struct beken_module *module = flasher_module(flasher);
    struct error error = {""};
    enum status status = STATUS_OK;
    if (options->json)
        status = command_print_json(NAME, describe(module, flasher_baud(flasher)), JSON_INDENT(2));
    else
        print(module);
    if (status != STATUS_OK || flasher_check_flash(flasher, &error) == STATUS_OK)
        return status;
    return flash_fail(&command_flash_probe.line, session, STATUS_NO_ANSWER, &error);
}

static enum status run(const struct command_context *context, void *own)
{
    (void)context;
    const struct flash_options *options = own;
    const struct command_line *line = &command_flash_probe.line;
    struct error error = {""};
    struct flash_session *session = NULL;
    enum status status = flash_session_open(line, options, &session, &error);
    if (status == STATUS_OK)
        status = look(options, flash_session_flasher(session), &error);
    if (status == STATUS_OK)
        status = print_answer(options, session);
    else
        status = flash_fail(line, session, status, &error);
    flash_session_close(session);
    return status;
}

const struct command command_flash_probe = {
    .line = {.name = NAME,
             .summary = "which BK7231 module this is and what is on it",
             .purpose =
                 "Gets a BK7231 module to answer and reports which chip, flash, bootloader, MAC "
                 "address and application it has. Nothing in its flash is changed, but the "
                 "module is restarted.",
             .tables = {flash_module_rows, flash_json_rows},
             .size = sizeof(struct flash_options)},
    .run = run,
};
