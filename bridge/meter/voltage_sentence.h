/* SPDX-License-Identifier: MIT */
/**
 * The sentence of a voltage event that is over, as the history keeps it: the one place that writes its numbers and
 * reads them back. Tenths of volts and of seconds are kept. Pure.
 */
#ifndef BRIDGE_METER_VOLTAGE_SENTENCE_H
#define BRIDGE_METER_VOLTAGE_SENTENCE_H

#include "bridge/meter/voltage.h"
#include "drivers/base/text.h"

/** change->ended is not VOLTAGE_NONE. */
void voltage_sentence_append(struct text *text, const struct voltage_change *change,
                             int64_t nominal_mv);

/** Reads ended, extreme_mv and duration_ms back, whatever follows in the text, and how many earlier events of the kind
 *  event_gate.h left out before it. False: it is no such sentence. */
bool voltage_sentence_read(const char *sentence, struct voltage_change *change, int64_t *left_out);

#endif
