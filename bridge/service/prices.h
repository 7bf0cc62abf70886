/* SPDX-License-Identifier: MIT */
/**
 * Dynamic prices, and in the same way CO2 intensities, as they come from a topic or a file (interval_message.h), for the tariffs that follow them. They
 * go into the history, so that costs of the past are right whenever a price arrives or is corrected; those of now
 * are kept in memory as well. Disk and file are for worker threads. Loop thread only.
 */
#ifndef BRIDGE_SERVICE_PRICES_H
#define BRIDGE_SERVICE_PRICES_H

#include "bridge/meter/intervals.h"
#include "bridge/meter/tariff.h"
#include "bridge/mqtt/publisher.h"
#include "drivers/base/log.h"

#include <uv.h>

struct prices_options {
    uv_loop_t *loop;
    enum interval_kind kind;
    const char *data_dir;           /**< borrowed, as all */
    struct tariffs *const *tariffs; /**< for prices: whether some are wanted */
    struct publisher *publisher;
    const char *history_path;
    struct log *log;
    /** Prices are stored. past: also of times that are over, so that costs are to be calculated anew. */
    void (*changed)(void *context, bool past);
    /** "prices_missing", "prices_back", "prices_refused", or "co2_missing" and so on; and the health has changed. */
    void (*event)(void *context, const char *kind, const char *message);
    void *context;
};

/** Where they come from, as in the keys of the configuration: copied. */
struct prices_source {
    const char *topic, *file; /**< "": none */
    int64_t divisor;          /**< of the numbers */
};

struct prices;

/** Nothing comes before prices_follow(). */
struct prices *prices_create(const struct prices_options *options);
/** From now on they come from there; what is known stays. */
void prices_follow(struct prices *prices, const struct prices_source *source);
/** Whether they come from anywhere. */
bool prices_configured(const struct prices *prices);
/** What is at the disk is ended. The loop must run until then. NULL is allowed. */
void prices_close(struct prices *prices);

/** Those of yesterday, now and to come. Borrowed, at one place. */
const struct intervals *prices_known(const struct prices *prices);
/** True if the message was for the prices. NULL is allowed, here and in prices_tick(). */
bool prices_incoming(struct prices *prices, const struct publisher_incoming *incoming);
/** About once a second. */
void prices_tick(struct prices *prices, int64_t wall_ms, int64_t boot_ms);
/** A sentence for health: which price is missing, or what was refused; "" if nothing is wrong. */
const char *prices_problem(const struct prices *prices);

#endif
