/* SPDX-License-Identifier: MIT */
/** What the files of the handlers share. */
#ifndef BRIDGE_SERVICE_HANDLERS_SHARED_H
#define BRIDGE_SERVICE_HANDLERS_SHARED_H

#include "bridge/service/handlers.h"
#include "bridge/service/module_id.h"
#include "bridge/service/recalibration.h"
#include "bridge/service/search.h"
#include "bridge/service/service_device.h"
#include "bridge/service/write_back.h"

struct handlers {
    struct handlers_options options;
    char *history_path;
    struct settings *settings;
    struct write_back *write_back;
    struct backfills *backfills;          /* NULL: homeassistant.backfill is not configured */
    struct updates *updates;              /* NULL: no folder of firmware is configured */
    struct search *search;                /* NULL: none is running */
    struct pending *search_pending;       /* who asked for it */
    json_t *found;                        /* the modules of the last search; NULL: none yet */
    struct recalibration *recalibration;  /* NULL: none is under way */
    struct errand *errands;               /* commands that run, handlers_commands.c */
    struct broker_test *broker_test;      /* NULL: none runs; handlers_broker.c */
    struct restore_check *restore_check;  /* NULL: none; handlers_restore.c */
    struct job *job;                      /* on a module; NULL: none runs; handlers_flash.c */
    struct config_backup *config_backups; /* handlers_backup.c */
    struct question *questions;           /* to the history, handlers_history.c */
    struct module_ids *ids;               /* that were made for devices without one */
};

/** The device that the request names by "id"; NULL, with *error filled, if there is none. */
struct service_device *handlers_device(struct handlers *handlers, struct pending *pending,
                                       struct error *error);

/* handlers_life.c */
enum status handle_options(void *context, struct pending *pending, struct error *error);
enum status handle_device_add(void *context, struct pending *pending, struct error *error);
enum status handle_device_adopt(void *context, struct pending *pending, struct error *error);
enum status handle_device_remove(void *context, struct pending *pending, struct error *error);
enum status handle_device_rename(void *context, struct pending *pending, struct error *error);
enum status handle_device_enable(void *context, struct pending *pending, struct error *error);
enum status handle_device_disable(void *context, struct pending *pending, struct error *error);
enum status handle_device_options(void *context, struct pending *pending, struct error *error);

/* handlers_backup.c */
enum status handle_backup(void *context, struct pending *pending, struct error *error);
void handlers_end_backups(struct handlers *handlers);

/* handlers_commands.c */
enum status handle_ports(void *context, struct pending *pending, struct error *error);
enum status handle_flash_profiles(void *context, struct pending *pending, struct error *error);
enum status handle_scan(void *context, struct pending *pending, struct error *error);
enum status handle_device_calibrate(void *context, struct pending *pending, struct error *error);
void handlers_end_commands(struct handlers *handlers);

/* handlers_flash.c */
enum status handle_flash_start(void *context, struct pending *pending, struct error *error);
enum status handle_flash_cancel(void *context, struct pending *pending, struct error *error);
enum status handle_openbeken_provision(void *context, struct pending *pending, struct error *error);
/** True, with *error filled: a module is being worked on, so the service must go on. */
bool handlers_job_blocks(const struct handlers *handlers, struct error *error);
void handlers_end_job(struct handlers *handlers);

/* handlers_restore.c */
enum status handle_restore_check(void *context, struct pending *pending, struct error *error);
enum status handle_restore(void *context, struct pending *pending, struct error *error);
enum status handle_restore_state(void *context, struct pending *pending, struct error *error);
void handlers_end_restore(struct handlers *handlers);

/* handlers_broker.c */
enum status handle_mqtt_test(void *context, struct pending *pending, struct error *error);
void handlers_end_broker_tests(struct handlers *handlers);

/* handlers_history.c */
enum status handle_history(void *context, struct pending *pending, struct error *error);
void handlers_end_questions(struct handlers *handlers);

/* handlers_device.c */
enum status handle_device_update(void *context, struct pending *pending, struct error *error);
enum status handle_device_raw(void *context, struct pending *pending, struct error *error);
enum status handle_device_energy_set(void *context, struct pending *pending, struct error *error);
enum status handle_device_calibration_set(void *context, struct pending *pending,
                                          struct error *error);

/* handlers_search.c */
enum status handle_permit_join(void *context, struct pending *pending, struct error *error);
enum status handle_clear_announcements(void *context, struct pending *pending, struct error *error);
void handlers_end_search(struct handlers *handlers);

#endif
