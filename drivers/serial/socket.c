/* SPDX-License-Identifier: MIT */
#include "drivers/serial/socket.h"

#include "drivers/base/clock.h"
#include "drivers/base/memory.h"
#include "drivers/serial/address.h"
#include "drivers/serial/kind.h"
#include "drivers/serial/telnet.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sockios.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECT_MS 10000
#define NEGOTIATION_MS 3000
#define CONFIRMATION_MS 2000
#define FIRST_BYTES 48
#define OUT_MAX 8192
#define READ_MAX 512

struct socket_port {
    struct serial_port base;
    bool rfc2217;
    bool waits; /* for the confirmation of a baud rate: in commands, never on an event loop */
    struct telnet telnet;
    uint32_t baud;
    int64_t idle_ms; /* boot clock: by then the UART has sent all that was written */
    uint8_t first[FIRST_BYTES];
    size_t first_count;
    uint64_t received;
    uint8_t in[READ_MAX]; /* data that arrived while something else was awaited */
    size_t in_count;
    uint8_t out[OUT_MAX]; /* what the kernel has not taken yet */
    size_t out_count;
};

static const struct serial_kind kind;

void serial_socket_prepare(int fd)
{
    const struct {
        int level, name, value;
    } options[] = {
        {IPPROTO_TCP, TCP_NODELAY, 1},   {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, 10}, {IPPROTO_TCP, TCP_KEEPINTVL, 5},
        {IPPROTO_TCP, TCP_KEEPCNT, 3},   {IPPROTO_TCP, TCP_USER_TIMEOUT, 15000},
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value,
                         sizeof options[i].value);
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* ---- words ---- */

/* The first bytes, if they are text: up to the first control character. */
static size_t text_length(const struct socket_port *port)
{
    size_t length = 0;
    while (length < port->first_count && port->first[length] >= ' ' && port->first[length] < 0x7F)
        length++;
    bool ended =
        length == port->first_count || port->first[length] == '\r' || port->first[length] == '\n';
    return length >= 8 && ended ? length : 0;
}

static bool is_telnet(const struct socket_port *port)
{
    return !port->rfc2217 && port->first_count >= 3 && port->first[0] == 0xFF &&
           port->first[1] >= 0xFB && port->first[1] <= 0xFE;
}

static enum status closed(const struct socket_port *port, bool *gone, struct error *error)
{
    *gone = true;
    int length = (int)text_length(port);
    if (length > 0)
        return error_set(error, STATUS_FAILED,
                         "%s closed the connection and said \"%.*s\"; another program is connected "
                         "there, or it is no serial port.",
                         port->base.name, length, (const char *)port->first);
    return error_set(error, STATUS_FAILED, "%s closed the connection.", port->base.name);
}

static enum status failed(const struct socket_port *port, bool *gone, struct error *error)
{
    *gone = true;
    return error_set(error, STATUS_FAILED, "The connection to %s is lost (%s).", port->base.name,
                     strerror(errno));
}

void serial_socket_explain_silence(const struct serial_port *base, struct text *text)
{
    const struct socket_port *port = (const struct socket_port *)base;
    int length = (int)text_length(port);
    if (is_telnet(port))
        text_append(text, "It speaks telnet: write rfc2217:// instead of tcp://.");
    else if (length > 0)
        text_append(text, "It sends text (\"%.*s\"): that is no serial port, or its log.", length,
                    (const char *)port->first);
    else if (port->received > 0)
        text_append(text,
                    "What it sends is no answer of a BL0942: check the baud rate at its other "
                    "end, and whether another program uses the port as well.");
    else
        text_append(text, "It sends nothing: another client may hold the port, or the chip has no "
                          "supply or other wires.");
}

/* ---- bytes ---- */

static enum status flush_out(struct socket_port *port, bool *gone, struct error *error)
{
    while (port->out_count > 0) {
        ssize_t put = send(port->base.fd, port->out, port->out_count, MSG_NOSIGNAL);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return errno == EAGAIN ? STATUS_OK : failed(port, gone, error);
        port->out_count -= (size_t)put;
        memmove(port->out, port->out + put, port->out_count);
    }
    return STATUS_OK;
}

/* False if there is no room: then the other side has taken nothing for long. */
static bool put_out(struct socket_port *port, const uint8_t *bytes, size_t length)
{
    if (length > OUT_MAX - port->out_count)
        return false;
    memcpy(port->out + port->out_count, bytes, length);
    port->out_count += length;
    return true;
}

static void note_first(struct socket_port *port, const uint8_t *bytes, size_t length)
{
    size_t room = FIRST_BYTES - port->first_count;
    size_t count = length < room ? length : room;
    memcpy(port->first + port->first_count, bytes, count);
    port->first_count += count;
    port->received += length;
}

static enum status receive(struct socket_port *port, uint8_t *data, size_t size, size_t *count,
                           bool *gone, struct error *error)
{
    uint8_t bytes[READ_MAX];
    ssize_t got;
    do {
        got = recv(port->base.fd, bytes, size < sizeof bytes ? size : sizeof bytes, 0);
    } while (got < 0 && errno == EINTR);
    if (got == 0)
        return closed(port, gone, error);
    if (got < 0)
        return errno == EAGAIN ? STATUS_OK : failed(port, gone, error);
    note_first(port, bytes, (size_t)got);
    if (!port->rfc2217) {
        memcpy(data, bytes, (size_t)got);
        *count = (size_t)got;
        return STATUS_OK;
    }
    *count = telnet_decode(&port->telnet, bytes, (size_t)got, data);
    bool room = put_out(port, port->telnet.reply, port->telnet.reply_length);
    port->telnet.reply_length = 0;
    return room ? flush_out(port, gone, error) : STATUS_OK;
}

static enum status socket_read(struct serial_port *base, void *buffer, size_t size, size_t *count,
                               bool *gone, struct error *error)
{
    struct socket_port *port = (struct socket_port *)base;
    enum status status = flush_out(port, gone, error);
    if (status != STATUS_OK || size == 0)
        return status;
    if (port->in_count > 0) {
        *count = port->in_count < size ? port->in_count : size;
        memcpy(buffer, port->in, *count);
        port->in_count -= *count;
        memmove(port->in, port->in + *count, port->in_count);
        return STATUS_OK;
    }
    return receive(port, buffer, size, count, gone, error);
}

static void note_written(struct socket_port *port, size_t length)
{
    int64_t now = clock_boot_ms();
    int64_t start = port->idle_ms > now ? port->idle_ms : now;
    port->idle_ms = start + ((int64_t)length * 10000 + port->baud - 1) / port->baud;
}

static enum status socket_write(struct serial_port *base, const void *bytes, size_t size,
                                size_t *count, bool *gone, struct error *error)
{
    struct socket_port *port = (struct socket_port *)base;
    const uint8_t *data = bytes;
    enum status status = flush_out(port, gone, error);
    if (status != STATUS_OK)
        return status;
    size_t room = (OUT_MAX - port->out_count) / 2; /* as all of it may be 0xFF */
    size_t taken = size < room ? size : room;
    if (port->rfc2217)
        port->out_count += telnet_encode(data, taken, port->out + port->out_count);
    else
        (void)put_out(port, data, taken);
    *count = taken;
    note_written(port, taken);
    return flush_out(port, gone, error);
}

static enum status send_command(struct socket_port *port, const uint8_t *bytes, size_t length,
                                struct error *error)
{
    bool gone = false;
    if (!put_out(port, bytes, length))
        return error_set(error, STATUS_FAILED, "%s takes no more bytes.", port->base.name);
    return flush_out(port, &gone, error);
}

/* Waits for bytes; what is data is kept for the next read, as far as there is room. */
static enum status wait_for_bytes(struct socket_port *port, int64_t deadline_ms,
                                  struct error *error)
{
    uint8_t data[READ_MAX];
    size_t count = 0;
    bool gone = false;
    int64_t left_ms = deadline_ms - clock_boot_ms();
    struct pollfd wait = {.fd = port->base.fd, .events = POLLIN};
    if (left_ms <= 0 || poll(&wait, 1, (int)left_ms) == 0)
        return STATUS_OK;
    enum status status = receive(port, data, sizeof data, &count, &gone, error);
    size_t room = READ_MAX - port->in_count;
    size_t kept = count < room ? count : room;
    memcpy(port->in + port->in_count, data, kept);
    port->in_count += kept;
    return status;
}

/* ---- what only RFC 2217 can do ---- */

static enum status socket_set_baud(struct serial_port *base, uint32_t baud, struct error *error)
{
    struct socket_port *port = (struct socket_port *)base;
    if (!port->rfc2217)
        return error_set(error, STATUS_FAILED,
                         "%s carries bytes only: its baud rate is set at its other end. With a "
                         "server for RFC 2217 (ser2net: telnet(rfc2217)) use rfc2217://.",
                         base->name);
    uint8_t bytes[TELNET_COMMAND_SIZE];
    port->baud = baud;
    port->telnet.baud = 0;
    enum status status = send_command(port, bytes, telnet_set_baud(baud, bytes), error);
    int64_t deadline_ms = clock_boot_ms() + CONFIRMATION_MS;
    while (status == STATUS_OK && port->waits && port->telnet.baud == 0) {
        if (clock_boot_ms() >= deadline_ms)
            return error_set(error, STATUS_FAILED, "%s does not confirm %u baud.", base->name,
                             baud);
        status = wait_for_bytes(port, deadline_ms, error);
    }
    uint32_t real = port->telnet.baud;
    if (status == STATUS_OK && port->waits && (real > baud ? real - baud : baud - real) > baud / 33)
        return error_set(error, STATUS_FAILED,
                         "%s does not do %u baud; the nearest it offers is %u.", base->name, baud,
                         real);
    return status;
}

static enum status socket_set_break(struct serial_port *base, bool on, struct error *error)
{
    struct socket_port *port = (struct socket_port *)base;
    uint8_t bytes[TELNET_COMMAND_SIZE];
    return port->rfc2217 ? send_command(port, bytes, telnet_set_break(on, bytes), error)
                         : STATUS_OK;
}

static bool socket_has_lines(const struct serial_port *base)
{
    return ((const struct socket_port *)base)->rfc2217;
}

static enum status socket_set_lines(struct serial_port *base, enum serial_line_level dtr,
                                    enum serial_line_level rts, struct error *error)
{
    struct socket_port *port = (struct socket_port *)base;
    uint8_t bytes[TELNET_COMMAND_SIZE];
    enum status status = STATUS_OK;
    if (!port->rfc2217)
        return STATUS_OK;
    if (dtr != SERIAL_LINE_KEEP) /* TTL outputs are active low: an asserted line is the low one */
        status = send_command(port, bytes, telnet_set_dtr(dtr == SERIAL_LINE_LOW, bytes), error);
    if (rts != SERIAL_LINE_KEEP && status == STATUS_OK)
        status = send_command(port, bytes, telnet_set_rts(rts == SERIAL_LINE_LOW, bytes), error);
    return status;
}

/* ---- the rest of a port ---- */

static void socket_flush_input(struct serial_port *base)
{
    struct socket_port *port = (struct socket_port *)base;
    uint8_t data[READ_MAX];
    size_t count;
    bool gone = false;
    port->in_count = 0;
    do {
        count = 0; /* whoever is gone shows it at the next read */
    } while (receive(port, data, sizeof data, &count, &gone, NULL) == STATUS_OK && count > 0);
}

static enum status socket_drain(struct serial_port *base, int64_t timeout_ms, struct error *error)
{
    struct socket_port *port = (struct socket_port *)base;
    int64_t deadline_ms = clock_boot_ms() + timeout_ms;
    for (;;) {
        bool gone = false;
        int queued = 0;
        enum status status = flush_out(port, &gone, error);
        if (status != STATUS_OK)
            return status;
        (void)ioctl(base->fd, SIOCOUTQ, &queued);
        int64_t now_ms = clock_boot_ms();
        if (port->out_count == 0 && queued == 0 && now_ms >= port->idle_ms)
            return STATUS_OK;
        if (now_ms >= deadline_ms)
            return error_set(error, STATUS_NO_ANSWER, "%s did not take all bytes within %lld ms.",
                             base->name, (long long)timeout_ms);
        (void)poll(NULL, 0, 1);
    }
}

static void socket_close(struct serial_port *base)
{
    struct socket_port *port = (struct socket_port *)base;
    (void)close(base->fd);
    free(base->name);
    free(port);
}

struct serial_port *serial_socket_adopt(const char *name, int fd, bool rfc2217, uint32_t baud)
{
    struct socket_port *port = memory_new(1, sizeof *port);
    bool gone = false;
    port->base = (struct serial_port){
        .kind = &kind, .name = memory_copy_text(name), .fd = fd, .remote = true, .raw = !rfc2217};
    port->rfc2217 = rfc2217;
    port->baud = baud;
    if (!rfc2217)
        return &port->base;
    telnet_begin(&port->telnet);
    (void)put_out(port, port->telnet.reply, port->telnet.reply_length);
    port->telnet.reply_length = 0;
    (void)flush_out(port, &gone, NULL); /* an error shows at the next read */
    return &port->base;
}

enum status serial_socket_negotiate(struct serial_port *base, bool *ready, struct error *error)
{
    struct socket_port *port = (struct socket_port *)base;
    *ready = !port->rfc2217 || telnet_is_ready(&port->telnet);
    if (*ready)
        return STATUS_OK;
    enum status status = wait_for_bytes(port, clock_boot_ms() + 1, error);
    if (status != STATUS_OK)
        return status;
    if (port->telnet.com_port_refused)
        return error_set(error, STATUS_FAILED,
                         "%s speaks telnet, but not RFC 2217: use tcp:// with a raw port.",
                         base->name);
    *ready = telnet_is_ready(&port->telnet);
    if (!*ready)
        return STATUS_OK;
    uint8_t bytes[3 * TELNET_COMMAND_SIZE];
    status = send_command(port, bytes, telnet_set_8n1(bytes), error);
    return status == STATUS_OK ? socket_set_baud(base, port->baud, error) : status;
}

static const struct serial_kind kind = {
    .read = socket_read,
    .write = socket_write,
    .flush_input = socket_flush_input,
    .drain = socket_drain,
    .set_baud = socket_set_baud,
    .set_break = socket_set_break,
    .has_lines = socket_has_lines,
    .set_lines = socket_set_lines,
    .close = socket_close,
};

/* ---- opening, for commands ---- */

static int connect_within(const struct addrinfo *to, int64_t deadline_ms)
{
    int fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, to->ai_addr, to->ai_addrlen) == 0)
        return fd;
    int failure = errno;
    socklen_t size = sizeof failure;
    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    int64_t left_ms = deadline_ms - clock_boot_ms();
    if (failure == EINPROGRESS) {
        failure = ETIMEDOUT;
        if (left_ms > 0 && poll(&wait, 1, (int)left_ms) > 0)
            (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size);
    }
    if (failure == 0)
        return fd;
    (void)close(fd);
    errno = failure;
    return -1;
}

