/* SPDX-License-Identifier: MIT */
/**
 * The log: whole sentences for people on stderr, with journald's "<N>" priority prefix when stderr
 * is the journal, else with time and level. One struct log per process, passed to whoever speaks.
 * Thread-safe: each line is one write. A NULL log is allowed and silent (tests, tools).
 */
#ifndef DRIVERS_BASE_LOG_H
#define DRIVERS_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/** Longest line; more is cut. */
#define LOG_LINE_SIZE 1024

struct log;

/** Called after each line that passed the level, on the thread that logged. Must not log. */
typedef void (*log_observer)(void *context, enum log_level level, const char *message);

struct log *log_create(enum log_level level);
void log_free(struct log *log);

void log_set_level(struct log *log, enum log_level level);
enum log_level log_level(const struct log *log);

/** One observer, set before other threads start; NULL to remove. */
void log_observe(struct log *log, log_observer observer, void *context);

void log_error(struct log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_warning(struct log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_info(struct log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));
void log_debug(struct log *log, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** "error", "warning", "info", "debug". */
const char *log_level_name(enum log_level level);
bool log_level_parse(const char *name, enum log_level *level);

#endif
