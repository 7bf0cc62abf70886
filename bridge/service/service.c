/* SPDX-License-Identifier: MIT */
/* The running service: what comes from drivers, broker, timers and signals goes to the part that it is for. */
#include "bridge/service/service.h"

#include "bridge/config/tariffs.h"
#include "bridge/service/service_parts.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TICK_MS 1000
#define HEALTH_MS 60000
#define FLUSH_MS 100   /* so long changes of lists are collected ... */
#define FLUSH_SHARE 20 /* ... and so many times as long as making them took */
#define MANY_DEVICES 50

/* ---- what comes from the drivers ---- */

static void on_reading(void *context, unsigned number, const struct reading *reading)
{
    struct service *service = context;
    size_t channel;
    struct service_device *owner = sources_owner(service->sources, number, &channel);
    notices_clock(service->notices);
    service_device_reading(owner, channel, reading);
    virtuals_reading(service->virtuals, owner, channel, reading);
}

static void on_availability(void *context, unsigned number, bool online, const char *reason)
{
    struct service *service = context;
    size_t channel;
    struct service_device *owner = sources_owner(service->sources, number, &channel);
    service_device_availability(owner, channel, online, reason);
    virtuals_availability(service->virtuals, owner, channel, online);
}

static void on_driver_event(void *context, unsigned number, enum driver_event event,
                            const char *message)
{
    struct service *service = context;
    size_t channel;
    struct service_device *owner = sources_owner(service->sources, number, &channel);
    service_device_driver_event(owner, channel, event, message);
}

const struct driver_sink service_sink = {
    .reading = on_reading,
    .availability = on_availability,
    .event = on_driver_event,
};

bool service_statistics(void *context, size_t source, size_t channel,
                        struct driver_statistics *statistics)
{
    const struct service *service = context;
    return service->sources != NULL &&
           sources_statistics(service->sources, source, channel, statistics);
}

void service_totals_shifted(void *context, const struct service_device *device, size_t channel,
                            int64_t imported_uwh, int64_t exported_uwh)
{
    struct service *service = context;
    virtuals_shifted(service->virtuals, device, channel, imported_uwh, exported_uwh);
}

/* ---- the end ---- */

static void stop(struct service *service, enum service_end end)
{
    service->end = end;
    uv_stop(&service->loop);
}

/* Looks before leaping: with a broken file nothing is stopped. */
enum status service_reload(void *context, struct error *error)
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

/* ---- firmware ---- */

static void publish_event(struct service *service, const char *kind, const char *device,
                          const char *message)
{
    const struct message_event event = {
        .type = kind, .wall_ms = clock_wall_ms(), .device = device, .message = message};
    hub_event(service->hub, &event);
}

void service_update_changed(void *context, void *owner, const struct device_update *update)
{
    (void)context;
    service_device_set_update(owner, update);
}

void service_update_event(void *context, const char *kind, const char *device, const char *message)
{
    publish_event(context, kind, device, message);
}

/* ---- what comes from the broker and from other threads ---- */

static void on_incoming(void *context, const struct publisher_incoming *incoming)
{
    struct service *service = context;
    bridge_output_incoming(service->bridge_output, incoming);
    (void)prices_incoming(service->prices, incoming); /* a driver may read the topic as well */
    (void)prices_incoming(service->co2, incoming);
    module_facts_incoming(service->facts, incoming);
    if (service->updates != NULL && updates_incoming(service->updates, incoming))
        return;
    if (sources_incoming(service->sources, incoming)) /* by far the most: asked first */
        return;
    if (!announcer_incoming(service->announcer, incoming) &&
        !own_topics_incoming(service->own_topics, incoming))
        (void)mqtt_door_incoming(service->door, incoming);
}

bool service_set(void *context, const char *device, const char *key, const char *payload,
                 size_t length)
{
    const struct service *service = context;
    return handlers_set_device(service->handlers, device, key, payload, length);
}

/* The past of a device that is gone stays with its id, whatever another one is called by now. */
bool service_meant_device(const void *context, const char *request, const char *word,
                          const char **id, struct error *error)
{
    const struct service *service = context;
    struct error ambiguous = {""};
    bool past = strncmp(request, "history/", strlen("history/")) == 0;
    const struct hub_device *device = past && history_has_device(service->history, word)
                                          ? NULL
                                          : hub_find_named(service->hub, word, &ambiguous);
    *id = device == NULL ? NULL : hub_device_description(device)->id;
    if (ambiguous.text[0] == '\0')
        return true;
    (void)error_set(error, STATUS_USAGE, "%s", ambiguous.text);
    return false;
}

