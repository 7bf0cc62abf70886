/* SPDX-License-Identifier: MIT */
/* bl2mqtt calibrate: from fresh readings and true values to factors, and these into use. */
#include "bridge/commands/ask_service.h"
#include "bridge/commands/command.h"
#include "bridge/commands/history_options.h"
#include "bridge/history/history.h"
#include "bridge/history/query/readings.h"
#include "bridge/meter/reference.h"
#include "bridge/service/sources.h"
#include "drivers/base/clock.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"
#include "drivers/base/number.h"
#include "drivers/base/text.h"

#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NAME "calibrate"
#define POLL_MS 250
/* The least time that readings may take, beside --seconds, before they are given up: a chip that is
 * asked for the first time is looked for at every baud rate. */
#define PATIENCE_MS 8000
#define ASK_MS 10000
#define CLOSE_MS 10000

struct options {
    const char *device;
    const char *channel;
    struct reference reference;
    int64_t seconds;
    bool dry_run;
    bool json;
};

/* What the work is about, and what came of it. */
struct work {
    const struct options *options;
    const struct config *config;
    const struct config_device *device;
    const struct config_channel *channel;
    size_t channel_index;
    const char *history_path;
    bool service_runs;

    struct calibration old;
    bool invert;
    struct reference_samples samples;
    int64_t first_ms; /* stamp of the first reading; 0: none yet */
    int64_t last_ms;  /* ... and of the last */

    struct reference_result result;
    bool stored;
    int64_t valid_from_ms;
};

static void print_help(void)
{
    (void)printf(
        "Usage: bl2mqtt calibrate --device D --channel C [--voltage V] [--current A] [--power W]\n"
        "                         [OPTION...]\n\n"
        "Calibrates a channel against what a trusted instrument shows. Averages fresh readings,\n"
        "from the running service or, without it, from the chip itself. Use a load that does not\n"
        "change, such as a heater. The new factors hold from now on; totals do not jump.\n\n"
        "  --device D     the device's id in bridge.yaml\n"
        "  --channel C    the channel\n"
        "  --voltage V    true voltage, at least %g V\n"
        "  --current A    true current, at least %g A\n"
        "  --power W      true active power, at least %g W\n"
        "  --seconds N    how long readings are averaged, 2 to 3600 (default 15)\n"
        "  --dry-run      only show what would be stored\n"
        "  --json         one JSON document on stdout\n"
        "  --help         this text\n",
        REFERENCE_VOLTAGE_MIN, REFERENCE_CURRENT_MIN, REFERENCE_POWER_MIN);
}

/* ---- the command line ---- */

static enum status parse_value(const char *option, const char *text, double high, double *value,
                               struct error *error)
{
    if (number_parse_double(text, strlen(text), 0.001, high, value))
        return STATUS_OK;
    return error_set(error, STATUS_USAGE,
                     "%s takes a number from 0.001 to %g, without a unit, not \"%s\". (Power is "
                     "positive here also when it is fed back.)",
                     option, high, text);
}

static enum status take_option(int option, struct options *options, struct error *error)
{
    switch (option) {
    case 'd':
        options->device = optarg;
        return STATUS_OK;
    case 'c':
        options->channel = optarg;
        return STATUS_OK;
    case 'V':
        return parse_value("--voltage", optarg, 1000, &options->reference.voltage_v, error);
    case 'A':
        return parse_value("--current", optarg, 10000, &options->reference.current_a, error);
    case 'W':
        return parse_value("--power", optarg, 1e7, &options->reference.power_w, error);
    case 's':
        if (number_parse_int(optarg, strlen(optarg), 2, 3600, &options->seconds))
            return STATUS_OK;
        return error_set(error, STATUS_USAGE, "--seconds takes 2 to 3600, not \"%s\".", optarg);
    case 'n':
        options->dry_run = true;
        return STATUS_OK;
    case 'j':
        options->json = true;
        return STATUS_OK;
    default:
        return error_set(error, STATUS_USAGE, "Try `bl2mqtt calibrate --help`.");
    }
}

