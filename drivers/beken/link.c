/* SPDX-License-Identifier: MIT */
#include "drivers/beken/link.h"

#include "drivers/base/clock.h"
#include "drivers/base/memory.h"
#include "drivers/serial/port.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

enum {
    PIECE = 256,
    LINK_GAP_MS = 1, /* between LinkChecks while a reset is waited for */
    QUIET_MS = 50,   /* late answers to a stream of LinkChecks have come by then */
    CONFIRM_MS = 500,
    FEED_AFTER_MS = 35, /* a T's watchdog bites after 60 ms at the earliest */
    FEED_EVERY_MS = 15,
    REPLY_GAP_MS = 40,    /* a reply that pauses this long has lost bytes, or is late */
    REPLY_LATE_MS = 1000, /* the longest that an adapter or a busy machine holds the rest back */
    REPLY_PROBES = 8,
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
    VOLLEY_MAX = 32,
    LINK_ANSWER = 8, /* bytes of a LinkCheck's answer */
};

/* A half-received write can still want all of its 4101 bytes. */
enum { FILL_BYTES = BEKEN_COMMAND_MAX + 32, FILL_ZEROS = 16 };

/* What was received while no module answered: the words of the failure hang on it. */
struct received {
    uint64_t bytes;
    bool echo;
    bool tuya_mcu;
    uint64_t window; /* last eight bytes */
};

struct link {
    struct link_options options;
    struct serial_port *port; /* NULL while the adapter is away */
    struct beken_parser *parser;
    uint32_t baud;
    bool flapping;
    bool gone;
    bool reconnecting;    /* it answered before, so the wires are right */
    bool told_gone;       /* in this wait, the person was told that the adapter has gone */
    bool told_waiting;    /* ... and that the module wants a power cycle */
    int64_t line_free_us; /* when the last byte written will have left the wire */
    int64_t last_byte_us; /* when anything was last sent or received */
    int64_t round_trip_us;
    int64_t tail_us;
    int64_t opened_us;
    size_t partial;
    bool listens;
    uint8_t held[BEKEN_REPLY_MAX]; /* a reply's data, for as long as the header promises */
    struct received received;
};

static int64_t now_us(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void sleep_until_us(int64_t when_us)
{
    const struct timespec when = clock_timespec_us(when_us);
    /* A signal may end it early: the caller's loop looks at the clock and at the stop flag. */
    (void)clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &when, NULL);
}

static int64_t line_us(const struct link *link, size_t bytes)
{
    return (int64_t)bytes * 10 * 1000000 / link->baud;
}

static void note(const struct link *link, const char *sentence)
{
    if (link->options.note != NULL)
        link->options.note(link->options.context, sentence);
}

bool link_stopped(const struct link *link)
{
    return link->options.stop != NULL && *link->options.stop != 0;
}

bool link_gone(const struct link *link)
{
    return link->gone;
}

enum status link_stop_error(struct error *error)
{
    return error_set(error, STATUS_FAILED, "Stopped; nothing was changed.");
}

static void trace_bytes(const struct link *link, char direction, const uint8_t *bytes,
                        size_t length)
{
    if (link->options.trace == NULL || length == 0)
        return;
    int64_t at = now_us() - link->opened_us;
    (void)fprintf(link->options.trace, "%" PRId64 ".%06" PRId64 " %c", at / 1000000, at % 1000000,
                  direction);
    for (size_t i = 0; i < length; i++)
        (void)fprintf(link->options.trace, " %02x", bytes[i]);
    (void)fputc('\n', link->options.trace);
}

static void trace_event(const struct link *link, const char *what, uint32_t value)
{
    if (link->options.trace == NULL)
        return;
    int64_t at = now_us() - link->opened_us;
    (void)fprintf(link->options.trace, "%" PRId64 ".%06" PRId64 " # %s %" PRIu32 "\n", at / 1000000,
                  at % 1000000, what, value);
}

/* ------------------------------------------------------------------ the port */

