/* SPDX-License-Identifier: MIT */
#include "drivers/base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct log {
    _Atomic int level;
    bool journal;
    log_observer observer;
    void *context;
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
    return log;
}

void log_free(struct log *log)
{
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

__attribute__((format(printf, 3, 0))) static void log_at(struct log *log, enum log_level level,
                                                         const char *format, va_list arguments)
{
    if (log == NULL || (int)level > atomic_load(&log->level))
        return;
    char message[LOG_LINE_SIZE];
    (void)vsnprintf(message, sizeof message, format, arguments);
    for (char *c = message; *c != '\0'; c++) /* a line is a line: no forged entries from input */
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
    write_line(log, level, message);
    if (log->observer != NULL)
        log->observer(log->context, level, message);
}

void log_error(struct log *log, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_at(log, LOG_LEVEL_ERROR, format, arguments);
    va_end(arguments);
}

void log_warning(struct log *log, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_at(log, LOG_LEVEL_WARNING, format, arguments);
    va_end(arguments);
}

void log_info(struct log *log, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_at(log, LOG_LEVEL_INFO, format, arguments);
    va_end(arguments);
}

void log_debug(struct log *log, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    log_at(log, LOG_LEVEL_DEBUG, format, arguments);
    va_end(arguments);
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
