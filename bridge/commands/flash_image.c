/* SPDX-License-Identifier: MIT */
/* `bl2mqtt flash image`: what a firmware file is, by its content. See bl2mqtt-flash-image(1). */
#include "bridge/commands/command.h"
#include "bridge/commands/flash_session.h"
#include "bridge/provision/firmware.h"

#include "drivers/base/memory.h"
#include "drivers/base/text.h"
#include "drivers/beken/app.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define NAME "flash image"

struct options {
    struct flash_options flash;
    const char *file;
};

static void format_time(const struct image_info *info, char *buffer, size_t size)
{
    struct text text;
    text_init(&text, buffer, size);
    if (info->build_time_s != 0)
        text_append_time(&text, info->build_time_s * 1000, false);
}

static json_t *describe(const struct image_info *info)
{
    char stamp[40];
    format_time(info, stamp, sizeof stamp);
    json_t *problems = json_array();
    for (size_t i = 0; i < info->problem_count; i++)
        (void)json_array_append_new(problems, json_string(info->problems[i]));
    if (info->warning[0] != '\0')
        (void)json_array_append_new(problems, json_string(info->warning));
    json_t *encrypted = info->encryption == IMAGE_ENCRYPTION_UNKNOWN
                            ? json_null()
                            : json_boolean(info->encryption == IMAGE_TUYA_KEY);
    return json_pack("{s:s, s:s, s:o, s:I, s:o, s:I, s:o, s:o, s:o, s:b, s:o}", "kind",
                     image_kind_name(info->kind), "chip", beken_chip_name(info->chip), "encrypted",
                     encrypted, "size", (json_int_t)info->size, "write_at",
                     info->has_write_at ? json_integer(info->write_at) : json_null(), "skip",
                     (json_int_t)info->skip, "version", flash_json_text(info->version),
                     "bootloader", flash_json_text(info->bootloader), "build_time",
                     flash_json_text(stamp), "valid", (int)info->valid, "problems", problems);
}

/* The header of a package names no chip, but what is packed does. */
static void look_inside(const uint8_t *bytes, size_t length, struct image_info *info)
{
    size_t header = info->kind == IMAGE_UG ? IMAGE_UG_HEADER_SIZE : 0;
    struct app app;
    if (!info->ota_only || !info->valid || info->chip != BEKEN_CHIP_UNKNOWN ||
        app_of_package(bytes + header, length - header, &app, NULL) != STATUS_OK)
        return;
    info->chip = app.chip;
    if (app.version[0] != '\0')
        (void)snprintf(info->version, sizeof info->version, "%s", app.version);
}

static const char *place(const struct image_info *info, char *buffer, size_t size)
{
    if (info->kind == IMAGE_OBK_CONFIG)
        return "0x1D1000 (BK7231N) or 0x1E1000 (BK7231T)";
    if (info->ota_only)
        return "nowhere over a serial line: only a running module can unpack it";
    if (!info->has_write_at)
        return "unknown";
    if (info->skip == 0)
        (void)snprintf(buffer, size, "0x%" PRIX32, info->write_at);
    else
        (void)snprintf(buffer, size,
                       "0x%" PRIX32 ", without the file's first 0x%" PRIX32 " bytes (bootloader)",
                       info->write_at, info->skip);
    return buffer;
}

static void print(const struct image_info *info)
{
    static const char *const encryption[] = {"unknown", "no", "with Tuya's key"};
    char stamp[40];
    char where[96];
    format_time(info, stamp, sizeof stamp);
    (void)printf("kind        %s%s\n", image_kind_name(info->kind),
                 info->rotated ? " (begins at 0x11000 and wraps around)" : "");
    (void)printf("chip        %s\n", beken_chip_name(info->chip));
    (void)printf("encrypted   %s\n", encryption[info->encryption]);
    (void)printf("size        %zu\n", info->size);
    (void)printf("write at    %s\n", place(info, where, sizeof where));
    (void)printf("version     %s\n", info->version[0] == '\0' ? "unknown" : info->version);
    (void)printf("bootloader  %s\n",
                 info->bootloader[0] == '\0' ? "none or unknown" : info->bootloader);
    (void)printf("built       %s\n", stamp[0] == '\0' ? "unknown" : stamp);
    (void)printf("valid       %s\n", info->valid ? "yes" : "no");
    for (size_t i = 0; i < info->problem_count; i++)
        (void)printf("problem     %s\n", info->problems[i]);
    if (info->warning[0] != '\0')
        (void)printf("warning     %s\n", info->warning);
}

static enum status run(const struct command_context *context, void *own)
{
    (void)context;
    const struct options *options = own;
    struct error error = {""};
    struct image_info info;
    uint8_t *bytes memory_auto = NULL;
    size_t length = 0;
    enum status status = firmware_load(options->file, &bytes, &length, &info, &error);
    if (status != STATUS_OK)
        return command_fail(NAME, status, &error);
    look_inside(bytes, length, &info);
    if (options->flash.json)
        status = command_print_json(NAME, describe(&info), JSON_INDENT(2));
    else
        print(&info);
    return status == STATUS_OK && !info.valid ? STATUS_MISMATCH : status;
}

static const struct option_row rows[] = {
    {.name = "FILE",
     .kind = OPTION_OPERAND,
     .at = offsetof(struct options, file),
     .required = "which file",
     .file = true,
     .help = "firmware, a dump or a configuration"},
    {.name = NULL},
};

const struct command command_flash_image = {
    .line = {.name = NAME,
             .summary = "what a firmware file is",
             .purpose =
                 "Says what a firmware file is by its content: kind, chip, place, version, and "
                 "what is wrong with it.",
             .tables = {rows, flash_json_rows},
             .size = sizeof(struct options)},
    .run = run,
};
