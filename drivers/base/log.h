/* SPDX-License-Identifier: MIT */
/**
 * The log: whole sentences for people on stderr, with journald's "<N>" priority prefix when stderr
 * is the journal, else with time and level. One struct log per process, passed to whoever logs.
 * Thread-safe: each line is one write. A NULL log is allowed and silent (tests, tools).
 *
 * A line holds nothing that could change how a terminal shows it (plain.h), and no input can flood the
 * log: a place in the code writes at most LOG_BURST lines a minute, and log_repeating at most
 * LOG_REPEATING_BURST for each cause. What is held back is counted, and the count is logged. Debug lines
 * are not limited.
 */
#ifndef DRIVERS_BASE_LOG_H
#define DRIVERS_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/** Longest line; more is cut. */
#define LOG_LINE_SIZE 1024

#define LOG_BURST 20
#define LOG_REPEATING_BURST 3

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

/** For what input from outside can cause as often as it likes. cause is a short text that all lines about
 *  the same matter share ("request refused", "house a offline"); it is not shown. */
void log_repeating(struct log *log, enum log_level level, const char *cause, const char *format,
                   ...) __attribute__((format(printf, 4, 5)));

/** Logs how many lines were held back of causes whose minute is over. About once a second. */
void log_flush(struct log *log);

/** "error", "warning", "info", "debug". */
const char *log_level_name(enum log_level level);
bool log_level_parse(const char *name, enum log_level *level);

#endif
