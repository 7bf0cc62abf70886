/* SPDX-License-Identifier: MIT */
/**
 * What every driver gives: readings, availability and events of numbered channels, handed to a
 * sink on the loop thread. Drivers know nothing of the bridge; the numbers are the caller's own.
 * A driver never calls its sink from inside its create or close function.
 */
#ifndef DRIVERS_DRIVER_H
#define DRIVERS_DRIVER_H

#include "drivers/reading.h"

#include <stdbool.h>
#include <stdint.h>

enum driver_event {
    DRIVER_CHIP_RESET, /**< the chip lost its settings; they are written again, but not at once: its
                            power-on settings are the only evidence, until this is on disk */
    DRIVER_CHIP_BEGAN, /**< likewise, at first contact: it restarted since it was last set up, if it
                            ever was */
    DRIVER_LINE_NOISY, /**< many frames were damaged in the last minute */
    DRIVER_PORT_GONE,  /**< the adapter was unplugged */
    DRIVER_PORT_BACK,  /**< ... and is back */
    DRIVER_CHIP_CHANGED, /**< answers at another baud rate than configured, or the like */
    DRIVER_UNIT_CHANGED, /**< the source counts energy in another unit; readings go on in theirs */
    DRIVER_SOURCE_RESTARTED, /**< the module that reads the chip restarted */
    DRIVER_SOURCE_FLAPPING,  /**< it comes and goes, or talks to itself */
    DRIVER_MESSAGES_BAD,     /**< many messages of the last minute could not be */
    DRIVER_UNIT_DOUBTFUL,    /**< the unit of the source's energy counter is not certain */
};

struct driver_sink {
    void *context;
    void (*reading)(void *context, unsigned channel, const struct reading *reading);
    /** Only edges are reported. reason: a sentence for people, "" when online. */
    void (*availability)(void *context, unsigned channel, bool online, const char *reason);
    void (*event)(void *context, unsigned channel, enum driver_event event, const char *message);
};

/** Counters since start; they only grow. */
struct driver_statistics {
    uint64_t readings;
    uint64_t frame_errors; /**< damaged or missing answers */
    uint64_t timeouts;     /**< of these: nothing usable came in time */
    uint64_t junk_bytes;   /**< bytes that belonged to no frame */
    uint64_t chip_resets;
    uint64_t reconnects; /**< the port was opened again after it had gone */
};

#endif
