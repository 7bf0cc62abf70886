/* SPDX-License-Identifier: MIT */
#include "bridge/service/watchdog.h"
#include "drivers/base/number.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define INTERVAL_US_MAX (INT64_C(86400) * 1000000)

/* sd_notify(3): one datagram to the socket that the environment names. That is all that libsystemd would do
 * here, for a megabyte of memory. Nobody waits for it, and a full socket loses it. */
static void notify(const char *words)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *name = getenv("NOTIFY_SOCKET");
    size_t length = name != NULL ? strlen(name) : 0;
    if (length < 2 || length >= sizeof address.sun_path || (name[0] != '/' && name[0] != '@'))
        return;
    memcpy(address.sun_path, name, length);
    if (name[0] == '@') /* of the abstract namespace */
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    (void)sendto(fd, words, strlen(words), MSG_NOSIGNAL, (const struct sockaddr *)&address, size);
    (void)close(fd);
}

/* A variable that holds a whole number; -1 if there is none. */
static int64_t number_from(const char *name, int64_t high)
{
    int64_t value = -1;
    const char *text = getenv(name);
    if (text == NULL || !number_parse_int(text, strlen(text), 1, high, &value))
        return -1;
    return value;
}

/* sd_watchdog_enabled(3): WATCHDOG_PID, where it is set, says for which process. */
void watchdog_init(struct watchdog *watchdog)
{
    *watchdog = (struct watchdog){0};
    int64_t interval_us = number_from("WATCHDOG_USEC", INTERVAL_US_MAX);
    int64_t process = number_from("WATCHDOG_PID", INT32_MAX);
    if (interval_us > 0 && (getenv("WATCHDOG_PID") == NULL || process == getpid()))
        watchdog->interval_ms = interval_us / 1000 / 2;
}

void watchdog_feed(struct watchdog *watchdog, uint64_t writer_progress, uint64_t publisher_progress)
{
    if (writer_progress == watchdog->writer_progress ||
        publisher_progress == watchdog->publisher_progress)
        return;
    watchdog->writer_progress = writer_progress;
    watchdog->publisher_progress = publisher_progress;
    notify("WATCHDOG=1");
}

void watchdog_ready(const char *status)
{
    char words[256];
    (void)snprintf(words, sizeof words, "READY=1\nSTATUS=%.200s", status);
    notify(words);
}

void watchdog_reloading(void)
{
    notify("RELOADING=1");
}

void watchdog_stopping(void)
{
    notify("STOPPING=1\nSTATUS=Committing and disconnecting.");
}

/* WATCHDOG_USEC sets a new time (sd_notify(3)); half an hour is enough for the slowest disk. */
void watchdog_patience(bool long_work)
{
    char words[64];
    int64_t usual_us = number_from("WATCHDOG_USEC", INTERVAL_US_MAX);
    if (usual_us <= 0)
        return;
    (void)snprintf(words, sizeof words, "WATCHDOG_USEC=%lld\nWATCHDOG=1",
                   (long long)(long_work ? INT64_C(1800) * 1000000 : usual_us));
    notify(words);
}
