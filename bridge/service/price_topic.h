/* SPDX-License-Identifier: MIT */
/** Keeps <base>/bridge/price, retained: the price that holds now (bridge/meter/price.h). Loop thread only. */
#ifndef BRIDGE_SERVICE_PRICE_TOPIC_H
#define BRIDGE_SERVICE_PRICE_TOPIC_H

#include "bridge/meter/price.h"
#include "bridge/mqtt/publisher.h"

struct price_topic;

/** Without tariffs the topic is emptied. publisher, tariffs (where those in force are kept) and market are borrowed,
 *  base_topic is copied. */
struct price_topic *price_topic_create(struct publisher *publisher, const char *base_topic,
                                       struct tariffs *const *tariffs,
                                       const struct intervals *market);
/** NULL is allowed. */
void price_topic_free(struct price_topic *topic);

/** Other tariffs are in force, or prices are known: what is published is made anew. */
void price_topic_changed(struct price_topic *topic);

/** About once a second: publishes when the price changed, or when it will. */
void price_topic_tick(struct price_topic *topic, int64_t wall_ms);

#endif
