/* SPDX-License-Identifier: MIT */
/**
 * What a module's retained announcements to Home Assistant tell about it (firmware: hass.c): its
 * client id, its names, which values it sends, and the unit of its energy counter, which nothing else
 * tells. Pure; takes any bytes.
 *
 *   <prefix>/sensor/<long name>_sensor_<number>/config   {"~":CLIENT, "stat_t":"~/voltage/get", ...}
 */
#ifndef DRIVERS_OPENBEKEN_DISCOVERY_H
#define DRIVERS_OPENBEKEN_DISCOVERY_H

#include "drivers/openbeken/codec.h"

#define OPENBEKEN_NAME_MAX 64 /**< the firmware's longest name */

enum openbeken_unit { OPENBEKEN_UNIT_UNKNOWN, OPENBEKEN_WH, OPENBEKEN_KWH };

struct openbeken_discovery {
    char client[OPENBEKEN_CLIENT_MAX + 1];
    char name[OPENBEKEN_NAME_MAX + 1];      /**< short name, or "" */
    char long_name[OPENBEKEN_NAME_MAX + 1]; /**< Home Assistant's id of the device, or "" */
    char chipset[32];                       /**< "BK7231N", or "" */
    char page[80];                          /**< address of its web page, or "" */
    bool is_value;                          /**< one of the five quantities: */
    unsigned chip;
    enum openbeken_quantity quantity;
    enum openbeken_unit unit; /**< of the energy total */
    bool unit_foreign;        /**< it announces its energy total in neither Wh nor kWh */
};

/** True if the topic is <prefix>/sensor/<something>/config. */
bool openbeken_discovery_topic(const char *prefix, const char *topic);

/** True if it announces an energy total: only these tell the unit. */
bool openbeken_discovery_of_total(const char *topic);

/** False unless it is an announcement as OpenBeken makes them. Control characters are refused. */
bool openbeken_discovery(const char *payload, size_t length, struct openbeken_discovery *discovery);

#endif
