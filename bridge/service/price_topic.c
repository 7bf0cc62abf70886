/* SPDX-License-Identifier: MIT */
#include "bridge/service/price_topic.h"

#include "drivers/base/memory.h"

#include <stdio.h>
#include <string.h>

static const int64_t believable_wall_ms = INT64_C(1704067200000); /* 2024-01-01 */

struct price_topic {
    struct publisher *publisher;
    char *topic;
    struct tariffs *const *tariffs;
    const struct intervals *market;
    int64_t since_ms, until_ms; /* wall clock: what is published holds between them */
};

struct price_topic *price_topic_create(struct publisher *publisher, const char *base_topic,
                                       struct tariffs *const *tariffs,
                                       const struct intervals *market)
{
    struct price_topic *topic = memory_new(1, sizeof *topic);
    size_t size = strlen(base_topic) + sizeof "/bridge/price";
    topic->publisher = publisher;
    topic->topic = memory_new(size, 1);
    (void)snprintf(topic->topic, size, "%s/bridge/price", base_topic);
    topic->tariffs = tariffs;
    topic->market = market;
    price_topic_changed(topic);
    return topic;
}

void price_topic_changed(struct price_topic *topic)
{
    topic->since_ms = topic->until_ms = 0;
    if ((*topic->tariffs)->count == 0)
        publisher_publish(topic->publisher, topic->topic, "", 0, true, 1);
}

void price_topic_free(struct price_topic *topic)
{
    if (topic == NULL)
        return;
    free(topic->topic);
    free(topic);
}

void price_topic_tick(struct price_topic *topic, int64_t wall_ms)
{
    bool holds = wall_ms >= topic->since_ms && wall_ms < topic->until_ms;
    const struct tariffs *tariffs = *topic->tariffs;
    if (tariffs->count == 0 || holds || wall_ms < believable_wall_ms)
        return;
    struct price price;
    price_at(tariffs->list, tariffs->count, topic->market, wall_ms, &price);
    topic->since_ms = wall_ms;
    topic->until_ms = price.until_ms;
    char buffer[200];
    struct text text;
    text_init(&text, buffer, sizeof buffer);
    price_json(&price, &text);
    publisher_publish(topic->publisher, topic->topic, buffer, text.length, true, 1);
}
