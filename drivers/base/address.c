/* SPDX-License-Identifier: MIT */
#include "drivers/base/address.h"

#include "drivers/base/number.h"

#include <string.h>
#include <strings.h>

bool address_split(const char *text, char *host, size_t size, uint16_t *port)
{
    const char *colon = strrchr(text, ':');
    int64_t number = 0;
    if (colon == NULL || !number_parse_int(colon + 1, strlen(colon + 1), 0, UINT16_MAX, &number))
        return false;
    size_t length = (size_t)(colon - text);
    if (length >= 2 && text[0] == '[' && colon[-1] == ']') {
        text++;
        length -= 2;
    }
    if (length == 0 || length >= size)
        return false;
    memcpy(host, text, length);
    host[length] = '\0';
    *port = (uint16_t)number;
    return true;
}

bool address_is_loopback(const char *host)
{
    /* No name that only begins like an address: "127.example.org". */
    return strcasecmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
           (strncmp(host, "127.", 4) == 0 && host[strspn(host, "0123456789.")] == '\0');
}
