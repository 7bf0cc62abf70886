/* SPDX-License-Identifier: MIT */
#include "drivers/base/log.h"

#include "drivers/base/clock.h"
#include "drivers/base/limiter.h"
#include "drivers/base/plain.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LIMIT_PERIOD_MS 60000
#define FLUSH_LINES_MAX 64 /* in one go; the rest waits a second */

struct log {
    _Atomic int level;
    bool journal;
    log_observer observer;
    void *context;
    pthread_mutex_t mutex; /* guards the limiters */
    struct limiter *places, *causes;
};

static const struct {
    const char *name;
    int priority; /* syslog's, as sd-daemon(3) wants it between angle brackets */
} levels[] = {
    [LOG_LEVEL_ERROR] = {"error", 3},
    [LOG_LEVEL_WARNING] = {"warning", 4},
    [LOG_LEVEL_INFO] = {"info", 6},
    [LOG_LEVEL_DEBUG] = {"debug", 7},
};

/* systemd sets JOURNAL_STREAM to "device:inode" of the stream it connected to stderr. */
static bool stderr_is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    struct stat status;
    if (stream == NULL || fstat(STDERR_FILENO, &status) != 0)
        return false;
    char expected[64];
    (void)snprintf(expected, sizeof expected, "%llu:%llu", (unsigned long long)status.st_dev,
                   (unsigned long long)status.st_ino);
    return strcmp(stream, expected) == 0;
}

struct log *log_create(enum log_level level)
{
    struct log *log = calloc(1, sizeof *log);
    if (log == NULL)
        return NULL;
    log->level = (int)level;
    log->journal = stderr_is_journal();
    (void)pthread_mutex_init(&log->mutex, NULL);
    log->places = limiter_create(LOG_BURST, LIMIT_PERIOD_MS);
    log->causes = limiter_create(LOG_REPEATING_BURST, LIMIT_PERIOD_MS);
    return log;
}

void log_free(struct log *log)
{
    if (log == NULL)
        return;
    limiter_free(log->places);
    limiter_free(log->causes);
    (void)pthread_mutex_destroy(&log->mutex);
    free(log);
}

void log_set_level(struct log *log, enum log_level level)
{
    atomic_store(&log->level, (int)level);
}

enum log_level log_level(const struct log *log)
{
    return (enum log_level)atomic_load(&log->level);
}

void log_observe(struct log *log, log_observer observer, void *context)
{
    log->observer = observer;
    log->context = context;
}

static void write_line(const struct log *log, enum log_level level, const char *message)
{
    char line[LOG_LINE_SIZE + 64];
    int length;
    if (log->journal) {
        length = snprintf(line, sizeof line, "<%d>%s\n", levels[level].priority, message);
    } else {
        time_t now = time(NULL);
        struct tm local;
        char stamp[32] = "";
        if (localtime_r(&now, &local) != NULL)
            (void)strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", &local);
        length = snprintf(line, sizeof line, "%s %-7s %s\n", stamp, levels[level].name, message);
    }
    if (length > 0) {
        ssize_t written = write(STDERR_FILENO, line, (size_t)length);
        (void)written; /* nowhere left to report that the log itself cannot be written */
    }
}

static void write_and_show(const struct log *log, enum log_level level, const char *message)
{
    write_line(log, level, message);
    if (log->observer != NULL)
        log->observer(log->context, level, message);
}

/* False if the line is held back; else the number of those held back before it is added to it. */
static bool may_pass(struct log *log, struct limiter *limiter, uint64_t cause,
                     char message[LOG_LINE_SIZE])
{
    uint64_t held = 0;
    (void)pthread_mutex_lock(&log->mutex);
    bool pass = limiter_pass(limiter, cause, message, clock_boot_ms(), &held);
    (void)pthread_mutex_unlock(&log->mutex);
    size_t length = strlen(message);
    if (held > 0)
        (void)snprintf(message + length, LOG_LINE_SIZE - length,
                       " (%" PRIu64 " more like this since the last one.)", held);
    return pass;
}

__attribute__((format(printf, 5, 0))) static void log_at(struct log *log, enum log_level level,
                                                         struct limiter *limiter, uint64_t cause,
                                                         const char *format, va_list arguments)
{
    char message[LOG_LINE_SIZE];
    (void)vsnprintf(message, sizeof message, format, arguments);
    plain_make(message); /* a line is a line: no forged entries from input */
    if (level == LOG_LEVEL_DEBUG || may_pass(log, limiter, cause, message))
        write_and_show(log, level, message);
}

static bool is_shown(const struct log *log, enum log_level level)
{
    return log != NULL && (int)level <= atomic_load(&log->level);
}

/* The place in the code that logs is the cause; hence these must stay functions of their own. */
#define PLACE ((uint64_t)(uintptr_t)__builtin_return_address(0))

#define DEFINE_LEVEL(function, level)                                                              \
    __attribute__((noinline)) void function(struct log *log, const char *format, ...)              \
    {                                                                                              \
        if (!is_shown(log, level))                                                                 \
            return;                                                                                \
        va_list arguments;                                                                         \
        va_start(arguments, format);                                                               \
        log_at(log, level, log->places, PLACE, format, arguments);                                 \
        va_end(arguments);                                                                         \
    }

DEFINE_LEVEL(log_error, LOG_LEVEL_ERROR)
DEFINE_LEVEL(log_warning, LOG_LEVEL_WARNING)
DEFINE_LEVEL(log_info, LOG_LEVEL_INFO)
DEFINE_LEVEL(log_debug, LOG_LEVEL_DEBUG)

void log_repeating(struct log *log, enum log_level level, const char *cause, const char *format,
                   ...)
{
    if (!is_shown(log, level))
        return;
    va_list arguments;
    va_start(arguments, format);
    log_at(log, level, log->causes, limiter_cause(cause), format, arguments);
    va_end(arguments);
}

static bool take_held(struct log *log, struct limiter_held *held)
{
    int64_t now_ms = clock_boot_ms();
    (void)pthread_mutex_lock(&log->mutex);
    bool some =
        limiter_expired(log->causes, now_ms, held) || limiter_expired(log->places, now_ms, held);
    (void)pthread_mutex_unlock(&log->mutex);
    return some;
}

void log_flush(struct log *log)
{
    struct limiter_held held;
    for (size_t i = 0; log != NULL && i < FLUSH_LINES_MAX && take_held(log, &held); i++) {
        char message[LOG_LINE_SIZE];
        (void)snprintf(message, sizeof message,
                       "%" PRIu64 " more lines within a minute like this one: %s", held.count,
                       held.words);
        plain_make(message);
        write_and_show(log, LOG_LEVEL_WARNING, message);
    }
}

const char *log_level_name(enum log_level level)
{
    return levels[level].name;
}

bool log_level_parse(const char *name, enum log_level *level)
{
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        if (strcmp(name, levels[i].name) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    }
    return false;
}
