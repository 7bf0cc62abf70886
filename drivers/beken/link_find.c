/* SPDX-License-Identifier: MIT */
/* Getting a module to answer, finding it again, and changing the rate. */
#include "drivers/beken/link_exchange.h"

#include "drivers/serial/port.h"

#include <inttypes.h>
#include <string.h>

enum {
    LINK_GAP_MS = 1, /* between LinkChecks while a reset is waited for */
    QUIET_MS = 50,   /* late answers to a stream of LinkChecks have come by then */
    BAUD_DELAY = 20, /* the chip answers (20 + 1) x 2 ms after it switched */
    BAUD_SWITCH_MS = 10,
    BAUD_REPLY_MS = 540,
    BAUD_TRIES = 4,
    SILENCE_MS = 600, /* lets a T's watchdog end a session at an unknown rate */
    RESET_PULSE_MS = 250,
    RESET_STEP_MS = 100,
    RESET_EVERY_MS = 3000,
    SOFT_RESET_EVERY_MS = 1500,
    REOPEN_EVERY_MS = 100,
    BOOT_WINDOW_MS = 400,
    FILL_PIECE_MS = 3,
    FILL_EXTRA_MS = 200,
};

/* A half-received write can still want all of its 4101 bytes. */
enum { FILL_BYTES = BEKEN_COMMAND_MAX + 32 };

/* Whether a LinkCheck's answer came until then; others are dropped. */
static enum status received_answer(struct link *link, int64_t until_us, bool *received,
                                   struct error *error)
{
    struct beken_reply reply;
    *received = false;
    do {
        wire_wait(link, POLLIN, until_us);
        size_t count = 0;
        enum status status = wire_receive(link, &count, error);
        if (status != STATUS_OK)
            return status;
        while (beken_parser_next(link->parser, &reply))
            *received = *received || exchange_is_link_answer(&reply);
    } while (!*received && wire_now_us() < until_us);
    return STATUS_OK;
}

/* Stop sending, let the late answers pass, and make sure with one LinkCheck. */
static enum status settle(struct link *link, struct error *error)
{
    int64_t quiet_ms = link->flapping ? EXCHANGE_FEED_AFTER_MS : QUIET_MS;
    enum status status = wire_wait_quiet(link, quiet_ms, error);
    if (status != STATUS_OK)
        return status;
    serial_flush_input(link->port);
    return link_check(link, error);
}

static enum status fill(struct link *link, bool *received, struct error *error)
{
    uint8_t piece[WIRE_PIECE] = {0};
    struct beken_command check;
    beken_command_link_check(&check);
    size_t per_piece = WIRE_PIECE / check.length;
    for (size_t i = 0; i < per_piece; i++)
        memcpy(piece + i * check.length, check.bytes, check.length);
    enum status status = exchange_feed(link, true, error);
    for (size_t sent = 0;
         sent < FILL_BYTES && status == STATUS_OK && !*received && !link_stopped(link);
         sent += per_piece * check.length) {
        int64_t next_us = wire_now_us() + (int64_t)FILL_PIECE_MS * 1000;
        status = wire_send(link, piece, per_piece * check.length, error);
        if (next_us < link->line_free_us)
            next_us = link->line_free_us;
        if (status == STATUS_OK)
            status = received_answer(link, next_us, received, error);
    }
    int64_t give_up_us = wire_now_us() + (int64_t)FILL_EXTRA_MS * 1000;
    while (status == STATUS_OK && !*received && wire_now_us() < give_up_us && !link_stopped(link)) {
        status = exchange_feed(link, false, error);
        if (status == STATUS_OK)
            status = received_answer(link, wire_now_us() + 10000, received, error);
    }
    return status;
}

enum status link_resync(struct link *link, struct error *error)
{
    wire_trace(link, "resynchronise at", link->baud);
    if (link->port == NULL)
        return wire_gone_error(link, error);
    beken_parser_reset(link->parser);
    bool received = false;
    enum status status = fill(link, &received, error);
    if (status != STATUS_OK)
        return status;
    if (!received)
        return error_set(error, STATUS_NO_ANSWER, "The module does not answer at %" PRIu32 " baud.",
                         link->baud);
    return settle(link, error);
}

