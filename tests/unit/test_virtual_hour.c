/* SPDX-License-Identifier: MIT */
/*
 * An hour of two lines under a virtual clock: simulated chips that speak bytes, the driver's real
 * session, the real meters, with every fault at random: junk, flips (also such that the checksum still
 * fits), truncation, silence, late answers, chip resets, a counter wrap, unplugged adapters, and the
 * service killed and started again from what was committed. Seeded; the seed is printed.
 *
 * Judged against what the chips really counted:
 *   - no phantom energy: a total never exceeds the truth, at no moment (but two misread counters in a
 *     row that fit each other, the load and the checksum: energy.h promises for one);
 *   - no published total (of committed states, in the published resolution) ever goes down;
 *   - at the end it equals the truth to the count, except what was counted around a chip reset: from
 *     the last reading that is credited in the total the service goes on from, up to the reset. Of two
 *     resets within the pause between hurried commits a kill may cost what was counted between them.
 *
 * TEST_SEED repeats one history, TEST_HOURS runs more of them.
 */
#include "random_helper.h"

#include "bridge/meter/meter.h"
#include "drivers/base/number.h"
#include "drivers/bl0942/session.h"
#include "drivers/simulator/chip.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define HOUR_MS INT64_C(3600000)
#define WALL_MS INT64_C(1795000000000)
#define COMMIT_MS 5000
#define FLUSH_PAUSE_MS 5000
#define LINES 2
#define HEARD_MS 4096 /* a packet is reported within this time */

static const struct calibration board = {15883.34, 128118.87, 317.931};

/* ---- One line: chip, wire, session, meter ---- */

struct tally {
    unsigned kills, unplugs, resets, wraps, glitches, rejected, restarts_seen, readings, answers,
        faults, misread_pairs, hurried, paused;
    int64_t truth, counted, lost, allowed, unread;
};

/* What the chip had really counted when it put an answer together that was received at at_ms. */
struct received {
    int64_t at_ms, counts, counter;
};

/* A reading, on the scale of the true counts. */
struct reported {
    int64_t boot_ms;
    int64_t truth;      /* what the chip had counted when it took this reading */
    int64_t by_counter; /* ... by the counter as it arrived; something else if that is misread */
};

struct line {
    struct chip *chip;
    struct bl0942_session *session;
    struct meter *meter;
    bool plugged;
    uint32_t host_baud;
    struct energy_state committed;
    bool ever_committed;
    int64_t published_mwh[2]; /* maximum so far, as the three decimals of a kWh */
    int64_t base_truth;       /* the chip's true count when the channel was first seen */
    bool seen, received_any;
    int64_t first_truth;    /* the true count at the first reading of all */
    struct reported last;   /* the last reading handed over */
    int64_t truth_credited; /* up to where its total contains what the chip counted */
    int64_t truth_reset;    /* true count at the last chip reset */
    int64_t allowed_loss;   /* each count around a reset once */
    int64_t allowed_phantom;
    int64_t committed_until; /* truth up to which the last commit contains it or has it excused */
    int64_t committed_credited, committed_allowed;
    struct received received[HEARD_MS];
    int64_t now_ms, flush_after_ms;
    bool paused; /* a restart is not committed yet, because one just was */
    struct tally *tally;
};

static int64_t true_count(struct line *line)
{
    struct chip_truth truth;
    chip_truth(line->chip, line->now_ms * 1000, &truth);
    return (int64_t)(truth.counts_imported + truth.counts_exported);
}

