/* SPDX-License-Identifier: MIT */
#include "bridge/service/log_relay.h"
#include "drivers/base/memory.h"

#include <pthread.h>
#include <stdio.h>

#define RELAY_LINES 64

struct relay_line {
    enum log_level level;
    char message[LOG_LINE_SIZE];
};

struct log_relay {
    struct log *log;
    void (*wake)(void *context);
    void *context;
    pthread_mutex_t mutex; /* guards what is below */
    size_t first, count;
    struct relay_line lines[RELAY_LINES];
};

static void observe(void *context, enum log_level level, const char *message)
{
    struct log_relay *relay = context;
    if (level == LOG_LEVEL_DEBUG) /* the broker is no place for a debugging session's flood */
        return;
    (void)pthread_mutex_lock(&relay->mutex);
    if (relay->count == RELAY_LINES) {
        relay->first = (relay->first + 1) % RELAY_LINES;
        relay->count--;
    }
    struct relay_line *line = &relay->lines[(relay->first + relay->count++) % RELAY_LINES];
    line->level = level;
    (void)snprintf(line->message, sizeof line->message, "%s", message);
    (void)pthread_mutex_unlock(&relay->mutex);
    relay->wake(relay->context);
}

struct log_relay *log_relay_create(struct log *log, void (*wake)(void *context), void *context)
{
    struct log_relay *relay = memory_new(1, sizeof *relay);
    relay->log = log;
    relay->wake = wake;
    relay->context = context;
    (void)pthread_mutex_init(&relay->mutex, NULL);
    log_observe(log, observe, relay);
    return relay;
}

void log_relay_close(struct log_relay *relay)
{
    if (relay == NULL)
        return;
    log_observe(relay->log, NULL, NULL);
    (void)pthread_mutex_destroy(&relay->mutex);
    free(relay);
}

static bool take_one(struct log_relay *relay, struct relay_line *line)
{
    (void)pthread_mutex_lock(&relay->mutex);
    bool some = relay->count > 0;
    if (some) {
        *line = relay->lines[relay->first];
        relay->first = (relay->first + 1) % RELAY_LINES;
        relay->count--;
    }
    (void)pthread_mutex_unlock(&relay->mutex);
    return some;
}

void log_relay_take(struct log_relay *relay,
                    void (*line)(void *context, enum log_level level, const char *message),
                    void *context)
{
    struct relay_line taken;
    /* Bounded, so that a line callback that logs cannot keep the loop here forever. */
    for (size_t i = 0; i < RELAY_LINES && take_one(relay, &taken); i++)
        line(context, taken.level, taken.message);
}
