/* SPDX-License-Identifier: MIT */
/* bridge/mqtt without a broker: the latest-value table, the inbox, addresses, options, and a
 * publisher that never gets to connect. The rest is in tests/integration/test_mqtt.py. */
#include "bridge/mqtt/inbox.h"
#include "bridge/mqtt/latest.h"
#include "bridge/mqtt/publisher.h"
#include "bridge/mqtt/server_address.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void put(struct latest *latest, const char *topic, const char *payload, bool retained)
{
    assert_true(latest_put(latest, topic, payload, strlen(payload), retained, 1));
}

static void expect(struct latest *latest, struct latest_message *message, const char *topic,
                   const char *payload)
{
    assert_true(latest_take(latest, message));
    assert_string_equal(message->topic, topic);
    assert_int_equal(message->payload->length, strlen(payload));
    assert_memory_equal(message->payload->bytes, payload, strlen(payload));
}

static void deliver(struct latest *latest, const char *topic, const char *payload)
{
    struct latest_message message;
    expect(latest, &message, topic, payload);
    latest_done(latest, &message, LATEST_DELIVERED);
}

/* What clears a topic at the broker is not lost to a value that is not retained. */
static void test_latest_clears_first(void **unused)
{
    (void)unused;
    struct latest *latest = latest_create(100, 10000);
    struct latest_message message, value;
    put(latest, "a", "", true);
    put(latest, "b", "1", false);
    put(latest, "a", "1", false);
    put(latest, "a", "2", false);
    expect(latest, &message, "a", "");
    assert_true(message.retained && message.qos == 1);
    deliver(latest, "b", "1");
    expect(latest, &value, "a", "2");
    assert_false(value.retained);
    latest_done(latest, &value, LATEST_DELIVERED);
    latest_done(latest, &message, LATEST_FAILED); /* once more, and its value behind it */
    deliver(latest, "a", "");
    deliver(latest, "a", "2");
    assert_false(latest_waiting(latest));
    put(latest, "a", "", true);
    expect(latest, &message, "a", ""); /* fails when there is a value already */
    put(latest, "a", "3", false);
    latest_done(latest, &message, LATEST_FAILED);
    deliver(latest, "a", "");
    deliver(latest, "a", "3");
    put(latest, "a", "", true);
    put(latest, "a", "4", true); /* replaces what the broker keeps */
    deliver(latest, "a", "4");
    assert_false(latest_waiting(latest));
    latest_free(latest);
}

static void test_latest_value_in_order(void **unused)
{
    (void)unused;
    struct latest *latest = latest_create(100, 10000);
    put(latest, "a", "1", false);
    put(latest, "b", "1", true);
    put(latest, "a", "2", false); /* keeps its place */
    put(latest, "c", "1", false);
    deliver(latest, "a", "2");
    deliver(latest, "b", "1");
    deliver(latest, "c", "1");
    struct latest_message message;
    assert_false(latest_take(latest, &message));

    latest_resend(latest); /* only what is retained is repeated */
    deliver(latest, "b", "1");
    assert_false(latest_take(latest, &message));
    latest_free(latest);
}

static void test_outcomes(void **unused)
{
    (void)unused;
    struct latest *latest = latest_create(100, 10000);
    struct latest_message first;
    struct latest_message second;
    struct latest_message none;

    put(latest, "s", "1", false);
    expect(latest, &first, "s", "1");
    assert_false(latest_settled(latest, "s"));
    latest_done(latest, &first, LATEST_FAILED); /* the connection broke: once more */
    deliver(latest, "s", "1");
    assert_true(latest_settled(latest, "s"));

    put(latest, "s", "2", false);
    expect(latest, &first, "s", "2");
    put(latest, "s", "3", false);
    latest_done(latest, &first, LATEST_FAILED); /* 3 has taken over: 2 is never sent again */
    deliver(latest, "s", "3");
    assert_false(latest_take(latest, &none));

    put(latest, "s", "4", false);
    expect(latest, &first, "s", "4");
    put(latest, "s", "5", false);
    expect(latest, &second, "s", "5");
    latest_done(latest, &first, LATEST_FAILED);
    assert_false(latest_take(latest, &none)); /* 5 is on its way */
    latest_done(latest, &second, LATEST_FAILED);
    deliver(latest, "s", "5");

    put(latest, "s", "6", true);
    expect(latest, &first, "s", "6");
    latest_done(latest, &first, LATEST_REFUSED); /* no loop of refusals */
    assert_false(latest_take(latest, &none));
    latest_free(latest);
}

