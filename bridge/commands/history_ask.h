/* SPDX-License-Identifier: MIT */
/** A question of a command to the history: as JSON or CSV on standard output, or row by row. */
#ifndef BRIDGE_COMMANDS_HISTORY_ASK_H
#define BRIDGE_COMMANDS_HISTORY_ASK_H

#include "bridge/commands/history_options.h"
#include "bridge/history/answer/answer.h"
#include "bridge/history/answer/answer_rows.h"

struct history_ask {
    const char *command;
    enum history_kind kind;
    const struct history_asked *asked;
    const char *bucket, *points, *min; /**< NULL: not given, or not an option of this kind */
    const struct tariff *tariffs;      /**< of HISTORY_COST */
    size_t tariff_count;
    bool co2;           /**< CO2 intensities are configured */
    int64_t nominal_mv; /**< of HISTORY_VOLTAGE */
    /** Takes the rows for people, without --json and --csv; and the sum of HISTORY_COST. */
    history_row row, total;
    void *context;
};

/** STATUS_USAGE, with the reason on stderr, if the options do not go together. */
enum status history_ask_check(const char *command, const struct history_asked *asked);

/** Checks the options that all kinds have, finds the file, answers. path: the history, or NULL for that
 *  of the configuration or of --database. What is wrong is reported on stderr. */
enum status history_ask(const struct command_context *context, const char *path,
                        const struct history_ask *ask);

#endif
