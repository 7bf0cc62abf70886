/* SPDX-License-Identifier: MIT */
/**
 * A virtual channel: the sum of channels of any devices, some of them subtracted. Pure.
 *
 * It advances in intervals. An interval ends when every member has a reading since the last one ended, so a
 * member that is missing makes the whole sum wait, and what was counted meanwhile is one interval when it
 * is back. Energies are the members' totals, so nothing is lost or counted twice, whenever it is killed.
 *
 * With balance, in every interval the members' signed energies are added first, and then counted as import
 * or export: as a utility's meter counts its phases. Import minus export is the members' import minus
 * export, exactly. Without it, the members' imports are added, and their exports; what is subtracted
 * changes sides.
 *
 * Chips count in steps of some tenths of a watt hour, at different moments: while one phase draws 500 W and another
 * feeds back 300, single seconds have a step of the one or of the other only, and would be import or export by turns that never
 * was. So the powers say how much went which way, and the counters how much it was: the lesser of the two is what the
 * powers add up to, the greater one is that and the counted net. Where that would be negative, the energy waits for the next
 * interval; at most for ten minutes, or ten seconds without power. An interval without known powers, or behind a
 * gap, is netted as a whole.
 *
 * It counts in milliwatt hours (READING_OPENBEKEN with factors of 1000), rounded so that the counts of any
 * span differ from the members' energy by less than one.
 *
 * Its state is kept as any channel's, in a struct energy_state: `counter` is the members' signed sum of
 * imports up to which it has counted, and `boot_id` a text with that of exports and the members it is made
 * of. A changed list of members begins anew there; the totals stay.
 *
 * Configuration keys, of a channel: sum: [house/a, -solar/a], balance: true.
 */
#ifndef BRIDGE_METER_VIRTUAL_H
#define BRIDGE_METER_VIRTUAL_H

#include "bridge/meter/energy.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct virtual_sum;

struct virtual_options {
    size_t member_count;
    const int *signs; /**< member_count of them: 1 or -1; copied */
    bool balance;
    const char *definition;  /**< names members and signs; another text is another sum */
    int64_t longest_hold_ms; /**< a member's power counts for that long without a new reading */
};

/** What one interval brought. */
struct virtual_interval {
    bool power_known;
    int64_t power_mw;
    int64_t imported_counts, exported_counts;
    bool waits; /**< some energy is not counted yet */
};

/** state NULL, or one of another definition: begins with the first interval. Copied. */
struct virtual_sum *virtual_create(const struct virtual_options *options,
                                   const struct energy_state *state);
void virtual_free(struct virtual_sum *sum);

/** A member has a new reading: its totals as counted, and its power. boot_ms: of the reading. */
void virtual_member(struct virtual_sum *sum, size_t member, int64_t boot_ms, bool power_known,
                    int64_t power_mw, int64_t imported_uwh, int64_t exported_uwh);

/** A member's totals were set or recalibrated by so much: that is no energy. */
void virtual_member_shifted(struct virtual_sum *sum, size_t member, int64_t imported_uwh,
                            int64_t exported_uwh);

/** A member does not answer: the sum waits for it. */
void virtual_member_lost(struct virtual_sum *sum, size_t member);

/** True if an interval ended: then it is counted, and filled in. */
bool virtual_advance(struct virtual_sum *sum, int64_t boot_ms, struct virtual_interval *interval);

/** The state to store with it. Borrowed, until the next call. */
const struct energy_state *virtual_state(const struct virtual_sum *sum);

/** The user set its totals; negative: leave that one alone. */
void virtual_set_totals(struct virtual_sum *sum, int64_t imported_uwh, int64_t exported_uwh);

#endif
