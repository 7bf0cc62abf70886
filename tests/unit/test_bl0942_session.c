/* SPDX-License-Identifier: MIT */
/*
 * drivers/bl0942/session under a virtual clock, against a small scripted peer: bytes with their
 * time on the wire, chips that can be silent, late, damaged, at another baud rate, or restart. The
 * peer itself fails the test when requests overlap or come too soon after another chip's answer.
 */
#include "random_helper.h"

#include "drivers/base/text.h"
#include "drivers/bl0942/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define WALL_OFFSET 1700000000000 /* wall clock minus boot clock */
#define US 1000

/* ------------------------------------------------------------------ the peer */

enum fault {
    FAULT_NONE,
    FAULT_SILENT,
    FAULT_DAMAGED,       /* one bit flipped */
    FAULT_TRUNCATED,     /* all but the last five bytes of a packet, two of a reply */
    FAULT_JUNK,          /* 01 F0 00 in front */
    FAULT_LATE,          /* the adapter keeps it, and all behind it, for 300 ms */
    FAULT_WRONG_ADDRESS, /* as if the next chip had answered */
    FAULT_COUNT
};

struct peer_chip {
    bool present;
    unsigned address;
    uint32_t baud, pin_baud;
    uint32_t mode, creep;
    bool unlocked, stubborn;
    uint32_t energy;
    unsigned restarts;
    unsigned packets; /* asked for */
};

struct wire_byte {
    int64_t at_us;
    uint8_t byte;
};

struct peer {
    struct bl0942_session *session;
    int64_t now_ms;
    uint32_t baud;
    struct peer_chip chips[4];
    size_t chip_count;
    struct wire_byte queue[512];
    size_t queued;
    int64_t pipe_us;           /* when the last byte leaves the adapter */
    int64_t chip_talked_us[4]; /* end of its last answer */
    int64_t host_talked_us;    /* end of the last request */
    unsigned last_asked;
    bool break_on;
    int64_t break_since_ms;
    unsigned breaks;
    enum fault (*fault)(struct peer *peer, unsigned chip, bool packet);
    void (*before_answer)(struct peer *peer, unsigned chip, bool packet);
    uint64_t random;
    char trace[4096];
    struct text log; /* "@0 break, @12 end, @33 > 58 19" */
    bool tracing;

    struct {
        struct reading reading;
        unsigned channel;
        int64_t at_ms;
    } readings[512];
    size_t reading_count; /* of all; the last ones are kept, as a ring */
    bool online[4], known[4];
    unsigned edges[4];
    char reason[4][320];
    unsigned events[8];
    char event_text[8][320];
    void (*on_reading)(struct peer *peer, unsigned channel, const struct reading *reading);
    int64_t last_energy[4];
    int64_t last_epoch[4];
};

static uint8_t sum(unsigned start, const uint8_t *bytes, size_t length)
{
    while (length-- > 0)
        start += *bytes++;
    return (uint8_t)~start;
}

static int64_t wire_us(const struct peer *peer, size_t bytes)
{
    return (int64_t)bytes * 10 * 1000000 / peer->baud;
}

static void restart_chip(struct peer_chip *chip)
{
    chip->mode = 0x87;
    chip->creep = 0x0B;
    chip->unlocked = false;
    chip->energy = 0;
    chip->baud = chip->pin_baud;
    chip->restarts++;
}

static void answer(struct peer *peer, unsigned index, uint8_t *bytes, size_t length,
                   enum fault fault)
{
    if (fault == FAULT_SILENT)
        return;
    int64_t at = peer->host_talked_us + 104;
    uint8_t sent[32];
    size_t count = 0;
    if (fault == FAULT_JUNK) {
        memcpy(sent, (const uint8_t[]){0x01, 0xF0, 0x00}, 3);
        count = 3;
    }
    if (fault == FAULT_DAMAGED)
        bytes[length / 2] ^= 0x10;
    if (fault == FAULT_WRONG_ADDRESS)
        bytes[length - 1]--;
    if (fault == FAULT_TRUNCATED)
        length -= length > 4 ? 5 : 2;
    memcpy(sent + count, bytes, length);
    count += length;
    for (size_t i = 0; i < count; i++) {
        assert_true(peer->queued < sizeof peer->queue / sizeof peer->queue[0]);
        at += wire_us(peer, 1);
        int64_t arrives = fault == FAULT_LATE ? at + 300 * US : at;
        peer->pipe_us = arrives > peer->pipe_us ? arrives : peer->pipe_us;
        peer->queue[peer->queued++] = (struct wire_byte){peer->pipe_us, sent[i]};
    }
    peer->chip_talked_us[index] = at;
}

