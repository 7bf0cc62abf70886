/* SPDX-License-Identifier: MIT */
/** Keeps <base>/bridge/co2, retained: the CO2 intensity that holds now, and until when. Loop thread only. */
#ifndef BRIDGE_SERVICE_CO2_TOPIC_H
#define BRIDGE_SERVICE_CO2_TOPIC_H

#include "bridge/meter/intervals.h"
#include "bridge/mqtt/publisher.h"

struct co2_topic;

/** publisher and intensities are borrowed, base_topic is copied. */
struct co2_topic *co2_topic_create(struct publisher *publisher, const char *base_topic,
                                   const struct intervals *intensities);
/** Whether there is anything to publish; else the topic is emptied. */
void co2_topic_follow(struct co2_topic *topic, bool configured);
/** NULL is allowed. */
void co2_topic_free(struct co2_topic *topic);

/** Other intensities are known: what is published is made anew. */
void co2_topic_changed(struct co2_topic *topic);

/** About once a second: publishes when the intensity changed, or when it will. */
void co2_topic_tick(struct co2_topic *topic, int64_t wall_ms);

#endif
