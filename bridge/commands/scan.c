/* SPDX-License-Identifier: MIT */
/* `bl2mqtt scan`: finds BL0942 chips on a port. See bl2mqtt-scan(1). */
#include "bridge/commands/command.h"
#include "bridge/commands/scan_text.h"

#include "drivers/base/memory.h"
#include "drivers/base/text.h"
#include "drivers/bl0942/scan.h"

#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME "scan"

enum { PORTS_MAX = 6, CONFIG_SIZE = PORTS_MAX * (4 * PATH_MAX) + 512 };

struct options {
    struct option_list ports;
    int baud; /* index in rates */
    bool json;
};

static const char *const rates[] = {"all", "4800", "9600", "19200", "38400", NULL};
static const uint32_t bauds[] = {0, 4800, 9600, 19200, 38400};

/* One port and what was found there. */
struct line {
    const char *port;
    char name[PATH_MAX]; /* the stable one */
    struct bl0942_scan scan;
};

struct work {
    const struct options *options;
    size_t count;
    struct line lines[PORTS_MAX];
};

/* clang-format off */
static const struct option_row rows[] = {
    {.name = "port", .kind = OPTION_LIST, .argument = "P", .at = offsetof(struct options, ports),
     .required = "which port with --port; `bl2mqtt ports` lists them", .file = true,
     .help = "serial port, see `bl2mqtt ports`; may be given several times: all chips then are "
             "channels of one device"},
    {.name = "baud", .kind = OPTION_CHOICE, .argument = "N", .at = offsetof(struct options, baud),
     .choices = rates, .preset = "all", .wanted = "4800, 9600, 19200 or 38400",
     .help = "only this rate"},
    {.name = "json", .kind = OPTION_FLAG, .at = offsetof(struct options, json),
     .help = "one JSON document instead of text"},
    {.name = NULL},
};
/* clang-format on */

static void show_progress(void *context, uint32_t baud)
{
    (void)context;
    (void)fprintf(stderr, "Asking at %u baud ...\n", baud);
}

static size_t chips_of(const struct work *work)
{
    size_t count = 0;
    for (size_t i = 0; i < work->count; i++)
        count += work->lines[i].scan.count;
    return count;
}

static bool is_60_hz(const struct work *work)
{
    for (size_t i = 0; i < work->count; i++) {
        const struct bl0942_scan *scan = &work->lines[i].scan;
        if (scan->count > 0 && scan->chips[0].packet.freq > 0)
            return scan->chips[0].packet.freq < 18182; /* above 55 Hz */
    }
    return false;
}

/* All chips as one device: a clamp meter with two chips has two ports. */
static void write_config(const struct work *work, struct text *text)
{
    int channel = 'a';
    if (chips_of(work) == 0)
        return;
    text_append(text, "devices:\n"
                      "  - id: meter\n"
                      "    name: Meter\n"
                      "    driver: bl0942\n");
    if (is_60_hz(work))
        text_append(text, "    mains: {frequency: 60}\n");
    text_append(text, "    channels:\n");
    for (size_t i = 0; i < work->count; i++) {
        const struct line *line = &work->lines[i];
        for (size_t c = 0; c < line->scan.count; c++) {
            text_append(text, "      %c: {port: ", channel++);
            scan_append_yaml(text, line->name);
            text_append(text, ", baud: %u, address: %u}\n", line->scan.chips[c].baud,
                        line->scan.chips[c].address);
        }
    }
}

static json_t *chip_json(const struct bl0942_found *chip)
{
    const struct bl0942_packet *packet = &chip->packet;
    json_t *item =
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "baud", (json_int_t)chip->baud, "address",
                  (json_int_t)chip->address, "mode", (json_int_t)chip->mode, "voltage_raw",
                  (json_int_t)packet->v_rms, "current_raw", (json_int_t)packet->i_rms, "power_raw",
                  (json_int_t)packet->watt, "energy_raw", (json_int_t)packet->cf_cnt);
    (void)json_object_set_new(item, "frequency_hz",
                              packet->freq > 0 ? json_real(scan_hertz(packet)) : json_null());
    (void)json_object_set_new(item, "voltage_estimate_v", json_real(scan_volts(packet)));
    return item;
}

