/* SPDX-License-Identifier: MIT */
/**
 * Device profiles: what a kind of meter needs, as data (schema/profiles, docs/profiles.md). The ones
 * in the source tree are built into the program; others are read from a file.
 */
#ifndef BRIDGE_PROVISION_PROFILE_H
#define BRIDGE_PROVISION_PROFILE_H

#include "drivers/base/status.h"
#include "drivers/base/text.h"
#include "drivers/beken/image.h"

#include <stdbool.h>
#include <stddef.h>

#define PROFILE_CHANNELS_MAX 2
#define PROFILE_FLAGS_MAX 32
#define PROFILE_PINS_MAX 32
#define PROFILE_CHIPS_MAX 8
#define PROFILE_KINDS_MAX 4
#define PROFILE_AUTOEXEC_MAX 1500 /**< bytes; a module keeps its own scripts this small too */

struct profile_flag {
    unsigned flag; /**< 0..63 */
    bool set;
    const char *why;
};

/** Factors to begin with, as in bridge.yaml: raw counts per V, A, W (bl0942), or thousandths of the
 *  module's own number per V, A, W (openbeken). */
struct profile_calibration {
    bool given;
    double voltage, current, power;
};

struct profile_channel {
    char name; /**< 'a' or 'b', in this order */
    int uart;  /**< 1 or 2 */
    struct profile_calibration calibration;
};

/** What a pin of the module is for, besides the UARTs. */
struct profile_pin {
    unsigned pin;        /**< 0..31, the GPIO's number */
    const char *role;    /**< OpenBeken's name of it */
    uint8_t role_number; /**< and its number in the configuration block */
    unsigned channel;    /**< OpenBeken's channel, 0..63 */
};

/** Which firmware the module needs; only with openbeken. */
struct profile_image {
    const char *text; /**< in words */
    bool twin;        /**< it must be able to read two chips */
    enum beken_chip chips[PROFILE_CHIPS_MAX];
    size_t chip_count;
    enum image_kind kinds[PROFILE_KINDS_MAX]; /**< for writing it over the cable */
    size_t kind_count;
};

/** All texts belong to the profile. */
struct profile {
    const char *name, *title, *wiring;
    bool openbeken; /**< else wired to this machine: there is nothing to provision */
    struct profile_image image;
    double max_current_a;
    struct profile_channel channels[PROFILE_CHANNELS_MAX];
    size_t channel_count;
    struct profile_pin pins[PROFILE_PINS_MAX];
    size_t pin_count;
    const char *autoexec; /**< "" unless openbeken */
    struct profile_flag flags[PROFILE_FLAGS_MAX];
    size_t flag_count;
    const char *bridge; /**< with @ID@, @NAME@, @TOPIC@, @CALIBRATION_A@, @CALIBRATION_B@ */
};

/**
 * A built-in profile by its name, or a file if the name has a '/' or ends with ".yaml".
 * STATUS_USAGE if there is none or it has problems; the sentence says which profiles there are, or
 * file, line and column. Freed with profile_free.
 */
enum status profile_load(const char *name, struct profile **profile, struct error *error);

/** The same from memory. file is for messages. */
enum status profile_parse(const char *file, const char *bytes, size_t length,
                          struct profile **profile, struct error *error);

/** NULL is allowed. */
void profile_free(struct profile *profile);

/** Name of built-in profile i; NULL behind the last. */
const char *profile_name(size_t i);

/**
 * Appends the profile's lines for bridge.yaml, "devices:" first. The device's id is made of the
 * client id, its name is name, or the id if name is "".
 */
void profile_append_bridge(const struct profile *profile, const char *client_id, const char *name,
                           struct text *text);

#define PROFILE_DEVICE_ID_MAX 32
/** The device's id as in bridge.yaml, made of the client id: utilities/Sensor9 -> utilities_sensor9. */
void profile_device_id(const char *client_id, char id[PROFILE_DEVICE_ID_MAX + 1]);

/** The script in one line, as a startup command: "backlog logtype none; startDriver BL0942". Nothing if
 *  there is no script. It has at most as many bytes as the script and 10 more per line. */
void profile_append_startup(const struct profile *profile, struct text *text);

/** The profile's image is for this chip, or for one whose images it runs. */
bool profile_fits_chip(const struct profile *profile, enum beken_chip chip);

/** "BK7231N, BK7231M". */
void profile_append_chips(const struct profile *profile, struct text *text);

#endif