static void answer_read(struct peer *peer, unsigned index, unsigned reg)
{
    struct peer_chip *chip = &peer->chips[index];
    bool packet = reg == 0xAA;
    if (peer->before_answer != NULL)
        peer->before_answer(peer, index, packet);
    if (chip->baud != peer->baud)
        return; /* it restarted at another rate */
    enum fault fault = peer->fault != NULL ? peer->fault(peer, index, packet) : FAULT_NONE;
    unsigned command = 0x58 | chip->address;
    if (!packet) {
        uint32_t value = reg == 0x19 ? chip->mode : chip->creep;
        uint8_t reply[4] = {(uint8_t)value, (uint8_t)(value >> 8), 0, 0};
        reply[3] = sum(command + reg, reply, 3);
        answer(peer, index, reply, sizeof reply, fault);
        return;
    }
    chip->packets++;
    uint8_t bytes[23] = {0x55};
    for (size_t i = 1; i < 13; i++)
        bytes[i] = (uint8_t)dice_next(&peer->random);
    bytes[4] = (uint8_t)chip->restarts; /* V_RMS tells the test in which life it was measured */
    bytes[5] = (uint8_t)(chip->restarts >> 8);
    bytes[6] = 0;
    bytes[13] = (uint8_t)chip->energy;
    bytes[14] = (uint8_t)(chip->energy >> 8);
    bytes[15] = (uint8_t)(chip->energy >> 16);
    bytes[16] = 0x20;
    bytes[17] = 0x4E;
    bytes[22] = sum(command, bytes, 22);
    answer(peer, index, bytes, sizeof bytes, fault);
}

static void take_write(struct peer_chip *chip, const uint8_t *bytes)
{
    assert_int_equal(bytes[5], sum(0, bytes, 5));
    assert_int_not_equal(bytes[1], 0x1C); /* SOFT_RESET: never */
    uint32_t value = bytes[2] | (uint32_t)bytes[3] << 8;
    if (bytes[1] == 0x1D)
        chip->unlocked = value == 0x55;
    else if (!chip->unlocked || chip->stubborn)
        return;
    else if (bytes[1] == 0x19)
        chip->mode = value;
    else if (bytes[1] == 0x14)
        chip->creep = value;
    assert_false(bytes[1] == 0x19 && (value & 0x40) != 0); /* clear-on-read: never */
}

static void check_line_is_free(const struct peer *peer, unsigned asked)
{
    int64_t now_us = peer->now_ms * US;
    assert_false(peer->break_on);
    if (now_us < peer->host_talked_us)
        fail_msg("@%lld: a request while the last one is on the wire", (long long)peer->now_ms);
    for (unsigned i = 0; i < peer->chip_count; i++) {
        int64_t talked = peer->chip_talked_us[i];
        int64_t guard = peer->chips[i].address == asked ? 0 : 20 * US;
        if (talked > 0 && now_us < talked + guard)
            fail_msg("@%lld: chip %u is asked %lld us after the end of an answer of chip %u",
                     (long long)peer->now_ms, asked, (long long)(now_us - talked), i);
    }
}

static void take_request(struct peer *peer, const uint8_t *bytes, size_t length)
{
    unsigned address = bytes[0] & 3;
    check_line_is_free(peer, address);
    int64_t now_us = peer->now_ms * US;
    if (address != peer->last_asked)
        assert_true(now_us >= peer->host_talked_us + 20 * US || peer->host_talked_us == 0);
    peer->last_asked = address;
    peer->host_talked_us = now_us + wire_us(peer, length);
    for (unsigned i = 0; i < peer->chip_count; i++) {
        struct peer_chip *chip = &peer->chips[i];
        if (!chip->present || chip->address != address || chip->baud != peer->baud)
            continue;
        if (length == 2)
            answer_read(peer, i, bytes[1]);
        else
            take_write(chip, bytes);
    }
}

