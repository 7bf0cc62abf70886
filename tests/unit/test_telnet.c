/* SPDX-License-Identifier: MIT */
/* Telnet with RFC 2217, and the names of ports: bytes as ser2net 4.3 was seen to send them. */
#include "drivers/serial/address.h"
#include "drivers/serial/telnet.h"
#include "tests/unit/random_helper.h"

#include <arpa/inet.h>

static const uint8_t greeting[] = {0xFF, 0xFB, 0x03, 0xFF, 0xFD, 0x03, 0xFF, 0xFB, 0x01, 0xFF, 0xFE,
                                   0x01, 0xFF, 0xFD, 0x00, 0xFF, 0xFB, 0x00, 0xFF, 0xFD, 0x2C};

static void test_negotiation(void **state)
{
    (void)state;
    uint8_t data[64];
    struct telnet telnet = {0};
    telnet_begin(&telnet);
    assert_int_equal(telnet.reply_length, 15);
    telnet.reply_length = 0;
    assert_false(telnet_is_ready(&telnet));
    for (size_t i = 0; i < sizeof greeting; i++) /* over the borders of segments */
        assert_int_equal(telnet_decode(&telnet, &greeting[i], 1, data), 0);
    assert_true(telnet_is_ready(&telnet));
    static const uint8_t no_echo[] = {0xFF, 0xFE, 0x01};
    assert_int_equal(telnet.reply_length, sizeof no_echo);
    assert_memory_equal(telnet.reply, no_echo, sizeof no_echo);
    telnet.reply_length = 0; /* and never again */
    (void)telnet_decode(&telnet, greeting, sizeof greeting, data);
    assert_int_equal(telnet.reply_length, 0);
    static const uint8_t refusal[] = {0xFF, 0xFE, 0x2C};
    (void)telnet_decode(&telnet, refusal, sizeof refusal, data);
    assert_true(telnet.com_port_refused);
}

static void test_data(void **state)
{
    (void)state;
    static const uint8_t wire[] = {0x52, 0xFE, 0xFF, 0xFF, 0x3B, 0xFF, 0xFA, 0x2C,
                                   0x6B, 0x00, 0xFF, 0xF0, 0x02, 0x0D, 0x00, 0x0D};
    static const uint8_t plain[] = {0x52, 0xFE, 0xFF, 0x3B, 0x02, 0x0D, 0x0D};
    static const uint8_t binary[] = {0x52, 0xFE, 0xFF, 0x3B, 0x02, 0x0D, 0x00, 0x0D};
    uint8_t data[sizeof wire];
    struct telnet telnet = {0};
    assert_int_equal(telnet_decode(&telnet, wire, sizeof wire, data), sizeof plain);
    assert_memory_equal(data, plain, sizeof plain);
    telnet = (struct telnet){.binary_in = true};
    assert_int_equal(telnet_decode(&telnet, wire, sizeof wire, data), sizeof binary);
    assert_memory_equal(data, binary, sizeof binary);
}

static void test_commands(void **state)
{
    (void)state;
    static const uint8_t baud[] = {0xFF, 0xFA, 0x2C, 0x01, 0x00, 0x00, 0x12, 0xC0, 0xFF, 0xF0};
    static const uint8_t odd[] = {0xFF, 0xFA, 0x2C, 0x01, 0x00, 0x00, 0xFF, 0xFF, 0x00, 0xFF, 0xF0};
    static const uint8_t on[] = {0xFF, 0xFA, 0x2C, 0x05, 0x05, 0xFF, 0xF0};
    static const uint8_t confirmed[] = {0xFF, 0xFA, 0x2C, 0x65, 0x00, 0x00,
                                        0xFF, 0xFF, 0x00, 0xFF, 0xF0};
    uint8_t bytes[3 * TELNET_COMMAND_SIZE];
    assert_int_equal(telnet_set_baud(4800, bytes), sizeof baud);
    assert_memory_equal(bytes, baud, sizeof baud);
    assert_int_equal(telnet_set_baud(0xFF00, bytes), sizeof odd); /* 0xFF inside is doubled */
    assert_memory_equal(bytes, odd, sizeof odd);
    assert_int_equal(telnet_set_break(true, bytes), sizeof on);
    assert_memory_equal(bytes, on, sizeof on);
    assert_true(telnet_set_8n1(bytes) <= sizeof bytes);
    struct telnet telnet = {0};
    (void)telnet_decode(&telnet, confirmed, sizeof confirmed, bytes);
    assert_int_equal(telnet.baud, 0xFF00);
}

