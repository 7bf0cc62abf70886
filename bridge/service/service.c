/* SPDX-License-Identifier: MIT */
#include "bridge/service/service.h"
#include "bridge/config/json.h"
#include "bridge/mqtt/announcer.h"
#include "bridge/service/adoption.h"
#include "bridge/service/backups.h"
#include "bridge/service/broker.h"
#include "bridge/service/clock_watch.h"
#include "bridge/service/event_gate.h"
#include "bridge/service/log_relay.h"
#include "bridge/service/recalibration.h"
#include "bridge/service/requests.h"
#include "bridge/service/roster.h"
#include "bridge/service/search.h"
#include "bridge/service/service_device.h"
#include "bridge/service/sources.h"
#include "bridge/service/updates.h"
#include "bridge/service/watchdog.h"
#include "bridge/sinks/sinks.h"
#include "drivers/base/clock.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"

#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TICK_MS 1000
#define HEALTH_MS 60000
#define HISTORY_CLOSE_MS 10000
#define PUBLISHER_CLOSE_MS 3000
#define QUEUE_LIMIT 65536 /* readings; some 6 MB, nine hours of two channels at 1 Hz */

struct service {
    struct config *config;
    struct log *log;
    enum service_end end;
    int64_t started_wall_ms;
    int64_t started_boot_ms;
    char boot_id[40];

    uv_loop_t loop;
    uv_async_t wake;
    uv_timer_t tick, health, watchdog_timer;
    uv_signal_t stop_signals[2], reload_signal;
    bool loop_ready;
    bool history_started;

    struct preferences *preferences;
    struct history *history;
    struct recalibration *recalibration; /* under way; NULL: none */
    struct sinks *sinks;
    bool sink_failing[CONFIG_SINKS_MAX];     /* as last reported */
    uint64_t sink_refused[CONFIG_SINKS_MAX]; /* as last reported */
    struct publisher *publisher;
    struct announcer *announcer;
    struct sources *sources;
    struct search *search; /* NULL: none is running */
    struct request search_request;
    json_t *found; /* the modules of the last search; NULL: none yet */
    struct adoption *adoption;
    struct updates *updates; /* NULL: no folder of firmware is configured */
    struct backups *backups;
    struct log_relay *relay;
    struct event_gate *events;
    struct watchdog watchdog;
    struct service_outputs outputs;
    struct service_device **devices;
    size_t device_count;
    const struct device_description **descriptions;
    char history_problem[256]; /* as last reported */
    char clock_message[256];   /* as last reported */
    struct clock_watch clocks;
    char quarantined[256]; /* the damaged history that was last reported */
    bool health_due;       /* something in bridge/health has changed */
    const char *config_path;
};

/* ---- messages about the bridge itself ---- */

static char *bridge_topic(const struct service *service, const char *leaf, char *topic, size_t size)
{
    (void)snprintf(topic, size, "%s/bridge/%s", service->config->mqtt.base_topic, leaf);
    return topic;
}

/* Takes the text. */
static void publish_bridge(struct service *service, const char *leaf, char *text, bool retained)
{
    char topic[256];
    if (text == NULL) {
        log_error(service->log, "The message bridge/%s could not be made; it is not published.",
                  leaf);
        return;
    }
    bridge_topic(service, leaf, topic, sizeof topic);
    if (retained)
        publisher_publish(service->publisher, topic, text, strlen(text), true, 1);
    else
        publisher_event(service->publisher, topic, text, strlen(text), 0);
    free(text);
}

static void publish_info(struct service *service)
{
    json_t *config = config_to_json(service->config, true);
    json_t *config_keys = config_schema();
    const struct message_info info = {
        .version = BL2MQTT_VERSION,
        .bridge_id = service->config->bridge.id,
        .started_wall_ms = service->started_wall_ms,
        .now_wall_ms = clock_wall_ms(),
        .log_level = log_level(service->log),
        .config = config,
        .config_schema = config_keys,
    };
    publish_bridge(service, "info", message_bridge_info(&info), true);
    json_decref(config);
    json_decref(config_keys);
}

static int64_t resident_bytes(void)
{
    size_t bytes = 0;
    return uv_resident_set_memory(&bytes) == 0 ? (int64_t)bytes : 0;
}

static const char *set_aside_sentence(const struct history_health *history, char *text, size_t size)
{
    bool restored = history->restored[0] != '\0';
    (void)snprintf(text, size, "The history was damaged and set aside as %s.%s%s%s",
                   history->quarantined, restored ? " It goes on from the copy " : "",
                   history->restored, restored ? "." : "");
    return text;
}

