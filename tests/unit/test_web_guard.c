/* SPDX-License-Identifier: MIT */
/* Who may use the page and the API. */
#include "bridge/web/guard.h"
#include "drivers/base/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct guard *make(bool loopback, const char *password, const char *token)
{
    return guard_create(
        &(struct guard_settings){.loopback = loopback, .password = password, .token = token});
}

static void test_host(void **unused)
{
    (void)unused;
    static const struct {
        const char *host;
        bool good;
    } cases[] = {
        {"127.0.0.1", true},
        {"127.0.0.1:8942", true},
        {"localhost", true},
        {"LOCALHOST:80", true},
        {"[::1]:8942", true},
        {"[::1]", true},
        {"evil.example", false},
        {"127.0.0.1.evil.example", false},
        {"localhost.evil", false},
        {"localhost:80x", false},
        {"127.0.0.1:", true},
        {"", false},
        {NULL, false},
        {"evil:127.0.0.1", false},
        {"::1", false},
    };
    struct guard *loopback = make(true, "", "");
    struct guard *network = make(false, "p", "");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (guard_host_allowed(loopback, cases[i].host) != cases[i].good)
            fail_msg("Host %s", cases[i].host);
        assert_true(guard_host_allowed(network, cases[i].host)); /* the login protects it */
    }
    guard_free(loopback);
    guard_free(network);
}

static void test_origin(void **unused)
{
    (void)unused;
    assert_true(guard_origin_allowed("a:1", NULL)); /* no browser */
    assert_true(guard_origin_allowed("a:1", "http://a:1"));
    assert_true(guard_origin_allowed("a:1", "https://A:1"));
    assert_false(guard_origin_allowed("a:1", "http://a"));
    assert_false(guard_origin_allowed("a:1", "http://b:1"));
    assert_false(guard_origin_allowed("a:1", "null"));
    assert_false(guard_origin_allowed("a:1", ""));
    assert_false(guard_origin_allowed(NULL, "http://a:1"));
}

static void test_login(void **unused)
{
    (void)unused;
    char session[GUARD_SESSION_SIZE], cookie[128];
    struct guard *guard = make(false, "right", "a-token");
    assert_true(guard_needs_login(guard));
    assert_false(guard_allowed(guard, NULL, NULL, 0));
    assert_true(guard_allowed(guard, "Bearer a-token", NULL, 0));
    assert_true(guard_allowed(guard, "bearer a-token", NULL, 0));
    assert_false(guard_allowed(guard, "Bearer a-tokem", NULL, 0));
    assert_false(guard_allowed(guard, "Bearer ", NULL, 0));
    assert_false(guard_allowed(guard, "Basic a-token", NULL, 0));

    assert_int_equal(guard_log_in(guard, "wrong", 0, session), GUARD_LOGIN_WRONG);
    assert_int_equal(guard_log_in(guard, "", 0, session), GUARD_LOGIN_WRONG);
    assert_int_equal(guard_log_in(guard, "right", 0, session), GUARD_LOGIN_OK);
    (void)snprintf(cookie, sizeof cookie, "x=1; " GUARD_COOKIE "=%s; y=2", session);
    assert_true(guard_allowed(guard, NULL, cookie, 1000));
    cookie[30]++;
    assert_false(guard_allowed(guard, NULL, cookie, 1000));
    cookie[30]--;
    assert_false(guard_allowed(guard, NULL, cookie, 1001 + GUARD_SESSION_MS));
    assert_true(guard_allowed(guard, NULL, cookie, 2000));
    guard_log_out(guard, cookie);
    assert_false(guard_allowed(guard, NULL, cookie, 2000));
    guard_free(guard);
}

/* A guard without a token must not accept an empty one, nor one without a password any. */
static void test_empty_secrets(void **unused)
{
    (void)unused;
    char session[GUARD_SESSION_SIZE];
    struct guard *guard = make(false, "", "");
    assert_false(guard_allowed(guard, "Bearer ", NULL, 0));
    assert_int_equal(guard_log_in(guard, "", 0, session), GUARD_LOGIN_WRONG);
    guard_free(guard);
}