static void note(struct peer *peer, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(struct peer *peer, const char *format, ...)
{
    if (!peer->tracing)
        return;
    char words[128];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    text_append(&peer->log, "%s@%lld %s", peer->log.length > 0 ? ", " : "", (long long)peer->now_ms,
                words);
}

static void obey(struct peer *peer, const struct bl0942_action *action)
{
    char hex[32];
    struct text text;
    switch (action->kind) {
    case BL0942_BREAK_ON:
        note(peer, "break");
        peer->break_on = true;
        peer->break_since_ms = peer->now_ms;
        peer->breaks++;
        break;
    case BL0942_BREAK_OFF:
        note(peer, "end");
        assert_true(peer->now_ms - peer->break_since_ms >= 8); /* > 32 bits at 4800 baud: 6.9 ms */
        peer->break_on = false;
        peer->host_talked_us = peer->now_ms * US;
        break;
    case BL0942_SET_BAUD:
        note(peer, "%u baud", action->baud);
        peer->baud = action->baud;
        break;
    case BL0942_SEND:
        text_init(&text, hex, sizeof hex);
        for (size_t i = 0; i < action->length; i++)
            text_append(&text, " %02X", action->bytes[i]);
        note(peer, ">%s", hex);
        take_request(peer, action->bytes, action->length);
        break;
    case BL0942_WAIT:
        break;
    }
}

static void deliver_bytes(struct peer *peer)
{
    while (peer->queued > 0 && peer->queue[0].at_us <= peer->now_ms * US) {
        uint8_t byte = peer->queue[0].byte;
        memmove(peer->queue, peer->queue + 1, --peer->queued * sizeof peer->queue[0]);
        bl0942_session_receive(peer->session, peer->now_ms, peer->now_ms + WALL_OFFSET, &byte, 1);
    }
}

static int64_t next_byte_ms(const struct peer *peer)
{
    return peer->queued > 0 ? (peer->queue[0].at_us + US - 1) / US : INT64_MAX;
}

static void run_until(struct peer *peer, int64_t end_ms)
{
    while (peer->now_ms < end_ms) {
        deliver_bytes(peer);
        struct bl0942_action action;
        unsigned actions = 0;
        do {
            bl0942_session_next(peer->session, peer->now_ms, &action);
            obey(peer, &action);
            assert_true(++actions < 20); /* it comes to rest */
        } while (action.kind != BL0942_WAIT);
        if (action.until_ms <= peer->now_ms)
            fail_msg("@%lld: told to wait until %lld", (long long)peer->now_ms,
                     (long long)action.until_ms);
        int64_t next = action.until_ms;
        if (next_byte_ms(peer) < next)
            next = next_byte_ms(peer);
        peer->now_ms = next < end_ms ? next : end_ms;
    }
    deliver_bytes(peer);
}

/* ------------------------------------------------------------------ the sink */

static void on_reading(void *context, unsigned channel, const struct reading *reading)
{
    struct peer *peer = context;
    assert_true(peer->online[channel]);
    assert_int_equal(reading->wall_ms, reading->boot_ms + WALL_OFFSET);
    size_t at = peer->reading_count++ % (sizeof peer->readings / sizeof peer->readings[0]);
    peer->readings[at].reading = *reading;
    peer->readings[at].channel = channel;
    peer->readings[at].at_ms = peer->now_ms;
    if (peer->on_reading != NULL)
        peer->on_reading(peer, channel, reading);
}

static void on_availability(void *context, unsigned channel, bool online, const char *reason)
{
    struct peer *peer = context;
    assert_true(!peer->known[channel] || peer->online[channel] != online);
    assert_int_equal(online, reason[0] == '\0');
    peer->known[channel] = true;
    peer->online[channel] = online;
    peer->edges[channel]++;
    (void)snprintf(peer->reason[channel], sizeof peer->reason[channel], "%s", reason);
}

static void on_event(void *context, unsigned channel, enum driver_event event, const char *message)
{
    struct peer *peer = context;
    (void)channel;
    assert_string_not_equal(message, "");
    peer->events[event]++;
    (void)snprintf(peer->event_text[event], sizeof peer->event_text[event], "%s", message);
}

/* ------------------------------------------------------------------ set-up of the tests */

static struct bl0942_session_options options_for(size_t chips)
{
    struct bl0942_session_options options = {.name = "line", .baud = 4800, .chip_count = chips};
    for (unsigned i = 0; i < chips; i++)
        options.chips[i] = (struct bl0942_chip_options){
            .channel = i, .address = i, .interval_ms = 1000, .mains_hz = 50, .creep = -1};
    return options;
}

static struct peer *new_peer(const struct bl0942_session_options *options)
{
    struct peer *peer = calloc(1, sizeof *peer);
    struct driver_sink sink = {peer, on_reading, on_availability, on_event};
    peer->session = bl0942_session_create(options, &sink);
    peer->baud = options->baud;
    peer->chip_count = options->chip_count;
    peer->random = 88172645463325252u;
    text_init(&peer->log, peer->trace, sizeof peer->trace);
    for (size_t i = 0; i < options->chip_count; i++)
        peer->chips[i] = (struct peer_chip){.present = true,
                                            .address = options->chips[i].address,
                                            .baud = options->baud,
                                            .pin_baud = options->baud,
                                            .mode = 0x87,
                                            .creep = 0x0B,
                                            .energy = 5000};
    return peer;
}

static struct peer *start(const struct bl0942_session_options *options)
{
    struct peer *peer = new_peer(options);
    bl0942_session_open(peer->session, 0);
    return peer;
}

static void finish(struct peer *peer)
{
    bl0942_session_free(peer->session);
    free(peer);
}

static const struct reading *last_reading(const struct peer *peer)
{
    assert_true(peer->reading_count > 0);
    return &peer->readings[(peer->reading_count - 1) % 512].reading;
}

static struct driver_statistics statistics(const struct peer *peer, unsigned channel)
{
    struct driver_statistics result;
    assert_true(bl0942_session_statistics(peer->session, channel, &result));
    return result;
}

/* ------------------------------------------------------------------ the tests */

static void test_start_of_a_new_chip(void **unused)
{
    (void)unused;
    struct bl0942_session_options options = options_for(1);
    struct peer *peer = new_peer(&options);
    peer->tracing = true;
    bl0942_session_open(peer->session, 0);
    run_until(peer, 400);
    assert_int_equal(peer->events[DRIVER_CHIP_BEGAN], 1);
    assert_int_equal(peer->chips[0].mode, 0x87); /* what was told can still be seen */
    run_until(peer, 900);
    assert_string_equal(peer->trace,
                        "@21 break, @33 end, "
                        "@54 > 58 19, @67 > 58 19, "   /* MODE is odd, so it is asked twice */
                        "@580 > A8 1D 55 00 00 E5, "   /* unlock */
                        "@598 > A8 19 8F 00 00 AF, "   /* 800 ms, absolute, 50 Hz */
                        "@616 > 58 19, "               /* read back */
                        "@629 > A8 1D 00 00 00 3A, "   /* lock */
                        "@647 > 58 AA, @700 > 58 AA, " /* the first one to compare with */
                        "@753 > 58 19");               /* and MODE before the first reading */
    assert_int_equal(peer->reading_count, 1);
    const struct reading *reading = last_reading(peer);
    assert_int_equal(reading->boot_ms, 753);
    assert_int_equal(reading->present, READING_ALL);
    assert_int_equal(reading->energy, 5000);
    assert_int_equal(reading->flags, READING_CHIP_RESET); /* it has not had our settings */
    assert_int_equal(statistics(peer, 0).chip_resets, 0);
    assert_int_equal(peer->events[DRIVER_CHIP_RESET], 0);
    assert_false(peer->chips[0].unlocked);
    finish(peer);
}

static void test_start_with_all_settings(void **unused)
{
    (void)unused;
    struct bl0942_session_options options = options_for(1);
    options.chips[0].address = 2;
    options.chips[0].mains_hz = 60;
    options.chips[0].creep = 0x33;
    options.baud = 9600;
    struct peer *peer = new_peer(&options);
    peer->tracing = true;
    bl0942_session_open(peer->session, 0);
    run_until(peer, 900);
    assert_string_equal(peer->trace, "@21 break, @33 end, "
                                     "@54 > 5A 19, @61 > 5A 19, "
                                     "@568 > AA 1D 55 00 00 E3, "
                                     "@580 > AA 19 AF 00 00 8D, "
                                     "@592 > AA 14 33 00 00 0E, "
                                     "@604 > 5A 19, @611 > 5A 14, "
                                     "@618 > AA 1D 00 00 00 38, "
                                     "@630 > 5A AA, @657 > 5A AA, @684 > 5A 19");
    assert_int_equal(peer->chips[0].mode, 0xAF);
    assert_int_equal(peer->chips[0].creep, 0x33);
    finish(peer);
}

static void test_start_of_a_chip_that_has_its_settings(void **unused)
{
    (void)unused;
    struct bl0942_session_options options = options_for(1);
    struct peer *peer = new_peer(&options);
    peer->chips[0].mode = 0x8F;
    peer->tracing = true;
    bl0942_session_open(peer->session, 0);
    run_until(peer, 2300);
    assert_string_equal(peer->trace, "@21 break, @33 end, @54 > 58 19, "
                                     "@67 > 58 AA, @120 > 58 AA, @173 > 58 19, "
                                     "@1067 > 58 AA, @2067 > 58 AA"); /* the grid does not drift */
    assert_int_equal(peer->reading_count, 3);
    assert_int_equal(peer->readings[0].reading.flags, 0); /* its counter goes on */
    finish(peer);
}

static void test_baud_rates_are_tried(void **unused)
{
    (void)unused;
    static const struct {
        uint32_t baud, mode;
    } table[] = {{9600, 0x8F}, {19200, 0x28F}, {38400, 0x38F}};
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct bl0942_session_options options = options_for(1);
        struct peer *peer = new_peer(&options);
        peer->chips[0].baud = table[i].baud;
        bl0942_session_open(peer->session, 0);
        run_until(peer, 1500);
        assert_true(peer->online[0]);
        assert_int_equal(peer->chips[0].mode, table[i].mode); /* the rate bits as they must be */
        assert_int_equal(peer->events[DRIVER_CHIP_CHANGED], 1);
        char rate[16];
        snprintf(rate, sizeof rate, "%u", table[i].baud);
        assert_non_null(strstr(peer->event_text[DRIVER_CHIP_CHANGED], rate));
        finish(peer);
    }
}

