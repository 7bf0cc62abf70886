/* SPDX-License-Identifier: MIT */
/* Requests about one device. */
#include "bridge/service/handlers_shared.h"

#include "bridge/device/settings.h"
#include "drivers/base/text.h"

#include <math.h>

struct service_device *handlers_device(struct handlers *handlers, struct pending *pending,
                                       struct error *error)
{
    const char *id = pending_text(pending, "id");
    struct hub_device *device = hub_find(handlers->options.hub, id);
    if (device != NULL)
        return hub_device_owner(device);
    pending_unknown(pending);
    (void)error_set(error, STATUS_USAGE, "There is no device \"%s\".", id);
    return NULL;
}

enum status handle_device_update(void *context, struct pending *pending, struct error *error)
{
    const struct handlers *handlers = context;
    if (handlers->updates == NULL)
        return error_set(error, STATUS_USAGE,
                         "No folder of firmware is configured; openbeken.images in bridge.yaml "
                         "names one.");
    return updates_install(handlers->updates, pending, error);
}

enum status handle_device_raw(void *context, struct pending *pending, struct error *error)
{
    const struct service_device *device = handlers_device(context, pending, error);
    if (device == NULL)
        return STATUS_USAGE;
    pending_answer(pending, service_device_raw(device));
    return STATUS_OK;
}

/* -1: that total stays. */
static int64_t microwatt_hours(const struct pending *pending, const char *key)
{
    double kwh = pending_number(pending, key, -1);
    return kwh < 0 ? -1 : (int64_t)llround(kwh * 1e9);
}

enum status handle_device_energy_set(void *context, struct pending *pending, struct error *error)
{
    struct service_device *device = handlers_device(context, pending, error);
    const char *channel = pending_text(pending, "channel");
    int64_t imported_uwh = microwatt_hours(pending, "energy");
    int64_t exported_uwh = microwatt_hours(pending, "energy_produced");
    if (device == NULL)
        return STATUS_USAGE;
    if (imported_uwh < 0 && exported_uwh < 0)
        return error_set(error, STATUS_USAGE,
                         "The request needs energy or energy_produced, in kilowatt hours.");
    enum status status =
        service_device_set_totals(device, channel, imported_uwh, exported_uwh, error);
    if (status == STATUS_OK)
        pending_answer(pending, json_pack("{s:s, s:s}", "id", pending_text(pending, "id"),
                                          "channel", channel));
    return status;
}

static json_t *calibration_answer(const struct pending *pending, const struct calibration *factors,
                                  int64_t valid_from_ms)
{
    char time[64];
    struct text text;
    text_init(&text, time, sizeof time);
    text_append_time(&text, valid_from_ms, true);
    return json_pack("{s:s, s:s, s:f, s:f, s:f, s:s}", "id", pending_text(pending, "id"), "channel",
                     pending_text(pending, "channel"), "voltage", factors->voltage, "current",
                     factors->current, "power", factors->power, "valid_from", time);
}

/* A missing factor stays as it is; 0 stands for that. */
enum status handle_device_calibration_set(void *context, struct pending *pending,
                                          struct error *error)
{
    struct service_device *device = handlers_device(context, pending, error);
    struct calibration factors = {
        .voltage = pending_number(pending, "voltage", 0),
        .current = pending_number(pending, "current", 0),
        .power = pending_number(pending, "power", 0),
    };
    int64_t valid_from_ms = 0;
    if (device == NULL)
        return STATUS_USAGE;
    if (!(factors.voltage > 0 || factors.current > 0 || factors.power > 0))
        return error_set(
            error, STATUS_USAGE,
            "The request does not say which factors to set: voltage, current or power, "
            "in counts per unit.");
    enum status status = service_device_set_calibration(
        device, pending_text(pending, "channel"), &factors, pending_flag(pending, "force", false),
        &valid_from_ms, error);
    if (status == STATUS_OK)
        pending_answer(pending, calibration_answer(pending, &factors, valid_from_ms));
    return status;
}

static void on_written(void *context, const char *device, const json_t *options, enum status status,
                       const struct error *error)
{
    const struct handlers *handlers = context;
    const struct hub_device *found = hub_find(handlers->options.hub, device);
    (void)options;
    if (found == NULL)
        return; /* it has left meanwhile */
    service_device_written(hub_device_owner(found), status == STATUS_OK);
    if (status != STATUS_OK)
        log_warning(handlers->options.log,
                    "What was set on %s/set could not be written to bridge.yaml: %s", device,
                    error->text);
}

/* The report interval holds at once; all of it is written to bridge.yaml. */
static enum status take_over(struct handlers *handlers, struct service_device *device,
                             const struct settings *settings, struct error *error)
{
    const struct config_device *config = service_device_config(device);
    if (settings->has_report_interval) {
        enum status status =
            service_device_set_report_interval(device, settings->report_interval_ms, error);
        if (status != STATUS_OK)
            return status;
    }
    write_back_put(handlers->write_back, config->id, config->adopted,
                   json_incref(settings->options), on_written, handlers);
    return STATUS_OK;
}

/* There is no response topic for it, so a refusal is a log line, which is published as well. */
bool handlers_set_device(void *context, const char *device, const char *key, const char *payload,
                         size_t length)
{
    struct handlers *handlers = context;
    const struct hub_device *found = hub_find_named(handlers->options.hub, device, NULL);
    if (found == NULL)
        return false;
    struct settings settings;
    struct error error = {""};
    enum status status = settings_parse(key, payload, length, &settings, &error);
    if (status == STATUS_OK)
        status = take_over(handlers, hub_device_owner(found), &settings, &error);
    json_decref(settings.options);
    if (status != STATUS_OK)
        log_repeating(handlers->options.log, LOG_LEVEL_WARNING, "set refused",
                      "The message on %s/set%s%s was refused: %s", device, key != NULL ? "/" : "",
                      key != NULL ? key : "", error.text);
    return true;
}
