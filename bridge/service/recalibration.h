/* SPDX-License-Identifier: MIT */
/**
 * The request history/recalibrate: handed to the history's thread, and answered when that is done.
 * One at a time.
 */
#ifndef BRIDGE_SERVICE_RECALIBRATION_H
#define BRIDGE_SERVICE_RECALIBRATION_H

#include "bridge/history/history.h"
#include "bridge/requests/requests.h"

#include <jansson.h>

struct recalibration;

/** Handler of history/recalibrate: begins. */
enum status recalibration_begin(struct history *history, struct pending *pending,
                                struct recalibration **recalibration, struct error *error);

/** Whether it is done; then status, error and what came of it are set, and recalibration_finish is due. */
bool recalibration_end(struct recalibration *recalibration, enum status *status,
                       struct history_recalibrated *done, struct error *error);

/** Answers the request and frees all. */
void recalibration_finish(struct recalibration *recalibration, enum status status,
                          const struct history_recalibrated *done, const struct error *error);

/** Borrowed. */
const struct history_recalibration *
recalibration_correction(const struct recalibration *recalibration);

/** Without an answer. NULL is allowed. */
void recalibration_free(struct recalibration *recalibration);

#endif
