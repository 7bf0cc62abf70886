/* SPDX-License-Identifier: MIT */
#include "bridge/web/guard.h"

#include "drivers/base/memory.h"

#include <string.h>
#include <strings.h>
#include <sys/random.h>

struct session {
    char secret[GUARD_SESSION_SIZE]; /* "": free */
    int64_t used_boot_ms;
};

struct guard {
    bool needs_login;
    bool checks_host;
    char *password, *token;
    struct session sessions[GUARD_SESSIONS_MAX];
    int attempts;             /* wrong ones since the first of them */
    int64_t attempts_boot_ms; /* when that was */
    int64_t locked_until_boot_ms;
};

struct guard *guard_create(const struct guard_settings *settings)
{
    struct guard *guard = memory_new(1, sizeof *guard);
    guard->needs_login = !settings->never && (settings->always || !settings->loopback);
    guard->checks_host = settings->loopback && !guard->needs_login;
    guard->password = memory_copy_text(settings->password);
    guard->token = memory_copy_text(settings->token);
    return guard;
}

void guard_free(struct guard *guard)
{
    if (guard == NULL)
        return;
    explicit_bzero(guard->password, strlen(guard->password));
    explicit_bzero(guard->token, strlen(guard->token));
    free(guard->password);
    free(guard->token);
    free(guard);
}

bool guard_needs_login(const struct guard *guard)
{
    return guard->needs_login;
}

bool guard_is_protected(const struct guard *guard)
{
    return guard->needs_login || guard->checks_host;
}

bool guard_equal(const char *given, const char *secret)
{
    size_t given_length = strlen(given);
    size_t length = strlen(secret);
    unsigned difference = given_length == length ? 0 : 1;
    for (size_t i = 0; i < given_length; i++)
        difference |= (unsigned)((unsigned char)given[i] ^
                                 (unsigned char)secret[length == 0 ? 0 : i % length]);
    return difference == 0;
}

/* ---- Host and Origin ---- */

bool guard_host_allowed(const struct guard *guard, const char *host)
{
    if (!guard->checks_host)
        return true;
    if (host == NULL)
        return false;
    static const char *const names[] = {"127.0.0.1", "[::1]", "localhost"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t length = strlen(names[i]);
        if (strncasecmp(host, names[i], length) != 0)
            continue;
        const char *rest = host + length;
        if (rest[0] == '\0' || (rest[0] == ':' && rest[1 + strspn(rest + 1, "0123456789")] == '\0'))
            return true;
    }
    return false;
}

bool guard_origin_allowed(const char *host, const char *origin)
{
    if (origin == NULL)
        return true;
    const char *authority = strstr(origin, "://");
    return host != NULL && authority != NULL && strcasecmp(authority + 3, host) == 0;
}

/* ---- sessions ---- */

static bool expired(const struct session *session, int64_t boot_ms)
{
    return boot_ms - session->used_boot_ms > GUARD_SESSION_MS;
}

/* The value of our cookie in a Cookie header, cut if it is too long to be one of ours. */
static bool cookie_value(const char *cookie, char value[GUARD_SESSION_SIZE])
{
    static const char name[] = GUARD_COOKIE "=";
    while (cookie != NULL && *cookie != '\0') {
        cookie += strspn(cookie, "; ");
        size_t length = strcspn(cookie, ";");
        if (strncmp(cookie, name, sizeof name - 1) == 0 &&
            length - (sizeof name - 1) == GUARD_SESSION_SIZE - 1) {
            memcpy(value, cookie + sizeof name - 1, GUARD_SESSION_SIZE - 1);
            value[GUARD_SESSION_SIZE - 1] = '\0';
            return true;
        }
        cookie += length;
    }
    return false;
}

static struct session *find_session(struct guard *guard, const char *cookie)
{
    char value[GUARD_SESSION_SIZE];
    if (!cookie_value(cookie, value))
        return NULL;
    struct session *found = NULL;
    for (size_t i = 0; i < GUARD_SESSIONS_MAX; i++)
        if (guard->sessions[i].secret[0] != '\0' && guard_equal(value, guard->sessions[i].secret))
            found = &guard->sessions[i];
    return found;
}

bool guard_allowed(struct guard *guard, const char *authorization, const char *cookie,
                   int64_t boot_ms)
{
    if (!guard->needs_login)
        return true;
    static const char scheme[] = "Bearer ";
    if (authorization != NULL && guard->token[0] != '\0' &&
        strncasecmp(authorization, scheme, sizeof scheme - 1) == 0 &&
        guard_equal(authorization + sizeof scheme - 1, guard->token))
        return true;
    struct session *session = find_session(guard, cookie);
    if (session == NULL || expired(session, boot_ms))
        return false;
    session->used_boot_ms = boot_ms;
    return true;
}

static bool make_secret(char secret[GUARD_SESSION_SIZE])
{
    unsigned char bytes[(GUARD_SESSION_SIZE - 1) / 2];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return false;
    for (size_t i = 0; i < sizeof bytes; i++) {
        secret[2 * i] = "0123456789abcdef"[bytes[i] >> 4];
        secret[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
    }
    secret[GUARD_SESSION_SIZE - 1] = '\0';
    return true;
}

/* A free place, an expired one, or the one that was not used for longest. */
static struct session *place_for_session(struct guard *guard)
{
    struct session *oldest = &guard->sessions[0];
    for (size_t i = 0; i < GUARD_SESSIONS_MAX; i++) {
        struct session *session = &guard->sessions[i];
        if (session->secret[0] == '\0')
            return session;
        if (session->used_boot_ms < oldest->used_boot_ms)
            oldest = session;
    }
    return oldest;
}

static void count_wrong(struct guard *guard, int64_t boot_ms)
{
    if (guard->attempts == 0 || boot_ms - guard->attempts_boot_ms > GUARD_LOCK_MS) {
        guard->attempts = 0;
        guard->attempts_boot_ms = boot_ms;
    }
    if (++guard->attempts < GUARD_ATTEMPTS)
        return;
    guard->attempts = 0;
    guard->locked_until_boot_ms = boot_ms + GUARD_LOCK_MS;
}

enum guard_login guard_log_in(struct guard *guard, const char *password, int64_t boot_ms,
                              char session[GUARD_SESSION_SIZE])
{
    /* All attempts count together: behind a proxy nobody can be distinguished. */
    if (boot_ms < guard->locked_until_boot_ms)
        return GUARD_LOGIN_LOCKED;
    bool right = guard->password[0] != '\0' && guard_equal(password, guard->password);
    right |= guard->token[0] != '\0' && guard_equal(password, guard->token);
    if (!right) {
        count_wrong(guard, boot_ms);
        return GUARD_LOGIN_WRONG;
    }
    struct session *place = place_for_session(guard);
    if (!make_secret(place->secret)) {
        place->secret[0] = '\0';
        return GUARD_LOGIN_WRONG;
    }
    guard->attempts = 0;
    place->used_boot_ms = boot_ms;
    memcpy(session, place->secret, GUARD_SESSION_SIZE);
    return GUARD_LOGIN_OK;
}

void guard_log_out(struct guard *guard, const char *cookie)
{
    struct session *session = find_session(guard, cookie);
    if (session != NULL)
        explicit_bzero(session, sizeof *session);
}
