/* SPDX-License-Identifier: MIT */
/** The profiles that are built in: made from schema/profiles by the build. */
#ifndef BRIDGE_PROVISION_PROFILE_TABLE_H
#define BRIDGE_PROVISION_PROFILE_TABLE_H

#include <stddef.h>

struct profile_file {
    const char *name; /**< the file's name without .yaml */
    const unsigned char *bytes;
    const size_t *length;
};

/** Ordered by name, ended by a NULL name. */
extern const struct profile_file profile_files[];

#endif