static enum status open_port(struct link *link, struct error *error)
{
    /* Lines at rest first, so that opening does not hold the module in reset. */
    bool inverted = link->options.reset_inverted;
    enum serial_line_level rest = inverted ? SERIAL_LINE_LOW : SERIAL_LINE_HIGH;
    enum link_reset reset = link->options.reset;
    const struct serial_options options = {
        .baud = link->baud,
        .dtr = reset == LINK_RESET_DTR || reset == LINK_RESET_RTS_DTR ? rest : SERIAL_LINE_KEEP,
        .rts = reset == LINK_RESET_RTS || reset == LINK_RESET_RTS_DTR ? rest : SERIAL_LINE_KEEP,
        .low_latency = true,
    };
    enum status status = serial_open(link->options.port, &options, &link->port, error);
    if (status != STATUS_OK)
        return status;
    if (serial_is_raw(link->port)) {
        serial_close(link->port);
        link->port = NULL;
        return error_set(
            error, STATUS_USAGE,
            "%s carries bytes only, but flashing changes the baud rate; use an adapter "
            "at this machine, or rfc2217:// (docs/network.md).",
            link->options.port);
    }
    link->gone = false;
    link->line_free_us = now_us();
    trace_event(link, "open at", link->baud);
    if (reset != LINK_RESET_NONE && !serial_has_lines(link->port)) {
        link->options.reset = LINK_RESET_NONE;
        note(link,
             "This port has no RTS and DTR, so --reset does nothing; the module's power has to "
             "be switched by hand.");
    }
    return STATUS_OK;
}

static void lose_port(struct link *link)
{
    if (!link->gone)
        trace_event(link, "port has gone at", link->baud);
    link->gone = true;
    serial_close(link->port);
    link->port = NULL;
    beken_parser_reset(link->parser);
}

static enum status gone_error(const struct link *link, struct error *error)
{
    return error_set(error, STATUS_FAILED,
                     "The adapter at %s has gone: unplugged, or it lost power.",
                     link->options.port);
}

static enum status host_baud(struct link *link, uint32_t baud, struct error *error)
{
    if (link->port == NULL)
        return gone_error(link, error);
    enum status status = serial_set_baud(link->port, baud, error);
    if (status != STATUS_OK)
        return status;
    link->baud = baud;
    trace_event(link, "host at", baud);
    return STATUS_OK;
}

enum status link_open(const struct link_options *options, struct link **result, struct error *error)
{
    struct link *link = memory_new(1, sizeof *link);
    link->options = *options;
    link->parser = beken_parser_create();
    link->baud = LINK_FIRST_BAUD;
    link->flapping = true;
    link->opened_us = now_us();
    enum status status = open_port(link, error);
    if (status != STATUS_OK) {
        link_close(link);
        return status;
    }
    *result = link;
    return STATUS_OK;
}

void link_close(struct link *link)
{
    if (link == NULL)
        return;
    serial_close(link->port);
    beken_parser_free(link->parser);
    free(link);
}

uint32_t link_baud(const struct link *link)
{
    return link->baud;
}

void link_set_flapping(struct link *link, bool flapping)
{
    link->flapping = flapping;
}

int64_t link_round_trip_us(const struct link *link)
{
    return link->round_trip_us;
}

int64_t link_tail_us(const struct link *link)
{
    return link->tail_us;
}

bool link_listens(const struct link *link)
{
    return link->listens;
}

size_t link_partial(const struct link *link)
{
    return link->partial;
}

/* ------------------------------------------------------------------ bytes out */

/* Waits until the port is readable or writable or the time is up. */
static void wait_port(const struct link *link, short events, int64_t until_us)
{
    struct pollfd state = {.fd = serial_fd(link->port), .events = events};
    int64_t left_us = until_us - now_us();
    if (left_us < 0)
        left_us = 0;
    const struct timespec left = clock_timespec_us(left_us);
    (void)ppoll(&state, 1, &left, NULL);
}

