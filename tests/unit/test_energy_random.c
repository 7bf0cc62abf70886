/* SPDX-License-Identifier: MIT */
/*
 * bridge/meter against random histories: a chip whose true count is known, read by a service that
 * is killed, on a machine that is rebooted with wrong clocks. Whatever happens:
 *   1. totals never go down, neither in a running service nor as published from committed states;
 *   2. a total never exceeds what the chip has counted since the channel was first seen;
 *   3. it equals that to the count, except for what was counted around a restart of the chip: at
 * most what came since the last credited reading. Where a machine's clock stays wrong after a
 * reboot, the step across it may be rejected, never invented. TEST_SEED and
 * TEST_SCENARIOS in the environment choose other histories.
 */
#include "random_helper.h"

#include "bridge/meter/meter.h"
#include "drivers/base/number.h"
#include "drivers/base/text.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define SIZE (1 << 24)
#define WALL_MS INT64_C(1790000000000)
#define MINUTE INT64_C(60000)
#define HOUR (60 * MINUTE)
#define READINGS 300

static const double counts_per_watt_ms = 1.0 / 419430.4 / 1000.0; /* times the power factor */

static bool chance(uint64_t *dice, double probability)
{
    return fraction(dice) < probability;
}

/* ---- The world ----------------------------------------------------------------------------- */

enum clock_kind { CLOCK_RIGHT, CLOCK_1970, CLOCK_STALE };

/** What the test knows about a reading that was delivered. */
struct delivered {
    int64_t counter; /* as sent, perhaps damaged */
    int64_t intact;  /* what the chip had counted */
    int64_t truth;
    int64_t life_truth; /* truth when the chip last restarted */
    int life;
};

/** What the test knows about the meter's energy; goes back with it to the last commit. */
struct book {
    bool known;
    bool seen;
    int64_t first_seen; /* truth at the first reading ever */
    int64_t first;      /* truth at the first baseline */
    int64_t position;   /* truth at the baseline */
    int64_t counter;
    int life, boot;
    bool clock_right;
    bool flagged; /* the meter was told of a restart since the baseline */
    int64_t credited, lost;
};

struct world {
    uint64_t dice;
    uint64_t seed;
    int64_t now_ms;
    /* chip */
    double power_w, fraction;
    int64_t truth, life_truth, life_counter;
    int life;
    bool flag;
    /* machine */
    int boot;
    int64_t boot_ms, clock_right_at_ms, stale_wall_ms;
    enum clock_kind clock;
    char boot_id[40];
    /* service */
    struct meter_options options;
    struct meter *meter;
    struct energy_state committed;
    struct book book, committed_book;
    int64_t shown_uwh[2];
    int64_t published_uwh[2];
    struct delivered last;
    bool last_damaged;
    /* what may happen */
    int64_t interval_ms;
    bool odd_restarts; /* the counter begins at 0x800000; then no reboots */
};

static struct {
    unsigned readings, damaged, silences, chip_restarts, kills, reboots, wrong_clocks, calibrations;
    unsigned near_top, flags, flags_killed;
    unsigned glitches, resets, rejected, wraps, downtimes, exact_restarts, credited_restarts;
    int64_t credited, first_credited, lost_at_restarts, most_lost, lost_to_clocks;
} figures;

static int64_t intact_counter(const struct world *world)
{
    return (world->life_counter + world->truth - world->life_truth) % SIZE;
}

static void pass(struct world *world, int64_t ms)
{
    world->now_ms += ms;
    world->fraction +=
        fabs(world->power_w) * world->options.calibration.power * counts_per_watt_ms * (double)ms;
    int64_t whole = (int64_t)world->fraction;
    world->truth += whole;
    world->fraction -= (double)whole;
}

static bool clock_is_right(const struct world *world)
{
    return world->clock == CLOCK_RIGHT || world->now_ms >= world->clock_right_at_ms;
}

