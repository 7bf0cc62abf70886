/* SPDX-License-Identifier: MIT */
/**
 * The table of requests: what each is called, takes and does. Parsing, checks, the request_schema in
 * bridge/info and the reference in docs/mqtt.md are derived from it. To add a request: one member in
 * struct request_handlers, one row in table.c, and the handler.
 */
#ifndef BRIDGE_REQUESTS_TABLE_H
#define BRIDGE_REQUESTS_TABLE_H

#include "bridge/requests/arguments.h"
#include "bridge/requests/requests.h"

/** One handler for each row of the table. */
struct request_handlers {
    request_handler health_check;
    request_handler restart;
    request_handler log_level;
    request_handler options;
    request_handler ports;
    request_handler scan;
    request_handler mqtt_test;
    request_handler permit_join;
    request_handler backup;
    request_handler restore_check;
    request_handler restore;
    request_handler restore_state;
    request_handler flash_profiles;
    request_handler flash_start;
    request_handler flash_cancel;
    request_handler openbeken_provision;
    request_handler device_add;
    request_handler device_adopt;
    request_handler device_remove;
    request_handler device_rename;
    request_handler device_enable;
    request_handler device_disable;
    request_handler device_options;
    request_handler device_raw;
    request_handler device_calibrate;
    request_handler device_calibration_set;
    request_handler device_energy_set;
    request_handler device_update;
    request_handler history_energy;
    request_handler history_power;
    request_handler history_cost;
    request_handler history_gaps;
    request_handler history_events;
    request_handler history_voltage;
    request_handler history_recalibrate;
    request_handler homeassistant_refresh;
    request_handler homeassistant_purge;
    request_handler homeassistant_backfill;
    request_handler openbeken_clear_announcements;
};

struct request_row {
    const char *name; /**< X */
    const char *help; /**< what it does and answers, for the reference: Markdown of one line */
    size_t handler;   /**< offset in struct request_handlers */
    /** The argument that a payload stands for which is no object (Zigbee2MQTT's `debug` for log_level);
     *  NULL: such a payload is ignored if empty, else refused. "": it is ignored. */
    const char *plain;
    bool trusted; /**< only through a door that is (requests.h) */
    bool open;    /**< other keys belong to the handler: a device as in bridge.yaml */
    const struct request_argument *arguments; /**< ended by a key of NULL; NULL: none */
};

extern const struct request_row request_rows[];
extern const size_t request_row_count;

/** NULL if there is none. name in lower case. */
const struct request_row *request_row_find(const char *name);

/** JSON Schema (draft-07) of the payload of one request. New reference. */
json_t *request_row_schema(const struct request_row *row);

/** The reference in docs/mqtt.md, between its marks: Markdown, to be freed. */
char *request_reference(void);

#endif
