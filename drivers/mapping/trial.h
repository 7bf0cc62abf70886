/* SPDX-License-Identifier: MIT */
/**
 * A mapping on trial: messages go in, readings come out, in a time of its own. It runs the messages
 * that stand in a mapping file, and those that a user feeds to `bl2mqtt mapping test`.
 */
#ifndef DRIVERS_MAPPING_TRIAL_H
#define DRIVERS_MAPPING_TRIAL_H

#include "drivers/base/status.h"
#include "drivers/mapping/mapping.h"
#include "drivers/reading.h"

struct mapping_trial;

/** What came of a message, or of the time after it. Texts are borrowed for the length of the call. */
struct mapping_trial_sink {
    void *context;
    void (*reading)(void *context, const char *channel, const struct reading *reading);
    void (*remark)(void *context, const char *channel, const char *text);
};

/** mapping is borrowed, base is copied. */
struct mapping_trial *mapping_trial_create(const struct mapping *mapping, const char *base,
                                           const struct mapping_trial_sink *sink);
void mapping_trial_free(struct mapping_trial *trial);

/** False if the topic is none of the mapping's. */
bool mapping_trial_message(struct mapping_trial *trial, const char *topic, const char *payload,
                           size_t length, bool retained);
/** Lets time pass: values that wait for others become readings. */
void mapping_trial_wait(struct mapping_trial *trial, int64_t ms);
uint64_t mapping_trial_bad_values(const struct mapping_trial *trial);

/** Runs the file's own messages. STATUS_MISMATCH with the first difference in words. */
enum status mapping_self_test(const struct mapping *mapping, struct error *error);

/** A quantity of a reading in V, A, W, Hz or kWh; false if it is not part of it. */
bool mapping_reading_value(const struct reading *reading, enum mapping_quantity quantity,
                           double *value);

#endif