static enum latest_echo echo(struct latest *latest, const char *bytes)
{
    return latest_came_back(latest, "a", bytes, strlen(bytes));
}

/* An older value of ours on its way back is nobody else's; one that had come back is. */
static void test_what_comes_back(void **unused)
{
    (void)unused;
    struct latest *latest = latest_create(100, 10000);
    assert_int_equal(echo(latest, "1"), LATEST_UNKNOWN);
    put(latest, "a", "1", true);
    put(latest, "a", "2", true);
    put(latest, "a", "3", true);
    assert_int_equal(echo(latest, "1"), LATEST_EARLIER);
    assert_int_equal(echo(latest, "x"), LATEST_DIFFERENT);
    assert_int_equal(echo(latest, "2"), LATEST_EARLIER);
    assert_int_equal(echo(latest, "3"), LATEST_SAME);
    assert_int_equal(echo(latest, "2"), LATEST_DIFFERENT);
    put(latest, "a", "4", true);
    assert_int_equal(echo(latest, "3"), LATEST_DIFFERENT);
    for (char bytes[] = "5"; *bytes <= '9'; (*bytes)++)
        put(latest, "a", bytes, true);
    assert_int_equal(echo(latest, "4"), LATEST_DIFFERENT); /* long ago */
    assert_int_equal(echo(latest, "5"), LATEST_EARLIER);
    latest_resend(latest); /* another connection */
    assert_int_equal(echo(latest, "8"), LATEST_DIFFERENT);
    assert_int_equal(echo(latest, "9"), LATEST_SAME);
    put(latest, "a", "1", false);
    assert_int_equal(echo(latest, "1"), LATEST_UNKNOWN);
    latest_free(latest);
}

static void count_topic(void *context, const char *topic, size_t length)
{
    (void)topic;
    (void)length;
    ++*(unsigned *)context;
}

/* What the broker does not take cannot be missed. */
static void test_refused_values_are_not_visited(void **unused)
{
    (void)unused;
    struct latest *latest = latest_create(100, 10000);
    struct latest_message message;
    unsigned count = 0;
    put(latest, "a", "1", true);
    put(latest, "b", "1", true);
    expect(latest, &message, "a", "1");
    latest_done(latest, &message, LATEST_REFUSED);
    deliver(latest, "b", "1");
    latest_visit_retained(latest, count_topic, &count);
    assert_int_equal(count, 1);
    put(latest, "a", "2", true);
    deliver(latest, "a", "2");
    latest_visit_retained(latest, count_topic, &count);
    assert_int_equal(count, 3);
    latest_free(latest);
}

static void test_clear_is_forgotten(void **unused)
{
    (void)unused;
    struct latest *latest = latest_create(100, 10000);
    struct latest_message message;
    put(latest, "d", "config", true);
    deliver(latest, "d", "config");
    put(latest, "d", "", true);
    expect(latest, &message, "d", "");
    latest_done(latest, &message, LATEST_FAILED);
    assert_int_equal(latest_topics(latest), 1);
    deliver(latest, "d", "");
    assert_int_equal(latest_topics(latest), 0);
    assert_int_equal(latest_bytes(latest), 0);
    latest_resend(latest);
    assert_false(latest_take(latest, &message));
    latest_free(latest);
}

