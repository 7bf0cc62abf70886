/* SPDX-License-Identifier: MIT */
/* `bl2mqtt flash obk-config show` and `fields`. See bl2mqtt-flash-obk-config(1). */
#include "bridge/commands/command.h"
#include "bridge/commands/flash_obk_shared.h"
#include "bridge/commands/flash_session.h"

#include "drivers/beken/bytes.h"
#include "drivers/beken/obk_role.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SHOW "flash obk-config show"
#define FIELDS "flash obk-config fields"

struct options {
    struct flash_options flash;
    const char *file;
    bool show_secrets;
};

/* ---- show ---- */

static bool is_shown(const struct obk_config_field *field, const struct obk_config *config)
{
    /* Pins and flags are printed in words. */
    bool pins = strncmp(field->name, "pin_", 4) == 0;
    return !pins && !bytes_are_all(config->bytes + field->offset, field->size, 0);
}

static void print_fields(const struct obk_config *config, bool show_secrets)
{
    const struct obk_config_field *field;
    char text[OBK_CONFIG_TEXT_SIZE];
    for (size_t i = 0; (field = obk_config_field(i)) != NULL; i++) {
        if (!is_shown(field, config))
            continue;
        obk_config_get(config, field->name, text);
        bool mask = field->environment != NULL && !show_secrets;
        (void)printf("%-20s %s\n", field->name, mask ? OBK_CONFIG_MASK : text);
    }
    explicit_bzero(text, sizeof text);
}

static void print_pins_and_flags(const struct obk_config *config)
{
    for (unsigned i = 0; i < OBK_CONFIG_PINS; i++) {
        struct obk_config_pin pin = obk_config_pin(config, i);
        const char *name = obk_role_name(pin.role);
        char number[16];
        if (pin.role == 0)
            continue;
        (void)snprintf(number, sizeof number, "role %u", pin.role);
        (void)printf("P%-19u %s, channel %u", i, name != NULL ? name : number, pin.channel);
        if (pin.channel2 != 0)
            (void)printf(" and %u", pin.channel2);
        (void)printf("\n");
    }
    for (unsigned flag = 0; flag < 64; flag++) {
        const char *help = obk_config_flag_help(flag);
        if (obk_config_flag(config, flag))
            (void)printf("flag %-15u %s\n", flag, help != NULL ? help : "");
    }
}

static enum status show(const struct options *options, struct error *error)
{
    struct obk_config config = {{0}};
    enum obk_config_state state = OBK_CONFIG_GOOD;
    size_t offset = 0;
    enum status status = obk_config_load(options->file, &config, &state, &offset, error);
    if (status != STATUS_OK)
        return status;
    if (options->flash.json) {
        status = command_print_json(
            SHOW, obk_config_describe(&config, state, offset, options->show_secrets),
            JSON_INDENT(2));
    } else {
        (void)printf("%-20s 0x%zX\n%-20s %" PRIu32 "\n", "found at", offset, "version",
                     obk_config_version(&config));
        print_fields(&config, options->show_secrets);
        print_pins_and_flags(&config);
    }
    if (status != STATUS_OK || state == OBK_CONFIG_GOOD)
        return status;
    return error_set(
        error, STATUS_MISMATCH,
        "The checksum is %02X but should be %02X: OpenBeken ignores this configuration "
        "and starts with factory settings.",
        config.bytes[3], obk_config_checksum(&config));
}

static enum status run_show(const struct command_context *context, void *own)
{
    (void)context;
    struct error error = {""};
    return command_end(SHOW, show(own, &error), &error);
}

static const struct option_row show_rows[] = {
    {.name = "FILE",
     .kind = OPTION_OPERAND,
     .at = offsetof(struct options, file),
     .required = "which file",
     .file = true,
     .help = "holds the configuration alone, or is a dump of a flash"},
    {.name = "show-secrets",
     .kind = OPTION_FLAG,
     .at = offsetof(struct options, show_secrets),
     .help = "passwords in the clear"},
    {.name = NULL},
};

const struct command command_flash_obk_show = {
    .line = {.name = SHOW,
             .summary = "OpenBeken's configuration in a file or a dump",
             .purpose =
                 "Prints OpenBeken's configuration: Wi-Fi, MQTT, names, pins, flags, startup "
                 "command.",
             .tables = {show_rows, flash_json_rows},
             .size = sizeof(struct options)},
    .run = run_show,
};

/* ---- fields ---- */

static json_t *fields_json(void)
{
    static const char *const types[] = {
        [OBK_CONFIG_TEXT] = "text", [OBK_CONFIG_U8] = "u8",       [OBK_CONFIG_U16] = "u16",
        [OBK_CONFIG_I16] = "i16",   [OBK_CONFIG_U32] = "u32",     [OBK_CONFIG_I32] = "i32",
        [OBK_CONFIG_BITS] = "bits", [OBK_CONFIG_FLOAT] = "float", [OBK_CONFIG_IPV4] = "ipv4",
        [OBK_CONFIG_HEX] = "hex",
    };
    const struct obk_config_field *field;
    json_t *list = json_array();
    for (size_t i = 0; (field = obk_config_field(i)) != NULL; i++) {
        const char *environment = field->environment != NULL ? field->environment : "";
        (void)json_array_append_new(
            list,
            json_pack("{s:s, s:s, s:i, s:i, s:s, s:i, s:i, s:o, s:s}", "name", field->name,
                      "firmware", field->firmware, "offset", field->offset, "size", field->size,
                      "type", types[field->type], "count", field->count, "longest", field->longest,
                      "environment", flash_json_text(environment), "help", field->help));
    }
    return list;
}

static enum status run_fields(const struct command_context *context, void *own)
{
    (void)context;
    const struct flash_options *options = own;
    const struct obk_config_field *field;
    if (options->json)
        return command_print_json(FIELDS, fields_json(), JSON_INDENT(2));
    for (size_t i = 0; (field = obk_config_field(i)) != NULL; i++)
        (void)printf("0x%03X %5u  %-20s %s\n", field->offset, field->size, field->name,
                     field->help);
    return STATUS_OK;
}

const struct command command_flash_obk_fields = {
    .line = {.name = FIELDS,
             .summary = "the fields of OpenBeken's configuration",
             .purpose = "Lists the fields of the configuration: name, place, size, meaning.",
             .tables = {flash_json_rows},
             .size = sizeof(struct flash_options)},
    .run = run_fields,
};
