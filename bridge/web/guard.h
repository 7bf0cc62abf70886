/* SPDX-License-Identifier: MIT */
/**
 * Who may use the web page and the API. Whether a login is needed follows from the address that is
 * listened on, never from the peer: behind a proxy all peers look local. No I/O; time is a parameter.
 */
#ifndef BRIDGE_WEB_GUARD_H
#define BRIDGE_WEB_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** A session's secret as text, and the bytes that a Set-Cookie value needs. */
#define GUARD_SESSION_SIZE 65
#define GUARD_SESSIONS_MAX 32
#define GUARD_SESSION_MS (30LL * 86400 * 1000)
/** So many wrong passwords, and logins are refused for GUARD_LOCK_MS. */
#define GUARD_ATTEMPTS 5
#define GUARD_LOCK_MS 60000
#define GUARD_COOKIE "bl2mqtt_session"

struct guard_settings {
    bool loopback;        /**< what is listened on */
    bool always;          /**< a login is needed on loopback too (a proxy stands in front) */
    bool never;           /**< no login on any address: the user said so */
    const char *password; /**< "" none; copied */
    const char *token;    /**< likewise */
};

enum guard_login { GUARD_LOGIN_OK, GUARD_LOGIN_WRONG, GUARD_LOGIN_LOCKED };

struct guard;

struct guard *guard_create(const struct guard_settings *settings);
void guard_free(struct guard *guard);

bool guard_needs_login(const struct guard *guard);
/** Whether whoever gets in is somebody: from this machine, or logged in. */
bool guard_is_protected(const struct guard *guard);

/** False for a Host that is not this machine's loopback while no login protects it: a page of
 *  somebody else's whose name was pointed here (DNS rebinding). host NULL: there was none. */
bool guard_host_allowed(const struct guard *guard, const char *host);

/** Whether a request that changes something comes from a page of this host. origin NULL: it does not
 *  come from a browser. */
bool guard_origin_allowed(const char *host, const char *origin);

/** Whether the headers Authorization and Cookie (NULL: absent) are good enough. */
bool guard_allowed(struct guard *guard, const char *authorization, const char *cookie,
                   int64_t boot_ms);

/** Checks a password, or the token in its place, and begins a session. */
enum guard_login guard_log_in(struct guard *guard, const char *password, int64_t boot_ms,
                              char session[GUARD_SESSION_SIZE]);
/** Ends the session that the cookie names. */
void guard_log_out(struct guard *guard, const char *cookie);

/** Compares in a time that does not depend on where they differ. */
bool guard_equal(const char *given, const char *secret);

#endif