static enum status parse(int argc, char **argv, struct options *options, bool *help,
                         struct error *error)
{
    static const struct option known[] = {
        {"device", required_argument, NULL, 'd'},  {"channel", required_argument, NULL, 'c'},
        {"voltage", required_argument, NULL, 'V'}, {"current", required_argument, NULL, 'A'},
        {"power", required_argument, NULL, 'W'},   {"seconds", required_argument, NULL, 's'},
        {"dry-run", no_argument, NULL, 'n'},       {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "h", known, NULL)) != -1) {
        if (option == 'h') {
            *help = true;
            return STATUS_OK;
        }
        enum status status = take_option(option, options, error);
        if (status != STATUS_OK)
            return status;
    }
    if (optind < argc) {
        (void)error_set(error, STATUS_USAGE, "\"%s\" is not an option; see --help.", argv[optind]);
        return STATUS_USAGE;
    }
    if (options->device == NULL || options->channel == NULL) {
        (void)error_set(error, STATUS_USAGE,
                        "Say which circuit with --device and --channel, as in bridge.yaml.");
        return STATUS_USAGE;
    }
    return reference_check(&options->reference, error);
}

static enum status find_channel(struct work *work, struct error *error)
{
    const struct config *config = work->config;
    for (size_t i = 0; i < config->device_count; i++)
        if (strcmp(config->devices[i].id, work->options->device) == 0)
            work->device = &config->devices[i];
    if (work->device == NULL) {
        (void)error_set(error, STATUS_USAGE, "The configuration has no device \"%.60s\".",
                        work->options->device);
        return STATUS_USAGE;
    }
    for (size_t i = 0; i < work->device->channel_count; i++) {
        if (strcmp(work->device->channels[i].name, work->options->channel) != 0)
            continue;
        work->channel = &work->device->channels[i];
        work->channel_index = i;
        return STATUS_OK;
    }
    (void)error_set(error, STATUS_USAGE, "Device %s has no channel \"%.20s\".", work->device->id,
                    work->options->channel);
    return STATUS_USAGE;
}

static enum reading_kind kind_of(const struct work *work)
{
    return work->device->driver == DRIVER_OPENBEKEN ? READING_OPENBEKEN : READING_BL0942;
}

/* ---- fresh readings ---- */

static bool enough(const struct work *work)
{
    return work->first_ms != 0 && work->last_ms - work->first_ms >= work->options->seconds * 1000;
}

static void take_reading(struct work *work, const struct reading *reading)
{
    if (enough(work))
        return;
    if (work->first_ms == 0)
        work->first_ms = reading->wall_ms;
    work->last_ms = reading->wall_ms;
    reference_add(&work->samples, reading);
}

static bool on_stored(void *context, const struct history_reading *stored)
{
    struct work *work = context;
    if (stored->kind != kind_of(work))
        return true;
    work->old = stored->factors;
    work->invert = stored->invert;
    take_reading(work, &stored->reading);
    return true;
}

/* The service stores what it reads; this looks for what is stamped after now. */
static enum status readings_of_service(struct work *work, struct error *error)
{
    int64_t next_ms = clock_wall_ms();
    int64_t patience_ms = work->options->seconds * 1000 + PATIENCE_MS +
                          2 * work->config->history.commit_interval_ms +
                          2 * work->device->interval_ms;
    int64_t until_ms = clock_boot_ms() + patience_ms;
    while (!enough(work) && clock_boot_ms() < until_ms) {
        const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
        (void)nanosleep(&pause, NULL);
        enum status status =
            history_readings(work->history_path, work->device->id, work->channel->name, next_ms,
                             INT64_MAX, on_stored, work, error);
        if (status != STATUS_OK)
            return status;
        if (work->last_ms >= next_ms)
            next_ms = work->last_ms + 1;
    }
    if (enough(work))
        return STATUS_OK;
    return error_set(error, STATUS_NO_ANSWER,
                     "The running service stored %zu readings of %s %s in %lld s; check that the "
                     "channel is online.",
                     work->samples.count, work->device->id, work->channel->name,
                     (long long)(patience_ms / 1000));
}

/* The loop's own view of the work. */
struct listening {
    struct work *work;
    uv_loop_t loop;
    uv_timer_t end;
    char reason[256]; /* why the channel is offline */
};

