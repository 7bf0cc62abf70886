/* SPDX-License-Identifier: MIT */
/**
 * Energy of a source that keeps counters itself and sends whole messages: what was drawn and what was
 * fed back, apart or together. Pure. The rules, for each of the two counters:
 *
 *  - A step up that the maximum load can make since the counter last moved is credited at once. What
 *    coarse steps and late messages may add is a budget over time (budget.h), not given anew each step.
 *  - A counter that stands still moves nothing, not even its clock: a source that repeats an old
 *    value after a reconnect must not make the step that follows look too fast.
 *  - A counter that falls, or jumps further than possible, is believed at the third reading that
 *    agrees. Then it is a new base: the fall or jump itself adds nothing, what was counted since the
 *    first of these readings is added. Until then nothing is credited; if the counter comes back
 *    meanwhile, it was a glitch. It has not come back if it counted on from where it fell to.
 *  - The first step up from such a new base may lead back to where the counter fell from (a meter
 *    that shows 0 for a while after a power cut): then it is counted from there.
 *  - A reset that the source announces is a new base at once.
 */
#ifndef BRIDGE_METER_METERED_H
#define BRIDGE_METER_METERED_H

#include "bridge/meter/budget.h"
#include "bridge/meter/sample.h"

struct metered_counter {
    bool known;
    int64_t base, base_boot_ms;
    struct budget budget;
    unsigned suspects; /* readings in a row that agree with each other but not with the base */
    int64_t suspect, suspect_first, suspect_boot_ms;
    bool fell; /* the base is new; the one before: */
    int64_t fell_from, fell_boot_ms;
    struct budget fell_budget;
};

/** Zero-initialise it. */
struct metered {
    struct metered_counter counters[2]; /* drawn, fed back */
    bool agreed;            /* a reading agreed with both bases, or is one, since this began */
    int64_t agreed_boot_ms; /* the last one that did */
};

/** Goes on from a stored state; gap_ms: how long ago, at boot_ms, its counters were last credited. */
void metered_resume(struct metered *metered, int64_t counter, int64_t gap_ms, int64_t boot_ms,
                    double rate);

/** rate: the most the installation can make a counter run, in counts per second; may change. Fills verdict, old and new
 *  counter, imported and exported of the outcome. Returns whether the base moved. */
bool metered_accept(struct metered *metered, const struct energy_sample *sample, double rate,
                    struct energy_outcome *outcome);

/** Both bases as one number, as reading.energy has them; and when the older of them last moved. */
int64_t metered_counter(const struct metered *metered);
int64_t metered_moved_boot_ms(const struct metered *metered);

#endif
