/* SPDX-License-Identifier: MIT */
/* `bl2mqtt watch`: what every channel measures now, from the broker. See bl2mqtt-watch(1). */
#include "bridge/commands/broker_config.h"
#include "bridge/commands/watch_table.h"
#include "bridge/mqtt/publisher.h"
#include "bridge/service/broker.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define NAME "watch"

enum { POLL_MS = 50, REDRAW_MS = 1000, CONNECT_MS = 10000, CLOSE_MS = 500, QUIET_MS = 400 };
enum { FIRST_STATES_MS = 10000 }; /* so long --once waits for states that are not retained */

struct options {
    struct broker_options_given broker;
    const char *device;
    int64_t seconds; /* 0: until Ctrl-C */
    bool json, once;
};

struct work {
    const struct options *options;
    struct publisher *publisher;
    struct watch_table *table;
    char prefix[256]; /* "bl2mqtt/" */
    bool connected;
    bool changed;
    int64_t last_boot_ms;    /* of the latest message; 0: none yet */
    int64_t devices_boot_ms; /* since then the list of devices is known; 0: it is not */
};

/* The only thing a signal handler may touch. */
static volatile sig_atomic_t stop_asked;

static void on_signal(int number)
{
    (void)number;
    stop_asked = 1;
}

/* ---- what comes in ---- */

static void take_message(struct work *work, const char *topic,
                         const struct publisher_incoming *incoming)
{
    json_t *value = json_loadb(incoming->payload, incoming->payload_length, 0, NULL);
    const char *end = strrchr(topic, '/');
    char device[128];
    if (strcmp(topic, "bridge/devices") == 0) {
        watch_table_devices(work->table, value);
        work->devices_boot_ms = clock_boot_ms();
        work->changed = true;
    } else if (strcmp(topic, "bridge/state") == 0) {
        watch_table_bridge(work->table, json_string_value(json_object_get(value, "state")));
        work->changed = true;
    } else if (end == NULL || strcmp(end, "/availability") == 0) {
        size_t length = end == NULL ? strlen(topic) : (size_t)(end - topic);
        (void)snprintf(device, sizeof device, "%.*s", (int)length, topic);
        bool wanted = work->options->device == NULL || strcmp(work->options->device, device) == 0;
        if (wanted && end == NULL && json_is_object(value) && work->options->json)
            watch_print_json(device, value);
        if (wanted && end == NULL)
            watch_table_state(work->table, device, value, clock_boot_ms());
        else if (wanted)
            watch_table_availability(work->table, device,
                                     json_string_value(json_object_get(value, "state")));
        work->changed = true;
    }
    json_decref(value);
}

static void on_incoming(void *context, const struct publisher_incoming *incoming)
{
    struct work *work = context;
    size_t length = strlen(work->prefix);
    if (incoming->kind != PUBLISHER_MESSAGE) {
        work->connected = incoming->kind == PUBLISHER_CONNECTED;
        work->changed = true;
        return;
    }
    if (strncmp(incoming->topic, work->prefix, length) == 0)
        take_message(work, incoming->topic + length, incoming);
}

/* ---- the loop ---- */

static void pause_ms(int64_t ms)
{
    const struct timespec pause = {.tv_nsec = (long)(ms * 1000000)};
    (void)nanosleep(&pause, NULL);
}

/* Every device that is online has a state; or there is none, and nothing more comes. */
static bool is_complete(const struct work *work, int64_t since_ms)
{
    int64_t now_ms = clock_boot_ms();
    if (now_ms - since_ms >= FIRST_STATES_MS)
        return true;
    return now_ms - since_ms >= QUIET_MS && work->devices_boot_ms != 0 &&
           watch_table_waiting(work->table) == 0;
}

