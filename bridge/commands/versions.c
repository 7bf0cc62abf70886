/* SPDX-License-Identifier: MIT */
#include "bridge/commands/versions.h"

#include "bridge/config/yaml_tree.h"
#include "bridge/history/store/sql.h"
#include "bridge/http/client.h"
#include "bridge/mqtt/connection.h"
#include "bridge/web/server.h"
#include "drivers/base/version.h"
#include "drivers/beken/crypto.h"
#include "drivers/serial/port.h"

#include <gnu/libc-version.h>
#include <jansson.h>
#include <string.h>
#include <uv.h>
#include <zlib.h>

/* The digits of "libcurl/7.88.1 OpenSSL/3.0.17" and "OpenSSL 3.0.17 1 Jul 2025": up to the space behind
 * the first one. */
static void print_version(FILE *out, const char *name, const char *version)
{
    const char *digits = version + strcspn(version, "0123456789");
    (void)fprintf(out, "  %-14s %.*s\n", name, (int)strcspn(digits, " "), digits);
}

void versions_print(FILE *out)
{
    (void)fprintf(out, "bl2mqtt %s\n", program_version);
    const struct {
        const char *name, *version;
    } libraries[] = {
        {"GNU C Library", gnu_get_libc_version()},
        {"jansson", jansson_version_str()},
        {"libcurl", http_library_version()},
        {"libmicrohttpd", server_library_version()},
        {"libserialport", serial_library_version()},
        {"libuv", uv_version_string()},
        {"libyaml", yaml_library_version()},
        {"OpenSSL", crypto_version()},
        {"Paho MQTT C", connection_library_version()},
        {"SQLite", sql_library_version()},
        {"zlib", zlibVersion()},
    };
    for (size_t i = 0; i < sizeof libraries / sizeof libraries[0]; i++)
        if (libraries[i].version != NULL)
            print_version(out, libraries[i].name, libraries[i].version);
        else
            (void)fprintf(out, "  %-14s not installed\n", libraries[i].name);
}
