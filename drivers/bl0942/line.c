/* SPDX-License-Identifier: MIT */
#include "drivers/bl0942/line.h"

#include "drivers/base/clock.h"
#include "drivers/base/memory.h"
#include "drivers/bl0942/spi_line.h"
#include "drivers/serial/address.h"
#include "drivers/serial/dialer.h"
#include "drivers/serial/port.h"
#include "drivers/serial/socket.h"

#include <stdio.h>
#include <string.h>

#define RETRY_FIRST_MS 1000
#define RETRY_LAST_MS 30000
/* Over a network: back within 15 s after a fault ends, an attempt of 5 s included. */
#define REMOTE_RETRY_FIRST_MS 500
#define REMOTE_RETRY_LAST_MS 5000
/* So many requests in a row without an answer, and the connection is made anew. */
#define SILENCE_MAX 3
/* A port that lasted this long was well; one that did not keeps the longer pause. */
#define WELL_MS 10000
/* No chip sends that much in a turn of the loop; whoever floods us must not starve the others. */
#define READS_PER_TURN 8
#define CANNOT_WATCH "The event loop cannot watch this port; is the limit of open files reached?"

struct bl0942_line {
    struct bl0942_spi_line *spi; /* NULL: a serial line; else nothing below is used */
    unsigned spi_channel;
    uv_loop_t *loop;
    struct log *log;
    char *name;
    uint32_t baud;
    struct bl0942_session *session;
    struct serial_dialer *dialer; /* NULL: the port is a tty */
    struct serial_port *port;     /* NULL while there is none */
    uv_poll_t *poll;              /* of the port; freed in its close callback */
    bool watched;                 /* the loop wakes when bytes arrive */
    uv_timer_t timer;             /* the session's next deadline, or the next try to open */
    int64_t opened_ms;
    int64_t retry_ms, retry_first_ms, retry_last_ms;
    bool complained; /* about the port being away: say it once */
};

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

static void let_go(struct bl0942_line *line)
{
    if (line->poll != NULL) {
        (void)uv_poll_stop(line->poll);
        uv_close((uv_handle_t *)line->poll, free_handle);
        line->poll = NULL;
        line->watched = false;
    }
    serial_close(line->port); /* after uv_poll_stop: libuv no longer looks at the descriptor */
    line->port = NULL;
}

static void on_timer(uv_timer_t *timer);

static void wake_in(struct bl0942_line *line, int64_t ms)
{
    uv_update_time(line->loop); /* libuv counts from the time it read at the start of this turn */
    (void)uv_timer_start(&line->timer, on_timer, ms > 0 ? (uint64_t)ms : 0, 0);
}

/* The port could not be opened, or is lost: tell, and try again later. */
static void give_up_port(struct bl0942_line *line, const char *reason)
{
    int64_t now_ms = clock_boot_ms();
    if (line->port != NULL && now_ms - line->opened_ms >= WELL_MS)
        line->retry_ms = line->retry_first_ms;
    let_go(line);
    if (!line->complained)
        log_warning(line->log, "%s", reason);
    line->complained = true;
    wake_in(line, line->retry_ms);
    line->retry_ms *= 2;
    if (line->retry_ms > line->retry_last_ms)
        line->retry_ms = line->retry_last_ms;
    bl0942_session_gone(line->session, now_ms, reason);
}

/* Hands what has arrived to the session. False: the port is lost, and that has been dealt with. */
static bool read_all(struct bl0942_line *line)
{
    for (int i = 0; i < READS_PER_TURN; i++) {
        uint8_t bytes[256];
        size_t count;
        bool gone;
        struct error error = {""};
        if (serial_read(line->port, bytes, sizeof bytes, &count, &gone, &error) != STATUS_OK) {
            give_up_port(line, error.text);
            return false;
        }
        if (count > 0)
            bl0942_session_receive(line->session, clock_boot_ms(), clock_wall_ms(), bytes, count);
        if (count < sizeof bytes)
            break;
    }
    return true;
}

static enum status send_bytes(struct bl0942_line *line, const struct bl0942_action *action,
                              struct error *error)
{
    size_t count;
    bool gone;
    enum status status =
        serial_write(line->port, action->bytes, action->length, &count, &gone, error);
    if (status == STATUS_OK && count < action->length)
        return error_set(error, STATUS_FAILED,
                         "%s takes no more bytes; the adapter is stuck, unplug it and put it back.",
                         line->name);
    return status;
}

static enum status obey(struct bl0942_line *line, const struct bl0942_action *action,
                        struct error *error)
{
    switch (action->kind) {
    case BL0942_SEND:
        return send_bytes(line, action, error);
    case BL0942_SET_BAUD:
        return serial_set_baud(line->port, action->baud, error);
    case BL0942_BREAK_ON:
        return serial_set_break(line->port, true, error);
    case BL0942_BREAK_OFF:
        return serial_set_break(line->port, false, error);
    case BL0942_WAIT:
        break;
    }
    return STATUS_OK;
}

/* A connection may be open and lead nowhere: to a dead peer, or to a port that somebody else holds. */
static bool is_silent(struct bl0942_line *line)
{
    char reason[512];
    struct text text;
    if (line->dialer == NULL || bl0942_session_silence(line->session) < SILENCE_MAX)
        return false;
    text_init(&text, reason, sizeof reason);
    text_append(&text, "%s is connected, but no chip answers. ", line->name);
    serial_socket_explain_silence(line->port, &text);
    give_up_port(line, reason);
    return true;
}

static void on_poll(uv_poll_t *poll, int status, int events);

/* An answer trickles in byte by byte. While it cannot be complete nobody looks at the port: on a small
 * computer every wake-up costs more than the bytes are worth. */
