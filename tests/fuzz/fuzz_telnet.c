/* SPDX-License-Identifier: MIT */
/*
 * A telnet server's arbitrary bytes, whole and in pieces: the data that comes out is the same, never
 * longer than what went in, and the answers stay within their room. The same bytes as a port's name.
 */
#include "drivers/serial/address.h"
#include "drivers/serial/telnet.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *whole = malloc(size + 1), *pieces = malloc(size + 1);
    char *name = malloc(size + 1);
    struct telnet one = {0}, other = {0};
    size_t count = telnet_decode(&one, data, size, whole), at = 0;
    require(count <= size && one.reply_length <= TELNET_REPLY_MAX);
    for (size_t i = 0; i < size; i++)
        at += telnet_decode(&other, data + i, 1, pieces + at);
    require(at == count && memcmp(whole, pieces, count) == 0);
    require(memcmp(&one, &other, sizeof one) == 0);
    if (size > 0)
        memcpy(name, data, size);
    name[size] = '\0';
    struct serial_address address;
    struct error error = {""};
    if (serial_address_read(name, &address, &error) == STATUS_OK)
        require(address.allowed_count <= SERIAL_ALLOWED_MAX);
    else
        require(error.text[0] != '\0');
    free(whole);
    free(pieces);
    free(name);
    return 0;
}