static void test_nobody_there(void **unused)
{
    (void)unused;
    struct bl0942_session_options options = options_for(1);
    struct peer *peer = new_peer(&options);
    peer->chips[0].present = false;
    peer->tracing = true;
    bl0942_session_open(peer->session, 0);
    run_until(peer, 1000);
    assert_string_equal(
        peer->trace, "@21 break, @33 end, @54 > 58 19, @217 > 58 19, @380 9600 baud, @380 > 58 19, "
                     "@537 19200 baud, @537 > 58 19, @691 38400 baud, @691 > 58 19");
    assert_int_equal(peer->edges[0], 1);
    assert_false(peer->online[0]);
    assert_non_null(strstr(peer->reason[0], "RX and TX"));
    run_until(peer, 60000);
    assert_int_equal(peer->edges[0], 1);
    assert_in_range(peer->breaks, 15, 25); /* about every 2.6 s */
    peer->chips[0].present = true;
    run_until(peer, 64000);
    assert_true(peer->online[0]);
    finish(peer);
}

static void restart_now(struct peer *peer, unsigned chip, bool packet)
{
    if (packet && peer->chips[chip].packets == 4) {
        peer->before_answer = NULL;
        restart_chip(&peer->chips[chip]);
        peer->chips[chip].energy = 4; /* counted since */
    }
}

static void test_chip_restarts_between_polls(void **unused)
{
    (void)unused;
    struct bl0942_session_options options = options_for(1);
    struct peer *peer = start(&options);
    peer->before_answer = restart_now;
    run_until(peer, 3940);
    assert_int_equal(peer->chips[0].restarts, 1);
    assert_int_equal(peer->events[DRIVER_CHIP_RESET], 1);
    assert_int_equal(peer->chips[0].mode, 0x87); /* a process that is killed here is told again */
    run_until(peer, 4600);
    assert_int_equal(peer->chips[0].mode, 0x8F); /* written again */
    assert_int_equal(peer->events[DRIVER_CHIP_RESET], 1);
    assert_int_equal(statistics(peer, 0).chip_resets, 1);
    assert_int_equal(peer->reading_count, 4);
    assert_int_equal(peer->edges[0], 1);
    assert_int_equal(peer->readings[2].reading.flags, 0);
    assert_int_equal(peer->readings[3].reading.flags, READING_CHIP_RESET);
    assert_int_equal(peer->readings[3].reading.energy, 4);
    run_until(peer, 5500);
    assert_int_equal(last_reading(peer)->flags, 0);
    finish(peer);
}

