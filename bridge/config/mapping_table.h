/* SPDX-License-Identifier: MIT */
/** The built-in mapping files; the table is made by CMake from schema/mappings. */
#ifndef BRIDGE_CONFIG_MAPPING_TABLE_H
#define BRIDGE_CONFIG_MAPPING_TABLE_H

#include <stddef.h>

struct mapping_table_row {
    const char *name; /**< NULL: behind the last */
    const unsigned char *bytes;
    const size_t *length;
};

extern const struct mapping_table_row mapping_table[];

#endif
