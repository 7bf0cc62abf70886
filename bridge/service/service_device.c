/* SPDX-License-Identifier: MIT */
#include "bridge/service/service_device_parts.h"

#include "bridge/service/event_gate.h"
#include "drivers/base/clock.h"

#include <inttypes.h>
#include <stdio.h>

#define FLUSH_PAUSE_MS 5000   /* a chip that restarts all the time must not wear the disk out */
#define NOISY_FADES_MS 120000 /* a line is called noisy until two minutes without complaint */

void service_device_report(const struct service_device *device,
                           const struct service_channel *channel, const char *kind,
                           const char *words)
{
    const struct service_outputs *outputs = device->outputs;
    char message[512];
    if (!event_gate_pass(outputs->events, kind, device->config->id, channel->config->name, words,
                         clock_boot_ms(), message, sizeof message))
        return;
    const struct message_event event = {
        .type = kind,
        .wall_ms = clock_wall_ms(),
        .device = device->config->id,
        .channel = channel->config->name,
        .message = message,
    };
    history_put_event(outputs->history, channel->history_number, event.wall_ms, kind, message);
    hub_event(outputs->hub, &event);
}

void service_device_log(const struct service_device *device, const struct service_channel *channel,
                        enum log_level level, const char *kind, const char *message)
{
    const char *id = device->config->id, *name = channel->config->name;
    char cause[256];
    (void)snprintf(cause, sizeof cause, "%s %s %s", kind, id, name);
    log_repeating(device->outputs->log, level, cause, "%s %s: %s", id, name, message);
}

static unsigned problems_of(const struct service_device *device, int64_t boot_ms)
{
    unsigned problems = 0;
    for (size_t i = 0; i < device->config->channel_count; i++) {
        const struct service_channel *channel = &device->channels[i];
        problems |= channel->problems;
        if (channel->reported && !channel->online)
            problems |= PROBLEM_SILENT;
        if (channel->noisy_until_ms > boot_ms)
            problems |= PROBLEM_NOISY;
    }
    return problems;
}

static bool read_statistics(const struct service_device *device, size_t channel,
                            struct driver_statistics *statistics)
{
    return device->source != DEVICE_NO_SOURCE &&
           device->outputs->statistics(device->outputs->context, device->source, channel,
                                       statistics);
}

static uint64_t frame_errors_of(const struct service_device *device)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < device->config->channel_count; i++) {
        struct driver_statistics statistics;
        if (read_statistics(device, i, &statistics))
            sum += statistics.frame_errors;
    }
    return sum;
}

static void show_totals(struct service_device *device, bool *from_disk)
{
    struct history *history = device->outputs->history;
    struct history_health health;
    history_health(history, &health);
    for (size_t i = 0; i < device->config->channel_count; i++) {
        struct service_channel *channel = &device->channels[i];
        struct totals_stored stored = {.usable = false};
        device->shown[i] = device->values[i];
        if (health.writing && health.last_commit_boot_ms >= channel->totals.set_ms) {
            stored.usable = *from_disk = true;
            history_stored_totals(history, channel->history_number, &stored.imported_uwh,
                                  &stored.exported_uwh);
        }
        totals_show(&channel->totals, &stored, &device->shown[i]);
    }
}

static bool any_total_moved(const struct service_device *device)
{
    const struct device_state *before = hub_device_state(device->in_hub);
    for (size_t i = 0; i < device->config->channel_count; i++)
        if (totals_moved(&before->channels[i], &device->shown[i]))
            return true;
    return false;
}

void service_device_put_state(struct service_device *device, enum hub_reason reason)
{
    bool from_disk = false;
    show_totals(device, &from_disk);
    const struct device_state state = {
        .channels = device->shown,
        .last_seen_wall_ms = device->last_seen_wall_ms,
        .frame_errors = frame_errors_of(device),
        .problems = problems_of(device, clock_boot_ms()),
        .report_interval_ms = device->report_interval_ms,
        .update = device->update,
    };
    if (reason < HUB_TOTALS && from_disk && any_total_moved(device))
        reason = HUB_TOTALS;
    if (state.problems != hub_device_state(device->in_hub)->problems)
        reason = HUB_URGENT;
    hub_state(device->outputs->hub, device->in_hub, &state, reason);
}