/* Of several ports each chip says which one it is at. */
static enum status print_json(const struct work *work, const char *config)
{
    json_t *ports = json_array();
    json_t *chips = json_array();
    for (size_t i = 0; i < work->count; i++) {
        const struct line *line = &work->lines[i];
        (void)json_array_append_new(ports, json_string(line->name));
        for (size_t c = 0; c < line->scan.count; c++) {
            json_t *chip = chip_json(&line->scan.chips[c]);
            if (work->count > 1)
                (void)json_object_set_new(chip, "port", json_string(line->name));
            (void)json_array_append_new(chips, chip);
        }
    }
    json_t *answer = json_object();
    if (work->count == 1)
        (void)json_object_set_new(answer, "port", json_string(work->lines[0].name));
    else
        (void)json_object_set(answer, "ports", ports);
    json_decref(ports);
    (void)json_object_set_new(answer, "chips", chips);
    (void)json_object_set_new(answer, "config", json_string(config));
    return command_print_json(NAME, answer, JSON_INDENT(2));
}

static void print_text(const struct work *work, const char *config)
{
    if (chips_of(work) == 0)
        return;
    (void)printf("%5s %4s  %5s  %9s %8s %8s %8s %8s  %8s\n", "baud", "addr", "MODE", "voltage*",
                 "V_RMS", "I_RMS", "WATT", "CF_CNT", "freq.");
    for (size_t i = 0; i < work->count; i++) {
        const struct line *line = &work->lines[i];
        if (work->count > 1 && line->scan.count > 0)
            (void)printf("%s\n", line->name);
        for (size_t c = 0; c < line->scan.count; c++) {
            const struct bl0942_found *chip = &line->scan.chips[c];
            const struct bl0942_packet *packet = &chip->packet;
            (void)printf("%5u %4u  0x%03X  %7.1f V %8u %8u %8d %8u  %5.2f Hz\n", chip->baud,
                         chip->address, chip->mode, scan_volts(packet), packet->v_rms,
                         packet->i_rms, packet->watt, packet->cf_cnt, scan_hertz(packet));
        }
    }
    (void)printf("* if the board has the usual divider; `bl2mqtt calibrate` makes it exact.\n\n"
                 "For bridge.yaml:\n\n%s",
                 config);
}

static enum status scan_port(const struct options *options, struct line *line, struct error *error)
{
    uint32_t baud = bauds[options->baud];
    const struct serial_options serial = {.baud = baud != 0 ? baud : 4800, .patient = true};
    struct serial_port *port = NULL;
    enum status status = serial_open(line->port, &serial, &port, error);
    if (status != STATUS_OK)
        return status;
    status = bl0942_scan(port, baud, show_progress, NULL, &line->scan, error);
    serial_close(port);
    return status;
}

/* Every port is tried. The first thing that goes wrong is the command's end; the others are reported
 * at once. */
static enum status scan_all(struct work *work, struct error *error)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < work->count; i++) {
        struct line *line = &work->lines[i];
        struct error problem = {""};
        line->port = work->options->ports.items[i].value;
        scan_stable_name(line->port, line->name, sizeof line->name);
        if (work->count > 1)
            (void)fprintf(stderr, "%s:\n", line->port);
        enum status one = scan_port(work->options, line, &problem);
        if (one != STATUS_OK && status != STATUS_OK)
            (void)command_fail(NAME, one, &problem);
        else if (one != STATUS_OK)
            status = error_set(error, one, "%s", problem.text);
    }
    return status;
}

static enum status run(const struct command_context *context, void *own)
{
    (void)context;
    const struct options *options = own;
    if (options->ports.count > PORTS_MAX)
        return command_bad_value(NAME, "port", options->ports.items[PORTS_MAX].value,
                                 "at most 6 ports at once");
    for (size_t i = 0; i < options->ports.count; i++)
        if (options->ports.items[i].value[0] == '\0')
            return command_missing(NAME, rows[0].required);
    struct work *work memory_auto = memory_new(1, sizeof *work);
    char *config memory_auto = memory_new(CONFIG_SIZE, 1);
    struct error error = {""};
    struct text text;
    work->options = options;
    work->count = options->ports.count;
    enum status status = scan_all(work, &error);
    /* With no chip found there is still an answer: an empty list. */
    if (status == STATUS_OK || status == STATUS_NO_ANSWER || chips_of(work) > 0) {
        text_init(&text, config, CONFIG_SIZE);
        write_config(work, &text);
        if (!options->json)
            print_text(work, config);
        else if (print_json(work, config) != STATUS_OK)
            return STATUS_FAILED;
    }
    return command_end(NAME, status, &error);
}

const struct command command_scan = {
    .line = {.name = NAME,
             .summary = "find BL0942 chips on a port: every baud rate, every address",
             .purpose =
                 "Finds BL0942 chips at every baud rate and address, and prints the lines for "
                 "bridge.yaml. Changes nothing in the chips.",
             .tables = {rows},
             .size = sizeof(struct options)},
    .run = run,
};
