/* SPDX-License-Identifier: MIT */
/* `bl2mqtt flash tuya`: the vendor's settings in a dump. See bl2mqtt-flash-tuya(1). */
#include "bridge/commands/command.h"
#include "bridge/commands/flash_session.h"
#include "bridge/provision/firmware.h"

#include "drivers/base/memory.h"
#include "drivers/base/plain.h"
#include "drivers/beken/backup_file.h"
#include "drivers/beken/tuya_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME "flash tuya"

struct options {
    struct flash_options flash;
    const char *dump;
    bool show_secrets;
};

/* What `flash backup` wrote beside the dump. */
static void read_facts(const char *path, struct backup_facts *facts)
{
    uint8_t *bytes = NULL;
    size_t length = 0;
    struct error error = {""};
    *facts = (struct backup_facts){.known = false};
    if (backup_file_load(path, &bytes, &length, facts, &error) != STATUS_OK) {
        (void)fprintf(stderr, "bl2mqtt %s: %s It is read all the same.\n", NAME, error.text);
        *facts = (struct backup_facts){.known = false};
        return;
    }
    free(bytes);
}

static void print_line(const char *name, const char *value)
{
    (void)printf("%-11s %s\n", name, value[0] == '\0' ? "unknown" : value);
}

static void print_pins(const struct tuya_report *report)
{
    static const char *const levels[] = {"active at 0", "active at 1"};
    static const char *const sources[] = {"", "the settings", "the application"};
    const struct tuya_pins *pins = &report->pins;
    if (pins->count == 0)
        return;
    (void)printf("\npins, from %s (OpenBeken's role and channel, the vendor's word):\n",
                 sources[report->pins_source]);
    for (size_t i = 0; i < pins->count; i++) {
        const struct tuya_pin *pin = &pins->pins[i];
        char role[40] = "?";
        if (pin->role != NULL)
            (void)snprintf(role, sizeof role, "%s %u", pin->role, pin->channel);
        (void)printf("  P%-3u %-18s %s%s%s\n", pin->pin, role, pin->key, pin->level < 0 ? "" : ", ",
                     pin->level < 0 ? "" : levels[pin->level]);
    }
}

static void print_meter(const struct tuya_pins *pins)
{
    if (pins->meter == TUYA_METER_NONE)
        return;
    (void)printf("%-11s %s", "meter chip", tuya_meter_name(pins->meter));
    if (pins->meter_type >= 0)
        (void)printf(", chip_type %d", pins->meter_type);
    if (pins->meter_rx >= 0 && pins->meter_tx >= 0)
        (void)printf(", rx P%d, tx P%d", pins->meter_rx, pins->meter_tx);
    (void)printf("\n");
}

static void print_object(const char *title, const json_t *object)
{
    const char *name;
    json_t *value;
    if (json_object_size(object) == 0)
        return;
    (void)printf("\n%s:\n", title);
    json_object_foreach((json_t *)object, name, value)
    {
        char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
        if (text != NULL) /* JSON escapes C0 controls only */
            plain_make(text);
        (void)printf("  %-18s %s\n", name, text != NULL ? text : "?");
        free(text);
    }
}

static void print(const struct tuya_report *report, const struct backup_facts *facts,
                  const json_t *document)
{
    char mac[18] = "";
    char firmware[80];
    if (report->has_mac)
        backup_file_format_mac(report->mac, mac);
    (void)snprintf(firmware, sizeof firmware, "%s %s", tuya_firmware_name(report->firmware),
                   report->version);
    (void)printf("settings    %s\n", report->found ? "found" : "not found");
    if (report->reason[0] != '\0')
        (void)printf("            %s\n", report->reason);
    print_line("chip", beken_chip_name(report->chip));
    print_line("bootloader", report->image.bootloader);
    print_line("mac", mac);
    if (facts->known)
        print_line("flash id", facts->flash_id);
    print_line("firmware", firmware);
    print_line("module", report->pins.module);
    print_meter(&report->pins);
    print_pins(report);
    const json_t *openbeken = json_object_get(document, "openbeken");
    const json_t *template = json_object_get(openbeken, "template");
    if (json_is_object(template)) {
        char *text = json_dumps(template, JSON_COMPACT);
        (void)printf("\ntemplate for OpenBeken's web application:\n  %s\n",
                     text != NULL ? text : "");
        free(text);
    }
    if (report->pins.commands[0] != '\0')
        (void)printf("\nautoexec.bat:\n%s", report->pins.commands);
    print_object("all values", json_object_get(document, "keys"));
}

static json_t *describe(const struct tuya_report *report, const struct backup_facts *facts,
                        bool show_secrets)
{
    json_t *document = tuya_report_json(report, show_secrets);
    (void)json_object_set_new(document, "flash_id", flash_json_text(facts->flash_id));
    return document;
}

static enum status run(const struct command_context *context, void *own)
{
    (void)context;
    const struct options *options = own;
    struct error error = {""};
    struct image_info info;
    struct backup_facts facts;
    struct tuya_report report;
    uint8_t *bytes memory_auto = NULL;
    size_t length = 0;
    enum status status = firmware_load(options->dump, &bytes, &length, &info, &error);
    if (status != STATUS_OK)
        return command_fail(NAME, status, &error);
    read_facts(options->dump, &facts);
    tuya_report_make(bytes, length, &report);
    json_t *document = describe(&report, &facts, options->show_secrets);
    if (options->flash.json) {
        status = command_print_json(NAME, document, JSON_INDENT(2));
    } else {
        print(&report, &facts, document);
        json_decref(document);
    }
    tuya_report_free(&report);
    return status;
}

static const struct option_row rows[] = {
    {.name = "DUMP",
     .kind = OPTION_OPERAND,
     .at = offsetof(struct options, dump),
     .required = "which file",
     .file = true,
     .help = "a dump of the whole flash"},
    {.name = "show-secrets",
     .kind = OPTION_FLAG,
     .at = offsetof(struct options, show_secrets),
     .help = "passwords, keys and tokens in the clear"},
    {.name = NULL},
};

const struct command command_flash_tuya = {
    .line = {.name = NAME,
             .summary = "the vendor's settings in a dump",
             .purpose =
                 "Reads the vendor's settings out of a dump of the whole flash: pins, module, "
                 "keys, and what OpenBeken needs for the same board. Where there are none it says "
                 "why, and what is known without them. Passwords, keys and the like are masked.",
             .tables = {rows, flash_json_rows},
             .size = sizeof(struct options)},
    .run = run,
};