static enum status send_now(struct link *link, const uint8_t *bytes, size_t length,
                            struct error *error)
{
    if (link->port == NULL)
        return gone_error(link, error);
    int64_t deadline_us = now_us() + 2000000 + 3 * line_us(link, length);
    size_t done = 0;
    while (done < length) {
        size_t count = 0;
        bool gone = false;
        enum status status =
            serial_write(link->port, bytes + done, length - done, &count, &gone, error);
        if (gone) {
            lose_port(link);
            return STATUS_FAILED;
        }
        if (status != STATUS_OK)
            return status;
        if (count == 0 && now_us() > deadline_us)
            return error_set(
                error, STATUS_FAILED,
                "The adapter at %s takes no more bytes: it is stuck. Unplug it and plug "
                "it in again.",
                link->options.port);
        if (count == 0)
            wait_port(link, POLLOUT, now_us() + 10000);
        done += count;
    }
    trace_bytes(link, '>', bytes, length);
    int64_t now = now_us();
    if (link->line_free_us < now)
        link->line_free_us = now;
    link->line_free_us += line_us(link, length);
    link->last_byte_us = link->line_free_us;
    return STATUS_OK;
}

/* In 256-byte pieces whose starts lie piece_us apart, for a chip that is slower than the line. */
static enum status send_paced(struct link *link, const uint8_t *bytes, size_t length,
                              int64_t piece_us, struct error *error)
{
    if (piece_us == 0)
        return send_now(link, bytes, length, error);
    int64_t start_us = now_us();
    for (size_t done = 0; done < length; done += PIECE) {
        size_t part = length - done < PIECE ? length - done : PIECE;
        sleep_until_us(start_us + (int64_t)(done / PIECE) * piece_us);
        enum status status = send_now(link, bytes + done, part, error);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* ------------------------------------------------------------------ bytes in */

static void listen(struct link *link, const uint8_t *bytes, size_t length)
{
    const uint64_t own_link_check = 0x01E0FC0100; /* as sent; an answer has 04 0E 05 before it */
    link->received.bytes += length;
    for (size_t i = 0; i < length; i++) {
        link->received.window = link->received.window << 8 | bytes[i];
        if ((link->received.window & 0xFFFFFFFFFF) == own_link_check &&
            (link->received.window >> 40 & 0xFF) != 0x05)
            link->received.echo = true;
        if ((link->received.window & 0xFFFF) == 0x55AA)
            link->received.tuya_mcu = true;
    }
}

/* Reads what is there into the parser; *count bytes. */
static enum status receive(struct link *link, size_t *count, struct error *error)
{
    *count = 0;
    if (link->port == NULL)
        return gone_error(link, error);
    uint8_t buffer[2048]; /* the parser has always room for this much */
    bool gone = false;
    enum status status = serial_read(link->port, buffer, sizeof buffer, count, &gone, error);
    if (gone) {
        lose_port(link);
        return STATUS_FAILED;
    }
    if (status != STATUS_OK || *count == 0)
        return status;
    trace_bytes(link, '<', buffer, *count);
    listen(link, buffer, *count);
    (void)beken_parser_push(link->parser, buffer, *count);
    link->last_byte_us = now_us();
    return STATUS_OK;
}

/* Takes all whole replies out of the parser and forgets them. */
static void discard_replies(struct link *link)
{
    struct beken_reply reply;
    while (beken_parser_next(link->parser, &reply))
        ;
}

/* Forgets everything that has arrived so far. */
static enum status discard_input(struct link *link, struct error *error)
{
    size_t count = 0;
    do {
        enum status status = receive(link, &count, error);
        if (status != STATUS_OK)
            return status;
        discard_replies(link);
    } while (count > 0);
    beken_parser_reset(link->parser);
    return STATUS_OK;
}

/* Waits until nothing has come for quiet_ms; bounded, because a chattering line never is quiet. */
static enum status wait_quiet(struct link *link, int64_t quiet_ms, struct error *error)
{
    int64_t give_up_us = now_us() + 10 * quiet_ms * 1000;
    int64_t quiet_us = now_us() + quiet_ms * 1000;
    while (now_us() < quiet_us && now_us() < give_up_us) {
        wait_port(link, POLLIN, quiet_us);
        size_t count = 0;
        enum status status = receive(link, &count, error);
        if (status != STATUS_OK)
            return status;
        discard_replies(link);
        if (count > 0)
            quiet_us = now_us() + quiet_ms * 1000;
    }
    beken_parser_reset(link->parser);
    return STATUS_OK;
}

/* ------------------------------------------------------------------ one exchange */

static bool is_link_answer(const struct beken_reply *reply)
{
    return !reply->flash && reply->command == BEKEN_WRITE_REGISTER && reply->length == 1 &&
           reply->value == 0;
}

static bool matches(const struct link_want *want, const struct beken_reply *reply)
{
    if (reply->flash != want->flash || reply->command != want->command || !reply->well_formed)
        return false;
    /* A refusal may name another address than the one asked for. */
    return !want->has_address || reply->address == want->address || reply->status != BEKEN_FLASH_OK;
}

/* Zeros first (see link_resync), then LinkChecks: harmless to a chip that is busy or listens. */
static enum status feed(struct link *link, bool first, struct error *error)
{
    struct beken_command check;
    static const uint8_t zeros[FILL_ZEROS] = {0};
    if (first)
        return send_now(link, zeros, sizeof zeros, error);
    beken_command_link_check(&check);
    return send_now(link, check.bytes, check.length, error);
}

/* How one answer is being waited for. */
struct wait {
    int64_t sent_us; /* when the command's last byte was out */
    int64_t deadline_us;
    int64_t fed_us;    /* 0 = not yet */
    unsigned probes;   /* of a cut reply, see is_only_late() */
    uint64_t received; /* bytes before the latest of them */
};

static bool is_cut(const struct link *link)
{
    return beken_parser_pending(link->parser) > 0 &&
           now_us() - link->last_byte_us > (int64_t)REPLY_GAP_MS * 1000;
}

static enum status feed_if_due(struct link *link, const struct link_want *want, struct wait *wait,
                               struct error *error)
{
    /* Not into half an answer: the feed's own answers would be taken for its rest. */
    if (!link->flapping || !want->chip_busy || beken_parser_pending(link->parser) > 0)
        return STATUS_OK;
    int64_t now = now_us();
    int64_t due = wait->fed_us == 0 ? wait->sent_us + (int64_t)FEED_AFTER_MS * 1000
                                    : wait->fed_us + (int64_t)FEED_EVERY_MS * 1000;
    if (now < due)
        return STATUS_OK;
    bool first = wait->fed_us == 0;
    wait->fed_us = now;
    return feed(link, first, error);
}

static int64_t next_wake_us(const struct link *link, const struct link_want *want,
                            const struct wait *wait)
{
    int64_t wake = wait->deadline_us;
    if (beken_parser_pending(link->parser) > 0 || (link->flapping && want->chip_busy)) {
        int64_t soon = now_us() + 10000;
        wake = soon < wake ? soon : wake;
    }
    return wake;
}

/* A reply has stopped half way: are its bytes lost, or held back? The chip answers in order, so one
 * LinkCheck tells: if nothing but its own answer comes, the rest was lost before it. If that answer
 * fills the reply up instead, its bytes are wrong, which the caller finds out by CRC. */
static enum status is_only_late(struct link *link, const struct link_want *want, struct wait *wait,
                                bool *late, struct error *error)
{
    bool told = wait->probes > 0 && link->received.bytes - wait->received <= LINK_ANSWER;
    *late = want->patient && !link->flapping && beken_parser_pending(link->parser) > 0 && !told &&
            wait->probes < REPLY_PROBES;
    if (!*late)
        return STATUS_OK;
    wait->probes++;
    wait->received = link->received.bytes;
    wait->fed_us = now_us();
    enum status status = feed(link, false, error);
    if (status == STATUS_OK)
        wait_port(link, POLLIN, now_us() + (int64_t)REPLY_LATE_MS * 1000);
    link->last_byte_us = now_us();
    wait->deadline_us = link->last_byte_us + (int64_t)REPLY_GAP_MS * 1000;
    return status;
}

/* The answer, if it is among what came. *passed: the chip has got to what was sent behind the command. */
static bool take_reply(struct link *link, const struct link_want *want, const struct wait *wait,
                       struct beken_reply *reply, bool *passed)
{
    while (beken_parser_next(link->parser, reply)) {
        if (matches(want, reply)) {
            int64_t arrived_us = now_us() - line_us(link, reply->frame_length);
            link->tail_us = arrived_us - wait->sent_us;
            /* The answer proves that the command has left, whatever the line should take. */
            if (link->line_free_us > now_us())
                link->line_free_us = now_us();
            return true;
        }
        *passed = *passed || (wait->fed_us != 0 && is_link_answer(reply));
    }
    return false;
}

static enum status tell_silence(struct link *link, const struct wait *wait, bool passed,
                                struct error *error)
{
    size_t filler = wait->probes > 0 ? (size_t)(link->received.bytes - wait->received) : 0;
    size_t pending = beken_parser_pending(link->parser);
    link->partial = pending > filler ? pending - filler : 0;
    link->listens = passed || link->partial > 0;
    beken_parser_reset(link->parser);
    if (link->partial > 0)
        return error_set(error, STATUS_NO_ANSWER, "Only %zu bytes of an answer came.",
                         link->partial);
    return error_set(error, STATUS_NO_ANSWER, "No answer came.");
}

/* Takes in what has come, or comes before the next thing is due. */
static enum status listen_on(struct link *link, const struct link_want *want, struct wait *wait,
                             bool over, struct error *error)
{
    enum status status = over ? STATUS_OK : feed_if_due(link, want, wait, error);
    if (status != STATUS_OK)
        return status;
    if (!over)
        wait_port(link, POLLIN, next_wake_us(link, want, wait));
    size_t count = 0;
    status = receive(link, &count, error);
    if (status != STATUS_OK)
        return status;
    /* Bytes of a long reply keep coming: only silence ends it. */
    if (count > 0 && beken_parser_pending(link->parser) > 0 &&
        wait->deadline_us < now_us() + (int64_t)REPLY_GAP_MS * 1000)
        wait->deadline_us = now_us() + (int64_t)REPLY_GAP_MS * 1000;
    return STATUS_OK;
}

/* One answer within wait->deadline_us. */
static enum status await_reply(struct link *link, const struct link_want *want, struct wait *wait,
                               struct beken_reply *reply, struct error *error)
{
    bool passed = false;
    bool looked = false; /* since the time was up: this process may have been held up meanwhile */
    while (!take_reply(link, want, wait, reply, &passed)) {
        bool over = now_us() >= wait->deadline_us || is_cut(link);
        bool late = false;
        enum status status = STATUS_OK;
        if (!passed && over && looked)
            status = is_only_late(link, want, wait, &late, error);
        if (status != STATUS_OK)
            return status;
        if (passed || (over && looked && !late))
            return tell_silence(link, wait, passed, error);
        looked = over && !late;
        status = listen_on(link, want, wait, over, error);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

enum status link_ask(struct link *link, const struct beken_command *command,
                     const struct link_want *want, struct beken_reply *reply, struct error *error)
{
    link->partial = 0;
    link->listens = false;
    enum status status = discard_input(link, error);
    if (status != STATUS_OK)
        return status;
    status = send_paced(link, command->bytes, command->length, want->piece_us, error);
    if (status != STATUS_OK)
        return status;
    struct wait wait = {.sent_us = link->line_free_us};
    wait.deadline_us = wait.sent_us + want->timeout_ms * 1000;
    status = await_reply(link, want, &wait, reply, error);
    if (status != STATUS_OK || wait.fed_us == 0)
        return status;
    /* Answers to the feed are still to come; they must not be taken for later ones. */
    struct beken_reply answer = *reply;
    memcpy(link->held, reply->data, answer.length);
    answer.data = link->held;
    status = wait_quiet(link, FEED_EVERY_MS, error);
    *reply = answer;
    return status;
}

enum status link_tell(struct link *link, const struct beken_command *command, struct error *error)
{
    enum status status = send_now(link, command->bytes, command->length, error);
    if (status != STATUS_OK)
        return status;
    status = serial_drain(link->port, 1000, error);
    sleep_until_us(link->line_free_us);
    return status;
}

static enum status check_within(struct link *link, int64_t timeout_ms, struct error *error)
{
    struct beken_command check;
    struct beken_reply reply;
    beken_command_link_check(&check);
    const struct link_want want = {.command = BEKEN_WRITE_REGISTER, .timeout_ms = timeout_ms};
    enum status status = link_ask(link, &check, &want, &reply, error);
    int64_t tail_us = link->tail_us > 0 ? link->tail_us : 0;
    if (status == STATUS_OK && (link->round_trip_us == 0 || tail_us < link->round_trip_us))
        link->round_trip_us = tail_us;
    return status;
}

/* A T must not be left alone for 500 ms, so patience comes in small portions there. */
static enum status confirm(struct link *link, struct error *error)
{
    int64_t portion_ms = link->flapping ? FEED_AFTER_MS : CONFIRM_MS / 5;
    enum status status = STATUS_NO_ANSWER;
    for (int64_t spent = 0; spent < CONFIRM_MS && status == STATUS_NO_ANSWER; spent += portion_ms)
        status = check_within(link, portion_ms, error);
    return status;
}

enum status link_check(struct link *link, struct error *error)
{
    return confirm(link, error);
}

/* Counts answers until `sent` have come, or nothing for a while; *any: something came. */
static enum status count_answers(struct link *link, unsigned sent, unsigned *answers, bool *any,
                                 struct error *error)
{
    int64_t gap_us = (int64_t)FEED_AFTER_MS * 1000;
    int64_t deadline_us = link->line_free_us + gap_us;
    enum status status = STATUS_OK;
    struct beken_reply reply;
    /* Time alone does not end it: this process may have been held up with answers waiting. */
    for (bool over = false; status == STATUS_OK && *answers < sent && !over;) {
        wait_port(link, POLLIN, deadline_us);
        over = now_us() >= deadline_us;
        size_t got = 0;
        status = receive(link, &got, error);
        while (beken_parser_next(link->parser, &reply))
            *answers += is_link_answer(&reply);
        if (got > 0) {
            *any = true;
            over = false;
            deadline_us = now_us() + gap_us;
        }
    }
    return status;
}

enum status link_volley(struct link *link, unsigned count, unsigned *lost, struct error *error)
{
    uint8_t bytes[VOLLEY_MAX * 5];
    struct beken_command check;
    beken_command_link_check(&check);
    if (count > VOLLEY_MAX)
        count = VOLLEY_MAX;
    for (unsigned i = 0; i < count; i++)
        memcpy(bytes + i * check.length, check.bytes, check.length);
    unsigned sent = count;
    unsigned answers = 0;
    bool any = false;
    enum status status = discard_input(link, error);
    if (status == STATUS_OK)
        status = send_now(link, bytes, count * check.length, error);
    if (status == STATUS_OK)
        status = count_answers(link, sent, &answers, &any, error);
    /* Late is not lost: one more at a time, until nothing but its own answer comes or hope is gone.
     */
    int64_t give_up_us = now_us() + (int64_t)CONFIRM_MS * 1000;
    bool told = false;
    for (; status == STATUS_OK && answers < sent && !told && now_us() < give_up_us; sent++) {
        unsigned before = answers;
        any = false;
        status = send_now(link, check.bytes, check.length, error);
        if (status == STATUS_OK)
            status = count_answers(link, sent + 1, &answers, &any, error);
        told = any && answers - before <= 1;
    }
    beken_parser_reset(link->parser);
    *lost = answers < sent ? sent - answers : 0;
    return status;
}

/* ------------------------------------------------------------------ finding back */

/* Whether a LinkCheck's answer came until then; others are dropped. */
static enum status received_answer(struct link *link, int64_t until_us, bool *received,
                                   struct error *error)
{
    struct beken_reply reply;
    *received = false;
    do {
        wait_port(link, POLLIN, until_us);
        size_t count = 0;
        enum status status = receive(link, &count, error);
        if (status != STATUS_OK)
            return status;
        while (beken_parser_next(link->parser, &reply))
            *received = *received || is_link_answer(&reply);
    } while (!*received && now_us() < until_us);
    return STATUS_OK;
}

/* Stop sending, let the late answers pass, and make sure with one LinkCheck. */
static enum status settle(struct link *link, struct error *error)
{
    int64_t quiet_ms = link->flapping ? FEED_AFTER_MS : QUIET_MS;
    enum status status = wait_quiet(link, quiet_ms, error);
    if (status != STATUS_OK)
        return status;
    serial_flush_input(link->port);
    return confirm(link, error);
}

static enum status fill(struct link *link, bool *received, struct error *error)
{
    uint8_t piece[PIECE] = {0};
    struct beken_command check;
    beken_command_link_check(&check);
    size_t per_piece = PIECE / check.length;
    for (size_t i = 0; i < per_piece; i++)
        memcpy(piece + i * check.length, check.bytes, check.length);
    enum status status = feed(link, true, error);
    for (size_t sent = 0;
         sent < FILL_BYTES && status == STATUS_OK && !*received && !link_stopped(link);
         sent += per_piece * check.length) {
        int64_t next_us = now_us() + (int64_t)FILL_PIECE_MS * 1000;
        status = send_now(link, piece, per_piece * check.length, error);
        if (next_us < link->line_free_us)
            next_us = link->line_free_us;
        if (status == STATUS_OK)
            status = received_answer(link, next_us, received, error);
    }
    int64_t give_up_us = now_us() + (int64_t)FILL_EXTRA_MS * 1000;
    while (status == STATUS_OK && !*received && now_us() < give_up_us && !link_stopped(link)) {
        status = feed(link, false, error);
        if (status == STATUS_OK)
            status = received_answer(link, now_us() + 10000, received, error);
    }
    return status;
}

enum status link_resync(struct link *link, struct error *error)
{
    trace_event(link, "resynchronise at", link->baud);
    if (link->port == NULL)
        return gone_error(link, error);
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
    while (!*received && now_us() < until_us && !link_stopped(link)) {
        enum status status = send_now(link, check.bytes, check.length, error);
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
    enum status status = call_until(link, now_us() + for_ms * 1000, &received, error);
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
        status = call_until(link, now_us() + (int64_t)RESET_PULSE_MS * 1000, &received, error);
    if (status == STATUS_OK && link->options.reset == LINK_RESET_RTS_DTR) {
        status = set_reset_lines(link, false, true, error);
        if (status == STATUS_OK)
            status = call_until(link, now_us() + (int64_t)RESET_STEP_MS * 1000, &received, error);
    }
    return status == STATUS_OK ? set_reset_lines(link, false, false, error) : status;
}

/* Apps with a console on this line restart on this word; others do not mind it. */
static enum status soft_reset(struct link *link, struct error *error)
{
    static const char word[] = "reboot\r\n";
    return send_now(link, (const uint8_t *)word, sizeof word - 1, error);
}

static void ask_for_power_cycle(struct link *link, int64_t left_us)
{
    if (link->told_waiting)
        return;
    link->told_waiting = true;
    char sentence[200];
    char left[40] = ""; /* the time may be over already */
    if (left_us >= 1000000)
        (void)snprintf(left, sizeof left, " (%" PRId64 " s left)", left_us / 1000000);
    (void)snprintf(
        sentence, sizeof sentence,
        "Waiting for the module: switch its power off and on now, or connect CEN to GND for "
        "a moment%s.",
        left);
    note(link, sentence);
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
    enum status status = host_baud(link, LINK_FIRST_BAUD, error);
    int64_t reset_us = now_us();
    int64_t word_us = now_us() + (int64_t)SOFT_RESET_EVERY_MS * 1000;
    bool linked = false;
    if (link->options.reset == LINK_RESET_NONE)
        ask_for_power_cycle(link, deadline_us - now_us());
    while (status == STATUS_OK && !linked) {
        if (link_stopped(link))
            return link_stop_error(error);
        if (now_us() >= deadline_us)
            return no_answer(link, error);
        if (link->options.reset != LINK_RESET_NONE && now_us() >= reset_us) {
            reset_us = now_us() + (int64_t)RESET_EVERY_MS * 1000;
            status = pulse_reset(link, error);
        } else if (now_us() >= word_us) {
            word_us = now_us() + (int64_t)SOFT_RESET_EVERY_MS * 1000;
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
    trace_event(link, "silence for ms", SILENCE_MS);
    int64_t until_us = now_us() + (int64_t)SILENCE_MS * 1000;
    while (now_us() < until_us && !link_stopped(link))
        sleep_until_us(until_us);
}

/* Tries to find a chip that an earlier session left at this rate, maybe in mid command. */
static enum status try_rate(struct link *link, uint32_t baud, bool *linked, struct error *error)
{
    enum status status = host_baud(link, baud, error);
    if (status != STATUS_OK)
        return link->gone ? status : STATUS_OK; /* the adapter cannot do this rate */
    status = link_resync(link, error);
    *linked = status == STATUS_OK;
    return status == STATUS_NO_ANSWER ? STATUS_OK : status;
}

static void tell_gone(struct link *link)
{
    if (link->told_gone)
        return;
    link->told_gone = true;
    char sentence[300];
    (void)snprintf(sentence, sizeof sentence,
                   "The adapter at %s has gone; waiting %g s for it to come back.",
                   link->options.port, (double)link->options.timeout_ms / 1000);
    note(link, sentence);
}

/* A port that has just come back may not be ours to open for a moment, until its permissions are
 * set: only time ends the attempts. */
static enum status reopen(struct link *link, int64_t deadline_us, struct error *error)
{
    tell_gone(link);
    enum status status = STATUS_NO_ANSWER;
    while (status != STATUS_OK) {
        if (link_stopped(link))
            return link_stop_error(error);
        if (now_us() >= deadline_us)
            break;
        sleep_until_us(now_us() + (int64_t)REOPEN_EVERY_MS * 1000);
        status = open_port(link, error);
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
    return now_us() + link->options.timeout_ms * 1000;
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
    status = host_baud(link, LINK_FIRST_BAUD, error);
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
    link->told_gone = link->told_waiting = false;
    enum status status;
    do {
        if (link_stopped(link))
            return link_stop_error(error);
        status = reconnect_once(link, deadline_us, error);
    } while (status == STATUS_FAILED && link->gone && now_us() < deadline_us);
    return status;
}

/* ------------------------------------------------------------------ baud rate */

static enum status ask_baud(struct link *link, uint32_t baud, struct error *error)
{
    struct beken_command command;
    beken_command_set_baud(&command, baud, BAUD_DELAY);
    enum status status = discard_input(link, error);
    if (status == STATUS_OK)
        status = link_tell(link, &command, error);
    if (status != STATUS_OK)
        return status;
    /* The chip switches on the command's last byte and answers much later. */
    sleep_until_us(now_us() + (int64_t)BAUD_SWITCH_MS * 1000);
    status = host_baud(link, baud, error);
    if (status != STATUS_OK)
        return status;
    serial_flush_input(link->port);
    beken_parser_reset(link->parser);
    const struct link_want want = {.command = BEKEN_SET_BAUD};
    struct wait wait = {.sent_us = now_us(),
                        .deadline_us = now_us() + (int64_t)BAUD_REPLY_MS * 1000};
    struct beken_reply reply;
    status = await_reply(link, &want, &wait, &reply, error);
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
        status = confirm(link, &why);
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

/* ------------------------------------------------------------------ while the host is busy */

struct work {
    void (*function)(void *context);
    void *context;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool done;
};

static void *run_work(void *argument)
{
    struct work *work = argument;
    work->function(work->context);
    (void)pthread_mutex_lock(&work->lock);
    work->done = true;
    (void)pthread_cond_signal(&work->ended);
    (void)pthread_mutex_unlock(&work->lock);
    return NULL;
}

/* True when the work has ended; waits for it up to FEED_EVERY_MS. */
static bool wait_work(struct work *work)
{
    struct timespec until = {0};
    (void)clock_gettime(CLOCK_REALTIME, &until); /* what pthread_cond_timedwait counts in */
    until.tv_nsec += (long)FEED_EVERY_MS * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    (void)pthread_mutex_lock(&work->lock);
    if (!work->done)
        (void)pthread_cond_timedwait(&work->ended, &work->lock, &until);
    bool done = work->done;
    (void)pthread_mutex_unlock(&work->lock);
    return done;
}

void link_while(struct link *link, void (*function)(void *context), void *context)
{
    struct work work = {.function = function, .context = context};
    (void)pthread_mutex_init(&work.lock, NULL);
    (void)pthread_cond_init(&work.ended, NULL);
    pthread_t thread;
    bool started = pthread_create(&thread, NULL, run_work, &work) == 0;
    if (!started)
        function(context); /* a T may fall asleep; the next command finds it again */
    while (started && !wait_work(&work))
        if (link->flapping && link->port != NULL)
            (void)check_within(link, FEED_EVERY_MS,
                               NULL); /* the next command reports what is wrong */
    if (started)
        (void)pthread_join(thread, NULL);
    (void)pthread_cond_destroy(&work.ended);
    (void)pthread_mutex_destroy(&work.lock);
}
