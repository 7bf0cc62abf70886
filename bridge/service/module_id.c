/* SPDX-License-Identifier: MIT */
#include "bridge/service/module_id.h"

#include <stdio.h>
#include <string.h>

void module_id_make(const char *client, bool (*is_taken)(void *context, const char *id),
                    void *context, char id[MODULE_ID_SIZE])
{
    const char *slash = strrchr(client, '/');
    const char *word = slash == NULL ? client : slash + 1;
    char stem[MODULE_ID_SIZE - 5];
    size_t length = 0;
    for (; *word != '\0' && length < sizeof stem - 1; word++) {
        char c = *word >= 'A' && *word <= 'Z' ? (char)(*word - 'A' + 'a') : *word;
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
        stem[length++] = plain ? c : '_';
    }
    stem[length] = '\0';
    (void)snprintf(id, MODULE_ID_SIZE, "%s", length > 0 ? stem : "module");
    for (unsigned n = 2; n < 1000 && is_taken(context, id); n++)
        (void)snprintf(id, MODULE_ID_SIZE, "%s_%u", length > 0 ? stem : "module", n);
}