bool service_get(void *context, const char *id)
{
    struct service *service = context;
    struct hub_device *device = hub_find_named(service->hub, id, NULL);
    if (device != NULL)
        state_output_publish(service->state_output, device);
    return device != NULL;
}

void service_take_tariffs(struct service *service)
{
    const struct config *config = service->config;
    service->tariffs = config_tariffs(config);
    (void)snprintf(service->currency, sizeof service->currency, "%s",
                   config->tariff_count == 0 ? "" : config->tariffs[0].currency);
}

void service_follow_prices(struct service *service)
{
    static const int64_t divisors[] = {
        [PRICE_UNIT_KWH] = 1, [PRICE_UNIT_MWH] = 1000, [PRICE_UNIT_CENTS] = 100};
    const struct config *config = service->config;
    const struct prices_source prices = {.topic = config->prices.topic,
                                         .file = config->prices.file,
                                         .divisor = divisors[config->prices.unit]};
    const struct prices_source co2 = {
        .topic = config->co2.topic, .file = config->co2.file, .divisor = 1};
    prices_follow(service->prices, &prices);
    prices_follow(service->co2, &co2);
    co2_topic_follow(service->co2_topic, prices_configured(service->co2));
}

void service_prices_changed(void *context, bool past)
{
    struct service *service = context;
    price_topic_changed(service->price_topic);
    price_topic_tick(service->price_topic, clock_wall_ms());
    for (size_t i = 0; i < service->device_count && past; i++)
        service_device_repriced(service->devices[i]);
}

void service_co2_changed(void *context, bool past)
{
    struct service *service = context;
    (void)past; /* history cost reads it whenever it is asked */
    co2_topic_changed(service->co2_topic);
    co2_topic_tick(service->co2_topic, clock_wall_ms());
}

void service_prices_event(void *context, const char *kind, const char *message)
{
    struct service *service = context;
    publish_event(service, kind, NULL, message);
    history_put_event(service->history, 0, clock_wall_ms(), kind, message);
    hub_health_changed(service->hub);
}

static void on_log_line(void *context, enum log_level level, const char *message)
{
    const struct service *service = context;
    hub_log(service->hub, level, message);
}

/* Totals that reached the disk are to be published. */
static void look_for_commit(struct service *service)
{
    struct history_health history;
    history_health(service->history, &history);
    bool committed = history.last_commit_boot_ms != service->commit_ms;
    if (!committed && history.totals_boot_ms == service->totals_ms)
        return;
    service->commit_ms = history.last_commit_boot_ms;
    service->totals_ms = history.totals_boot_ms;
    for (size_t i = 0; i < service->device_count; i++)
        service_device_stored(service->devices[i], committed);
}

void service_wake(void *context)
{
    struct service *service = context;
    (void)uv_async_send(&service->wake);
}

static void on_wake(uv_async_t *async)
{
    struct service *service = async->data;
    publisher_poll(service->publisher, on_incoming, service);
    log_relay_take(service->relay, on_log_line, service);
    handlers_history(service->handlers);
    notices_history(service->notices);
    look_for_commit(service);
}

/* Behind many devices that came or went stays several times what is in use. */
static void give_memory_back(struct service *service)
{
    size_t now = service->device_count, before = service->given_back;
    if ((now > before ? now - before : before - now) < MANY_DEVICES)
        return;
    service->given_back = now;
    (void)malloc_trim(0);
}

/* The lists of thousands of devices take their time: they are made ever more rarely. */
static void on_flush(uv_timer_t *timer)
{
    struct service *service = timer->data;
    int64_t began_ms = clock_boot_ms();
    hub_flush(service->hub);
    give_memory_back(service);
    service->flush_ms = FLUSH_MS + FLUSH_SHARE * (clock_boot_ms() - began_ms);
}

void service_flush_soon(void *context)
{
    struct service *service = context;
    if (!uv_is_active((const uv_handle_t *)&service->flush))
        (void)uv_timer_start(&service->flush, on_flush,
                             (uint64_t)(service->flush_ms > 0 ? service->flush_ms : FLUSH_MS), 0);
}

/* ---- timers and signals ---- */

