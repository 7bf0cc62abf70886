/* SPDX-License-Identifier: MIT */
/** One MQTT message as the drivers get it. Texts are borrowed for the length of the call. */
#ifndef DRIVERS_MESSAGES_MESSAGE_H
#define DRIVERS_MESSAGES_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct message {
    const char *topic;
    const char *payload; /**< not NUL-terminated */
    size_t length;
    bool retained; /**< the broker kept it; nobody knows how old it is */
    int64_t wall_ms;
    int64_t boot_ms; /**< never less than in the call before */
};

#endif