static int64_t greater(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void note_received(struct line *line)
{
    struct chip_truth truth;
    chip_truth(line->chip, line->now_ms * 1000, &truth);
    line->received[line->now_ms % HEARD_MS] =
        (struct received){line->now_ms, (int64_t)truth.answer_counts, truth.answer_counter};
}

/* The counter of a reading may be misread by so little that it looks true; so the chip is asked. */
static struct reported told_by(const struct line *line, const struct reading *reading)
{
    const struct received *received = &line->received[reading->boot_ms % HEARD_MS];
    assert_true(received->at_ms == reading->boot_ms);
    return (struct reported){reading->boot_ms, received->counts,
                             received->counts + reading->energy - received->counter};
}

static bool misread(const struct reported *reported)
{
    return reported->by_counter != reported->truth;
}

static int64_t counted(const struct energy_state *state)
{
    return state->imported + state->exported;
}

static void commit(struct line *line);

/* As the service does: a kill must not find a baseline from before a restart. */
static void flush_commit(struct line *line)
{
    line->paused = line->now_ms < line->flush_after_ms;
    if (line->paused)
        return;
    line->flush_after_ms = line->now_ms + FLUSH_PAUSE_MS;
    line->tally->hurried++;
    commit(line);
}

static void on_reading(void *context, unsigned channel, const struct reading *reading)
{
    (void)channel;
    struct line *line = context;
    struct meter_result result;
    int64_t before = counted(meter_state(line->meter));
    meter_accept(line->meter, reading, &result);
    int64_t total = counted(meter_state(line->meter));
    line->tally->readings++;
    bool restart = false;
    for (size_t i = 0; i < result.event_count; i++) {
        restart = restart || result.events[i].kind == METER_EVENT_COUNTER_RESET;
        line->tally->wraps += result.events[i].kind == METER_EVENT_COUNTER_WRAPPED;
        line->tally->glitches += result.events[i].kind == METER_EVENT_GLITCH_DROPPED;
        line->tally->rejected += result.events[i].kind == METER_EVENT_STEP_REJECTED;
        line->tally->restarts_seen += result.events[i].kind == METER_EVENT_COUNTER_RESET;
    }
    assert_true(total >= before);
    struct reported reported = told_by(line, reading);
    const struct energy_state *state = meter_state(line->meter);
    if (!line->received_any)
        line->first_truth = reported.truth;
    line->received_any = true;
    if (state->known && !line->seen) { /* the reading before is the base, less what it credited */
        line->base_truth = line->last.by_counter - total;
        if (line->base_truth < line->first_truth)
            fail_msg("phantom energy at first contact: %" PRId64 " counts",
                     line->first_truth - line->base_truth);
    }
    line->seen = state->known;
    if (state->known && state->counter_boot_ms == line->last.boot_ms) /* it became the baseline */
        line->truth_credited = line->last.by_counter;
    int64_t phantom = line->seen ? total - (reported.truth - line->base_truth) : 0;
    if (total != before && misread(&line->last) && misread(&reported) &&
        phantom > line->allowed_phantom) {
        line->allowed_phantom = phantom;
        line->tally->misread_pairs++;
    }
    if (phantom > line->allowed_phantom)
        fail_msg("phantom energy: %" PRId64 " counted, %" PRId64 " true", total, total - phantom);
    line->last = reported;
    if (restart || result.restart_noted)
        flush_commit(line);
}

static void on_availability(void *context, unsigned channel, bool online, const char *reason)
{
    (void)context;
    (void)channel;
    assert_true(online || strlen(reason) > 10);
}

static void on_event(void *context, unsigned channel, enum driver_event event, const char *message)
{
    struct line *line = context;
    (void)channel;
    assert_true(strlen(message) > 10);
    if (event != DRIVER_CHIP_RESET && event != DRIVER_CHIP_BEGAN)
        return;
    meter_restarted(line->meter);
    flush_commit(line);
}

/* What the service does at start: everything in memory is new, the totals are those committed. */
static void start_service(struct line *line)
{
    const struct bl0942_session_options options = {
        .name = "virtual",
        .baud = 4800,
        .chip_count = 1,
        .chips = {{.channel = 0, .address = 0, .interval_ms = 1000, .mains_hz = 50, .creep = -1}},
    };
    const struct driver_sink sink = {line, on_reading, on_availability, on_event};
    const struct meter_options meter = {
        .kind = READING_BL0942,
        .calibration = board,
        .mains_frequency_hz = 50,
        .mains_voltage_v = 230,
        .max_current_a = 80,
        .boot_id = "0f0f0f0f-1111-2222-3333-444444444444",
    };
    bl0942_session_free(line->session);
    meter_free(line->meter);
    line->session = bl0942_session_create(&options, &sink);
    line->meter = meter_create(&meter, line->ever_committed ? &line->committed : NULL);
    line->host_baud = 4800;
    line->flush_after_ms = 0;
    bl0942_session_open(line->session, line->now_ms);
}

static void commit(struct line *line)
{
    line->paused = false;
    line->committed = *meter_state(line->meter);
    line->ever_committed = line->committed.known;
    line->committed_credited = line->truth_credited;
    line->committed_until = greater(line->truth_credited, line->truth_reset);
    line->committed_allowed = line->allowed_loss;
    int64_t uwh[2];
    energy_totals_uwh(&line->committed, &board, READING_BL0942, &uwh[0], &uwh[1]);
    for (int i = 0; i < 2; i++) {
        int64_t mwh = uwh[i] / 1000000; /* three decimals of a kilowatt hour, rounded down */
        if (mwh < line->published_mwh[i])
            fail_msg("a published total fell from %" PRId64 " to %" PRId64 " Wh",
                     line->published_mwh[i], mwh);
        line->published_mwh[i] = mwh;
    }
}

/* A restart of the chip may cost what it counted since the last reading that was credited. */
static void reset_chip(struct line *line)
{
    int64_t truth = true_count(line);
    if (line->seen) {
        int64_t from = greater(line->truth_credited, line->truth_reset);
        line->allowed_loss += greater(truth - from, 0);
        line->tally->unread += truth - greater(line->last.truth, line->truth_reset);
    }
    line->truth_reset = truth;
    chip_reset(line->chip, line->now_ms * 1000);
    line->tally->resets++;
}

/*
 * kill -9: what was not committed is gone. The chip tells it again, unless it was reset since the
 * commit: then the readings credited between commit and reset are lost to memory and to the chip. No
 * accounting can bring them back; that is the one case in which a kill costs energy.
 */
static void kill_service(struct line *line)
{
    line->tally->kills++;
    line->truth_credited = line->committed_credited;
    line->allowed_loss =
        line->committed_allowed + greater(line->truth_reset - line->committed_until, 0);
    if (line->paused &&
        line->committed.counter >
            0) { /* the baseline, a small one, may seem to be passed: then its value is missing */
        assert_in_range(line->committed.counter, 0, 5000);
        line->allowed_loss += line->committed.counter;
        line->tally->paused++;
        line->paused = false;
    }
    start_service(line);
}

static void do_action(struct line *line, const struct bl0942_action *action)
{
    switch (action->kind) {
    case BL0942_SEND:
        if (line->plugged)
            chip_receive(line->chip, line->now_ms * 1000, line->host_baud, action->bytes,
                         action->length);
        break;
    case BL0942_SET_BAUD:
        line->host_baud = action->baud;
        break;
    case BL0942_BREAK_ON:
        if (line->plugged)
            chip_break(line->chip, line->now_ms * 1000);
        break;
    case BL0942_BREAK_OFF:
    case BL0942_WAIT:
        break;
    }
}

/* Everything that is due in this millisecond; returns when there is something to do next. */
static int64_t step(struct line *line, int64_t now_ms)
{
    line->now_ms = now_ms;
    if (!line->plugged)
        return INT64_MAX;
    uint8_t bytes[64];
    size_t length = chip_transmit(line->chip, now_ms * 1000, bytes, sizeof bytes);
    if (length > 0) {
        note_received(line);
        bl0942_session_receive(line->session, now_ms, WALL_MS + now_ms, bytes, length);
    }
    struct bl0942_action action;
    do {
        bl0942_session_next(line->session, now_ms, &action);
        do_action(line, &action);
    } while (action.kind != BL0942_WAIT);
    int64_t byte_us = chip_next_us(line->chip);
    int64_t byte_ms = byte_us == INT64_MAX ? INT64_MAX : byte_us / 1000 + 1;
    int64_t next = byte_ms < action.until_ms ? byte_ms : action.until_ms;
    return next > now_ms ? next : now_ms + 1;
}

/* ---- The hour ---- */

static void new_load(struct line *line, uint64_t *dice, bool solar)
{
    struct chip_load load = {.voltage_v = 225 + 12 * fraction(dice), .frequency_hz = 50};
    load.current_a = 1 + 75 * fraction(dice);
    double factor = 0.5 + 0.5 * fraction(dice);
    load.power_w =
        load.voltage_v * load.current_a * factor * (solar && dice_next(dice) % 2 ? -1 : 1);
    if (dice_next(dice) % 6 == 0)
        load.current_a = load.power_w = 0;
    chip_set_load(line->chip, line->now_ms * 1000, &load);
}

static void new_faults(struct line *line, uint64_t *dice)
{
    /* Calm and storm by turns; in a storm a third of all answers is damaged somehow. */
    double storm = dice_next(dice) % 3 == 0 ? 0.05 : 0.005;
    const struct chip_faults faults = {
        .junk_before = storm,
        .bit_flip = storm,
        .double_flip = storm,
        .truncate = storm,
        .silence = storm,
        .late = storm / 2,
    };
    chip_set_faults(line->chip, &faults);
}

/* The seconds behind a reset are the ones in which a kill might make it forgotten. */
static void reset_chip_and_perhaps_kill(struct line *line, uint64_t *dice, int64_t *kill_at)
{
    reset_chip(line);
    if (dice_next(dice) % 2 == 0)
        *kill_at = line->now_ms + between(dice, 50, 3500);
}

static void disturb(struct line *line, uint64_t *dice, int64_t *plug_at, int64_t *kill_at)
{
    switch (dice_next(dice) % 8) {
    case 0:
        reset_chip_and_perhaps_kill(line, dice, kill_at);
        break;
    case 1:
    case 2:
        kill_service(line);
        break;
    case 3: /* the adapter is pulled for up to two minutes; the chip goes on counting */
        line->tally->unplugs++;
        line->plugged = false;
        bl0942_session_gone(line->session, line->now_ms, "The adapter was unplugged.");
        *plug_at = line->now_ms + between(dice, 500, 120000);
        break;
    default:
        new_faults(line, dice);
        break;
    }
}

static void run_hour(uint64_t seed, struct tally *tally)
{
    uint64_t dice = seed;
    struct line lines[LINES] = {0};
    int64_t disturb_at[LINES], load_at[LINES], plug_at[LINES], kill_at[LINES];
    int64_t commit_at = COMMIT_MS;
    bool resets_near_top = dice_next(&dice) % 2 == 0;
    for (int i = 0; i < LINES; i++) {
        const struct chip_options options = {
            .pin_baud = 4800,
            .counts_per_volt = board.voltage,
            .counts_per_ampere = board.current,
            .counts_per_watt = board.power,
            .first_count = (uint32_t)(i == 0 ? 0xFFFFFF - between(&dice, 20, 400) : 0x800000),
            .noise = 0.0005,
            .seed = dice_next(&dice),
        };
        lines[i].chip = chip_create(&options, 0);
        lines[i].plugged = true;
        lines[i].tally = tally;
        new_load(&lines[i], &dice, i == 1);
        start_service(&lines[i]);
        disturb_at[i] = 20000;
        load_at[i] = 30000;
        plug_at[i] = 0;
        kill_at[i] = INT64_MAX;
    }
    for (int64_t now = 0; now < HOUR_MS;) {
        int64_t next = now + 1000;
        if (now >= commit_at) {
            commit_at += COMMIT_MS;
            for (int i = 0; i < LINES; i++)
                commit(&lines[i]);
        }
        for (int i = 0; i < LINES; i++) {
            int64_t due = step(&lines[i], now);
            next = due < next ? due : next;
            if (!lines[i].plugged && now >= plug_at[i]) {
                lines[i].plugged = true;
                lines[i].host_baud = 4800;
                bl0942_session_open(lines[i].session, now);
            }
            if (now >= load_at[i]) {
                new_load(&lines[i], &dice, i == 1);
                load_at[i] = now + between(&dice, 2000, 60000);
            }
            if (now >= kill_at[i] && lines[i].plugged) {
                kill_service(&lines[i]);
                kill_at[i] = INT64_MAX;
            }
            if (now >= disturb_at[i] && lines[i].plugged && now < HOUR_MS - 180000) {
                if (i == 0 && resets_near_top)
                    reset_chip_and_perhaps_kill(&lines[i], &dice, &kill_at[i]);
                else
                    disturb(&lines[i], &dice, &plug_at[i], &kill_at[i]);
                resets_near_top = resets_near_top && i != 0;
                disturb_at[i] = now + between(&dice, 3000, 60000);
            }
            if (now >= HOUR_MS - 30000) { /* quiet at the end, so that everything can be credited */
                const struct chip_faults none = {0};
                const struct chip_load idle = {.voltage_v = 230, .frequency_hz = 50};
                chip_set_faults(lines[i].chip, &none);
                chip_set_load(lines[i].chip, now * 1000, &idle);
                load_at[i] = INT64_MAX;
            }
        }
        now = next;
    }
    for (int i = 0; i < LINES; i++) {
        struct line *line = &lines[i];
        commit(line);
        struct chip_truth truth;
        chip_truth(line->chip, line->now_ms * 1000, &truth);
        int64_t should = true_count(line) - line->base_truth;
        int64_t is = counted(&line->committed);
        tally->truth += should;
        tally->counted += is;
        tally->lost += should - is;
        tally->allowed += line->allowed_loss;
        tally->answers += truth.answers;
        tally->faults += truth.faults;
        if (is > should + line->allowed_phantom || should - is > line->allowed_loss)
            fail_msg("line %d of seed %" PRIu64 ": %" PRId64 " counted of %" PRId64
                     "; a loss of %" PRId64 " could be excused by chip resets",
                     i, seed, is, should, line->allowed_loss);
        bl0942_session_free(line->session);
        meter_free(line->meter);
        chip_free(line->chip);
    }
}

static void test_virtual_hours(void **unused)
{
    (void)unused;
    uint64_t seed = test_seed();
    int64_t hours = test_setting("TEST_HOURS", 4);
    struct tally tally = {0};
    for (int64_t i = 0; i < hours; i++)
        run_hour(seed + (uint64_t)i, &tally);
    printf(
        "figure: virtual hours: %u readings, %u answers, %u of them faulty; %u kills, %u unplugs, "
        "%u chip resets (%u seen), %u wraps, %u glitches dropped, %u steps rejected, %u pairs of "
        "counters misread alike, %u restarts stored at once, %u kills before one was\n",
        tally.readings, tally.answers, tally.faults, tally.kills, tally.unplugs, tally.resets,
        tally.restarts_seen, tally.wraps, tally.glitches, tally.rejected, tally.misread_pairs,
        tally.hurried, tally.paused);
    printf("figure: virtual hours: %" PRId64 " counts true, %" PRId64 " counted, %" PRId64
           " lost around chip resets (%" PRId64 " since the last credited reading, %" PRId64
           " since the last one read), 0 phantom\n",
           tally.truth, tally.counted, tally.lost, tally.allowed, tally.unread);
    assert_true(tally.resets > 0 && tally.kills > 0 && tally.unplugs > 0 && tally.faults > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_virtual_hours)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