/* LinkChecks with at most a millisecond between them until one is answered or the time is up. */
static enum status call_until(struct link *link, int64_t until_us, bool *received,
                              struct error *error)
{
    struct beken_command check;
    beken_command_link_check(&check);
    *received = false;
    while (!*received && wire_now_us() < until_us && !link_stopped(link)) {
        enum status status = wire_send(link, check.bytes, check.length, error);
        if (status == STATUS_OK)
            status = received_answer(link, link->line_free_us + (int64_t)LINK_GAP_MS * 1000,
                                     received, error);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static enum status call_and_settle(struct link *link, int64_t for_ms, bool *linked,
                                   struct error *error)
{
    bool received = false;
    enum status status = call_until(link, wire_now_us() + for_ms * 1000, &received, error);
    if (status != STATUS_OK || !received)
        return status;
    status = settle(link, error);
    *linked = status == STATUS_OK;
    return status == STATUS_NO_ANSWER ? STATUS_OK : status;
}

static enum status set_reset_lines(struct link *link, bool dtr_active, bool rts_active,
                                   struct error *error)
{
    enum link_reset reset = link->options.reset;
    enum serial_line_level active =
        link->options.reset_inverted ? SERIAL_LINE_HIGH : SERIAL_LINE_LOW;
    enum serial_line_level rest = link->options.reset_inverted ? SERIAL_LINE_LOW : SERIAL_LINE_HIGH;
    enum serial_line_level dtr = SERIAL_LINE_KEEP;
    enum serial_line_level rts = SERIAL_LINE_KEEP;
    if (reset == LINK_RESET_DTR || reset == LINK_RESET_RTS_DTR)
        dtr = dtr_active ? active : rest;
    if (reset == LINK_RESET_RTS || reset == LINK_RESET_RTS_DTR)
        rts = rts_active ? active : rest;
    return serial_set_lines(link->port, dtr, rts, error);
}

/* LinkChecks must already be flowing when the line is released: the chip listens for milliseconds
 * only. With both lines wired, they are released one after the other, as boards with two
 * transistors need it. */
static enum status pulse_reset(struct link *link, struct error *error)
{
    bool received = false;
    enum status status = set_reset_lines(link, true, true, error);
    if (status == STATUS_OK)
        status = call_until(link, wire_now_us() + (int64_t)RESET_PULSE_MS * 1000, &received, error);
    if (status == STATUS_OK && link->options.reset == LINK_RESET_RTS_DTR) {
        status = set_reset_lines(link, false, true, error);
        if (status == STATUS_OK)
            status =
                call_until(link, wire_now_us() + (int64_t)RESET_STEP_MS * 1000, &received, error);
    }
    return status == STATUS_OK ? set_reset_lines(link, false, false, error) : status;
}

/* Apps with a console on this line restart on this word; others do not mind it. */
static enum status soft_reset(struct link *link, struct error *error)
{
    static const char word[] = "reboot\r\n";
    return wire_send(link, (const uint8_t *)word, sizeof word - 1, error);
}

static void ask_for_power_cycle(struct link *link, int64_t left_us)
{
    if (link->asked_for_power)
        return;
    link->asked_for_power = true;
    char sentence[200];
    char left[40] = ""; /* the time may be over already */
    if (left_us >= 1000000)
        (void)snprintf(left, sizeof left, " (%" PRId64 " s left)", left_us / 1000000);
    (void)snprintf(
        sentence, sizeof sentence,
        "Waiting for the module: switch its power off and on now, or connect CEN to GND for "
        "a moment%s.",
        left);
    wire_note(link, sentence);
}

static enum status no_answer(const struct link *link, struct error *error)
{
    const struct received *received = &link->received;
    const char *port = link->options.port;
    double seconds = (double)link->options.timeout_ms / 1000;
    if (link->reconnecting)
        return error_set(error, STATUS_NO_ANSWER,
                         "The module at %s stopped answering and did not come back within %g s.",
                         port, seconds);
    if (received->echo)
        return error_set(
            error, STATUS_NO_ANSWER,
            "No module answered at %s within %g s, but the adapter hears its own bytes: TX "
            "and RX are connected to each other.",
            port, seconds);
    if (received->tuya_mcu)
        return error_set(
            error, STATUS_NO_ANSWER,
            "No module answered at %s within %g s, but something talks 55 AA frames: a second "
            "controller (TuyaMCU) shares the line. Disconnect it from the module's RX and TX, "
            "or hold it in reset.",
            port, seconds);
    if (received->bytes > 0)
        return error_set(
            error, STATUS_NO_ANSWER,
            "No module answered at %s within %g s, but %" PRIu64
            " bytes came in: the app was running. Switch the power off and on while this "
            "command waits, or wire a reset line and name it with --reset; if a BL0942 or "
            "another chip sits on the module's RX or TX, disconnect it.",
            port, seconds, received->bytes);
    return error_set(
        error, STATUS_NO_ANSWER,
        "No module answered at %s within %g s, and not one byte came in: check that the "
        "adapter's TX goes to RX1 (P10) and its RX to TX1 (P11), that the grounds are "
        "joined and that the module has 3.3 V; then switch its power off and on while this "
        "command waits.",
        port, seconds);
}

/* Until the deadline: reset (or have somebody reset) the module and call it at 115200. */
static enum status call_through_reset(struct link *link, int64_t deadline_us, struct error *error)
{
    enum status status = wire_set_baud(link, LINK_FIRST_BAUD, error);
    int64_t reset_us = wire_now_us();
    int64_t word_us = wire_now_us() + (int64_t)SOFT_RESET_EVERY_MS * 1000;
    bool linked = false;
    if (link->options.reset == LINK_RESET_NONE)
        ask_for_power_cycle(link, deadline_us - wire_now_us());
    while (status == STATUS_OK && !linked) {
        if (link_stopped(link))
            return link_stop_error(error);
        if (wire_now_us() >= deadline_us)
            return no_answer(link, error);
        if (link->options.reset != LINK_RESET_NONE && wire_now_us() >= reset_us) {
            reset_us = wire_now_us() + (int64_t)RESET_EVERY_MS * 1000;
            status = pulse_reset(link, error);
        } else if (wire_now_us() >= word_us) {
            word_us = wire_now_us() + (int64_t)SOFT_RESET_EVERY_MS * 1000;
            status = soft_reset(link, error);
        }
        if (status == STATUS_OK)
            status = call_and_settle(link, 500, &linked, error);
    }
    return status;
}

/* Lets a T that sits at an unknown rate fall back by its own watchdog: any byte would keep it. */
static void keep_silent(const struct link *link)
{
    wire_trace(link, "silence for ms", SILENCE_MS);
    int64_t until_us = wire_now_us() + (int64_t)SILENCE_MS * 1000;
    while (wire_now_us() < until_us && !link_stopped(link))
        wire_sleep_until(until_us);
}

/* Tries to find a chip that an earlier session left at this rate, maybe in mid command. */
static enum status try_rate(struct link *link, uint32_t baud, bool *linked, struct error *error)
{
    enum status status = wire_set_baud(link, baud, error);
    if (status != STATUS_OK)
        return link->gone ? status : STATUS_OK; /* the adapter cannot do this rate */
    status = link_resync(link, error);
    *linked = status == STATUS_OK;
    return status == STATUS_NO_ANSWER ? STATUS_OK : status;
}

static void report_gone(struct link *link)
{
    if (link->reported_gone)
        return;
    link->reported_gone = true;
    char sentence[300];
    (void)snprintf(sentence, sizeof sentence,
                   "The adapter at %s has gone; waiting %g s for it to come back.",
                   link->options.port, (double)link->options.timeout_ms / 1000);
    wire_note(link, sentence);
}

/* A port that has just come back may not be ours to open for a moment, until its permissions are
 * set: only time ends the attempts. */
static enum status reopen(struct link *link, int64_t deadline_us, struct error *error)
{
    report_gone(link);
    enum status status = STATUS_NO_ANSWER;
    while (status != STATUS_OK) {
        if (link_stopped(link))
            return link_stop_error(error);
        if (wire_now_us() >= deadline_us)
            break;
        wire_sleep_until(wire_now_us() + (int64_t)REOPEN_EVERY_MS * 1000);
        status = wire_open(link, error);
    }
    if (status == STATUS_NO_ANSWER)
        return error_set(
            error, status,
            "The adapter at %s has gone, unplugged or without power, and did not come back "
            "within %g s.",
            link->options.port, (double)link->options.timeout_ms / 1000);
    return status; /* it is there and will not open: the port's own words */
}

static int64_t deadline(const struct link *link)
{
    return wire_now_us() + link->options.timeout_ms * 1000;
}

enum status link_connect(struct link *link, struct error *error)
{
    int64_t deadline_us = deadline(link);
    const uint32_t rates[] = {LINK_FIRST_BAUD, link->options.likely_baud, 921600, 460800, 230400};
    link->received = (struct received){0};
    if (link->options.reset != LINK_RESET_NONE)
        return call_through_reset(link, deadline_us, error);
    bool linked = false;
    enum status status = call_and_settle(link, BOOT_WINDOW_MS, &linked, error);
    for (size_t i = 0; i < sizeof rates / sizeof rates[0] && status == STATUS_OK && !linked; i++)
        if ((i < 2 || rates[i] != rates[1]) && rates[i] != 0 && !link_stopped(link))
            status = try_rate(link, rates[i], &linked, error);
    if (status != STATUS_OK || linked)
        return status;
    keep_silent(link);
    return call_through_reset(link, deadline_us, error);
}

static enum status reconnect_once(struct link *link, int64_t deadline_us, struct error *error)
{
    enum status status = STATUS_OK;
    bool linked = false;
    if (link->port == NULL)
        status = reopen(link, deadline_us, error);
    if (status == STATUS_OK)
        status = try_rate(link, link->baud, &linked, error);
    if (status != STATUS_OK || linked)
        return status;
    /* A chip that was reset just now listens at 115200 for a moment. */
    status = wire_set_baud(link, LINK_FIRST_BAUD, error);
    if (status == STATUS_OK)
        status = call_and_settle(link, BOOT_WINDOW_MS, &linked, error);
    if (status != STATUS_OK || linked)
        return status;
    keep_silent(link);
    return call_through_reset(link, deadline_us, error);
}

enum status link_reconnect(struct link *link, struct error *error)
{
    int64_t deadline_us = deadline(link);
    link->received = (struct received){0};
    link->reconnecting = true;
    link->reported_gone = link->asked_for_power = false;
    enum status status;
    do {
        if (link_stopped(link))
            return link_stop_error(error);
        status = reconnect_once(link, deadline_us, error);
    } while (status == STATUS_FAILED && link->gone && wire_now_us() < deadline_us);
    return status;
}

/* ------------------------------------------------------------------ baud rate */

static enum status ask_baud(struct link *link, uint32_t baud, struct error *error)
{
    struct beken_command command;
    beken_command_set_baud(&command, baud, BAUD_DELAY);
    enum status status = wire_discard(link, error);
    if (status == STATUS_OK)
        status = link_tell(link, &command, error);
    if (status != STATUS_OK)
        return status;
    /* The chip switches on the command's last byte and answers much later. */
    wire_sleep_until(wire_now_us() + (int64_t)BAUD_SWITCH_MS * 1000);
    status = wire_set_baud(link, baud, error);
    if (status != STATUS_OK)
        return status;
    serial_flush_input(link->port);
    beken_parser_reset(link->parser);
    const struct link_want want = {.command = BEKEN_SET_BAUD};
    struct exchange_wait wait = {.sent_us = wire_now_us(),
                                 .deadline_us = wire_now_us() + (int64_t)BAUD_REPLY_MS * 1000};
    struct beken_reply reply;
    status = exchange_await(link, &want, &wait, &reply, error);
    if (status == STATUS_OK && reply.value != baud)
        return error_set(error, STATUS_NO_ANSWER, "The module took another baud rate than asked.");
    return status;
}

/* STATUS_OK: ended at link->baud, which is the old rate if the new one did not work; *linked is
 * false if the chip answers at neither. */
static enum status change_baud(struct link *link, uint32_t before, uint32_t baud, bool *linked,
                               struct error *error)
{
    struct error why = {""};
    *linked = true;
    enum status status = ask_baud(link, baud, &why);
    if (status == STATUS_OK)
        status = link_check(link, &why);
    if (status == STATUS_OK || link->gone) {
        if (status != STATUS_OK && error != NULL)
            *error = why;
        return status;
    }
    /* Nobody knows where the chip is now: look at the new rate, then at the old one. */
    *linked = false;
    status = try_rate(link, link->baud, linked, error);
    if (status != STATUS_OK || (*linked && link->baud == baud))
        return status;
    return try_rate(link, before, linked, error);
}

enum status link_set_baud(struct link *link, uint32_t baud, struct error *error)
{
    uint32_t before = link->baud;
    if (baud == before)
        return STATUS_OK;
    link->round_trip_us = 0;
    bool linked = true;
    enum status status = STATUS_OK;
    /* On the way down the old rate is the bad one, and may have lost the command. */
    for (int i = 0; linked && i < (baud < before ? BAUD_TRIES : 1); i++) {
        status = change_baud(link, before, baud, &linked, error);
        if (status != STATUS_OK || link->baud == baud)
            return status;
    }
    if (linked)
        return error_set(error, STATUS_FAILED,
                         "The line does not work at %" PRIu32
                         " baud; the module answers at %" PRIu32 ".",
                         baud, before);
    return error_set(error, STATUS_NO_ANSWER,
                     "The module was lost while changing from %" PRIu32 " to %" PRIu32 " baud.",
                     before, baud);
}
