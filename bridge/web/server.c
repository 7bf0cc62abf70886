/* SPDX-License-Identifier: MIT */
#include "bridge/web/server.h"
#include "bridge/web/httpd.h"

#include "bridge/web/exchange.h"
#include "bridge/web/peers.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Of a connection: the request's line and headers stand in it, and the answer's. */
#define CONNECTION_MEMORY 16384
/* Beyond SERVER_CONNECTIONS there is room for telling peers so. */
#define CONNECTIONS_SPARE 32
#define SWEEP_MS 1000

struct server {
    struct server_settings settings;
    struct MHD_Daemon *daemon;
    struct peers peers;
    struct exchange *uploads; /* a list */
    int open_handles;
    bool closing;
    bool resumed; /* a connection, since libmicrohttpd ran */
    uv_poll_t poll;
    uv_timer_t timer, sweep;
};

/* ---- libmicrohttpd on libuv's loop ---- */

static void on_timer(uv_timer_t *timer);

static void drive(struct server *server)
{
    if (server->closing)
        return;
    server->resumed = false;
    (void)httpd.run(server->daemon);
    MHD_UNSIGNED_LONG_LONG wait_ms;
    if (server->resumed)
        (void)uv_timer_start(&server->timer, on_timer, 0, 0);
    else if (httpd.get_timeout(server->daemon, &wait_ms) == MHD_YES)
        (void)uv_timer_start(&server->timer, on_timer, wait_ms, 0);
    else
        (void)uv_timer_stop(&server->timer);
}

/* libmicrohttpd looks for resumed connections only when it runs. */
void server_resumed(struct server *server)
{
    server->resumed = true;
    if (!server->closing)
        (void)uv_timer_start(&server->timer, on_timer, 0, 0);
}

static void on_timer(uv_timer_t *timer)
{
    drive(timer->data);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    drive(poll->data);
}

static void on_sweep(uv_timer_t *timer)
{
    struct server *server = timer->data;
    peers_sweep(&server->peers, clock_boot_ms());
}

/* ---- connections and requests ---- */

static void on_connection(void *context, struct MHD_Connection *connection, void **own,
                          enum MHD_ConnectionNotificationCode code)
{
    struct server *server = context;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        peers_remove(&server->peers, *own);
        return;
    }
    const union MHD_ConnectionInfo *info =
        httpd.get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    *own = peers_add(&server->peers, info->connect_fd, clock_boot_ms());
    if (server->peers.count > SERVER_CONNECTIONS)
        (void)peers_evict(&server->peers);
}

static struct peer *peer_of(struct MHD_Connection *connection)
{
    return httpd.get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
        ->socket_context;
}

static void set_phase(struct server *server, struct MHD_Connection *connection,
                      enum peer_phase phase)
{
    peers_set_phase(&server->peers, peer_of(connection), phase, clock_boot_ms());
}

static enum MHD_Result begin(struct server *server, struct MHD_Connection *connection,
                             const char *url, const char *method, void **own)
{
    struct exchange *exchange = exchange_new(server, connection, method, url);
    *own = exchange;
    set_phase(server, connection, PEER_RECEIVING);
    if (server->peers.answering >= SERVER_CONNECTIONS) {
        exchange_refuse(exchange, 503, "Too many connections are open; try again later.");
        return exchange_queue(exchange);
    }
    char path[PATH_MAX];
    int64_t limit = 0;
    if (server->settings.upload != NULL)
        server->settings.upload(server->settings.context, exchange, path, &limit);
    if (limit > 0 && !exchange_begun(exchange)) {
        exchange_expect_file(exchange, server->settings.loop, path, limit);
        *exchange_next_upload(exchange) = server->uploads;
        server->uploads = exchange;
    }
    if (exchange_begun(exchange))
        return exchange_queue(exchange);
    if (limit == 0 && exchange_announces_too_much(exchange)) {
        exchange_refuse(exchange, 413, "The body of a request has at most 65536 bytes.");
        return exchange_queue(exchange);
    }
    return MHD_YES;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **own)
{
    (void)version;
    struct server *server = context;
    if (*own == NULL)
        return begin(server, connection, url, method, own);
    struct exchange *exchange = *own;
    if (*upload_size > 0) {
        bool good = exchange_take_body(exchange, upload, *upload_size);
        *upload_size = 0;
        if (exchange_uploaded(exchange) >= 0) /* a large one takes its time, as long as it moves */
            set_phase(server, connection, PEER_RECEIVING);
        return good ? MHD_YES : MHD_NO;
    }
    if (!exchange_begun(exchange) && !exchange_file_complete(exchange))
        return MHD_YES; /* asleep until the disk is done */
    if (!exchange_begun(exchange)) {
        set_phase(server, connection, PEER_ANSWERING);
        if (exchange_ready(exchange))
            server->settings.handle(server->settings.context, exchange);
    }
    return exchange_queue(exchange);
}

