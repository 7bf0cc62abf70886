/* SPDX-License-Identifier: MIT */
/**
 * A module with ESPHome whose `bl0942` sensors publish each chip on MQTT: a state machine over
 * messages and time, one object per device.
 *
 *  - The five messages of one measurement become one READING_BL0942 of their channel. What is missing
 *    of them, because a message was lost or another channel measures it, is taken from the
 *    measurement before, as long as that is not stale; the energy counter never is.
 *  - Registers (cf_a) are taken as they are. With ordinary references (energy_a) the units are turned
 *    into counts with the channel's own factors, and an event says what such values cannot show.
 *  - Values that the broker retained are ignored: nobody knows how old they are.
 *  - After each connect ESPHome sends its last values again, whether or not the chip still answers.
 *    So the first measurement after an `online` is held until the next one follows it at a rate that
 *    a chip can have; else it was an old one, and is dropped. Taken for new, it would restart the
 *    clock by which the energy rules tell a wrap, a restart and an impossible step apart.
 *  - There is no MODE register here: a restart of the chip is told from a wrap by the energy rules'
 *    rate bound alone.
 *  - A channel is offline upon `offline`, or when nothing came for three of its intervals.
 */
#ifndef DRIVERS_ESPHOME_SOURCE_H
#define DRIVERS_ESPHOME_SOURCE_H

#include "drivers/esphome/codec.h"
#include "drivers/messages/source.h"

#define ESPHOME_CHANNELS_MAX 26
#define ESPHOME_WINDOW_MS 400 /**< messages this close belong to one measurement */
#define ESPHOME_HOLD_MS 5000  /**< after `online`, within which values may be old ones */

struct esphome_channel_options {
    const char *name; /**< at most 8 characters: the end of its object ids */
    unsigned channel; /**< its number towards the sink */
    struct esphome_factors factors;
};

struct esphome_options {
    const char *prefix; /**< ESPHome's topic_prefix */
    size_t channel_count;
    struct esphome_channel_options channels[ESPHOME_CHANNELS_MAX];
};

/** Everything is copied; the sink's context must outlive the source. boot_ms: now. Released by the
 *  router, or by source->kind->release(). */
struct message_source *esphome_source_create(const struct esphome_options *options,
                                             const struct driver_sink *sink, int64_t boot_ms);

#endif
