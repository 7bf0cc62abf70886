/* SPDX-License-Identifier: MIT */
/* Sags, swells and interruptions of a channel's voltage: events in the hub, and when they are over, on record. */
#include "bridge/service/service_device_parts.h"

#include "bridge/meter/voltage_sentence.h"
#include "bridge/service/event_gate.h"
#include "drivers/base/clock.h"
#include "drivers/base/text.h"

#include <math.h>
#include <stdio.h>

static struct voltage_limits limits_of(const struct config_device *config)
{
    return (struct voltage_limits){
        .nominal_mv = llround(config->mains_voltage_v * 1000),
        .sag = config->sag_milli / 100,
        .swell = config->swell_milli / 100,
        .interruption = config->interruption_milli / 100,
    };
}

static void report(const struct service_device *device, const struct service_channel *channel,
                   const char *kind, const char *words, json_t *data, bool on_record)
{
    const struct service_outputs *outputs = device->outputs;
    char message[512];
    const struct message_event event = {
        .type = kind,
        .wall_ms = clock_wall_ms(),
        .device = device->config->id,
        .channel = channel->config->name,
        .message = message,
        .data = data,
    };
    if (event_gate_pass(outputs->events, kind, event.device, event.channel, words, clock_boot_ms(),
                        message, sizeof message)) {
        service_device_log(device, channel, LOG_LEVEL_WARNING, kind, words);
        if (on_record)
            history_put_event(outputs->history, channel->history_number, event.wall_ms, kind,
                              message);
        hub_event(outputs->hub, &event);
    }
    json_decref(data);
}

static void report_began(const struct service_device *device, const struct service_channel *channel,
                         enum voltage_event what)
{
    char kind[48], words[120];
    const char *name = voltage_event_name(what);
    struct text text;
    (void)snprintf(kind, sizeof kind, "voltage_%s_began", name);
    text_init(&text, words, sizeof words);
    text_append(&text, "A voltage %s began: ", name);
    text_append_decimal(&text, channel->voltage.extreme_mv, 3, 1, false);
    text_append(&text, " V.");
    report(device, channel, kind, words, json_pack("{s:s}", "event", name), false);
}

static void report_ended(const struct service_device *device, const struct service_channel *channel,
                         const struct voltage_change *change)
{
    char kind[48], words[200];
    const char *name = voltage_event_name(change->ended);
    int64_t nominal_mv = limits_of(device->config).nominal_mv;
    struct text text;
    (void)snprintf(kind, sizeof kind, "voltage_%s", name);
    text_init(&text, words, sizeof words);
    voltage_sentence_append(&text, change, nominal_mv);
    json_t *data = json_pack("{s:s, s:f, s:f, s:f, s:b}", "event", name, "voltage",
                             (double)change->extreme_mv / 1000, "percent",
                             (double)(change->extreme_mv * 1000 / nominal_mv) / 10, "seconds",
                             (double)change->duration_ms / 1000, "cut", change->cut);
    report(device, channel, kind, words, data, true);
}

static void report_change(const struct service_device *device,
                          const struct service_channel *channel,
                          const struct voltage_change *change)
{
    if (change->ended != VOLTAGE_NONE)
        report_ended(device, channel, change);
    if (change->began != VOLTAGE_NONE)
        report_began(device, channel, change->began);
}

void service_device_voltage(const struct service_device *device, struct service_channel *channel,
                            const struct reading *reading, const struct channel_values *values)
{
    struct voltage_change change;
    if (!device->config->voltage_events) {
        channel->voltage = (struct voltage_watch){.event = VOLTAGE_NONE};
        return;
    }
    const struct voltage_limits limits = limits_of(device->config);
    voltage_watch_reading(&channel->voltage, &limits, values->voltage_mv.known,
                          values->voltage_mv.value, reading->boot_ms, &change);
    report_change(device, channel, &change);
}

void service_device_voltage_pause(const struct service_device *device,
                                  struct service_channel *channel)
{
    struct voltage_change change;
    voltage_watch_pause(&channel->voltage, clock_boot_ms(), &change);
    report_change(device, channel, &change);
}

void service_device_voltage_end(const struct service_device *device,
                                struct service_channel *channel)
{
    service_device_voltage_pause(device, channel);
    channel->voltage = (struct voltage_watch){.event = VOLTAGE_NONE};
}

void service_device_readings_end(struct service_device *device)
{
    for (size_t i = 0; i < device->config->channel_count; i++)
        service_device_voltage_end(device, &device->channels[i]);
}
