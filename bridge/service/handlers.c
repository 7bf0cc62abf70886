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
    log_repeating(handlers->options.log, LOG_LEVEL_INFO, "restart requested",
                  "Loading the configuration again on request.");
    enum status status = handlers->options.reload(handlers->options.context, error);
    if (status == STATUS_OK)
        pending_answer(pending, NULL);
    return status;
}

static enum status handle_log_level(void *context, struct pending *pending, struct error *error)
{
    const struct handlers *handlers = context;
    enum log_level level = LOG_LEVEL_INFO;
    (void)error;
    (void)log_level_parse(pending_text(pending, "level"),
                          &level); /* the table has the same words */
    log_set_level(handlers->options.log, level);
    hub_info_changed(handlers->options.hub);
    pending_answer(pending, json_pack("{s:s}", "level", log_level_name(level)));
    return STATUS_OK;
}

static void on_backup(void *context, enum status status, const char *path, int64_t bytes,
                      const struct error *error)
{
    struct pending *pending = context;
    if (status != STATUS_OK)
        pending_refuse(pending, status, error);
    else
        pending_answer(pending, json_pack("{s:s,s:I}", "path", path, "bytes", (json_int_t)bytes));
}

/* Zigbee2MQTT answers with the backup itself; a history is too large for that. */
static enum status handle_backup(void *context, struct pending *pending, struct error *error)
{
    const struct handlers *handlers = context;
    return backups_request(handlers->options.backups, on_backup, pending, error);
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
    .permit_join = handle_permit_join,
    .backup = handle_backup,
    .device_adopt = handle_device_adopt,
    .device_remove = handle_device_remove,
    .device_calibration_set = handle_device_calibration_set,
    .device_energy_set = handle_device_energy_set,
    .device_update = handle_device_update,
    .history_recalibrate = handle_recalibrate,
    .openbeken_clear_announcements = handle_clear_announcements,
};

struct handlers *handlers_create(const struct handlers_options *options)
{
    struct handlers *handlers = memory_new(1, sizeof *handlers);
    handlers->options = *options;
    return handlers;
}

void handlers_set_adoption(struct handlers *handlers, struct adoption *adoption)
{
    handlers->adoption = adoption;
}

void handlers_set_updates(struct handlers *handlers, struct updates *updates)
{
    handlers->updates = updates;
}

void handlers_close(struct handlers *handlers)
{
    if (handlers != NULL && handlers->search != NULL)
        handlers_end_search(handlers);
}

void handlers_free(struct handlers *handlers)
{
    if (handlers == NULL)
        return;
    recalibration_free(handlers->recalibration);
    json_decref(handlers->found);
    free(handlers);
}
