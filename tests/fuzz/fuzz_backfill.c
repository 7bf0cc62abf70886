/* SPDX-License-Identifier: MIT */
/* A conversation with something that calls itself Home Assistant: a message a line, after a login that went well. Each
 * reply is JSON, and a conversation that failed says why. And the whole as an address. */
#include "bridge/backfill/conversation.h"
#include "bridge/backfill/websocket.h"
#include "drivers/base/memory.h"

#include <stdlib.h>
#include <string.h>

#define MESSAGES_MAX 200

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static enum status look(void *context, const struct backfill_statistic *statistic,
                        const char *entity, bool has_mean, const json_t *rows,
                        struct statistics_missing *missing, struct error *error)
{
    (void)context, (void)statistic, (void)has_mean, (void)error;
    require(strncmp(entity, "sensor.", 7) == 0 && json_is_array(rows));
    *missing = (struct statistics_missing){.import = json_pack("{s:{}, s:[]}", "metadata", "stats"),
                                           .hours = json_array_size(rows)};
    return STATUS_OK;
}

static enum conversation_state take(struct conversation *conversation, const char *message,
                                    size_t length)
{
    struct error error = {""};
    const char *reply = NULL;
    enum conversation_state state =
        conversation_take(conversation, message, length, &reply, &error);
    bool failed = state == CONVERSATION_FAILED || state == CONVERSATION_REFUSED;
    require(failed == (error.text[0] != '\0'));
    json_t *document = reply == NULL ? NULL : json_loads(reply, 0, NULL);
    require((document != NULL) == (reply != NULL));
    json_decref(document);
    return state;
}

static void talk(const char *data, size_t size, bool dry_run)
{
    static const struct backfill_statistic statistics[] = {
        {.unique_id = "u", .device = "house", .channel = "a"},
        {.unique_id = "v", .device = "house", .produced = true},
    };
    const struct conversation_options options = {.token = "t",
                                                 .statistics = statistics,
                                                 .count = 2,
                                                 .to_ms = 3600000,
                                                 .dry_run = dry_run,
                                                 .look = look};
    struct conversation *conversation = conversation_create(&options);
    enum conversation_state state = CONVERSATION_GOES_ON;
    for (int i = 0; i < MESSAGES_MAX && state == CONVERSATION_GOES_ON; i++) {
        const char *newline = size == 0 ? NULL : memchr(data, '\n', size);
        size_t length = newline == NULL ? size : (size_t)(newline - data);
        char *message = memory_new(1, length + 1); /* overreads are seen behind the end */
        if (length > 0)
            memcpy(message, data, length);
        state = take(conversation, message, length);
        free(message);
        size_t used = newline == NULL ? size : length + 1;
        data += used;
        size -= used;
        if (size == 0)
            break;
    }
    size_t count;
    (void)conversation_found(conversation, &count);
    require(conversation_imported(conversation) <= count &&
            (!dry_run || conversation_imported(conversation) == 0));
    conversation_free(conversation);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    talk((const char *)data + 1, size - 1, (data[0] & 1) != 0);
    char *url = memory_new(1, size + 1);
    memcpy(url, data, size);
    struct websocket_address address;
    if (websocket_address_parse(url, "/api/websocket", &address))
        require(address.host[0] != '\0' && address.port > 0 && address.port < 65536 &&
                address.path[0] == '/');
    free(url);
    return 0;
}
