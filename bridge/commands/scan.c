/* SPDX-License-Identifier: MIT */
/* `bl2mqtt scan`: finds BL0942 chips on a port. See bl2mqtt-scan(1). */
#include "bridge/commands/command.h"

#include "drivers/base/number.h"
#include "drivers/base/text.h"
#include "drivers/bl0942/scan.h"
#include "drivers/serial/list.h"

#include <getopt.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME "scan"

/* Counts per volt of the usual divider, 5 x 390 kilohm over 510 ohm (BL0942 application note):
 * V_RMS = 73989 * v / 1.218 with v in millivolts at the pin. */
#define USUAL_COUNTS_PER_VOLT 15883.34

struct settings {
    const char *port;
    uint32_t baud; /* 0: all */
    bool json;
};

static void print_help(void)
{
    (void)printf("Usage: bl2mqtt scan --port P [--baud N] [--json]\n\n"
                 "Finds BL0942 chips: every baud rate, every address. Changes nothing in them.\n\n"
                 "  --port P  serial port, see `bl2mqtt ports`\n"
                 "  --baud N  only this rate: 4800, 9600, 19200 or 38400\n"
                 "  --json    one JSON document instead of text\n"
                 "  --help    this text\n");
}

static enum status parse_baud(const char *text, struct settings *settings)
{
    int64_t baud;
    if (!number_parse_int(text, strlen(text), 4800, 38400, &baud) ||
        (baud != 4800 && baud != 9600 && baud != 19200 && baud != 38400))
        return command_bad_value(NAME, "baud", text, "4800, 9600, 19200 or 38400");
    settings->baud = (uint32_t)baud;
    return STATUS_OK;
}