static void publish_health(struct service *service)
{
    struct history_health history;
    struct publisher_health mqtt;
    history_health(service->history, &history);
    publisher_health(service->publisher, &mqtt);
    struct message_device_health *devices memory_auto =
        memory_new(service->device_count, sizeof *devices);
    for (size_t i = 0; i < service->device_count; i++)
        service_device_health(service->devices[i], &devices[i]);
    struct backups_last backup = {.file = ""};
    if (service->backups != NULL)
        backups_last(service->backups, &backup);
    const char *problems[4 + CONFIG_SINKS_MAX];
    struct sink_health sinks[CONFIG_SINKS_MAX];
    char quarantined[640];
    size_t problem_count = 0;
    if (history.problem[0] != '\0')
        problems[problem_count++] = history.problem;
    if (history.quarantined[0] != '\0')
        problems[problem_count++] = set_aside_sentence(&history, quarantined, sizeof quarantined);
    if (history.clock_awaited)
        problems[problem_count++] = history.clock_message;
    for (size_t i = 0; i < sinks_count(service->sinks); i++) {
        sinks_health(service->sinks, i, &sinks[i]);
        if (sinks[i].problem[0] != '\0')
            problems[problem_count++] = sinks[i].problem;
    }
    if (backup.problem != NULL && backup.problem[0] != '\0')
        problems[problem_count++] = backup.problem;
    const struct message_health health = {
        .now_wall_ms = clock_wall_ms(),
        .uptime_ms = clock_boot_ms() - service->started_boot_ms,
        .memory_bytes = resident_bytes(),
        .mqtt_connected = mqtt.connected,
        .mqtt_published = mqtt.published,
        .mqtt_received = mqtt.received,
        .mqtt_dropped = mqtt.dropped,
        .mqtt_reconnects = mqtt.reconnects,
        .problems = problems,
        .problem_count = problem_count,
        .backup_wall_ms = backup.made_ms,
        .backup_file = backup.file,
        .backup_bytes = backup.bytes,
        .devices = devices,
        .device_count = service->device_count,
    };
    publish_bridge(service, "health", message_bridge_health(&health), true);
    service->health_due = false;
}

static void publish_event(void *context, const char *kind, const char *device, const char *channel,
                          const char *message)
{
    struct service *service = context;
    const struct message_event event = {
        .type = kind,
        .wall_ms = clock_wall_ms(),
        .device = device,
        .channel = channel,
        .message = message,
    };
    publish_bridge(service, "event", message_bridge_event(&event), false);
    service->health_due = true;
}

static void publish_log_line(void *context, enum log_level level, const char *message)
{
    publish_bridge(context, "logging", message_bridge_logging(level, message), false);
}

static void publish_devices(void *context)
{
    struct service *service = context;
    for (size_t i = 0; i < service->device_count; i++)
        service_device_publish(service->devices[i]);
}

/* ---- the clock ---- */

/* The event gets the first moment at which it can have happened: what explains a gap must not stand
 * behind the reading that ends it. */
static void watch_clocks(struct service *service)
{
    const struct clocks now = {clock_wall_ms(), clock_boot_ms(), clock_awake_ms()};
    const struct clocks last = service->clocks.last;
    int64_t by_ms;
    enum clock_change change = clock_watch_note(&service->clocks, &now, &by_ms);
    if (change == CLOCK_UNCHANGED)
        return;
    struct history_health history;
    history_health(service->history, &history);
    bool was_awaited = history.clock_released_boot_ms >= last.boot_ms;
    if (change == CLOCK_STEPPED && (history.clock_awaited || was_awaited))
        return; /* it is told when the readings get their stamps */
    char message[200];
    struct text text;
    text_init(&text, message, sizeof message);
    if (change == CLOCK_STEPPED)
        text_append(&text, "The clock of this machine was set %s by ",
                    by_ms < 0 ? "back" : "forward");
    else
        text_append(&text, "The machine was suspended for ");
    clock_watch_append_span(&text, by_ms);
    text_append(&text, ".");
    const char *kind = change == CLOCK_STEPPED ? "clock_stepped" : "suspended";
    log_warning(service->log, "%s", message);
    history_put_event(service->history, 0, now.wall_ms - (now.awake_ms - last.awake_ms), kind,
                      message);
    publish_event(service, kind, NULL, NULL, message);
}

/* ---- what comes from the drivers ---- */

static void on_reading(void *context, size_t device, size_t channel, const struct reading *reading)
{
    struct service *service = context;
    watch_clocks(service);
    service_device_reading(service->devices[device], channel, reading);
}

static void on_availability(void *context, size_t device, size_t channel, bool online,
                            const char *reason)
{
    struct service *service = context;
    service_device_availability(service->devices[device], channel, online, reason);
}

static void on_driver_event(void *context, size_t device, size_t channel, enum driver_event event,
                            const char *message)
{
    struct service *service = context;
    service_device_driver_event(service->devices[device], channel, event, message);
}

static bool statistics_of(void *context, const struct config_device *device, size_t channel,
                          struct driver_statistics *statistics)
{
    const struct service *service = context;
    return service->sources != NULL &&
           sources_statistics(service->sources, device, channel, statistics);
}

