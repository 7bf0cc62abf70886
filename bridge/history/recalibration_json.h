/* SPDX-License-Identifier: MIT */
/** A recalibration as others ask for it and are answered: JSON, the same over MQTT and from the
 *  command. Pure. */
#ifndef BRIDGE_HISTORY_RECALIBRATION_JSON_H
#define BRIDGE_HISTORY_RECALIBRATION_JSON_H

#include "bridge/history/recalibration.h"
#include "drivers/base/status.h"

#include <jansson.h>

/** STATUS_USAGE with a sentence if the object does not say what to do: id, channel, since (a time as in
 *  time_text.h), until, voltage, current, power, calibration, undo, dry_run. */
enum status recalibration_parse(const json_t *body, struct history_recalibration *correction,
                                struct error *error);

/** A new reference. */
json_t *recalibration_request(const struct history_recalibration *correction);
json_t *recalibration_answer(const struct history_recalibration *correction,
                             const struct history_recalibrated *done);

/** The answer for people. The buffer should hold 1500 bytes. */
void recalibration_text(const json_t *answer, char *buffer, size_t size);

#endif