static void test_round_trip(void **state)
{
    (void)state;
    uint64_t dice = test_seed();
    for (int run = 0; run < 2000; run++) {
        uint8_t data[100], wire[200], back[200];
        struct telnet telnet = {.binary_in = true};
        size_t length = (size_t)below(&dice, sizeof data), count = 0;
        for (size_t i = 0; i < length; i++)
            data[i] = below(&dice, 3) == 0 ? 0xFF : (uint8_t)below(&dice, 256);
        size_t sent = telnet_encode(data, length, wire);
        for (size_t at = 0; at < sent;) {
            size_t piece = (size_t)between(&dice, 1, 7);
            piece = piece < sent - at ? piece : sent - at;
            count += telnet_decode(&telnet, wire + at, piece, back + count);
            at += piece;
        }
        assert_int_equal(count, length);
        assert_memory_equal(back, data, length);
    }
}

static void test_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum status status;
        enum serial_address_kind kind;
        const char *host, *port;
    } table[] = {
        {"/dev/ttyUSB0", STATUS_OK, SERIAL_TTY, "", ""},
        {"tcp://192.168.1.31:8891", STATUS_OK, SERIAL_TCP, "192.168.1.31", "8891"},
        {"tcp://[fe80::1]:23", STATUS_OK, SERIAL_TCP, "fe80::1", "23"},
        {"rfc2217://ser2net.lan:3333", STATUS_OK, SERIAL_RFC2217, "ser2net.lan", "3333"},
        {"tcp-listen://:6638", STATUS_OK, SERIAL_LISTEN, "", "6638"},
        {"tcp-listen://127.0.0.1:6638?allow=10.0.0.0/8,::1", STATUS_OK, SERIAL_LISTEN, "127.0.0.1",
         "6638"},
        {"tcp://:8891", STATUS_USAGE, 0, "", ""},
        {"tcp://host", STATUS_USAGE, 0, "", ""},
        {"tcp://host:0", STATUS_USAGE, 0, "", ""},
        {"tcp://host:70000", STATUS_USAGE, 0, "", ""},
        {"tcp://host:80/x", STATUS_USAGE, 0, "", ""},
        {"tcp://ho st:80", STATUS_USAGE, 0, "", ""},
        {"tcp://[::1:80", STATUS_USAGE, 0, "", ""},
        {"udp://host:80", STATUS_USAGE, 0, "", ""},
        {"tcp-listen://:6638?allow=", STATUS_USAGE, 0, "", ""},
        {"tcp-listen://:6638?allow=1.2.3.4/33", STATUS_USAGE, 0, "", ""},
        {"tcp-listen://:6638?allow=1.2.3", STATUS_USAGE, 0, "", ""},
        {"tcp-listen://:6638?deny=1.2.3.4", STATUS_USAGE, 0, "", ""},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct serial_address address;
        struct error error = {""};
        assert_int_equal(serial_address_read(table[i].name, &address, &error), table[i].status);
        assert_int_equal(error.text[0] == '\0', table[i].status == STATUS_OK);
        if (table[i].status != STATUS_OK)
            continue;
        assert_int_equal(address.kind, table[i].kind);
        assert_string_equal(address.host, table[i].host);
        assert_string_equal(address.port, table[i].port);
    }
}

static bool allowed(const struct serial_address *address, const char *peer)
{
    struct in6_addr bytes;
    assert_int_equal(inet_pton(AF_INET6, peer, &bytes), 1);
    return serial_address_allows(address, &bytes);
}

static void test_allowed(void **state)
{
    (void)state;
    struct serial_address address;
    assert_int_equal(serial_address_read("tcp-listen://:1?allow=192.168.1.31,10.0.0.0/9,fd00::/8",
                                         &address, NULL),
                     STATUS_OK);
    assert_true(allowed(&address, "::ffff:192.168.1.31"));
    assert_false(allowed(&address, "::ffff:192.168.1.32"));
    assert_true(allowed(&address, "::ffff:10.127.255.255"));
    assert_false(allowed(&address, "::ffff:10.128.0.0"));
    assert_true(allowed(&address, "fd12::1"));
    assert_false(allowed(&address, "fe80::1"));
    assert_int_equal(serial_address_read("tcp-listen://:1", &address, NULL), STATUS_OK);
    assert_true(allowed(&address, "fe80::1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_negotiation), cmocka_unit_test(test_data),
        cmocka_unit_test(test_commands),    cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_addresses),   cmocka_unit_test(test_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
