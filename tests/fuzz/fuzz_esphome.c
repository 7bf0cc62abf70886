/* SPDX-License-Identifier: MIT */
/*
 * A module with ESPHome that publishes arbitrary bytes: each line of the input is one message, the
 * first byte chooses the topic. Whatever comes, a reading fits the registers of a BL0942.
 */
#include "drivers/esphome/source.h"
#include "drivers/messages/router.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void on_reading(void *context, unsigned channel, const struct reading *reading)
{
    (void)context;
    require(channel < 2 && (reading->present & ~(unsigned)READING_ALL) == 0);
    require(reading->voltage >= 0 && reading->voltage < 1 << 24);
    require(reading->energy >= 0 && reading->energy < 1 << 24);
    require(reading->power >= -(1 << 23) && reading->power < 1 << 23);
    require(reading->frequency >= 0 && reading->frequency < 1 << 16);
}

static void on_availability(void *context, unsigned channel, bool online, const char *reason)
{
    (void)context;
    require(channel < 2 && (online || reason[0] != '\0'));
}

static void on_event(void *context, unsigned channel, enum driver_event event, const char *message)
{
    (void)context, (void)event;
    require(channel < 2 && message[0] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const topics[] = {
        "m/sensor/voltage_a/state",
        "m/sensor/current_a/state",
        "m/sensor/power_a/state",
        "m/sensor/cf_a/state",
        "m/sensor/frequency_a/state",
        "m/sensor/energy_a/state",
        "m/sensor/cf_b/state",
        "m/sensor/energy_b/state",
        "m/sensor/voltage/state",
        "m/status",
        "m/sensor/state",
        "m/sensor//state",
    };
    const struct esphome_options options = {
        .prefix = "m",
        .channel_count = 2,
        .channels = {{"a", 0, {15883.3, 128118.9, 317.9}}, {"b", 1, {1, 1, 1}}},
    };
    const struct driver_sink sink = {NULL, on_reading, on_availability, on_event};
    struct message_router *router = message_router_create();
    int64_t now_ms = 1000;
    message_router_add(router, esphome_source_create(&options, &sink, now_ms), now_ms);
    message_router_connection(router, true, now_ms);
    while (size > 0) {
        const uint8_t *newline = memchr(data, '\n', size);
        size_t length = newline == NULL ? size : (size_t)(newline - data);
        unsigned choice = length > 0 ? data[0] : 0;
        size_t payload_length = length > 0 ? length - 1 : 0;
        char *payload = malloc(payload_length + 1); /* of its exact size: overreads are seen */
        if (payload_length > 0)
            memcpy(payload, data + 1, payload_length);
        const struct message message = {
            .topic = topics[choice % (sizeof topics / sizeof topics[0])],
            .payload = payload,
            .length = payload_length,
            .retained = choice > 240,
            .wall_ms = now_ms,
            .boot_ms = now_ms,
        };
        (void)message_router_message(router, &message);
        free(payload);
        now_ms += choice;
        message_router_tick(router, now_ms);
        size_t used = newline == NULL ? size : length + 1;
        data += used;
        size -= used;
    }
    message_router_free(router);
    return 0;
}