static void test_bounds(void **unused)
{
    (void)unused;
    struct latest *latest = latest_create(3, 100);
    char big[101];
    memset(big, 'x', sizeof big);
    put(latest, "a", "1", true);
    put(latest, "b", "1", true);
    put(latest, "c", "1", true);
    assert_false(latest_put(latest, "d", "1", 1, true, 1));
    assert_true(latest_put(latest, "a", big, 95, true, 1));
    assert_int_equal(latest_bytes(latest), 100);
    assert_false(latest_put(latest, "a", big, 96, true, 1));
    assert_false(latest_put(latest, "b", "22", 2, true, 1));
    struct latest_message message;
    expect(latest, &message, "a",
           "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
           "xxxxxxxxxxxxxxxxxxxxxxxxxx"); /* the old value stays */
    latest_done(latest, &message, LATEST_DELIVERED);
    latest_free(latest);

    latest = latest_create(70000, 10000000); /* through several sizes of the table */
    char topic[32];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 5000; i++) {
            (void)snprintf(topic, sizeof topic, "topic/%d", i);
            put(latest, topic, round == 0 ? "old" : "new", i % 2 == 0);
        }
    }
    assert_int_equal(latest_topics(latest), 5000);
    for (int i = 0; i < 5000; i++) {
        (void)snprintf(topic, sizeof topic, "topic/%d", i);
        deliver(latest, topic, "new");
    }
    latest_free(latest);
}

static void test_once_is_forgotten_when_delivered(void **state)
{
    (void)state;
    struct latest *latest = latest_create(10, 1000);
    struct latest_message message;
    assert_true(latest_put(latest, "a", "big", 3, LATEST_RETAINED_ONCE, 1));
    assert_true(latest_take(latest, &message));
    assert_true(message.retained);
    latest_done(latest, &message, LATEST_FAILED);
    assert_false(latest_settled(latest, "a")); /* it has not arrived: sent again */
    assert_true(latest_take(latest, &message));
    latest_done(latest, &message, LATEST_DELIVERED);
    assert_true(latest_settled(latest, "a"));
    assert_int_equal(latest_topics(latest), 0);
    assert_int_equal(latest_bytes(latest), 0);
    latest_resend(latest);
    assert_false(latest_waiting(latest));
    latest_free(latest);
}

static void test_inbox(void **unused)
{
    (void)unused;
    struct inbox inbox = {.first = NULL};
    assert_true(inbox_message(&inbox, "t", "p", 1, true));
    inbox_edge(&inbox, PUBLISHER_DISCONNECTED);
    assert_true(inbox_message(&inbox, "u", "", 0, false));
    struct inbox_item *items = inbox_take(&inbox);
    assert_string_equal(items->incoming.topic, "t");
    assert_true(items->incoming.retained);
    assert_int_equal(items->next->incoming.kind, PUBLISHER_DISCONNECTED);
    assert_string_equal(items->next->next->incoming.topic, "u");
    assert_null(items->next->next->next);
    inbox_free_items(items);

    size_t taken = 0;
    char *payload memory_auto = memory_new(65536, 1);
    while (inbox_message(&inbox, "t", payload, 65536, false))
        taken++;
    assert_in_range(taken, 10, 128);         /* bytes are bounded */
    inbox_edge(&inbox, PUBLISHER_CONNECTED); /* edges always fit */
    inbox_free_items(inbox_take(&inbox));
    taken = 0;
    while (inbox_message(&inbox, "t", "", 0, false))
        taken++;
    assert_in_range(taken, 50000,
                    100000); /* what 5,000 modules say at once fits, a flood does not */
    inbox_free_items(inbox_take(&inbox));
}

static void test_addresses(void **unused)
{
    (void)unused;
    static const struct {
        const char *server, *uri; /* NULL: refused */
    } table[] = {
        {"mqtt://broker.lan", "mqtt://broker.lan:1883"},
        {"mqtts://broker.lan", "mqtts://broker.lan:8883"},
        {"mqtt://127.0.0.1:1", "mqtt://127.0.0.1:1"},
        {"mqtt://[::1]:1884", "mqtt://[::1]:1884"},
        {"mqtt://[fe80::1%eth0]", "mqtt://[fe80::1%eth0]:1883"},
        {"tcp://host", NULL},
        {"host", NULL},
        {"", NULL},
        {"mqtt://", NULL},
        {"mqtt://:1883", NULL},
        {"mqtt://host:", NULL},
        {"mqtt://host:0", NULL},
        {"mqtt://host:65536", NULL},
        {"mqtt://host:1883/", NULL},
        {"mqtt://host/path", NULL},
        {"mqtt://user@host", NULL},
        {"mqtt://user:pass@host", NULL},
        {"mqtt://ho st", NULL},
        {"mqtt://[::1", NULL},
        {"mqtt://[::1]x", NULL},
        {"mqtt://fe80::1", NULL},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct server_address address;
        struct error error = {.text = ""};
        bool good = server_address_parse(table[i].server, &address, &error) == STATUS_OK;
        if (good != (table[i].uri != NULL) || (good && strcmp(address.uri, table[i].uri) != 0) ||
            (!good && error.text[0] == '\0'))
            fail_msg("%s: %d %s", table[i].server, good, good ? address.uri : error.text);
    }
}

