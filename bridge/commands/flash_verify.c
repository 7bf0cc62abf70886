/* SPDX-License-Identifier: MIT */
/* `bl2mqtt flash verify`: does the module hold this file? See bl2mqtt-flash-verify(1). */
#include "bridge/commands/command.h"
#include "bridge/commands/flash_session.h"
#include "bridge/provision/firmware.h"

#include "drivers/base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define NAME "flash verify"

struct options {
    struct flash_options flash;
    const char *image;
};

struct comparison {
    enum beken_chip chip;
    struct plan_place place;
    size_t sectors;
    bool *differing; /* per sector */
    size_t count;
};

static enum status check_place(const struct options *options, const struct image_info *info,
                               struct error *error)
{
    if (options->flash.address >= 0 || info->has_write_at || info->kind == IMAGE_OBK_CONFIG)
        return STATUS_OK;
    if (info->kind != IMAGE_UNKNOWN)
        return error_set(error, STATUS_USAGE,
                         "%s is a %s file, which does not stand in a flash as it is; to compare it "
                         "all the same, say with --address where.",
                         options->image, image_kind_name(info->kind));
    return error_set(error, STATUS_USAGE,
                     "%s is not recognised as firmware, a dump or a configuration, so where it "
                     "belongs is not known; to compare it all the same, say with --address where.",
                     options->image);
}

static enum status find_place(const struct options *options, const struct image_info *info,
                              const struct beken_module *module, struct plan_place *place,
                              struct error *error)
{
    *place = (struct plan_place){.address = info->write_at, .skip = info->skip};
    if (options->flash.address >= 0) {
        uint32_t address = (uint32_t)options->flash.address;
        bool same = info->has_write_at && address == info->write_at;
        *place = (struct plan_place){.address = address, .skip = same ? info->skip : 0};
    } else if (info->kind == IMAGE_OBK_CONFIG) {
        place->address = beken_chip_layout(module->chip)->config_address;
    }
    if (place->address % BEKEN_SECTOR_SIZE != 0)
        return error_set(error, STATUS_USAGE, "0x%" PRIX32 " is not a multiple of 0x1000.",
                         place->address);
    if ((uint64_t)place->address + info->size - place->skip > module->flash_size)
        return error_set(error, STATUS_USAGE,
                         "The file does not fit into the flash's %" PRIu32 " KiB.",
                         module->flash_size / 1024);
    return STATUS_OK;
}

/* What makes a difference, or a file that is not worth comparing, less of a riddle. */
static void note_doubts(struct flash_session *session, const struct image_info *info,
                        enum beken_chip chip)
{
    for (size_t i = 0; i < info->problem_count; i++)
        flash_session_say(session, "Compared all the same: %s", info->problems[i]);
    if (info->chip != BEKEN_CHIP_UNKNOWN && chip != BEKEN_CHIP_UNKNOWN &&
        !beken_chip_runs(chip, info->chip))
        flash_session_say(session, "The file is for a %s, but the module is a %s.",
                          beken_chip_name(info->chip), beken_chip_name(chip));
}

/* How many sectors from index on differ without a gap. */
static size_t run_length(const struct comparison *comparison, size_t index)
{
    size_t end = index;
    while (end < comparison->sectors && comparison->differing[end])
        end++;
    return end - index;
}

static json_t *describe(const struct comparison *comparison)
{
    json_t *places = json_array();
    for (size_t i = 0; i < comparison->sectors; i++) {
        size_t run = run_length(comparison, i);
        if (run == 0)
            continue;
        size_t address = comparison->place.address + i * BEKEN_SECTOR_SIZE;
        size_t length = run * BEKEN_SECTOR_SIZE;
        (void)json_array_append_new(places, json_pack("{s:I, s:I}", "address", (json_int_t)address,
                                                      "length", (json_int_t)length));
        i += run;
    }
    return json_pack("{s:b, s:s, s:I, s:I, s:I, s:o}", "equal", (int)(comparison->count == 0),
                     "chip", beken_chip_name(comparison->chip), "address",
                     (json_int_t)comparison->place.address, "sectors",
                     (json_int_t)comparison->sectors, "differing_sectors",
                     (json_int_t)comparison->count, "differing", places);
}

