/* SPDX-License-Identifier: MIT */
/* What an HTTP client can say: the options of a question to the history (one a line, "name=value"), and the headers
 * that decide who may. */
#include "bridge/history/answer/answer.h"
#include "bridge/web/guard.h"
#include "drivers/base/address.h"
#include "drivers/base/memory.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#define OPTIONS_MAX 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* There is no history that could answer. Gaps in the future are none, and it has no voltage, which needs no history. */
static bool take_bytes(void *context, const char *bytes, size_t length)
{
    const enum history_kind *kind = context;
    (void)bytes;
    (void)length;
    if (*kind != HISTORY_GAPS && *kind != HISTORY_VOLTAGE)
        abort();
    return true;
}

/* Without a file each question ends in an error with a sentence, and nothing is written. */
static void fuzz_question(char *text, enum history_kind kind)
{
    struct history_option options[OPTIONS_MAX];
    size_t count = 0;
    for (char *rest = text; rest != NULL && count < OPTIONS_MAX;) {
        char *line = strsep(&rest, "\n");
        char *value = strchr(line, '=');
        if (value != NULL)
            *value++ = '\0';
        options[count++] = (struct history_option){line, value == NULL ? "" : value};
    }
    const struct history_question question = {
        .kind = kind,
        .options = options,
        .option_count = count,
        .path = "/nonexistent/history.db",
        .now_ms = 1790000000000,
    };
    struct error error = {""};
    enum status status = history_answer(&question, take_bytes, &kind, &error);
    if ((status == STATUS_OK) != (error.text[0] == '\0'))
        abort();
    if (status == STATUS_OK && kind != HISTORY_GAPS && kind != HISTORY_VOLTAGE)
        abort();
}

static void fuzz_guard(const char *text)
{
    struct guard *guard = guard_create(
        &(struct guard_settings){.loopback = false, .password = "right", .token = "a-token"});
    char host[64];
    uint16_t port;
    char session[GUARD_SESSION_SIZE];
    if (guard_allowed(guard, NULL, text, 0)) /* no session was begun */
        abort();
    if (guard_allowed(guard, text, NULL, 0) && strcasecmp(text, "Bearer a-token") != 0)
        abort();
    if (guard_log_in(guard, text, 0, session) == GUARD_LOGIN_OK && strcmp(text, "right") != 0 &&
        strcmp(text, "a-token") != 0)
        abort();
    (void)guard_host_allowed(guard, text);
    (void)guard_origin_allowed(text, text);
    if (address_split(text, host, sizeof host, &port) && strlen(host) >= sizeof host)
        abort();
    guard_free(guard);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    char *text memory_auto = memory_new(size, 1); /* its last byte stays 0 */
    memcpy(text, data + 1, size - 1);
    if (data[0] == 'g')
        fuzz_guard(text);
    else
        fuzz_question(text, (enum history_kind)(data[0] % HISTORY_KINDS));
    return 0;
}
