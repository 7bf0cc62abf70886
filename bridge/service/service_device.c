/* SPDX-License-Identifier: MIT */
#include "bridge/service/service_device.h"

#include "bridge/service/event_gate.h"
#include "bridge/service/totals.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FLUSH_PAUSE_MS 5000   /* a chip that restarts all the time must not wear the disk out */
#define NOISY_FADES_MS 120000 /* a line is called noisy until two minutes without complaint */

struct service_channel {
    const struct config_channel *config;
    struct meter *meter;
    unsigned history_number;
    bool online;
    bool reported;          /* the driver has reported whether it is online */
    bool fresh;             /* has a reading in this round */
    int64_t noisy_until_ms; /* boot clock */
    unsigned problems;      /* the meter's, as of the last reading */
    struct totals totals;
    int64_t flush_after_ms; /* boot clock: not before, the disk is asked to flush again */
};

struct service_device {
    const struct config_device *config;
    const struct service_outputs *outputs;
    struct hub_device *in_hub;
    struct device_description description;
    char model[64];
    const char **channel_names;
    struct service_channel *channels;
    struct channel_values *values; /* as measured now: the meter's own totals */
    struct channel_values *shown;  /* ... with the totals that may be published */
    int64_t report_interval_ms;
    int64_t last_seen_wall_ms;
    bool online;
    struct device_update update;
};

static enum reading_kind kind_of(const struct config_device *config)
{
    return config->driver == DRIVER_OPENBEKEN ? READING_OPENBEKEN : READING_BL0942;
}

static void describe(struct service_device *device)
{
    static const struct {
        const char *driver, *manufacturer, *model;
    } makes[] = {
        [DRIVER_BL0942] = {"bl0942", "Shanghai Belling", "BL0942 energy meter"},
        [DRIVER_OPENBEKEN] = {"openbeken", "OpenBeken", "BL0942 energy meter"},
        [DRIVER_ESPHOME] = {"esphome", "ESPHome", "BL0942 energy meter"},
        [DRIVER_SIMULATOR] = {"simulator", "bl2mqtt", "Simulated BL0942 energy meter"},
        [DRIVER_VIRTUAL] = {"virtual", "bl2mqtt", "Sum of energy meters"},
    };
    const struct config_device *config = device->config;
    if (config->channel_count > 1)
        (void)snprintf(device->model, sizeof device->model, "%s, %zu channels",
                       makes[config->driver].model, config->channel_count);
    else
        (void)snprintf(device->model, sizeof device->model, "%s", makes[config->driver].model);
    device->description = (struct device_description){
        .id = config->id,
        .name = config->name,
        .driver = makes[config->driver].driver,
        .manufacturer = makes[config->driver].manufacturer,
        .model = device->model,
        .channel_count = config->channel_count,
        .channel_names = device->channel_names,
        .retain = config->retain,
        .homeassistant = config->homeassistant,
        .interval_ms = config->interval_ms,
        .updatable = device->outputs->updates && config->driver == DRIVER_OPENBEKEN,
    };
}

static void report(const struct service_device *device, const struct service_channel *channel,
                   const char *kind, const char *words)
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

/* A line about a channel. A source can repeat what it is about as often as it likes. */
static void log_about(const struct service_device *device, const struct service_channel *channel,
                      enum log_level level, const char *kind, const char *message)
{
    const char *id = device->config->id, *name = channel->config->name;
    char cause[256];
    (void)snprintf(cause, sizeof cause, "%s %s %s", kind, id, name);
    log_repeating(device->outputs->log, level, cause, "%s %s: %s", id, name, message);
}

/* The configured factors, or those measured since the configuration last changed. */
static struct calibration calibration_in_use(const struct service_device *device,
                                             const struct service_channel *channel)
{
    struct calibration in_use;
    bool measured;
    int64_t since_ms;
    history_calibration_in_use(device->outputs->history, channel->history_number, &in_use,
                               &measured, &since_ms);
    if (measured) {
        char since[64];
        struct text text;
        text_init(&text, since, sizeof since);
        text_append_time(&text, since_ms, false);
        log_info(device->outputs->log,
                 "%s %s uses the calibration that was measured on %s (voltage: %.7g, current: "
                 "%.7g, power: %.7g), as that of the configuration has not changed since.",
                 device->config->id, channel->config->name, since, in_use.voltage, in_use.current,
                 in_use.power);
    }
    return in_use;
}