/* The counter has overtaken its old value by the time of the next poll: only MODE can tell. */
static void test_restart_that_the_counter_hides(void **unused)
{
    (void)unused;
    struct bl0942_session_options options = options_for(1);
    struct peer *peer = start(&options);
    peer->chips[0].energy = 2;
    run_until(peer, 2500);
    assert_int_equal(last_reading(peer)->flags, 0);
    restart_chip(&peer->chips[0]);
    peer->chips[0].energy = 3;
    run_until(peer, 3500);
    assert_int_equal(last_reading(peer)->flags, READING_CHIP_RESET);
    assert_int_equal(last_reading(peer)->energy, 3);
    finish(peer);
}

/* A brown-out that reset MODE but left a high counter alone is found within a minute. */
static void test_mode_is_verified_every_minute(void **unused)
{
    (void)unused;
    struct bl0942_session_options options = options_for(1);
    struct peer *peer = start(&options);
    run_until(peer, 5500);
    peer->chips[0].mode = 0x87;
    run_until(peer, 30000);
    assert_int_equal(peer->events[DRIVER_CHIP_RESET], 0);
    run_until(peer, 62500);
    assert_int_equal(peer->events[DRIVER_CHIP_RESET], 1);
    assert_int_equal(peer->chips[0].mode, 0x8F);
    for (size_t i = 1; i < peer->reading_count; i++) /* the counter went on: no reading says more */
        assert_int_equal(peer->readings[i].reading.flags, 0);
    peer->chips[0].mode = 0x8B; /* not the power-on value: repaired, but no restart */
    run_until(peer, 125000);
    assert_int_equal(peer->chips[0].mode, 0x8F);
    assert_int_equal(peer->events[DRIVER_CHIP_RESET], 1);
    assert_int_equal(peer->events[DRIVER_CHIP_CHANGED], 1);
    assert_int_equal(last_reading(peer)->flags, 0);
    assert_int_equal(statistics(peer, 0).frame_errors, 0);
    assert_in_range(peer->reading_count, 124, 125); /* none was lost over it */
    finish(peer);
}

static void glitch_once(struct peer *peer, unsigned chip, bool packet)
{
    if (packet && peer->chips[chip].packets == 4)
        peer->chips[chip].energy ^= 0x1000;
    else if (packet && peer->chips[chip].packets == 5)
        peer->chips[chip].energy ^= 0x1000;
}

static void test_an_impossible_counter_is_read_again(void **unused)
{
    (void)unused;
    struct bl0942_session_options options = options_for(1);
    struct peer *peer = start(&options);
    peer->before_answer = glitch_once;
    run_until(peer, 10000);
    assert_int_equal(peer->reading_count, 10);
    for (size_t i = 0; i < peer->reading_count; i++)
        assert_int_equal(peer->readings[i].reading.energy, 5000);
    assert_int_equal(statistics(peer, 0).frame_errors, 1);
    peer->before_answer = NULL;
    peer->chips[0].energy = 9000; /* for good: it is reported as it is, the meter judges */
    run_until(peer, 11000);
    assert_int_equal(last_reading(peer)->energy, 9000);
    assert_int_equal(last_reading(peer)->flags, 0);
    finish(peer);
}

static void glitch_after_restart(struct peer *peer, unsigned chip, bool packet)
{
    if (packet && peer->chips[chip].packets == 4)
        restart_chip(&peer->chips[chip]);
    else if (packet && (peer->chips[chip].packets == 5 || peer->chips[chip].packets == 6))
        peer->chips[chip].energy ^= 0x800000;
}

/* The reading that says "restarted" is the one from which the counter goes on: it must be right. */
static void test_an_impossible_counter_after_a_restart_is_read_again(void **unused)
{
    (void)unused;
    struct bl0942_session_options options = options_for(1);
    struct peer *peer = start(&options);
    peer->before_answer = glitch_after_restart;
    run_until(peer, 5000);
    assert_int_equal(peer->reading_count, 5);
    assert_int_equal(peer->readings[3].reading.flags, READING_CHIP_RESET);
    for (size_t i = 3; i < 5; i++)
        assert_int_equal(peer->readings[i].reading.energy, 0);
    finish(peer);
}

