/* SPDX-License-Identifier: MIT */
#include "bridge/service/service_device.h"

#include "bridge/service/event_gate.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define STATE_SIZE 16384      /* 26 channels at some 450 bytes each fit */
#define FLUSH_PAUSE_MS 5000   /* a chip that restarts all the time must not wear the disk out */
#define NOISY_FADES_MS 120000 /* a line is called noisy until two minutes without complaint */

struct service_channel {
    const struct config_channel *config;
    struct meter *meter;
    unsigned history_number;
    bool online;
    bool reported;              /* the driver has said whether it is online */
    bool fresh;                 /* has a reading that was not published yet */
    int64_t noisy_until_ms;     /* boot clock */
    unsigned problems;          /* the meter's, as of the last reading */
    int64_t shown_imported_uwh; /* totals as last published */
    int64_t shown_exported_uwh;
    int64_t totals_set_ms;  /* boot clock: when the user last set them */
    int64_t flush_after_ms; /* boot clock: not before, the disk is asked to flush again */
    enum { TOTALS_CURRENT, TOTALS_LAGGING, TOTALS_CAUGHT_UP } totals; /* see show_totals */
    int64_t loaded_counter_ms; /* boot clock: of the baseline */
    int64_t caught_up_imported_uwh, caught_up_exported_uwh;
};

struct service_device {
    const struct config_device *config;
    const struct service_outputs *outputs;
    struct device_description description;
    char model[64];
    char *state_topic;
    char *availability_topic;
    const char **channel_names;
    struct service_channel *channels;
    struct channel_values *values;
    int64_t report_interval_ms;
    int64_t last_publish_ms; /* boot clock; 0: never */
    int64_t last_seen_wall_ms;
    bool online;
    struct device_update update;
};

static char *topic_under(const char *base, const char *device, const char *leaf)
{
    size_t size = strlen(base) + strlen(device) + strlen(leaf) + 2;
    char *topic = memory_new(size, 1);
    (void)snprintf(topic, size, "%s/%s%s", base, device, leaf);
    return topic;
}

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
    history_put_event(outputs->history, channel->history_number, clock_wall_ms(), kind, message);
    outputs->event(outputs->context, kind, device->config->id, channel->config->name, message);
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
    channel->totals = health.may_lag && state.known ? TOTALS_LAGGING : TOTALS_CURRENT;
    channel->loaded_counter_ms = state.counter_boot_ms;
    return STATUS_OK;
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
    device->channel_names = memory_new(config->channel_count, sizeof *device->channel_names);
    for (size_t i = 0; i < config->channel_count; i++)
        device->channel_names[i] = config->channels[i].name;
    device->state_topic = topic_under(outputs->base_topic, config->id, "");
    device->availability_topic = topic_under(outputs->base_topic, config->id, "/availability");
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
    *created = device;
    return STATUS_OK;
}

void service_device_free(struct service_device *device)
{
    if (device == NULL)
        return;
    for (size_t i = 0; i < device->config->channel_count; i++)
        meter_free(device->channels[i].meter);
    free(device->channels);
    free(device->values);
    free(device->channel_names);
    free(device->state_topic);
    free(device->availability_topic);
    free(device);
}

const struct config_device *service_device_config(const struct service_device *device)
{
    return device->config;
}

