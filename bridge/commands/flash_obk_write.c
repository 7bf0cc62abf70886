/* SPDX-License-Identifier: MIT */
/* `bl2mqtt flash obk-config write`: changes the configuration of a module. See
 * bl2mqtt-flash-obk-config(1). */
#include "bridge/commands/command.h"
#include "bridge/commands/flash_obk_rows.h"
#include "bridge/commands/flash_obk_shared.h"
#include "bridge/commands/flash_session.h"

#include "drivers/base/file.h"
#include "drivers/beken/config_sector.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME "flash obk-config write"

struct options {
    struct obk_edit_options shared;
    const char *backup; /* NULL: not given */
    bool force;
};

/* One session with a module. */
struct writing {
    struct flash_session *session;
    struct flasher *flasher;
    struct config_sector before, after;
    struct flasher_result result;
};

static enum status connect(const struct options *options, struct writing *writing,
                           struct error *error)
{
    const struct flash_options *flash = &options->shared.flash;
    enum status status =
        flash_session_open(&command_flash_obk_write.line, flash, &writing->session, error);
    if (status != STATUS_OK)
        return status;
    writing->flasher = flash_session_flasher(writing->session);
    /* Little is sent, so the first rate will do; unless a damaged command could destroy the module. */
    if (flash->baud != 0 || flasher_module(writing->flasher)->protocol != BEKEN_PROTOCOL_BOOT_ROM)
        status = flasher_choose_baud(writing->flasher, true, error);
    return status == STATUS_OK ? flasher_identify_contents(writing->flasher, error) : status;
}

static void say_state(struct flash_session *session, const struct config_sector *sector)
{
    if (sector->state == OBK_CONFIG_BLANK)
        flash_session_say(session, "There is no configuration yet; it begins with OpenBeken's "
                                   "factory settings.");
    else if (sector->state == OBK_CONFIG_DAMAGED)
        flash_session_say(session,
                          "The configuration on the module is damaged, so OpenBeken ignores "
                          "it; it begins with factory settings.");
}

static enum status keep_backup(const struct options *options, const struct writing *writing,
                               struct error *error)
{
    uint8_t bytes[BEKEN_SECTOR_SIZE];
    if (options->backup == NULL)
        return STATUS_OK;
    enum status status =
        flasher_read(writing->flasher, writing->before.address, bytes, sizeof bytes, error);
    if (status == STATUS_OK)
        status = file_replace(options->backup, bytes, sizeof bytes, 0600, error);
    explicit_bzero(bytes, sizeof bytes);
    return status;
}

static enum status change(const struct options *options, const struct obk_edits *edits,
                          struct writing *writing, struct error *error)
{
    enum status status = config_sector_read(writing->flasher, &writing->before, error);
    if (status != STATUS_OK)
        return status;
    say_state(writing->session, &writing->before);
    writing->after = writing->before;
    status = obk_edits_apply(edits, writing->before.state != OBK_CONFIG_GOOD,
                             &writing->after.config, error);
    if (status == STATUS_OK)
        status = keep_backup(options, writing, error);
    if (status == STATUS_OK)
        status = config_sector_write(writing->flasher, &writing->after, options->force, NULL,
                                     &writing->result, error);
    return status == STATUS_OK ? flasher_reboot(writing->flasher, error) : status;
}

static json_t *changed_json(const struct writing *writing)
{
    const struct obk_config_field *field;
    json_t *list = json_array();
    for (size_t i = 0; (field = obk_config_field(i)) != NULL; i++)
        if (memcmp(writing->before.config.bytes + field->offset,
                   writing->after.config.bytes + field->offset, field->size) != 0)
            (void)json_array_append_new(list, json_string(field->name));
    return list;
}

static enum status answer(const struct options *options, const struct writing *writing)
{
    static const char *const states[] = {"kept", "blank", "damaged", "foreign"};
    json_t *changed = changed_json(writing);
    if (options->shared.flash.json)
        return command_print_json(
            NAME,
            json_pack("{s:b, s:I, s:s, s:o, s:I, s:o}", "verified", 1, "address",
                      (json_int_t)writing->after.address, "before", states[writing->before.state],
                      "changed", changed, "written", (json_int_t)writing->result.written, "fields",
                      obk_config_to_json(&writing->after.config, false)),
            JSON_INDENT(2));
    (void)printf("Verified: the configuration at 0x%" PRIX32 ", ", writing->after.address);
    if (json_array_size(changed) == 0)
        (void)printf("nothing had to be changed");
    for (size_t i = 0; i < json_array_size(changed); i++)
        (void)printf("%s%s", i == 0 ? "changed: " : ", ",
                     json_string_value(json_array_get(changed, i)));
    (void)printf(". The module starts now.\n");
    json_decref(changed);
    return STATUS_OK;
}

/* What is impossible is reported before anybody has to switch power. */
static enum status try_edits(const struct obk_edits *edits, struct error *error)
{
    struct obk_config trial;
    obk_config_init(&trial, BEKEN_CHIP_BK7231N, NULL);
    enum status status = obk_edits_apply(edits, true, &trial, error);
    explicit_bzero(&trial, sizeof trial);
    return status;
}

static enum status write_module(const struct options *options, struct obk_edits *edits)
{
    const struct command_line *line = &command_flash_obk_write.line;
    struct error error = {""};
    struct writing writing = {.session = flash_session_create(line, &options->shared.flash)};
    enum status status =
        options->backup != NULL ? obk_config_refuse_existing(options->backup, &error) : STATUS_OK;
    if (status == STATUS_OK)
        status = obk_edits_prepare(edits, &error);
    if (status == STATUS_OK)
        status = try_edits(edits, &error);
    if (status == STATUS_OK)
        status = connect(options, &writing, &error);
    if (status == STATUS_OK)
        status = change(options, edits, &writing, &error);
    if (status != STATUS_OK)
        status = flash_fail(line, writing.session, status, &error);
    flash_session_close(writing.session);
    if (status == STATUS_OK)
        status = answer(options, &writing);
    explicit_bzero(&writing, sizeof writing);
    return status;
}

static enum status run(const struct command_context *context, void *own)
{
    (void)context;
    const struct options *options = own;
    struct obk_edit *list = NULL;
    struct obk_edits *edits = obk_edits_of(&options->shared, &list);
    enum status status = write_module(options, edits);
    obk_edits_free(edits);
    free(list);
    return status;
}

static const struct option_row rows[] = {
    {.name = "backup",
     .argument = "F",
     .at = offsetof(struct options, backup),
     .file = true,
     .help = "keep the sector as it was in this file"},
    {.name = "force",
     .kind = OPTION_FLAG,
     .at = offsetof(struct options, force),
     .help = "also where something else stands"},
    {.name = NULL},
};

const struct command command_flash_obk_write = {
    .line = {.name = NAME,
             .summary = "change the configuration of a module",
             .purpose =
                 "Reads the configuration of a module, changes what is named and nothing else, "
                 "writes that one sector, verifies it, and starts the module. Without a "
                 "configuration there, it begins with OpenBeken's factory settings.",
             .tables = {flash_module_rows, rows, flash_json_rows},
             .table = obk_edit_rows,
             .size = sizeof(struct options)},
    .run = run,
};