/* ---- what comes from other threads ---- */

static void report_quarantine(struct service *service, const struct history_health *history)
{
    if (strcmp(history->quarantined, service->quarantined) == 0)
        return;
    char sentence[640];
    (void)snprintf(service->quarantined, sizeof service->quarantined, "%s", history->quarantined);
    publish_event(service, "history_renewed", NULL, NULL,
                  set_aside_sentence(history, sentence, sizeof sentence));
}

static void report_problem(struct service *service, const char *problem)
{
    if (strcmp(problem, service->history_problem) == 0)
        return;
    (void)snprintf(service->history_problem, sizeof service->history_problem, "%s", problem);
    if (problem[0] != '\0')
        publish_event(service, "history_problem", NULL, NULL, problem);
    else
        publish_event(service, "history_recovered", NULL, NULL, "The history is written again.");
}

static void report_clock(struct service *service, const struct history_health *history)
{
    if (strcmp(history->clock_message, service->clock_message) == 0)
        return;
    (void)snprintf(service->clock_message, sizeof service->clock_message, "%s",
                   history->clock_message);
    publish_event(service, history->clock_event, NULL, NULL, history->clock_message);
}

/* As soon as there is somebody to hear it: events are not kept until there is a connection. */
static void report_history(struct service *service)
{
    struct publisher_health mqtt;
    struct history_health history;
    publisher_health(service->publisher, &mqtt);
    if (!mqtt.connected)
        return;
    history_health(service->history, &history);
    report_quarantine(service, &history);
    report_problem(service, history.problem);
    report_clock(service, &history);
    if (service->health_due) /* a fault must not wait for the minute */
        publish_health(service);
}

/* ---- sinks ---- */

/* An event of the bridge: logged, published, on record. */
static void tell(struct service *service, enum log_level level, const char *kind, const char *words)
{
    char message[512];
    if (!event_gate_pass(service->events, kind, NULL, NULL, words, clock_boot_ms(), message,
                         sizeof message))
        return;
    if (level == LOG_LEVEL_WARNING)
        log_warning(service->log, "%s", message);
    else
        log_info(service->log, "%s", message);
    history_put_event(service->history, 0, clock_wall_ms(), kind, message);
    publish_event(service, kind, NULL, NULL, message);
}

static void report_sink(struct service *service, size_t number)
{
    struct sink_health sink;
    sinks_health(service->sinks, number, &sink);
    char message[256];
    bool failing = sink.problem[0] != '\0';
    if (failing != service->sink_failing[number]) {
        service->sink_failing[number] = failing;
        (void)snprintf(message, sizeof message,
                       "Sink %s takes what it is sent again; %llu lines since the start.", sink.id,
                       (unsigned long long)sink.delivered);
        if (failing)
            tell(service, LOG_LEVEL_WARNING, "sink_problem", sink.problem);
        else
            tell(service, LOG_LEVEL_INFO, "sink_recovered", message);
    }
    if (sink.refused != service->sink_refused[number]) {
        (void)snprintf(message, sizeof message, "Sink %s refused %llu lines, the last: %.180s",
                       sink.id, (unsigned long long)(sink.refused - service->sink_refused[number]),
                       sink.refusal);
        service->sink_refused[number] = sink.refused;
        tell(service, LOG_LEVEL_WARNING, "sink_refused", message);
    }
}

static void report_sinks(struct service *service)
{
    for (size_t i = 0; i < sinks_count(service->sinks); i++)
        report_sink(service, i);
}

static void stop(struct service *service, enum service_end end)
{
    service->end = end;
    uv_stop(&service->loop);
}

/* Looks before leaping: with a broken file nothing is stopped. */
static enum status reload(void *context, struct error *error)
{
    struct service *service = context;
    struct config_problems *problems memory_auto = memory_new(1, sizeof *problems);
    struct config *config = config_load(service->config_path, environ, problems);
    if (config == NULL) {
        const struct config_problem *first = config_problems_first_error(problems);
        if (first == NULL)
            return error_set(error, STATUS_USAGE, "The configuration cannot be read.");
        return error_set(error, STATUS_USAGE,
                         "%s:%d:%d: %s The running configuration stays in force; `bl2mqtt "
                         "check` lists all problems.",
                         first->file, first->line, first->column, first->message);
    }
    config_free(config);
    watchdog_reloading();
    stop(service, SERVICE_RELOAD);
    return STATUS_OK;
}

static void on_info_changed(void *context)
{
    publish_info(context);
}

/* ---- looking for modules ---- */

static void end_search(struct service *service)
{
    search_close(service->search);
    service->search = NULL;
    request_free(&service->search_request);
}

static void search_done(void *context)
{
    struct service *service = context;
    json_t *result = search_result(service->search);
    json_decref(service->found);
    service->found = json_incref(json_object_get(result, "modules"));
    service_respond(service->config->mqtt.base_topic, service->publisher, &service->search_request,
                    STATUS_OK, result, NULL);
    json_decref(result);
    end_search(service);
}

