/* SPDX-License-Identifier: MIT */
/**
 * What `bl2mqtt --version` prints.
 */
#ifndef BRIDGE_COMMANDS_VERSIONS_H
#define BRIDGE_COMMANDS_VERSIONS_H

#include <stdio.h>

/** "bl2mqtt 0.1.0", then each library with the version that runs, which may be newer than the one that
 *  the program was built with. */
void versions_print(FILE *out);

#endif