/* The factors may have changed since the totals were stored: fold what was counted under the old
 * ones before counting with the new, so that the total does not jump. */
static enum status open_channel(struct service_device *device, size_t number, struct error *error)
{
    const struct service_outputs *outputs = device->outputs;
    const struct config_device *config = device->config;
    struct service_channel *channel = &device->channels[number];
    channel->config = &config->channels[number];

    struct energy_state state;
    enum status status = history_channel(outputs->history, config->id, channel->config->name,
                                         kind_of(config), &channel->history_number, &state, error);
    if (status != STATUS_OK)
        return status;
    struct calibration previous;
    bool changed = false;
    status = history_calibration(outputs->history, channel->history_number,
                                 &channel->config->calibration, channel->config->invert,
                                 clock_wall_ms(), &previous, &changed, error);
    if (status != STATUS_OK)
        return status;

    struct calibration in_use = calibration_in_use(device, channel);
    struct meter_options options = {
        .kind = kind_of(config),
        .calibration = changed ? previous : in_use,
        .invert = channel->config->invert,
        .mains_frequency_hz = (int)config->mains_frequency_hz,
        .mains_voltage_v = config->mains_voltage_v,
        .max_current_a = config->max_current_a,
        .noise_floor_mw = channel->config->noise_floor_mw,
        .whole = config->driver != DRIVER_BL0942 && config->driver != DRIVER_SIMULATOR,
        .boot_id = outputs->boot_id,
    };
    channel->meter = meter_create(&options, &state);
    if (changed) {
        meter_set_calibration(channel->meter, &in_use);
        history_put_state(outputs->history, channel->history_number, meter_state(channel->meter));
        log_info(outputs->log,
                 "The calibration of %s %s changed; its totals go on from where they are.",
                 config->id, channel->config->name);
    }
    meter_values(channel->meter, true, &device->values[number]);
    struct history_health health;
    history_health(outputs->history, &health);
    totals_begin(&channel->totals, health.may_lag && state.known, state.counter_boot_ms);
    return STATUS_OK;
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

static uint64_t frame_errors_of(const struct service_device *device)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < device->config->channel_count; i++) {
        struct driver_statistics statistics;
        if (device->outputs->statistics(device->outputs->context, device->config, i, &statistics))
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

/* A problem that begins or ends is urgent, and a total that was committed is to be published soon. */
static void put_state(struct service_device *device, enum hub_reason reason)
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
        put_state(device, HUB_TOTALS);
}

enum status service_device_create(const struct config_device *config,
                                  const struct service_outputs *outputs,
                                  struct service_device **created, struct error *error)
{
    struct service_device *device = memory_new(1, sizeof *device);
    device->config = config;
    device->outputs = outputs;
    device->channels = memory_new(config->channel_count, sizeof *device->channels);
    device->values = memory_new(config->channel_count, sizeof *device->values);
    device->shown = memory_new(config->channel_count, sizeof *device->shown);
    device->channel_names = memory_new(config->channel_count, sizeof *device->channel_names);
    for (size_t i = 0; i < config->channel_count; i++)
        device->channel_names[i] = config->channels[i].name;
    device->report_interval_ms = preferences_report_interval_ms(outputs->preferences, config->id,
                                                                config->report_interval_ms);
    describe(device);
    for (size_t i = 0; i < config->channel_count; i++) {
        enum status status = open_channel(device, i, error);
        if (status != STATUS_OK) {
            service_device_free(device);
            return status;
        }
    }
    device->in_hub = hub_add(outputs->hub, &device->description, device);
    put_state(device, HUB_READING_PART);
    *created = device;
    return STATUS_OK;
}

void service_device_free(struct service_device *device)
{
    if (device == NULL)
        return;
    if (device->in_hub != NULL)
        hub_remove(device->outputs->hub, device->in_hub);
    for (size_t i = 0; i < device->config->channel_count; i++)
        meter_free(device->channels[i].meter);
    free(device->channels);
    free(device->values);
    free(device->shown);
    free(device->channel_names);
    free(device);
}