static void on_tick(uv_timer_t *timer)
{
    struct service *service = timer->data;
    int64_t boot_ms = clock_boot_ms();
    log_flush(service->log);
    notices_clock(service->notices);
    notices_sinks(service->notices);
    notices_history(service->notices);
    look_for_commit(service);
    backups_tick(service->backups, boot_ms);
    price_topic_tick(service->price_topic, clock_wall_ms());
    prices_tick(service->prices, clock_wall_ms(), boot_ms);
    co2_topic_tick(service->co2_topic, clock_wall_ms());
    prices_tick(service->co2, clock_wall_ms(), boot_ms);
    for (size_t i = 0; i < service->device_count; i++)
        service_device_tick(service->devices[i]);
    if (service->updates != NULL)
        updates_tick(service->updates, boot_ms);
}

static void on_health(uv_timer_t *timer)
{
    const struct service *service = timer->data;
    hub_health_changed(service->hub);
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

static void on_reloaded(void *context, enum status status, const struct settings_result *result,
                        const struct error *error)
{
    const struct service *service = context;
    watchdog_ready("Running.");
    if (status != STATUS_OK) {
        log_error(service->log, "The configuration was not loaded: %s", error->text);
        return;
    }
    size_t count = json_array_size(result->changed);
    log_info(service->log, "The configuration was loaded; %zu keys or devices changed.%s", count,
             result->restart_required ? " Some of it holds only after a restart." : "");
}

static void on_reload_signal(uv_signal_t *signal, int number)
{
    (void)number;
    struct service *service = signal->data;
    struct error error = {""};
    log_info(service->log, "Loading the configuration again on SIGHUP.");
    watchdog_reloading();
    const struct settings_change change = {
        .kind = SETTINGS_RELOAD, .done = on_reloaded, .context = service};
    enum status status = settings_submit(service->settings, &change, &error);
    if (status != STATUS_OK)
        on_reloaded(service, status, NULL, &error);
}

static void do_nothing(uv_work_t *work)
{
    (void)work;
}

void service_hold_signals(sigset_t *set)
{
    (void)sigemptyset(set);
    (void)sigaddset(set, SIGTERM);
    (void)sigaddset(set, SIGINT);
    (void)sigaddset(set, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, set, NULL);
}

enum status service_start_loop(struct service *service, struct error *error)
{
    static const int stop_numbers[] = {SIGTERM, SIGINT};
    sigset_t stop_set;
    service_hold_signals(&stop_set);
    int result = uv_loop_init(&service->loop);
    if (result != 0)
        return error_set(error, STATUS_FAILED, "The event loop could not be created: %s.",
                         uv_strerror(result));
    service->loop_ready = true;
    (void)uv_async_init(&service->loop, &service->wake, on_wake);
    (void)uv_timer_init(&service->loop, &service->tick);
    (void)uv_timer_init(&service->loop, &service->health);
    (void)uv_timer_init(&service->loop, &service->flush);
    (void)uv_timer_init(&service->loop, &service->watchdog_timer);
    service->wake.data = service->tick.data = service->health.data = service;
    service->watchdog_timer.data = service->flush.data = service;
    for (size_t i = 0; i < 2; i++) {
        (void)uv_signal_init(&service->loop, &service->stop_signals[i]);
        service->stop_signals[i].data = service;
        (void)uv_signal_start(&service->stop_signals[i], on_stop_signal, stop_numbers[i]);
    }
    (void)uv_signal_init(&service->loop, &service->reload_signal);
    service->reload_signal.data = service;
    (void)uv_signal_start(&service->reload_signal, on_reload_signal, SIGHUP);
    /* libuv's worker threads come into being here, where signals are held, so that they never take any. */
    (void)uv_queue_work(&service->loop, &service->first_work, do_nothing, NULL);
    (void)pthread_sigmask(SIG_UNBLOCK, &stop_set, NULL); /* one may have waited for this loop */
    return STATUS_OK;
}

void service_start_timers(struct service *service)
{
    (void)uv_timer_start(&service->tick, on_tick, clock_to_grid_ms(TICK_MS), TICK_MS);
    (void)uv_timer_start(&service->health, on_health, HEALTH_MS, HEALTH_MS);
    watchdog_init(&service->watchdog);
    uint64_t feed_ms = (uint64_t)service->watchdog.interval_ms;
    if (feed_ms > 0)
        (void)uv_timer_start(&service->watchdog_timer, on_watchdog, feed_ms, feed_ms);
}