/* ---- correcting the past ---- */

static enum status start_recalibration(void *context, const struct request *request,
                                       struct error *error)
{
    struct service *service = context;
    return recalibration_begin(service->history, request, &service->recalibration, error);
}

static void finish_recalibration(struct service *service)
{
    enum status status = STATUS_OK;
    struct error error = {""};
    json_t *answer = NULL;
    struct history_recalibrated done = {0};
    struct recalibration *recalibration = service->recalibration;
    if (recalibration == NULL || !recalibration_end(recalibration, &status, &error, &answer, &done))
        return;
    const struct history_recalibration *request = recalibration_correction(recalibration);
    for (size_t i = 0; status == STATUS_OK && !request->dry_run && i < service->device_count; i++)
        if (service_device_recalibrated(service->devices[i], &done, request->undo))
            break;
    service_respond(service->config->mqtt.base_topic, service->publisher,
                    recalibration_request_of(recalibration), status, answer, &error);
    json_decref(answer);
    recalibration_free(recalibration);
    service->recalibration = NULL;
}

static enum status start_search(void *context, const struct request *request, int64_t duration_ms,
                                const char *clear_client, struct error *error)
{
    struct service *service = context;
    if (service->search != NULL)
        return error_set(error, STATUS_FAILED, "A search for modules is running already.");
    const struct search_options options = {
        .config = service->config,
        .duration_ms = duration_ms,
        .clear_client = clear_client,
        .modules_max = SEARCH_ANSWER_MODULES,
        .log = service->log,
        .done = search_done,
        .context = service,
    };
    enum status status = search_start(&service->loop, &options, &service->search, error);
    if (status == STATUS_OK)
        service->search_request = *request;
    return status;
}

/* ---- devices that join while the service runs ---- */

static void chips_received(void *context, const char *client, bool chips[2])
{
    const struct service *service = context;
    size_t index;
    const json_t *module;
    json_array_foreach(service->found, index, module)
    {
        const char *topic = json_string_value(json_object_get(module, "topic"));
        if (topic == NULL || strcmp(topic, client) != 0)
            continue;
        chips[0] = json_is_true(json_object_get(module, "chip_a"));
        chips[1] = json_is_true(json_object_get(module, "chip_b"));
    }
}

static void publish_device_list(struct service *service)
{
    struct message_device *list memory_auto = memory_new(service->device_count, sizeof *list);
    for (size_t i = 0; i < service->device_count; i++)
        list[i].description = service->descriptions[i];
    publish_bridge(service, "devices", message_bridge_devices(list, service->device_count), true);
}

static enum status add_device(struct service *service, const struct config_device *config,
                              struct error *error)
{
    struct service_device *device = NULL;
    enum status status = service_device_create(config, &service->outputs, &device, error);
    if (status != STATUS_OK)
        return status;
    service->descriptions[service->device_count] = service_device_description(device);
    service->devices[service->device_count++] = device;
    return STATUS_OK;
}

static enum status on_adopted(void *context, struct config *alone, struct error *error)
{
    struct service *service = context;
    const struct config_device *config = config_take_device(service->config, alone);
    if (config == NULL) {
        config_free(alone);
        return error_set(error, STATUS_FAILED, "One bridge cannot have more devices.");
    }
    enum status status = add_device(service, config, error);
    if (status != STATUS_OK) {
        config_drop_last_device(service->config);
        return status;
    }
    struct service_device *device = service->devices[service->device_count - 1];
    log_info(service->log, "The module %s was adopted as the device %s.", config->topic,
             config->id);
    publish_event(service, "device_joined", config->id, NULL, "The device was adopted by request.");
    publish_device_list(service);
    publish_info(service);
    service_device_publish(device);
    announcer_add(service->announcer, service_device_description(device));
    sources_add_module(service->sources);
    if (service->updates != NULL)
        updates_add(service->updates, service->device_count - 1, config);
    return STATUS_OK;
}

/* The new beginning takes the device's retained messages and announcements back. */
static enum status on_removed(void *context, const char *id, struct error *error)
{
    enum status status = reload(context, error);
    if (status != STATUS_OK)
        return error_prefix(error, status,
                            "The file of \"%s\" is deleted, so the device leaves at the next "
                            "start, but now the configuration cannot be loaded. ",
                            id);
    publish_event(context, "device_left", id, NULL, "The device was removed by request.");
    return STATUS_OK;
}

static void respond(void *context, const struct request *request, enum status status,
                    const json_t *data, const struct error *error)
{
    const struct service *service = context;
    service_respond(service->config->mqtt.base_topic, service->publisher, request, status, data,
                    error);
}

/* ---- firmware ---- */