const struct config_device *service_device_config(const struct service_device *device)
{
    return device->config;
}

struct hub_device *service_device_in_hub(const struct service_device *device)
{
    return device->in_hub;
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
    log_about(device, channel, warn ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, names[event->kind],
              event->text);
    report(device, channel, names[event->kind], event->text);
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
    put_state(device, complete ? HUB_READING : HUB_READING_PART);
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
    report(device, channel, kind, online ? "The channel answers." : reason);
    set_online(device, any_online(device));
    if (!online)
        put_state(device, HUB_URGENT); /* its values are unknown from now on */
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
    log_about(device, channel, LOG_LEVEL_WARNING, names[event], message);
    report(device, channel, names[event], message);
}

void service_device_tick(struct service_device *device)
{
    int64_t boot_ms = clock_boot_ms();
    unsigned shown = hub_device_state(device->in_hub)->problems;
    if ((shown & PROBLEM_NOISY) != 0 && (problems_of(device, boot_ms) & PROBLEM_NOISY) == 0)
        put_state(device, HUB_URGENT);
}

enum status service_device_set_report_interval(struct service_device *device, int64_t interval_ms,
                                               struct error *error)
{
    if (interval_ms < 1000 || interval_ms > 3600000)
        return error_set(error, STATUS_USAGE, "report_interval must be 1 to 3600 seconds.");
    enum status status = preferences_set_report_interval_ms(device->outputs->preferences,
                                                            device->config->id, interval_ms, error);
    if (status != STATUS_OK)
        return status;
    device->report_interval_ms = interval_ms;
    put_state(device, HUB_URGENT);
    return STATUS_OK;
}

static enum status find_channel(struct service_device *device, const char *name, size_t *number,
                                struct error *error)
{
    for (size_t i = 0; i < device->config->channel_count; i++) {
        if (strcmp(device->channels[i].config->name, name) != 0)
            continue;
        *number = i;
        return STATUS_OK;
    }
    return error_set(error, STATUS_USAGE, "Device %s has no channel \"%s\".", device->config->id,
                     name);
}

enum status service_device_set_calibration(struct service_device *device, const char *name,
                                           struct calibration *factors, bool force,
                                           int64_t *valid_from_ms, struct error *error)
{
    size_t number = 0;
    enum status status = find_channel(device, name, &number, error);
    if (status != STATUS_OK)
        return status;
    struct service_channel *channel = &device->channels[number];
    const struct calibration *old = meter_calibration(channel->meter);
    factors->voltage = factors->voltage > 0 ? factors->voltage : old->voltage;
    factors->current = factors->current > 0 ? factors->current : old->current;
    factors->power = factors->power > 0 ? factors->power : old->power;
    if (!force) {
        status = calibration_consistent(factors, kind_of(device->config), error);
        if (status != STATUS_OK)
            return status;
    }
    *valid_from_ms = clock_wall_ms();
    struct history *history = device->outputs->history;
    status = history_measured(history, channel->history_number, factors, *valid_from_ms, error);
    if (status != STATUS_OK)
        return status;
    meter_set_calibration(channel->meter, factors);
    history_put_state(history, channel->history_number, meter_state(channel->meter));
    char message[200];
    (void)snprintf(message, sizeof message,
                   "The calibration was set by request: voltage: %.7g, current: %.7g, power: %.7g.",
                   factors->voltage, factors->current, factors->power);
    log_info(device->outputs->log, "%s %s: %s", device->config->id, name, message);
    report(device, channel, "calibrated", message);
    return STATUS_OK;
}

