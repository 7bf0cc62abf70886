/* SPDX-License-Identifier: MIT */
/**
 * Energy accounting for a counter that wraps, restarts and is sometimes misread. Pure; every rule
 * is tested by a table (tests/unit/test_energy.c) and by random histories (test_energy_random.c).
 *
 * The counter is the truth; what is decided here is how much it moved. There is a baseline, the
 * last credited reading, which survives restarts, and one pending reading, which does not.
 *
 * A step from counter a to b within t seconds is possible if the counter can have run forward from
 * a to b: (b - a) mod 2^24 is within the budget (budget.h), which fills at the rate that the maximum
 * load makes. A measured load above the configured one raises that rate, up to twice.
 *
 *  - Two readings must agree. The step to the pending reading is credited when the next reading is
 *    possible after it. A single misread counter therefore never moves a total, however small the
 *    error; the price is one reading's delay.
 *  - A pending reading that is not possible between its neighbours is dropped and reported.
 *  - Three readings that agree with each other but not with the baseline: the counter restarted, if
 *    what it shows can have been counted since the baseline. That much is credited; what it counted
 *    between the baseline and the restart is lost. If it cannot, the baseline moves to the first of
 *    these readings, and what was counted from there on is credited.
 *  - A channel that was never seen starts counting at the first of three readings that agree.
 *  - Nothing confirms the first of such readings: misread low, it would make the step from it too
 *    large. So of a BL0942 no more of that one step is credited than the measured power makes.
 *  - Readings that agree, but together exceed the budget, are credited nothing while they do. That is
 *    reported once, and again after ten minutes without.
 *  - The driver may know that the counter restarted (it flags a reading, or says so before one). Nobody
 *    says that twice, so it must outlive a kill: until the baseline moves, the state to be stored has
 *    0 as its counter, with the baseline's stamps. For the chip began at 0 later than that baseline,
 *    so whatever its counter shows was counted since: to credit it is never too much, and is what
 *    would have been credited without the kill. While the service runs it counts with the old
 *    baseline all the same, so that a flag which the counter belies (it went on as if nothing had
 *    been) changes nothing; then the state to be stored is the old one again.
 *
 * t comes from the boot clock while the machine runs. Across a reboot it comes from the wall clock,
 * if both stamps are believable (2024 or later, not running backwards), but it is never less than
 * the time this machine is up. A step that only a wrong clock could explain waits for the clock to
 * be set, until the machine is up for 10 minutes. If the clock is unbelievable even then, the gap
 * is taken for 5 days.
 *
 * Limits, all of them on the side of too little energy but one:
 *  - A gap in which the maximum load could move the counter by 2^23 or more (5 days at least), or
 *    of which nobody knows the length, cannot distinguish a wrap from a restart: then a lower counter is
 *    a restart.
 *  - A restart in a gap after which the counter is already past the baseline is not seen, unless
 *    the driver flags it: the baseline's own value is missing.
 *  - If the service is killed before it is on disk that the chip restarted, what was credited since
 *    the last commit before is gone with the chip's counter. That it restarted is reported again, unless
 *    the disk needed more than the half second that the driver leaves it (or was full): then it
 *    counts as a restart in a gap that nobody flagged.
 *  - Two restarts within 5 s, and a kill before the commit interval is over: the little that the
 *    counter showed between the two may be missing, as not every restart is put on disk at once.
 *  - A clock that stood still while the machine was off and is never set makes a gap look shorter
 *    than it was: the step over it may be rejected.
 *  - A restart in a gap that finds the baseline within rate * gap of 2^24 is taken for a wrap,
 *    unless the driver flags it: at most rate * gap too much.
 *
 * An OpenBeken module's counter (in mWh) does not wrap. Its messages arrive whole, so a possible step
 * is also credited when the next reading disagrees; all else is as above. What it does instead
 * (enum energy_reason):
 *
 *   step                                                 credited        baseline
 *   down by what its number format costs (a float's      nothing         stays
 *     last bit, or 1 Wh where only whole Wh come)
 *   down by up to 10 Wh: went on from a stored value     nothing         moves
 *     after a power cut
 *   down to what can be counted since the baseline, not  all it shows    moves
 *     longer than an hour ago: it was reset
 *   down otherwise: it was set, or reset long ago        nothing         moves
 *   up by more than the budget: it was set, or          nothing         moves
 *     its BL0942 restarted, which the module takes for
 *     a wrap of the chip's 24 bit (up to 3269 kWh)
 *   by a factor of 1000 either way: it counts in the     nothing         moves
 *     other one of Wh and kWh now (its flag 40)
 *
 * Other meters on MQTT (READING_METERED) keep two counters and have rules of their own: metered.h.
 *
 * A drop that is hidden because the counter is past the baseline again when it is next received is not
 * seen: too little by at most 10 Wh.
 */
