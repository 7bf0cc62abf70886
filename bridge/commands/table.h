/* SPDX-License-Identifier: MIT */
/** A table for people: columns as wide as what stands in them. */
#ifndef BRIDGE_COMMANDS_TABLE_H
#define BRIDGE_COMMANDS_TABLE_H

#include "bridge/history/answer/answer_rows.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { TABLE_COLUMNS_MAX = 12, TABLE_CELL_SIZE = 64 };

/** A column and which cell of an answer (bridge/history/answer/answer_rows.h) it shows. */
struct table_column {
    const char *cell; /**< the cell's name */
    const char *title;
    bool left;         /**< aligned to the left */
    bool only_if_any;  /**< left out of the table when every value is unknown or 0 */
    unsigned decimals; /**< as shown */
    unsigned scale;    /**< of the number when not 0, instead of the cell's: a share in per cent */
};

struct table;

/** columns are borrowed. */
struct table *table_new(const struct table_column *columns, size_t count);
void table_free(struct table *table);

/** Adds a row. first, unless NULL, stands in the first column instead of the cell's value; behind it,
 *  unless NULL, right of the last one. bar: the value of the bar at the right, which is 0 or more. */
void table_add(struct table *table, const struct answer_cell *cells, size_t count,
               const char *first, const char *behind, int64_t bar);

/** How much of the last row's bar is estimated; it is drawn with a pattern. */
void table_estimate(struct table *table, int64_t value);

/** Prints all rows, at most `width` columns wide. bar_unit, unless NULL, is the unit of the bars, which
 *  are drawn if there is room for them: "kWh", with bar_scale digits behind its point. */
void table_print(const struct table *table, FILE *out, int width, const char *bar_unit,
                 unsigned bar_scale);

/** Whether the locale says that block characters can be shown. */
bool table_utf8(void);

#endif
