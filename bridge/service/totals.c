/* SPDX-License-Identifier: MIT */
#include "bridge/service/totals.h"

#define SHOWN_UWH 1000000 /* a watt hour: the last published digit */

void totals_begin(struct totals *totals, bool lagging, int64_t loaded_counter_ms)
{
    *totals = (struct totals){
        .phase = lagging ? TOTALS_LAGGING : TOTALS_CURRENT,
        .loaded_counter_ms = loaded_counter_ms,
    };
}

void totals_follow(struct totals *totals, int64_t counter_boot_ms,
                   const struct channel_values *values)
{
    if (totals->phase != TOTALS_LAGGING || counter_boot_ms == totals->loaded_counter_ms)
        return;
    totals->phase = TOTALS_CAUGHT_UP;
    totals->caught_up_imported_uwh = values->energy_uwh.value;
    totals->caught_up_exported_uwh = values->energy_produced_uwh.value;
}

void totals_set(struct totals *totals, int64_t boot_ms)
{
    totals->phase = TOTALS_CURRENT;
    totals->imported_uwh = totals->exported_uwh = 0;
    totals->set_ms = boot_ms + 1;
}

/* Whether these totals may be lower than what the previous process published. */
static bool lags(struct totals *totals, int64_t imported_uwh, int64_t exported_uwh)
{
    if (totals->phase == TOTALS_CAUGHT_UP && imported_uwh >= totals->caught_up_imported_uwh &&
        exported_uwh >= totals->caught_up_exported_uwh)
        totals->phase = TOTALS_CURRENT;
    return totals->phase != TOTALS_CURRENT;
}

void totals_show(struct totals *totals, const struct totals_stored *stored,
                 struct channel_values *values)
{
    struct amount *imported = &values->energy_uwh;
    struct amount *exported = &values->energy_produced_uwh;
    int64_t imported_uwh = stored->usable ? stored->imported_uwh : imported->value;
    int64_t exported_uwh = stored->usable ? stored->exported_uwh : exported->value;
    if (lags(totals, imported_uwh, exported_uwh)) {
        imported->known = exported->known = false;
        return;
    }
    if (imported_uwh > totals->imported_uwh)
        totals->imported_uwh = imported_uwh;
    if (exported_uwh > totals->exported_uwh)
        totals->exported_uwh = exported_uwh;
    imported->value = totals->imported_uwh;
    exported->value = totals->exported_uwh;
}

static bool differs(const struct amount *a, const struct amount *b)
{
    return a->known != b->known || (a->known && a->value / SHOWN_UWH != b->value / SHOWN_UWH);
}

bool totals_moved(const struct channel_values *before, const struct channel_values *after)
{
    return differs(&before->energy_uwh, &after->energy_uwh) ||
           differs(&before->energy_produced_uwh, &after->energy_produced_uwh);
}
