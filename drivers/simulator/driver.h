/* SPDX-License-Identifier: MIT */
/**
 * The `simulator` driver: a channel without hardware. It makes a simulated meter (meter.h) on a
 * pseudo terminal and reads it with the real driver (bl0942/line.h) on the same loop, so that
 * everything from the bytes upwards is what it would be with a real chip.
 */
#ifndef DRIVERS_SIMULATOR_DRIVER_H
#define DRIVERS_SIMULATOR_DRIVER_H

#include "drivers/base/log.h"
#include "drivers/base/status.h"
#include "drivers/driver.h"

#include <uv.h>

struct simulator_options {
    unsigned channel;       /**< the number the sink is called with */
    int64_t interval_ms;    /**< as in bl0942_chip_options */
    unsigned mains_hz;      /**< 50 or 60 */
    double mains_voltage_v; /**< nominal, 90..300 */
    double counts_per_volt, counts_per_ampere, counts_per_watt; /**< > 0 */
    const char *load; /**< profile, see load.h; "" or NULL: household; "constant" is 1000 W */
    uint64_t seed;
};

struct simulator_driver;

/** Starts working when the loop runs. The sink and log must outlive the driver. NULL if there is no
 *  such load profile or no pseudo terminal; error says so. */
struct simulator_driver *simulator_driver_create(uv_loop_t *loop,
                                                 const struct simulator_options *options,
                                                 const struct driver_sink *sink, struct log *log,
                                                 struct error *error);

/** Stops and frees the driver; the loop must run once more for libuv to let go of its handles. */
void simulator_driver_close(struct simulator_driver *driver);

/** Of the one channel; false if the line does not know it. */
bool simulator_driver_statistics(const struct simulator_driver *driver,
                                 struct driver_statistics *statistics);

#endif
