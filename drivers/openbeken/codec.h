/* SPDX-License-Identifier: MIT */
/**
 * What a module with OpenBeken firmware says on MQTT: topics and payloads to meaning. Pure; takes any
 * bytes. Source of names, units and formats: the firmware's own source (new_mqtt.c, drv_bl_shared.c,
 * json_interface.c) and what it was seen to send.
 *
 * A module publishes below its client id, which may contain slashes; so a topic is read from its end,
 * and may belong to one of several client ids. Who knows the client ids decides: the first candidate
 * whose client is known, longest client first.
 *
 *   CLIENT/<name>/get, CLIENT/<name>    one value as text; the latter with the firmware's flag 50
 *   CLIENT/connected                    online, offline (the broker's last will); retained
 *   tele/CLIENT/SENSOR                  JSON, every 3 s with flag 30
 *   stat/CLIENT/STATUS8, STATUS10       the same JSON, once per request
 */
#ifndef DRIVERS_OPENBEKEN_CODEC_H
#define DRIVERS_OPENBEKEN_CODEC_H

#include "drivers/reading.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OPENBEKEN_CLIENT_MAX 63 /**< characters; the firmware stores no more */
#define OPENBEKEN_TOPIC_MAX 200 /**< longer topics are nobody's */
#define OPENBEKEN_JSON_MAX 4096 /**< the firmware's own limit is below it */
#define OPENBEKEN_CHIPS 2       /**< chip 0: plain names; chip 1 (twin build): names with _b */

enum openbeken_quantity {
    OPENBEKEN_VOLTAGE,
    OPENBEKEN_CURRENT,
    OPENBEKEN_POWER,
    OPENBEKEN_FREQUENCY,
    OPENBEKEN_ENERGY, /**< the total; Wh, or kWh with flag 40: the topic does not tell */
    OPENBEKEN_QUANTITY_COUNT,
};

/** The bit of reading.present that belongs to a quantity. */
unsigned openbeken_field(enum openbeken_quantity quantity);

enum openbeken_kind {
    OPENBEKEN_VALUE,     /**< quantity and chip are set */
    OPENBEKEN_CONNECTED, /**< openbeken_connected() */
    OPENBEKEN_UPTIME,    /**< seconds since the module started */
    OPENBEKEN_BUILD,     /**< firmware version, as text */
    OPENBEKEN_CHANNEL_0, /**< CLIENT/0/get: the value of channel 0, or empty: somebody asks for it */
    OPENBEKEN_SENSOR,    /**< openbeken_sensor_json() */
    OPENBEKEN_STATUS,    /**< openbeken_sensor_json() */
    OPENBEKEN_TELE,      /**< anything else below tele/: shows that flag 30 is on */
};

/** One way to read a topic. client points into the topic and is not NUL-terminated. */
struct openbeken_topic {
    const char *client;
    size_t client_length; /**< 1..OPENBEKEN_CLIENT_MAX */
    enum openbeken_kind kind;
    unsigned chip;
    enum openbeken_quantity quantity;
};

#define OPENBEKEN_CANDIDATES 2

/** All ways to read a topic, longest client first; 0 if it is none of a module's that matters. */
size_t openbeken_topic_read(const char *topic,
                            struct openbeken_topic candidates[OPENBEKEN_CANDIDATES]);

enum openbeken_verdict {
    OPENBEKEN_GOOD,
    OPENBEKEN_EMPTY,   /**< somebody asks for the value; not the module's */
    OPENBEKEN_UNKNOWN, /**< inf or nan: the module itself does not know */
    OPENBEKEN_BAD,     /**< not a number, or one that no meter can have */
};

/**
 * A value's payload in thousandths of the unit on the wire (V, A, W, Hz, Wh or kWh), towards zero for
 * energy. Ranges: 0..2000 V, 0..10000 A, +-2 MW, 0..1000 Hz, 0..10^9 Wh or kWh. *milli is only set
 * when good.
 */
enum openbeken_verdict openbeken_value(enum openbeken_quantity quantity, const char *payload,
                                       size_t length, int64_t *milli);

enum openbeken_verdict openbeken_connected(const char *payload, size_t length, bool *online);

enum openbeken_verdict openbeken_uptime(const char *payload, size_t length, int64_t *seconds);

/** What SENSOR and STATUS8 hold, in the units of a READING_OPENBEKEN. */
struct openbeken_energy {
    unsigned present; /**< bits of enum reading_field */
    int64_t milli[OPENBEKEN_QUANTITY_COUNT];
};

/**
 * The object ENERGY of SENSOR and STATUS8; always chip 0 and always Wh. The JSON need not be valid:
 * the module writes inf and nan where it does not know, and those are left out. OPENBEKEN_UNKNOWN if
 * there is no such object (no driver runs) or it is all zeros (no packet of the chip ever came).
 */
enum openbeken_verdict openbeken_sensor_json(const char *payload, size_t length,
                                             struct openbeken_energy *energy);

#endif
