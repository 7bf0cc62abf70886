/* SPDX-License-Identifier: MIT */
#include "bridge/mqtt/bridge_output.h"

#include "drivers/base/memory.h"

#include <stdio.h>
#include <string.h>

#define KEPT_EVENTS 16

struct bridge_output {
    struct hub *hub;
    struct publisher *publisher;
    char *base_topic;
    struct log *log;
    bool connected;
    char *kept[KEPT_EVENTS]; /* of the time without a connection, oldest first */
    size_t kept_count;
};

/* Takes the text. */
static void publish(struct bridge_output *output, const char *leaf, char *text, bool retained)
{
    char topic[256];
    (void)snprintf(topic, sizeof topic, "%s/bridge/%s", output->base_topic, leaf);
    if (text == NULL)
        log_error(output->log, "The message bridge/%s could not be made; it is not published.",
                  leaf);
    else if (retained)
        publisher_publish(output->publisher, topic, text, strlen(text), true, 1);
    else
        publisher_event(output->publisher, topic, text, strlen(text), 0);
    free(text);
}

static void on_info(void *context)
{
    struct bridge_output *output = context;
    publish(output, "info", hub_info_json(output->hub), true);
}

static void on_devices(void *context)
{
    struct bridge_output *output = context;
    publish(output, "devices", hub_devices_json(output->hub), true);
}

static void on_health(void *context)
{
    struct bridge_output *output = context;
    publish(output, "health", hub_health_json(output->hub), true);
}

static void on_log(void *context, enum log_level level, const char *message)
{
    publish(context, "logging", hub_log_json(level, message), false);
}

static void keep(struct bridge_output *output, char *text)
{
    if (output->kept_count == KEPT_EVENTS) {
        free(output->kept[0]);
        output->kept_count--;
        memmove(output->kept, output->kept + 1, output->kept_count * sizeof output->kept[0]);
    }
    output->kept[output->kept_count++] = text;
}

static void on_event(void *context, const struct message_event *event)
{
    struct bridge_output *output = context;
    char *text = hub_event_json(event);
    if (!output->connected && event->device == NULL && text != NULL)
        keep(output, text);
    else
        publish(output, "event", text, false);
}

void bridge_output_incoming(struct bridge_output *output, const struct publisher_incoming *incoming)
{
    if (incoming->kind == PUBLISHER_MESSAGE)
        return;
    output->connected = incoming->kind == PUBLISHER_CONNECTED;
    if (!output->connected)
        return;
    for (size_t i = 0; i < output->kept_count; i++)
        publish(output, "event", output->kept[i], false);
    output->kept_count = 0;
    hub_health_changed(output->hub);
}

struct bridge_output *bridge_output_create(struct hub *hub, struct publisher *publisher,
                                           const char *base_topic, struct log *log)
{
    struct bridge_output *output = memory_new(1, sizeof *output);
    output->hub = hub;
    output->publisher = publisher;
    output->base_topic = memory_copy_text(base_topic);
    output->log = log;
    const struct hub_output subscription = {
        .context = output,
        .devices = on_devices,
        .event = on_event,
        .log = on_log,
        .health = on_health,
        .info = on_info,
    };
    (void)hub_subscribe(hub, &subscription);
    return output;
}

void bridge_output_free(struct bridge_output *output)
{
    if (output == NULL)
        return;
    hub_unsubscribe(output->hub, output);
    for (size_t i = 0; i < output->kept_count; i++)
        free(output->kept[i]);
    free(output->base_topic);
    free(output);
}
