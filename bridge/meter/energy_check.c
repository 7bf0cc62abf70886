/* SPDX-License-Identifier: MIT */
#include "bridge/meter/energy_check.h"

static const int64_t window_ms = 60000;
static const int64_t longest_step_ms = 130000; /* a module repeats its values within 61 s */
static const double least_expected = 2000;     /* mWh: 120 W for a minute */
static const double least_when_fast = 500;
static const double least_when_still = 20000;
static const double low = 300, high = 3000; /* what counts as about 1000 */
static const double fits = 5;
static const unsigned steps_needed = 3; /* to tell a rate from a jump */

static void begin(struct energy_check *check, int64_t boot_ms, int64_t counter, double rate)
{
    *check = (struct energy_check){
        .started = true,
        .since_ms = boot_ms,
        .counter = counter,
        .latest = counter,
        .rate = rate,
        .boot_ms = boot_ms,
    };
}

static enum energy_check_verdict judge(double counted, double without_largest, double expected)
{
    bool fast = without_largest >= low * expected && counted <= high * expected;
    bool slow = counted > 0 && expected >= low * counted && expected <= high * counted;
    if (fast && expected >= least_when_fast)
        return ENERGY_CHECK_SCALED;
    if (expected < least_expected)
        return ENERGY_CHECK_NOTHING;
    if (slow || (counted <= 0 && expected >= least_when_still))
        return ENERGY_CHECK_SCALED;
    bool fitting = counted <= fits * expected && expected <= fits * counted;
    return fitting ? ENERGY_CHECK_FITS : ENERGY_CHECK_NOTHING;
}

static void follow_counter(struct energy_check *check, int64_t counter)
{
    int64_t step = counter - check->latest;
    check->largest = step > check->largest ? step : check->largest;
    check->latest = counter;
    check->steps++;
}

enum energy_check_verdict energy_check(struct energy_check *check, int64_t boot_ms, int64_t counter,
                                       double rate)
{
    int64_t step_ms = boot_ms - check->boot_ms;
    bool usable = rate >= 0 && step_ms >= 0 && step_ms <= longest_step_ms;
    if (!check->started || !usable || (counter >= 0 && counter < check->latest)) {
        check->started = false;
        if (counter >= 0 && rate >= 0)
            begin(check, boot_ms, counter, rate);
        return ENERGY_CHECK_NOTHING;
    }
    check->expected += (check->rate + rate) / 2 * (double)step_ms / 1000.0;
    check->rate = rate;
    check->boot_ms = boot_ms;
    if (counter < 0)
        return ENERGY_CHECK_NOTHING;
    follow_counter(check, counter);
    if (boot_ms - check->since_ms < window_ms || check->steps < steps_needed)
        return ENERGY_CHECK_NOTHING;
    double counted = (double)(counter - check->counter);
    enum energy_check_verdict verdict =
        judge(counted, counted - (double)check->largest, check->expected);
    begin(check, boot_ms, counter, rate);
    return verdict;
}
