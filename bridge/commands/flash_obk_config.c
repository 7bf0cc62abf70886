/* SPDX-License-Identifier: MIT */
/* `bl2mqtt flash obk-config`: OpenBeken's configuration in a file or on a module. See
 * bl2mqtt-flash-obk-config(1). */
#include "bridge/commands/command.h"
#include "bridge/commands/flash_session.h"
#include "bridge/commands/obk_edits.h"

#include "drivers/base/file.h"
#include "drivers/beken/bytes.h"
#include "drivers/beken/config_sector.h"
#include "drivers/beken/obk_role.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME "flash obk-config"

static const struct flash_command show_command = {
    .name = NAME " show",
    .operand = "FILE",
    .purpose = "Prints OpenBeken's configuration: FILE holds it alone, or is a dump of a flash.",
};

static const struct flash_command build_command = {
    .name = NAME " build",
    .purpose = "Makes a configuration of OpenBeken's factory settings and what is named; to be "
               "written with\n"
               "`bl2mqtt flash write`.",
};

static const struct flash_command write_command = {
    .name = NAME " write",
    .accepts = FLASH_ACCEPTS_MODULE,
    .purpose =
        "Reads the configuration of a module, changes what is named and nothing else, writes "
        "that one\n"
        "sector, verifies it, and starts the module. Without a configuration there, it begins "
        "with\n"
        "OpenBeken's factory settings.",
};

static const struct flash_command fields_command = {
    .name = NAME " fields",
    .purpose = "Lists the fields of the configuration: name, place, size, meaning.",
};

/* ------------------------------------------------------------------ what they share */

/* A command with options of its own. */
struct task {
    const struct flash_command *command;
    struct flash_options options;
    bool show_secrets, force;
    const char *output, *backup, *from; /* NULL: not given */
    enum beken_chip chip;
    struct obk_edits *edits; /* NULL: takes none */
};

static bool takes(const struct task *task, const char *name)
{
    if (strcmp(name, "show-secrets") == 0)
        return task->command == &show_command;
    if (strcmp(name, "backup") == 0 || strcmp(name, "force") == 0)
        return task->command == &write_command;
    return task->command == &build_command &&
           (strcmp(name, "output") == 0 || strcmp(name, "from") == 0 || strcmp(name, "chip") == 0);
}

static enum own_option_kind find_option(void *context, const char *name)
{
    const struct task *task = context;
    bool flag = strcmp(name, "show-secrets") == 0 || strcmp(name, "force") == 0;
    if (takes(task, name))
        return flag ? OWN_OPTION_FLAG : OWN_OPTION_VALUE;
    return task->edits != NULL ? obk_edits_find(task->edits, name) : OWN_OPTION_NONE;
}

static enum status take_option(void *context, const char *name, const char *value)
{
    struct task *task = context;
    if (!takes(task, name))
        return obk_edits_take(task->edits, name, value);
    if (strcmp(name, "show-secrets") == 0)
        task->show_secrets = true;
    else if (strcmp(name, "force") == 0)
        task->force = true;
    else if (strcmp(name, "output") == 0)
        task->output = value;
    else if (strcmp(name, "backup") == 0)
        task->backup = value;
    else if (strcmp(name, "from") == 0)
        task->from = value;
    else if (!beken_chip_parse(value, &task->chip))
        return command_bad_value(task->command->name, "chip", value, "BK7231T or BK7231N");
    return STATUS_OK;
}

static void print_own_help(const struct task *task)
{
    if (task->command == &show_command)
        (void)printf("  %-20s %s\n", "--show-secrets", "passwords in the clear");
    if (task->command == &build_command)
        (void)printf("  %-20s %s\n  %-20s %s\n  %-20s %s\n", "--output F",
                     "file to make; nobody else may read it", "--chip CHIP",
                     "BK7231N (default) or BK7231T", "--from FILE",
                     "begin with the configuration in FILE, which may be a dump");
    if (task->command == &write_command)
        (void)printf("  %-20s %s\n  %-20s %s\n", "--backup F", "keep the sector as it was there",
                     "--force", "also where something else stands");
    if (task->edits != NULL)
        obk_edits_print_help();
}