static bool watch(struct bl0942_line *line, bool wanted)
{
    if (line->watched == wanted)
        return true;
    if (!wanted)
        (void)uv_poll_stop(line->poll);
    else if (uv_poll_start(line->poll, UV_READABLE | UV_DISCONNECT, on_poll) != 0)
        return false;
    line->watched = wanted;
    return true;
}

static void sleep_until(struct bl0942_line *line, const struct bl0942_action *action,
                        int64_t now_ms)
{
    bool listens = action->listen_ms <= now_ms;
    int64_t wait_ms = (listens ? action->until_ms : action->listen_ms) - now_ms;
    if (watch(line, listens))
        wake_in(line, wait_ms < 60000 ? wait_ms : 60000);
    else
        give_up_port(line, CANNOT_WATCH);
}

/* Bytes first: an answer that is there counts, even if its deadline has passed meanwhile. */
static void pump(struct bl0942_line *line)
{
    if (!read_all(line))
        return;
    for (;;) {
        struct bl0942_action action;
        struct error error = {""};
        int64_t now_ms = clock_boot_ms();
        bl0942_session_next(line->session, now_ms, &action);
        if (is_silent(line))
            return;
        if (action.kind == BL0942_WAIT) {
            sleep_until(line, &action, now_ms);
            return;
        }
        if (obey(line, &action, &error) != STATUS_OK) {
            give_up_port(line, error.text);
            return;
        }
    }
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    (void)status, (void)events; /* reading says whether these are bytes or a hang-up */
    pump(poll->data);
}

static bool watch_new_port(struct bl0942_line *line)
{
    line->poll = memory_new(1, sizeof *line->poll);
    if (uv_poll_init(line->loop, line->poll, serial_fd(line->port)) != 0) {
        free(line->poll);
        line->poll = NULL;
        return false;
    }
    line->poll->data = line;
    return watch(line, true);
}

static void begin_session(struct bl0942_line *line)
{
    if (!watch_new_port(line)) {
        give_up_port(line, CANNOT_WATCH);
        return;
    }
    line->opened_ms = clock_boot_ms();
    line->complained = false;
    log_info(line->log, "%s is open.", line->name);
    bl0942_session_open(line->session, line->opened_ms);
    pump(line);
}

static void on_dialed(void *context, struct serial_port *port)
{
    struct bl0942_line *line = context;
    if (line->port != NULL) { /* a module dialed again: the old connection is dead */
        let_go(line);
        bl0942_session_gone(line->session, clock_boot_ms(), "The module has connected anew.");
    }
    line->port = port;
    begin_session(line);
}

static void on_dial_failed(void *context, const char *reason)
{
    give_up_port(context, reason);
}

static void open_port(struct bl0942_line *line)
{
    struct serial_options options = {.baud = line->baud};
    struct error error = {""};
    if (line->dialer != NULL) {
        serial_dialer_dial(line->dialer);
        return;
    }
    if (serial_open(line->name, &options, &line->port, &error) != STATUS_OK) {
        give_up_port(line, error.text);
        return;
    }
    begin_session(line);
}

static void on_timer(uv_timer_t *timer)
{
    struct bl0942_line *line = timer->data;
    if (line->port == NULL)
        open_port(line);
    else
        pump(line);
}

struct bl0942_line *bl0942_line_create(uv_loop_t *loop, const struct bl0942_line_options *options,
                                       const struct driver_sink *sink, struct log *log)
{
    struct bl0942_line *line = memory_new(1, sizeof *line);
    if (bl0942_is_spi(options->port)) {
        line->spi = bl0942_spi_line_create(loop, options->port, &options->chips[0], sink, log);
        line->spi_channel = options->chips[0].channel;
        return line;
    }
    line->loop = loop;
    line->log = log;
    line->name = memory_copy_text(options->port);
    line->baud = options->baud;
    struct serial_address address = {.kind = SERIAL_TTY};
    (void)serial_address_read(options->port, &address, NULL);
    bool remote = address.kind != SERIAL_TTY;
    line->retry_first_ms = remote ? REMOTE_RETRY_FIRST_MS : RETRY_FIRST_MS;
    line->retry_last_ms = remote ? REMOTE_RETRY_LAST_MS : RETRY_LAST_MS;
    line->retry_ms = line->retry_first_ms;
    if (remote)
        line->dialer =
            serial_dialer_create(loop, &(struct serial_dialer_options){.name = options->port,
                                                                       .baud = options->baud,
                                                                       .context = line,
                                                                       .opened = on_dialed,
                                                                       .failed = on_dial_failed});
    struct bl0942_session_options session = {.name = options->port,
                                             .baud = options->baud,
                                             .remote = remote,
                                             .raw = serial_address_is_raw(&address),
                                             .chip_count = options->chip_count};
    memcpy(session.chips, options->chips, sizeof session.chips);
    line->session = bl0942_session_create(&session, sink);
    (void)uv_timer_init(loop, &line->timer); /* never fails */
    line->timer.data = line;
    wake_in(line, 0);
    return line;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct bl0942_line *line = handle->data;
    bl0942_session_free(line->session);
    free(line->name);
    free(line);
}

void bl0942_line_close(struct bl0942_line *line)
{
    if (line == NULL)
        return;
    if (line->spi != NULL) {
        bl0942_spi_line_close(line->spi);
        free(line);
        return;
    }
    let_go(line);
    serial_dialer_close(line->dialer);
    uv_close((uv_handle_t *)&line->timer, on_timer_closed);
}

bool bl0942_line_statistics(const struct bl0942_line *line, unsigned channel,
                            struct driver_statistics *statistics)
{
    if (line->spi == NULL)
        return bl0942_session_statistics(line->session, channel, statistics);
    if (channel != line->spi_channel)
        return false;
    bl0942_spi_line_statistics(line->spi, statistics);
    return true;
}