static int64_t wall_ms(const struct world *world)
{
    int64_t up_ms = world->now_ms - world->boot_ms;
    if (clock_is_right(world))
        return WALL_MS + world->now_ms;
    return world->clock == CLOCK_1970 ? up_ms : world->stale_wall_ms + up_ms;
}

static void __attribute__((format(printf, 2, 3), noreturn))
wrong(const struct world *world, const char *format, ...)
{
    char text[400];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    print_error("TEST_SEED=%llu TEST_SCENARIOS=1, %lld ms: %s\n", (unsigned long long)world->seed,
                (long long)world->now_ms, text);
    fail();
    abort();
}

/* ---- The service --------------------------------------------------------------------------- */

static void start_service(struct world *world)
{
    world->options.boot_id = world->boot_id;
    world->book = world->committed_book;
    /* A flag survives a kill if it was stored, as a counter of 0. */
    world->book.flagged = world->book.flagged && world->committed.counter == 0;
    world->meter = meter_create(&world->options, world->committed.known ? &world->committed : NULL);
    world->shown_uwh[0] = world->shown_uwh[1] = 0;
}

static int64_t watt_hours_as_published(int64_t uwh)
{
    char buffer[32];
    struct text text;
    text_init(&text, buffer, sizeof buffer);
    text_append_decimal(&text, uwh, 9, 3, true);
    double kwh = -1;
    (void)number_parse_double(buffer, text.length, 0, 1e9, &kwh);
    return llround(kwh * 1000);
}

/** What the history does every few seconds; totals are published from what it has stored. */
static void commit(struct world *world)
{
    world->committed = *meter_state(world->meter);
    world->committed_book = world->book;
    int64_t uwh[2];
    energy_totals_uwh(&world->committed, &world->options.calibration, READING_BL0942, &uwh[0],
                      &uwh[1]);
    for (int i = 0; i < 2; i++) {
        if (uwh[i] < world->published_uwh[i] ||
            watt_hours_as_published(uwh[i]) < watt_hours_as_published(world->published_uwh[i]))
            wrong(world, "published total %d went from %lld to %lld", i,
                  (long long)world->published_uwh[i], (long long)uwh[i]);
        world->published_uwh[i] = uwh[i];
    }
}

static void check_shown(struct world *world, const struct channel_values *values)
{
    const struct amount *shown[2] = {&values->energy_uwh, &values->energy_produced_uwh};
    for (int i = 0; i < 2; i++) {
        if (shown[i]->value < world->shown_uwh[i])
            wrong(world, "total %d went from %lld to %lld uWh", i, (long long)world->shown_uwh[i],
                  (long long)shown[i]->value);
        world->shown_uwh[i] = shown[i]->value;
    }
}

static void count_events(const struct meter_result *result)
{
    for (size_t i = 0; i < result->event_count; i++) {
        enum meter_event_kind kind = result->events[i].kind;
        figures.glitches += kind == METER_EVENT_GLITCH_DROPPED;
        figures.resets += kind == METER_EVENT_COUNTER_RESET;
        figures.rejected += kind == METER_EVENT_STEP_REJECTED;
        figures.wraps += kind == METER_EVENT_COUNTER_WRAPPED;
        figures.downtimes += kind == METER_EVENT_DOWNTIME_COUNTED;
    }
}

static int64_t signed_24(int64_t difference)
{
    int64_t wrapped = ((difference % SIZE) + SIZE) % SIZE;
    return wrapped < SIZE / 2 ? wrapped : wrapped - SIZE;
}

/** The clock that would tell how long the machine was off is, or was, wrong for good. */
static bool clock_excuses(const struct world *world, bool wrapped)
{
    if (world->book.boot == world->boot)
        return false;
    bool stale = world->clock == CLOCK_STALE && world->clock_right_at_ms == INT64_MAX;
    return stale || (wrapped && (!clock_is_right(world) || !world->book.clock_right));
}

/**
 * Over a restart only what was counted before it may be missing. An unflagged counter that has
 * passed the baseline since is taken for one that went on, so that the baseline's own value is
 * missing, too.
 */
