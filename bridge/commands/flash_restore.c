/* SPDX-License-Identifier: MIT */
/* `bl2mqtt flash restore`: a backup back onto its module. See bl2mqtt-flash-restore(1). */
#include "bridge/commands/command.h"
#include "bridge/commands/flash_session.h"

#include "drivers/base/memory.h"
#include "drivers/beken/backup_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME "flash restore"

struct options {
    struct flash_options flash;
    const char *backup;
    bool full;
};

static enum status load(const char *path, uint8_t **bytes, size_t *length, struct image_info *info,
                        struct error *error)
{
    struct backup_facts facts;
    enum status status = backup_file_load(path, bytes, length, &facts, error);
    if (status != STATUS_OK)
        return status;
    image_examine(*bytes, *length, info);
    if (info->rotated)
        image_unrotate(*bytes, *length);
    if (info->blank)
        return error_prefix(error, plan_check_content(info, false, error), "%s: ", path);
    if (info->kind == IMAGE_DUMP)
        return STATUS_OK;
    if (info->cut_dump)
        return error_set(error, STATUS_REFUSED,
                         "%s is the dump of a whole flash, but its end is missing (%zu bytes are "
                         "there). Restore from a whole backup.",
                         path, *length);
    return error_set(
        error, STATUS_REFUSED, "%s is no dump of a whole flash but %s; use `bl2mqtt flash write`.",
        path, info->kind == IMAGE_UNKNOWN ? "something unknown" : image_kind_name(info->kind));
}

/* --full may not lose what it is meant to bring back. */
static enum status check_rf(const struct beken_module *module, const uint8_t *bytes, size_t length,
                            struct error *error)
{
    uint8_t mac[6];
    uint32_t address = beken_chip_layout(module->chip)->rf_address;
    if (address + BEKEN_SECTOR_SIZE <= length &&
        image_rf_mac(bytes + address, BEKEN_SECTOR_SIZE, mac))
        return STATUS_OK;
    return error_set(error, STATUS_REFUSED,
                     "The backup holds no RF calibration and MAC address at 0x%" PRIX32
                     "; restore it without --full.",
                     address);
}

/* The backup of another module is put back now and then on purpose; it should not happen unseen. */
static void note_foreign(struct flash_session *session, const uint8_t *bytes, size_t length,
                         bool full)
{
    const struct beken_module *module = flasher_module(flash_session_flasher(session));
    uint32_t address = beken_chip_layout(module->chip)->rf_address;
    uint8_t mac[6];
    if (!module->has_mac || address + BEKEN_SECTOR_SIZE > length ||
        !image_rf_mac(bytes + address, BEKEN_SECTOR_SIZE, mac) || memcmp(mac, module->mac, 6) == 0)
        return;
    char theirs[18];
    char own[18];
    backup_file_format_mac(mac, theirs);
    backup_file_format_mac(module->mac, own);
    flash_session_say(session, "The backup is from another module (MAC %s, this one has %s)%s.",
                      theirs, own, full ? "; both will have the same MAC" : "");
}

static enum status restore(struct flash_session *session, const struct options *options,
                           const uint8_t *bytes, const struct image_info *info,
                           struct flasher_result *result, struct error *error)
{
    struct flasher *flasher = flash_session_flasher(session);
    const struct beken_module *module = flasher_module(flasher);
    /* A dump is put back as the flash was, damage included. */
    const struct plan_rules rules = {.force = true, .open_guards = options->flash.force_bootloader};
    struct plan_place place;
    enum status status = plan_check_image(module, info, &rules, &place, error);
    if (status == STATUS_OK && info->size != module->flash_size)
        status = error_set(error, STATUS_REFUSED,
                           "The backup has %zu KiB but the module's flash %" PRIu32 " KiB.",
                           info->size / 1024, module->flash_size / 1024);
    if (status == STATUS_OK && options->full)
        status = check_rf(module, bytes, info->size, error);
    if (status == STATUS_OK && options->flash.force_bootloader)
        status = flash_session_confirm(session, 0, info->size, options->backup, error);
    if (status == STATUS_OK)
        status = flasher_choose_baud(flasher, true, error);
    if (status == STATUS_OK)
        status = flasher_identify_contents(flasher, error);
    if (status == STATUS_OK)
        status = plan_check_image(module, info, &rules, &place, error);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < info->problem_count; i++)
        flash_session_say(session, "Restored all the same: %s", info->problems[i]);
    note_foreign(session, bytes, info->size, options->full);
    const struct flasher_job job = {
        .bytes = bytes, .length = info->size, .reference = bytes, .with_rf = options->full};
    status = flasher_write(flasher, &job, result, error);
    return status == STATUS_OK ? flasher_reboot(flasher, error) : status;
}

static enum status run(const struct command_context *context, void *own)
{
    (void)context;
    const struct options *options = own;
    const struct command_line *line = &command_flash_restore.line;
    struct error error = {""};
    struct image_info info;
    struct flasher_result result = {0};
    uint8_t *bytes memory_auto = NULL;
    size_t length = 0;
    json_t *answer = NULL;
    struct flash_session *session = flash_session_create(line, &options->flash);
    enum status status = load(options->backup, &bytes, &length, &info, &error);
    if (status == STATUS_OK)
        status = flash_session_open(line, &options->flash, &session, &error);
    if (status == STATUS_OK)
        status = restore(session, options, bytes, &info, &result, &error);
    if (status != STATUS_OK) {
        status = flash_fail(line, session, status, &error);
    } else if (options->flash.json) {
        answer = flash_json_result(flash_session_flasher(session), &result);
    } else {
        flash_print_result("Restored and verified", flash_session_flasher(session), &result,
                           "The module starts now.");
    }
    flash_session_close(session);
    return answer == NULL ? status : command_print_json(NAME, answer, JSON_INDENT(2));
}

static const struct option_row rows[] = {
    {.name = "BACKUP",
     .kind = OPTION_OPERAND,
     .at = offsetof(struct options, backup),
     .required = "which file",
     .file = true,
     .help = "what `flash backup` wrote"},
    {.name = "full",
     .kind = OPTION_FLAG,
     .at = offsetof(struct options, full),
     .help = "also the RF calibration and the MAC address"},
    {.name = NULL},
};

const struct command command_flash_restore = {
    .line = {.name = NAME,
             .summary = "a backup back onto its module",
             .purpose =
                 "Puts a backup back: writes what differs, leaves a BK7231T's bootloader alone, "
                 "and keeps the module's RF calibration and MAC address unless --full is given.",
             .tables = {rows, flash_module_rows, flash_guard_rows, flash_json_rows},
             .size = sizeof(struct options)},
    .run = run,
};
