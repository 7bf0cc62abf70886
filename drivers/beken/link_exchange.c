/* SPDX-License-Identifier: MIT */
#include "drivers/beken/link_exchange.h"

#include "drivers/base/clock.h"
#include "drivers/serial/port.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

enum {
    FEED_EVERY_MS = 15,
    CONFIRM_MS = 500,
    REPLY_GAP_MS = 40,    /* a reply that pauses this long has lost bytes, or is late */
    REPLY_LATE_MS = 1000, /* the longest that an adapter or a busy machine holds the rest back */
    REPLY_PROBES = 8,
    VOLLEY_MAX = 32,
    LINK_ANSWER = 8, /* bytes of a LinkCheck's answer */
    FILL_ZEROS = 16, /* ends a command that lost an address byte */
};

bool exchange_is_link_answer(const struct beken_reply *reply)
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
enum status exchange_feed(struct link *link, bool first, struct error *error)
{
    struct beken_command check;
    static const uint8_t zeros[FILL_ZEROS] = {0};
    if (first)
        return wire_send(link, zeros, sizeof zeros, error);
    beken_command_link_check(&check);
    return wire_send(link, check.bytes, check.length, error);
}

static bool is_cut(const struct link *link)
{
    return beken_parser_pending(link->parser) > 0 &&
           wire_now_us() - link->last_byte_us > (int64_t)REPLY_GAP_MS * 1000;
}

static enum status feed_if_due(struct link *link, const struct link_want *want,
                               struct exchange_wait *wait, struct error *error)
{
    /* Not into half an answer: the feed's own answers would be taken for its rest. */
    if (!link->flapping || !want->chip_busy || beken_parser_pending(link->parser) > 0)
        return STATUS_OK;
    int64_t now = wire_now_us();
    int64_t due = wait->fed_us == 0 ? wait->sent_us + (int64_t)EXCHANGE_FEED_AFTER_MS * 1000
                                    : wait->fed_us + (int64_t)FEED_EVERY_MS * 1000;
    if (now < due)
        return STATUS_OK;
    bool first = wait->fed_us == 0;
    wait->fed_us = now;
    return exchange_feed(link, first, error);
}

static int64_t next_wake_us(const struct link *link, const struct link_want *want,
                            const struct exchange_wait *wait)
{
    int64_t wake = wait->deadline_us;
    if (beken_parser_pending(link->parser) > 0 || (link->flapping && want->chip_busy)) {
        int64_t soon = wire_now_us() + 10000;
        wake = soon < wake ? soon : wake;
    }
    return wake;
}

/* A reply has stopped half way: are its bytes lost, or held back? The chip answers in order, so one
 * LinkCheck decides: if nothing but its own answer comes, the rest was lost before it. If that answer
 * fills the reply up instead, its bytes are wrong, which the caller finds out by CRC. */
static enum status is_only_late(struct link *link, const struct link_want *want,
                                struct exchange_wait *wait, bool *late, struct error *error)
{
    bool decided = wait->probes > 0 && link->received.bytes - wait->received <= LINK_ANSWER;
    *late = want->patient && !link->flapping && beken_parser_pending(link->parser) > 0 &&
            !decided && wait->probes < REPLY_PROBES;
    if (!*late)
        return STATUS_OK;
    wait->probes++;
    wait->received = link->received.bytes;
    wait->fed_us = wire_now_us();
    enum status status = exchange_feed(link, false, error);
    if (status == STATUS_OK)
        wire_wait(link, POLLIN, wire_now_us() + (int64_t)REPLY_LATE_MS * 1000);
    link->last_byte_us = wire_now_us();
    wait->deadline_us = link->last_byte_us + (int64_t)REPLY_GAP_MS * 1000;
    return status;
}

/* The answer, if it is among what came. *passed: the chip has got to what was sent behind the command. */
static bool take_reply(struct link *link, const struct link_want *want,
                       const struct exchange_wait *wait, struct beken_reply *reply, bool *passed)
{
    while (beken_parser_next(link->parser, reply)) {
        if (matches(want, reply)) {
            int64_t arrived_us = wire_now_us() - wire_duration_us(link, reply->frame_length);
            link->tail_us = arrived_us - wait->sent_us;
            /* The answer proves that the command has left, whatever the line should take. */
            if (link->line_free_us > wire_now_us())
                link->line_free_us = wire_now_us();
            return true;
        }
        *passed = *passed || (wait->fed_us != 0 && exchange_is_link_answer(reply));
    }
    return false;
}