static void print(const struct comparison *comparison)
{
    if (comparison->count == 0) {
        (void)printf("The module holds this file (%zu %s at 0x%" PRIX32 ").\n", comparison->sectors,
                     COMMAND_PLURAL(comparison->sectors, "sector", "sectors"),
                     comparison->place.address);
        return;
    }
    for (size_t i = 0; i < comparison->sectors; i++) {
        size_t run = run_length(comparison, i);
        if (run == 0)
            continue;
        uint32_t address = comparison->place.address + (uint32_t)(i * BEKEN_SECTOR_SIZE);
        (void)printf("differs: 0x%06" PRIX32 " to 0x%06" PRIX32 " (%zu %s)\n", address,
                     address + (uint32_t)(run * BEKEN_SECTOR_SIZE), run,
                     COMMAND_PLURAL(run, "sector", "sectors"));
        i += run;
    }
}

static enum status compare(struct flash_session *session, const struct options *options,
                           const struct image_info *info, const uint8_t *bytes,
                           struct comparison *comparison, struct error *error)
{
    struct flasher *flasher = flash_session_flasher(session);
    enum status status = STATUS_OK;
    if (options->flash.baud != 0)
        status = flasher_choose_baud(flasher, false, error);
    comparison->chip = flasher_module(flasher)->chip;
    if (status == STATUS_OK)
        status = find_place(options, info, flasher_module(flasher), &comparison->place, error);
    if (status != STATUS_OK)
        return status;
    note_doubts(session, info, comparison->chip);
    size_t length = info->size - comparison->place.skip;
    comparison->sectors = (length + BEKEN_SECTOR_SIZE - 1) / BEKEN_SECTOR_SIZE;
    comparison->differing = memory_new(comparison->sectors, sizeof *comparison->differing);
    return flasher_verify(flasher, comparison->place.address, bytes + comparison->place.skip,
                          length, info->kind == IMAGE_DUMP, comparison->differing,
                          &comparison->count, error);
}

static enum status run(const struct command_context *context, void *own)
{
    (void)context;
    const struct options *options = own;
    const struct command_line *line = &command_flash_verify.line;
    struct error error = {""};
    struct image_info info;
    struct comparison comparison = {.sectors = 0};
    uint8_t *bytes memory_auto = NULL;
    size_t length = 0;
    struct flash_session *session = flash_session_create(line, &options->flash);
    enum status status = firmware_load(options->image, &bytes, &length, &info, &error);
    if (status == STATUS_OK)
        status = check_place(options, &info, &error);
    if (status == STATUS_OK)
        status = flash_session_open(line, &options->flash, &session, &error);
    if (status == STATUS_OK)
        status = compare(session, options, &info, bytes, &comparison, &error);
    if (status != STATUS_OK)
        status = flash_fail(line, session, status, &error);
    flash_session_close(session);
    if (status == STATUS_OK && options->flash.json)
        status = command_print_json(NAME, describe(&comparison), JSON_INDENT(2));
    else if (status == STATUS_OK)
        print(&comparison);
    free(comparison.differing);
    return status == STATUS_OK && comparison.count > 0 ? STATUS_MISMATCH : status;
}

static const struct option_row rows[] = {
    {.name = "IMAGE",
     .kind = OPTION_OPERAND,
     .at = offsetof(struct options, image),
     .required = "which file",
     .file = true,
     .help = "firmware, a dump or a configuration"},
    {.name = NULL},
};

const struct command command_flash_verify = {
    .line = {.name = NAME,
             .summary = "does the module hold this file?",
             .purpose =
                 "Compares a file with the module's flash by the chip's CRC and names the sectors "
                 "that differ. Exit status 5 if any does.",
             .tables = {rows, flash_module_rows, flash_address_rows, flash_json_rows},
             .size = sizeof(struct options)},
    .run = run,
};