static void on_update_changed(void *context, size_t device, const struct device_update *update)
{
    struct service *service = context;
    service_device_set_update(service->devices[device], update, service->sources != NULL);
}

static void on_update_event(void *context, const char *kind, const char *device,
                            const char *message)
{
    publish_event(context, kind, device, NULL, message);
}

static void create_updates(struct service *service)
{
    const struct config *config = service->config;
    if (config->openbeken.images[0] == '\0')
        return;
    const struct updates_options options = {
        .folder = config->openbeken.images,
        .web_password = config->openbeken.web_password,
        .publisher = service->publisher,
        .log = service->log,
        .changed = on_update_changed,
        .event = on_update_event,
        .respond = respond,
        .context = service,
    };
    service->updates = updates_create(&service->loop, &options);
    for (size_t i = 0; i < service->device_count; i++)
        updates_add(service->updates, i, &config->devices[i]);
}

/* ---- copies of the history ---- */

static void backup_event(void *context, const char *kind, const char *message)
{
    struct service *service = context;
    history_put_event(service->history, 0, clock_wall_ms(), kind, message);
    publish_event(service, kind, NULL, NULL, message);
}

struct backup_request {
    struct service *service;
    struct request request;
};

static void backup_done(void *context, enum status status, const char *path, int64_t bytes,
                        const struct error *error)
{
    struct backup_request *asked = context;
    struct service *service = asked->service;
    json_t *data = status != STATUS_OK
                       ? NULL
                       : json_pack("{s:s,s:I}", "path", path, "bytes", (json_int_t)bytes);
    service_respond(service->config->mqtt.base_topic, service->publisher, &asked->request, status,
                    data, error);
    json_decref(data);
    request_free(&asked->request);
    free(asked);
}

static enum status start_backup(void *context, const struct request *request, struct error *error)
{
    struct service *service = context;
    struct backup_request *asked = memory_new(1, sizeof *asked);
    *asked = (struct backup_request){.service = service, .request = *request};
    enum status status = backups_request(service->backups, backup_done, asked, error);
    if (status != STATUS_OK)
        free(asked); /* the request is still the caller's */
    return status;
}

static void end_backups(struct service *service)
{
    backups_close(service->backups);
    service->backups = NULL;
}

/* What was subscribed for modules brings other things as well. */
static bool is_own_topic(const struct service *service, const char *topic)
{
    const char *base = service->config->mqtt.base_topic;
    size_t length = strlen(base);
    return strncmp(topic, base, length) == 0 && topic[length] == '/';
}

static void on_incoming(void *context, const struct publisher_incoming *incoming)
{
    struct service *service = context;
    if (incoming->kind == PUBLISHER_CONNECTED)
        publish_health(service);
    if (service->updates != NULL && updates_incoming(service->updates, incoming))
        return;
    if (sources_incoming(service->sources, incoming)) /* by far the most: asked first */
        return;
    if (announcer_incoming(service->announcer, incoming) || incoming->kind != PUBLISHER_MESSAGE ||
        !is_own_topic(service, incoming->topic))
        return;
    const struct service_requests requests = {
        .base_topic = service->config->mqtt.base_topic,
        .publisher = service->publisher,
        .log = service->log,
        .devices = service->devices,
        .device_count = service->device_count,
        .adoption = service->adoption,
        .updates = service->updates,
        .reload = reload,
        .changed = on_info_changed,
        .search = start_search,
        .backup = start_backup,
        .recalibrate = start_recalibration,
        .context = service,
    };
    service_request(&requests, incoming);
}

static void wake_up(void *context)
{
    struct service *service = context;
    (void)uv_async_send(&service->wake);
}

static void on_wake(uv_async_t *async)
{
    struct service *service = async->data;
    publisher_poll(service->publisher, on_incoming, service);
    log_relay_take(service->relay, publish_log_line, service);
    finish_recalibration(service);
    report_history(service);
}

/* ---- timers and signals ---- */

static void on_tick(uv_timer_t *timer)
{
    struct service *service = timer->data;
    log_flush(service->log);
    watch_clocks(service);
    report_sinks(service);
    report_history(service);
    backups_tick(service->backups, clock_boot_ms());
    for (size_t i = 0; i < service->device_count; i++)
        service_device_tick(service->devices[i], clock_boot_ms());
    if (service->updates != NULL)
        updates_tick(service->updates, clock_boot_ms());
}

static void on_health(uv_timer_t *timer)
{
    publish_health(timer->data);
    (void)malloc_trim(0);
}

static void on_watchdog(uv_timer_t *timer)
{
    struct service *service = timer->data;
    struct history_health history;
    struct publisher_health mqtt;
    history_health(service->history, &history);
    publisher_health(service->publisher, &mqtt);
    watchdog_feed(&service->watchdog, history.progress, mqtt.progress);
}