static void test_silence_then_back(void **unused)
{
    (void)unused;
    struct bl0942_session_options options = options_for(1);
    struct peer *peer = start(&options);
    run_until(peer, 3500);
    assert_true(peer->online[0]);
    peer->chips[0].present = false;
    run_until(peer, 5900); /* two polls missed */
    assert_true(peer->online[0]);
    run_until(peer, 7000);
    assert_false(peer->online[0]);
    assert_non_null(strstr(peer->reason[0], "stopped answering"));
    assert_int_equal(statistics(peer, 0).frame_errors, 6);
    assert_int_equal(statistics(peer, 0).timeouts, 6);
    size_t before = peer->reading_count;
    restart_chip(&peer->chips[0]); /* it lost its power */
    run_until(peer, 20000);
    assert_int_equal(peer->reading_count, before);
    peer->chips[0].present = true;
    run_until(peer, 24000);
    assert_true(peer->online[0]);
    assert_int_equal(peer->edges[0], 3);
    assert_int_equal(peer->readings[before].reading.flags, READING_CHIP_RESET);
    assert_int_equal(peer->events[DRIVER_CHIP_RESET], 1);
    finish(peer);
}

static enum fault fault_every_third_packet(struct peer *peer, unsigned chip, bool packet)
{
    return packet && peer->chips[chip].packets % 3 == 0 ? FAULT_DAMAGED : FAULT_NONE;
}

static void test_damaged_answers_are_asked_for_again(void **unused)
{
    (void)unused;
    struct bl0942_session_options options = options_for(1);
    struct peer *peer = start(&options);
    peer->fault = fault_every_third_packet;
    run_until(peer, 20500);
    assert_in_range(peer->reading_count, 20, 21); /* each second all the same */
    assert_int_equal(peer->edges[0], 1);
    assert_in_range(statistics(peer, 0).frame_errors, 9, 11);
    assert_int_equal(statistics(peer, 0).timeouts, 0);
    assert_int_equal(peer->events[DRIVER_LINE_NOISY], 1);
    run_until(peer, 120000);
    assert_int_equal(peer->events[DRIVER_LINE_NOISY], 1); /* said once */
    peer->fault = NULL;
    run_until(peer, 240000);
    peer->fault = fault_every_third_packet;
    run_until(peer, 300000);
    assert_int_equal(peer->events[DRIVER_LINE_NOISY], 2); /* and again after a quiet minute */
    finish(peer);
}

static enum fault always_junk(struct peer *peer, unsigned chip, bool packet)
{
    (void)peer, (void)chip, (void)packet;
    return FAULT_JUNK;
}

static void test_junk_before_every_answer(void **unused)
{
    (void)unused;
    struct bl0942_session_options options = options_for(1);
    struct peer *peer = start(&options);
    peer->fault = always_junk;
    run_until(peer, 60950);
    assert_int_equal(peer->reading_count, 61);
    assert_int_equal(statistics(peer, 0).frame_errors, 0);
    assert_true(statistics(peer, 0).junk_bytes >= 61 * 3);
    assert_int_equal(peer->events[DRIVER_LINE_NOISY], 0); /* nothing was damaged */
    finish(peer);
}

static enum fault fault_wrong_address(struct peer *peer, unsigned chip, bool packet)
{
    (void)packet;
    return chip == 0 && peer->now_ms > 3500 ? FAULT_WRONG_ADDRESS : FAULT_NONE;
}

static void test_answers_of_another_address_are_never_taken(void **unused)
{
    (void)unused;
    struct bl0942_session_options options = options_for(2);
    struct peer *peer = start(&options);
    peer->fault = fault_wrong_address;
    run_until(peer, 3500);
    assert_true(peer->online[0]);
    size_t before = peer->reading_count;
    run_until(peer, 20000);
    assert_false(peer->online[0]);
    assert_non_null(strstr(peer->reason[0], "damaged"));
    assert_true(peer->online[1]);
    for (size_t i = before; i < peer->reading_count; i++)
        assert_int_equal(peer->readings[i].channel, 1);
    finish(peer);
}

static void test_several_chips_share_a_line(void **unused)
{
    (void)unused;
    for (size_t chips = 2; chips <= 4; chips++) {
        struct bl0942_session_options options = options_for(chips);
        struct peer *peer = start(&options);
        run_until(peer, 100500);
        unsigned count[4] = {0};
        for (size_t i = 0; i < peer->reading_count; i++)
            count[peer->readings[i].channel]++;
        for (size_t i = 0; i < chips; i++) {
            assert_in_range(count[i], 99, 101);
            assert_int_equal(statistics(peer, (unsigned)i).frame_errors, 0);
        }
        finish(peer);
    }
}

static void test_fast_polling_is_fair(void **unused)
{
    (void)unused;
    struct bl0942_session_options options = options_for(4);
    for (size_t i = 0; i < 4; i++)
        options.chips[i].interval_ms = 50; /* more than the line can carry */
    struct peer *peer = start(&options);
    run_until(peer, 30000);
    for (unsigned i = 0; i < 4; i++)
        assert_in_range(statistics(peer, i).readings, 90, 105); /* 53 + 21 ms each, and MODE */
    finish(peer);
}

static int64_t longest_gap(const struct peer *peer, unsigned channel, int64_t since_ms)
{
    int64_t last = since_ms, longest = 0;
    for (size_t i = 0; i < peer->reading_count; i++) {
        if (peer->readings[i].channel != channel || peer->readings[i].at_ms < since_ms)
            continue;
        if (peer->readings[i].at_ms - last > longest)
            longest = peer->readings[i].at_ms - last;
        last = peer->readings[i].at_ms;
    }
    return longest;
}

