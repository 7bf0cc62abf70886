/* SPDX-License-Identifier: MIT */
#include "bridge/commands/table.h"

#include "drivers/base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { BAR_MAX = 24, BAR_MIN = 8, GAP = 2 };

struct row {
    char cells[TABLE_COLUMNS_MAX][TABLE_CELL_SIZE];
    char behind[4];
    int64_t bar;
    int64_t estimated; /* how much of it */
};

struct table {
    const struct table_column *columns;
    size_t column_count;
    bool any[TABLE_COLUMNS_MAX]; /* something other than 0 stands there */
    int widths[TABLE_COLUMNS_MAX];
    struct row *rows;
    size_t count, capacity;
    int64_t bar_maximum;
    bool behind;
};

bool table_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = getenv(names[i]);
        if (value != NULL && value[0] != '\0')
            return strcasestr(value, "utf-8") != NULL || strcasestr(value, "utf8") != NULL;
    }
    return false;
}

struct table *table_new(const struct table_column *columns, size_t count)
{
    struct table *table = memory_new(1, sizeof *table);
    table->columns = columns;
    table->column_count = count;
    for (size_t i = 0; i < count; i++)
        table->widths[i] = (int)strlen(columns[i].title);
    return table;
}

void table_free(struct table *table)
{
    if (table == NULL)
        return;
    free(table->rows);
    free(table);
}

static void format_cell(const struct table_column *column, const struct answer_cell *cell,
                        char *buffer)
{
    struct text text;
    text_init(&text, buffer, TABLE_CELL_SIZE);
    if (!cell->known)
        text_append(&text, "-");
    else if (cell->type == CELL_NUMBER)
        text_append_decimal(&text, cell->value, column->scale != 0 ? column->scale : cell->scale,
                            column->decimals, false);
    else if (cell->type == CELL_TEXT)
        text_append(&text, "%s", cell->text);
}

static const struct answer_cell *find_cell(const struct answer_cell *cells, size_t count,
                                           const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(cells[i].name, name) == 0)
            return &cells[i];
    return NULL;
}

void table_add(struct table *table, const struct answer_cell *cells, size_t count,
               const char *first, const char *behind, int64_t bar)
{
    table->rows = memory_grow(table->rows, table->count, &table->capacity, sizeof *table->rows);
    struct row *row = &table->rows[table->count++];
    *row = (struct row){.bar = bar};
    for (size_t i = 0; i < table->column_count; i++) {
        const struct answer_cell *cell = find_cell(cells, count, table->columns[i].cell);
        if (i == 0 && first != NULL)
            (void)snprintf(row->cells[0], TABLE_CELL_SIZE, "%s", first);
        else if (cell != NULL)
            format_cell(&table->columns[i], cell, row->cells[i]);
        int width = (int)strlen(row->cells[i]);
        table->widths[i] = width > table->widths[i] ? width : table->widths[i];
        table->any[i] = table->any[i] || (cell != NULL && cell->known && cell->value != 0);
    }
    if (behind != NULL)
        (void)snprintf(row->behind, sizeof row->behind, "%s", behind);
    table->behind = table->behind || behind != NULL;
    table->bar_maximum = bar > table->bar_maximum ? bar : table->bar_maximum;
}

void table_estimate(struct table *table, int64_t value)
{
    struct row *row = &table->rows[table->count - 1];
    row->estimated = value < 0 ? 0 : value > row->bar ? row->bar : value;
}

/* ---- printing ---- */

static bool is_shown(const struct table *table, size_t column)
{
    return !table->columns[column].only_if_any || table->any[column];
}

static void append_bar(struct text *text, const struct row *row, int64_t maximum, int width,
                       bool utf8)
{
    int64_t value = row->bar;
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    if (maximum <= 0 || value <= 0)
        return;
    int eighth_count = (int)((double)value * width * 8 / (double)maximum);
    int measured = (int)((double)(value - row->estimated) * width / (double)maximum);
    for (int i = 0; i < eighth_count / 8; i++)
        if (row->estimated > 0 && i >= measured)
            text_append(text, "%s", utf8 ? "░" : ".");
        else
            text_append(text, "%s", utf8 ? "█" : "#");
    if (utf8 && row->estimated == 0)
        text_append(text, "%s", eighths[eighth_count % 8]);
}

/* Titles, or one row's cells. */
static void append_cells(const struct table *table, struct text *text, const struct row *row)
{
    bool first = true;
    for (size_t i = 0; i < table->column_count; i++) {
        if (!is_shown(table, i))
            continue;
        const char *cell = row != NULL ? row->cells[i] : table->columns[i].title;
        int width = table->widths[i];
        text_append(text, "%*s%*s", first ? 0 : GAP, "", table->columns[i].left ? -width : width,
                    cell);
        first = false;
    }
    if (table->behind)
        text_append(text, " %-1s", row != NULL ? row->behind : "");
}

/* What is left of the line for bars, whose title says what a full one stands for; 0: too little. */
static int bar_room(const struct table *table, int width, const char *title)
{
    int used = table->behind ? 2 : 0;
    for (size_t i = 0; i < table->column_count; i++)
        used += is_shown(table, i) ? table->widths[i] + (used > 0 ? GAP : 0) : 0;
    int room = width - used - GAP;
    if (room < BAR_MIN || room < (int)strlen(title))
        return 0;
    return room > BAR_MAX ? BAR_MAX : room;
}

static void print_line(struct text *text, FILE *out)
{
    while (text->length > 0 && text->buffer[text->length - 1] == ' ')
        text->length--;
    text->buffer[text->length] = '\0';
    (void)fprintf(out, "%s\n", text->buffer);
}

void table_print(const struct table *table, FILE *out, int width, const char *bar_unit,
                 unsigned bar_scale)
{
    char buffer[1024], title[TABLE_CELL_SIZE] = "";
    bool utf8 = table_utf8();
    struct text text;
    text_init(&text, title, sizeof title);
    if (bar_unit != NULL && table->bar_maximum > 0) {
        text_append(&text, "full bar: ");
        text_append_decimal(&text, table->bar_maximum, bar_scale, 3, false); /* as in its row */
        text_append(&text, " %s", bar_unit);
    }
    int room = title[0] != '\0' ? bar_room(table, width, title) : 0;
    text_init(&text, buffer, sizeof buffer);
    append_cells(table, &text, NULL);
    text_append(&text, "%*s%s", GAP, "", room > 0 ? title : "");
    print_line(&text, out);
    for (size_t i = 0; i < table->count; i++) {
        text_init(&text, buffer, sizeof buffer);
        append_cells(table, &text, &table->rows[i]);
        text_append(&text, "%*s", GAP, "");
        if (room > 0)
            append_bar(&text, &table->rows[i], table->bar_maximum, room, utf8);
        print_line(&text, out);
    }
}