static void check_restart(const struct world *world, int64_t lost, bool wrapped)
{
    const struct book *book = &world->book;
    int64_t allowed = world->last.life_truth - book->position;
    if (!wrapped && !book->flagged)
        allowed += book->counter;
    bool odd = world->odd_restarts; /* a restart at 0x800000 is rejected: all may be missing */
    if (lost > allowed && !odd && !clock_excuses(world, wrapped))
        wrong(world, "%lld counts were lost at a restart, not %lld at most", (long long)lost,
              (long long)allowed);
}

static void account_loss(struct world *world, int64_t lost, bool wrapped, int64_t credited)
{
    if (lost < 0)
        wrong(world, "%lld counts more were credited than counted", (long long)-lost);
    const struct book *book = &world->book;
    bool restarted = world->last.life != book->life;
    if (restarted)
        check_restart(world, lost, wrapped);
    if (lost > 0 && !restarted && !clock_excuses(world, wrapped))
        wrong(world, "%lld counts were lost without a restart", (long long)lost);
    if (restarted) {
        figures.credited_restarts += credited > 0 || lost == 0;
        figures.exact_restarts += lost == 0;
        figures.lost_at_restarts += lost;
        if (lost > figures.most_lost)
            figures.most_lost = lost;
    } else {
        figures.lost_to_clocks += lost;
    }
    world->book.lost += lost;
}

/** The baseline moved to the reading before this one: compare with the truth. */
static void check_credit(struct world *world, int64_t credited)
{
    const struct energy_state *state = meter_state(world->meter);
    struct book *book = &world->book;
    bool noted = world->flag && state->counter == 0;
    if (state->counter != world->last.counter && !noted)
        wrong(world, "the baseline is not the last reading but one");
    int64_t position = world->last.truth + signed_24(world->last.counter - world->last.intact);
    if (position > world->truth)
        wrong(world, "the baseline is ahead of the truth");
    if (!book->known) {
        /* It began at the first of the readings that agree: never before the first one of all. */
        book->first = position - credited;
        if (book->first < book->first_seen)
            wrong(world, "%lld counts more than were seen were credited at first contact",
                  (long long)(book->first_seen - book->first));
        figures.first_credited += credited;
    } else {
        account_loss(world, position - book->position - credited,
                     world->last.counter < book->counter, credited);
    }
    book->known = true;
    book->position = position;
    book->counter = world->last.counter;
    book->life = world->last.life;
    book->boot = world->boot;
    book->clock_right = clock_is_right(world);
    book->flagged = world->flag; /* that reading is not the baseline yet */
    book->credited += credited;
    figures.credited += credited;
    if (book->credited > world->truth - book->first_seen)
        wrong(world, "the total exceeds the truth");
    if (book->credited + book->lost != book->position - book->first)
        wrong(world, "the books do not balance");
}

static struct reading reading_of(const struct world *world, int64_t counter)
{
    const struct calibration *factor = &world->options.calibration;
    double apparent_va = fabs(world->power_w) / 0.98;
    return (struct reading){
        .wall_ms = wall_ms(world),
        .boot_ms = world->now_ms - world->boot_ms,
        .present = READING_ALL,
        .flags =
            (world->flag ? READING_CHIP_RESET : 0u) | (world->power_w < 0 ? READING_REVERSE : 0u),
        .voltage = llround(230 * factor->voltage),
        .current = llround(apparent_va / 230 * factor->current),
        .power = llround(world->power_w * factor->power),
        .energy = counter,
        .frequency = 20000,
    };
}

static int64_t damage(struct world *world, int64_t counter)
{
    if (chance(&world->dice, 0.1))
        return between(&world->dice, 0, SIZE - 1);
    int64_t mask = 0;
    int64_t flips = between(&world->dice, 1, 3);
    while (flips-- > 0)
        mask |= 1 << between(&world->dice, 0, 23);
    return counter ^ mask;
}

static bool same_baseline(const struct energy_state *a, const struct energy_state *b)
{
    return a->known == b->known && a->counter_boot_ms == b->counter_boot_ms &&
           strcmp(a->boot_id, b->boot_id) == 0;
}

