/* SPDX-License-Identifier: MIT */
#include "bridge/mqtt/server_address.h"

#include "drivers/base/memory.h"
#include "drivers/base/number.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static enum status bad_server(struct error *error, const char *server, const char *problem)
{
    return error_set(error, STATUS_USAGE,
                     "mqtt.server \"%.200s\" %s; it must look like mqtt://host:1883 or "
                     "mqtts://host:8883.",
                     server, problem);
}

static bool host_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
}

static bool good_host(const char *host, size_t length, bool bracketed)
{
    if (length == 0)
        return false;
    for (size_t i = 0; i < length; i++)
        if (!host_character(host[i]) && !(bracketed && (host[i] == ':' || host[i] == '%')))
            return false;
    return true;
}

enum status server_address_parse(const char *server, struct server_address *address,
                                 struct error *error)
{
    *address = (struct server_address){.port = 1883};
    const char *rest;
    if (strncmp(server, "mqtt://", 7) == 0) {
        rest = server + 7;
    } else if (strncmp(server, "mqtts://", 8) == 0) {
        rest = server + 8;
        address->tls = true;
        address->port = 8883;
    } else {
        return bad_server(error, server, "begins with neither mqtt:// nor mqtts://");
    }

    bool bracketed = rest[0] == '[';
    const char *host = bracketed ? rest + 1 : rest;
    const char *end = strchr(host, bracketed ? ']' : ':');
    if (bracketed && end == NULL)
        return bad_server(error, server, "has a \"[\" without \"]\"");
    size_t length = end != NULL ? (size_t)(end - host) : strlen(host);
    if (!good_host(host, length, bracketed) || length >= sizeof address->host)
        return bad_server(error, server,
                          memchr(rest, '@', strlen(rest)) != NULL
                              ? "holds a user name (mqtt.user and mqtt.password are for that)"
                              : "has no proper host name");
    memcpy(address->host, host, length);

    const char *port = host + length + (bracketed ? 1 : 0);
    if (*port != '\0') {
        int64_t number;
        if (*port != ':' || !number_parse_int(port + 1, strlen(port + 1), 1, 65535, &number))
            return bad_server(error, server, "has something other than a port 1..65535 at its end");
        address->port = (int)number;
    }
    struct text text;
    text_init(&text, address->uri, sizeof address->uri);
    text_append(&text, "%s://%s%s%s:%d", address->tls ? "mqtts" : "mqtt", bracketed ? "[" : "",
                address->host, bracketed ? "]" : "", address->port);
    return text.cut ? bad_server(error, server, "is too long") : STATUS_OK;
}

/* A lookup on a thread of its own, because the one that asks must keep its promises about time and
 * getaddrinfo cannot be told to. Whoever of the two comes last frees it. (glibc's getaddrinfo_a would
 * do the same, on threads that no sanitizer knows of.) */
struct lookup {
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool finished, given_up;
    int rc;
    struct addrinfo *result;
    struct server_address address;
};

static void free_lookup(struct lookup *lookup)
{
    if (lookup->result != NULL)
        freeaddrinfo(lookup->result);
    pthread_cond_destroy(&lookup->done);
    pthread_mutex_destroy(&lookup->lock);
    free(lookup);
}

static void *run_lookup(void *context)
{
    struct lookup *lookup = context;
    char port[8];
    struct text text;
    text_init(&text, port, sizeof port);
    text_append(&text, "%d", lookup->address.port);
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *result = NULL;
    int rc = getaddrinfo(lookup->address.host, port, &hints, &result);

    pthread_mutex_lock(&lookup->lock);
    lookup->rc = rc;
    lookup->result = rc == 0 ? result : NULL;
    lookup->finished = true;
    bool given_up = lookup->given_up;
    pthread_cond_signal(&lookup->done);
    pthread_mutex_unlock(&lookup->lock);
    if (given_up)
        free_lookup(lookup);
    return NULL;
}

static struct lookup *start_lookup(const struct server_address *address)
{
    struct lookup *lookup = memory_new(1, sizeof *lookup);
    lookup->address = *address;
    pthread_mutex_init(&lookup->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&lookup->done, &attributes);
    pthread_condattr_destroy(&attributes);

    pthread_t thread;
    if (pthread_create(&thread, NULL, run_lookup, lookup) != 0) {
        free_lookup(lookup);
        return NULL;
    }
    pthread_detach(thread);
    return lookup;
}

/* EAI_AGAIN when it takes too long: nobody who could know has answered. */
static int look_up(const struct server_address *address, int64_t timeout_ms,
                   struct addrinfo **result)
{
    struct lookup *lookup = start_lookup(address);
    if (lookup == NULL)
        return EAI_MEMORY;
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += (time_t)(timeout_ms / 1000);
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }

    pthread_mutex_lock(&lookup->lock);
    int waited = 0;
    while (!lookup->finished && waited == 0)
        waited = pthread_cond_timedwait(&lookup->done, &lookup->lock, &until);
    bool finished = lookup->finished;
    lookup->given_up = !finished;
    int rc = finished ? lookup->rc : EAI_AGAIN;
    if (finished) {
        *result = lookup->result;
        lookup->result = NULL;
    }
    pthread_mutex_unlock(&lookup->lock);
    if (finished)
        free_lookup(lookup);
    return rc;
}

/* 0 or errno. */
static int try_connect(const struct addrinfo *to, int64_t timeout_ms)
{
    int fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    int problem = 0;
    if (connect(fd, to->ai_addr, to->ai_addrlen) != 0)
        problem = errno;
    if (problem == EINPROGRESS) {
        struct pollfd wait = {.fd = fd, .events = POLLOUT};
        socklen_t size = sizeof problem;
        if (poll(&wait, 1, (int)timeout_ms) <= 0)
            problem = ETIMEDOUT;
        else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &size) != 0)
            problem = errno;
    }
    (void)close(fd);
    return problem;
}

static void explain_connect(const struct server_address *address, int problem,
                            const char *otherwise, struct text *text)
{
    if (problem == 0)
        text_append(text, "%s", otherwise);
    else if (problem == ECONNREFUSED)
        text_append(text,
                    "nothing listens on port %d there; check that the broker runs and that the "
                    "port in mqtt.server is right",
                    address->port);
    else if (problem == ETIMEDOUT)
        text_append(text,
                    "the host does not answer; check that it is up, the network and firewalls");
    else if (problem == ENETUNREACH || problem == EHOSTUNREACH)
        text_append(text, "there is no route to it; check the network");
    else
        text_append(text, "%s", strerrordesc_np(problem));
}

/* The address that Paho takes: the first IPv4 one, else the last. */
static const struct addrinfo *choose(const struct addrinfo *list)
{
    while (list->ai_family != AF_INET && list->ai_next != NULL)
        list = list->ai_next;
    return list;
}

void server_address_explain(const struct server_address *address, int64_t timeout_ms,
                            const char *otherwise, struct text *text)
{
    struct addrinfo *result = NULL;
    int rc = look_up(address, timeout_ms / 2, &result);
    if (rc == EAI_AGAIN) {
        text_append(text, "the name server does not answer; check the network and DNS");
    } else if (rc != 0 || result == NULL) {
        text_append(text, "the host name %s is not known; check mqtt.server", address->host);
    } else {
        explain_connect(address, try_connect(choose(result), timeout_ms / 2), otherwise, text);
    }
    if (rc == 0 && result != NULL)
        freeaddrinfo(result);
}
