/* SPDX-License-Identifier: MIT */
/** The value of one row: from text to its destination, and what it should have been. */
#ifndef BRIDGE_OPTIONS_VALUES_H
#define BRIDGE_OPTIONS_VALUES_H

#include "bridge/options/options.h"

/** What holds before anything is given: the preset, or the kind's value for "not given". */
void option_value_begin(const struct option_row *row, void *options);

/** Takes a value (NULL for a flag). False if it is malformed or out of bounds; wanted, unless NULL,
 *  then says what is accepted: "a number from 1 to 100". */
bool option_value_take(const struct option_row *row, const char *value, void *options, char *wanted,
                       size_t size);

/** The name of the argument in help: the choices, or row->argument; "" for a flag. */
const char *option_value_argument(const struct option_row *row, char *buffer, size_t size);

/** Appends "a, b or c". */
void option_value_choices(const char *const *choices, char *buffer, size_t size);

#endif
