/* SPDX-License-Identifier: MIT */
/**
 * One MQTT meter that a mapping describes: a state machine over messages and time.
 *
 *  - Values of a channel that belong together become one READING_METERED. What a message leaves out
 *    stays as it was until it is stale; a counter is part of a reading only where it came.
 *  - A channel whose `fresh` key is not newer than the last is skipped: it repeats old values.
 *  - Retained values are ignored unless the mapping allows them.
 *  - What must be an array and is one number is a sum over the channels: it is refused, and an event
 *    says so once.
 *  - Counters are reported as the source has them. What a fall, a jump or a repetition of them means
 *    is for the energy rules (bridge/meter) to judge.
 */
#ifndef DRIVERS_MAPPING_SOURCE_H
#define DRIVERS_MAPPING_SOURCE_H

#include "drivers/mapping/mapping.h"
#include "drivers/messages/source.h"

struct mapping_source_options {
    const struct mapping *mapping; /**< borrowed: must outlive the source */
    const char *base;              /**< what {base} stands for; copied */
    size_t channel_count;
    struct {
        const char *name; /**< of the mapping's channels; copied */
        unsigned channel; /**< its number towards the sink */
    } channels[MAPPING_CHANNELS_MAX];
};

/** The sink's context must outlive the source. boot_ms: now. */
struct message_source *mapping_source_create(const struct mapping_source_options *options,
                                             const struct driver_sink *sink, int64_t boot_ms);

#endif
