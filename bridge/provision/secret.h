/* SPDX-License-Identifier: MIT */
/** A password: from a file, from the environment, or typed on the terminal. Never from the command line,
 *  where everybody on the machine could read it. */
#ifndef BRIDGE_PROVISION_SECRET_H
#define BRIDGE_PROVISION_SECRET_H

#include "drivers/base/status.h"

#include <stdbool.h>

#define SECRET_SIZE 256 /**< with its end */

/**
 * The first line of file; or the environment variable; or, if must_have, what is typed on the terminal.
 * "" if there is none and none is needed. STATUS_USAGE if it cannot be had. what is for messages: "MQTT
 * password". The caller wipes it.
 */
enum status secret_read(const char *what, const char *file, const char *variable, bool must_have,
                        char secret[SECRET_SIZE], struct error *error);

#endif