static enum status dial(const char *name, const struct serial_address *address, int *fd,
                        struct error *error)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    int result = getaddrinfo(address->host, address->port, &hints, &list);
    if (result != 0)
        return error_set(error, STATUS_NO_ANSWER, "The host of %s is not found (%s).", name,
                         gai_strerror(result));
    int64_t deadline_ms = clock_boot_ms() + CONNECT_MS;
    *fd = -1;
    for (const struct addrinfo *to = list; to != NULL && *fd < 0; to = to->ai_next)
        *fd = connect_within(to, deadline_ms);
    int failure = errno;
    freeaddrinfo(list);
    if (*fd >= 0)
        return STATUS_OK;
    return error_set(error, STATUS_NO_ANSWER,
                     "%s cannot be reached (%s); check address and port, and whether the device is "
                     "on the network.",
                     name, strerror(failure));
}

static enum status negotiate(struct serial_port *port, struct error *error)
{
    int64_t deadline_ms = clock_boot_ms() + NEGOTIATION_MS;
    for (;;) {
        bool ready;
        enum status status = serial_socket_negotiate(port, &ready, error);
        if (status != STATUS_OK || ready)
            return status;
        if (clock_boot_ms() >= deadline_ms)
            return error_set(error, STATUS_NO_ANSWER,
                             "%s does not answer with RFC 2217: use tcp:// if it is a raw port.",
                             port->name);
    }
}

enum status serial_socket_open(const char *name, const struct serial_options *options,
                               struct serial_port **result, struct error *error)
{
    struct serial_address address;
    int fd = -1;
    enum status status = serial_address_read(name, &address, error);
    if (status != STATUS_OK)
        return status;
    if (address.kind == SERIAL_LISTEN)
        return error_set(error, STATUS_USAGE,
                         "%s waits for a module that dials: only the running service can do that.",
                         name);
    status = dial(name, &address, &fd, error);
    if (status != STATUS_OK)
        return status;
    serial_socket_prepare(fd);
    struct serial_port *port =
        serial_socket_adopt(name, fd, address.kind == SERIAL_RFC2217, options->baud);
    ((struct socket_port *)port)->waits = true;
    status = negotiate(port, error);
    if (status == STATUS_OK)
        status = serial_set_lines(port, options->dtr, options->rts, error);
    if (status != STATUS_OK) {
        serial_close(port);
        return status;
    }
    *result = port;
    return STATUS_OK;
}
