/* SPDX-License-Identifier: MIT */
/* `bl2mqtt flash obk-config build`: a configuration as a file. See bl2mqtt-flash-obk-config(1). */
#include "bridge/commands/command.h"
#include "bridge/commands/flash_obk_rows.h"
#include "bridge/commands/flash_obk_shared.h"

#include "drivers/base/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME "flash obk-config build"

struct options {
    struct obk_edit_options shared;
    const char *output, *from; /* from: NULL: not given */
    int chip;                  /* index in chips */
};

static const char *const chips[] = {"BK7231N", "BK7231T", "BK7231M", "BK7231U",
                                    "BK7231Q", "BK7238",  NULL};

static enum status begin(const struct options *options, struct obk_config *config,
                         struct error *error)
{
    enum obk_config_state state = OBK_CONFIG_GOOD;
    enum beken_chip chip = BEKEN_CHIP_BK7231N;
    size_t offset = 0;
    if (options->from == NULL) {
        (void)beken_chip_parse(chips[options->chip], &chip);
        obk_config_init(config, chip, NULL);
        return STATUS_OK;
    }
    enum status status = obk_config_load(options->from, config, &state, &offset, error);
    if (status == STATUS_OK && state != OBK_CONFIG_GOOD)
        status =
            error_set(error, STATUS_REFUSED, "The configuration in %s is damaged.", options->from);
    return status;
}

static enum status build(const struct options *options, struct obk_edits *edits,
                         struct error *error)
{
    struct obk_config config;
    enum status status = obk_config_refuse_existing(options->output, error);
    if (status == STATUS_OK)
        status = begin(options, &config, error);
    if (status == STATUS_OK)
        status = obk_edits_prepare(edits, error);
    if (status == STATUS_OK)
        status = obk_edits_apply(edits, options->from == NULL, &config, error);
    if (status == STATUS_OK)
        status = file_replace(options->output, config.bytes, sizeof config.bytes, 0600, error);
    if (status == STATUS_OK && options->shared.flash.json)
        status = command_print_json(NAME, obk_config_describe(&config, OBK_CONFIG_GOOD, 0, false),
                                    JSON_INDENT(2));
    else if (status == STATUS_OK)
        (void)printf("%s holds a configuration of %u bytes, version %" PRIu32 ".\n",
                     options->output, OBK_CONFIG_SIZE, obk_config_version(&config));
    explicit_bzero(&config, sizeof config);
    return status;
}

static enum status run(const struct command_context *context, void *own)
{
    (void)context;
    const struct options *options = own;
    struct error error = {""};
    struct obk_edit *list = NULL;
    struct obk_edits *edits = obk_edits_of(&options->shared, &list);
    enum status status = build(options, edits, &error);
    obk_edits_free(edits);
    free(list);
    return command_end(NAME, status, &error);
}

static const struct option_row rows[] = {
    {.name = "output",
     .argument = "F",
     .at = offsetof(struct options, output),
     .required = "which file to make with --output",
     .file = true,
     .help = "file to make; nobody else may read it"},
    {.name = "chip",
     .kind = OPTION_CHOICE,
     .argument = "CHIP",
     .at = offsetof(struct options, chip),
     .choices = chips,
     .preset = "BK7231N",
     .wanted = "BK7231T or BK7231N",
     .help = "the chip whose factory settings it begins with"},
    {.name = "from",
     .argument = "FILE",
     .at = offsetof(struct options, from),
     .file = true,
     .help = "begin with the configuration in FILE, which may be a dump"},
    {.name = NULL},
};

const struct command command_flash_obk_build = {
    .line = {.name = NAME,
             .summary = "make such a configuration as a file",
             .purpose =
                 "Makes a configuration of OpenBeken's factory settings and what is named, to be "
                 "written with `bl2mqtt flash write`. What is not named stays as it is.",
             .tables = {rows, flash_json_rows},
             .table = obk_edit_rows,
             .size = sizeof(struct options)},
    .run = run,
};
