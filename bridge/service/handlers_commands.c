/* SPDX-License-Identifier: MIT */
/* Requests that are answered by a command of this program. */
#include "bridge/service/handlers_shared.h"

#include "bridge/service/child.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"
#include "drivers/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COMMANDS_MAX 8
#define PROGRESS_STEPS 20
#define PROGRESS_MS 1000
#define CALIBRATE_SECONDS 20 /* the command's default */

/* A command that runs for a request. */
struct errand {
    struct errand *next;
    struct handlers *handlers;
    struct pending *pending;
    struct child *child;
    uv_timer_t *progress; /* NULL: nothing is reported on the way */
    int64_t seconds, began_ms;
    /** Makes the answer of the command's document, which it takes. NULL: *error is filled. */
    json_t *(*finish)(struct errand *errand, json_t *document, struct error *error);
};

/* ---- what is reported of a measurement on the way ---- */

static void report(const struct errand *errand, const char *kind, const char *message, json_t *data)
{
    const struct message_event event = {
        .type = kind,
        .wall_ms = clock_wall_ms(),
        .device = pending_text(errand->pending, "id"),
        .channel = pending_text(errand->pending, "channel"),
        .message = message,
        .data = data,
    };
    hub_event(errand->handlers->options.hub, &event);
    json_decref(data);
}

static void on_progress(uv_timer_t *timer)
{
    const struct errand *errand = timer->data;
    char message[80];
    int64_t elapsed = (clock_boot_ms() - errand->began_ms) / 1000;
    elapsed = elapsed < errand->seconds ? elapsed : errand->seconds;
    (void)snprintf(message, sizeof message, "Measuring: %" PRId64 " of %" PRId64 " s.", elapsed,
                   errand->seconds);
    report(errand, "calibrating", message,
           json_pack("{s:I, s:I}", "elapsed", (json_int_t)elapsed, "seconds",
                     (json_int_t)errand->seconds));
}

/* At the beginning and some twenty times on the way. */
static void follow(struct errand *errand)
{
    errand->seconds = pending_integer(errand->pending, "seconds", CALIBRATE_SECONDS);
    int64_t pace_ms = errand->seconds * 1000 / PROGRESS_STEPS;
    errand->began_ms = clock_boot_ms();
    errand->progress = memory_new(1, sizeof *errand->progress);
    (void)uv_timer_init(errand->handlers->options.loop, errand->progress);
    errand->progress->data = errand;
    on_progress(errand->progress);
    uint64_t repeat_ms = (uint64_t)(pace_ms > PROGRESS_MS ? pace_ms : PROGRESS_MS);
    (void)uv_timer_start(errand->progress, on_progress, repeat_ms, repeat_ms);
}

