/* SPDX-License-Identifier: MIT */
#include "bridge/meter/budget.h"

#include <math.h>

static const int64_t gap_ms = 60000;
static const int64_t kept_ms =
    130000; /* twice the minute within which a module repeats its values */

void budget_start(struct budget *budget, double slack)
{
    *budget = (struct budget){.spare = slack};
}

static double earned(const struct budget_terms *terms)
{
    return terms->interval_ms <= 0 ? 0 : terms->rate * (double)terms->interval_ms / 1000.0;
}

double budget_limit(const struct budget *budget, const struct budget_terms *terms)
{
    return budget->spare + earned(terms);
}

static bool is_gap(const struct budget *budget, const struct budget_terms *terms)
{
    return terms->repeats && terms->interval_ms > gap_ms &&
           terms->interval_ms / 3 > budget->distance_ms;
}

void budget_spend(struct budget *budget, const struct budget_terms *terms, double counts)
{
    double left = fmax(0, budget->spare + earned(terms) - counts);
    if (is_gap(budget, terms)) {
        budget->kept = left;
        budget->kept_until_ms = terms->boot_ms + kept_ms;
    } else if (terms->boot_ms > budget->kept_until_ms) {
        budget->kept = 0;
    }
    budget->kept = fmin(budget->kept, left);
    budget->spare = fmin(left, terms->slack + budget->kept);
    budget->distance_ms = terms->interval_ms < 0 ? 0 : terms->interval_ms;
}
