/* SPDX-License-Identifier: MIT */
/* What users set on a device at work. */
#include "bridge/service/service_device_parts.h"

#include "drivers/base/clock.h"
#include "drivers/base/text.h"

#include <stdio.h>
#include <string.h>

enum status service_device_set_report_interval(struct service_device *device, int64_t interval_ms,
                                               struct error *error)
{
    enum status status = preferences_set_report_interval_ms(device->outputs->preferences,
                                                            device->config->id, interval_ms, error);
    if (status != STATUS_OK)
        return status;
    device->report_interval_ms = interval_ms;
    device->unwritten = true;
    service_device_put_state(device, HUB_URGENT);
    return STATUS_OK;
}

/* Where the environment overrides the file, or a later value is on its way, the preferences keep it. */
void service_device_written(struct service_device *device, bool written)
{
    bool same = device->report_interval_ms == device->config->report_interval_ms;
    if (!device->unwritten || (written && !same))
        return;
    device->unwritten = false;
    if (written)
        preferences_forget_report_interval(device->outputs->preferences, device->config->id);
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
        status = calibration_consistent(factors, service_device_kind(device->config), error);
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
    service_device_report(device, channel, "calibrated", message);
    return STATUS_OK;
}

/* The only act that may lower a total is reported with what it was and what it is. */
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
    service_device_report(device, channel, "totals_set", buffer);
}

/* That is no energy of today, nor of a sum that the channel is a member of. */
static void report_shift(const struct service_device *device, size_t number,
                         const struct channel_values *before)
{
    const struct channel_values *now = &device->values[number];
    int64_t imported_uwh = now->energy_uwh.value - before->energy_uwh.value;
    int64_t exported_uwh = now->energy_produced_uwh.value - before->energy_produced_uwh.value;
    device_periods_shift(device->periods, number, imported_uwh, exported_uwh);
    device->outputs->shifted(device->outputs->context, device, number, imported_uwh, exported_uwh);
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
    const struct channel_values before = device->values[number];
    if (channel->sum != NULL)
        virtual_set_totals(channel->sum, imported_uwh, exported_uwh);
    else
        meter_set_totals(channel->meter, imported_uwh, exported_uwh);
    report_totals_set(device, channel, &device->values[number], imported_uwh, exported_uwh);
    totals_set(&channel->totals, clock_boot_ms());
    service_device_read_values(channel, !channel->online, &device->values[number]);
    report_shift(device, number, &before);
    history_put_state(device->outputs->history, channel->history_number,
                      service_device_state(channel));
    service_device_put_state(device, HUB_URGENT);
    return STATUS_OK;
}

void service_device_set_update(struct service_device *device, const struct device_update *update)
{
    device->update = *update;
    service_device_put_state(device, HUB_URGENT);
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
        const struct channel_values before = device->values[i];
        meter_adjust_totals(channel->meter, &done->adjustment);
        service_device_read_values(channel, !channel->online, &device->values[i]);
        report_shift(device, i, &before);
        device_periods_forget(device->periods);
        report_recalibrated(device, channel, done, undone);
        service_device_put_state(device, HUB_URGENT);
        return true;
    }
    return false;
}
