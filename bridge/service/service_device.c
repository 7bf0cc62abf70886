/* SPDX-License-Identifier: MIT */
#include "bridge/service/service_device_parts.h"

#include "bridge/service/event_gate.h"
#include "drivers/base/clock.h"

#include <inttypes.h>
#include <stdio.h>

#define LOG_PAUSE_MS 50       /* between two readings of a channel in the log */
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

static unsigned problems_at(const struct service_channel *channel, int64_t boot_ms)
{
    unsigned problems = channel->problems;
    if (channel->reported && !channel->online)
        problems |= PROBLEM_SILENT;
    if (channel->noisy_until_ms > boot_ms)
        problems |= PROBLEM_NOISY;
    return problems;
}

static unsigned problems_of(const struct service_device *device, int64_t boot_ms)
{
    unsigned problems = 0;
    for (size_t i = 0; i < device->config->channel_count; i++)
        problems |= problems_at(&device->channels[i], boot_ms);
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

/* The sentence of the first problem there is; with several channels, of which one. */
static void describe_problem(const struct service_device *device, unsigned problems, char *buffer,
                             size_t size)
{
    struct text text;
    text_init(&text, buffer, size);
    for (unsigned bit = 1; problems != 0 && bit <= problems && text.length == 0; bit <<= 1) {
        if ((problems & bit) == 0)
            continue;
        size_t i = 0;
        while (i < device->config->channel_count &&
               (problems_at(&device->channels[i], clock_boot_ms()) & bit) == 0)
            i++;
        const char *sentence = i == device->config->channel_count
                                   ? meter_problem_text(bit)
                                   : meter_problem_sentence(device->channels[i].meter, bit);
        if (i < device->config->channel_count && device->config->channel_count > 1)
            text_append(&text, "%s: ", device->channel_names[i]);
        text_append(&text, "%s", sentence);
    }
}

static void on_alarm(void *context, const char *alarm, bool began, const char *message)
{
    struct service_device *device = context;
    const struct service_outputs *outputs = device->outputs;
    json_t *data = json_pack("{s:s, s:b}", "name", alarm, "on", began);
    const struct message_event event = {
        .type = began ? "alarm_began" : "alarm_ended",
        .wall_ms = clock_wall_ms(),
        .device = device->config->id,
        .channel = NULL,
        .message = message,
        .data = data,
    };
    log_warning(outputs->log, "%s: %s", device->config->id, message);
    history_put_event(outputs->history, device->channels[0].history_number, event.wall_ms,
                      event.type, message);
    hub_event(outputs->hub, &event);
    json_decref(data);
}

void service_device_put_state(struct service_device *device, enum hub_reason reason)
{
    bool from_disk = false;
    show_totals(device, &from_disk);
    int64_t boot_ms = clock_boot_ms();
    struct device_state state = {
        .channels = device->shown,
        .last_seen_wall_ms = device->last_seen_wall_ms,
        .frame_errors = frame_errors_of(device),
        .problems = problems_of(device, boot_ms),
        .report_interval_ms = device->report_interval_ms,
        .update = device->update,
    };
    describe_problem(device, state.problems, state.problem_text, sizeof state.problem_text);
    device_totals_fill(&device->own_totals, &device->description, &state);
    device_periods_fill(device->periods, device->shown, &state);
    bool alarmed = device_alarms_update(device->alarms, &device->description, &state, boot_ms,
                                        on_alarm, device);
    if (reason < HUB_TOTALS && from_disk && any_total_moved(device))
        reason = HUB_TOTALS;
    if (alarmed || state.problems != hub_device_state(device->in_hub)->problems)
        reason = HUB_URGENT;
    hub_state(device->outputs->hub, device->in_hub, &state, reason);
}

void service_device_stored(struct service_device *device, bool committed)
{
    if (committed)
        device_periods_committed(device->periods);
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

/* For whoever asks why a value is what it is: the raw numbers, which the state does not show. No source has
 * so many on purpose that some are left out. */
static void log_reading(const struct service_device *device, struct service_channel *channel,
                        const struct reading *reading, const struct meter_result *result)
{
    int64_t now_ms = clock_boot_ms();
    if (now_ms - channel->logged_ms < LOG_PAUSE_MS)
        return;
    channel->logged_ms = now_ms;
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

static void put_round(struct service_device *device, struct service_channel *channel,
                      int64_t wall_ms)
{
    channel->fresh = true;
    device->last_seen_wall_ms = wall_ms;
    bool complete = round_complete(device);
    if (complete)
        end_round(device);
    service_device_put_state(device, complete ? HUB_READING : HUB_READING_PART);
}

void service_device_reading(struct service_device *device, size_t number,
                            const struct reading *reading)
{
    struct service_channel *channel = &device->channels[number];
    struct meter_result result;
    channel->last = *reading;
    meter_accept(channel->meter, reading, &result);
    log_reading(device, channel, reading, &result);
    history_put_reading(device->outputs->history, channel->history_number, reading,
                        result.imported_counts, result.exported_counts,
                        meter_state(channel->meter));
    device->values[number] = result.values;
    totals_follow(&channel->totals, meter_known_until_ms(channel->meter), &result.values);
    device_periods_reading(device->periods, number, reading->wall_ms, &result.values);
    service_device_voltage(device, channel, reading, &result.values);
    channel->problems = result.problems;
    bool restarted = result.restart_noted;
    for (size_t i = 0; i < result.event_count; i++) {
        report_meter_event(device, channel, &result.events[i]);
        restarted = restarted || result.events[i].kind == METER_EVENT_COUNTER_RESET;
    }
    if (restarted)
        store_restart(device, channel);
    put_round(device, channel, reading->wall_ms);
}

const struct channel_values *service_device_values(const struct service_device *device,
                                                   size_t channel)
{
    return &device->values[channel];
}

void service_device_member(struct service_device *device, size_t number, size_t member,
                           const struct reading *from, const struct channel_values *values)
{
    struct service_channel *channel = &device->channels[number];
    if (!values->energy_uwh.known || device->config->disabled)
        return;
    virtual_member(channel->sum, member, from->boot_ms, values->power_mw.known,
                   values->power_mw.value, values->energy_uwh.value,
                   values->energy_produced_uwh.value);
    struct virtual_interval interval;
    if (!virtual_advance(channel->sum, from->boot_ms, &interval))
        return;
    service_device_availability(device, number, true, "");
    const struct reading reading = {
        .wall_ms = from->wall_ms,
        .boot_ms = from->boot_ms,
        .present = interval.power_known ? READING_POWER : 0u,
        .power = interval.power_mw,
    };
    history_put_reading(device->outputs->history, channel->history_number, &reading,
                        interval.imported_counts, interval.exported_counts,
                        service_device_state(channel));
    struct channel_values *own = &device->values[number];
    service_device_read_values(channel, false, own);
    totals_follow(&channel->totals, reading.boot_ms, own);
    own->power_mw = (struct amount){.known = interval.power_known, .value = interval.power_mw};
    if (interval.power_known)
        own->flow = interval.power_mw < 0 ? FLOW_PRODUCING : FLOW_CONSUMING;
    device_periods_reading(device->periods, number, reading.wall_ms, own);
    put_round(device, channel, reading.wall_ms);
}

void service_device_member_lost(struct service_device *device, size_t number, size_t member,
                                const char *waits_for)
{
    char reason[160];
    virtual_member_lost(device->channels[number].sum, member);
    (void)snprintf(reason, sizeof reason, "It is a sum, and waits for %s, which does not answer.",
                   waits_for);
    service_device_availability(device, number, false, reason);
}

void service_device_member_shifted(struct service_device *device, size_t number, size_t member,
                                   int64_t imported_uwh, int64_t exported_uwh)
{
    struct service_channel *channel = &device->channels[number];
    virtual_member_shifted(channel->sum, member, imported_uwh, exported_uwh);
    history_put_state(device->outputs->history, channel->history_number,
                      service_device_state(channel));
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
    service_device_voltage_pause(device, channel);
    const char *id = device->config->id, *name = channel->config->name;
    const char *kind = online ? "online" : "offline";
    char cause[256];
    (void)snprintf(cause, sizeof cause, "%s %s %s", kind, id, name);
    if (!online)
        service_device_read_values(channel, true, &device->values[number]);
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
        service_device_voltage_pause(device, channel);
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
    else if (device_alarms_due(device->alarms, boot_ms))
        service_device_put_state(device, HUB_READING_PART);
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