static void forget_upload(struct server *server, const struct exchange *exchange)
{
    struct exchange **link = &server->uploads;
    while (*link != NULL && *link != exchange)
        link = exchange_next_upload(*link);
    if (*link != NULL)
        *link = *exchange_next_upload(*link);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **own,
                         enum MHD_RequestTerminationCode code)
{
    (void)code;
    struct server *server = context;
    if (*own == NULL)
        return;
    forget_upload(server, *own);
    exchange_free(*own);
    *own = NULL;
    set_phase(server, connection, PEER_IDLE);
}

/* ---- opening and closing ---- */

static int listen_on(const struct addrinfo *address)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    int one = 1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, 128) == 0)
        return fd;
    int fault = errno;
    (void)close(fd);
    errno = fault;
    return -1;
}

static enum status open_socket(struct server *server, int *fd, struct error *error)
{
    const struct server_settings *settings = &server->settings;
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *list = NULL;
    char port[8];
    (void)snprintf(port, sizeof port, "%u", settings->port);
    int code = getaddrinfo(settings->host, port, &hints, &list);
    if (code != 0)
        return error_set(error, STATUS_FAILED, "The address %s of web.listen cannot be found: %s.",
                         settings->host, gai_strerror(code));
    *fd = -1;
    for (const struct addrinfo *each = list; each != NULL && *fd < 0; each = each->ai_next)
        *fd = listen_on(each);
    int fault = errno;
    freeaddrinfo(list);
    if (*fd < 0 && fault == EADDRINUSE)
        return error_set(error, STATUS_FAILED,
                         "Port %u of %s is in use by another program; choose another one with "
                         "web.listen.",
                         settings->port, settings->host);
    if (*fd < 0)
        return error_set(error, STATUS_FAILED, "%s:%u of web.listen cannot be listened on: %s.",
                         settings->host, settings->port, strerror(fault));
    return STATUS_OK;
}

/* Its messages are about peers that broke off or sent junk: of no interest unless one looks. */
__attribute__((format(printf, 2, 0))) static void log_message(void *context, const char *format,
                                                              va_list arguments)
{
    const struct server *server = context;
    char line[256];
    (void)vsnprintf(line, sizeof line, format, arguments);
    line[strcspn(line, "\r\n")] = '\0';
    log_debug(server->settings.log, "HTTP: %s", line);
}

static void start_handles(struct server *server, int epoll_fd)
{
    uv_loop_t *loop = server->settings.loop;
    (void)uv_timer_init(loop, &server->timer);
    (void)uv_timer_init(loop, &server->sweep);
    (void)uv_poll_init(loop, &server->poll, epoll_fd);
    server->timer.data = server->sweep.data = server->poll.data = server;
    server->open_handles = 3;
    (void)uv_poll_start(&server->poll, UV_READABLE, on_readable);
    (void)uv_timer_start(&server->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
}

enum status server_open(const struct server_settings *settings, struct server **result,
                        struct error *error)
{
    int fd = -1;
    if (httpd_load(error) != STATUS_OK)
        return STATUS_FAILED;
    struct server *server = memory_new(1, sizeof *server);
    server->settings = *settings;
    enum status status = open_socket(server, &fd, error);
    if (status != STATUS_OK) {
        free(server);
        return status;
    }
    server->daemon = httpd.start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request,
        server, MHD_OPTION_EXTERNAL_LOGGER, log_message, server, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)(SERVER_CONNECTIONS + CONNECTIONS_SPARE),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SERVER_STALL_S, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, server, MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_END);
    if (server->daemon == NULL) {
        (void)close(fd);
        free(server);
        return error_set(error, STATUS_FAILED, "The web server could not be started.");
    }
    start_handles(server,
                  httpd.get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
    *result = server;
    return STATUS_OK;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct server *server = handle->data;
    if (--server->open_handles > 0)
        return;
    free(server);
}

void server_close(struct server *server)
{
    if (server == NULL)
        return;
    server->closing = true;
    (void)uv_poll_stop(&server->poll); /* before its descriptor is closed */
    for (struct exchange *exchange = server->uploads; exchange != NULL;
         exchange = *exchange_next_upload(exchange))
        exchange_give_up_file(exchange);
    httpd.stop_daemon(server->daemon);
    uv_close((uv_handle_t *)&server->poll, on_handle_closed);
    uv_close((uv_handle_t *)&server->timer, on_handle_closed);
    uv_close((uv_handle_t *)&server->sweep, on_handle_closed);
}

const char *server_library_version(void)
{
    struct error error = {""};
    return httpd_load(&error) == STATUS_OK ? httpd.get_version() : NULL;
}
