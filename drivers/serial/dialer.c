/* SPDX-License-Identifier: MIT */
#include "drivers/serial/dialer.h"

#include "drivers/base/memory.h"
#include "drivers/serial/address.h"
#include "drivers/serial/socket.h"

#include <errno.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Well within the time in which a port is to be back after a fault: SYNs are sent after 0, 1 and 3 s. */
#define ATTEMPT_MS 5000
#define BACKLOG 4
#define REASON_SIZE 500

enum state { IDLE, LOOKING_UP, CONNECTING, NEGOTIATING, LISTENING };

struct lookup {
    uv_getaddrinfo_t request;
    struct serial_dialer *dialer; /* NULL: nobody waits for the result any more */
};

struct serial_dialer {
    uv_loop_t *loop;
    struct serial_dialer_options options;
    char *name;
    struct serial_address address;
    enum state state;
    struct lookup *lookup;
    struct addrinfo *found; /* all, to be freed */
    const struct addrinfo *next;
    int fd; /* connecting, or listening; -1 */
    uv_poll_t *poll;
    struct serial_port *port; /* negotiating */
    uv_timer_t timer;
};

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

static void stop_poll(struct serial_dialer *dialer)
{
    if (dialer->poll == NULL)
        return;
    (void)uv_poll_stop(dialer->poll);
    uv_close((uv_handle_t *)dialer->poll, free_handle);
    dialer->poll = NULL;
}

/* Ends the attempt, whatever it was at. */
static void reset(struct serial_dialer *dialer)
{
    stop_poll(dialer);
    (void)uv_timer_stop(&dialer->timer);
    if (dialer->lookup != NULL) {
        dialer->lookup->dialer = NULL;
        (void)uv_cancel((uv_req_t *)&dialer->lookup->request);
        dialer->lookup = NULL;
    }
    if (dialer->found != NULL)
        uv_freeaddrinfo(dialer->found);
    dialer->found = NULL;
    dialer->next = NULL;
    serial_close(dialer->port);
    dialer->port = NULL;
    if (dialer->fd >= 0)
        (void)close(dialer->fd);
    dialer->fd = -1;
    dialer->state = IDLE;
}

static void __attribute__((format(printf, 2, 3)))
fail(struct serial_dialer *dialer, const char *format, ...)
{
    char reason[REASON_SIZE];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    reset(dialer);
    dialer->options.failed(dialer->options.context, reason);
}

static bool watch(struct serial_dialer *dialer, int fd, int events, uv_poll_cb callback)
{
    dialer->poll = memory_new(1, sizeof *dialer->poll);
    if (uv_poll_init(dialer->loop, dialer->poll, fd) != 0) {
        free(dialer->poll);
        dialer->poll = NULL;
        return false;
    }
    dialer->poll->data = dialer;
    return uv_poll_start(dialer->poll, events, callback) == 0;
}

static void cannot_watch(struct serial_dialer *dialer)
{
    fail(dialer, "The event loop cannot watch %s; is the limit of open files reached?",
         dialer->name);
}

/* ---- the port is there ---- */

static void hand_over(struct serial_dialer *dialer)
{
    struct serial_port *port = dialer->port;
    dialer->port = NULL;
    reset(dialer);
    dialer->options.opened(dialer->options.context, port);
}

static void on_negotiation(uv_poll_t *poll, int status, int events)
{
    struct serial_dialer *dialer = poll->data;
    struct error error = {""};
    bool ready = false;
    (void)status, (void)events; /* reading tells */
    if (serial_socket_negotiate(dialer->port, &ready, &error) != STATUS_OK)
        fail(dialer, "%s", error.text);
    else if (ready)
        hand_over(dialer);
}

static void take_connection(struct serial_dialer *dialer)
{
    int fd = dialer->fd;
    bool rfc2217 = dialer->address.kind == SERIAL_RFC2217;
    stop_poll(dialer);
    serial_socket_prepare(fd);
    dialer->fd = -1;
    dialer->port = serial_socket_adopt(dialer->name, fd, rfc2217, dialer->options.baud);
    dialer->state = NEGOTIATING;
    if (!rfc2217)
        hand_over(dialer);
    else if (!watch(dialer, serial_fd(dialer->port), UV_READABLE, on_negotiation))
        cannot_watch(dialer);
}

/* ---- dialing ---- */

static void connect_next(struct serial_dialer *dialer, int failure);

static void on_connected(uv_poll_t *poll, int status, int events)
{
    struct serial_dialer *dialer = poll->data;
    int failure = 0;
    socklen_t size = sizeof failure;
    (void)status, (void)events;
    if (getsockopt(dialer->fd, SOL_SOCKET, SO_ERROR, &failure, &size) != 0)
        failure = errno;
    if (failure == 0) {
        take_connection(dialer);
        return;
    }
    stop_poll(dialer);
    (void)close(dialer->fd);
    dialer->fd = -1;
    connect_next(dialer, failure);
}

static void connect_next(struct serial_dialer *dialer, int failure)
{
    for (; dialer->next != NULL; failure = errno) {
        const struct addrinfo *to = dialer->next;
        dialer->next = to->ai_next;
        dialer->fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (dialer->fd < 0)
            continue;
        if (connect(dialer->fd, to->ai_addr, to->ai_addrlen) == 0 || errno == EINPROGRESS) {
            if (!watch(dialer, dialer->fd, UV_WRITABLE, on_connected))
                cannot_watch(dialer);
            return;
        }
        int kept = errno;
        (void)close(dialer->fd);
        dialer->fd = -1;
        errno = kept;
    }
    fail(dialer, "%s cannot be reached (%s).", dialer->name, strerror(failure));
}

