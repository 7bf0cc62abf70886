/* SPDX-License-Identifier: MIT */
#include "bridge/service/period_journal.h"

#include "drivers/base/memory.h"

#include <string.h>

void period_journal_begin(struct period_journal *journal, const struct period_totals *begun,
                          size_t channel_count)
{
    period_journal_end(journal);
    journal->on = true;
    journal->begun = memory_new(channel_count, sizeof *journal->begun);
    memcpy(journal->begun, begun, channel_count * sizeof *begun);
    journal->channel_count = channel_count;
}

void period_journal_end(struct period_journal *journal)
{
    free(journal->entries);
    free(journal->begun);
    *journal = (struct period_journal){.on = false};
}

void period_journal_note(struct period_journal *journal, const struct period_entry *entry)
{
    if (!journal->on)
        return;
    journal->full = journal->full || journal->count >= PERIOD_JOURNAL_MAX;
    if (journal->full)
        return;
    journal->entries =
        memory_grow(journal->entries, journal->count, &journal->room, sizeof *journal->entries);
    journal->entries[journal->count++] = *entry;
}

void period_journal_shift(struct period_journal *journal, size_t channel, int64_t imported_uwh,
                          int64_t exported_uwh)
{
    if (!journal->on)
        return;
    journal->begun[channel].imported_uwh += imported_uwh;
    journal->begun[channel].exported_uwh += exported_uwh;
    for (size_t i = 0; i < journal->count; i++)
        if (journal->entries[i].channel == channel) {
            journal->entries[i].totals.imported_uwh += imported_uwh;
            journal->entries[i].totals.exported_uwh += exported_uwh;
        }
}

static bool same(const struct period_totals *totals, const struct history_past *past)
{
    return totals->imported_uwh == past->imported_uwh && totals->exported_uwh == past->exported_uwh;
}

/* The last place is taken: what was counted is the same in all that fit. */
bool period_journal_find(const struct period_journal *journal, const struct history_past *pasts,
                         size_t *count)
{
    struct period_totals *now memory_auto =
        memory_new(journal->channel_count, sizeof(struct period_totals));
    size_t fitting = 0; /* channels */
    bool found = false;
    memcpy(now, journal->begun, journal->channel_count * sizeof *now);
    for (size_t i = 0; i < journal->channel_count; i++)
        fitting += same(&now[i], &pasts[i]) ? 1 : 0;
    for (size_t i = 0;; i++) {
        if (fitting == journal->channel_count) {
            found = true;
            *count = i;
        }
        if (i == journal->count)
            return found && !journal->full;
        const struct period_entry *entry = &journal->entries[i];
        const struct history_past *past = &pasts[entry->channel];
        fitting -= same(&now[entry->channel], past) ? 1 : 0;
        now[entry->channel] = entry->totals;
        fitting += same(&now[entry->channel], past) ? 1 : 0;
    }
}
