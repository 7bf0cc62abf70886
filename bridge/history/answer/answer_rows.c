/* SPDX-License-Identifier: MIT */
#include "bridge/history/answer/answer_rows.h"

#include "bridge/history/query/time_text.h"
#include "bridge/meter/voltage_sentence.h"

#include <string.h>

/* ---- the columns ---- */

static struct answer_cell time_cell(const char *name, int64_t wall_ms)
{
    return (struct answer_cell){.name = name, .type = CELL_TIME, .known = true, .value = wall_ms};
}

static struct answer_cell number_cell(const char *name, bool known, int64_t value, unsigned scale)
{
    return (struct answer_cell){
        .name = name, .type = CELL_NUMBER, .known = known, .value = value, .scale = scale};
}

static struct answer_cell text_cell(const char *name, const char *text)
{
    return (struct answer_cell){
        .name = name, .type = CELL_TEXT, .known = text != NULL, .text = text};
}

static struct answer_cell flag_cell(const char *name, bool known, bool holds)
{
    return (struct answer_cell){.name = name, .type = CELL_FLAG, .known = known, .value = holds};
}

size_t answer_energy_cells(const struct history_energy_row *row, struct answer_cell *cells)
{
    size_t n = 0;
    cells[n++] = time_cell("start", row->start_ms);
    cells[n++] = time_cell("end", row->end_ms);
    cells[n++] = number_cell("energy_kwh", row->measured, row->imported_uwh, 9);
    cells[n++] = number_cell("energy_produced_kwh", row->measured, row->exported_uwh, 9);
    cells[n++] = number_cell("power_min_w", row->power_range_known, row->power_min_mw, 3);
    cells[n++] = number_cell("power_mean_w", row->power_known, row->power_mean_mw, 3);
    cells[n++] = number_cell("power_max_w", row->power_range_known, row->power_max_mw, 3);
    cells[n++] = number_cell("coverage", true, row->coverage_permille, 3);
    /* Hardly any row has an estimate, and nearly nobody imported energy, so JSON names them only where
     * there is some. */
    bool foreign = row->foreign_imported_uwh > 0 || row->foreign_exported_uwh > 0;
    cells[n] = number_cell("energy_from_files_kwh", row->measured, row->foreign_imported_uwh, 9);
    cells[n++].json_skip = !foreign;
    cells[n] =
        number_cell("energy_produced_from_files_kwh", row->measured, row->foreign_exported_uwh, 9);
    cells[n++].json_skip = !foreign;
    bool estimated = row->estimated_imported_uwh > 0 || row->estimated_exported_uwh > 0;
    cells[n] = number_cell("estimated_kwh", row->measured, row->estimated_imported_uwh, 9);
    cells[n++].json_skip = !estimated;
    cells[n] = number_cell("estimated_produced_kwh", row->measured, row->estimated_exported_uwh, 9);
    cells[n++].json_skip = !estimated;
    return n;
}

size_t answer_power_cells(const struct history_power_row *row, struct answer_cell *cells)
{
    size_t n = 0;
    cells[n++] = time_cell("start", row->start_ms);
    cells[n++] = time_cell("end", row->end_ms);
    cells[n++] = number_cell("power_min_w", row->range_known, row->min_mw, 3);
    cells[n++] = number_cell("power_mean_w", row->known, row->mean_mw, 3);
    cells[n++] = number_cell("power_max_w", row->range_known, row->max_mw, 3);
    cells[n++] = number_cell("coverage", true, row->coverage_permille, 3);
    cells[n] = number_cell("power_estimated_w", row->estimated, row->estimated_mw, 3);
    cells[n++].json_skip = !row->estimated;
    return n;
}

