/* SPDX-License-Identifier: MIT */
/** What the files of the handlers share. */
#ifndef BRIDGE_SERVICE_HANDLERS_SHARED_H
#define BRIDGE_SERVICE_HANDLERS_SHARED_H

#include "bridge/service/handlers.h"
#include "bridge/service/recalibration.h"
#include "bridge/service/search.h"
#include "bridge/service/service_device.h"

struct handlers {
    struct handlers_options options;
    struct adoption *adoption;
    struct updates *updates;             /* NULL: no folder of firmware is configured */
    struct search *search;               /* NULL: none is running */
    struct pending *search_pending;      /* who asked for it */
    json_t *found;                       /* the modules of the last search; NULL: none yet */
    struct recalibration *recalibration; /* NULL: none is under way */
};

/** The device that the request names by "id"; NULL, with *error filled, if there is none. */
struct service_device *handlers_device(struct handlers *handlers, struct pending *pending,
                                       struct error *error);

/* handlers_device.c */
enum status handle_device_adopt(void *context, struct pending *pending, struct error *error);
enum status handle_device_remove(void *context, struct pending *pending, struct error *error);
enum status handle_device_update(void *context, struct pending *pending, struct error *error);
enum status handle_device_energy_set(void *context, struct pending *pending, struct error *error);
enum status handle_device_calibration_set(void *context, struct pending *pending,
                                          struct error *error);

/* handlers_search.c */
enum status handle_permit_join(void *context, struct pending *pending, struct error *error);
enum status handle_clear_announcements(void *context, struct pending *pending, struct error *error);
void handlers_end_search(struct handlers *handlers);

#endif
