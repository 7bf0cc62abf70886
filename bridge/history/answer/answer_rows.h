/* SPDX-License-Identifier: MIT */
/** How one row of each answer is written, as JSON and as CSV from one list of columns. Pure. */
#ifndef BRIDGE_HISTORY_ANSWER_ANSWER_ROWS_H
#define BRIDGE_HISTORY_ANSWER_ANSWER_ROWS_H

#include "bridge/history/query/cost.h"
#include "bridge/history/query/energy.h"
#include "bridge/history/query/power.h"
#include "bridge/history/query/timeline.h"
#include "bridge/history/query/voltage.h"

#include "drivers/base/text.h"

/** A value of a row: a time, a number of 10^-scale, a text, or whether something holds (value 1). */
struct answer_cell {
    const char *name;
    enum { CELL_TIME, CELL_NUMBER, CELL_TEXT, CELL_FLAG } type;
    bool known;     /**< false: null, or an empty field */
    bool json_skip; /**< this row's JSON leaves it out */
    bool csv_only;  /**< no row's JSON has it */
    int64_t value;
    unsigned scale;
    const char *text;
};

#define ANSWER_CELLS_MAX 20

/** Each fills cells (of ANSWER_CELLS_MAX) and returns how many there are. */
size_t answer_energy_cells(const struct history_energy_row *row, struct answer_cell *cells);
size_t answer_power_cells(const struct history_power_row *row, struct answer_cell *cells);
size_t answer_cost_cells(const struct history_cost_row *row, const char *currency,
                         struct answer_cell *cells);
size_t answer_gap_cells(const struct history_gap *gap, struct answer_cell *cells);
size_t answer_event_cells(const struct history_event *event, struct answer_cell *cells);
size_t answer_voltage_cells(const struct history_voltage_row *row, struct answer_cell *cells);

/** Removes the columns that no row's JSON has; used: those that one has had. Returns how many are left. */
size_t answer_drop_unused(struct answer_cell *cells, size_t count,
                          const bool used[ANSWER_CELLS_MAX]);

void answer_append_json(struct text *text, const struct answer_cell *cells, size_t count);
/** Fields as RFC 4180 has them; a text that a spreadsheet would run as a formula gets a quote mark
 *  in front. */
void answer_append_csv(struct text *text, const struct answer_cell *cells, size_t count);
void answer_append_csv_header(struct text *text, const struct answer_cell *cells, size_t count);

#endif