static void on_stop_signal(uv_signal_t *signal, int number)
{
    struct service *service = signal->data;
    log_info(service->log, "Stopping on %s.", number == SIGINT ? "SIGINT" : "SIGTERM");
    stop(service, SERVICE_STOPPED);
}

static void on_reload_signal(uv_signal_t *signal, int number)
{
    (void)number;
    struct service *service = signal->data;
    struct error error = {""};
    log_info(service->log, "Loading the configuration again on SIGHUP.");
    if (reload(service, &error) != STATUS_OK)
        log_error(service->log, "The configuration was not loaded: %s", error.text);
}

static enum status start_loop(struct service *service, struct error *error)
{
    static const int stop_numbers[] = {SIGTERM, SIGINT};
    int result = uv_loop_init(&service->loop);
    if (result != 0)
        return error_set(error, STATUS_FAILED, "The event loop could not be created: %s.",
                         uv_strerror(result));
    service->loop_ready = true;
    (void)uv_async_init(&service->loop, &service->wake, on_wake);
    (void)uv_timer_init(&service->loop, &service->tick);
    (void)uv_timer_init(&service->loop, &service->health);
    (void)uv_timer_init(&service->loop, &service->watchdog_timer);
    service->wake.data = service->tick.data = service->health.data = service;
    service->watchdog_timer.data = service;
    for (size_t i = 0; i < 2; i++) {
        (void)uv_signal_init(&service->loop, &service->stop_signals[i]);
        service->stop_signals[i].data = service;
        (void)uv_signal_start(&service->stop_signals[i], on_stop_signal, stop_numbers[i]);
    }
    (void)uv_signal_init(&service->loop, &service->reload_signal);
    service->reload_signal.data = service;
    (void)uv_signal_start(&service->reload_signal, on_reload_signal, SIGHUP);
    return STATUS_OK;
}

/* ---- from configuration to a running service ---- */

/* Paths in the configuration are relative to the data directory. */
static enum status in_data_dir(const struct service *service, const char *name, char path[PATH_MAX],
                               struct error *error)
{
    int length = name[0] == '/'
                     ? snprintf(path, PATH_MAX, "%s", name)
                     : snprintf(path, PATH_MAX, "%s/%s", service->config->bridge.data_dir, name);
    if (length < 0 || length >= PATH_MAX)
        return error_set(error, STATUS_USAGE, "The path of %s in bridge.data_dir is too long.",
                         name);
    return STATUS_OK;
}

/* "" for copies beside the history. */
static enum status backup_folder(const struct service *service, char folder[PATH_MAX],
                                 struct error *error)
{
    const char *name = service->config->history.backup_folder;
    return name[0] == '\0' ? STATUS_OK : in_data_dir(service, name, folder, error);
}

static void read_boot_id(char boot_id[40])
{
    char *bytes memory_auto = NULL;
    size_t length = 0;
    boot_id[0] = '\0'; /* then every start counts as a reboot: safe, only less exact */
    if (file_read("/proc/sys/kernel/random/boot_id", 64, &bytes, &length, NULL) == STATUS_OK)
        (void)snprintf(boot_id, 40, "%.*s", (int)strcspn(bytes, "\n"), bytes);
}

/* The configuration's -1 for ever is the history's 0. */
static int64_t keep_ms(int64_t configured_ms)
{
    return configured_ms < 0 ? 0 : configured_ms;
}

static enum status open_history(struct service *service, struct error *error)
{
    char path[PATH_MAX];
    enum status status = file_make_folder(service->config->bridge.data_dir, error);
    if (status == STATUS_OK)
        status = in_data_dir(service, "preferences.json", path, error);
    if (status != STATUS_OK)
        return status;
    service->preferences = preferences_open(path, service->log);

    status = in_data_dir(service, service->config->history.path, path, error);
    char folder[PATH_MAX] = "";
    if (status == STATUS_OK)
        status = backup_folder(service, folder, error);
    if (status != STATUS_OK)
        return status;
    int64_t keep_hour_ms = service->config->history.keep_hour_ms;
    if (keep_hour_ms > 0 && service->config->history.keep_minute_ms > keep_hour_ms)
        keep_hour_ms = service->config->history.keep_minute_ms;
    if (service->config->history.keep_minute_ms < 0)
        keep_hour_ms = -1;
    const struct history_options options = {
        .path = path,
        .backup_folder = folder,
        .commit_interval_ms = service->config->history.commit_interval_ms,
        .clock_wait_ms = service->config->history.clock_wait_ms,
        .queue_limit = QUEUE_LIMIT,
        .keep_raw_ms = keep_ms(service->config->history.keep_raw_ms),
        .keep_minute_ms = keep_ms(service->config->history.keep_minute_ms),
        .keep_hour_ms = keep_ms(keep_hour_ms),
        .log = service->log,
        .wake = wake_up,
        .wake_context = service,
    };
    status = history_open(&options, &service->history, error);
    if (status != STATUS_OK)
        return status;
    const struct sinks_options sinks = {
        .config = service->config,
        .history_path = path,
        .history = service->history,
    };
    return sinks_create(&sinks, &service->sinks, error);
}