static void test_attempts(void **unused)
{
    (void)unused;
    char session[GUARD_SESSION_SIZE];
    struct guard *guard = make(false, "right", "");
    for (int i = 0; i < GUARD_ATTEMPTS; i++)
        assert_int_equal(guard_log_in(guard, "wrong", i, session), GUARD_LOGIN_WRONG);
    assert_int_equal(guard_log_in(guard, "right", 10, session), GUARD_LOGIN_LOCKED);
    assert_int_equal(guard_log_in(guard, "right", GUARD_LOCK_MS, session), GUARD_LOGIN_LOCKED);
    assert_int_equal(guard_log_in(guard, "right", 10 + GUARD_LOCK_MS, session), GUARD_LOGIN_OK);
    guard_free(guard);
}

/* More sessions than there is room for: the one that was not used for longest ends. */
static void test_many_sessions(void **unused)
{
    (void)unused;
    char first[GUARD_SESSION_SIZE], session[GUARD_SESSION_SIZE], cookie[128];
    struct guard *guard = make(false, "right", "");
    assert_int_equal(guard_log_in(guard, "right", 0, first), GUARD_LOGIN_OK);
    for (int i = 0; i < GUARD_SESSIONS_MAX; i++)
        assert_int_equal(guard_log_in(guard, "right", 1 + i, session), GUARD_LOGIN_OK);
    (void)snprintf(cookie, sizeof cookie, GUARD_COOKIE "=%s", first);
    assert_false(guard_allowed(guard, NULL, cookie, 100));
    (void)snprintf(cookie, sizeof cookie, GUARD_COOKIE "=%s", session);
    assert_true(guard_allowed(guard, NULL, cookie, 100));
    guard_free(guard);
}

static void test_equal(void **unused)
{
    (void)unused;
    assert_true(guard_equal("abc", "abc"));
    assert_false(guard_equal("abd", "abc"));
    assert_false(guard_equal("ab", "abc"));
    assert_false(guard_equal("abcabc", "abc"));
    assert_false(guard_equal("", "abc"));
    assert_true(guard_equal("", ""));
}

static void test_needed(void **unused)
{
    (void)unused;
    static const struct {
        struct guard_settings settings;
        bool needed;
    } cases[] = {
        {{.loopback = true, .password = "p", .token = ""}, false},
        {{.loopback = true, .always = true, .password = "p", .token = ""}, true},
        {{.loopback = false, .password = "p", .token = ""}, true},
        {{.loopback = false, .never = true, .password = "", .token = ""}, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct guard *guard = guard_create(&cases[i].settings);
        assert_int_equal(guard_needs_login(guard), cases[i].needed);
        guard_free(guard);
    }
}

static void test_address(void **unused)
{
    (void)unused;
    static const struct {
        const char *text, *host;
        unsigned port;
    } good[] = {{"127.0.0.1:8942", "127.0.0.1", 8942}, {"[::1]:80", "::1", 80}, {"h:0", "h", 0}};
    static const char *const bad[] = {
        "", "h", ":1", "h:", "h:65536", "h:-1", "[]:1", "a23456789:1"};
    char host[10];
    uint16_t port;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(address_split(good[i].text, host, sizeof host, &port));
        assert_string_equal(host, good[i].host);
        assert_int_equal(port, good[i].port);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(address_split(bad[i], host, 9, &port));
    assert_true(address_is_loopback("127.1.2.3"));
    assert_false(address_is_loopback("127.0.0.1.example.org"));
    assert_false(address_is_loopback("0.0.0.0"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host),     cmocka_unit_test(test_origin),
        cmocka_unit_test(test_login),    cmocka_unit_test(test_empty_secrets),
        cmocka_unit_test(test_attempts), cmocka_unit_test(test_many_sessions),
        cmocka_unit_test(test_equal),    cmocka_unit_test(test_needed),
        cmocka_unit_test(test_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