/* *help: --help was asked for. */
static enum status parse(int argc, char **argv, struct settings *settings, bool *help)
{
    static const struct option options[] = {
        {"port", required_argument, NULL, 'p'},
        {"baud", required_argument, NULL, 'b'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    enum status status = STATUS_OK;
    int option;
    while (status == STATUS_OK && (option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        switch (option) {
        case 'p':
            settings->port = optarg;
            break;
        case 'b':
            status = parse_baud(optarg, settings);
            break;
        case 'j':
            settings->json = true;
            break;
        case 'h':
            *help = true;
            return STATUS_OK;
        default:
            return command_bad_option(NAME);
        }
    }
    if (status == STATUS_OK && optind < argc)
        return command_extra_word(NAME, argv[optind]);
    if (status == STATUS_OK && settings->port[0] == '\0')
        return command_fail(
            NAME, STATUS_USAGE,
            &(struct error){"Say which port with --port; `bl2mqtt ports` lists them."});
    return status;
}

static void show_progress(void *context, uint32_t baud)
{
    (void)context;
    (void)fprintf(stderr, "Asking at %u baud ...\n", baud);
}

/* The name that will still lead to this adapter after it was put back or the machine restarted. */
static void stable_name(const char *port, char *name, size_t size)
{
    char device[PATH_MAX], other[PATH_MAX];
    struct serial_listing *listings = NULL;
    size_t count = 0;
    (void)snprintf(name, size, "%s", port);
    if (strncmp(port, "/dev/serial/", 12) == 0 || realpath(port, device) == NULL ||
        serial_list(&listings, &count, NULL) != STATUS_OK)
        return;
    for (size_t i = 0; i < count; i++) {
        const struct serial_listing *listing = &listings[i];
        if (realpath(listing->path, other) == NULL || strcmp(device, other) != 0)
            continue;
        const char *best = listing->by_id_unique ? listing->by_id : listing->by_path;
        if (best[0] != '\0')
            (void)snprintf(name, size, "%s", best);
    }
    free(listings);
}

/* Quoted where a plain scalar would not do. */
static void append_yaml(struct text *text, const char *value)
{
    if (value[0] != '\0' && value[strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWX"
                                                "YZ0123456789/_.-")] == '\0') {
        text_append(text, "%s", value);
        return;
    }
    text_append(text, "\"");
    for (; *value != '\0'; value++)
        text_append(text, *value == '"' || *value == '\\' ? "\\%c" : "%c", *value);
    text_append(text, "\"");
}

static bool is_60_hz(const struct bl0942_scan *scan)
{
    uint32_t period_us = scan->chips[0].packet.freq;
    return period_us > 0 && period_us < 18182; /* above 55 Hz */
}

static void write_config(const struct bl0942_scan *scan, const char *port, struct text *text)
{
    if (scan->count == 0)
        return;
    text_append(text, "devices:\n"
                      "  - id: meter\n"
                      "    name: Meter\n"
                      "    driver: bl0942\n");
    if (is_60_hz(scan))
        text_append(text, "    mains: {frequency: 60}\n");
    text_append(text, "    channels:\n");
    for (size_t i = 0; i < scan->count; i++) {
        text_append(text, "      %c: {port: ", (int)('a' + i));
        append_yaml(text, port);
        text_append(text, ", baud: %u, address: %u}\n", scan->chips[i].baud,
                    scan->chips[i].address);
    }
}

static double volts(const struct bl0942_packet *packet)
{
    return packet->v_rms / USUAL_COUNTS_PER_VOLT;
}

static double hertz(const struct bl0942_packet *packet)
{
    return packet->freq > 0 ? 1e6 / packet->freq : 0;
}

static enum status print_json(const struct bl0942_scan *scan, const char *port, const char *config)
{
    json_t *chips = json_array();
    for (size_t i = 0; i < scan->count; i++) {
        const struct bl0942_found *chip = &scan->chips[i];
        const struct bl0942_packet *packet = &chip->packet;
        json_t *item = json_pack(
            "{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "baud", (json_int_t)chip->baud, "address",
            (json_int_t)chip->address, "mode", (json_int_t)chip->mode, "voltage_raw",
            (json_int_t)packet->v_rms, "current_raw", (json_int_t)packet->i_rms, "power_raw",
            (json_int_t)packet->watt, "energy_raw", (json_int_t)packet->cf_cnt);
        (void)json_object_set_new(item, "frequency_hz",
                                  packet->freq > 0 ? json_real(hertz(packet)) : json_null());
        (void)json_object_set_new(item, "voltage_estimate_v", json_real(volts(packet)));
        (void)json_array_append_new(chips, item);
    }
    json_t *answer = json_object();
    (void)json_object_set_new(answer, "port", json_string(port));
    (void)json_object_set_new(answer, "chips", chips);
    (void)json_object_set_new(answer, "config", json_string(config));
    return command_print_json(NAME, answer, JSON_INDENT(2));
}

static void print_text(const struct bl0942_scan *scan, const char *config)
{
    if (scan->count == 0)
        return;
    (void)printf("%5s  %7s  %5s  %9s  %8s  %8s  %8s  %8s  %8s\n", "baud", "address", "MODE",
                 "voltage*", "V_RMS", "I_RMS", "WATT", "CF_CNT", "freq.");
    for (size_t i = 0; i < scan->count; i++) {
        const struct bl0942_found *chip = &scan->chips[i];
        const struct bl0942_packet *packet = &chip->packet;
        (void)printf("%5u  %7u  0x%03X  %7.1f V  %8u  %8u  %8d  %8u  %5.2f Hz\n", chip->baud,
                     chip->address, chip->mode, volts(packet), packet->v_rms, packet->i_rms,
                     packet->watt, packet->cf_cnt, hertz(packet));
    }
    (void)printf("* if the board has the usual divider; `bl2mqtt calibrate` makes it exact.\n\n"
                 "For bridge.yaml:\n\n%s",
                 config);
}

static enum status scan_port(const struct settings *settings, struct bl0942_scan *scan,
                             struct error *error)
{
    const struct serial_options options = {.baud = settings->baud != 0 ? settings->baud : 4800,
                                           .patient = true};
    struct serial_port *port = NULL;
    enum status status = serial_open(settings->port, &options, &port, error);
    if (status != STATUS_OK)
        return status;
    status = bl0942_scan(port, settings->baud, show_progress, NULL, scan, error);
    serial_close(port);
    return status;
}

static enum status answer(const struct settings *settings, const struct bl0942_scan *scan)
{
    char name[PATH_MAX], config[4 * PATH_MAX + 512];
    struct text text;
    text_init(&text, config, sizeof config);
    stable_name(settings->port, name, sizeof name);
    write_config(scan, name, &text);
    if (settings->json)
        return print_json(scan, name, config);
    print_text(scan, config);
    return STATUS_OK;
}

enum status command_scan(const struct command_context *context, int argc, char **argv)
{
    (void)context;
    struct settings settings = {.port = ""};
    bool help = false;
    enum status status = parse(argc, argv, &settings, &help);
    if (status != STATUS_OK)
        return status;
    if (help) {
        print_help();
        return STATUS_OK;
    }
    struct error error = {""};
    struct bl0942_scan scan = {.count = 0};
    status = scan_port(&settings, &scan, &error);
    /* With no chip found there is still an answer: an empty list. */
    if ((status == STATUS_OK || status == STATUS_NO_ANSWER) &&
        answer(&settings, &scan) != STATUS_OK)
        return STATUS_FAILED;
    return status == STATUS_OK ? STATUS_OK : command_fail(NAME, status, &error);
}
