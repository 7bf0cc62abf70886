/* SPDX-License-Identifier: MIT */
/* `bl2mqtt flash link-test`: how good are adapter and wires. See bl2mqtt-flash-link-test(1). */
#include "bridge/commands/command.h"
#include "bridge/commands/flash_session.h"

#include "drivers/base/number.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NAME "flash link-test"

struct options {
    struct flash_options flash;
    const char *rates;
};

static json_t *describe(const struct flasher_line_report *report)
{
    json_t *rates = json_array();
    for (size_t i = 0; i < report->count; i++) {
        const struct flasher_rate *rate = &report->rates[i];
        (void)json_array_append_new(
            rates, json_pack("{s:I, s:I, s:I, s:b}", "baud", (json_int_t)rate->baud, "bytes",
                             (json_int_t)rate->bytes, "errors", (json_int_t)rate->errors, "usable",
                             (int)rate->usable));
    }
    json_t *untested = json_array();
    for (size_t i = 0; i < report->untested_count; i++)
        (void)json_array_append_new(untested, json_integer(report->untested[i]));
    json_t *recommended =
        report->recommended_baud == 0 ? json_null() : json_integer(report->recommended_baud);
    return json_pack("{s:o, s:o, s:o, s:o, s:s}", "rates", rates, "not_tested", untested,
                     "not_tested_reason", flash_json_text(report->untested_reason),
                     "recommended_baud", recommended, "verdict", report->verdict);
}

static void print(const struct flasher_line_report *report)
{
    (void)printf("%9s  %9s  %s\n", "baud", "bytes", "errors");
    for (size_t i = 0; i < report->count; i++) {
        const struct flasher_rate *rate = &report->rates[i];
        if (rate->usable)
            (void)printf("%9" PRIu32 "  %9" PRIu64 "  %" PRIu64 "\n", rate->baud, rate->bytes,
                         rate->errors);
        else
            (void)printf("%9" PRIu32 "  %9" PRIu64 "  does not work\n", rate->baud, rate->bytes);
    }
    for (size_t i = 0; i < report->untested_count; i++)
        (void)printf("%9" PRIu32 "          -  not tried\n", report->untested[i]);
    (void)printf("%s\n", report->verdict);
}

static bool parse_rates(const char *text, uint32_t rates[FLASHER_RATES_MAX], size_t *count)
{
    while (*count < FLASHER_RATES_MAX) {
        int64_t baud = 0;
        size_t length = strcspn(text, ",");
        if (!number_parse_int(text, length, 9600, 4000000, &baud))
            return false;
        rates[(*count)++] = (uint32_t)baud;
        if (text[length] == '\0')
            return true;
        text += length + 1;
    }
    return false;
}

static enum status run(const struct command_context *context, void *own)
{
    (void)context;
    const struct options *options = own;
    const struct command_line *line = &command_flash_link_test.line;
    struct error error = {""};
    struct flash_session *session = NULL;
    struct flasher_line_report report = {0};
    uint32_t rates[FLASHER_RATES_MAX] = {(uint32_t)options->flash.baud};
    size_t count = options->flash.baud != 0 ? 1 : 0;
    if (options->rates != NULL) {
        count = 0;
        if (!parse_rates(options->rates, rates, &count))
            return command_bad_value(NAME, "rates", options->rates,
                                     "one to eight rates, separated by commas");
    }
    enum status status = flash_session_open(line, &options->flash, &session, &error);
    if (status == STATUS_OK)
        status = flasher_test_line(flash_session_flasher(session), rates, count, &report, &error);
    if (status != STATUS_OK)
        status = flash_fail(line, session, status, &error);
    flash_session_close(session);
    if (status != STATUS_OK)
        return status;
    if (options->flash.json)
        return command_print_json(NAME, describe(&report), JSON_INDENT(2));
    print(&report);
    return STATUS_OK;
}

static const struct option_row rows[] = {
    {.name = "rates",
     .argument = "N,N...",
     .at = offsetof(struct options, rates),
     .help = "rates to test (default 115200,230400,460800,921600)"},
    {.name = NULL},
};

const struct command command_flash_link_test = {
    .line = {.name = NAME,
             .summary = "how good adapter and wires are, at which rate",
             .purpose =
                 "Tests the line to the module at several baud rates and recommends one. Nothing "
                 "is erased or written, but a BK7231T write-protects its flash when it is asked "
                 "for checksums; its firmware lifts that by itself.",
             .tables = {flash_module_rows, rows, flash_json_rows},
             .size = sizeof(struct options)},
    .run = run,
};
