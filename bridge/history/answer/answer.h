/* SPDX-License-Identifier: MIT */
/**
 * Questions to the history as other programs ask them: the options of `bl2mqtt history energy`,
 * power, cost, gaps, events and voltage by name, and the answer as JSON or CSV. HTTP and MQTT share it.
 * It blocks on the disk: call it from a worker thread. Times follow the process's zone (TZ).
 */
#ifndef BRIDGE_HISTORY_ANSWER_ANSWER_H
#define BRIDGE_HISTORY_ANSWER_ANSWER_H

#include "bridge/meter/tariff.h"
#include "drivers/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum history_kind {
    HISTORY_ENERGY,
    HISTORY_POWER,
    HISTORY_COST,
    HISTORY_GAPS,
    HISTORY_EVENTS,
    HISTORY_VOLTAGE,
};
#define HISTORY_KINDS 6

enum history_format { HISTORY_JSON, HISTORY_CSV };

/** One option: {"device", "house"}. */
struct history_option {
    const char *name;
    const char *value;
};

/** What an option is, for descriptions of the interface. */
struct history_option_row {
    const char *name;
    bool required;
    const char *meaning; /**< a sentence */
};

struct answer_cell;

/** Takes one row instead of its bytes (answer_rows.h has the cells); false stops the query. */
typedef bool (*history_row)(void *context, const struct answer_cell *cells, size_t count);

struct history_question {
    enum history_kind kind;
    const struct history_option *options;
    size_t option_count;
    enum history_format format;
    const char *path;             /**< the history file */
    const struct tariff *tariffs; /**< for HISTORY_COST */
    size_t tariff_count;
    bool co2;           /**< CO2 intensities are configured */
    int64_t nominal_mv; /**< mains.voltage of the device; 0: 230 V */
    int64_t now_ms;     /**< wall clock */
    history_row row;    /**< not NULL: takes the rows; nothing is written */
    history_row total;  /**< takes the sum of HISTORY_COST then; may be NULL */
};

/** Takes the next bytes of the answer; false stops the query. */
typedef bool (*history_write)(void *context, const char *bytes, size_t length);

/** "energy", "power", "cost", "gaps", "events", "voltage". */
bool history_kind_find(const char *name, enum history_kind *kind);

/** The options of a kind, ended by a NULL name. */
const struct history_option_row *history_kind_options(enum history_kind kind);

/**
 * Writes the whole answer, row by row. STATUS_USAGE: an option is unknown, missing or wrong;
 * STATUS_NO_ANSWER: the history has no such device or channel; STATUS_FAILED: the file cannot be
 * read, or write returned false. With an error nothing was written, unless the file failed half-way.
 */
enum status history_answer(const struct history_question *question, history_write write,
                           void *context, struct error *error);

#endif