static void test_explanations(void **unused)
{
    (void)unused;
    static const struct {
        const char *server, *words;
    } table[] = {
        {"mqtt://127.0.0.1:1", "nothing listens on port 1"},
        {"mqtt://no-such-host.invalid:1", "no-such-host.invalid is not known"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct server_address address;
        assert_int_equal(server_address_parse(table[i].server, &address, NULL), STATUS_OK);
        char buffer[300];
        struct text text;
        text_init(&text, buffer, sizeof buffer);
        server_address_explain(&address, 4000, "?", &text);
        /* Without a network the name server is what is missing: that is said then. */
        if (strstr(buffer, table[i].words) == NULL && strstr(buffer, "name server") == NULL)
            fail_msg("%s: %s", table[i].server, buffer);
    }
}

static const struct publisher_options good_options = {
    .server = "mqtt://127.0.0.1:1",
    .client_id = "test",
    .keepalive_ms = 30000,
    .version = 4,
    .will_topic = "t/bridge/state",
    .will_payload = "offline",
    .birth_payload = "online",
};

static void test_options(void **unused)
{
    (void)unused;
    struct publisher_options options[] = {
        [0] = good_options, [1] = good_options, [2] = good_options, [3] = good_options,
        [4] = good_options, [5] = good_options, [6] = good_options,
    };
    options[0].server = "mqtt//x";
    options[1].version = 3;
    options[2].ca = "/etc/ssl/certs/ca-certificates.crt"; /* not with mqtt:// */
    options[3].server = "mqtts://127.0.0.1:1";
    options[3].ca = "/nonexistent/ca.pem";
    options[4].password = "secret";
    options[5].client_id = "";
    options[6].server = "mqtts://127.0.0.1:1";
    options[6].key = "/etc/hostname";
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        struct publisher *publisher = NULL;
        struct error error = {.text = ""};
        if (publisher_create(&options[i], &publisher, &error) != STATUS_USAGE ||
            error.text[0] == '\0')
            fail_msg("options %zu were accepted", i);
    }
}

static void run_offline(void)
{
    struct publisher *publisher = NULL;
    struct error error = {.text = ""};
    assert_int_equal(publisher_create(&good_options, &publisher, &error), STATUS_OK);
    publisher_publish(publisher, "a", "1", 1, true, 1);
    publisher_publish(publisher, "bad/+/topic", "1", 1, true, 1);
    publisher_publish(publisher, "", "1", 1, true, 1);
    publisher_event(publisher, "e", "1", 1, 0);
    publisher_subscribe(publisher, "x/#", 1);
    assert_false(publisher_settled(publisher, "a"));
    assert_true(publisher_settled(publisher, "b"));
    assert_int_equal(publisher_start(publisher, &error), STATUS_OK);
    struct publisher_health health = {.progress = 0};
    int64_t deadline = clock_boot_ms() + 5000;
    while (health.progress < 3 && clock_boot_ms() < deadline)
        publisher_health(publisher, &health);
    assert_true(health.progress >= 3);
    assert_int_equal(health.dropped, 3);
    assert_false(health.connected);
    int64_t start = clock_boot_ms();
    publisher_close(publisher, 5000);
    assert_in_range(clock_boot_ms() - start, 0, 4500);
}

/* Offline for good: values are kept, events are not, closing is quick, and there can be a next one,
 * as when the service loads its configuration again. */
static void test_never_connected(void **unused)
{
    (void)unused;
    run_offline();
    run_offline();
    publisher_close(NULL, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_once_is_forgotten_when_delivered),
        cmocka_unit_test(test_latest_value_in_order),
        cmocka_unit_test(test_latest_clears_first),
        cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_clear_is_forgotten),
        cmocka_unit_test(test_what_comes_back),
        cmocka_unit_test(test_refused_values_are_not_visited),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_inbox),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_explanations),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_never_connected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