static enum status create_backups(struct service *service, struct error *error)
{
    const struct config_history *history = &service->config->history;
    char path[PATH_MAX];
    char folder[PATH_MAX] = "";
    enum status status = in_data_dir(service, history->path, path, error);
    if (status == STATUS_OK)
        status = backup_folder(service, folder, error);
    if (status == STATUS_OK && folder[0] != '\0')
        status = file_make_folder(folder, error);
    if (status != STATUS_OK)
        return status;
    const struct backups_options options = {
        .path = path,
        .folder = folder,
        .time = history->backup_time,
        .keep = history->backup_keep,
        .log = service->log,
        .event = backup_event,
        .context = service,
    };
    return backups_create(&service->loop, &options, &service->backups, error);
}

static enum status create_publisher(struct service *service, struct error *error)
{
    const struct config_mqtt *mqtt = &service->config->mqtt;
    char will_topic[256], client_id[64];
    (void)snprintf(client_id, sizeof client_id, "bl2mqtt_%s", service->config->bridge.id);
    struct publisher_options options = broker_options(mqtt);
    options.client_id = mqtt->client_id[0] != '\0' ? mqtt->client_id : client_id;
    options.will_topic = bridge_topic(service, "state", will_topic, sizeof will_topic);
    options.will_payload = MESSAGE_OFFLINE;
    options.birth_payload = MESSAGE_ONLINE;
    options.log = service->log;
    options.wake = wake_up;
    options.wake_context = service;
    return publisher_create(&options, &service->publisher, error);
}

static enum status create_devices(struct service *service, struct error *error)
{
    const struct config *config = service->config;
    service->outputs = (struct service_outputs){
        .history = service->history,
        .publisher = service->publisher,
        .preferences = service->preferences,
        .log = service->log,
        .base_topic = config->mqtt.base_topic,
        .boot_id = service->boot_id,
        .events = service->events,
        .updates = config->openbeken.images[0] != '\0',
        .event = publish_event,
        .statistics = statistics_of,
        .context = service,
    };
    service->devices = memory_new(CONFIG_DEVICES_MAX, sizeof(struct service_device *));
    service->descriptions = memory_new(CONFIG_DEVICES_MAX, sizeof *service->descriptions);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < config->device_count && status == STATUS_OK; i++)
        status = add_device(service, &config->devices[i], error);
    return status;
}

static enum status create_adoption(struct service *service, struct error *error)
{
    char path[PATH_MAX];
    enum status status = in_data_dir(service, "topics.json", path, error);
    if (status != STATUS_OK)
        return status;
    const struct adoption_options options = {
        .config = service->config,
        .roster_path = path,
        .log = service->log,
        .received = chips_received,
        .adopted = on_adopted,
        .removed = on_removed,
        .respond = respond,
        .context = service,
    };
    service->adoption = adoption_create(&service->loop, &options);
    return STATUS_OK;
}

static void subscribe(struct service *service)
{
    char filter[256];
    publisher_subscribe(service->publisher,
                        bridge_topic(service, "request/#", filter, sizeof filter), 1);
    (void)snprintf(filter, sizeof filter, "%s/+/set", service->config->mqtt.base_topic);
    publisher_subscribe(service->publisher, filter, 1);
}

static enum status create_announcer(struct service *service, struct error *error)
{
    const struct config *config = service->config;
    char path[PATH_MAX];
    enum status status = in_data_dir(service, "announced.json", path, error);
    if (status != STATUS_OK)
        return status;
    const struct announcer_options options = {
        .context = {.base_topic = config->mqtt.base_topic,
                    .bridge_id = config->bridge.id,
                    .prefix = config->homeassistant.discovery_prefix,
                    .version = BL2MQTT_VERSION,
                    .device_mode = config->homeassistant.device_discovery},
        .enabled = config->homeassistant.enabled,
        .status_topic = config->homeassistant.status_topic,
        .memory_path = path,
        .device_count = service->device_count,
        .devices = service->descriptions,
        .refresh = publish_devices,
        .refresh_context = service,
        .log = service->log,
    };
    service->announcer = announcer_create(&service->loop, &options, service->publisher);
    return STATUS_OK;
}

static void clear_topics(void *context, const char *topic)
{
    struct service *service = context;
    char availability[512];
    if (snprintf(availability, sizeof availability, "%s/availability", topic) >=
        (int)sizeof availability)
        return;
    publisher_publish(service->publisher, topic, "", 0, true, 1);
    publisher_publish(service->publisher, availability, "", 0, true, 1);
}

static enum status forget_removed_devices(struct service *service, struct error *error)
{
    char path[PATH_MAX];
    enum status status = in_data_dir(service, "topics.json", path, error);
    if (status == STATUS_OK)
        roster_update(path, service->config, clear_topics, service, service->log);
    return status;
}

