/* SPDX-License-Identifier: MIT */
/* Addresses of Home Assistant; the conversation itself is followed in tests/integration/test_backfill.py. */
#include "bridge/backfill/websocket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *url, *host;
        int port;
        bool tls;
        const char *path;
    } table[] = {
        {"http://homeassistant.local:8123", "homeassistant.local", 8123, false, "/api"},
        {"https://h", "h", 443, true, "/api"},
        {"ws://h/", "h", 80, false, "/api"},
        {"wss://h:1/below//", "h", 1, true, "/below/api"},
        {"http://supervisor/core", "supervisor", 80, false, "/core/api"},
        {"http://[fd00::1]:8123", "fd00::1", 8123, false, "/api"},
    };
    static const char *const wrong[] = {
        "",          "h:8123",         "ftp://h",  "http://",      "http://:1",   "http://h:0",
        "http://h:", "http://h:99999", "http://[", "http://[::1x", "http://[]:1", "http://[::1]x"};
    struct websocket_address address;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        assert_true(websocket_address_parse(table[i].url, "/api", &address));
        assert_string_equal(address.host, table[i].host);
        assert_int_equal(address.port, table[i].port);
        assert_int_equal(address.tls, table[i].tls);
        assert_string_equal(address.path, table[i].path);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(websocket_address_parse(wrong[i], "/api", &address));
    char long_url[700];
    memset(long_url, 'a', sizeof long_url);
    memcpy(long_url, "http://", 7);
    long_url[sizeof long_url - 1] = '\0';
    assert_false(websocket_address_parse(long_url, "/api", &address));
    long_url[20] = '/';
    assert_false(websocket_address_parse(long_url, "/api", &address));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_addresses)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
