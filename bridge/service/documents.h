/* SPDX-License-Identifier: MIT */
/**
 * What only the whole bridge knows of bridge/info and bridge/health, for the hub, which makes the
 * documents. Loop thread only.
 */
#ifndef BRIDGE_SERVICE_DOCUMENTS_H
#define BRIDGE_SERVICE_DOCUMENTS_H

#include "bridge/config/config.h"
#include "bridge/history/history.h"
#include "bridge/hub/hub.h"
#include "bridge/mqtt/own_topics.h"
#include "bridge/mqtt/publisher.h"
#include "bridge/service/backups.h"
#include "bridge/service/handlers.h"
#include "bridge/service/prices.h"
#include "bridge/sinks/sinks.h"

struct documents_options {
    const struct config *const *config; /**< where the owner keeps the one in force */
    struct hub *hub;
    struct history *history;
    struct publisher *publisher;
    struct sinks *sinks;
    const struct prices *const *prices, *const *co2; /**< where they are kept */
    struct backups *backups;
    struct log *log;
    int64_t started_wall_ms, started_boot_ms;
    /** Where the owner keeps what comes into being later. */
    const struct own_topics *const *own_topics;
    const struct handlers *const *handlers;
    const struct backfills *const *backfills;
};

struct documents;

/** All borrowed. Becomes the hub's source until it is freed. */
struct documents *documents_create(const struct documents_options *options);
/** A changed setting holds only after a restart. */
void documents_set_restart_required(struct documents *documents, bool required);
/** NULL is allowed. */
void documents_free(struct documents *documents);

#endif
