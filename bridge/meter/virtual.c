/* SPDX-License-Identifier: MIT */
#include "bridge/meter/virtual.h"

#include "drivers/base/memory.h"
#include "drivers/base/number.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const int64_t uwh_per_count = 1000;
static const int64_t mw_ms_per_count = 3600000;
static const int64_t wait_longest_ms = 600000;
static const int64_t wait_idle_ms = 10000;
static const int64_t idle_mw = 1000;

struct member {
    int sign;
    bool known; /* has had a reading */
    bool fresh; /* since the last interval */
    int64_t boot_ms;
    bool power_known;
    int64_t power_mw;
    int64_t imported_uwh, exported_uwh;
};

struct virtual_sum {
    struct member *members;
    size_t count;
    bool balance;
    int64_t longest_hold_ms;
    uint32_t definition; /* hash */
    struct energy_state state;
    int64_t imported_uwh, exported_uwh; /* signed sums of the members, up to which it has counted */

    /* Since then, with balance: */
    int64_t drawn_mw_ms, fed_mw_ms; /* by the powers */
    int64_t last_ms;                /* boot clock; of the last interval */
    int64_t counted_ms;             /* likewise, of the last one that was counted */
    bool has_last;
    bool gap; /* a member was missing, or had no power */
};

/* Members' sums stay within a thousand terawatt hours, or the sum begins anew. */
static int64_t add(int64_t a, int64_t b)
{
    int64_t sum;
    if (__builtin_add_overflow(a, b, &sum))
        return a < 0 ? INT64_MIN : INT64_MAX;
    return sum;
}

static int64_t floor_counts(int64_t uwh)
{
    int64_t counts = uwh / uwh_per_count;
    return uwh % uwh_per_count < 0 ? counts - 1 : counts;
}

/* FNV-1a. */
static uint32_t hash_of(const char *text, bool balance)
{
    uint32_t hash = balance ? 2166136261U : 2166136263U;
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * 16777619U;
    return hash;
}

/* ---- the state as text and number ---- */

static void store_position(struct virtual_sum *sum)
{
    sum->state.known = true;
    sum->state.counter = sum->imported_uwh;
    (void)snprintf(sum->state.boot_id, sizeof sum->state.boot_id, "v%08" PRIx32 " %" PRId64,
                   sum->definition, sum->exported_uwh);
}

static bool load_position(struct virtual_sum *sum)
{
    char own[16];
    int length = snprintf(own, sizeof own, "v%08" PRIx32 " ", sum->definition);
    const char *text = sum->state.boot_id;
    sum->imported_uwh = sum->state.counter;
    return sum->state.known && strncmp(text, own, (size_t)length) == 0 &&
           number_parse_int(text + length, strlen(text + length), INT64_MIN, INT64_MAX,
                            &sum->exported_uwh);
}

struct virtual_sum *virtual_create(const struct virtual_options *options,
                                   const struct energy_state *state)
{
    struct virtual_sum *sum = memory_new(1, sizeof *sum);
    sum->count = options->member_count;
    sum->members = memory_new(sum->count + 1, sizeof *sum->members);
    for (size_t i = 0; i < sum->count; i++)
        sum->members[i].sign = options->signs[i] < 0 ? -1 : 1;
    sum->balance = options->balance;
    sum->longest_hold_ms = options->longest_hold_ms;
    sum->definition = hash_of(options->definition, options->balance);
    if (state != NULL)
        sum->state = *state;
    sum->state.boot_id[sizeof sum->state.boot_id - 1] = '\0';
    sum->state.imported = sum->state.imported < 0 ? 0 : sum->state.imported;
    sum->state.exported = sum->state.exported < 0 ? 0 : sum->state.exported;
    sum->state.known = load_position(sum);
    return sum;
}

void virtual_free(struct virtual_sum *sum)
{
    if (sum == NULL)
        return;
    free(sum->members);
    free(sum);
}

/* ---- members ---- */

void virtual_member(struct virtual_sum *sum, size_t member, int64_t boot_ms, bool power_known,
                    int64_t power_mw, int64_t imported_uwh, int64_t exported_uwh)
{
    struct member *it = &sum->members[member];
    *it = (struct member){
        .sign = it->sign,
        .known = true,
        .fresh = true,
        .boot_ms = boot_ms,
        .power_known = power_known,
        .power_mw = power_mw,
        .imported_uwh = imported_uwh,
        .exported_uwh = exported_uwh,
    };
}

void virtual_member_shifted(struct virtual_sum *sum, size_t member, int64_t imported_uwh,
                            int64_t exported_uwh)
{
    struct member *it = &sum->members[member];
    it->imported_uwh = add(it->imported_uwh, imported_uwh);
    it->exported_uwh = add(it->exported_uwh, exported_uwh);
    bool turned = it->sign < 0; /* what is subtracted changes sides */
    sum->imported_uwh = add(sum->imported_uwh, turned ? exported_uwh : imported_uwh);
    sum->exported_uwh = add(sum->exported_uwh, turned ? imported_uwh : exported_uwh);
    if (sum->state.known)
        store_position(sum);
}

void virtual_member_lost(struct virtual_sum *sum, size_t member)
{
    sum->members[member].fresh = false;
    sum->gap = true;
}

/* ---- intervals ---- */

static bool complete(const struct virtual_sum *sum)
{
    for (size_t i = 0; i < sum->count; i++)
        if (!sum->members[i].fresh)
            return false;
    return sum->count > 0;
}