static void read_chip(struct world *world, bool may_damage)
{
    int64_t intact = intact_counter(world);
    bool damaged = may_damage && !world->last_damaged && chance(&world->dice, 0.03);
    struct reading reading = reading_of(world, damaged ? damage(world, intact) : intact);
    damaged = reading.energy != intact;
    struct energy_state before = *meter_state(world->meter);
    struct meter_result result;
    if (!world->book.seen)
        world->book.first_seen = world->truth;
    world->book.seen = true;
    world->book.flagged = world->book.flagged || world->flag;
    meter_accept(world->meter, &reading, &result);
    figures.readings++;
    figures.damaged += damaged;
    count_events(&result);
    if (!same_baseline(&before, meter_state(world->meter)))
        check_credit(world, result.imported_counts + result.exported_counts);
    else if (result.imported_counts != 0 || result.exported_counts != 0)
        wrong(world, "counts were credited without a baseline");
    check_shown(world, &result.values);
    figures.flags += world->flag;
    world->flag = false;
    if (result.restart_noted) /* as the service does */
        commit(world);
    world->last =
        (struct delivered){reading.energy, intact, world->truth, world->life_truth, world->life};
    world->last_damaged = damaged;
}

/* ---- What happens -------------------------------------------------------------------------- */

static bool may_restart(const struct world *world)
{
    int64_t counter = intact_counter(world);
    bool below_odd = counter > (SIZE >> 1) - (1 << 21) && counter <= SIZE >> 1;
    return !(world->odd_restarts && below_odd);
}

static void restart_chip(struct world *world)
{
    if (!may_restart(world))
        return;
    /* Near the top an unflagged restart looks like a wrap (energy.h, limits). */
    bool near_top = intact_counter(world) >= SIZE - (1 << 21);
    world->life++;
    world->life_truth = world->truth;
    world->life_counter = world->odd_restarts && chance(&world->dice, 0.3) ? SIZE >> 1 : 0;
    world->fraction = 0;
    world->flag = world->flag || near_top || chance(&world->dice, 0.5);
    figures.chip_restarts++;
    figures.near_top += near_top;
}

static void kill_service(struct world *world)
{
    meter_free(world->meter);
    pass(world, between(&world->dice, 100, chance(&world->dice, 0.2) ? HOUR : 10000));
    bool flagged = world->book.flagged;
    start_service(world);
    figures.kills++;
    figures.flags_killed += flagged;
}

static void set_clock(struct world *world, int64_t stopped_wall_ms)
{
    bool right = chance(&world->dice, 0.5);
    world->clock = right ? CLOCK_RIGHT : chance(&world->dice, 0.5) ? CLOCK_1970 : CLOCK_STALE;
    world->stale_wall_ms = stopped_wall_ms;
    bool comes_right = chance(&world->dice, 0.7);
    world->clock_right_at_ms =
        comes_right ? world->now_ms + between(&world->dice, 0, 9 * MINUTE) : INT64_MAX;
    figures.wrong_clocks += !right;
}

static void reboot(struct world *world)
{
    meter_free(world->meter);
    int64_t stopped_wall_ms = wall_ms(world);
    bool power_cut = chance(&world->dice, 0.4);
    int64_t off_ms = between(&world->dice, 10000, 5 * HOUR);
    if (power_cut) { /* the chip is off as long as the machine */
        world->now_ms += off_ms;
        restart_chip(world);
    } else {
        pass(world, off_ms);
    }
    world->boot++;
    world->boot_ms = world->now_ms;
    (void)snprintf(world->boot_id, sizeof world->boot_id, "boot-%d", world->boot);
    set_clock(world, stopped_wall_ms);
    pass(world, between(&world->dice, 5000, 60000));
    start_service(world);
    figures.reboots++;
}