static void report_end(const struct errand *errand, enum status status, const struct error *error)
{
    if (errand->progress == NULL)
        return;
    report(errand, status == STATUS_OK ? "calibration_measured" : "calibration_failed",
           status == STATUS_OK ? "The measurement is complete; the answer has its result."
                               : error->text,
           NULL);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

static void forget(struct errand *errand)
{
    if (errand->progress != NULL)
        uv_close((uv_handle_t *)errand->progress, on_closed);
    struct errand **link = &errand->handlers->errands;
    while (*link != errand)
        link = &(*link)->next;
    *link = errand->next;
    free(errand);
}

static void on_done(void *context, enum status status, const char *json, const struct error *words)
{
    struct errand *errand = context;
    struct error error = *words;
    json_t *document = json_loads(json, 0, NULL);
    if (status == STATUS_OK && document == NULL)
        status = error_set(&error, STATUS_FAILED, "The command printed no document.");
    if (status == STATUS_OK && errand->finish != NULL) {
        document = errand->finish(errand, document, &error);
        status = document != NULL ? STATUS_OK : STATUS_FAILED;
    }
    report_end(errand, status, &error);
    if (status == STATUS_OK) {
        pending_answer(errand->pending, document);
    } else {
        json_decref(document);
        pending_refuse(errand->pending, status, &error);
    }
    forget(errand);
}

static enum status
start(struct handlers *handlers, struct pending *pending, const char *const *arguments,
      json_t *(*finish)(struct errand *errand, json_t *document, struct error *error),
      struct error *error)
{
    size_t running = 0;
    for (const struct errand *errand = handlers->errands; errand != NULL; errand = errand->next)
        running++;
    if (running >= COMMANDS_MAX)
        return error_set(error, STATUS_FAILED,
                         "%d commands run for requests already; ask again when one has ended.",
                         COMMANDS_MAX);
    struct errand *errand = memory_new(1, sizeof *errand);
    *errand = (struct errand){.handlers = handlers, .pending = pending, .finish = finish};
    enum status status =
        child_start(handlers->options.loop, arguments, on_done, errand, &errand->child, error);
    if (status != STATUS_OK) {
        free(errand);
        return status;
    }
    errand->next = handlers->errands;
    handlers->errands = errand;
    return STATUS_OK;
}

void handlers_end_commands(struct handlers *handlers)
{
    while (handlers->errands != NULL) {
        child_stop(handlers->errands->child);
        forget(handlers->errands);
    }
}

enum status handle_ports(void *context, struct pending *pending, struct error *error)
{
    static const char *const arguments[] = {"ports", "--json", NULL};
    return start(context, pending, arguments, NULL, error);
}

enum status handle_flash_profiles(void *context, struct pending *pending, struct error *error)
{
    static const char *const arguments[] = {"profiles", "--json", NULL};
    return start(context, pending, arguments, NULL, error);
}

enum status handle_scan(void *context, struct pending *pending, struct error *error)
{
    char baud[24];
    const char *arguments[] = {"scan", "--json", "--port", pending_text(pending, "port"),
                               NULL,   NULL,     NULL};
    if (pending_argument(pending, "baud") != NULL) {
        (void)snprintf(baud, sizeof baud, "%" PRId64, pending_integer(pending, "baud", 0));
        arguments[4] = "--baud";
        arguments[5] = baud;
    }
    return start(context, pending, arguments, NULL, error);
}

/* ---- device/calibrate ---- */

/* The command has measured and judged; what it found is stored by this service itself. */
static json_t *apply_calibration(struct errand *errand, json_t *document, struct error *error)
{
    const json_t *found = json_object_get(document, "new");
    struct calibration factors = {
        .voltage = json_number_value(json_object_get(found, "voltage")),
        .current = json_number_value(json_object_get(found, "current")),
        .power = json_number_value(json_object_get(found, "power")),
    };
    int64_t valid_from_ms = 0;
    struct service_device *device = handlers_device(errand->handlers, errand->pending, error);
    if (device == NULL ||
        service_device_set_calibration(device, pending_text(errand->pending, "channel"), &factors,
                                       false, &valid_from_ms, error) != STATUS_OK) {
        json_decref(document);
        return NULL;
    }
    char time[64];
    struct text text;
    text_init(&text, time, sizeof time);
    text_append_time(&text, valid_from_ms, true);
    (void)json_object_set_new(document, "stored", json_true());
    (void)json_object_set_new(document, "valid_from", json_string(time));
    return document;
}

static bool has_channel(const struct service_device *device, const char *name)
{
    const struct config_device *config = service_device_config(device);
    for (size_t i = 0; i < config->channel_count; i++)
        if (strcmp(config->channels[i].name, name) == 0)
            return true;
    return false;
}

enum status handle_device_calibrate(void *context, struct pending *pending, struct error *error)
{
    static const struct {
        const char *key, *option;
    } values[] = {{"voltage", "--voltage"},
                  {"current", "--current"},
                  {"power", "--power"},
                  {"seconds", "--seconds"}};
    struct handlers *handlers = context;
    const struct service_device *device = handlers_device(handlers, pending, error);
    const char *channel = pending_text(pending, "channel");
    char numbers[4][32];
    size_t count = 0, references = 0;
    const char *arguments[CHILD_ARGUMENTS_MAX];
    if (device == NULL)
        return STATUS_USAGE;
    if (!has_channel(device, channel))
        return error_set(error, STATUS_USAGE, "Device %s has no channel \"%s\".",
                         pending_text(pending, "id"), channel);
    const char *const head[] = {
        "--config", handlers->options.config_path, "calibrate", "--dry-run", "--json",
        "--device", pending_text(pending, "id"),   "--channel", channel};
    for (; count < sizeof head / sizeof head[0]; count++)
        arguments[count] = head[count];
    for (size_t i = 0; i < 4; i++) {
        if (pending_argument(pending, values[i].key) == NULL)
            continue;
        references += i < 3 ? 1 : 0;
        (void)snprintf(numbers[i], sizeof numbers[i], "%.9g",
                       pending_number(pending, values[i].key, 0));
        arguments[count++] = values[i].option;
        arguments[count++] = numbers[i];
    }
    arguments[count] = NULL;
    if (references == 0)
        return error_set(error, STATUS_USAGE,
                         "The request needs what a reference meter shows: voltage, current or "
                         "power.");
    enum status status =
        start(handlers, pending, arguments,
              pending_flag(pending, "apply", false) ? apply_calibration : NULL, error);
    if (status == STATUS_OK)
        follow(handlers->errands); /* the newest is the first */
    return status;
}