static void start_timers(struct service *service)
{
    (void)uv_timer_start(&service->tick, on_tick, TICK_MS, TICK_MS);
    (void)uv_timer_start(&service->health, on_health, HEALTH_MS, HEALTH_MS);
    watchdog_init(&service->watchdog);
    uint64_t feed_ms = (uint64_t)service->watchdog.interval_ms;
    if (feed_ms > 0)
        (void)uv_timer_start(&service->watchdog_timer, on_watchdog, feed_ms, feed_ms);
}

/* Start and stop are on record, so that times without readings can be explained. */
static enum status begin_history(struct service *service, struct error *error)
{
    enum status status = history_start(service->history, error);
    if (status != STATUS_OK)
        return status;
    service->history_started = true;
    history_put_event(service->history, 0, clock_wall_ms(), "started",
                      "bl2mqtt " BL2MQTT_VERSION " started.");
    return sinks_start(service->sinks, error);
}

static enum status start(struct service *service, struct error *error)
{
    enum status status = start_loop(service, error);
    if (status == STATUS_OK)
        status = open_history(service, error);
    if (status == STATUS_OK)
        status = create_backups(service, error);
    if (status == STATUS_OK)
        status = create_publisher(service, error);
    if (status != STATUS_OK)
        return status;
    service->relay = log_relay_create(service->log, wake_up, service);
    status = create_devices(service, error);
    if (status == STATUS_OK)
        status = begin_history(service, error);
    if (status == STATUS_OK)
        status = create_announcer(service, error);
    if (status == STATUS_OK)
        status = forget_removed_devices(service, error);
    if (status == STATUS_OK)
        status = create_adoption(service, error);
    if (status == STATUS_OK)
        status = publisher_start(service->publisher, error);
    if (status != STATUS_OK)
        return status;

    static const struct sources_sink sink = {
        .reading = on_reading,
        .availability = on_availability,
        .event = on_driver_event,
    };
    struct sources_sink own_sink = sink;
    own_sink.context = service;
    service->sources = sources_create(&service->loop, service->config, &own_sink,
                                      service->publisher, service->log);

    create_updates(service);
    subscribe(service);
    publish_info(service);
    publish_device_list(service);
    publish_health(service);
    publish_devices(service);
    /* What was built for these messages is several times what stays; with thousands of devices it is
     * worth giving back. */
    (void)malloc_trim(0);
    start_timers(service);
    return STATUS_OK;
}

static void close_handle(uv_handle_t *handle, void *unused)
{
    (void)unused;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

/* In this order: no more readings, commit them, say goodbye, and only then free what logged. */
static void finish(struct service *service)
{
    sources_close(service->sources);
    service->sources = NULL;
    if (service->search != NULL)
        end_search(service);
    adoption_close(service->adoption);
    updates_close(service->updates);
    end_backups(service);
    announcer_close(service->announcer);
    sinks_close(service->sinks);
    if (service->history_started)
        history_put_event(service->history, 0, clock_wall_ms(), "stopped", "bl2mqtt stopped.");
    recalibration_free(service->recalibration); /* it may be done, but nobody is told any more */
    if (service->history != NULL)
        history_close(service->history, HISTORY_CLOSE_MS);
    if (service->publisher != NULL)
        publisher_close(service->publisher, PUBLISHER_CLOSE_MS);
    log_relay_close(service->relay);
    for (size_t i = 0; i < service->device_count; i++)
        service_device_free(service->devices[i]);
    free(service->devices);
    free(service->descriptions);
    json_decref(service->found);
    preferences_close(service->preferences);
    if (service->loop_ready) {
        uv_walk(&service->loop, close_handle, NULL);
        (void)uv_run(&service->loop, UV_RUN_DEFAULT);
        (void)uv_loop_close(&service->loop);
    }
}

enum status service_run(struct config *config, const char *config_path, struct log *log,
                        enum service_end *end, struct error *error)
{
    struct service *service = memory_new(1, sizeof *service);
    service->config = config;
    service->config_path = config_path;
    service->log = log;
    service->started_wall_ms = clock_wall_ms();
    service->started_boot_ms = clock_boot_ms();
    service->events = event_gate_create();
    read_boot_id(service->boot_id);

    enum status status = start(service, error);
    if (status == STATUS_OK) {
        char running[128];
        (void)snprintf(running, sizeof running, "Running with %zu device(s) from %.80s.",
                       config->device_count, config_path);
        log_info(log, "bl2mqtt %s: %s", BL2MQTT_VERSION, running);
        watchdog_ready(running);
        (void)uv_run(&service->loop, UV_RUN_DEFAULT);
        if (service->end == SERVICE_STOPPED)
            watchdog_stopping();
    }
    finish(service);
    *end = service->end;
    event_gate_free(service->events);
    free(service);
    return status;
}