size_t answer_cost_cells(const struct history_cost_row *row, const char *currency,
                         struct answer_cell *cells)
{
    size_t n = 0;
    cells[n++] = time_cell("start", row->start_ms);
    cells[n++] = time_cell("end", row->end_ms);
    cells[n++] = number_cell("energy_kwh", true, row->imported_uwh, 9);
    cells[n++] = number_cell("energy_produced_kwh", true, row->exported_uwh, 9);
    cells[n++] = number_cell("unpriced_kwh", true, row->unpriced_uwh, 9);
    cells[n++] = number_cell("from_files_kwh", true, row->foreign_uwh, 9);
    cells[n++] = number_cell("energy_cost", true, row->energy_micro, 6);
    cells[n++] = number_cell("standing_charge", true, row->standing_micro, 6);
    cells[n++] = number_cell("feed_in", true, row->feed_in_micro, 6);
    cells[n++] = number_cell("cost", true, row->cost_micro, 6);
    cells[n] = text_cell("currency", currency); /* JSON has it once, above the rows */
    cells[n++].csv_only = true;
    cells[n++] = number_cell("coverage", true, row->coverage_permille, 3);
    cells[n] = number_cell("estimated_kwh", true, row->estimated_uwh, 9);
    cells[n++].json_skip = row->estimated_uwh == 0;
    bool unpriced = row->unpriced_uwh != 0;
    cells[n] = number_cell("price_missing_kwh", true, row->missing_uwh, 9);
    cells[n++].json_skip = row->missing_uwh == 0;
    cells[n] = unpriced ? time_cell("unpriced_from", row->unpriced_from_ms)
                        : text_cell("unpriced_from", "");
    cells[n++].json_skip = !unpriced;
    cells[n] =
        unpriced ? time_cell("unpriced_to", row->unpriced_to_ms) : text_cell("unpriced_to", "");
    cells[n++].json_skip = !unpriced;
    if (!row->co2)
        return n;
    bool gaps = row->co2_missing_uwh != 0;
    cells[n++] = number_cell("co2_kg", !gaps, row->co2_ug, 9);
    cells[n] = number_cell("co2_missing_kwh", true, row->co2_missing_uwh, 9);
    cells[n++].json_skip = !gaps;
    cells[n] =
        gaps ? time_cell("co2_missing_from", row->co2_from_ms) : text_cell("co2_missing_from", "");
    cells[n++].json_skip = !gaps;
    cells[n] = gaps ? time_cell("co2_missing_to", row->co2_to_ms) : text_cell("co2_missing_to", "");
    cells[n++].json_skip = !gaps;
    return n;
}

size_t answer_gap_cells(const struct history_gap *gap, struct answer_cell *cells)
{
    size_t n = 0;
    cells[n++] = time_cell("start", gap->start_ms);
    cells[n++] = time_cell("end", gap->end_ms);
    cells[n++] = text_cell("device", gap->device);
    cells[n++] = text_cell("channel", gap->channel);
    cells[n++] = text_cell("reason", gap->reason);
    return n;
}

size_t answer_event_cells(const struct history_event *event, struct answer_cell *cells)
{
    size_t n = 0;
    cells[n++] = time_cell("time", event->wall_ms);
    cells[n++] = text_cell("device", event->device);
    cells[n++] = text_cell("channel", event->channel);
    cells[n++] = text_cell("kind", event->kind);
    cells[n++] = text_cell("message", event->message);
    struct voltage_change change;
    int64_t left_out;
    bool voltage = strncmp(event->kind, "voltage_", 8) == 0 &&
                   voltage_sentence_read(event->message, &change, &left_out);
    const struct answer_cell numbers[] = {
        number_cell("voltage_v", voltage, voltage ? change.extreme_mv : 0, 3),
        number_cell("seconds", voltage, voltage ? change.duration_ms : 0, 3),
        flag_cell("cut", voltage, voltage && change.cut),
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        cells[n] = numbers[i];
        cells[n++].json_skip = !voltage;
    }
    return n;
}

