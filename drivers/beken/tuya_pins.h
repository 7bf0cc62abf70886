/* SPDX-License-Identifier: MIT */
/**
 * The vendor's list of pins (user_param_key) and what OpenBeken needs for the same board. Pure.
 *
 * Other tools ignore the levels (rl1_lv, netled1_lv, ...) and assume relays that are on at 1, LEDs and
 * buttons that are on at 0; here the level that the vendor wrote decides between a role and its
 * inverted twin.
 */
#ifndef DRIVERS_BEKEN_TUYA_PINS_H
#define DRIVERS_BEKEN_TUYA_PINS_H

#include "drivers/beken/chip.h"
#include "drivers/beken/obk_config.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TUYA_PINS_MAX 48u

/** The chip that measures, as the vendor's settings name it. */
enum tuya_meter {
    TUYA_METER_NONE, /**< they name none */
    TUYA_METER_BL0942,
    TUYA_METER_HLW8032,
    TUYA_METER_PULSES, /**< a BL0937 or HLW8012, on pins of its own */
    TUYA_METER_OTHER,  /**< a chip_type that is not known here */
};

struct tuya_pin {
    char key[24];     /**< "rl1_pin" */
    uint8_t pin;      /**< the number behind P */
    const char *role; /**< OpenBeken's name, "Rel"; NULL: nothing that is known here */
    uint8_t channel;
    int level; /**< at which it is active: 0 or 1; -1 if the vendor does not say */
};

struct tuya_pins {
    char module[24];      /**< "CB2S", "" if unknown */
    enum beken_chip chip; /**< that this module has, or UNKNOWN */
    size_t count;
    struct tuya_pin pins[TUYA_PINS_MAX]; /**< in the order of the pins; a pin may come twice */
    char commands[400]; /**< what pins cannot say, one command a line: "PWMFrequency 1000" */
    enum tuya_meter meter;
    int meter_type;         /**< the vendor's chip_type; -1: none */
    int meter_rx, meter_tx; /**< pins of its serial line (ele_rx, ele_tx); -1: not named */
};

/**
 * Reads the vendor's JSON without quotes ("{rl1_pin:6,rl1_lv:1,...}"), and proper JSON. A new object, or
 * NULL if it is neither. Bounded in depth and size.
 */
json_t *tuya_pins_parse_text(const char *text, size_t length);

/** settings: an object as above, may be NULL. */
void tuya_pins_read(const json_t *settings, struct tuya_pins *pins);

/** "BL0942", "HLW8032", "BL0937 or HLW8012", "a chip that is not known here"; "" for none. */
const char *tuya_meter_name(enum tuya_meter meter);

/** The chip in a module of this name ("CB2S"), or UNKNOWN. */
enum beken_chip tuya_module_chip(const char *module);

/** The template as OpenBeken's web app takes it: {"vendor", "name", "chip", "board", "pins", "command",
 *  ...}. chip: as found elsewhere, or UNKNOWN. A new object. */
json_t *tuya_pins_template(const struct tuya_pins *pins, enum beken_chip chip);

/** Sets the pins that are known and, if there is none yet, the startup command. Other pins of config
 *  stay as they are. */
void tuya_pins_apply(const struct tuya_pins *pins, struct obk_config *config);

#endif
