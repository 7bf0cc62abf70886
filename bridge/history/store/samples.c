/* SPDX-License-Identifier: MIT */
#include "bridge/history/store/samples.h"

#include "bridge/history/store/key.h"
#include "drivers/base/memory.h"

#include <string.h>

#define FLAG_RANGE 32
_Static_assert((READING_CHIP_RESET << 1) == FLAG_RANGE, "the flags fill their bits");

/* The maximum load makes 20 counts a second (energy.h). migrations/0006 has the same rule. */
#define COUNT_MS 50
#define COUNT_SLACK 20

int64_t sample_counted(int64_t imported, int64_t exported, unsigned flags)
{
    int64_t counts = imported > 0 ? imported : -exported;
    const int64_t most = INT64_MAX / FLAG_RANGE; /* 2^58: more than any counter has counted */
    counts = counts > most ? most : counts < -most ? -most : counts;
    return counts * FLAG_RANGE + (int64_t)(flags % FLAG_RANGE);
}

void sample_counters_free(struct sample_counters *counters)
{
    free(counters->list);
    *counters = (struct sample_counters){0};
}

void sample_counters_forget(struct sample_counters *counters)
{
    if (counters->capacity > 0)
        memset(counters->list, 0, counters->capacity * sizeof *counters->list);
}

static struct sample_counter *counter_of(struct sample_counters *counters, unsigned number)
{
    while (counters->capacity <= number) {
        size_t before = counters->capacity;
        counters->list =
            memory_grow(counters->list, before, &counters->capacity, sizeof *counters->list);
        memset(&counters->list[before], 0, (counters->capacity - before) * sizeof *counters->list);
    }
    return &counters->list[number];
}

static bool runs_on(const struct sample_counter *before, int64_t key, int64_t energy)
{
    int64_t step;
    int64_t time_ms = key_time_ms(key) - key_time_ms(before->key);
    return !__builtin_sub_overflow(energy, before->energy, &step) && step >= 0 &&
           step <= COUNT_SLACK + time_ms / COUNT_MS;
}

struct sample_kept sample_counters_note(struct sample_counters *counters, enum reading_kind kind,
                                        int64_t key, const struct reading *reading)
{
    struct sample_kept kept = {0};
    if ((reading->present & READING_ENERGY) == 0)
        return kept;
    kept.this_one = true;
    if (kind != READING_BL0942)
        return kept;
    struct sample_counter *counter = counter_of(counters, key_number(key));
    int64_t minute = key_time_ms(key) / 60000;
    if (counter->known) {
        bool remarkable = !runs_on(counter, key, reading->energy);
        kept.before = remarkable && !counter->kept;
        kept.before_key = counter->key;
        kept.before_energy = counter->energy;
        kept.this_one = remarkable || minute != counter->kept_minute ||
                        (reading->flags & READING_CHIP_RESET) != 0;
    }
    counter->known = true;
    counter->kept = kept.this_one;
    counter->key = key;
    counter->energy = reading->energy;
    if (kept.this_one)
        counter->kept_minute = minute;
    return kept;
}
