/* SPDX-License-Identifier: MIT */
#include "bridge/service/co2_topic.h"

#include "drivers/base/memory.h"
#include "drivers/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t believable_wall_ms = INT64_C(1704067200000); /* 2024-01-01 */

struct co2_topic {
    struct publisher *publisher;
    char *topic;
    const struct intervals *intensities;
    bool configured;
    int64_t since_ms, until_ms; /* wall clock: what is published holds between them */
};

struct co2_topic *co2_topic_create(struct publisher *publisher, const char *base_topic,
                                   const struct intervals *intensities)
{
    struct co2_topic *topic = memory_new(1, sizeof *topic);
    size_t size = strlen(base_topic) + sizeof "/bridge/co2";
    topic->publisher = publisher;
    topic->topic = memory_new(size, 1);
    (void)snprintf(topic->topic, size, "%s/bridge/co2", base_topic);
    topic->intensities = intensities;
    return topic;
}

void co2_topic_follow(struct co2_topic *topic, bool configured)
{
    topic->configured = configured;
    co2_topic_changed(topic);
    if (!configured)
        publisher_publish(topic->publisher, topic->topic, "", 0, true, 1);
}

void co2_topic_free(struct co2_topic *topic)
{
    if (topic == NULL)
        return;
    free(topic->topic);
    free(topic);
}

void co2_topic_changed(struct co2_topic *topic)
{
    topic->since_ms = topic->until_ms = 0;
}

void co2_topic_tick(struct co2_topic *topic, int64_t wall_ms)
{
    bool holds = wall_ms >= topic->since_ms && wall_ms < topic->until_ms;
    if (!topic->configured || holds || wall_ms < believable_wall_ms)
        return;
    int64_t quarter = wall_ms / INTERVAL_MS;
    int64_t value_micro = 0;
    topic->since_ms = wall_ms;
    topic->until_ms = intervals_until(topic->intensities, quarter) * INTERVAL_MS;
    char number[40] = "null"; /* missing is not 0 */
    if (intervals_find(topic->intensities, quarter, &value_micro))
        (void)snprintf(number, sizeof number, "%" PRId64 ".%06" PRId64, value_micro / 1000000,
                       value_micro % 1000000);
    char buffer[160];
    struct text text;
    text_init(&text, buffer, sizeof buffer);
    text_append(&text, "{\"co2_g_per_kwh\":%s,\"until\":\"", number);
    text_append_time(&text, topic->until_ms, false);
    text_append(&text, "\"}");
    publisher_publish(topic->publisher, topic->topic, buffer, text.length, true, 1);
}
