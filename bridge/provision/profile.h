/* SPDX-License-Identifier: MIT */
/**
 * Device profiles: what a kind of meter needs, as data (schema/profiles, docs/profiles.md). The ones
 * in the source tree are built into the program; others are read from a file.
 */
#ifndef BRIDGE_PROVISION_PROFILE_H
#define BRIDGE_PROVISION_PROFILE_H

#include "drivers/base/status.h"
#include "drivers/base/text.h"

#include <stdbool.h>
#include <stddef.h>

#define PROFILE_CHANNELS_MAX 2
#define PROFILE_FLAGS_MAX 32
#define PROFILE_AUTOEXEC_MAX 1500 /**< bytes; a module keeps its own scripts this small too */

struct profile_flag {
    unsigned flag; /**< 0..63 */
    bool set;
    const char *why;
};

struct profile_channel {
    char name; /**< 'a' or 'b', in this order */
    int uart;  /**< 1 or 2 */
};

/** All texts belong to the profile. */
struct profile {
    const char *name, *title, *image, *wiring;
    bool openbeken; /**< else wired to this machine: there is nothing to provision */
    bool twin;      /**< the firmware must be able to read two chips */
    double max_current_a;
    struct profile_channel channels[PROFILE_CHANNELS_MAX];
    size_t channel_count;
    const char *autoexec; /**< "" unless openbeken, and so is image */
    struct profile_flag flags[PROFILE_FLAGS_MAX];
    size_t flag_count;
    const char *bridge; /**< with @ID@, @NAME@ and @TOPIC@ */
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

#endif
