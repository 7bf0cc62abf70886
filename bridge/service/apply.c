/* SPDX-License-Identifier: MIT */
#include "bridge/service/apply.h"

#include "bridge/config/diff.h"
#include "bridge/service/first_id.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <stdio.h>
#include <string.h>

static const struct device_description *description_of(const struct service_device *device)
{
    return hub_device_description(service_device_in_hub(device));
}

static void report(struct service *service, const char *kind, const char *device,
                   const char *message)
{
    const struct message_event event = {
        .type = kind, .wall_ms = clock_wall_ms(), .device = device, .message = message};
    hub_event(service->hub, &event);
}

static struct service_device *find_device(const struct service *service, const char *id)
{
    const struct hub_device *device = hub_find(service->hub, id);
    return device == NULL ? NULL : hub_device_owner(device);
}

/* ---- one device ---- */

static enum status create(struct service *service, const struct config_device *config,
                          struct service_device **device, struct error *error)
{
    enum status status = service_device_create(config, &service->outputs, device, error);
    if (status != STATUS_OK)
        return status;
    service->devices[service->device_count++] = *device;
    virtuals_add(service->virtuals, *device);
    return STATUS_OK;
}

static void start_reading(struct service *service, struct service_device *device)
{
    const struct config_device *config = service_device_config(device);
    if (config->disabled || service->sources == NULL)
        return;
    service_device_set_source(device, sources_add(service->sources, device, config));
    module_facts_add(service->facts, config);
    if (service->updates != NULL)
        updates_add(service->updates, device, config);
}

static void stop_reading(struct service *service, struct service_device *device)
{
    size_t source = service_device_source(device);
    if (source == DEVICE_NO_SOURCE)
        return;
    sources_remove(service->sources, source);
    service_device_set_source(device, DEVICE_NO_SOURCE);
    if (service->updates != NULL)
        updates_remove(service->updates, device);
}

static void rebind(struct service *service, struct service_device *device,
                   const struct config_device *config)
{
    service_device_rebind(device, config);
    if (service_device_source(device) != DEVICE_NO_SOURCE)
        sources_rebind(service->sources, service_device_source(device), config);
}

static enum status join(struct service *service, const struct config_device *config,
                        struct error *error)
{
    struct service_device *device = NULL;
    enum status status = create(service, config, &device, error);
    if (status != STATUS_OK)
        return status;
    log_info(service->log, "The device %s was added.", config->id);
    report(service, "device_joined", config->id, "The device was added.");
    announcer_add(service->announcer, description_of(device));
    start_reading(service, device);
    return STATUS_OK;
}

/* Home Assistant lets go of the device before its topics are emptied. */
static void leave(struct service *service, struct service_device *device)
{
    char id[64], discovery[64];
    size_t index = 0;
    (void)snprintf(id, sizeof id, "%s", service_device_config(device)->id);
    (void)snprintf(discovery, sizeof discovery, "%s", discovery_id(description_of(device)));
    stop_reading(service, device);
    service_device_readings_end(device);
    virtuals_remove(service->virtuals, device);
    announcer_remove(service->announcer, discovery);
    while (service->devices[index] != device)
        index++;
    service->devices[index] = service->devices[--service->device_count];
    service_device_free(device);
    log_info(service->log, "The device %s was removed.", id);
    report(service, "device_left", id, "The device was removed.");
}

/* A simulated chip counts in the units of its calibration. */
static bool restarts_source(const struct config_device_diff *diff)
{
    return diff->reach >= CONFIG_REACH_SOURCE ||
           (diff->reach == CONFIG_REACH_DEVICE && diff->after->driver == DRIVER_SIMULATOR);
}

static enum status change(struct service *service, const struct config_device_diff *diff,
                          struct error *error)
{
    struct service_device *device = find_device(service, diff->before->id);
    enum status status = STATUS_OK;
    if (device == NULL)
        return join(service, diff->after, error);
    if (diff->reach <= CONFIG_REACH_LIVE) {
        service_device_changed(device, diff->after);
        rebind(service, device, diff->after);
    } else if (restarts_source(diff)) {
        stop_reading(service, device);
        status = service_device_reconfigure(device, diff->after, error);
        if (status == STATUS_OK) {
            virtuals_remove(service->virtuals, device);
            virtuals_add(service->virtuals, device);
            start_reading(service, device);
        }
    } else {
        status = service_device_reconfigure(device, diff->after, error);
        if (status == STATUS_OK)
            rebind(service, device, diff->after);
    }
    if (status != STATUS_OK) /* it cannot stay as it was: its previous configuration goes */
        leave(service, device);
    else
        announcer_changed(service->announcer, description_of(device));
    return status;
}

static enum status change_device(struct service *service, const struct config_device_diff *diff,
                                 struct error *error)
{
    struct service_device *device = NULL;
    switch (diff->change) {
    case CONFIG_DEVICE_ADDED:
        return join(service, diff->after, error);
    case CONFIG_DEVICE_REMOVED:
        device = find_device(service, diff->before->id);
        if (device != NULL)
            leave(service, device);
        break;
    case CONFIG_DEVICE_CHANGED:
        return change(service, diff, error);
    }
    return STATUS_OK;
}

/* ---- all of them ---- */

