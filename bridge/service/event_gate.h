/* SPDX-License-Identifier: MIT */
/**
 * Bounds how many events of one kind, device and channel are put on record and published: input from
 * outside can cause many of them as often as it likes. What is held back is counted, and the next event
 * that passes has the count in its sentence. Pure, with time as a parameter.
 */
#ifndef BRIDGE_SERVICE_EVENT_GATE_H
#define BRIDGE_SERVICE_EVENT_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EVENT_GATE_BURST 10         /**< events of one kind, device and channel that pass ... */
#define EVENT_GATE_PERIOD_MS 600000 /**< ... in ten minutes */

struct event_gate;

struct event_gate *event_gate_create(void);
void event_gate_free(struct event_gate *gate);

/** True if the event passes; sentence is then message, with a count if there is one. device and channel
 *  may be NULL. */
bool event_gate_pass(struct event_gate *gate, const char *kind, const char *device,
                     const char *channel, const char *message, int64_t boot_ms, char *sentence,
                     size_t size);

#endif
