/* SPDX-License-Identifier: MIT */
/* bridge/meter/virtual: sums and differences by table, and against a random truth with kills and gaps. */
#include "bridge/meter/virtual.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define MEMBERS 3

static uint64_t dice = 88172645463325252u;

static int64_t between(int64_t low, int64_t high)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return low + (int64_t)(dice % (uint64_t)(high - low + 1));
}

/* Two members from 0; what each imported and exported in one interval (mWh), and what the sum counts. */
static void test_intervals(void **unused)
{
    (void)unused;
    static const struct {
        const char *name;
        int signs[2];
        bool balance;
        int64_t members[2][2];
        int64_t imported, exported;
    } table[] = {
        {"both import", {1, 1}, true, {{500, 0}, {300, 0}}, 800, 0},
        {"one exports less", {1, 1}, true, {{500, 0}, {0, 300}}, 200, 0},
        {"one exports more", {1, 1}, true, {{500, 0}, {0, 900}}, 0, 400},
        {"they cancel", {1, 1}, true, {{500, 0}, {0, 500}}, 0, 0},
        {"the same without balance", {1, 1}, false, {{500, 0}, {0, 500}}, 500, 500},
        {"the house is the grid less the sun", {1, -1}, true, {{0, 400}, {0, 1000}}, 600, 0},
        {"the same without balance", {1, -1}, false, {{0, 400}, {0, 1000}}, 1000, 400},
        {"less a consumer", {1, -1}, true, {{1000, 0}, {300, 0}}, 700, 0},
        {"less a consumer that takes more", {1, -1}, true, {{300, 0}, {1000, 0}}, 0, 700},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        const struct virtual_options options = {.member_count = 2,
                                                .signs = table[i].signs,
                                                .balance = table[i].balance,
                                                .definition = "d",
                                                .longest_hold_ms = 10000};
        struct virtual_sum *sum = virtual_create(&options, NULL);
        struct virtual_interval interval;
        for (int64_t n = 0; n < 2; n++) {
            for (size_t m = 0; m < 2; m++) {
                assert_false(virtual_advance(sum, 1000 * n, &interval));
                int64_t net = table[i].members[m][0] - table[i].members[m][1];
                virtual_member(sum, m, 1000 * n, true, net * 3600,
                               n * 1000 * table[i].members[m][0],
                               n * 1000 * table[i].members[m][1]);
            }
            assert_true(virtual_advance(sum, 1000 * n, &interval));
        }
        if (interval.imported_counts != table[i].imported ||
            interval.exported_counts != table[i].exported)
            fail_msg("%s: %lld and %lld", table[i].name, (long long)interval.imported_counts,
                     (long long)interval.exported_counts);
        assert_true(interval.power_known);
        int64_t net = table[i].imported - table[i].exported; /* in a second */
        assert_int_equal(interval.power_mw, net * 3600);
        virtual_free(sum);
    }
}

struct world {
    int64_t imported[MEMBERS], exported[MEMBERS]; /* uWh, at the last reading of each */
    int signs[MEMBERS];
    bool balance, away[MEMBERS];
    int64_t first_net; /* at the first interval */
    bool began;
    int64_t shifted; /* of the net, by users who set totals */
    int64_t shifts;
};

static int64_t net_of(const struct world *world)
{
    int64_t net = 0;
    for (size_t m = 0; m < MEMBERS; m++)
        net += world->signs[m] * (world->imported[m] - world->exported[m]);
    return net - world->shifted;
}

static int64_t net_counted(const struct energy_state *state)
{
    return state->imported - state->exported;
}