enum status service_add_devices(struct service *service, struct error *error)
{
    service->devices = memory_new(CONFIG_DEVICES_MAX, sizeof(struct service_device *));
    enum status status = STATUS_OK;
    struct service_device *device;
    preferences_hold(service->preferences);
    for (size_t i = 0; i < service->config->device_count && status == STATUS_OK; i++)
        status = create(service, &service->config->devices[i], &device, error);
    preferences_release(service->preferences);
    return status;
}

void service_read_devices(struct service *service)
{
    for (size_t i = 0; i < service->device_count; i++)
        start_reading(service, service->devices[i]);
    sources_apply(service->sources);
}

/* Nothing may point into the previous configuration any more. */
static void rebind_all(struct service *service, const struct config *after)
{
    json_t *index = json_object();
    for (size_t i = 0; i < after->device_count; i++)
        (void)json_object_set_new(index, after->devices[i].id, json_integer((json_int_t)i));
    for (size_t i = 0; i < service->device_count; i++) {
        struct service_device *device = service->devices[i];
        const json_t *number = json_object_get(index, service_device_config(device)->id);
        rebind(service, device, &after->devices[json_integer_value(number)]);
    }
    json_decref(index);
}

static void take_order(struct service *service, enum config_device_change order,
                       const struct config_diff *diff, enum status *status, struct error *error)
{
    struct error one = {""};
    for (size_t i = 0; i < diff->device_count; i++) {
        if (diff->devices[i].change != order)
            continue;
        enum status result = change_device(service, &diff->devices[i], &one);
        if (result == STATUS_OK || *status != STATUS_OK)
            continue;
        *status = result;
        *error = one;
    }
}

/* key: of one, or with a dot at its end of a group. */
static bool has_changed(const struct config_diff *diff, const char *key)
{
    size_t length = strlen(key);
    bool group = key[length - 1] == '.';
    size_t index;
    const json_t *path;
    json_array_foreach(diff->changed, index, path)
    {
        const char *text = json_string_value(path);
        if (group ? strncmp(text, key, length) == 0 : strcmp(text, key) == 0)
            return true;
    }
    return false;
}

/* Queries that run hold the former ones until they end. */
static void take_tariffs(struct service *service)
{
    struct tariffs *before = service->tariffs;
    service_take_tariffs(service);
    tariffs_release(before);
    announcer_prices(service->announcer, service->currency, prices_configured(service->co2));
    price_topic_changed(service->price_topic);
    price_topic_tick(service->price_topic, clock_wall_ms());
    for (size_t i = 0; i < service->device_count; i++) {
        service_device_tariffs_changed(service->devices[i]);
        announcer_changed(service->announcer, description_of(service->devices[i]));
    }
}

static void follow_prices(struct service *service)
{
    service_follow_prices(service);
    co2_topic_tick(service->co2_topic, clock_wall_ms());
    announcer_prices(service->announcer, service->currency, prices_configured(service->co2));
}

/* Between leaving under the one id and joining under the other. */
static void rename_history(struct service *service, const struct settings_rename *rename,
                           enum status *status, struct error *error)
{
    enum status result = history_rename_device(service->history, rename->from, rename->to, error);
    first_id_rename(service->preferences, rename->from, rename->to);
    if (result != STATUS_OK)
        *status = result;
}

static void forget_first_ids(struct service *service, const struct config_diff *diff,
                             const struct settings_rename *rename)
{
    for (size_t i = 0; i < diff->device_count; i++) {
        const struct config_device_diff *device = &diff->devices[i];
        if (device->change == CONFIG_DEVICE_REMOVED &&
            (rename == NULL || strcmp(device->before->id, rename->from) != 0))
            first_id_forget(service->preferences, device->before->id);
    }
}

enum status service_apply(struct service *service, struct config *after,
                          const struct settings_rename *rename, struct settings_result *result,
                          struct error *error)
{
    static const enum config_device_change orders[] = {CONFIG_DEVICE_REMOVED, CONFIG_DEVICE_CHANGED,
                                                       CONFIG_DEVICE_ADDED};
    struct config *before = service->config;
    struct config_diff diff, since_start;
    enum status status = STATUS_OK;
    config_diff(before, after, &diff);
    config_diff(service->first_config, after, &since_start);
    service->config = after;
    /* They say whether there are CO2 intensities, too. */
    if (has_changed(&diff, "tariffs") || has_changed(&diff, "co2."))
        take_tariffs(service);
    if (has_changed(&diff, "prices.") || has_changed(&diff, "co2."))
        follow_prices(service);
    preferences_hold(service->preferences);
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        take_order(service, orders[i], &diff, &status, error);
        if (orders[i] == CONFIG_DEVICE_REMOVED)
            forget_first_ids(service, &diff, rename);
        if (rename != NULL && orders[i] == CONFIG_DEVICE_REMOVED)
            rename_history(service, rename, &status, error);
    }
    preferences_release(service->preferences);
    sources_apply(service->sources);
    rebind_all(service, after);
    if (before->bridge.log_level != after->bridge.log_level)
        log_set_level(service->log, after->bridge.log_level);
    result->changed = json_incref(diff.changed);
    result->restart_required = config_diff_restart_required(&diff);
    documents_set_restart_required(service->documents, config_diff_restart_required(&since_start));
    config_diff_release(&diff);
    config_diff_release(&since_start);
    if (before != service->first_config)
        config_free(before);
    return status;
}