#ifndef BRIDGE_METER_ENERGY_H
#define BRIDGE_METER_ENERGY_H

#include "bridge/meter/calibration.h"
#include "bridge/meter/sample.h"
#include "drivers/reading.h"

#include <stdbool.h>
#include <stdint.h>

/** What must survive a restart; stored in the same transaction as the readings it belongs to. */
struct energy_state {
    bool known;              /**< false: no reading was ever accepted */
    int64_t counter;         /**< source's counter at the last credited reading */
    int64_t counter_wall_ms; /**< by the clock as it stood one reading later */
    int64_t counter_boot_ms; /**< only comparable while boot_id is the same */
    char boot_id[40];        /**< /proc/sys/kernel/random/boot_id when counter_boot_ms was taken */
    int64_t imported;        /**< counts credited since base, never negative */
    int64_t exported;
    int64_t base_imported_uwh; /**< credited under earlier calibrations, or set by the user */
    int64_t base_exported_uwh;
};

/**
 * Imported and exported total of a state in microwatt hours. While the calibration stays the same,
 * a later state never gives less than an earlier one; nor does the same state after energy_fold().
 */
void energy_totals_uwh(const struct energy_state *state, const struct calibration *calibration,
                       enum reading_kind kind, int64_t *imported_uwh, int64_t *exported_uwh);

/** Moves what was counted into the base, before the calibration changes. Totals stay as they are,
 *  to the microwatt hour. */
void energy_fold(struct energy_state *state, const struct calibration *calibration,
                 enum reading_kind kind);

/** What a correction of the past changes in a state. */
struct energy_adjustment {
    int64_t imported, exported;                     /**< counts, usually fewer */
    int64_t base_imported_uwh, base_exported_uwh;   /**< together with these counts */
    int64_t total_imported_uwh, total_exported_uwh; /**< both together make this; not negative */
};

/** Adds an adjustment; if the counts were folded since, only what it makes of the totals. */
void energy_adjust(struct energy_state *state, const struct energy_adjustment *adjustment);

struct energy_counter;

/**
 * counts_per_second: how fast the configured maximum load makes the counter run, > 0; a fifth more is
 * allowed. A BL0942 does not do more than 20 (sheet: 24 bit signed WATT / 419430.4). boot_id: this boot's; "" if unknown.
 * state NULL: never seen. What a state cannot be (counter outside 24 bit, negative counts) is
 * treated as unknown and 0. All arguments are copied.
 */
struct energy_counter *energy_counter_create(enum reading_kind kind, double counts_per_second,
                                             const char *boot_id, const struct energy_state *state);
void energy_counter_free(struct energy_counter *counter);

/** Whether readings arrive undamaged, as messages do: then the last step before a restart is credited
 *  although no other reading confirms it. Always true of other kinds than READING_BL0942. */
void energy_counter_set_whole(struct energy_counter *counter, bool whole);

/** READING_METERED: a channel that was never seen begins with what the source has counted so far, and
 *  not with 0. */
void energy_counter_begin_at_source(struct energy_counter *counter, bool at_source);

void energy_counter_set_rate(struct energy_counter *counter, double counts_per_second);

void energy_counter_accept(struct energy_counter *counter, const struct energy_sample *sample,
                           struct energy_outcome *outcome);

/** The driver says that the counter restarted since the last sample; the next one will show whether
 *  that is true (energy_sample.restarted). */
void energy_counter_restarted(struct energy_counter *counter);

/** What is to be stored: the state below, with 0 as the counter if it is known to have restarted since
 *  the baseline. */
void energy_counter_stored(const struct energy_counter *counter, struct energy_state *stored);

/** Until when everything that was counted is in the state, by the boot clock: that of its counter, which
 *  of a READING_METERED stands still while its source's does (and while only one of the two moves). */
int64_t energy_counter_known_until_ms(const struct energy_counter *counter);

/** Borrowed. The caller may fold it or set its totals; counter, stamps and boot_id are not his. */
struct energy_state *energy_counter_state(struct energy_counter *counter);

#endif