const struct device_description *service_device_description(const struct service_device *device)
{
    return &device->description;
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

/* The first credit since the start says what was counted until now: later than all that a process
 * before can have published. */
static void follow_lag(struct service_channel *channel, const struct channel_values *values)
{
    if (channel->totals != TOTALS_LAGGING ||
        meter_state(channel->meter)->counter_boot_ms == channel->loaded_counter_ms)
        return;
    channel->totals = TOTALS_CAUGHT_UP;
    channel->caught_up_imported_uwh = values->energy_uwh.value;
    channel->caught_up_exported_uwh = values->energy_produced_uwh.value;
}

/* Whether these totals may be lower than what a process before has published. */
static bool lags(struct service_channel *channel, int64_t imported_uwh, int64_t exported_uwh)
{
    if (channel->totals == TOTALS_CAUGHT_UP && imported_uwh >= channel->caught_up_imported_uwh &&
        exported_uwh >= channel->caught_up_exported_uwh)
        channel->totals = TOTALS_CURRENT;
    return channel->totals != TOTALS_CURRENT;
}

/* Totals are published as they are on disk, so that not even a power cut that also takes the chip's
 * counter makes them fall. While the disk refuses, the present is worth more than that: then they are
 * taken from memory. Neither way do they fall while this process runs. If the process before may have
 * published later ones than it could store (Home Assistant would take the drop for an exchanged meter
 * and count all of it again), they are unknown until the meter has told what was counted since. */
static void show_totals(struct service_device *device)
{
    struct history *history = device->outputs->history;
    struct history_health health;
    history_health(history, &health);
    for (size_t i = 0; i < device->config->channel_count; i++) {
        struct service_channel *channel = &device->channels[i];
        struct amount *imported = &device->values[i].energy_uwh;
        struct amount *exported = &device->values[i].energy_produced_uwh;
        int64_t imported_uwh = imported->value, exported_uwh = exported->value;
        if (health.writing && health.last_commit_boot_ms >= channel->totals_set_ms)
            history_stored_totals(history, channel->history_number, &imported_uwh, &exported_uwh);
        if (lags(channel, imported_uwh, exported_uwh)) {
            imported->known = exported->known = false;
            continue;
        }
        if (imported_uwh > channel->shown_imported_uwh)
            channel->shown_imported_uwh = imported_uwh;
        if (exported_uwh > channel->shown_exported_uwh)
            channel->shown_exported_uwh = exported_uwh;
        imported->value = channel->shown_imported_uwh;
        exported->value = channel->shown_exported_uwh;
    }
}

static void publish_state(struct service_device *device, int64_t boot_ms)
{
    show_totals(device);
    char buffer[STATE_SIZE];
    struct text text;
    text_init(&text, buffer, sizeof buffer);
    const struct device_state state = {
        .channels = device->values,
        .last_seen_wall_ms = device->last_seen_wall_ms,
        .frame_errors = frame_errors_of(device),
        .problems = problems_of(device, boot_ms),
        .report_interval_ms = device->report_interval_ms,
        .update = device->update,
    };
    device_state_json(&device->description, &state, &text);
    if (text.cut) {
        log_error(device->outputs->log,
                  "The state of %s does not fit into %d bytes and was not published.",
                  device->config->id, STATE_SIZE);
        return;
    }
    publisher_publish(device->outputs->publisher, device->state_topic, buffer, text.length,
                      device->config->retain, 0);
    device->last_publish_ms = boot_ms;
    for (size_t i = 0; i < device->config->channel_count; i++)
        device->channels[i].fresh = false;
}

static void publish_availability(struct service_device *device)
{
    const char *payload = device->online ? MESSAGE_ONLINE : MESSAGE_OFFLINE;
    publisher_publish(device->outputs->publisher, device->availability_topic, payload,
                      strlen(payload), true, 1);
}

void service_device_publish(struct service_device *device)
{
    publish_availability(device);
    publish_state(device, clock_boot_ms());
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

/* All channels of one state message come from the same round of readings: it is published when
 * every channel that is online has delivered since the last one, and the report interval has
 * passed. */
static bool round_complete(const struct service_device *device)
{
    for (size_t i = 0; i < device->config->channel_count; i++) {
        const struct service_channel *channel = &device->channels[i];
        if (!channel->reported || (channel->online && !channel->fresh))
            return false;
    }
    return true;
}

static bool report_due(const struct service_device *device, int64_t boot_ms)
{
    /* Half a reading early rather than late, so that 5 s of 1 s readings stay 5 s. */
    int64_t wait_ms = device->report_interval_ms - device->config->interval_ms / 2;
    return device->last_publish_ms == 0 || boot_ms - device->last_publish_ms >= wait_ms;
}

static void set_online(struct service_device *device, bool online)
{
    if (online == device->online)
        return;
    device->online = online;
    publish_availability(device);
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
    follow_lag(channel, &result.values);
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
    if (round_complete(device) && report_due(device, reading->boot_ms))
        publish_state(device, reading->boot_ms);
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
        publish_state(device, clock_boot_ms()); /* its values are unknown from now on */
    else
        device->last_publish_ms = 0; /* the first readings after silence are shown at once */
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

void service_device_tick(struct service_device *device, int64_t boot_ms)
{
    /* A channel that is about to be declared offline must not hold back the others for long, and the
     * chips of a module speak when they please. */
    bool some_fresh = false;
    for (size_t i = 0; i < device->config->channel_count; i++)
        some_fresh = some_fresh || device->channels[i].fresh;
    if (some_fresh && boot_ms - device->last_publish_ms >=
                          device->report_interval_ms + device->config->interval_ms)
        publish_state(device, boot_ms);
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
    publish_state(device, clock_boot_ms());
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
    channel->totals = TOTALS_CURRENT;
    channel->shown_imported_uwh = channel->shown_exported_uwh = 0; /* now they may fall, */
    channel->totals_set_ms = clock_boot_ms() + 1; /* and wait for a commit after this moment */
    meter_values(channel->meter, !channel->online, &device->values[number]);
    history_put_state(device->outputs->history, channel->history_number,
                      meter_state(channel->meter));
    publish_state(device, clock_boot_ms());
    return STATUS_OK;
}

void service_device_set_update(struct service_device *device, const struct device_update *update,
                               bool urgent)
{
    device->update = *update;
    if (urgent)
        publish_state(device, clock_boot_ms());
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
    device->outputs->event(device->outputs->context, "recalibrated", device->config->id,
                           channel->config->name, buffer);
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
        publish_state(device, clock_boot_ms());
        return true;
    }
    return false;
}

void service_device_health(const struct service_device *device,
                           struct message_device_health *health)
{
    *health = (struct message_device_health){
        .id = device->config->id,
        .online = device->online,
        .last_seen_wall_ms = device->last_seen_wall_ms,
        .problems = problems_of(device, clock_boot_ms()),
    };
    for (size_t i = 0; i < device->config->channel_count; i++) {
        struct driver_statistics statistics = {0};
        if (!device->outputs->statistics(device->outputs->context, device->config, i, &statistics))
            continue;
        health->readings += statistics.readings;
        health->frame_errors += statistics.frame_errors;
    }
}