/* The only act that may lower a total is told with what it was and what it is. */
static void report_totals_set(const struct service_device *device,
                              const struct service_channel *channel,
                              const struct channel_values *before, int64_t imported_uwh,
                              int64_t exported_uwh)
{
    const struct {
        const char *name;
        int64_t before, after;
    } totals[] = {{"energy", before->energy_uwh.value, imported_uwh},
                  {"energy_produced", before->energy_produced_uwh.value, exported_uwh}};
    char buffer[200];
    struct text text;
    text_init(&text, buffer, sizeof buffer);
    text_append(&text, "By request");
    for (size_t i = 0; i < 2; i++) {
        if (totals[i].after < 0)
            continue;
        text_append(&text, ", %s was set from ", totals[i].name);
        text_append_decimal(&text, totals[i].before, 9, 3, true);
        text_append(&text, " to ");
        text_append_decimal(&text, totals[i].after, 9, 3, true);
        text_append(&text, " kWh");
    }
    text_append(&text, ".");
    log_warning(device->outputs->log, "%s %s: %s", device->config->id, channel->config->name,
                buffer);
    report(device, channel, "totals_set", buffer);
}

enum status service_device_set_totals(struct service_device *device, const char *name,
                                      int64_t imported_uwh, int64_t exported_uwh,
                                      struct error *error)
{
    size_t number = 0;
    enum status status = find_channel(device, name, &number, error);
    if (status != STATUS_OK)
        return status;
    struct service_channel *channel = &device->channels[number];
    struct history_health health;
    history_health(device->outputs->history, &health);
    if (!health.writing)
        return error_set(
            error, STATUS_FAILED,
            "The disk does not take the history at the moment, and a restart would bring "
            "the former total back. Try again when the history is written again.");
    meter_set_totals(channel->meter, imported_uwh, exported_uwh);
    report_totals_set(device, channel, &device->values[number], imported_uwh, exported_uwh);
    totals_set(&channel->totals, clock_boot_ms());
    meter_values(channel->meter, !channel->online, &device->values[number]);
    history_put_state(device->outputs->history, channel->history_number,
                      meter_state(channel->meter));
    put_state(device, HUB_URGENT);
    return STATUS_OK;
}

void service_device_set_update(struct service_device *device, const struct device_update *update)
{
    device->update = *update;
    put_state(device, HUB_URGENT);
}

/* Kilowatt hours before and after, and what of them is held. */
static void report_recalibrated(const struct service_device *device,
                                const struct service_channel *channel,
                                const struct history_recalibrated *done, bool undone)
{
    char buffer[256];
    struct text text;
    text_init(&text, buffer, sizeof buffer);
    text_append(&text, undone ? "A recalibration was undone: total " : "Recalibrated: total ");
    text_append_decimal(&text, done->total_imported_before_uwh, 9, 3, true);
    text_append(&text, " -> ");
    text_append_decimal(&text, done->total_imported_after_uwh, 9, 3, true);
    text_append(&text, " kWh");
    if (done->held_imported_uwh > 0) {
        text_append(&text, ", of which ");
        text_append_decimal(&text, done->held_imported_uwh, 9, 3, true);
        text_append(&text, " kWh are too much and held, as a published total does not go down");
    }
    text_append(&text, ".");
    log_info(device->outputs->log, "%s %s: %s", device->config->id, channel->config->name, buffer);
    const struct message_event event = {
        .type = "recalibrated",
        .wall_ms = clock_wall_ms(),
        .device = device->config->id,
        .channel = channel->config->name,
        .message = buffer,
    };
    hub_event(device->outputs->hub, &event);
}

bool service_device_recalibrated(struct service_device *device,
                                 const struct history_recalibrated *done, bool undone)
{
    for (size_t i = 0; i < device->config->channel_count; i++) {
        struct service_channel *channel = &device->channels[i];
        if (channel->history_number != done->number)
            continue;
        meter_adjust_totals(channel->meter, &done->adjustment);
        meter_values(channel->meter, !channel->online, &device->values[i]);
        report_recalibrated(device, channel, done, undone);
        put_state(device, HUB_URGENT);
        return true;
    }
    return false;
}

void service_device_health(const struct service_device *device,
                           struct message_device_health *health)
{
    health->problems = problems_of(device, clock_boot_ms());
    health->frame_errors = 0;
    for (size_t i = 0; i < device->config->channel_count; i++) {
        struct driver_statistics statistics = {0};
        if (!device->outputs->statistics(device->outputs->context, device->config, i, &statistics))
            continue;
        health->readings += statistics.readings;
        health->frame_errors += statistics.frame_errors;
    }
}