static enum status watch(struct work *work, struct error *error)
{
    const struct options *options = work->options;
    bool in_place = !options->json && !options->once && isatty(STDOUT_FILENO) != 0;
    if (in_place)
        (void)fputs("\033[H\033[J", stdout); /* of the scroll region, if there is one */
    int64_t start_ms = clock_boot_ms();
    int64_t connected_ms = 0;
    int64_t drawn_ms = 0;
    while (stop_asked == 0) {
        pause_ms(POLL_MS);
        publisher_poll(work->publisher, on_incoming, work);
        int64_t now_ms = clock_boot_ms();
        if (work->connected && connected_ms == 0)
            connected_ms = now_ms;
        if (connected_ms == 0 && now_ms - start_ms >= CONNECT_MS)
            return error_set(
                error, STATUS_NO_ANSWER,
                "The broker could not be reached: check mqtt.server, user and password.");
        bool complete = connected_ms != 0 && is_complete(work, connected_ms);
        if (options->once && complete)
            break;
        bool due = now_ms - drawn_ms >= REDRAW_MS && (in_place || (work->changed && complete));
        if (!options->json && !options->once && connected_ms != 0 && due) {
            watch_table_print(work->table, in_place, work->connected, now_ms);
            work->changed = false;
            drawn_ms = now_ms;
        }
        if (options->seconds != 0 && now_ms - start_ms >= options->seconds * 1000)
            break;
    }
    if (options->once && !options->json)
        watch_table_print(work->table, false, work->connected, clock_boot_ms());
    return watch_table_count(work->table) > 0 || !options->once
               ? command_flush(error)
               : error_set(error, STATUS_NO_ANSWER,
                           "No device is published on %s of this broker. Does the "
                           "service run?",
                           work->prefix);
}

static enum status connect(const struct config *config, struct work *work, struct error *error)
{
    char filter[300], client_id[64];
    struct publisher_options connection = broker_options(&config->mqtt);
    (void)snprintf(client_id, sizeof client_id, "bl2mqtt_watch_%d", (int)getpid());
    connection.client_id = client_id;
    enum status status = publisher_create(&connection, &work->publisher, error);
    if (status != STATUS_OK)
        return status;
    static const char *const filters[] = {"+", "+/availability", "bridge/devices", "bridge/state"};
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++) {
        (void)snprintf(filter, sizeof filter, "%s%s", work->prefix, filters[i]);
        publisher_subscribe(work->publisher, filter, 1);
    }
    return publisher_start(work->publisher, error);
}

static enum status run(const struct command_context *context, void *own)
{
    const struct options *options = own;
    struct error error = {""};
    struct work work = {.options = options};
    struct config *config = broker_config(context, &options->broker, &error);
    if (config == NULL)
        return command_fail(NAME, STATUS_USAGE, &error);
    const struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)snprintf(work.prefix, sizeof work.prefix, "%s/", config->mqtt.base_topic);
    work.table = watch_table_new();
    enum status status = connect(config, &work, &error);
    if (status == STATUS_OK)
        status = watch(&work, &error);
    if (work.publisher != NULL)
        publisher_close(work.publisher, CLOSE_MS);
    watch_table_free(work.table);
    config_free(config);
    return command_end(NAME, status, &error);
}

/* clang-format off */
static const struct option_row rows[] = {
    {.name = "device", .argument = "D", .at = offsetof(struct options, device),
     .help = "only this device"},
    {.name = "once", .kind = OPTION_FLAG, .at = offsetof(struct options, once),
     .help = "print the table once and end"},
    {.name = "seconds", .kind = OPTION_INTEGER, .argument = "N", .low = 1, .high = 86400,
     .at = offsetof(struct options, seconds), .help = "end after so many seconds"},
    {.name = "json", .kind = OPTION_FLAG, .at = offsetof(struct options, json),
     .help = "one JSON document a line, for each state that is published: {\"device\", \"state\"}"},
    {.name = NULL},
};
/* clang-format on */

const struct command command_watch = {
    .line = {.name = NAME,
             .summary = "what every channel measures now, in a live table",
             .purpose =
                 "Shows what every channel measures now, from what the service publishes on the "
                 "broker. On a terminal the table is updated in place until Ctrl-C.",
             .tables = {rows, broker_rows},
             .size = sizeof(struct options)},
    .run = run,
};
