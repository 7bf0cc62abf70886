/* SPDX-License-Identifier: MIT */
/**
 * The request history/recalibrate: handed to the history's thread, and answered when that is done.
 * One at a time.
 */
#ifndef BRIDGE_SERVICE_RECALIBRATION_H
#define BRIDGE_SERVICE_RECALIBRATION_H

#include "bridge/history/history.h"
#include "bridge/mqtt/requests.h"

#include <jansson.h>

struct recalibration;

/** Begins. STATUS_OK: the request is taken over. */
enum status recalibration_begin(struct history *history, const struct request *request,
                                struct recalibration **recalibration, struct error *error);

/** Whether it is done; then status, error, the answer (a new reference, NULL after a failure) and what
 *  came of it are set. */
bool recalibration_end(struct recalibration *recalibration, enum status *status,
                       struct error *error, json_t **answer, struct history_recalibrated *done);

/** Borrowed. */
const struct request *recalibration_request_of(const struct recalibration *recalibration);
const struct history_recalibration *
recalibration_correction(const struct recalibration *recalibration);

/** NULL is allowed. */
void recalibration_free(struct recalibration *recalibration);

#endif