void service_device_committed(struct service_device *device)
{
    bool from_disk = false;
    show_totals(device, &from_disk);
    if (from_disk && any_total_moved(device))
        service_device_put_state(device, HUB_TOTALS);
}

static void report_meter_event(struct service_device *device, const struct service_channel *channel,
                               const struct meter_event *event)
{
    static const char *const names[] = {
        [METER_EVENT_COUNTER_RESET] = "counter_reset",
        [METER_EVENT_COUNTER_WRAPPED] = "counter_wrapped",
        [METER_EVENT_STEP_REJECTED] = "step_rejected",
        [METER_EVENT_GLITCH_DROPPED] = "glitch_dropped",
        [METER_EVENT_DOWNTIME_COUNTED] = "downtime_counted",
        [METER_EVENT_PROBLEM_BEGAN] = "problem_began",
        [METER_EVENT_PROBLEM_ENDED] = "problem_ended",
    };
    if (event->kind == METER_EVENT_NONE)
        return;
    bool warn =
        event->kind == METER_EVENT_PROBLEM_BEGAN || event->kind == METER_EVENT_STEP_REJECTED;
    service_device_log(device, channel, warn ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO,
                       names[event->kind], event->text);
    service_device_report(device, channel, names[event->kind], event->text);
}

/* A round of readings is complete when every channel that is online has delivered since the last one. */
static bool round_complete(const struct service_device *device)
{
    for (size_t i = 0; i < device->config->channel_count; i++) {
        const struct service_channel *channel = &device->channels[i];
        if (!channel->reported || (channel->online && !channel->fresh))
            return false;
    }
    return true;
}

static void end_round(struct service_device *device)
{
    for (size_t i = 0; i < device->config->channel_count; i++)
        device->channels[i].fresh = false;
}

static void set_online(struct service_device *device, bool online)
{
    if (online == device->online)
        return;
    device->online = online;
    hub_availability(device->outputs->hub, device->in_hub, online);
}

static bool any_online(const struct service_device *device)
{
    for (size_t i = 0; i < device->config->channel_count; i++)
        if (device->channels[i].online)
            return true;
    return false;
}

/* For whoever asks why a value is what it is: the raw numbers, which the state does not show. */
static void log_reading(const struct service_device *device, const struct service_channel *channel,
                        const struct reading *reading, const struct meter_result *result)
{
    log_debug(device->outputs->log,
              "%s %s: as measured, voltage %" PRId64 ", current %" PRId64 ", power %" PRId64
              ", energy %" PRId64 ", frequency %" PRId64 " (present 0x%02x, flags 0x%02x); %" PRId64
              " counts imported, %" PRId64 " exported.",
              device->config->id, channel->config->name, reading->voltage, reading->current,
              reading->power, reading->energy, reading->frequency, reading->present, reading->flags,
              result->imported_counts, result->exported_counts);
}

/* The next kill must not find a baseline from before a restart of the counter. Within the pause after
 * the last time the regular commit will do: the baseline on disk is a small one then, which no later
 * restart can turn into energy that never was. */
static void store_restart(const struct service_device *device, struct service_channel *channel)
{
    int64_t now_ms = clock_boot_ms();
    const struct energy_state *state = meter_state(channel->meter);
    if (!state->known || now_ms < channel->flush_after_ms)
        return;
    channel->flush_after_ms = now_ms + FLUSH_PAUSE_MS;
    history_put_state(device->outputs->history, channel->history_number, state);
}