static enum status parse(struct task *task, int argc, char **argv, bool *done)
{
    const struct own_options own = {task->command->name, task, find_option, take_option};
    enum status status = own_options_take(&own, &argc, argv);
    if (status == STATUS_OK)
        status = flash_options_parse(task->command, argc, argv, &task->options, done);
    if (*done)
        print_own_help(task);
    return status;
}

static json_t *flags_json(const struct obk_config *config)
{
    json_t *list = json_array();
    for (unsigned flag = 0; flag < 64; flag++)
        if (obk_config_flag(config, flag))
            (void)json_array_append_new(list, json_integer(flag));
    return list;
}

static json_t *pins_json(const struct obk_config *config)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < OBK_CONFIG_PINS; i++) {
        struct obk_config_pin pin = obk_config_pin(config, i);
        const char *name = obk_role_name(pin.role);
        if (pin.role == 0)
            continue;
        json_t *role = name != NULL ? json_string(name) : json_integer(pin.role);
        (void)json_array_append_new(list,
                                    json_pack("{s:i, s:o, s:i, s:i}", "pin", (int)i, "role", role,
                                              "channel", pin.channel, "channel2", pin.channel2));
    }
    return list;
}

static enum status refuse_existing(const char *path, struct error *error)
{
    if (access(path, F_OK) != 0)
        return STATUS_OK;
    return error_set(error, STATUS_REFUSED, "%s is already there; name another file.", path);
}

/* ------------------------------------------------------------------ show */

static enum status load(const char *path, struct obk_config *config, enum obk_config_state *state,
                        size_t *offset, struct error *error)
{
    uint8_t *bytes = NULL;
    size_t length = 0;
    struct image_info info;
    enum status status = flash_load_image(path, &bytes, &length, &info, error);
    if (status != STATUS_OK)
        return status;
    if (obk_config_find(bytes, length, offset))
        *state = obk_config_read(bytes + *offset, length - *offset, config);
    else
        status =
            error_set(error, STATUS_FAILED,
                      "%s holds no OpenBeken configuration%s. It is 3584 bytes that begin with "
                      "CFG, on a module at 0x1D1000 (BK7231N) or 0x1E1000 (BK7231T).",
                      path, info.blank ? ", it is blank" : "");
    free(bytes);
    return status;
}