static enum status silence_error(struct link *link, const struct exchange_wait *wait, bool passed,
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
static enum status listen_on(struct link *link, const struct link_want *want,
                             struct exchange_wait *wait, bool over, struct error *error)
{
    enum status status = over ? STATUS_OK : feed_if_due(link, want, wait, error);
    if (status != STATUS_OK)
        return status;
    if (!over)
        wire_wait(link, POLLIN, next_wake_us(link, want, wait));
    size_t count = 0;
    status = wire_receive(link, &count, error);
    if (status != STATUS_OK)
        return status;
    /* Bytes of a long reply keep coming: only silence ends it. */
    if (count > 0 && beken_parser_pending(link->parser) > 0 &&
        wait->deadline_us < wire_now_us() + (int64_t)REPLY_GAP_MS * 1000)
        wait->deadline_us = wire_now_us() + (int64_t)REPLY_GAP_MS * 1000;
    return STATUS_OK;
}

/* One answer within wait->deadline_us. */
enum status exchange_await(struct link *link, const struct link_want *want,
                           struct exchange_wait *wait, struct beken_reply *reply,
                           struct error *error)
{
    bool passed = false;
    bool looked = false; /* since the time was up: this process may have been held up meanwhile */
    while (!take_reply(link, want, wait, reply, &passed)) {
        bool over = wire_now_us() >= wait->deadline_us || is_cut(link);
        bool late = false;
        enum status status = STATUS_OK;
        if (!passed && over && looked)
            status = is_only_late(link, want, wait, &late, error);
        if (status != STATUS_OK)
            return status;
        if (passed || (over && looked && !late))
            return silence_error(link, wait, passed, error);
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
    enum status status = wire_discard(link, error);
    if (status != STATUS_OK)
        return status;
    status = wire_send_paced(link, command->bytes, command->length, want->piece_us, error);
    if (status != STATUS_OK)
        return status;
    struct exchange_wait wait = {.sent_us = link->line_free_us};
    wait.deadline_us = wait.sent_us + want->timeout_ms * 1000;
    status = exchange_await(link, want, &wait, reply, error);
    if (status != STATUS_OK || wait.fed_us == 0)
        return status;
    /* Answers to the feed are still to come; they must not be taken for later ones. */
    struct beken_reply answer = *reply;
    memcpy(link->held, reply->data, answer.length);
    answer.data = link->held;
    status = wire_wait_quiet(link, FEED_EVERY_MS, error);
    *reply = answer;
    return status;
}

enum status link_tell(struct link *link, const struct beken_command *command, struct error *error)
{
    enum status status = wire_send(link, command->bytes, command->length, error);
    if (status != STATUS_OK)
        return status;
    status = serial_drain(link->port, 1000, error);
    wire_sleep_until(link->line_free_us);
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
enum status link_check(struct link *link, struct error *error)
{
    int64_t portion_ms = link->flapping ? EXCHANGE_FEED_AFTER_MS : CONFIRM_MS / 5;
    enum status status = STATUS_NO_ANSWER;
    for (int64_t spent = 0; spent < CONFIRM_MS && status == STATUS_NO_ANSWER; spent += portion_ms)
        status = check_within(link, portion_ms, error);
    return status;
}

/* Counts answers until `sent` have come, or nothing for a while; *any: something came. */
static enum status count_answers(struct link *link, unsigned sent, unsigned *answers, bool *any,
                                 struct error *error)
{
    int64_t gap_us = (int64_t)EXCHANGE_FEED_AFTER_MS * 1000;
    int64_t deadline_us = link->line_free_us + gap_us;
    enum status status = STATUS_OK;
    struct beken_reply reply;
    /* Time alone does not end it: this process may have been held up with answers waiting. */
    for (bool over = false; status == STATUS_OK && *answers < sent && !over;) {
        wire_wait(link, POLLIN, deadline_us);
        over = wire_now_us() >= deadline_us;
        size_t got = 0;
        status = wire_receive(link, &got, error);
        while (beken_parser_next(link->parser, &reply))
            *answers += exchange_is_link_answer(&reply);
        if (got > 0) {
            *any = true;
            over = false;
            deadline_us = wire_now_us() + gap_us;
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
    enum status status = wire_discard(link, error);
    if (status == STATUS_OK)
        status = wire_send(link, bytes, count * check.length, error);
    if (status == STATUS_OK)
        status = count_answers(link, sent, &answers, &any, error);
    /* Late is not lost: one more at a time, until nothing but its own answer comes or hope is gone.
     */
    int64_t give_up_us = wire_now_us() + (int64_t)CONFIRM_MS * 1000;
    bool decided = false;
    for (; status == STATUS_OK && answers < sent && !decided && wire_now_us() < give_up_us;
         sent++) {
        unsigned before = answers;
        any = false;
        status = wire_send(link, check.bytes, check.length, error);
        if (status == STATUS_OK)
            status = count_answers(link, sent + 1, &answers, &any, error);
        decided = any && answers - before <= 1;
    }
    beken_parser_reset(link->parser);
    *lost = answers < sent ? sent - answers : 0;
    return status;
}

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
    const struct timespec until = clock_timespec_us(1000 * (clock_awake_ms() + FEED_EVERY_MS));
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
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&work.ended, &attributes);
    (void)pthread_condattr_destroy(&attributes);
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