static void test_a_dead_chip_does_not_slow_the_other(void **unused)
{
    (void)unused;
    struct bl0942_session_options options = options_for(2);
    struct peer *peer = start(&options);
    run_until(peer, 5000);
    peer->chips[0].present = false;
    run_until(peer, 105000);
    assert_false(peer->online[0]);
    assert_true(peer->online[1]);
    assert_in_range(statistics(peer, 1).readings, 104, 106);
    assert_in_range(longest_gap(peer, 1, 5000), 1000, 1450);  /* while it is still polled */
    assert_in_range(longest_gap(peer, 1, 12000), 1000, 1030); /* once it is only looked for */
    peer->chips[0].present = true;
    run_until(peer, 112000);
    assert_true(peer->online[0]); /* and it is found in the gaps */
    finish(peer);
}

static enum fault late_once(struct peer *peer, unsigned chip, bool packet)
{
    return packet && chip == 0 && peer->chips[0].packets == 4 ? FAULT_LATE : FAULT_NONE;
}

static void number_packets(struct peer *peer, unsigned chip, bool packet)
{
    peer->chips[chip].energy += packet;
}

static void test_late_answers_do_not_put_polls_out_of_step(void **unused)
{
    (void)unused;
    for (size_t chips = 1; chips <= 2; chips++) {
        struct bl0942_session_options options = options_for(chips);
        options.chips[0].interval_ms = options.chips[1].interval_ms = 500;
        struct peer *peer = start(&options);
        peer->fault = late_once;
        peer->before_answer = number_packets;
        run_until(peer, 10000);
        for (unsigned i = 0; i < chips; i++) {
            assert_int_equal(peer->edges[i], 1);
            assert_in_range(statistics(peer, i).readings, 19, 20);
            assert_in_range(statistics(peer, i).frame_errors, 1 - i, 1);
        }
        const struct reading *last = last_reading(peer); /* the answer to the last request */
        unsigned channel = peer->readings[peer->reading_count - 1].channel;
        assert_int_equal(last->energy, peer->chips[channel].energy);
        finish(peer);
    }
}

static enum fault always_late(struct peer *peer, unsigned chip, bool packet)
{
    (void)chip;
    return packet && peer->now_ms > 3000 ? FAULT_LATE : FAULT_NONE;
}

static void test_an_adapter_that_is_always_late(void **unused)
{
    (void)unused;
    struct bl0942_session_options options = options_for(1);
    struct peer *peer = start(&options);
    peer->fault = always_late;
    peer->before_answer = number_packets;
    run_until(peer, 60000);
    assert_int_equal(peer->edges[0], 1); /* works, with an error at each poll */
    assert_in_range(statistics(peer, 0).readings, 58, 60);
    finish(peer);
}

static void test_port_goes_and_comes_back(void **unused)
{
    (void)unused;
    struct bl0942_session_options options = options_for(2);
    struct peer *peer = new_peer(&options);
    bl0942_session_gone(peer->session, 0, "There is no such port.");
    assert_string_equal(peer->reason[1], "There is no such port.");
    assert_int_equal(peer->events[DRIVER_PORT_GONE], 0); /* it never was there */
    run_until(peer, 5000);
    bl0942_session_open(peer->session, 5000);
    run_until(peer, 8000);
    assert_true(peer->online[0] && peer->online[1]);
    assert_int_equal(peer->events[DRIVER_PORT_BACK], 0);
    bl0942_session_gone(peer->session, 8000, "Unplugged.");
    assert_int_equal(peer->events[DRIVER_PORT_GONE], 2); /* once for each chip */
    assert_false(peer->online[0] || peer->online[1]);
    bl0942_session_gone(peer->session, 9000, "Still unplugged.");
    assert_int_equal(peer->events[DRIVER_PORT_GONE], 2);
    size_t before = peer->reading_count;
    peer->queued = 0;
    restart_chip(&peer->chips[1]);
    peer->now_ms = 100000;
    bl0942_session_open(peer->session, 100000);
    run_until(peer, 102000);
    assert_int_equal(peer->events[DRIVER_PORT_BACK], 2);
    assert_int_equal(statistics(peer, 0).reconnects, 1);
    assert_true(peer->online[0] && peer->online[1]);
    for (size_t i = before; i < before + 2; i++) /* only the one that restarted says so */
        assert_int_equal(peer->readings[i].reading.flags,
                         peer->readings[i].channel == 1 ? READING_CHIP_RESET : 0);
    finish(peer);
}

static void test_a_chip_that_keeps_no_settings_is_read_all_the_same(void **unused)
{
    (void)unused;
    struct bl0942_session_options options = options_for(1);
    struct peer *peer = new_peer(&options);
    peer->chips[0].stubborn = true;
    bl0942_session_open(peer->session, 0);
    run_until(peer, 180000);
    assert_in_range(peer->reading_count, 178, 180);
    assert_int_equal(peer->events[DRIVER_CHIP_CHANGED], 1);
    assert_int_equal(peer->events[DRIVER_CHIP_RESET], 0);
    for (size_t i = 0; i < peer->reading_count; i++)
        assert_int_equal(peer->readings[i].reading.flags, 0); /* MODE says nothing here */
    peer->chips[0].stubborn = false;
    run_until(peer, 250000);
    assert_int_equal(peer->chips[0].mode, 0x8F); /* tried again every minute */
    assert_int_equal(last_reading(peer)->flags, 0);
    finish(peer);
}

