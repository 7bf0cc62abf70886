/* SPDX-License-Identifier: MIT */
/**
 * Energy accounting for a counter that wraps, restarts and is sometimes misread. Pure; every rule
 * is tested by a table (tests/unit/test_energy.c).
 *
 * The counter is the truth; what is decided here is how much it moved between two readings:
 *  - A step is credited only when the following reading agrees with it. A single damaged reading
 * can therefore never move a total, at the price of one reading's delay.
 *  - The step from counter a to b in t seconds is plausible if (b - a) mod 2^24 <= limit * t +
 * slack. Otherwise, if b alone is plausible, the chip restarted: b is what was counted since.
 *    Otherwise the baseline moves to b and nothing is credited; that is reported.
 *  - t comes from the boot clock while the machine runs, and from the wall clock across a reboot,
 * if the wall clock is believable; if not, the step is bounded by half the counter's range.
 *  - The credited step is split into import and export by the sign of power over the interval.
 */
#ifndef BRIDGE_METER_ENERGY_H
#define BRIDGE_METER_ENERGY_H

#include <stdbool.h>
#include <stdint.h>

/** What must survive a restart; stored in the same transaction as the readings it belongs to. */
struct energy_state {
    bool known;      /**< false: no reading was ever accepted */
    int64_t counter; /**< source's counter at the last credited reading */
    int64_t counter_wall_ms;
    int64_t counter_boot_ms; /**< only comparable while boot_id is the same */
    char boot_id[40];        /**< /proc/sys/kernel/random/boot_id when counter_boot_ms was taken */
    int64_t imported;        /**< counts credited since base, never negative */
    int64_t exported;
    int64_t
        base_imported_uwh; /**< energy credited under earlier calibrations, or set by the user */
    int64_t base_exported_uwh;
};

#endif
