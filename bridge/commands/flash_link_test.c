/* SPDX-License-Identifier: MIT */
/* `bl2mqtt flash link-test`: how good are adapter and wires. See bl2mqtt-flash-link-test(1). */
#include "bridge/commands/command.h"
#include "bridge/commands/flash_session.h"

#include <inttypes.h>

static const struct flash_command self = {
    .name = "flash link-test",
    .accepts = FLASH_ACCEPTS_MODULE | FLASH_ACCEPTS_RATES,
    .purpose =
        "Tests the line to the module at several baud rates and recommends one. Nothing is erased "
        "or\n"
        "written, but a BK7231T write-protects its flash when it is asked for checksums; its\n"
        "firmware lifts that by itself.",
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

enum status command_flash_link_test(const struct command_context *context, int argc, char **argv)
{
    (void)context;
    struct flash_options options;
    struct error error = {""};
    struct flash_session *session = NULL;
    struct flasher_line_report report = {0};
    bool done = false;
    enum status status = flash_options_parse(&self, argc, argv, &options, &done);
    if (status != STATUS_OK || done)
        return status;
    if (options.rate_count == 0 && options.flasher.baud != 0)
        options.rates[options.rate_count++] = options.flasher.baud;
    status = flash_session_open(&self, &options, &session, &error);
    if (status == STATUS_OK)
        status = flasher_test_line(flash_session_flasher(session), options.rates,
                                   options.rate_count, &report, &error);
    if (status != STATUS_OK)
        status = flash_fail(&self, session, status, &error);
    flash_session_close(session);
    if (status != STATUS_OK)
        return status;
    if (options.json)
        return command_print_json(self.name, describe(&report), JSON_INDENT(2));
    print(&report);
    return STATUS_OK;
}