static void recalibrate(struct world *world)
{
    struct calibration calibration = world->options.calibration;
    calibration.power *= chance(&world->dice, 0.5) ? 1.02 : 1 / 1.02;
    meter_set_calibration(world->meter, &calibration);
    /* The chip counts on at its own pace; only what a count is worth has changed. */
    world->power_w *= world->options.calibration.power / calibration.power;
    world->options.calibration = calibration;
    commit(world);
    figures.calibrations++;
}

static void something_happens(struct world *world)
{
    if (chance(&world->dice, 0.2))
        world->power_w = (double)between(&world->dice, -18000, 18000);
    if (chance(&world->dice, 0.1))
        world->power_w = (double)between(&world->dice, -300, 300);
    if (chance(&world->dice, 0.005))
        restart_chip(world);
    if (chance(&world->dice, 0.002)) {
        pass(world, between(&world->dice, 1000, chance(&world->dice, 0.1) ? 2 * HOUR : MINUTE));
        figures.silences++;
    }
    /* Also where a flag might be forgotten: between it and the baseline. */
    if (chance(&world->dice, world->book.flagged ? 0.3 : 0.005))
        kill_service(world);
    if (!world->odd_restarts && chance(&world->dice, 0.002))
        reboot(world);
    if (chance(&world->dice, 0.002))
        recalibrate(world);
}

/** Undisturbed until nothing is open any more: the total must be the truth, less what was lost. */
static void settle(struct world *world)
{
    world->flag = false;
    world->power_w = chance(&world->dice, 0.5) ? 0 : 3000;
    for (int i = 0; i < 6; i++) {
        pass(world, 1000);
        read_chip(world, false);
    }
    pass(world, 11 * MINUTE); /* any clock that will be set is set, or given up */
    for (int i = 0; i < 6; i++) {
        pass(world, 1000);
        read_chip(world, false);
    }
    pass(world, 1000);
    int64_t before = world->last.truth;
    read_chip(world, false);
    if (!world->book.known || world->book.position != before)
        wrong(world, "readings agree, but the baseline does not follow");
    commit(world);
}

static void begin(struct world *world, uint64_t seed)
{
    static const int64_t intervals_ms[] = {200, 1000, 1000, 5000, 60000};
    *world = (struct world){.seed = seed, .dice = seed};
    world->options = (struct meter_options){
        .kind = READING_BL0942,
        .calibration = calibration_default(READING_BL0942),
        .mains_frequency_hz = 50,
        .mains_voltage_v = 230,
        .max_current_a = 80,
    };
    world->interval_ms = intervals_ms[between(&world->dice, 0, 4)];
    world->odd_restarts = chance(&world->dice, 0.2);
    bool near_top = chance(&world->dice, 0.3);
    world->life_counter = near_top
                              ? SIZE - between(&world->dice, 0, 5000)
                              : between(&world->dice, 0, chance(&world->dice, 0.5) ? 50 : SIZE - 1);
    world->life_counter %= SIZE;
    world->now_ms = between(&world->dice, 1000, HOUR);
    world->power_w = 500;
    (void)snprintf(world->boot_id, sizeof world->boot_id, "boot-0");
    start_service(world);
}

static void play(uint64_t seed)
{
    struct world world;
    begin(&world, seed);
    for (int i = 0; i < READINGS; i++) {
        pass(&world, world.interval_ms + between(&world.dice, -20, 20));
        something_happens(&world);
        if (chance(&world.dice, 0.02)) {
            figures.silences++;
            continue;
        }
        read_chip(&world, true);
        if (chance(&world.dice, 0.2))
            commit(&world);
    }
    settle(&world);
    meter_free(world.meter);
}

