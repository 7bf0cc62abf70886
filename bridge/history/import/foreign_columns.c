/* SPDX-License-Identifier: MIT */
#include "bridge/history/import/foreign_columns.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define NAME_SIZE 48

/* ---- cells ---- */

static size_t occurrences(const char *line, char wanted)
{
    size_t count = 0;
    for (; *line != '\0'; line++)
        count += *line == wanted ? 1 : 0;
    return count;
}

char foreign_separator(const char *line)
{
    size_t semicolons = occurrences(line, ';');
    size_t tabs = occurrences(line, '\t');
    if (tabs > 0 && tabs >= semicolons)
        return '\t';
    return semicolons > 0 ? ';' : ',';
}

void foreign_split(struct foreign_row *row, char separator, char *line)
{
    char *at = line;
    row->count = 0;
    while (row->count < FOREIGN_COLUMNS_MAX) {
        while (*at == ' ')
            at++;
        char *out = at;
        row->cells[row->count++] = out;
        bool quoted = *at == '"';
        if (quoted)
            at++;
        while (*at != '\0' && (quoted || *at != separator)) {
            if (quoted && at[0] == '"' && at[1] != '"') {
                quoted = false;
                at++;
                continue;
            }
            if (quoted && at[0] == '"')
                at++;
            *out++ = *at++;
        }
        bool more = *at != '\0';
        while (out > row->cells[row->count - 1] && (out[-1] == ' ' || out[-1] == '\r'))
            out--;
        *out = '\0';
        if (!more)
            return;
        at++;
    }
}

const char *foreign_cell(const struct foreign_row *row, int column)
{
    return column < 0 || (size_t)column >= row->count ? "" : row->cells[column];
}

/* ---- names ---- */

double foreign_unit_scale(const char *unit)
{
    if (strcasecmp(unit, "Wh") == 0)
        return 1e6;
    if (strcasecmp(unit, "kWh") == 0)
        return 1e9;
    return strcasecmp(unit, "MWh") == 0 ? 1e12 : 0;
}

/* "Verbrauch (kWh)", "Energy [Wh]", "consumption in kWh" without their units, in lower case. */
static void bare_name(const char *cell, char name[NAME_SIZE], char unit[NAME_SIZE])
{
    size_t length = 0;
    unit[0] = '\0';
    for (; cell[length] != '\0' && length + 1 < NAME_SIZE; length++)
        name[length] = (char)tolower((unsigned char)cell[length]);
    name[length] = '\0';
    char *bracket = strpbrk(name, "([");
    if (bracket != NULL) {
        size_t inside = strcspn(bracket + 1, ")]");
        memcpy(unit, bracket + 1, inside);
        unit[inside] = '\0';
        *bracket = '\0';
    } else if (strrchr(name, ' ') != NULL && foreign_unit_scale(strrchr(name, ' ') + 1) > 0) {
        char *space = strrchr(name, ' ');
        memcpy(unit, space + 1, strlen(space));
        *space = '\0';
        size_t left = strlen(name);
        if (left > 3 && strcmp(name + left - 3, " in") == 0)
            name[left - 3] = '\0';
    }
    for (size_t end = strlen(name); end > 0 && name[end - 1] == ' '; end--)
        name[end - 1] = '\0';
}

/* The first of the names that is a column's. */
static int find_column(const struct foreign_row *row, const char *const *names)
{
    char name[NAME_SIZE], unit[NAME_SIZE];
    for (; *names != NULL; names++)
        for (size_t i = 0; i < row->count; i++) {
            bare_name(row->cells[i], name, unit);
            if (strcmp(name, *names) == 0 || strcasecmp(row->cells[i], *names) == 0)
                return (int)i;
        }
    return -1;
}

static bool is_one_of(const struct foreign_row *row, int column, const char *const *names)
{
    return column >= 0 && find_column(row, names) >= 0 &&
           find_column(&(struct foreign_row){.cells = {row->cells[column]}, .count = 1}, names) ==
               0;
}

static double scale_in_name(const char *cell)
{
    char name[NAME_SIZE], unit[NAME_SIZE];
    bare_name(cell, name, unit);
    const char *last = strrchr(name, '_');
    double scale = foreign_unit_scale(unit);
    if (scale > 0)
        return scale;
    return foreign_unit_scale(last != NULL ? last + 1 : name);
}

static const char *const times[] = {"time",
                                    "timestamp",
                                    "datetime",
                                    "date",
                                    "start_ts",
                                    "start",
                                    "from",
                                    "start time",
                                    "begin",
                                    "start_time",
                                    "last_changed",
                                    "last_updated",
                                    "interval_start",
                                    "datum",
                                    "zeit",
                                    "zeitpunkt",
                                    "zeitstempel",
                                    "von",
                                    "beginn",
                                    "day",
                                    "tag",
                                    "month",
                                    "monat",
                                    "datum von",
                                    NULL};
