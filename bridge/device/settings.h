/* SPDX-License-Identifier: MIT */
/**
 * What <base>/<device>/set asks for. Pure, and wary: the bytes come from anyone who may publish on the
 * broker. Whatever they are, the result is settings or a sentence that says what is wrong with them.
 */
#ifndef BRIDGE_DEVICE_SETTINGS_H
#define BRIDGE_DEVICE_SETTINGS_H

#include "drivers/base/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SETTINGS_PAYLOAD_MAX 16384 /**< bytes */

struct settings {
    bool has_report_interval;
    int64_t report_interval_ms;
    json_t *
        options; /**< all of it as a piece of the device's block in bridge.yaml; NULL after an error */
};

/**
 * {"report_interval": 10, "retain": true}: the settable properties by their names; update_frequency is accepted as
 * Zigbee2MQTT's name for report_interval. At least one setting, no unknown ones. With a key (from set/<key>), payload is that key's value alone; NULL: none.
 * STATUS_USAGE with the reason otherwise. The caller releases options.
 */
enum status settings_parse(const char *key, const char *payload, size_t length,
                           struct settings *settings, struct error *error);

#endif
