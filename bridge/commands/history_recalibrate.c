/* SPDX-License-Identifier: MIT */
/* bl2mqtt history recalibrate: corrects the factors of the past, by the running service or without it. */
#include "bridge/commands/ask_service.h"
#include "bridge/commands/command.h"
#include "bridge/commands/history_options.h"
#include "bridge/history/history.h"
#include "bridge/history/query/buckets.h"
#include "bridge/history/recalibration_json.h"
#include "drivers/base/memory.h"
#include "drivers/base/number.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME "history recalibrate"
#define ASK_MS 60000
#define CLOSE_MS 10000
#define TEXT_SIZE 2000

struct options {
    struct history_recalibration correction;
    const char *since;
    const char *until;
    bool json;
    const char *database;
    bool help;
};

static void print_help(void)
{
    (void)printf(
        "Usage: bl2mqtt history recalibrate --device D --channel C --since T [--until T] FACTORS\n"
        "       bl2mqtt history recalibrate --device D --channel C --undo\n\n"
        "Corrects what a channel was calibrated with in the past; energy and power of that time "
        "are\n"
        "then others. The service may run, and does it itself then. Shows what changes.\n\n"
        "  --device D        the device's id\n"
        "  --channel C       the channel\n"
        "  --since T         from then on the factors were right\n"
        "  --until T         up to then (default: now)\n"
        "  --voltage F       raw units per volt; also --current F and --power F. One that is not\n"
        "                    given stays as it was\n"
        "  --calibration N   instead of these: the factors of that row of the history's "
        "calibrations\n"
        "  --undo            take back the last correction of the channel\n"
        "  --dry-run         only show what would change\n"
        "  --json            one JSON document on stdout\n"
        "  --database FILE   this file, which no service may use (default: history.path of the\n"
        "                    configuration)\n\n"
        "T is a date (2026-10-01, its beginning), a time (2026-10-01T14:30, with an offset if "
        "need\n"
        "be), now, today or yesterday.\n");
}

static enum status take_name(const char *option, char *name, struct error *error)
{
    if (optarg[0] == '\0' || strlen(optarg) >= CHANNEL_TEXT_MAX)
        return error_set(error, STATUS_USAGE, "%s takes a name of at most %d bytes.", option,
                         CHANNEL_TEXT_MAX - 1);
    (void)snprintf(name, CHANNEL_TEXT_MAX, "%s", optarg);
    return STATUS_OK;
}

static enum status take_factor(const char *option, double *factor, struct error *error)
{
    if (number_parse_double(optarg, strlen(optarg), 1.0, 1e8, factor))
        return STATUS_OK;
    return error_set(error, STATUS_USAGE, "%s takes a factor from 1 to 1e8, not \"%.40s\".", option,
                     optarg);
}

static enum status take_option(int option, struct options *options, struct error *error)
{
    struct history_recalibration *correction = &options->correction;
    switch (option) {
    case 'd':
        return take_name("--device", correction->device, error);
    case 'c':
        return take_name("--channel", correction->channel, error);
    case 's':
        options->since = optarg;
        return STATUS_OK;
    case 'u':
        options->until = optarg;
        return STATUS_OK;
    case 'V':
        return take_factor("--voltage", &correction->factors.voltage, error);
    case 'A':
        return take_factor("--current", &correction->factors.current, error);
    case 'W':
        return take_factor("--power", &correction->factors.power, error);
    case 'i':
        if (number_parse_int(optarg, strlen(optarg), 1, INT64_MAX, &correction->calibration_id))
            return STATUS_OK;
        return error_set(error, STATUS_USAGE, "--calibration takes a number, not \"%.40s\".",
                         optarg);
    case 'U':
        correction->undo = true;
        return STATUS_OK;
    case 'n':
        correction->dry_run = true;
        return STATUS_OK;
    case 'j':
        options->json = true;
        return STATUS_OK;
    case 'D':
        options->database = optarg;
        return STATUS_OK;
    case 'h':
        options->help = true;
        return STATUS_OK;
    default:
        return error_set(error, STATUS_USAGE, "Try `bl2mqtt history recalibrate --help`.");
    }
}

static enum status check(const struct options *options, struct error *error)
{
    const struct history_recalibration *correction = &options->correction;
    const struct calibration *factors = &correction->factors;
    bool any = factors->voltage > 0 || factors->current > 0 || factors->power > 0;
    if (correction->device[0] == '\0' || correction->channel[0] == '\0')
        return error_set(error, STATUS_USAGE, "Say which circuit with --device and --channel.");
    if (correction->undo && (any || correction->calibration_id != 0 || options->since != NULL))
        return error_set(error, STATUS_USAGE, "--undo stands alone: it takes back the last one.");
    if (!correction->undo && options->since == NULL)
        return error_set(error, STATUS_USAGE, "Say from which time on with --since.");
    if (!correction->undo && any == (correction->calibration_id != 0))
        return error_set(error, STATUS_USAGE,
                         "Say the right factors: --voltage, --current or --power, or else "
                         "--calibration.");
    return STATUS_OK;
}

