/* SPDX-License-Identifier: MIT */
/* Requests about the bridge itself, and the list of all. */
#include "bridge/service/handlers.h"

#include "bridge/service/handlers_shared.h"
#include "drivers/base/memory.h"

#include <string.h>

static enum status handle_health_check(void *context, struct pending *pending, struct error *error)
{
    (void)context;
    (void)error;
    pending_answer(pending, json_pack("{s:b}", "healthy", 1));
    return STATUS_OK;
}

static enum status handle_restart(void *context, struct pending *pending, struct error *error)
{
    const struct handlers *handlers = context;
    if (handlers_job_blocks(handlers, error))
        return STATUS_REFUSED;
    log_repeating(handlers->options.log, LOG_LEVEL_INFO, "restart requested",
                  "Loading the configuration again on request.");
    enum status status = handlers->options.reload(handlers->options.context, error);
    if (status == STATUS_OK)
        pending_answer(pending, NULL);
    return status;
}

static void on_level_written(void *context, const char *device, const json_t *options,
                             enum status status, const struct error *error)
{
    struct pending *pending = context;
    struct error whole = {""};
    (void)device;
    (void)options;
    if (status == STATUS_OK) {
        pending_answer(pending, json_pack("{s:s}", "level", pending_text(pending, "level")));
        return;
    }
    (void)error_set(&whole, status,
                    "The log level holds until the next start, but it could not be written to "
                    "bridge.yaml: %s",
                    error->text);
    pending_refuse(pending, status, &whole);
}

/* It holds at once, also where bridge.yaml cannot be written; the answer says whether it was. */
static enum status handle_log_level(void *context, struct pending *pending, struct error *error)
{
    const struct handlers *handlers = context;
    const char *word = pending_text(pending, "level");
    enum log_level level = LOG_LEVEL_INFO;
    (void)error;
    (void)log_level_parse(word, &level); /* the table has the same words */
    log_set_level(handlers->options.log, level);
    hub_info_changed(handlers->options.hub);
    write_back_put(handlers->write_back, NULL, false,
                   json_pack("{s:{s:s}}", "bridge", "log_level", word), on_level_written, pending);
    return STATUS_OK;
}

static enum status handle_refresh(void *context, struct pending *pending, struct error *error)
{
    const struct handlers *handlers = context;
    (void)error;
    handlers->options.refresh(handlers->options.context);
    pending_answer(pending, NULL);
    return STATUS_OK;
}

static enum status handle_purge(void *context, struct pending *pending, struct error *error)
{
    const struct handlers *handlers = context;
    (void)error;
    size_t removed = handlers->options.purge(handlers->options.context);
    pending_answer(pending, json_pack("{s:I}", "removed", (json_int_t)removed));
    return STATUS_OK;
}

static enum status handle_backfill(void *context, struct pending *pending, struct error *error)
{
    const struct handlers *handlers = context;
    return backfills_request(handlers->backfills, pending, error);
}

static enum status handle_recalibrate(void *context, struct pending *pending, struct error *error)
{
    struct handlers *handlers = context;
    return recalibration_begin(handlers->options.history, pending, &handlers->recalibration, error);
}

void handlers_history(struct handlers *handlers)
{
    enum status status = STATUS_OK;
    struct error error = {""};
    struct history_recalibrated done = {0};
    struct recalibration *recalibration = handlers->recalibration;
    struct hub *hub = handlers->options.hub;
    if (recalibration == NULL || !recalibration_end(recalibration, &status, &done, &error))
        return;
    const struct history_recalibration *correction = recalibration_correction(recalibration);
    for (size_t i = 0; status == STATUS_OK && !correction->dry_run && i < hub_device_count(hub);
         i++)
        if (service_device_recalibrated(hub_device_owner(hub_device_at(hub, i)), &done,
                                        correction->undo))
            break;
    handlers->recalibration = NULL;
    recalibration_finish(recalibration, status, &done, &error);
}

const struct request_handlers service_handlers = {
    .health_check = handle_health_check,
    .restart = handle_restart,
    .log_level = handle_log_level,
    .options = handle_options,
    .ports = handle_ports,
    .scan = handle_scan,
    .mqtt_test = handle_mqtt_test,
    .permit_join = handle_permit_join,
    .backup = handle_backup,
    .restore = handle_restore,
    .restore_check = handle_restore_check,
    .restore_state = handle_restore_state,
    .flash_profiles = handle_flash_profiles,
    .flash_start = handle_flash_start,
    .flash_cancel = handle_flash_cancel,
    .openbeken_provision = handle_openbeken_provision,
    .device_add = handle_device_add,
    .device_adopt = handle_device_adopt,
    .device_remove = handle_device_remove,
    .device_rename = handle_device_rename,
    .device_enable = handle_device_enable,
    .device_disable = handle_device_disable,
    .device_options = handle_device_options,
    .device_raw = handle_device_raw,
    .device_calibrate = handle_device_calibrate,
    .device_calibration_set = handle_device_calibration_set,
    .device_energy_set = handle_device_energy_set,
    .device_update = handle_device_update,
    .history_energy = handle_history,
    .history_power = handle_history,
    .history_cost = handle_history,
    .history_gaps = handle_history,
    .history_events = handle_history,
    .history_voltage = handle_history,
    .history_recalibrate = handle_recalibrate,
    .homeassistant_refresh = handle_refresh,
    .homeassistant_purge = handle_purge,
    .homeassistant_backfill = handle_backfill,
    .openbeken_clear_announcements = handle_clear_announcements,
};

struct handlers *handlers_create(const struct handlers_options *options)
{
    struct handlers *handlers = memory_new(1, sizeof *handlers);
    handlers->options = *options;
    handlers->options.history_path = handlers->history_path =
        memory_copy_text(options->history_path);
    handlers->ids = module_ids_create();
    return handlers;
}

void handlers_set_settings(struct handlers *handlers, struct settings *settings)
{
    handlers->settings = settings;
    handlers->write_back = write_back_create(handlers->options.loop, settings);
}

void handlers_set_updates(struct handlers *handlers, struct updates *updates)
{
    handlers->updates = updates;
}

void handlers_set_backfills(struct handlers *handlers, struct backfills *backfills)
{
    handlers->backfills = backfills;
}

void handlers_close(struct handlers *handlers)
{
    if (handlers == NULL)
        return;
    write_back_close(handlers->write_back);
    if (handlers->search != NULL)
        handlers_end_search(handlers);
    handlers_end_commands(handlers);
    handlers_end_broker_tests(handlers);
    handlers_end_restore(handlers);
    handlers_end_job(handlers);
    handlers_end_questions(handlers);
    handlers_end_backups(handlers);
}

void handlers_free(struct handlers *handlers)
{
    if (handlers == NULL)
        return;
    recalibration_free(handlers->recalibration);
    json_decref(handlers->found);
    module_ids_free(handlers->ids);
    free(handlers->history_path);
    free(handlers);
}
