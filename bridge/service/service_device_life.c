/* SPDX-License-Identifier: MIT */
/* How a device at work comes into being, changes and ends. */
#include "bridge/service/service_device_parts.h"

#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define VIRTUAL_MEMBERS_MAX 32
#define SUM_HOLD_MS 125000 /* a module may repeat its values after 61 s only */

enum reading_kind service_device_kind(const struct config_device *config)
{
    return config_reading_kind(config->driver);
}

const struct energy_state *service_device_state(const struct service_channel *channel)
{
    return channel->sum != NULL ? virtual_state(channel->sum) : meter_state(channel->meter);
}

void service_device_read_values(const struct service_channel *channel, bool stale,
                                struct channel_values *values)
{
    meter_values(channel->meter, stale, values);
    if (channel->sum == NULL)
        return;
    *values = (struct channel_values){.energy_uwh.known = true, .energy_produced_uwh.known = true};
    energy_totals_uwh(virtual_state(channel->sum), meter_calibration(channel->meter),
                      READING_OPENBEKEN, &values->energy_uwh.value,
                      &values->energy_produced_uwh.value);
}

/* What the configuration says otherwise about deadbands and decimals. */
static void set_publishing(struct service_device *device)
{
    const struct config_publishing *from = &device->config->publishing;
    struct device_publishing *to = &device->publishing;
    for (size_t i = 0; i < PROPERTY_SOURCE_COUNT; i++) {
        to->deadband_micro[i] = -1;
        to->decimals[i] = -1;
    }
    const struct {
        int64_t deadband_micro, decimals;
        enum property_source sources[2];
    } rows[] = {
        {from->voltage_micro, from->voltage, {SOURCE_VOLTAGE, SOURCE_VOLTAGE}},
        {from->current_micro, from->current, {SOURCE_CURRENT, SOURCE_CURRENT}},
        {from->power_micro, from->power, {SOURCE_POWER, SOURCE_POWER}},
        {from->power_micro, from->power, {SOURCE_POWER_APPARENT, SOURCE_POWER_REACTIVE}},
        {from->power_factor_micro, from->power_factor, {SOURCE_POWER_FACTOR, SOURCE_POWER_FACTOR}},
        {from->frequency_micro, from->frequency, {SOURCE_FREQUENCY, SOURCE_FREQUENCY}},
        {from->energy_micro, from->energy, {SOURCE_ENERGY, SOURCE_ENERGY_PRODUCED}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t j = 0; j < 2; j++) {
            to->deadband_micro[rows[i].sources[j]] =
                rows[i].deadband_micro < 0 ? -1 : rows[i].deadband_micro;
            to->decimals[rows[i].sources[j]] = rows[i].decimals < 0 ? -1 : (int)rows[i].decimals;
        }
}

static void make_entities(struct service_device *device)
{
    const struct config_device_homeassistant *config = &device->config->homeassistant;
    free(device->entities);
    device->entities = memory_new(config->entity_count + 1, sizeof *device->entities);
    for (size_t i = 0; i < config->entity_count; i++)
        device->entities[i] = (struct device_entity){
            .key = config->entities[i].property,
            .name = config->entities[i].name,
            .icon = config->entities[i].icon,
            .enabled = config->entities[i].enabled,
            .decimals = (int)config->entities[i].precision,
        };
}

static void describe(struct service_device *device)
{
    static const struct {
        const char *driver, *manufacturer, *model;
    } makes[] = {
        [DRIVER_BL0942] = {"bl0942", "Shanghai Belling", "BL0942 energy meter"},
        [DRIVER_OPENBEKEN] = {"openbeken", "OpenBeken", "BL0942 energy meter"},
        [DRIVER_MQTT] = {"mqtt", "MQTT", "Energy meter"},
        [DRIVER_ESPHOME] = {"esphome", "ESPHome", "BL0942 energy meter"},
        [DRIVER_SIMULATOR] = {"simulator", "bl2mqtt", "Simulated BL0942 energy meter"},
        [DRIVER_VIRTUAL] = {"virtual", "bl2mqtt", "Sum of energy meters"},
    };
    const struct config_device *config = device->config;
    make_entities(device);
    if (config->channel_count > 1)
        (void)snprintf(device->model, sizeof device->model, "%s, %zu channels",
                       makes[config->driver].model, config->channel_count);
    else
        (void)snprintf(device->model, sizeof device->model, "%s", makes[config->driver].model);
    device->description = (struct device_description){
        .id = config->id,
        .discovery_id = device->first_id,
        .name = config->name,
        .driver = makes[config->driver].driver,
        .manufacturer = makes[config->driver].manufacturer,
        .model = device->model,
        .version = device->version,
        .url = device->url,
        .channel_count = config->channel_count,
        .channel_names = device->channel_names,
        .channel_labels = device->channel_labels,
        .keeps_suffixes = device->own_totals.keeps_suffixes,
        .currency = device->currency,
        .publishing = &device->publishing,
        .retain = config->retain && config->output != OUTPUT_ATTRIBUTES,
        .retain_set = config->retain,
        .state_as_json = config->output != OUTPUT_ATTRIBUTES,
        .state_by_value = config->output != OUTPUT_JSON,
        .homeassistant = config->homeassistant.enabled && config->output != OUTPUT_ATTRIBUTES,
        .homeassistant_name = config->homeassistant.name,
        .excluded = config->homeassistant.exclude,
        .entities = device->entities,
        .entity_count = config->homeassistant.entity_count,
        .nominal_mv = llround(config->mains_voltage_v * 1000),
        .interval_ms = config->interval_ms,
        .min_interval_ms = config->min_interval_ms,
        .max_interval_ms = config->max_interval_ms,
        .updatable = device->outputs->updates && config->driver == DRIVER_OPENBEKEN,
    };
    device->description.alarm_names =
        device_alarms_names(device->alarms, &device->description.alarm_count);
}

static const struct calibration *configured_calibration(const struct config_device *config,
                                                        const struct service_channel *channel)
{
    static const struct calibration identity = {1000.0, 1000.0, 1000.0};
    return config->driver == DRIVER_VIRTUAL ? &identity : &channel->config->calibration;
}

/* sum: "house/a,-solar/a", checked by the configuration. */
static struct virtual_sum *create_sum(const struct config_channel *channel,
                                      const struct energy_state *state)
{
    int signs[VIRTUAL_MEMBERS_MAX];
    size_t count = 0;
    for (const char *at = channel->sum; *at != '\0' && count < VIRTUAL_MEMBERS_MAX; count++) {
        at += *at == ',' ? 1 : 0;
        signs[count] = *at == '-' ? -1 : 1;
        at += strcspn(at, ",");
    }
    const struct virtual_options options = {
        .member_count = count,
        .signs = signs,
        .balance = channel->balance,
        .definition = channel->sum,
        .longest_hold_ms = SUM_HOLD_MS,
    };
    return virtual_create(&options, state);
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
    enum status status =
        history_channel(outputs->history, config->id, channel->config->name,
                        service_device_kind(config), &channel->history_number, &state, error);
    if (status != STATUS_OK)
        return status;
    struct calibration previous;
    bool changed = false;
    status = history_calibration(outputs->history, channel->history_number,
                                 configured_calibration(config, channel), channel->config->invert,
                                 clock_wall_ms(), &previous, &changed, error);
    if (status != STATUS_OK)
        return status;

    struct calibration in_use = calibration_in_use(device, channel);
    struct meter_options options = {
        .kind = service_device_kind(config),
        .calibration = changed ? previous : in_use,
        .invert = channel->config->invert,
        .mains_frequency_hz = (int)config->mains_frequency_hz,
        .mains_voltage_v = config->mains_voltage_v,
        .max_current_a = config->max_current_a,
        .noise_floor_mw = channel->config->noise_floor_mw,
        .begin_at_source = config->begin_at_source,
        .whole = config->driver != DRIVER_BL0942 && config->driver != DRIVER_SIMULATOR,
        .boot_id = outputs->boot_id,
    };
    channel->meter = meter_create(&options, &state);
    if (config->driver == DRIVER_VIRTUAL)
        channel->sum = create_sum(channel->config, &state);
    if (changed) {
        meter_set_calibration(channel->meter, &in_use);
        history_put_state(outputs->history, channel->history_number, service_device_state(channel));
        log_info(outputs->log,
                 "The calibration of %s %s changed; its totals go on from where they are.",
                 config->id, channel->config->name);
    }
    service_device_read_values(channel, true, &device->values[number]);
    device_periods_seed(device->periods, number, device->values[number].energy_uwh.value,
                        device->values[number].energy_produced_uwh.value);
    struct history_health health;
    history_health(outputs->history, &health);
    totals_begin(&channel->totals, health.may_lag && state.known, state.counter_boot_ms);
    return STATUS_OK;
}

/* What belongs to one configuration of the device. */
struct equipment {
    const struct config_device *config;
    const char **channel_names, **channel_labels;
    struct device_alarms *alarms;
    struct device_periods *periods;
    struct service_channel *channels;
    struct channel_values *values, *shown;
};

static struct equipment equipment_of(const struct service_device *device)
{
    return (struct equipment){
        .config = device->config,
        .channel_names = device->channel_names,
        .channel_labels = device->channel_labels,
        .alarms = device->alarms,
        .periods = device->periods,
        .channels = device->channels,
        .values = device->values,
        .shown = device->shown,
    };
}

static void put_equipment(struct service_device *device, const struct equipment *equipment)
{
    device->config = equipment->config;
    device->channel_names = equipment->channel_names;
    device->channel_labels = equipment->channel_labels;
    device->alarms = equipment->alarms;
    device->periods = equipment->periods;
    device->channels = equipment->channels;
    device->values = equipment->values;
    device->shown = equipment->shown;
}

static void free_equipment(const struct equipment *equipment)
{
    for (size_t i = 0; i < equipment->config->channel_count; i++) {
        meter_free(equipment->channels[i].meter);
        virtual_free(equipment->channels[i].sum);
    }
    device_alarms_free(equipment->alarms);
    device_periods_free(equipment->periods);
    free(equipment->channel_labels);
    free(equipment->channels);
    free(equipment->values);
    free(equipment->shown);
    free(equipment->channel_names);
}

static void name_channels(struct service_device *device)
{
    for (size_t i = 0; i < device->config->channel_count; i++) {
        device->channels[i].config = &device->config->channels[i];
        device->channel_names[i] = device->config->channels[i].name;
        device->channel_labels[i] = device->config->channels[i].label;
    }
    (void)snprintf(device->currency, sizeof device->currency, "%s",
                   device_periods_currency(device->periods, clock_wall_ms()));
    set_publishing(device);
}

static void on_past(void *context, bool first)
{
    service_device_put_state(context, first ? HUB_URGENT : HUB_READING_PART);
}

static struct device_periods *create_periods(struct service_device *device,
                                             const struct config_device *config)
{
    const struct service_outputs *outputs = device->outputs;
    const struct device_periods_options options = {
        .config = config,
        .kind = service_device_kind(config),
        .reader = outputs->pasts,
        .tariffs = outputs->tariffs,
        .market = outputs->market,
        .changed = on_past,
        .context = device,
    };
    return device_periods_create(&options);
}

static struct device_alarms *create_alarms(const struct service_device *device,
                                           const struct config_device *config)
{
    return device_alarms_create(config, device->outputs->preferences, device->outputs->log);
}

static enum status equip(struct service_device *device, const struct config_device *config,
                         struct error *error)
{
    size_t count = config->channel_count;
    const struct equipment equipment = {
        .config = config,
        .channel_names = memory_new(count, sizeof *equipment.channel_names),
        .channel_labels = memory_new(count, sizeof *equipment.channel_labels),
        .alarms = create_alarms(device, config),
        .periods = create_periods(device, config),
        .channels = memory_new(count, sizeof *equipment.channels),
        .values = memory_new(count, sizeof *equipment.values),
        .shown = memory_new(count, sizeof *equipment.shown),
    };
    put_equipment(device, &equipment);
    name_channels(device);
    for (size_t i = 0; i < count; i++) {
        enum status status = open_channel(device, i, error);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* Of a channel that is configured, or once was. */
static bool stored_total(void *context, const char *name, int64_t *imported_uwh,
                         int64_t *exported_uwh)
{
    const struct service_device *device = context;
    unsigned number;
    struct energy_state state;
    if (history_channel(device->outputs->history, device->config->id, name,
                        service_device_kind(device->config), &number, &state, NULL) != STATUS_OK)
        return false;
    history_stored_totals(device->outputs->history, number, imported_uwh, exported_uwh);
    return true;
}

static void begin_own_totals(struct service_device *device)
{
    device_totals_begin(&device->own_totals, device->config, device->outputs->preferences,
                        stored_total, device, device->outputs->log);
}

enum status service_device_create(const struct config_device *config,
                                  const struct service_outputs *outputs,
                                  struct service_device **created, struct error *error)
{
    struct service_device *device = memory_new(1, sizeof *device);
    device->outputs = outputs;
    device->source = DEVICE_NO_SOURCE;
    device->report_interval_ms = preferences_report_interval_ms(outputs->preferences, config->id,
                                                                config->report_interval_ms);
    enum status status = equip(device, config, error);
    if (status != STATUS_OK) {
        service_device_free(device);
        return status;
    }
    begin_own_totals(device);
    first_id_find(outputs->preferences, outputs->hub, config->id, device->first_id);
    describe(device);
    device->in_hub = hub_add(outputs->hub, &device->description, device);
    hub_set_disabled(outputs->hub, device->in_hub, config->disabled);
    service_device_put_state(device, HUB_READING_PART);
    *created = device;
    return STATUS_OK;
}

void service_device_set_facts(struct service_device *device, const char *version, const char *url)
{
    (void)snprintf(device->version, sizeof device->version, "%s", version);
    (void)snprintf(device->url, sizeof device->url, "%s", url);
}

void service_device_free(struct service_device *device)
{
    if (device == NULL)
        return;
    if (device->in_hub != NULL)
        hub_remove(device->outputs->hub, device->in_hub);
    const struct equipment equipment = equipment_of(device);
    free_equipment(&equipment);
    free(device->entities);
    free(device);
}

/* What a channel was before, under its name, it still is: its totals as published, and whether it answers. */
static void take_over(struct service_device *device, const struct equipment *before)
{
    size_t *old_of memory_auto = memory_new(device->config->channel_count, sizeof *old_of);
    for (size_t i = 0; i < device->config->channel_count; i++) {
        old_of[i] = SIZE_MAX;
        for (size_t j = 0; j < before->config->channel_count; j++) {
            struct service_channel *channel = &device->channels[i];
            const struct service_channel *old = &before->channels[j];
            if (channel->history_number != old->history_number)
                continue;
            old_of[i] = j;
            channel->totals = old->totals;
            channel->online = old->online;
            channel->reported = old->reported;
            channel->noisy_until_ms = old->noisy_until_ms;
            channel->voltage = old->voltage;
        }
    }
    device_periods_take_over(device->periods, before->periods, old_of);
}

/* The configured report interval was changed: it replaces what a user set by <device>/set, unless that is on
 * its way into the file. */
static void follow_report_interval(struct service_device *device,
                                   const struct config_device *before)
{
    int64_t interval_ms = device->config->report_interval_ms;
    if (interval_ms == before->report_interval_ms || device->unwritten)
        return;
    device->report_interval_ms = interval_ms;
    preferences_forget_report_interval(device->outputs->preferences, device->config->id);
}

static void describe_anew(struct service_device *device)
{
    struct hub *hub = device->outputs->hub;
    describe(device);
    hub_described(hub, device->in_hub);
    hub_set_disabled(hub, device->in_hub, device->config->disabled);
}

void service_device_rebind(struct service_device *device, const struct config_device *config)
{
    device->config = config;
    device_periods_rebind(device->periods, config);
    device_alarms_free(device->alarms); /* what is on is in the preferences */
    device->alarms = create_alarms(device, config);
    name_channels(device);
    describe(device);
}

void service_device_changed(struct service_device *device, const struct config_device *config)
{
    const struct config_device *before = device->config;
    service_device_rebind(device, config);
    follow_report_interval(device, before);
    describe_anew(device);
    service_device_put_state(device, HUB_URGENT);
}

void service_device_repriced(struct service_device *device)
{
    device_periods_reprice(device->periods);
}

void service_device_tariffs_changed(struct service_device *device)
{
    name_channels(device);
    describe_anew(device);
    device_periods_reprice(device->periods);
    service_device_put_state(device, HUB_URGENT);
}

/* What is disabled is not asked any more, and so offline. */
static void end_channels(struct service_device *device)
{
    for (size_t i = 0; i < device->config->channel_count; i++)
        if (device->config->disabled) {
            service_device_voltage_end(device, &device->channels[i]);
            device->channels[i].online = device->channels[i].reported = false;
            service_device_read_values(&device->channels[i], true, &device->values[i]);
        }
    device->online = false;
    for (size_t i = 0; i < device->config->channel_count; i++)
        device->online = device->online || device->channels[i].online;
    hub_availability(device->outputs->hub, device->in_hub, device->online);
}

enum status service_device_reconfigure(struct service_device *device,
                                       const struct config_device *config, struct error *error)
{
    const struct equipment before = equipment_of(device);
    enum status status = equip(device, config, error);
    if (status != STATUS_OK) {
        const struct equipment failed = equipment_of(device);
        put_equipment(device, &before);
        free_equipment(&failed);
        return status;
    }
    take_over(device, &before);
    begin_own_totals(device);
    follow_report_interval(device, before.config);
    describe_anew(device);
    end_channels(device);
    service_device_put_state(device, HUB_URGENT);
    free_equipment(&before);
    return STATUS_OK;
}

size_t service_device_source(const struct service_device *device)
{
    return device->source;
}

void service_device_set_source(struct service_device *device, size_t source)
{
    device->source = source;
}

const struct config_device *service_device_config(const struct service_device *device)
{
    return device->config;
}

struct hub_device *service_device_in_hub(const struct service_device *device)
{
    return device->in_hub;
}