static void on_reading(void *context, size_t device, size_t channel, const struct reading *reading)
{
    (void)device;
    struct listening *listening = context;
    if (channel != listening->work->channel_index)
        return;
    take_reading(listening->work, reading);
    if (enough(listening->work))
        uv_stop(&listening->loop);
}

static void on_availability(void *context, size_t device, size_t channel, bool online,
                            const char *reason)
{
    (void)device;
    struct listening *listening = context;
    if (channel != listening->work->channel_index)
        return;
    (void)snprintf(listening->reason, sizeof listening->reason, "%s", online ? "" : reason);
    if (!online) /* asked at every rate, or without a port */
        uv_stop(&listening->loop);
}

static void on_event(void *context, size_t device, size_t channel, enum driver_event event,
                     const char *message)
{
    (void)context;
    (void)device;
    (void)channel;
    (void)event;
    (void)fprintf(stderr, "%s\n", message);
}

static void on_end(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

static enum status listen_to_chip(struct listening *listening, struct error *error)
{
    struct work *work = listening->work;
    struct config only = *work->config;
    only.devices = (struct config_device *)work->device; /* read, not changed */
    only.device_count = 1;
    const struct sources_sink sink = {
        .context = listening,
        .reading = on_reading,
        .availability = on_availability,
        .event = on_event,
    };
    (void)uv_timer_init(&listening->loop, &listening->end);
    (void)uv_timer_start(
        &listening->end, on_end,
        (uint64_t)(work->options->seconds * 1000 + PATIENCE_MS + 2 * work->device->interval_ms), 0);
    struct sources *sources = sources_create(&listening->loop, &only, &sink, NULL, NULL);
    (void)uv_run(&listening->loop, UV_RUN_DEFAULT);
    sources_close(sources);
    uv_close((uv_handle_t *)&listening->end, NULL);
    (void)uv_run(&listening->loop, UV_RUN_DEFAULT);
    if (enough(work))
        return STATUS_OK;
    return error_set(error, STATUS_NO_ANSWER, "%s %s gave only %zu readings%s%s", work->device->id,
                     work->channel->name, work->samples.count,
                     listening->reason[0] == '\0' ? "." : ": ", listening->reason);
}

static enum status readings_of_chip(struct work *work, struct error *error)
{
    if (work->device->driver == DRIVER_OPENBEKEN)
        return error_set(error, STATUS_FAILED,
                         "Device %s is read through the broker, which needs the service. Start it, "
                         "then calibrate.",
                         work->device->id);
    struct listening listening = {.work = work};
    int result = uv_loop_init(&listening.loop);
    if (result != 0)
        return error_set(error, STATUS_FAILED, "The event loop could not be created: %s.",
                         uv_strerror(result));
    enum status status = listen_to_chip(&listening, error);
    (void)uv_loop_close(&listening.loop);
    return status;
}

/* ---- into use ---- */

static enum status hand_to_service(struct work *work, struct error *error)
{
    const struct calibration *factors = &work->result.factors;
    json_t *body = json_pack("{s:s, s:s, s:f, s:f, s:f}", "id", work->device->id, "channel",
                             work->channel->name, "voltage", factors->voltage, "current",
                             factors->current, "power", factors->power);
    json_t *data = NULL;
    enum status status =
        ask_service(work->config, "device/calibration/set", body, ASK_MS, &data, error);
    if (status != STATUS_OK)
        return error_prefix(
            error, status,
            "The running service could not be told the new factors, so nothing was "
            "changed (write the line above into bridge.yaml, or stop the service and "
            "calibrate again). ");
    work->valid_from_ms = clock_wall_ms();
    const char *time = json_string_value(json_object_get(data, "valid_from"));
    if (time != NULL)
        (void)command_history_time("valid_from", time, &work->valid_from_ms, NULL);
    json_decref(data);
    return STATUS_OK;
}

/* Without the service the history is this process's: its factors first, then the chip's readings,
 * then the new factors. What was counted until then is folded by the service when it starts. */
static enum status open_history(struct work *work, struct history **history, unsigned *number,
                                struct error *error)
{
    const struct history_options options = {.path = work->history_path};
    struct energy_state state;
    bool changed;
    enum status status = file_make_folder(work->config->bridge.data_dir, error);
    if (status == STATUS_OK)
        status = history_open(&options, history, error);
    if (status == STATUS_OK)
        status = history_channel(*history, work->device->id, work->channel->name, kind_of(work),
                                 number, &state, error);
    if (status == STATUS_OK)
        status = history_calibration(*history, *number, &work->channel->calibration,
                                     work->channel->invert, clock_wall_ms(), NULL, &changed, error);
    if (status != STATUS_OK)
        return status;
    bool measured;
    int64_t since_ms;
    history_calibration_in_use(*history, *number, &work->old, &measured, &since_ms);
    return STATUS_OK;
}

static enum status store(struct work *work, struct history *history, unsigned number,
                         struct error *error)
{
    work->valid_from_ms = clock_wall_ms();
    enum status status =
        history_measured(history, number, &work->result.factors, work->valid_from_ms, error);
    if (status != STATUS_OK)
        return status;
    history_put_event(history, number, work->valid_from_ms, "calibrated",
                      "The channel was calibrated while the service did not run.");
    return history_start(history, error);
}

static enum status judge(struct work *work, struct error *error)
{
    return reference_calibrate(&work->samples, &work->options->reference, kind_of(work), &work->old,
                               work->invert, &work->result, error);
}

/* ---- the answer ---- */

static void append_line(struct text *text, const struct calibration *factors)
{
    text_append(text, "calibration: {voltage: %.7g, current: %.7g, power: %.7g}", factors->voltage,
                factors->current, factors->power);
}

static void print_quantity(const char *name, double shown, double reference, const char *unit,
                           double old, double new)
{
    (void)printf("%-8s %11.4f %s", name, shown, unit);
    if (reference > 0)
        (void)printf(" %11.4f %s", reference, unit);
    else
        (void)printf(" %13s", "-");
    (void)printf(" %13.7g %13.7g %+8.2f %%\n", old, new, (new / old - 1) * 100);
}

static void print_text(const struct work *work)
{
    const struct reference *reference = &work->options->reference;
    const struct reference_result *result = &work->result;
    char line[256];
    struct text text;
    text_init(&text, line, sizeof line);
    append_line(&text, &result->factors);
    (void)printf("%zu readings of %s %s in %lld s\n\n%-8s %13s %13s %13s %13s %10s\n",
                 work->samples.count, work->device->id, work->channel->name,
                 (long long)work->options->seconds, "", "shown", "true", "old factor", "new factor",
                 "change");
    print_quantity("voltage", result->shown.voltage_v, reference->voltage_v, "V", work->old.voltage,
                   result->factors.voltage);
    print_quantity("current", result->shown.current_a, reference->current_a, "A", work->old.current,
                   result->factors.current);
    print_quantity("power", result->shown.power_w, reference->power_w, "W", work->old.power,
                   result->factors.power);
    (void)printf("\nThe line for bridge.yaml, if you want the factors to stand there:\n  %s\n\n",
                 line);
}

static void warn(const struct work *work)
{
    const struct calibration *factors = &work->result.factors;
    if (!work->result.consistent)
        (void)fprintf(
            stderr,
            "bl2mqtt calibrate: warning: The three factors do not agree: power should be "
            "%.7g by voltage and current, and is %.1f %% off. Give all three true values, "
            "with a load that has a power factor of 1; if it stays, one of them is "
            "wrong.\n",
            calibration_power_from(factors->voltage, factors->current),
            (work->result.consistency - 1) * 100);
    if (work->result.reversed)
        (void)fprintf(stderr, "bl2mqtt calibrate: warning: The power counts as fed back. If the "
                              "load consumes, the clamp sits the other way round: set invert on "
                              "the channel, or turn it.\n");
}

static json_t *triple(const char *v, double a, const char *c, double b, const char *p, double w)
{
    json_t *object = json_object();
    (void)json_object_set_new(object, v, a != 0 ? json_real(a) : json_null());
    (void)json_object_set_new(object, c, b != 0 ? json_real(b) : json_null());
    (void)json_object_set_new(object, p, w != 0 ? json_real(w) : json_null());
    return object;
}

static void print_json(const struct work *work)
{
    const struct reference *reference = &work->options->reference;
    const struct reference_result *result = &work->result;
    char line[256], time[64];
    struct text text;
    text_init(&text, line, sizeof line);
    append_line(&text, &result->factors);
    text_init(&text, time, sizeof time);
    text_append_time(&text, work->valid_from_ms, true);
    json_t *answer = json_pack(
        "{s:s, s:s, s:I, s:o, s:o, s:o, s:o, s:f, s:b, s:b, s:s, s:b}", "device", work->device->id,
        "channel", work->channel->name, "readings", (json_int_t)work->samples.count, "shown",
        triple("voltage_v", result->shown.voltage_v, "current_a", result->shown.current_a,
               "power_w", result->shown.power_w),
        "true",
        triple("voltage_v", reference->voltage_v, "current_a", reference->current_a, "power_w",
               reference->power_w),
        "old",
        triple("voltage", work->old.voltage, "current", work->old.current, "power",
               work->old.power),
        "new",
        triple("voltage", result->factors.voltage, "current", result->factors.current, "power",
               result->factors.power),
        "consistency", result->consistency, "consistent", (int)result->consistent, "reversed",
        (int)result->reversed, "config", line, "stored", (int)work->stored);
    (void)json_object_set_new(answer, "valid_from", work->stored ? json_string(time) : json_null());
    (void)json_dumpf(answer, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    (void)putchar('\n');
    json_decref(answer);
}

/* ---- the command ---- */

/* Before anything is changed, so that a person sees what is about to be stored, and has the line
 * for bridge.yaml also when it cannot be. */
static void show(const struct work *work)
{
    if (!work->options->json)
        print_text(work);
    warn(work);
}

static enum status with_service(struct work *work, struct error *error)
{
    enum status status = readings_of_service(work, error);
    if (status == STATUS_OK)
        status = judge(work, error);
    if (status != STATUS_OK)
        return status;
    show(work);
    if (work->options->dry_run)
        return STATUS_OK;
    status = hand_to_service(work, error);
    work->stored = status == STATUS_OK;
    return status;
}

static enum status without_service(struct work *work, struct error *error)
{
    struct history *history = NULL;
    unsigned number = 0;
    enum status status = STATUS_OK;
    work->old = work->channel->calibration;
    work->invert = work->channel->invert;
    if (!work->options->dry_run || access(work->history_path, F_OK) == 0)
        status = open_history(work, &history, &number, error);
    if (status == STATUS_OK)
        status = readings_of_chip(work, error);
    if (status == STATUS_OK)
        status = judge(work, error);
    if (status == STATUS_OK)
        show(work);
    if (status == STATUS_OK && !work->options->dry_run) {
        status = store(work, history, number, error);
        work->stored = status == STATUS_OK;
    }
    history_close(history, CLOSE_MS); /* writes it */
    return status;
}

static enum status calibrate(const struct command_context *context, const struct options *options,
                             struct error *error)
{
    struct config *config =
        command_config(context, "calibrate needs it to find the device. Correct it first.", error);
    if (config == NULL)
        return STATUS_USAGE;
    char *path memory_auto = command_history_of(config);
    struct work work = {.options = options, .config = config, .history_path = path};
    enum status status = find_channel(&work, error);
    if (status == STATUS_OK) {
        work.service_runs = history_in_use(path);
        (void)fprintf(stderr, "Averaging readings of %s %s for %lld s, %s ...\n", options->device,
                      options->channel, (long long)options->seconds,
                      work.service_runs ? "as the running service stores them"
                                        : "from the chip, as no service runs");
        status = work.service_runs ? with_service(&work, error) : without_service(&work, error);
    }
    if (status == STATUS_OK && options->json)
        print_json(&work);
    else if (status == STATUS_OK)
        (void)puts(work.stored ? "Stored; the new factors hold from now on."
                               : "Nothing was stored (--dry-run).");
    config_free(config);
    return status == STATUS_OK ? command_flush(error) : status;
}

enum status command_calibrate(const struct command_context *context, int argc, char **argv)
{
    struct options options = {.seconds = 15};
    struct error error = {""};
    bool help = false;
    enum status status = parse(argc, argv, &options, &help, &error);
    if (status == STATUS_OK && help) {
        print_help();
        return STATUS_OK;
    }
    if (status == STATUS_OK)
        status = calibrate(context, &options, &error);
    return status == STATUS_OK ? STATUS_OK : command_fail(NAME, status, &error);
}
