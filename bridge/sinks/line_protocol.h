/* SPDX-License-Identifier: MIT */
/**
 * Readings and what is aggregated from them as Influx line protocol, which InfluxDB, VictoriaMetrics
 * and QuestDB take. Pure.
 *
 *   bl2mqtt,bridge=home,channel=a,device=house voltage=230.129,current=1.234,power=283.112,
 *   frequency=50.012,energy=0.000187000,energy_produced=0.000000000 1764000000123
 *
 * (in one line). V, A, W, Hz, calibrated, and kWh that this reading added to the totals; what was not
 * measured is not there. After an absence energy_over has the seconds over which those kWh were counted. The time is in milliseconds since 1970: the request must say precision=ms.
 * The same reading gives the same line, whenever it is made.
 *
 *   bl2mqtt_minute,bridge=home,channel=a,device=house voltage_min=229.911,voltage_mean=230.127,
 *   voltage_max=230.402,...,energy=0.004718333,energy_produced=0.000000000,coverage=1.000
 *   1764000000000
 *
 * A minute, quarter of an hour (bl2mqtt_quarter) or day (bl2mqtt_day): the same tags and units, of each
 * quantity the minimum, mean and maximum value, kWh within it and how much of them is estimated, the part of
 * it that had readings; its begin.
 * Format: docs.influxdata.com, "line protocol reference".
 */
#ifndef BRIDGE_SINKS_LINE_PROTOCOL_H
#define BRIDGE_SINKS_LINE_PROTOCOL_H

#include "bridge/history/query/points.h"
#include "bridge/history/query/readings.h"
#include "drivers/base/text.h"

#include <stdbool.h>

#define LINE_MEASUREMENT "bl2mqtt"

/** Room that a line needs at most. */
#define LINE_MAX_BYTES 2000

/** Appends the line, with its end. False, and nothing is appended, if it does not fit. */
bool line_append(struct text *out, const char *bridge, const struct history_reading *reading);

/** The same of a point of that level, not OUTBOX_READINGS. */
bool line_append_point(struct text *out, const char *bridge, enum outbox_level level,
                       const struct history_point *point);

/** Appends a tag's value: comma, equals sign and space get a backslash in front; control characters and
 *  backslashes, which no engine takes there in the same way, become an underscore. */
void line_append_tag(struct text *out, const char *value);

/** Appends a text as part of a URL's query: all but letters, digits and -._~ as %XX (RFC 3986). */
void line_append_query(struct text *out, const char *value);

#endif