size_t answer_voltage_cells(const struct history_voltage_row *row, struct answer_cell *cells)
{
    size_t n = 0;
    cells[n++] = time_cell("start", row->start_ms);
    cells[n++] = time_cell("end", row->end_ms);
    cells[n++] = text_cell("channel", row->channel);
    cells[n++] = number_cell("nominal_v", true, row->nominal_mv, 3);
    cells[n++] = number_cell("within_limits", row->share_known, row->share, 4);
    cells[n++] = number_cell("voltage_min_v", row->mean_known, row->lowest_mv, 3);
    cells[n++] = number_cell("voltage_max_v", row->mean_known, row->highest_mv, 3);
    cells[n++] = number_cell("sags", row->counts_known, row->sags, 0);
    cells[n++] = number_cell("swells", row->counts_known, row->swells, 0);
    cells[n++] = number_cell("interruptions", row->counts_known, row->interruptions, 0);
    cells[n++] = number_cell("deepest_v", row->deepest_known, row->deepest_mv, 3);
    cells[n++] = number_cell("longest_s", row->longest_known, row->longest_ms, 3);
    cells[n++] = number_cell("coverage", true, row->coverage_permille, 3);
    return n;
}

size_t answer_drop_unused(struct answer_cell *cells, size_t count,
                          const bool used[ANSWER_CELLS_MAX])
{
    size_t left = 0;
    for (size_t i = 0; i < count; i++)
        if (!cells[i].json_skip || used[i])
            cells[left++] = cells[i];
    return left;
}

/* ---- JSON ---- */

static void append_json_text(struct text *text, const char *value)
{
    text_append_plain(text, "\"");
    for (; *value != '\0'; value++) {
        unsigned char c = (unsigned char)*value;
        if (c == '"' || c == '\\')
            text_append(text, "\\%c", c);
        else if (c < 0x20)
            text_append(text, "\\u%04x", c);
        else
            text_append(text, "%c", c);
    }
    text_append_plain(text, "\"");
}

static void append_json_value(struct text *text, const struct answer_cell *cell)
{
    if (!cell->known) {
        text_append_plain(text, "null");
    } else if (cell->type == CELL_TIME) {
        text_append_plain(text, "\"");
        time_text_append(text, cell->value);
        text_append_plain(text, "\"");
    } else if (cell->type == CELL_NUMBER) {
        text_append_decimal(text, cell->value, cell->scale, cell->scale, false);
    } else if (cell->type == CELL_FLAG) {
        text_append_plain(text, cell->value != 0 ? "true" : "false");
    } else {
        append_json_text(text, cell->text);
    }
}

void answer_append_json(struct text *text, const struct answer_cell *cells, size_t count)
{
    const char *before = "{\"";
    for (size_t i = 0; i < count; i++) {
        if (cells[i].json_skip || cells[i].csv_only)
            continue;
        text_append_plain(text, before);
        text_append_plain(text, cells[i].name);
        text_append_plain(text, "\":");
        append_json_value(text, &cells[i]);
        before = ",\"";
    }
    text_append_plain(text, "}");
}

/* ---- CSV ---- */

static void append_csv_text(struct text *text, const char *value)
{
    const char *guard = value[0] != '\0' && strchr("=+-@", value[0]) != NULL ? "'" : "";
    if (strpbrk(value, ",\"\r\n") == NULL) {
        text_append_plain(text, guard);
        text_append_plain(text, value);
        return;
    }
    text_append(text, "\"%s", guard);
    for (; *value != '\0'; value++)
        text_append(text, "%s%c", *value == '"' ? "\"" : "", *value);
    text_append_plain(text, "\"");
}

void answer_append_csv(struct text *text, const struct answer_cell *cells, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct answer_cell *cell = &cells[i];
        text_append_plain(text, i == 0 ? "" : ",");
        if (!cell->known)
            continue;
        if (cell->type == CELL_TIME)
            time_text_append(text, cell->value);
        else if (cell->type == CELL_NUMBER)
            text_append_decimal(text, cell->value, cell->scale, cell->scale, false);
        else if (cell->type == CELL_FLAG)
            text_append_plain(text, cell->value != 0 ? "true" : "false");
        else
            append_csv_text(text, cell->text);
    }
    text_append_plain(text, "\n");
}

void answer_append_csv_header(struct text *text, const struct answer_cell *cells, size_t count)
{
    for (size_t i = 0; i < count; i++)
        text_append(text, "%s%s", i == 0 ? "" : ",", cells[i].name);
    text_append_plain(text, "\n");
}
