/* SPDX-License-Identifier: MIT */
#include "bridge/sinks/delivery.h"

#include "drivers/base/number.h"
#include "drivers/base/text.h"

#include <string.h>

#define DELAY_MIN_MS 1000
#define QUOTE_MAX 120

/* "partial write: field type conflict: ... dropped=3" */
static bool partial(const char *body, int64_t *refused)
{
    const char *dropped = strstr(body, "dropped=");
    if (strstr(body, "partial write") == NULL || dropped == NULL)
        return false;
    dropped += strlen("dropped=");
    return number_parse_int(dropped, strspn(dropped, "0123456789"), 0, 1000000, refused);
}

static enum delivery judge_code(int code, const char *body, int64_t *refused)
{
    if (code >= 200 && code < 300)
        return DELIVERY_DONE;
    if ((code == 400 || code == 422) && partial(body, refused))
        return DELIVERY_PARTLY;
    if (code == 400 || code == 413 || code == 422)
        return DELIVERY_DIVIDE;
    if (code == 408 || code == 425 || code == 429 || code >= 500)
        return DELIVERY_LATER;
    return DELIVERY_SETTING;
}

enum delivery delivery_judge(enum http_outcome outcome, int code, const char *body,
                             int64_t *refused)
{
    *refused = 0;
    switch (outcome) {
    case HTTP_ANSWERED:
        return judge_code(code, body, refused);
    case HTTP_NOT_HTTP:
    case HTTP_TOO_LONG: /* nobody answers a write with so much: a web page */
        return DELIVERY_SETTING;
    default:
        return DELIVERY_LATER;
    }
}

/* What somebody else wrote, short and without control characters. */
static void append_quote(struct text *text, const char *body)
{
    if (body[0] == '\0')
        return;
    text_append(text, ", saying \"");
    for (size_t i = 0; i < QUOTE_MAX && body[i] != '\0'; i++) {
        unsigned char c = (unsigned char)body[i];
        text_append(text, "%c", c < 0x20 || c >= 0x7f || c == '"' ? ' ' : c);
    }
    text_append(text, "\"");
}

static const char *advice(int code)
{
    switch (code) {
    case 401:
    case 403:
        return "; check token, or user and password";
    case 404:
        return "; check url, and that the database or bucket is there";
    case 413:
        return "; a smaller batch may be taken";
    case 429:
        return "; it has too much to do";
    default:
        return code >= 300 && code < 400 ? "; check url: it sends us to another address" : "";
    }
}

void delivery_explain(enum http_outcome outcome, int code, const char *body, const char *words,
                      char *buffer, size_t size)
{
    struct text text;
    text_init(&text, buffer, size);
    switch (outcome) {
    case HTTP_ANSWERED:
        text_append(&text, "the engine answers with HTTP %d", code);
        append_quote(&text, body);
        text_append(&text, "%s.", advice(code));
        break;
    case HTTP_HOST_UNKNOWN:
        text_append(&text, "the host of its url is not known.");
        break;
    case HTTP_NOT_REACHED:
        text_append(&text, "nobody answers at its url.");
        break;
    case HTTP_TIMED_OUT:
        text_append(&text, "no answer came in time.");
        break;
    case HTTP_BROKEN:
        text_append(&text, "the connection broke before the answer.");
        break;
    case HTTP_NOT_HTTP:
    case HTTP_TOO_LONG:
        text_append(&text, "what answers at its url is not a time-series engine; check url.");
        break;
    case HTTP_FAILED:
    default:
        text_append(&text, "sending failed: %.100s.", words);
    }
}

int64_t delivery_delay_ms(unsigned failures, double chance)
{
    int64_t delay_ms = DELAY_MIN_MS;
    for (unsigned i = 1; i < failures && delay_ms < DELIVERY_DELAY_MAX_MS; i++)
        delay_ms *= 2;
    if (delay_ms > DELIVERY_DELAY_MAX_MS)
        delay_ms = DELIVERY_DELAY_MAX_MS;
    int64_t half_ms = delay_ms / 2;
    return half_ms + (int64_t)((double)half_ms * chance);
}

int64_t delivery_wait_ms(unsigned failures, double chance, int code, int64_t retry_after_ms)
{
    int64_t delay_ms = delivery_delay_ms(failures, chance);
    if ((code != 429 && code != 503) || retry_after_ms <= 0)
        return delay_ms;
    if (retry_after_ms > DELIVERY_DELAY_MAX_MS)
        retry_after_ms = DELIVERY_DELAY_MAX_MS;
    int64_t asked_ms = retry_after_ms + (int64_t)((double)retry_after_ms / 4 * chance);
    asked_ms = asked_ms < DELIVERY_DELAY_MAX_MS ? asked_ms : DELIVERY_DELAY_MAX_MS;
    return asked_ms > delay_ms ? asked_ms : delay_ms;
}
