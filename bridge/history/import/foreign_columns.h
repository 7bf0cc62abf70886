/* SPDX-License-Identifier: MIT */
/** The head of a table of energy: names of columns, as many programs and offices write them. Pure. */
#ifndef BRIDGE_HISTORY_IMPORT_FOREIGN_COLUMNS_H
#define BRIDGE_HISTORY_IMPORT_FOREIGN_COLUMNS_H

#include "bridge/history/import/foreign_types.h"

#include <stddef.h>

#define FOREIGN_COLUMNS_MAX 64

/** A line cut into cells, in place. */
struct foreign_row {
    char *cells[FOREIGN_COLUMNS_MAX];
    size_t count;
};

struct foreign_columns {
    enum foreign_format format;
    int time, clock, end, value, produced, device, channel, id, unit, over; /**< -1: none */
    enum foreign_kind kind; /**< by the value's name */
    double scale;           /**< microwatt hours of one, by the value's name; 0: it does not say */
    bool ends_an_hour; /**< the value is that of the end of the hour which begins at the time */
};

/** ',', ';' or tab, whichever is likelier to separate the line. */
char foreign_separator(const char *line);
/** Quotes are taken away, doubled ones become one. */
void foreign_split(struct foreign_row *row, char separator, char *line);
/** "" if the row has no such cell. */
const char *foreign_cell(const struct foreign_row *row, int column);

/** wanted: the format, FOREIGN_AUTO to find out. False if the row names no columns that are known. */
bool foreign_columns_read(const struct foreign_row *row, enum foreign_format wanted,
                          struct foreign_columns *columns);
/** Those of a table without a head: a time and a value. */
void foreign_columns_default(struct foreign_columns *columns);

/** Microwatt hours of one Wh, kWh or MWh; 0 for another word. */
double foreign_unit_scale(const char *unit);

#endif