static void test_restart_back_to_the_pin_rate(void **unused)
{
    (void)unused;
    struct bl0942_session_options options = options_for(2);
    options.baud = 38400;
    struct peer *peer = new_peer(&options);
    for (size_t i = 0; i < 2; i++) {
        peer->chips[i].pin_baud = 4800;
        peer->chips[i].mode = 0x38F;
    }
    bl0942_session_open(peer->session, 0);
    run_until(peer, 5000);
    assert_true(peer->online[0] && peer->online[1]);
    restart_chip(&peer->chips[0]);
    run_until(peer, 15000);
    assert_true(peer->online[0] && peer->online[1]); /* one at 4800, the other at 38400 baud */
    assert_int_equal(peer->events[DRIVER_CHIP_RESET], 1);
    assert_int_equal(peer->events[DRIVER_CHIP_CHANGED], 1);
    assert_int_equal(peer->chips[0].mode, 0x8F);
    assert_int_equal(peer->chips[1].mode, 0x38F);
    assert_in_range(statistics(peer, 1).readings, 14, 16);
    finish(peer);
}

/* ------------------------------------------------------------------ an hour of everything */

static enum fault random_fault(struct peer *peer, unsigned chip, bool packet)
{
    (void)chip, (void)packet;
    if (dice_next(&peer->random) % 10 != 0)
        return FAULT_NONE;
    return (enum fault)(dice_next(&peer->random) % FAULT_COUNT);
}

static void random_life(struct peer *peer, unsigned index, bool packet)
{
    (void)packet;
    struct peer_chip *chip = &peer->chips[index];
    chip->energy = (chip->energy + (uint32_t)(dice_next(&peer->random) % 3)) & 0xFFFFFF;
    if (dice_next(&peer->random) % 200 == 0)
        restart_chip(chip);
}

/* The driver's word on restarts must be the truth: flagged exactly when the chip began a new life
 * since the reading before. This is what keeps phantom energy out. */
static void check_life(struct peer *peer, unsigned channel, const struct reading *reading)
{
    bool restarted = peer->last_epoch[channel] != reading->voltage;
    bool flagged = (reading->flags & READING_CHIP_RESET) != 0;
    if (restarted != flagged)
        fail_msg("@%lld channel %u: life %lld after %lld, flag %d", (long long)peer->now_ms,
                 channel, (long long)reading->voltage, (long long)peer->last_epoch[channel],
                 flagged);
    if (!flagged)
        assert_true(reading->energy >= peer->last_energy[channel]);
    peer->last_epoch[channel] = reading->voltage;
    peer->last_energy[channel] = reading->energy;
}

static void test_restarts_are_never_missed_nor_made_up(void **unused)
{
    (void)unused;
    uint64_t seed = (uint64_t)test_setting("TEST_SEED", 20260701);
    printf("seed %llu (others with TEST_SEED)\n", (unsigned long long)seed);
    for (unsigned round = 0; round < 12; round++) {
        struct bl0942_session_options options = options_for(1 + round % 4);
        struct peer *peer = new_peer(&options);
        peer->random = seed * 1000 + round + 1;
        peer->fault = random_fault;
        peer->before_answer = random_life;
        peer->on_reading = check_life;
        for (size_t i = 0; i < options.chip_count; i++)
            peer->chips[i].mode = 0x8F;
        bl0942_session_open(peer->session, 0);
        run_until(peer, 3600000);
        for (unsigned i = 0; i < options.chip_count; i++) {
            struct driver_statistics s = statistics(peer, i);
            assert_in_range(s.readings, 3300, 3601);
            assert_in_range(s.chip_resets, 1, peer->chips[i].restarts); /* some come in pairs */
        }
        finish(peer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_start_of_a_new_chip),
        cmocka_unit_test(test_start_with_all_settings),
        cmocka_unit_test(test_start_of_a_chip_that_has_its_settings),
        cmocka_unit_test(test_baud_rates_are_tried),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_chip_restarts_between_polls),
        cmocka_unit_test(test_restart_that_the_counter_hides),
        cmocka_unit_test(test_mode_is_verified_every_minute),
        cmocka_unit_test(test_an_impossible_counter_is_read_again),
        cmocka_unit_test(test_an_impossible_counter_after_a_restart_is_read_again),
        cmocka_unit_test(test_silence_then_back),
        cmocka_unit_test(test_damaged_answers_are_asked_for_again),
        cmocka_unit_test(test_junk_before_every_answer),
        cmocka_unit_test(test_answers_of_another_address_are_never_taken),
        cmocka_unit_test(test_several_chips_share_a_line),
        cmocka_unit_test(test_fast_polling_is_fair),
        cmocka_unit_test(test_a_dead_chip_does_not_slow_the_other),
        cmocka_unit_test(test_late_answers_do_not_put_polls_out_of_step),
        cmocka_unit_test(test_an_adapter_that_is_always_late),
        cmocka_unit_test(test_port_goes_and_comes_back),
        cmocka_unit_test(test_a_chip_that_keeps_no_settings_is_read_all_the_same),
        cmocka_unit_test(test_restart_back_to_the_pin_rate),
        cmocka_unit_test(test_restarts_are_never_missed_nor_made_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
