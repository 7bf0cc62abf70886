/* SPDX-License-Identifier: MIT */
/** Words for what the reader finds wrong; each adds one problem. */
#ifndef BRIDGE_CONFIG_REPORT_H
#define BRIDGE_CONFIG_REPORT_H

#include "bridge/config/reader.h"

/** The value does not do: "mqtt.keepalive is "60"; it must be a duration ... hint". Marks the field
 * as failed. hint may be "". */
void report_value(const struct target *target, const struct field *field,
                  const struct yaml_node *node, const char *hint);

/** prefix: the group in which the key stands, "" or "history.keep". */
void report_unknown_key(const struct target *target, const char *prefix,
                        const struct yaml_node *node);

/** The key exists, but not for this device's driver. */
void report_other_driver(const struct target *target, const struct field *field,
                         const struct yaml_node *node);

void report_missing(const struct target *target, const struct field *field);

#endif
