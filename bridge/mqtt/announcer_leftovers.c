/* SPDX-License-Identifier: MIT */
/* What the broker still has of announcements that this announcer's memory knows nothing of. */
#include "bridge/mqtt/announcer_state.h"

#include <string.h>

static void watch_both_modes(struct announcer *announcer, const char *prefix, const char *device_id)
{
    struct discovery_context context = announcer->options.context;
    char filter[DISCOVERY_TOPIC_SIZE];
    context.prefix = prefix;
    for (int mode = 0; mode < 2; mode++) {
        context.device_mode = mode == 0;
        discovery_filter(&context, device_id, filter, sizeof filter);
        publisher_subscribe(announcer->publisher, filter, 1);
    }
}

void announcer_forget(struct announcer *announcer, const char *device_id)
{
    if (json_object_get(announcer->wanted, device_id) != NULL ||
        announcer_leaving(announcer, device_id) ||
        json_object_get(announcer->forgotten, device_id) != NULL)
        return;
    (void)json_object_set_new(announcer->forgotten, device_id, json_true());
    watch_both_modes(announcer, announcer->options.context.prefix, device_id);
}

void announcer_old_prefix(struct announcer *announcer, const char *prefix)
{
    const struct announcer_options *options = &announcer->options;
    if (strcmp(prefix, options->context.prefix) == 0 ||
        json_object_get(announcer->old_prefixes, prefix) != NULL)
        return;
    (void)json_object_set_new(announcer->old_prefixes, prefix, json_true());
    watch_both_modes(announcer, prefix, DISCOVERY_BRIDGE_DEVICE);
    for (size_t i = 0; i < announcer->thing_count; i++)
        if (announcer->things[i].device != NULL)
            watch_both_modes(announcer, prefix, announcer->things[i].device_id);
}

bool announcer_clear_old_prefix(struct announcer *announcer,
                                const struct publisher_incoming *incoming)
{
    char device_id[DISCOVERY_DEVICE_ID_SIZE], key[PROPERTY_KEY_SIZE];
    struct discovery_context context = announcer->options.context;
    const char *prefix;
    json_t *unused;
    json_object_foreach(announcer->old_prefixes, prefix, unused)
    {
        context.prefix = prefix;
        for (int mode = 0; mode < 2; mode++) {
            context.device_mode = mode == 0;
            if (!discovery_topic_read(&context, incoming->topic, device_id, key, sizeof key))
                continue;
            if (incoming->retained && incoming->payload_length > 0)
                publisher_publish_once(announcer->publisher, incoming->topic, "", 0);
            return true;
        }
    }
    return false;
}
