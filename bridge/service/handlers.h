/* SPDX-License-Identifier: MIT */
/**
 * The handlers of all requests (requests/table.h), and those that still run. Loop thread only.
 */
#ifndef BRIDGE_SERVICE_HANDLERS_H
#define BRIDGE_SERVICE_HANDLERS_H

#include "bridge/config/config.h"
#include "bridge/history/history.h"
#include "bridge/hub/hub.h"
#include "bridge/meter/tariff.h"
#include "bridge/mqtt/announcer.h"
#include "bridge/requests/table.h"
#include "bridge/service/backfills.h"
#include "bridge/service/backups.h"
#include "bridge/service/settings.h"
#include "bridge/service/updates.h"

struct handlers_options {
    uv_loop_t *loop;
    const struct config *const
        *config;                    /**< where the owner keeps the one in force; borrowed, as all */
    struct tariffs *const *tariffs; /**< likewise */
    const char *config_path;
    const char *history_path; /**< copied */
    struct history *history;
    struct hub *hub;
    struct backups *backups;
    struct log *log;
    /** Announces to Home Assistant anew; removes announcements that nothing stands behind and returns how
     *  many. */
    void (*refresh)(void *context);
    size_t (*purge)(void *context);
    /** Checks the configuration; if it is good, the service ends and begins again with it. */
    enum status (*reload)(void *context, struct error *error);
    void *context;
};

struct handlers;

struct handlers *handlers_create(const struct handlers_options *options);
/** What comes into being later. */
void handlers_set_settings(struct handlers *handlers, struct settings *settings);
void handlers_set_updates(struct handlers *handlers, struct updates *updates);
void handlers_set_backfills(struct handlers *handlers, struct backfills *backfills);

/** For requests_create, with handlers as the context. */
extern const struct request_handlers service_handlers;

/** Which chips the last search received of the module with this client id. */
void handlers_chips_received(const struct handlers *handlers, const char *client, bool chips[2]);

/** Whether a search for modules (permit_join) is running. NULL is allowed. */
bool handlers_searching(const struct handlers *handlers);

/** When the history woke its owner. */
void handlers_history(struct handlers *handlers);

/** Ends what still runs. After backups_close, before requests_free. The loop must run once more. */
void handlers_close(struct handlers *handlers);
/** After requests_free. NULL is allowed. */
void handlers_free(struct handlers *handlers);

/** <base>/<device>/set, as the MQTT door needs it. */
bool handlers_set_device(void *context, const char *device, const char *key, const char *payload,
                         size_t length);

#endif
