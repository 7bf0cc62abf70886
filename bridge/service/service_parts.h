/* SPDX-License-Identifier: MIT */
/** The parts of the running service, for the files that wire them: service.c, service_start.c and
 *  service_optional.c. */
#ifndef BRIDGE_SERVICE_SERVICE_PARTS_H
#define BRIDGE_SERVICE_SERVICE_PARTS_H

#include "bridge/mqtt/announcer.h"
#include "bridge/mqtt/bridge_output.h"
#include "bridge/mqtt/own_topics.h"
#include "bridge/mqtt/request_door.h"
#include "bridge/mqtt/state_output.h"
#include "bridge/service/backfills.h"
#include "bridge/service/backups.h"
#include "bridge/service/co2_topic.h"
#include "bridge/service/documents.h"
#include "bridge/service/event_gate.h"
#include "bridge/service/handlers.h"
#include "bridge/service/log_relay.h"
#include "bridge/service/module_facts.h"
#include "bridge/service/notices.h"
#include "bridge/service/past_reader.h"
#include "bridge/service/price_topic.h"
#include "bridge/service/prices.h"
#include "bridge/service/service.h"
#include "bridge/service/service_device.h"
#include "bridge/service/settings.h"
#include "bridge/service/sources.h"
#include "bridge/service/updates.h"
#include "bridge/service/virtuals.h"
#include "bridge/service/watchdog.h"
#include "bridge/service/web_output.h"
#include "bridge/sinks/sinks.h"

#include <limits.h>
#include <signal.h>
#include <uv.h>

struct service {
    struct config *config;       /* in force */
    struct config *first_config; /* at the start; what only a restart changes is borrowed from it */
    const char *config_path;
    struct log *log;
    enum service_end end;
    int64_t started_wall_ms, started_boot_ms;
    char boot_id[40];
    char topics_path[PATH_MAX]; /* of the roster */

    uv_loop_t loop;
    uv_async_t wake;
    uv_timer_t tick, health, flush, watchdog_timer;
    uv_work_t first_work;
    uv_signal_t stop_signals[2], reload_signal;
    int64_t flush_ms;  /* until the next lists; 0: not known yet */
    size_t given_back; /* how many devices there were when memory was last given back */
    bool loop_ready;
    bool running; /* everything was started */
    struct watchdog watchdog;
    struct log_relay *relay;
    struct event_gate *events;

    struct hub *hub;
    struct notices *notices;
    struct documents *documents;

    struct preferences *preferences;
    struct history *history;
    bool history_started;
    int64_t commit_ms; /* the last commit that was looked at, ... */
    int64_t totals_ms; /* ... and when totals last reached the disk then */
    struct backups *backups;
    struct sinks *sinks;

    struct publisher *publisher;
    struct state_output *state_output;
    struct bridge_output *bridge_output;
    struct announcer *announcer;
    struct own_topics *own_topics;
    struct mqtt_door *door;

    struct requests *requests;
    struct handlers *handlers;
    struct web_output *web; /* NULL: off, or its address is in use */
    struct settings *settings;
    struct module_facts *facts;
    struct updates *updates;     /* NULL: no folder of firmware is configured */
    struct backfills *backfills; /* NULL: not configured */

    struct sources *sources;
    struct service_outputs outputs;
    struct virtuals *virtuals;
    struct prices *prices;
    struct prices *co2;
    char currency[TARIFF_CURRENCY_SIZE]; /* of the tariffs; "": there are none */
    struct price_topic *price_topic;
    struct co2_topic *co2_topic;
    struct tariffs *tariffs; /* in force */
    struct past_reader *pasts;
    char *history_path;
    struct service_device **devices;
    size_t device_count;
};

/* service.c: what the parts call back. context is the service. */
extern const struct driver_sink service_sink; /* without its context */
void service_totals_shifted(void *context, const struct service_device *device, size_t channel,
                            int64_t imported_uwh, int64_t exported_uwh);
bool service_statistics(void *context, size_t source, size_t channel,
                        struct driver_statistics *statistics);
enum status service_reload(void *context, struct error *error);
void service_update_changed(void *context, void *owner, const struct device_update *update);
void service_update_event(void *context, const char *kind, const char *device, const char *message);
bool service_set(void *context, const char *device, const char *key, const char *payload,
                 size_t length);
bool service_get(void *context, const char *id);
bool service_meant_device(const void *context, const char *request, const char *word,
                          const char **id, struct error *error);
/** Those of the configuration are in force from now on. */
void service_take_tariffs(struct service *service);
void service_follow_prices(struct service *service);
void service_prices_changed(void *context, bool past);
void service_co2_changed(void *context, bool past);
void service_prices_event(void *context, const char *kind, const char *message);
void service_wake(void *context);
void service_flush_soon(void *context);

/** Holds SIGTERM, SIGINT and SIGHUP on this thread until the next service_start_loop. */
void service_hold_signals(sigset_t *set);
enum status service_start_loop(struct service *service, struct error *error);
void service_start_timers(struct service *service);

/* service_optional.c */
void service_start_optional(struct service *service);

/* service_start.c */
enum status service_start(struct service *service, struct error *error);
void service_finish(struct service *service);

#endif