void service_device_reading(struct service_device *device, size_t number,
                            const struct reading *reading)
{
    struct service_channel *channel = &device->channels[number];
    struct meter_result result;
    meter_accept(channel->meter, reading, &result);
    log_reading(device, channel, reading, &result);
    history_put_reading(device->outputs->history, channel->history_number, reading,
                        result.imported_counts, result.exported_counts,
                        meter_state(channel->meter));
    device->values[number] = result.values;
    totals_follow(&channel->totals, meter_state(channel->meter)->counter_boot_ms, &result.values);
    channel->problems = result.problems;
    channel->fresh = true;
    device->last_seen_wall_ms = reading->wall_ms;
    bool restarted = result.restart_noted;
    for (size_t i = 0; i < result.event_count; i++) {
        report_meter_event(device, channel, &result.events[i]);
        restarted = restarted || result.events[i].kind == METER_EVENT_COUNTER_RESET;
    }
    if (restarted)
        store_restart(device, channel);
    bool complete = round_complete(device);
    if (complete)
        end_round(device);
    service_device_put_state(device, complete ? HUB_READING : HUB_READING_PART);
}

void service_device_availability(struct service_device *device, size_t number, bool online,
                                 const char *reason)
{
    struct service_channel *channel = &device->channels[number];
    if (channel->reported && channel->online == online)
        return;
    channel->reported = true;
    channel->online = online;
    channel->fresh = false;
    const char *id = device->config->id, *name = channel->config->name;
    const char *kind = online ? "online" : "offline";
    char cause[256];
    (void)snprintf(cause, sizeof cause, "%s %s %s", kind, id, name);
    if (!online)
        meter_values(channel->meter, true, &device->values[number]);
    if (online)
        log_repeating(device->outputs->log, LOG_LEVEL_INFO, cause, "%s %s is online.", id, name);
    else
        log_repeating(device->outputs->log, LOG_LEVEL_WARNING, cause, "%s %s is offline: %s", id,
                      name, reason);
    service_device_report(device, channel, kind, online ? "The channel answers." : reason);
    set_online(device, any_online(device));
    if (!online)
        service_device_put_state(device, HUB_URGENT); /* its values are unknown from now on */
}

void service_device_driver_event(struct service_device *device, size_t number,
                                 enum driver_event event, const char *message)
{
    static const char *const names[] = {
        [DRIVER_CHIP_RESET] = "chip_reset",
        [DRIVER_LINE_NOISY] = "line_noisy",
        [DRIVER_PORT_GONE] = "port_gone",
        [DRIVER_PORT_BACK] = "port_back",
        [DRIVER_CHIP_CHANGED] = "chip_changed",
        [DRIVER_UNIT_CHANGED] = "unit_changed",
        [DRIVER_SOURCE_RESTARTED] = "module_restarted",
        [DRIVER_SOURCE_FLAPPING] = "module_flapping",
        [DRIVER_MESSAGES_BAD] = "messages_bad",
        [DRIVER_UNIT_DOUBTFUL] = "unit_doubtful",
    };
    struct service_channel *channel = &device->channels[number];
    if (event == DRIVER_CHIP_RESET || event == DRIVER_CHIP_BEGAN) {
        meter_restarted(channel->meter);
        store_restart(device, channel);
    }
    if (event == DRIVER_CHIP_BEGAN)
        return; /* before our time, and every new chip has its power-on settings */
    if (event == DRIVER_LINE_NOISY)
        channel->noisy_until_ms = clock_boot_ms() + NOISY_FADES_MS;
    service_device_log(device, channel, LOG_LEVEL_WARNING, names[event], message);
    service_device_report(device, channel, names[event], message);
}

void service_device_tick(struct service_device *device)
{
    int64_t boot_ms = clock_boot_ms();
    unsigned shown = hub_device_state(device->in_hub)->problems;
    if ((shown & PROBLEM_NOISY) != 0 && (problems_of(device, boot_ms) & PROBLEM_NOISY) == 0)
        service_device_put_state(device, HUB_URGENT);
}

void service_device_health(const struct service_device *device,
                           struct message_device_health *health)
{
    health->problems = problems_of(device, clock_boot_ms());
    health->frame_errors = 0;
    for (size_t i = 0; i < device->config->channel_count; i++) {
        struct driver_statistics statistics = {0};
        if (!read_statistics(device, i, &statistics))
            continue;
        health->readings += statistics.readings;
        health->frame_errors += statistics.frame_errors;
    }
}