static void on_found(uv_getaddrinfo_t *request, int status, struct addrinfo *found)
{
    struct lookup *lookup = (struct lookup *)request;
    struct serial_dialer *dialer = lookup->dialer;
    free(lookup);
    if (dialer == NULL) {
        uv_freeaddrinfo(found);
        return;
    }
    dialer->lookup = NULL;
    if (status != 0) {
        uv_freeaddrinfo(found);
        fail(dialer, "The host of %s is not found (%s).", dialer->name, uv_strerror(status));
        return;
    }
    dialer->found = found;
    dialer->next = found;
    dialer->state = CONNECTING;
    connect_next(dialer, EHOSTUNREACH);
}

static void on_late(uv_timer_t *timer)
{
    struct serial_dialer *dialer = timer->data;
    switch (dialer->state) {
    case LOOKING_UP:
        fail(dialer, "The name server did not answer who %s is.", dialer->name);
        break;
    case CONNECTING:
        fail(dialer, "%s does not answer: it is off, or off the network.", dialer->name);
        break;
    case NEGOTIATING:
        fail(dialer, "%s does not answer with RFC 2217: use tcp:// if it is a raw port.",
             dialer->name);
        break;
    case IDLE:
    case LISTENING:
        break;
    }
}

static void look_up(struct serial_dialer *dialer)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    dialer->lookup = memory_new(1, sizeof *dialer->lookup);
    dialer->lookup->dialer = dialer;
    dialer->state = LOOKING_UP;
    uv_update_time(dialer->loop);
    (void)uv_timer_start(&dialer->timer, on_late, ATTEMPT_MS, 0);
    int result = uv_getaddrinfo(dialer->loop, &dialer->lookup->request, on_found,
                                dialer->address.host, dialer->address.port, &hints);
    if (result == 0)
        return;
    free(dialer->lookup);
    dialer->lookup = NULL;
    fail(dialer, "The host of %s cannot be looked up (%s).", dialer->name, uv_strerror(result));
}

/* ---- listening ---- */

static bool is_allowed(const struct serial_dialer *dialer, const struct sockaddr_storage *peer)
{
    struct in6_addr address = {.s6_addr = {[10] = 0xFF, [11] = 0xFF}};
    if (peer->ss_family == AF_INET)
        memcpy(address.s6_addr + 12, &((const struct sockaddr_in *)peer)->sin_addr, 4);
    else
        address = ((const struct sockaddr_in6 *)peer)->sin6_addr;
    return serial_address_allows(&dialer->address, &address);
}

static void on_dialed(uv_poll_t *poll, int status, int events)
{
    struct serial_dialer *dialer = poll->data;
    struct sockaddr_storage peer = {0};
    socklen_t size = sizeof peer;
    (void)status, (void)events;
    int fd = accept4(dialer->fd, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    if (!is_allowed(dialer, &peer)) {
        (void)close(fd);
        return;
    }
    serial_socket_prepare(fd);
    struct serial_port *port = serial_socket_adopt(dialer->name, fd, false, dialer->options.baud);
    dialer->options.opened(dialer->options.context, port);
}

static int listen_at(const char *host, const char *port)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICSERV | AI_PASSIVE | AI_NUMERICHOST};
    struct addrinfo *list = NULL;
    if (getaddrinfo(host, port, &hints, &list) != 0) { /* numeric: asks nobody */
        errno = EADDRNOTAVAIL;
        return -1;
    }
    int yes = 1, no = 0;
    int fd = socket(list->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
        if (bind(fd, list->ai_addr, list->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
            int failure = errno;
            (void)close(fd);
            errno = failure;
            fd = -1;
        }
    }
    freeaddrinfo(list);
    return fd;
}

static int listen_on(const struct serial_address *address)
{
    if (address->host[0] != '\0')
        return listen_at(address->host, address->port);
    int fd = listen_at("::", address->port); /* takes IPv4 as well */
    return fd < 0 && errno == EAFNOSUPPORT ? listen_at("0.0.0.0", address->port) : fd;
}

static void begin_to_listen(struct serial_dialer *dialer)
{
    dialer->fd = listen_on(&dialer->address);
    if (dialer->fd < 0) {
        fail(dialer, "Nobody can be listened for at %s (%s).", dialer->name, strerror(errno));
        return;
    }
    dialer->state = LISTENING;
    if (!watch(dialer, dialer->fd, UV_READABLE, on_dialed))
        cannot_watch(dialer);
}

/* ---- from outside ---- */

void serial_dialer_dial(struct serial_dialer *dialer)
{
    if (dialer->state != IDLE)
        return;
    if (dialer->address.kind == SERIAL_LISTEN)
        begin_to_listen(dialer);
    else
        look_up(dialer);
}

struct serial_dialer *serial_dialer_create(uv_loop_t *loop,
                                           const struct serial_dialer_options *options)
{
    struct serial_dialer *dialer = memory_new(1, sizeof *dialer);
    dialer->loop = loop;
    dialer->options = *options;
    dialer->name = memory_copy_text(options->name);
    dialer->options.name = dialer->name;
    dialer->fd = -1;
    /* The configuration was checked; what is none all the same is a host that is not found. */
    (void)serial_address_read(options->name, &dialer->address, NULL);
    (void)uv_timer_init(loop, &dialer->timer); /* never fails */
    dialer->timer.data = dialer;
    return dialer;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct serial_dialer *dialer = handle->data;
    free(dialer->name);
    free(dialer);
}

void serial_dialer_close(struct serial_dialer *dialer)
{
    if (dialer == NULL)
        return;
    reset(dialer);
    uv_close((uv_handle_t *)&dialer->timer, on_timer_closed);
}
