/* SPDX-License-Identifier: MIT */
/* mqtt.server as anybody may write it: a host, a port and a scheme, or a sentence. */
#include "bridge/mqtt/server_address.h"

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
    char text[2048];
    struct server_address address;
    struct error error = {""};
    if (size >= sizeof text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (server_address_parse(text, &address, &error) != STATUS_OK) {
        require(error.text[0] != '\0');
        return 0;
    }
    require(address.host[0] != '\0' && address.port > 0 && address.port < 65536);
    require(strncmp(address.uri, address.tls ? "mqtts://" : "mqtt://", address.tls ? 8 : 7) == 0);
    return 0;
}