static void test_random_histories(void **unused)
{
    (void)unused;
    uint64_t seed = (uint64_t)test_setting("TEST_SEED", 20260701);
    uint64_t scenarios = (uint64_t)test_setting("TEST_SCENARIOS", 2000);
    printf("seed %llu for %llu scenarios (others with TEST_SEED, TEST_SCENARIOS)\n",
           (unsigned long long)seed, (unsigned long long)scenarios);
    struct timespec begun, ended;
    (void)clock_gettime(CLOCK_MONOTONIC, &begun);
    for (uint64_t i = 0; i < scenarios; i++)
        play(seed + i);
    (void)clock_gettime(CLOCK_MONOTONIC, &ended);
    double seconds =
        (double)(ended.tv_sec - begun.tv_sec) + (double)(ended.tv_nsec - begun.tv_nsec) / 1e9;
    print_message("%u readings in %.1f s: %u damaged, %u silences, %u chip restarts, %u kills, "
                  "%u reboots (%u with a wrong clock), %u calibrations\n",
                  figures.readings, seconds, figures.damaged, figures.silences,
                  figures.chip_restarts, figures.kills, figures.reboots, figures.wrong_clocks,
                  figures.calibrations);
    print_message("%u restarts near the top, %u flags, %u kills between a flag and the baseline\n",
                  figures.near_top, figures.flags, figures.flags_killed);
    print_message("told: %u glitches, %u resets, %u rejected, %u wraps, %u downtimes\n",
                  figures.glitches, figures.resets, figures.rejected, figures.wraps,
                  figures.downtimes);
    print_message("credited %lld counts, 0 too many; lost at %u steps over restarts: %lld (at most "
                  "%lld at once; %u steps lost nothing); lost to wrong clocks: %lld\n",
                  (long long)figures.credited, figures.credited_restarts,
                  (long long)figures.lost_at_restarts, (long long)figures.most_lost,
                  figures.exact_restarts, (long long)figures.lost_to_clocks);
    if (scenarios >= 1000) { /* the dice must have shown every side */
        assert_true(figures.glitches > 100 && figures.resets > 100 && figures.rejected > 0);
        assert_true(figures.wraps > 10 && figures.downtimes > 10 && figures.kills > 100);
        assert_true(figures.exact_restarts > 0 && figures.wrong_clocks > 10);
        assert_true(figures.first_credited > 1000);
        assert_true(figures.near_top > 20 && figures.flags_killed > 100);
    }
}

/* Readings of which nothing is true: no crash, no total goes down, nothing beyond its range. */
static void test_garbage(void **unused)
{
    (void)unused;
    uint64_t dice = (uint64_t)test_setting("TEST_SEED", 20260701);
    for (int round = 0; round < 200; round++) {
        struct meter_options options = {
            .kind = chance(&dice, 0.5) ? READING_BL0942 : READING_OPENBEKEN,
            .invert = chance(&dice, 0.5),
            .mains_voltage_v = 230,
            .max_current_a = 80,
            .noise_floor_mw = 1000,
            .boot_id = "boot",
        };
        options.calibration = calibration_default(options.kind);
        struct meter *meter = meter_create(&options, NULL);
        int64_t shown = 0;
        for (int i = 0; i < 200; i++) {
            struct reading reading = {
                .wall_ms = between(&dice, 0, WALL_MS * 2),
                .boot_ms = between(&dice, 0, WALL_MS),
                .present = (unsigned)between(&dice, 0, READING_ALL),
                .flags = (unsigned)between(&dice, 0, 31),
                .voltage = (int64_t)dice_next(&dice) >> between(&dice, 0, 63),
                .current = (int64_t)dice_next(&dice) >> between(&dice, 0, 63),
                .power = (int64_t)dice_next(&dice) >> between(&dice, 0, 63),
                .energy = (int64_t)dice_next(&dice) >> between(&dice, 0, 63),
                .frequency = (int64_t)dice_next(&dice) >> between(&dice, 0, 63),
            };
            struct meter_result result;
            meter_accept(meter, &reading, &result);
            const struct channel_values *values = &result.values;
            assert_true(values->energy_uwh.value + values->energy_produced_uwh.value >= shown);
            shown = values->energy_uwh.value + values->energy_produced_uwh.value;
            assert_true(llabs(values->power_factor_permille.value) <= 1000);
            assert_true(values->voltage_mv.value >= 0 && values->current_ma.value >= 0);
            assert_true(!values->frequency_mhz.known || values->frequency_mhz.value > 0);
        }
        meter_free(meter);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_histories),
        cmocka_unit_test(test_garbage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
