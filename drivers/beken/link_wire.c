/* SPDX-License-Identifier: MIT */
#include "drivers/beken/link_wire.h"

#include "drivers/base/clock.h"
#include "drivers/base/memory.h"
#include "drivers/serial/port.h"

#include <inttypes.h>
#include <time.h>

int64_t wire_now_us(void)
{
    struct timespec now = {0};
    (void)clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void wire_sleep_until(int64_t when_us)
{
    const struct timespec when = clock_timespec_us(when_us);
    /* A signal may end it early: the caller's loop looks at the clock and at the stop flag. */
    (void)clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &when, NULL);
}

int64_t wire_duration_us(const struct link *link, size_t bytes)
{
    return (int64_t)bytes * 10 * 1000000 / link->baud;
}

void wire_note(const struct link *link, const char *sentence)
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
    int64_t at = wire_now_us() - link->opened_us;
    (void)fprintf(link->options.trace, "%" PRId64 ".%06" PRId64 " %c", at / 1000000, at % 1000000,
                  direction);
    for (size_t i = 0; i < length; i++)
        (void)fprintf(link->options.trace, " %02x", bytes[i]);
    (void)fputc('\n', link->options.trace);
}

void wire_trace(const struct link *link, const char *what, uint32_t value)
{
    if (link->options.trace == NULL)
        return;
    int64_t at = wire_now_us() - link->opened_us;
    (void)fprintf(link->options.trace, "%" PRId64 ".%06" PRId64 " # %s %" PRIu32 "\n", at / 1000000,
                  at % 1000000, what, value);
}

/* ------------------------------------------------------------------ the port */

enum status wire_open(struct link *link, struct error *error)
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
    link->line_free_us = wire_now_us();
    wire_trace(link, "open at", link->baud);
    if (reset != LINK_RESET_NONE && !serial_has_lines(link->port)) {
        link->options.reset = LINK_RESET_NONE;
        wire_note(
            link,
            "This port has no RTS and DTR, so --reset does nothing; the module's power has to "
            "be switched by hand.");
    }
    return STATUS_OK;
}

static void lose_port(struct link *link)
{
    if (!link->gone)
        wire_trace(link, "port has gone at", link->baud);
    link->gone = true;
    serial_close(link->port);
    link->port = NULL;
    beken_parser_reset(link->parser);
}

enum status wire_gone_error(const struct link *link, struct error *error)
{
    return error_set(error, STATUS_FAILED,
                     "The adapter at %s has gone: unplugged, or it lost power.",
                     link->options.port);
}

enum status wire_set_baud(struct link *link, uint32_t baud, struct error *error)
{
    if (link->port == NULL)
        return wire_gone_error(link, error);
    enum status status = serial_set_baud(link->port, baud, error);
    if (status != STATUS_OK)
        return status;
    link->baud = baud;
    wire_trace(link, "host at", baud);
    return STATUS_OK;
}

enum status link_open(const struct link_options *options, struct link **result, struct error *error)
{
    struct link *link = memory_new(1, sizeof *link);
    link->options = *options;
    link->parser = beken_parser_create();
    link->baud = LINK_FIRST_BAUD;
    link->flapping = true;
    link->opened_us = wire_now_us();
    enum status status = wire_open(link, error);
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
void wire_wait(const struct link *link, short events, int64_t until_us)
{
    struct pollfd state = {.fd = serial_fd(link->port), .events = events};
    int64_t left_us = until_us - wire_now_us();
    if (left_us < 0)
        left_us = 0;
    const struct timespec left = clock_timespec_us(left_us);
    (void)ppoll(&state, 1, &left, NULL);
}

enum status wire_send(struct link *link, const uint8_t *bytes, size_t length, struct error *error)
{
    if (link->port == NULL)
        return wire_gone_error(link, error);
    int64_t deadline_us = wire_now_us() + 2000000 + 3 * wire_duration_us(link, length);
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
        if (count == 0 && wire_now_us() > deadline_us)
            return error_set(
                error, STATUS_FAILED,
                "The adapter at %s takes no more bytes: it is stuck. Unplug it and plug "
                "it in again.",
                link->options.port);
        if (count == 0)
            wire_wait(link, POLLOUT, wire_now_us() + 10000);
        done += count;
    }
    trace_bytes(link, '>', bytes, length);
    int64_t now = wire_now_us();
    if (link->line_free_us < now)
        link->line_free_us = now;
    link->line_free_us += wire_duration_us(link, length);
    link->last_byte_us = link->line_free_us;
    return STATUS_OK;
}

/* In 256-byte pieces whose starts lie piece_us apart, for a chip that is slower than the line. */
enum status wire_send_paced(struct link *link, const uint8_t *bytes, size_t length,
                            int64_t piece_us, struct error *error)
{
    if (piece_us == 0)
        return wire_send(link, bytes, length, error);
    int64_t start_us = wire_now_us();
    for (size_t done = 0; done < length; done += WIRE_PIECE) {
        size_t part = length - done < WIRE_PIECE ? length - done : WIRE_PIECE;
        wire_sleep_until(start_us + (int64_t)(done / WIRE_PIECE) * piece_us);
        enum status status = wire_send(link, bytes + done, part, error);
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
enum status wire_receive(struct link *link, size_t *count, struct error *error)
{
    *count = 0;
    if (link->port == NULL)
        return wire_gone_error(link, error);
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
    link->last_byte_us = wire_now_us();
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
enum status wire_discard(struct link *link, struct error *error)
{
    size_t count = 0;
    do {
        enum status status = wire_receive(link, &count, error);
        if (status != STATUS_OK)
            return status;
        discard_replies(link);
    } while (count > 0);
    beken_parser_reset(link->parser);
    return STATUS_OK;
}

/* Waits until nothing has come for quiet_ms; bounded, because a chattering line never is quiet. */
enum status wire_wait_quiet(struct link *link, int64_t quiet_ms, struct error *error)
{
    int64_t give_up_us = wire_now_us() + 10 * quiet_ms * 1000;
    int64_t quiet_us = wire_now_us() + quiet_ms * 1000;
    while (wire_now_us() < quiet_us && wire_now_us() < give_up_us) {
        wire_wait(link, POLLIN, quiet_us);
        size_t count = 0;
        enum status status = wire_receive(link, &count, error);
        if (status != STATUS_OK)
            return status;
        discard_replies(link);
        if (count > 0)
            quiet_us = wire_now_us() + quiet_ms * 1000;
    }
    beken_parser_reset(link->parser);
    return STATUS_OK;
}