/* Import minus export is the members' to the count, whatever is killed, away or set. */
static void test_random_worlds(void **unused)
{
    (void)unused;
    int64_t intervals = 0, kills = 0, waits = 0;
    for (int round = 0; round < 200; round++) {
        struct world world = {.balance = round % 3 != 0};
        for (size_t m = 0; m < MEMBERS; m++)
            world.signs[m] = between(0, 2) == 0 ? -1 : 1;
        const struct virtual_options options = {.member_count = MEMBERS,
                                                .signs = world.signs,
                                                .balance = world.balance,
                                                .definition = "random",
                                                .longest_hold_ms = 10000};
        struct virtual_sum *sum = virtual_create(&options, NULL);
        struct energy_state stored = {0};
        struct world stored_world = world;
        for (int64_t t = 0; t < 500; t++) {
            for (size_t m = 0; m < MEMBERS; m++) {
                int64_t step = between(0, 50000);
                bool feeds = between(0, 2) == 0;
                *(feeds ? &world.exported[m] : &world.imported[m]) += step;
                if (between(0, 60) == 0)
                    world.away[m] = !world.away[m];
                if (world.away[m])
                    virtual_member_lost(sum, m);
                else
                    virtual_member(sum, m, t * 1000, true, (feeds ? -step : step) * 18 / 5,
                                   world.imported[m], world.exported[m]);
                if (between(0, 400) == 0) {
                    int64_t jump = between(-1000000, 1000000);
                    world.imported[m] += jump;
                    world.shifted += world.signs[m] * jump;
                    world.shifts++;
                    virtual_member_shifted(sum, m, jump, 0);
                }
            }
            struct energy_state before = *virtual_state(sum);
            struct virtual_interval interval;
            if (virtual_advance(sum, t * 1000, &interval)) {
                intervals++;
                const struct energy_state *now = virtual_state(sum);
                assert_true(now->imported >= before.imported && now->exported >= before.exported);
                if (!world.began)
                    world.first_net = net_of(&world);
                world.began = true;
                int64_t off = net_counted(now) - (net_of(&world) - world.first_net) / 1000;
                waits += interval.waits;
                if (!interval.waits && llabs(off) > 2 + world.shifts) /* each may round once */
                    fail_msg("round %d: off by %lld", round, (long long)off);
            }
            if (between(0, 20) == 0) {
                stored = *virtual_state(sum);
                stored_world = world;
            }
            if (stored.known &&
                between(0, 100) == 0) { /* killed: members go on from their own state */
                kills++;
                virtual_free(sum);
                sum = virtual_create(&options, &stored);
                world.began = stored_world.began;
                world.first_net = stored_world.first_net;
                int64_t lost = world.shifted - stored_world.shifted;
                if (lost != 0) { /* set since the last commit: the member's is gone, too */
                    world = stored_world;
                }
            }
        }
        virtual_free(sum);
    }
    printf("figure: virtual channels: %lld intervals, %lld that wait, %lld kills\n",
           (long long)intervals, (long long)waits, (long long)kills);
    assert_true(intervals > 1000 && kills > 100 && waits < intervals / 10);
}

/* ---- against the true sum ---- */

#define CHIP_COUNT_UWH 366500 /* what a BL0942 counts at a time */
#define DAY_S 86400

struct phase {
    int64_t power_mw, until_s, away_until_s;
    int64_t imported_nwh, exported_nwh;
};

/* Loads come and go on three phases that are counted in coarse steps, with unplugs, kills and resets of chips, by which
 * a part of a count is lost. The truth is what a meter of one line would have counted. */
static void play_day(int64_t most_mw, double *imported_off, double *exported_off)
{
    static const int signs[MEMBERS] = {1, 1, 1};
    const struct virtual_options options = {.member_count = MEMBERS,
                                            .signs = signs,
                                            .balance = true,
                                            .definition = "phases",
                                            .longest_hold_ms = 125000};
    struct phase phases[MEMBERS] = {{.until_s = 5}, {.until_s = 5}, {.until_s = 5}};
    struct virtual_sum *sum = virtual_create(&options, NULL);
    struct virtual_interval interval;
    int64_t imported_nwh = 0, exported_nwh = 0, since_gap_nwh = 0;
    for (int64_t t = 0; t < DAY_S + 30; t++) {
        bool all = true;
        for (size_t m = 0; m < MEMBERS; m++) {
            struct phase *phase = &phases[m];
            if (t >= phase->until_s) {
                phase->power_mw = between(-most_mw, most_mw);
                phase->until_s = t + between(30, 600);
            }
            if (t >= DAY_S)
                phase->power_mw = 0;
            int64_t nwh = phase->power_mw * 10000 / 36; /* in a second */
            *(nwh > 0 ? &phase->imported_nwh : &phase->exported_nwh) += llabs(nwh);
            since_gap_nwh += nwh;
            if (between(0, 20000) == 0)
                phase->away_until_s = t + between(1, 60);
            if (between(0, 20000) == 0) /* a reset: what was not counted yet is lost */
                phase->imported_nwh -= phase->imported_nwh % (CHIP_COUNT_UWH * 1000);
            bool away = t < phase->away_until_s && t < DAY_S;
            all = all && !away;
            int64_t counted[] = {phase->imported_nwh / 1000 / CHIP_COUNT_UWH * CHIP_COUNT_UWH,
                                 phase->exported_nwh / 1000 / CHIP_COUNT_UWH * CHIP_COUNT_UWH};
            if (away)
                virtual_member_lost(sum, m);
            else
                virtual_member(sum, m, t * 1000, true, phase->power_mw, counted[0], counted[1]);
        }
        (void)virtual_advance(sum, t * 1000, &interval);
        *(since_gap_nwh > 0 ? &imported_nwh : &exported_nwh) += all ? llabs(since_gap_nwh) : 0;
        since_gap_nwh = all ? 0 : since_gap_nwh;
        if (between(0, 5000) == 0) { /* killed; every interval is committed */
            struct energy_state state = *virtual_state(sum);
            virtual_free(sum);
            sum = virtual_create(&options, &state);
        }
    }
    int64_t net_uwh = 0;
    for (size_t m = 0; m < MEMBERS; m++)
        net_uwh += (phases[m].imported_nwh / 1000 / CHIP_COUNT_UWH -
                    phases[m].exported_nwh / 1000 / CHIP_COUNT_UWH) *
                   CHIP_COUNT_UWH;
    const struct energy_state *state = virtual_state(sum);
    assert_in_range(llabs(state->imported - state->exported - net_uwh / 1000), 0, 1);
    *imported_off = (double)state->imported * 1e6 / (double)imported_nwh - 1;
    *exported_off = (double)state->exported * 1e6 / (double)exported_nwh - 1;
    virtual_free(sum);
}