static void measure(const struct virtual_sum *sum, int64_t boot_ms,
                    struct virtual_interval *interval)
{
    interval->power_known = true;
    for (size_t i = 0; i < sum->count; i++) {
        const struct member *member = &sum->members[i];
        bool held = boot_ms - member->boot_ms <= sum->longest_hold_ms;
        interval->power_known = interval->power_known && member->power_known && held;
        interval->power_mw = add(interval->power_mw, member->sign * member->power_mw);
    }
}

/* What is subtracted is imported where it is exported. */
static void position_of(const struct virtual_sum *sum, int64_t *imported_uwh, int64_t *exported_uwh)
{
    *imported_uwh = *exported_uwh = 0;
    for (size_t i = 0; i < sum->count; i++) {
        const struct member *member = &sum->members[i];
        bool turned = member->sign < 0;
        *imported_uwh = add(*imported_uwh, turned ? member->exported_uwh : member->imported_uwh);
        *exported_uwh = add(*exported_uwh, turned ? member->imported_uwh : member->exported_uwh);
    }
}

/* Whole counts of a position, not of a step, so that rounding never adds up. A position behind the last
 * one (a member's total fell unannounced, as after a restored history) counts nothing. */
static int64_t counts_between(int64_t from_uwh, int64_t to_uwh)
{
    return floor_counts(to_uwh) - floor_counts(from_uwh);
}

static int64_t only_up(int64_t counts)
{
    return counts > 0 ? counts : 0;
}

/* The power of this interval, as if it had been the same since the last one. */
static void integrate(struct virtual_sum *sum, int64_t boot_ms,
                      const struct virtual_interval *interval)
{
    int64_t passed_ms = boot_ms - sum->last_ms;
    int64_t energy_mw_ms = 0;
    if (!sum->has_last || !interval->power_known || passed_ms < 0 ||
        passed_ms > sum->longest_hold_ms ||
        __builtin_mul_overflow(interval->power_mw, passed_ms, &energy_mw_ms))
        sum->gap = true;
    sum->has_last = true;
    sum->last_ms = boot_ms;
    if (energy_mw_ms > 0)
        sum->drawn_mw_ms = add(sum->drawn_mw_ms, energy_mw_ms);
    else
        sum->fed_mw_ms = add(sum->fed_mw_ms, -energy_mw_ms);
}

static bool waited_enough(const struct virtual_sum *sum, int64_t boot_ms,
                          const struct virtual_interval *interval)
{
    int64_t waited_ms = boot_ms - sum->counted_ms;
    bool idle = interval->power_mw > -idle_mw && interval->power_mw < idle_mw;
    return waited_ms >= wait_longest_ms || (idle && waited_ms >= wait_idle_ms);
}

/* net: counts since the last time. False: it waits. */
static bool split(const struct virtual_sum *sum, int64_t boot_ms, int64_t net,
                  struct virtual_interval *interval)
{
    bool draws = sum->drawn_mw_ms >= sum->fed_mw_ms;
    int64_t lesser = (draws ? sum->fed_mw_ms : sum->drawn_mw_ms) / mw_ms_per_count;
    int64_t greater = add(lesser, draws ? net : -net);
    if (sum->gap || (greater < 0 && waited_enough(sum, boot_ms, interval))) {
        interval->imported_counts = only_up(net);
        interval->exported_counts = only_up(-net);
        return true;
    }
    if (greater < 0)
        return false;
    interval->imported_counts = draws ? greater : lesser;
    interval->exported_counts = draws ? lesser : greater;
    return true;
}

static void count(struct virtual_sum *sum, int64_t boot_ms, struct virtual_interval *interval)
{
    int64_t imported_uwh, exported_uwh;
    position_of(sum, &imported_uwh, &exported_uwh);
    if (sum->state.known && sum->balance) {
        int64_t net =
            counts_between(sum->imported_uwh - sum->exported_uwh, imported_uwh - exported_uwh);
        interval->waits = !split(sum, boot_ms, net, interval);
        if (interval->waits)
            return;
    } else if (sum->state.known) {
        interval->imported_counts = only_up(counts_between(sum->imported_uwh, imported_uwh));
        interval->exported_counts = only_up(counts_between(sum->exported_uwh, exported_uwh));
    }
    sum->state.imported = add(sum->state.imported, interval->imported_counts);
    sum->state.exported = add(sum->state.exported, interval->exported_counts);
    sum->imported_uwh = imported_uwh;
    sum->exported_uwh = exported_uwh;
    sum->drawn_mw_ms = sum->fed_mw_ms = 0;
    sum->counted_ms = boot_ms;
    sum->gap = false;
    store_position(sum);
}

bool virtual_advance(struct virtual_sum *sum, int64_t boot_ms, struct virtual_interval *interval)
{
    *interval = (struct virtual_interval){.power_known = false};
    if (!complete(sum))
        return false;
    measure(sum, boot_ms, interval);
    integrate(sum, boot_ms, interval);
    count(sum, boot_ms, interval);
    for (size_t i = 0; i < sum->count; i++)
        sum->members[i].fresh = false;
    return true;
}

const struct energy_state *virtual_state(const struct virtual_sum *sum)
{
    return &sum->state;
}

void virtual_set_totals(struct virtual_sum *sum, int64_t imported_uwh, int64_t exported_uwh)
{
    const struct calibration identity = calibration_default(READING_OPENBEKEN);
    energy_fold(&sum->state, &identity, READING_OPENBEKEN);
    if (imported_uwh >= 0)
        sum->state.base_imported_uwh = imported_uwh;
    if (exported_uwh >= 0)
        sum->state.base_exported_uwh = exported_uwh;
}
