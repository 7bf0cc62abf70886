/* SPDX-License-Identifier: MIT */
/**
 * Readings as Influx line protocol, which InfluxDB, VictoriaMetrics and QuestDB take. Pure.
 *
 *   bl2mqtt,bridge=home,channel=a,device=house voltage=230.129,current=1.234,power=283.112,
 *   frequency=50.012,energy=0.000187000,energy_produced=0.000000000 1764000000123
 *
 * (in one line). V, A, W, Hz, calibrated, and kWh that this reading added to the totals; what was not
 * measured is not there. The time is in milliseconds since 1970: the request must say precision=ms.
 * The same reading gives the same line, whenever it is made.
 * Format: docs.influxdata.com, "line protocol reference".
 */
#ifndef BRIDGE_SINKS_LINE_PROTOCOL_H
#define BRIDGE_SINKS_LINE_PROTOCOL_H

#include "bridge/history/readings.h"
#include "drivers/base/text.h"

#include <stdbool.h>

#define LINE_MEASUREMENT "bl2mqtt"

/** Room that a line needs at most. */
#define LINE_MAX_BYTES 1200

/** Appends the line, with its end. False, and nothing is appended, if it does not fit. */
bool line_append(struct text *out, const char *bridge, const struct history_reading *reading);

/** Appends a tag's value: comma, equals sign and space get a backslash in front; control characters and
 *  backslashes, which no engine takes there in the same way, become an underscore. */
void line_append_tag(struct text *out, const char *value);

/** Appends a text as part of a URL's query: all but letters, digits and -._~ as %XX (RFC 3986). */
void line_append_query(struct text *out, const char *value);

#endif