static void test_against_the_true_sum(void **unused)
{
    (void)unused;
    static const struct {
        int64_t most_mw;
        double permille; /* what it may be off by */
    } table[] = {{300000, 20}, {1000000, 5}, {3000000, 5}, {18000000, 5}};
    for (size_t i = 0; i < COUNT(table); i++)
        for (int day = 0; day < 3; day++) {
            double imported_off, exported_off;
            play_day(table[i].most_mw, &imported_off, &exported_off);
            printf("figure: three phases of up to %lld W: import off by %+.2f %%, export by %+.2f "
                   "%%\n",
                   (long long)(table[i].most_mw / 1000), imported_off * 100, exported_off * 100);
            if (imported_off * imported_off > table[i].permille * table[i].permille * 1e-6 ||
                exported_off * exported_off > table[i].permille * table[i].permille * 1e-6)
                fail_msg("too far off");
        }
}

static void test_a_missing_member_is_one_interval(void **unused)
{
    (void)unused;
    static const int signs[] = {1, 1};
    const struct virtual_options options = {.member_count = 2,
                                            .signs = signs,
                                            .balance = true,
                                            .definition = "d",
                                            .longest_hold_ms = 3000};
    struct virtual_sum *sum = virtual_create(&options, NULL);
    struct virtual_interval interval;
    virtual_member(sum, 0, 0, true, 5000, 0, 0);
    virtual_member(sum, 1, 0, true, -7000, 0, 0);
    assert_true(virtual_advance(sum, 0, &interval));
    assert_int_equal(interval.power_mw, -2000);
    for (int64_t t = 1; t <= 10; t++) { /* b is away; a imports 10 mWh a second */
        virtual_member(sum, 0, t * 1000, true, 5000, t * 10000, 0);
        virtual_member_lost(sum, 1);
        assert_false(virtual_advance(sum, t * 1000, &interval));
    }
    virtual_member(sum, 1, 11000, true, -7000, 0, 140000); /* and exported 140 meanwhile */
    assert_true(virtual_advance(sum, 11000, &interval));
    assert_int_equal(interval.imported_counts, 0);
    assert_int_equal(interval.exported_counts, 40);
    virtual_member(sum, 0, 12000, true, 5000, 110000, 0);
    virtual_member(sum, 1, 12000, true, -7000, 0, 140000);
    assert_true(virtual_advance(sum, 16000, &interval)); /* both powers are 4 s old */
    assert_false(interval.power_known);
    virtual_free(sum);
}

static void test_another_definition_begins_anew(void **unused)
{
    (void)unused;
    static const int signs[] = {1};
    struct virtual_options options = {.member_count = 1,
                                      .signs = signs,
                                      .balance = true,
                                      .definition = "house/a",
                                      .longest_hold_ms = 3000};
    struct virtual_sum *sum = virtual_create(&options, NULL);
    struct virtual_interval interval;
    for (int64_t t = 0; t < 2; t++) {
        virtual_member(sum, 0, t, true, 0, 5000000 + t * 700000, 0);
        assert_true(virtual_advance(sum, t, &interval));
    }
    struct energy_state state = *virtual_state(sum);
    assert_int_equal(state.imported, 700);
    virtual_free(sum);
    for (int other = 0; other < 2; other++) {
        options.definition = other ? "solar/a" : "house/a";
        sum = virtual_create(&options, &state);
        virtual_member(sum, 0, 9, true, 0, 9000000, 0);
        assert_true(virtual_advance(sum, 9, &interval));
        assert_int_equal(interval.imported_counts, other ? 0 : 3300);
        assert_int_equal(virtual_state(sum)->imported, other ? 700 : 4000);
        virtual_free(sum);
    }
}

static void test_damaged_states(void **unused)
{
    (void)unused;
    static const char *const texts[] = {"", "v", "v00000000 ", "0f0f0f0f-1111-2222",
                                        "v00000000 99999999999999999999"};
    static const int signs[] = {1};
    const struct virtual_options options = {
        .member_count = 1, .signs = signs, .definition = "d", .longest_hold_ms = 1};
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct energy_state state = {.known = true, .counter = 77, .imported = -5, .exported = 6};
        (void)snprintf(state.boot_id, sizeof state.boot_id, "%s", texts[i]);
        struct virtual_sum *sum = virtual_create(&options, &state);
        struct virtual_interval interval;
        virtual_member(sum, 0, 0, true, 0, 9000000, 0);
        assert_true(virtual_advance(sum, 0, &interval));
        assert_int_equal(interval.imported_counts, 0);
        assert_int_equal(virtual_state(sum)->exported, 6);
        virtual_free(sum);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_intervals),
        cmocka_unit_test(test_random_worlds),
        cmocka_unit_test(test_against_the_true_sum),
        cmocka_unit_test(test_a_missing_member_is_one_interval),
        cmocka_unit_test(test_another_definition_begins_anew),
        cmocka_unit_test(test_damaged_states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
