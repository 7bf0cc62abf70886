/* SPDX-License-Identifier: MIT */
#include "drivers/serial/address.h"

#include "drivers/base/number.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *scheme;
    enum serial_address_kind kind;
} schemes[] = {
    {"tcp://", SERIAL_TCP},
    {"rfc2217://", SERIAL_RFC2217},
    {"tcp-listen://", SERIAL_LISTEN},
};

static enum status malformed(const char *name, const char *what, struct error *error)
{
    return error_set(error, STATUS_USAGE,
                     "%.300s: %s. A port is a path such as /dev/serial/by-id/usb-A, "
                     "tcp://host:port, rfc2217://host:port or tcp-listen://:port.",
                     name, what);
}

/* Sets *rest behind the host; false if there is none that can be. */
static bool read_host(const char *text, struct serial_address *address, const char **rest)
{
    const char *begin = text, *end;
    if (*text == '[') {
        begin = text + 1;
        end = strchr(begin, ']');
        if (end == NULL)
            return false;
        *rest = end + 1;
    } else {
        end = text + strcspn(text, ":/?@");
        *rest = end;
    }
    size_t length = (size_t)(end - begin);
    if (length > SERIAL_HOST_MAX)
        return false;
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)begin[i] <= ' ' || (unsigned char)begin[i] >= 0x7F)
            return false;
    memcpy(address->host, begin, length);
    address->host[length] = '\0';
    return true;
}

static bool read_port(const char *text, struct serial_address *address, const char **rest)
{
    int64_t number;
    size_t length = *text == ':' ? strspn(text + 1, "0123456789") : 0;
    if (length == 0 || length >= sizeof address->port ||
        !number_parse_int(text + 1, length, 1, 65535, &number))
        return false;
    memcpy(address->port, text + 1, length);
    address->port[length] = '\0';
    *rest = text + 1 + length;
    return true;
}

static bool read_network(const char *text, size_t length, struct serial_allowed *allowed)
{
    char copy[INET6_ADDRSTRLEN];
    const char *slash = memchr(text, '/', length);
    size_t size = slash == NULL ? length : (size_t)(slash - text);
    int64_t bits;
    if (size == 0 || size >= sizeof copy)
        return false;
    memcpy(copy, text, size);
    copy[size] = '\0';
    struct in_addr four;
    bool is_four = inet_pton(AF_INET, copy, &four) == 1;
    if (is_four) {
        allowed->address = (struct in6_addr){0};
        allowed->address.s6_addr[10] = allowed->address.s6_addr[11] = 0xFF;
        memcpy(allowed->address.s6_addr + 12, &four, sizeof four);
    } else if (inet_pton(AF_INET6, copy, &allowed->address) != 1) {
        return false;
    }
    bits = is_four ? 32 : 128;
    if (slash != NULL && !number_parse_int(slash + 1, length - size - 1, 0, bits, &bits))
        return false;
    allowed->bits = (unsigned)(is_four ? bits + 96 : bits);
    return true;
}

static bool read_allowed(const char *text, struct serial_address *address)
{
    static const char key[] = "?allow=";
    if (strncmp(text, key, sizeof key - 1) != 0)
        return false;
    text += sizeof key - 1;
    for (;;) {
        size_t length = strcspn(text, ",");
        if (address->allowed_count == SERIAL_ALLOWED_MAX ||
            !read_network(text, length, &address->allowed[address->allowed_count++]))
            return false;
        if (text[length] == '\0')
            return true;
        text += length + 1;
    }
}

enum status serial_address_read(const char *name, struct serial_address *address,
                                struct error *error)
{
    *address = (struct serial_address){.kind = SERIAL_TTY};
    const char *rest = NULL;
    if (strstr(name, "://") == NULL)
        return STATUS_OK;
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0] && rest == NULL; i++) {
        size_t length = strlen(schemes[i].scheme);
        if (strncmp(name, schemes[i].scheme, length) != 0)
            continue;
        address->kind = schemes[i].kind;
        rest = name + length;
    }
    if (rest == NULL)
        return malformed(name, "there is no such kind of port", error);
    bool listens = address->kind == SERIAL_LISTEN;
    if (!read_host(rest, address, &rest) || (!listens && address->host[0] == '\0'))
        return malformed(name, "the host is missing or cannot be one", error);
    if (!read_port(rest, address, &rest))
        return malformed(name, "the port must be a number from 1 to 65535 behind a colon", error);
    if (*rest == '\0')
        return STATUS_OK;
    if (!listens)
        return malformed(name, "nothing may stand behind the port", error);
    if (!read_allowed(rest, address))
        return malformed(name,
                         "behind the port only ?allow= may stand, with at most 8 addresses or "
                         "networks, such as ?allow=192.168.1.31,10.0.0.0/8",
                         error);
    return STATUS_OK;
}

bool serial_address_allows(const struct serial_address *address, const struct in6_addr *peer)
{
    for (size_t i = 0; i < address->allowed_count; i++) {
        const struct serial_allowed *allowed = &address->allowed[i];
        bool same = true;
        for (unsigned bit = 0; bit < allowed->bits && same; bit++) {
            unsigned mask = 0x80U >> bit % 8;
            same = ((allowed->address.s6_addr[bit / 8] ^ peer->s6_addr[bit / 8]) & mask) == 0;
        }
        if (same)
            return true;
    }
    return address->allowed_count == 0;
}

bool serial_address_is_raw(const struct serial_address *address)
{
    return address->kind == SERIAL_TCP || address->kind == SERIAL_LISTEN;
}
