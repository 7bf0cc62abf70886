/* SPDX-License-Identifier: MIT */
/**
 * A simulated meter: one to four simulated chips (chip.h) on one serial line, which is a pseudo
 * terminal that any program can open. Bytes leave it at the pace of the baud rate; a host that uses
 * another rate than a chip does hears garbage and is received as garbage; two chips that speak at once
 * spoil each other's bytes. A pty carries no break: after a wrong byte a chip comes to its senses
 * by the 20 ms gap.
 *
 * Everything happens on the loop thread. Chip time is libuv's monotonic clock; the load profiles go
 * by the wall clock and are looked at five times a second.
 */
#ifndef DRIVERS_SIMULATOR_METER_H
#define DRIVERS_SIMULATOR_METER_H

#include "drivers/base/status.h"
#include "drivers/simulator/chip.h"
#include "drivers/simulator/load.h"

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#define SIMULATOR_CHIPS_MAX 4

struct simulator_meter_chip {
    struct chip_options chip; /**< addresses on one line are distinct */
    struct load_options load; /**< the meter itself keeps utc_offset_s at the system's */
    struct chip_faults faults;
};

struct simulator_meter_options {
    const char *link;  /**< symbolic link to the slave, or NULL; copied */
    size_t chip_count; /**< 1..SIMULATOR_CHIPS_MAX */
    struct simulator_meter_chip chips[SIMULATOR_CHIPS_MAX];
};

struct simulator_meter;

/** Plugged in at once; the chips were powered on half a second ago and already measure. Speaks when
 *  the loop runs. */
enum status simulator_meter_create(uv_loop_t *loop, const struct simulator_meter_options *options,
                                   struct simulator_meter **meter, struct error *error);
/** Removes the link and hangs up; the loop must run once more for libuv to close its handles. */
void simulator_meter_close(struct simulator_meter *meter);

/** Path of the slave; NULL while unplugged. Valid until the next plug or unplug. */
const char *simulator_meter_port(const struct simulator_meter *meter);

/** The adapter is pulled out: hosts see a hang-up, the link is gone. The chips stay powered and go
 * on counting. Nothing happens if it is unplugged already. */
void simulator_meter_unplug(struct simulator_meter *meter);
/** Back on a new pseudo terminal, with the link to it. Nothing happens if it is plugged in. */
enum status simulator_meter_plug(struct simulator_meter *meter, struct error *error);

size_t simulator_meter_chip_count(const struct simulator_meter *meter);

/* One chip, by its place in the options. */
unsigned simulator_meter_address(const struct simulator_meter *meter, size_t chip);
void simulator_meter_set_load(struct simulator_meter *meter, size_t chip,
                              const struct load_options *load);
void simulator_meter_get_load(const struct simulator_meter *meter, size_t chip,
                              struct load_options *load);
void simulator_meter_set_faults(struct simulator_meter *meter, size_t chip,
                                const struct chip_faults *faults);
void simulator_meter_get_faults(const struct simulator_meter *meter, size_t chip,
                                struct chip_faults *faults);
/** A silenced chip answers nothing, whatever its faults are. */
void simulator_meter_silence(struct simulator_meter *meter, size_t chip, bool silent);
void simulator_meter_reset(struct simulator_meter *meter, size_t chip);
void simulator_meter_set_counter(struct simulator_meter *meter, size_t chip, uint32_t value);
void simulator_meter_truth(struct simulator_meter *meter, size_t chip, struct chip_truth *truth);

#endif