static enum status parse(int argc, char **argv, struct options *options, struct error *error)
{
    static const struct option known[] = {
        {"device", required_argument, NULL, 'd'},
        {"channel", required_argument, NULL, 'c'},
        {"since", required_argument, NULL, 's'},
        {"until", required_argument, NULL, 'u'},
        {"voltage", required_argument, NULL, 'V'},
        {"current", required_argument, NULL, 'A'},
        {"power", required_argument, NULL, 'W'},
        {"undo", no_argument, NULL, 'U'},
        {"calibration", required_argument, NULL, 'i'},
        {"dry-run", no_argument, NULL, 'n'},
        {"json", no_argument, NULL, 'j'},
        {"database", required_argument, NULL, 'D'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && (option = getopt_long(argc, argv, "h", known, NULL)) != -1)
        status = take_option(option, options, error);
    if (status != STATUS_OK || options->help)
        return status;
    if (optind < argc)
        return error_set(error, STATUS_USAGE, "\"%.60s\" is not an option; see --help.",
                         argv[optind]);
    return check(options, error);
}

/* After the configuration has said which zone local times are of. */
static enum status parse_times(struct options *options, struct error *error)
{
    enum status status = STATUS_OK;
    options->correction.until_ms = INT64_MAX;
    if (options->since != NULL)
        status =
            command_history_time("--since", options->since, &options->correction.since_ms, error);
    if (status == STATUS_OK && options->until != NULL)
        status =
            command_history_time("--until", options->until, &options->correction.until_ms, error);
    return status;
}

static enum status by_service(const struct config *config, const struct options *options,
                              json_t **answer, struct error *error)
{
    enum status status =
        ask_service(config, "history/recalibrate", recalibration_request(&options->correction),
                    ASK_MS, answer, error);
    if (status == STATUS_NO_ANSWER)
        return error_prefix(error, status,
                            "The running service could not be asked (stop it, and this is done "
                            "without it). ");
    return status;
}

static enum status by_itself(const char *path, const struct options *options, json_t **answer,
                             struct error *error)
{
    const struct history_options opening = {.path = path};
    struct history *history = NULL;
    struct history_recalibrated done;
    if (access(path, F_OK) != 0)
        return error_set(error, STATUS_USAGE, "There is no history at %s.", path);
    if (options->correction.dry_run) {
        enum status tried = history_recalibrate_try(path, &options->correction, &done, error);
        if (tried == STATUS_OK)
            *answer = recalibration_answer(&options->correction, &done);
        return tried;
    }
    enum status status = history_open(&opening, &history, error);
    if (status == STATUS_OK)
        status = history_recalibrate(history, &options->correction, &done, error);
    if (status == STATUS_OK)
        *answer = recalibration_answer(&options->correction, &done);
    history_close(history, CLOSE_MS);
    return status;
}

static enum status carry_out(const struct command_context *context, struct options *options,
                             json_t **answer, struct error *error)
{
    if (options->database != NULL) {
        char
            zone[BUCKET_ZONE_SIZE]; /* in another than its own the file's days would be made anew */
        if (history_file_zone(options->database, zone, sizeof zone))
            bucket_use_zone(zone, NULL);
        enum status status = parse_times(options, error);
        return status == STATUS_OK ? by_itself(options->database, options, answer, error) : status;
    }
    struct config *config = command_config(
        context, "it says where the history is. Correct it, or name the file with --database.",
        error);
    if (config == NULL)
        return STATUS_USAGE;
    char *path memory_auto = command_history_of(config);
    bucket_use_zone(config->history.time_zone, getenv("TZ"));
    enum status status = parse_times(options, error);
    if (status == STATUS_OK)
        status = history_in_use(path) ? by_service(config, options, answer, error)
                                      : by_itself(path, options, answer, error);
    config_free(config);
    return status;
}

static void print_text(const struct options *options, const json_t *answer)
{
    char buffer[TEXT_SIZE];
    recalibration_text(answer, buffer, sizeof buffer);
    (void)fputs(buffer, stdout);
    (void)puts(options->correction.dry_run ? "\nNothing was changed (--dry-run)."
               : options->correction.undo
                   ? "\nThe correction is taken back."
                   : "\nCorrected; `bl2mqtt history recalibrate ... --undo` takes it back.");
}

enum status command_history_recalibrate(const struct command_context *context, int argc,
                                        char **argv)
{
    struct options options = {.help = false};
    struct error error = {""};
    enum status status = parse(argc, argv, &options, &error);
    if (status == STATUS_OK && options.help) {
        print_help();
        return STATUS_OK;
    }
    json_t *answer = NULL;
    if (status == STATUS_OK)
        status = carry_out(context, &options, &answer, &error);
    if (status == STATUS_OK && options.json)
        return command_print_json(NAME, answer, JSON_INDENT(2));
    if (status == STATUS_OK) {
        print_text(&options, answer);
        status = command_flush(&error);
    }
    json_decref(answer);
    return status == STATUS_OK ? status : command_fail(NAME, status, &error);
}
