/* SPDX-License-Identifier: MIT */
#include "bridge/service/event_gate.h"

#include "drivers/base/limiter.h"
#include "drivers/base/memory.h"
#include "drivers/base/text.h"

#include <inttypes.h>

struct event_gate {
    struct limiter *limiter;
};

struct event_gate *event_gate_create(void)
{
    struct event_gate *gate = memory_new(1, sizeof *gate);
    gate->limiter = limiter_create(EVENT_GATE_BURST, EVENT_GATE_PERIOD_MS);
    return gate;
}

void event_gate_free(struct event_gate *gate)
{
    if (gate != NULL)
        limiter_free(gate->limiter);
    free(gate);
}

bool event_gate_pass(struct event_gate *gate, const char *kind, const char *device,
                     const char *channel, const char *message, int64_t boot_ms, char *sentence,
                     size_t size)
{
    char buffer[256];
    struct text text;
    text_init(&text, buffer, sizeof buffer);
    text_append(&text, "%s %s %s", kind, device != NULL ? device : "",
                channel != NULL ? channel : "");
    uint64_t held = 0;
    if (!limiter_pass(gate->limiter, limiter_cause(buffer), message, boot_ms, &held))
        return false;
    text_init(&text, sentence, size);
    text_append(&text, "%s", message);
    if (held > 0)
        text_append(&text, " (%" PRIu64 " more events of this kind before it were left out.)",
                    held);
    return true;
}