static const char *const clocks[] = {"time", "uhrzeit", "zeit", "clock", "time of day", NULL};
static const char *const dates[] = {"date", "datum", "day", "tag", NULL};
static const char *const ends[] = {"end",      "to",           "bis", "end time",
                                   "end_time", "interval_end", NULL};
static const char *const starts[] = {"start_ts", "start", NULL};
static const char *const sums[] = {"sum", NULL};
static const char *const totals[] = {"total",
                                     "sum",
                                     "state",
                                     "counter",
                                     "reading",
                                     "meter reading",
                                     "meter",
                                     "total_kwh",
                                     "energy_total",
                                     "total_wh",
                                     "stand",
                                     "zaehlerstand",
                                     "z\xc3\xa4hlerstand",
                                     "total energy",
                                     "meter_reading",
                                     NULL};
static const char *const intervals[] = {
    "consumption", "usage",     "verbrauch", "bezug",  "delta",  "consumption_kwh", "usage_kwh",
    "einspeisung", "lieferung", "netzbezug", "import", "export", "interval",        NULL};
static const char *const values[] = {"value",      "energy",    "kwh",     "wh", "wert",
                                     "energy_kwh", "energy_wh", "energie", NULL};
static const char *const kwhs[] = {"energy_kwh", NULL};
static const char *const produced[] = {"energy_produced_kwh", NULL};
static const char *const overs[] = {"energy_over_s", NULL};
static const char *const devices[] = {"device", NULL};
static const char *const channels[] = {"channel", NULL};
static const char *const counts[] = {"counts", NULL};
static const char *const ids[] = {"statistic_id", "entity_id", "metadata_id", NULL};
static const char *const units[] = {"unit_of_measurement", "unit", "einheit", NULL};

void foreign_columns_default(struct foreign_columns *columns)
{
    *columns = (struct foreign_columns){.format = FOREIGN_KWH,
                                        .time = 0,
                                        .value = 1,
                                        .clock = -1,
                                        .end = -1,
                                        .produced = -1,
                                        .device = -1,
                                        .channel = -1,
                                        .id = -1,
                                        .unit = -1,
                                        .over = -1};
}

static void read_own(const struct foreign_row *row, struct foreign_columns *columns)
{
    columns->time = find_column(row, times);
    columns->value = find_column(row, kwhs);
    columns->produced = find_column(row, produced);
    columns->over = find_column(row, overs);
    columns->device = find_column(row, devices);
    columns->channel = find_column(row, channels);
}

static void read_any(const struct foreign_row *row, struct foreign_columns *columns)
{
    columns->time = find_column(row, times);
    columns->clock = find_column(row, clocks);
    int date = find_column(row, dates);
    if (date >= 0 && columns->clock >= 0 && date != columns->clock)
        columns->time = date;
    else
        columns->clock = -1;
    columns->end = find_column(row, ends);
    columns->value = find_column(row, totals);
    if (columns->value < 0)
        columns->value = find_column(row, intervals);
    if (columns->value < 0)
        columns->value = find_column(row, values);
    if (is_one_of(row, columns->value, totals))
        columns->kind = FOREIGN_KIND_TOTAL;
    else if (is_one_of(row, columns->value, intervals) || columns->end >= 0)
        columns->kind = FOREIGN_KIND_INTERVAL;
}

bool foreign_columns_read(const struct foreign_row *row, enum foreign_format wanted,
                          struct foreign_columns *columns)
{
    foreign_columns_default(columns);
    columns->time = columns->value = -1;
    bool own = find_column(row, counts) >= 0 && find_column(row, kwhs) >= 0;
    bool ha = find_column(row, starts) >= 0 && find_column(row, sums) >= 0;
    if (wanted == FOREIGN_AUTO)
        wanted = own ? FOREIGN_BL2MQTT : ha ? FOREIGN_HA : FOREIGN_KWH;
    columns->format = wanted;
    columns->unit = find_column(row, units);
    if (wanted == FOREIGN_HA) {
        columns->time = find_column(row, starts);
        columns->value = find_column(row, sums);
        columns->ends_an_hour = true;
        columns->kind = FOREIGN_KIND_TOTAL;
    } else if (own) {
        read_own(row, columns);
    } else {
        read_any(row, columns);
    }
    if (!own)
        columns->id = find_column(row, ids);
    if (columns->value >= 0)
        columns->scale = scale_in_name(row->cells[columns->value]);
    return columns->time >= 0 && columns->value >= 0 && columns->time != columns->value;
}