static bool is_shown(const struct obk_config_field *field, const struct obk_config *config)
{
    /* Pins and flags are told in words. */
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

static json_t *describe(const struct obk_config *config, enum obk_config_state state, size_t offset,
                        bool show_secrets)
{
    return json_pack("{s:b, s:I, s:I, s:i, s:i, s:o, s:o, s:o}", "valid",
                     (int)(state == OBK_CONFIG_GOOD), "address", (json_int_t)offset, "version",
                     (json_int_t)obk_config_version(config), "checksum", config->bytes[3],
                     "checksum_expected", obk_config_checksum(config), "fields",
                     obk_config_to_json(config, show_secrets), "flags", flags_json(config), "pins",
                     pins_json(config));
}

static enum status show(struct task *task, struct error *error)
{
    struct obk_config config = {{0}};
    enum obk_config_state state = OBK_CONFIG_GOOD;
    size_t offset = 0;
    enum status status = load(task->options.operand, &config, &state, &offset, error);
    if (status != STATUS_OK)
        return status;
    if (task->options.json) {
        status = command_print_json(task->command->name,
                                    describe(&config, state, offset, task->show_secrets),
                                    JSON_INDENT(2));
    } else {
        (void)printf("%-20s 0x%zX\n%-20s %" PRIu32 "\n", "found at", offset, "version",
                     obk_config_version(&config));
        print_fields(&config, task->show_secrets);
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

/* ------------------------------------------------------------------ build */

static enum status begin(const struct task *task, struct obk_config *config, struct error *error)
{
    enum obk_config_state state = OBK_CONFIG_GOOD;
    size_t offset = 0;
    if (task->from == NULL) {
        obk_config_init(config, task->chip, NULL);
        return STATUS_OK;
    }
    enum status status = load(task->from, config, &state, &offset, error);
    if (status == STATUS_OK && state != OBK_CONFIG_GOOD)
        status =
            error_set(error, STATUS_REFUSED, "The configuration in %s is damaged.", task->from);
    return status;
}

static enum status build(struct task *task, struct error *error)
{
    struct obk_config config;
    if (task->output == NULL)
        return error_set(error, STATUS_USAGE, "Say which file to make with --output.");
    if (task->chip == BEKEN_CHIP_BK7252 || task->chip == BEKEN_CHIP_BK7252N)
        return error_set(
            error, STATUS_USAGE,
            "The configuration is laid out differently on a %s, which is not supported.",
            beken_chip_name(task->chip));
    enum status status = refuse_existing(task->output, error);
    if (status == STATUS_OK)
        status = begin(task, &config, error);
    if (status == STATUS_OK)
        status = obk_edits_prepare(task->edits, error);
    if (status == STATUS_OK)
        status = obk_edits_apply(task->edits, task->from == NULL, &config, error);
    if (status == STATUS_OK)
        status = file_replace(task->output, config.bytes, sizeof config.bytes, 0600, error);
    if (status == STATUS_OK && task->options.json)
        status = command_print_json(task->command->name,
                                    describe(&config, OBK_CONFIG_GOOD, 0, false), JSON_INDENT(2));
    else if (status == STATUS_OK)
        (void)printf("%s holds a configuration of %u bytes, version %" PRIu32 ".\n", task->output,
                     OBK_CONFIG_SIZE, obk_config_version(&config));
    explicit_bzero(&config, sizeof config);
    return status;
}

/* ------------------------------------------------------------------ write */

/* One session with a module. */
struct writing {
    struct flash_session *session;
    struct flasher *flasher;
    struct config_sector before, after;
    struct flasher_result result;
};

static enum status connect(struct task *task, struct writing *writing, struct error *error)
{
    enum status status =
        flash_session_open(task->command, &task->options, &writing->session, error);
    if (status != STATUS_OK)
        return status;
    writing->flasher = flash_session_flasher(writing->session);
    /* Little is sent, so the first rate will do; unless a damaged command could destroy the module. */
    if (task->options.flasher.baud != 0 ||
        flasher_module(writing->flasher)->protocol != BEKEN_PROTOCOL_BOOT_ROM)
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

static enum status keep_backup(const struct task *task, const struct writing *writing,
                               struct error *error)
{
    uint8_t bytes[BEKEN_SECTOR_SIZE];
    if (task->backup == NULL)
        return STATUS_OK;
    enum status status =
        flasher_read(writing->flasher, writing->before.address, bytes, sizeof bytes, error);
    if (status == STATUS_OK)
        status = file_replace(task->backup, bytes, sizeof bytes, 0600, error);
    explicit_bzero(bytes, sizeof bytes);
    return status;
}

static enum status change(struct task *task, struct writing *writing, struct error *error)
{
    enum status status = config_sector_read(writing->flasher, &writing->before, error);
    if (status != STATUS_OK)
        return status;
    say_state(writing->session, &writing->before);
    writing->after = writing->before;
    status = obk_edits_apply(task->edits, writing->before.state != OBK_CONFIG_GOOD,
                             &writing->after.config, error);
    if (status == STATUS_OK)
        status = keep_backup(task, writing, error);
    if (status == STATUS_OK)
        status = config_sector_write(writing->flasher, &writing->after, task->force, NULL,
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

static enum status answer(const struct task *task, const struct writing *writing)
{
    static const char *const states[] = {"kept", "blank", "damaged", "foreign"};
    json_t *changed = changed_json(writing);
    if (task->options.json)
        return command_print_json(
            task->command->name,
            json_pack("{s:b, s:I, s:s, s:o, s:I, s:o}", "verified", 1, "address",
                      (json_int_t)writing->after.address, "before", states[writing->before.state],
                      "changed", changed, "written", (json_int_t)writing->result.written, "fields",
                      obk_config_to_json(&writing->after.config, false)),
            JSON_INDENT(2));
    (void)printf("Verified: the configuration at 0x%" PRIX32 ", ", writing->after.address);
    if (json_array_size(changed) == 0)
        (void)printf("nothing was to be changed");
    for (size_t i = 0; i < json_array_size(changed); i++)
        (void)printf("%s%s", i == 0 ? "changed: " : ", ",
                     json_string_value(json_array_get(changed, i)));
    (void)printf(". The module starts now.\n");
    json_decref(changed);
    return STATUS_OK;
}

static enum status write_module(struct task *task, struct error *error)
{
    struct writing writing = {.session = flash_session_create(task->command, &task->options)};
    enum status status = task->backup != NULL ? refuse_existing(task->backup, error) : STATUS_OK;
    if (status == STATUS_OK)
        status = obk_edits_prepare(task->edits, error);
    if (status == STATUS_OK) {
        /* What cannot be, is said before anybody has to switch power. */
        struct obk_config trial;
        obk_config_init(&trial, BEKEN_CHIP_BK7231N, NULL);
        status = obk_edits_apply(task->edits, true, &trial, error);
        explicit_bzero(&trial, sizeof trial);
    }
    if (status == STATUS_OK)
        status = connect(task, &writing, error);
    if (status == STATUS_OK)
        status = change(task, &writing, error);
    if (status != STATUS_OK)
        status = flash_fail(task->command, writing.session, status, error);
    flash_session_close(writing.session);
    if (status == STATUS_OK)
        status = answer(task, &writing);
    else
        error->text[0] = '\0'; /* it was said */
    explicit_bzero(&writing, sizeof writing);
    return status;
}

/* ------------------------------------------------------------------ fields */

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

static enum status fields(struct task *task, struct error *error)
{
    const struct obk_config_field *field;
    (void)error;
    if (task->options.json)
        return command_print_json(task->command->name, fields_json(), JSON_INDENT(2));
    for (size_t i = 0; (field = obk_config_field(i)) != NULL; i++)
        (void)printf("0x%03X %5u  %-20s %s\n", field->offset, field->size, field->name,
                     field->help);
    return STATUS_OK;
}

/* ------------------------------------------------------------------ the command */

static enum status run(const struct flash_command *command, int argc, char **argv,
                       enum status (*work)(struct task *task, struct error *error))
{
    struct task task = {.command = command, .chip = BEKEN_CHIP_BK7231N};
    struct error error = {""};
    bool done = false;
    if (command == &build_command || command == &write_command)
        task.edits = obk_edits_create(command->name);
    enum status status = parse(&task, argc, argv, &done);
    if (status == STATUS_OK && !done)
        status = work(&task, &error);
    if (error.text[0] != '\0')
        (void)command_fail(command->name, status, &error);
    obk_edits_free(task.edits);
    return status;
}

static void print_help(FILE *out)
{
    (void)fprintf(out, "Usage: bl2mqtt " NAME " show FILE [OPTION...]\n"
                       "       bl2mqtt " NAME " build --output F [OPTION...]\n"
                       "       bl2mqtt " NAME " write --port P [OPTION...]\n"
                       "       bl2mqtt " NAME " fields [OPTION...]\n\n"
                       "OpenBeken's configuration: Wi-Fi, MQTT, names, pins, flags, startup "
                       "command.\n"
                       "Each of them has --help.\n");
}

enum status command_flash_obk_config(const struct command_context *context, int argc, char **argv)
{
    (void)context;
    const char *word = argc > 1 ? argv[1] : "";
    if (strcmp(word, "show") == 0)
        return run(&show_command, argc - 1, argv + 1, show);
    if (strcmp(word, "build") == 0)
        return run(&build_command, argc - 1, argv + 1, build);
    if (strcmp(word, "write") == 0)
        return run(&write_command, argc - 1, argv + 1, write_module);
    if (strcmp(word, "fields") == 0)
        return run(&fields_command, argc - 1, argv + 1, fields);
    bool asked = strcmp(word, "--help") == 0;
    print_help(asked ? stdout : stderr);
    return asked ? STATUS_OK : STATUS_USAGE;
}
