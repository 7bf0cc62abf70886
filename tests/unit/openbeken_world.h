/* SPDX-License-Identifier: MIT */
/* What the tests of drivers/openbeken/source share: modules under a clock of the test's own, with
 * meters behind them if wanted, and a log of all that is said. Included by one test file each. */
#ifndef TESTS_UNIT_OPENBEKEN_WORLD_H
#define TESTS_UNIT_OPENBEKEN_WORLD_H

#include "bridge/meter/meter.h"
#include "drivers/openbeken/source.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HELPER __attribute__((unused)) static

#define CHANNELS 4
#define LOG_SIZE 65536
#define WALL_MS INT64_C(1790000000000)
#define START_MS INT64_C(100000)

struct received {
    unsigned readings, energies;
    struct reading last;
    bool online;
    unsigned edges;
    struct meter *meter; /* NULL: none */
};

struct world {
    struct openbeken_source *source;
    int64_t now_ms;
    struct received channels[CHANNELS];
    unsigned asked, probed;
    const char *answers; /* client id of a module that answers probes; NULL: nobody does */
    bool probe_waits;
    char probe_topic[100]; /* of the last probe; the broker brings it back to us */
    char log[LOG_SIZE];    /* one line per event, edge and question */
    size_t log_length;
};

HELPER void __attribute__((format(printf, 2, 3))) note(struct world *world, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length =
        vsnprintf(world->log + world->log_length, LOG_SIZE - world->log_length, format, arguments);
    va_end(arguments);
    world->log_length += (size_t)length;
    assert_true(world->log_length < LOG_SIZE);
}

HELPER void on_reading(void *context, unsigned channel, const struct reading *reading)
{
    struct world *world = context;
    struct received *received = &world->channels[channel];
    received->readings++;
    received->energies += (reading->present & READING_ENERGY) != 0;
    received->last = *reading;
    assert_true(received->online);
    if (received->meter == NULL)
        return;
    struct meter_result result;
    meter_accept(received->meter, reading, &result);
    for (size_t i = 0; i < result.event_count; i++)
        note(world, "[%u] meter %d: %s\n", channel, result.events[i].kind, result.events[i].text);
}

HELPER void on_availability(void *context, unsigned channel, bool online, const char *reason)
{
    struct world *world = context;
    struct received *received = &world->channels[channel];
    assert_true(received->edges == 0 || received->online != online);
    received->edges++;
    received->online = online;
    note(world, "[%u] %s %s\n", channel, online ? "online" : "offline", reason);
}

HELPER void on_event(void *context, unsigned channel, enum driver_event event, const char *message)
{
    note(context, "[%u] event %d: %s\n", channel, event, message);
}

HELPER void on_publish(void *context, const char *topic, const char *payload)
{
    struct world *world = context;
    if (payload[0] == '\0') {
        size_t length = strlen(topic) - strlen("/0/get");
        assert_string_equal(topic + length, "/0/get");
        world->probed++;
        world->probe_waits = true;
        (void)snprintf(world->probe_topic, sizeof world->probe_topic, "%s", topic);
        return;
    }
    world->asked++;
    note(world, "publish %s %s\n", topic, payload);
}

HELPER struct world *world_create(const struct openbeken_module *modules, size_t count)
{
    struct world *world = calloc(1, sizeof *world);
    const struct openbeken_source_options options = {
        .modules = modules,
        .module_count = count,
        .discovery_prefix = "homeassistant",
        .publish = on_publish,
        .publish_context = world,
    };
    const struct driver_sink sink = {
        .context = world,
        .reading = on_reading,
        .availability = on_availability,
        .event = on_event,
    };
    world->now_ms = START_MS;
    world->source = openbeken_source_create(&options, &sink, world->now_ms);
    openbeken_source_connection(world->source, true, world->now_ms);
    return world;
}

HELPER struct world *one_module(enum openbeken_unit unit)
{
    const struct openbeken_module module = {
        .client = "u/s9", .unit = unit, .used = {true, true}, .channels = {0, 1}};
    return world_create(&module, 1);
}

HELPER void world_free(struct world *world)
{
    openbeken_source_free(world->source);
    for (size_t i = 0; i < CHANNELS; i++)
        meter_free(world->channels[i].meter);
    free(world);
}

HELPER bool say_bytes(struct world *world, const char *topic, const char *payload, size_t length,
                      bool retained)
{
    const struct message message = {
        .topic = topic,
        .payload = payload,
        .length = length,
        .retained = retained,
        .wall_ms = WALL_MS + world->now_ms,
        .boot_ms = world->now_ms,
    };
    return openbeken_source_message(world->source, &message);
}

HELPER void say(struct world *world, const char *topic, const char *payload)
{
    assert_true(say_bytes(world, topic, payload, strlen(payload), false));
}

HELPER void say_retained(struct world *world, const char *topic, const char *payload)
{
    assert_true(say_bytes(world, topic, payload, strlen(payload), true));
}

/* A module's channel 0. */
HELPER void answer_probe(struct world *world, const char *client)
{
    char topic[100];
    (void)snprintf(topic, sizeof topic, "%s/0/get", client);
    say(world, topic, ""); /* ours comes back */
    say(world, topic, "0");
}

HELPER void wait_ms(struct world *world, int64_t ms)
{
    int64_t end = world->now_ms + ms;
    while (world->now_ms < end) {
        world->now_ms = world->now_ms + 250 < end ? world->now_ms + 250 : end;
        openbeken_source_tick(world->source, world->now_ms);
        if (world->probe_waits) {
            world->probe_waits = false;
            if (world->answers != NULL)
                answer_probe(world, world->answers);
            else
                say(world, world->probe_topic, "");
        }
    }
}

HELPER bool logged(const struct world *world, const char *text)
{
    return strstr(world->log, text) != NULL;
}

HELPER unsigned times_logged(const struct world *world, const char *text)
{
    unsigned count = 0;
    for (const char *at = world->log; (at = strstr(at, text)) != NULL; at += strlen(text))
        count++;
    return count;
}

#define STATUS(energy) "{\"StatusSNS\":{\"Time\":\"x\",\"ENERGY\":{" energy "},\"TempUnit\":\"C\"}}"
#define FULL(total)                                                                                \
    STATUS("\"Power\": 1500.500000,\"Voltage\":230.000000,\"Current\":6.570001,"                   \
           "\"Frequency\":49.950050,\"ConsumptionTotal\":" total)

HELPER void add_meter(struct received *received)
{
    const struct meter_options options = {
        .kind = READING_OPENBEKEN,
        .calibration = calibration_default(READING_OPENBEKEN),
        .mains_frequency_hz = 50,
        .mains_voltage_v = 230,
        .max_current_a = 80,
        .boot_id = "boot",
    };
    received->meter = meter_create(&options, NULL);
}

#endif
