/* SPDX-License-Identifier: MIT */
#include "bridge/meter/direction.h"

#include <math.h>

void direction_add(struct direction *direction, double from, double to, double ms)
{
    if (ms <= 0)
        return;
    if (from >= 0 && to >= 0) {
        direction->imported += (from + to) / 2 * ms;
        return;
    }
    if (from <= 0 && to <= 0) {
        direction->exported -= (from + to) / 2 * ms;
        return;
    }
    /* The line crosses zero: two triangles whose bases divide ms in proportion to their heights. */
    double above = fmax(from, to);
    double below = -fmin(from, to);
    double half_base = ms / (above + below) / 2;
    direction->imported += above * above * half_base;
    direction->exported += below * below * half_base;
}

void direction_join(struct direction *direction, const struct direction *more)
{
    direction->imported += more->imported;
    direction->exported += more->exported;
}

void direction_split(const struct direction *direction, bool reverse, int64_t step,
                     int64_t *imported, int64_t *exported)
{
    double share = reverse ? 0.0 : 1.0;
    double sum = direction->imported + direction->exported;
    if (sum > 0)
        share = direction->imported / sum;
    *imported = (int64_t)llround((double)step * share);
    *exported = step - *imported;
}
