/* SPDX-License-Identifier: MIT */
#include "bridge/commands/scan_text.h"

#include "drivers/serial/list.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Counts per volt of the usual divider, 5 x 390 kilohm over 510 ohm (BL0942 application note):
 * V_RMS = 73989 * v / 1.218 with v in millivolts at the pin. */
#define USUAL_COUNTS_PER_VOLT 15883.34

/* The name that will still lead to this adapter after it was put back or the machine restarted. */
void scan_stable_name(const char *port, char *name, size_t size)
{
    char device[PATH_MAX], other[PATH_MAX];
    struct serial_listing *listings = NULL;
    size_t count = 0;
    (void)snprintf(name, size, "%s", port);
    if (strncmp(port, "/dev/serial/", 12) == 0 || realpath(port, device) == NULL ||
        serial_list(&listings, &count, NULL) != STATUS_OK)
        return;
    for (size_t i = 0; i < count; i++) {
        const struct serial_listing *listing = &listings[i];
        if (realpath(listing->path, other) == NULL || strcmp(device, other) != 0)
            continue;
        const char *best = listing->by_id_unique ? listing->by_id : listing->by_path;
        if (best[0] != '\0')
            (void)snprintf(name, size, "%s", best);
    }
    free(listings);
}

/* Quoted where a plain scalar would not do. */
void scan_append_yaml(struct text *text, const char *value)
{
    if (value[0] != '\0' && value[strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWX"
                                                "YZ0123456789/_.-")] == '\0') {
        text_append(text, "%s", value);
        return;
    }
    text_append(text, "\"");
    for (; *value != '\0'; value++)
        text_append(text, *value == '"' || *value == '\\' ? "\\%c" : "%c", *value);
    text_append(text, "\"");
}

double scan_volts(const struct bl0942_packet *packet)
{
    return packet->v_rms / USUAL_COUNTS_PER_VOLT;
}

double scan_hertz(const struct bl0942_packet *packet)
{
    return packet->freq > 0 ? 1e6 / packet->freq : 0;
}
