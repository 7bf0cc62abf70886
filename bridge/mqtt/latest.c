/* SPDX-License-Identifier: MIT */
#include "bridge/mqtt/latest.h"

#include "drivers/base/memory.h"

#include <string.h>

#define BUCKETS_FIRST 64
#define OVERTAKEN_MAX 4

struct latest_item {
    char *topic;
    struct payload *payload; /* NULL: delivered and not retained, so nothing to remember */
    uint64_t version; /* grows with each put, so that an old message's end is distinguished */
    uint64_t hash;
    unsigned on_the_way;
    int qos;
    bool retained;
    bool once; /* forgotten when it is delivered */
    bool refused;
    bool came_back;                    /* the broker has delivered it here */
    uint64_t overtaken[OVERTAKEN_MAX]; /* hashes of values that had not when they were replaced */
    unsigned overtaken_count;          /* of all; the last ones are kept */
    bool dirty;
    bool clear_first;                    /* the broker still keeps a value that was to be cleared */
    struct latest_item *chain;           /* same bucket */
    struct latest_item *previous, *next; /* all items, oldest first */
    struct latest_item *dirty_next;
};

struct latest {
    struct latest_item **buckets;
    size_t bucket_count; /* a power of two */
    size_t topics, topics_max;
    size_t bytes, bytes_max;
    struct latest_item *first, *last;
    struct latest_item *dirty_first, *dirty_last;
};

struct payload *payload_new(const char *bytes, size_t length)
{
    struct payload *payload = memory_new(1, sizeof *payload + length);
    payload->references = 1;
    payload->length = length;
    if (length > 0)
        memcpy(payload->bytes, bytes, length);
    return payload;
}

void payload_release(struct payload *payload)
{
    if (payload != NULL && --payload->references == 0)
        free(payload);
}

struct latest *latest_create(size_t topics_max, size_t bytes_max)
{
    struct latest *latest = memory_new(1, sizeof *latest);
    latest->bucket_count = BUCKETS_FIRST;
    latest->buckets = memory_new(latest->bucket_count, sizeof(struct latest_item *));
    latest->topics_max = topics_max;
    latest->bytes_max = bytes_max;
    return latest;
}

static void free_item(struct latest_item *item)
{
    payload_release(item->payload);
    free(item->topic);
    free(item);
}

void latest_free(struct latest *latest)
{
    if (latest == NULL)
        return;
    for (struct latest_item *item = latest->first, *next; item != NULL; item = next) {
        next = item->next;
        free_item(item);
    }
    free(latest->buckets);
    free(latest);
}

/* FNV-1a, 64 bits. Topics come from the configuration, so nobody can aim for collisions. */
static uint64_t hash_bytes(const char *bytes, size_t length)
{
    uint64_t hash = 14695981039346656037U;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)bytes[i]) * 1099511628211U;
    return hash;
}

static uint64_t hash_text(const char *text)
{
    return hash_bytes(text, strlen(text));
}

static struct latest_item **bucket_of(const struct latest *latest, uint64_t hash)
{
    return &latest->buckets[hash & (latest->bucket_count - 1)];
}

static struct latest_item *find(const struct latest *latest, const char *topic, uint64_t hash)
{
    struct latest_item *item = *bucket_of(latest, hash);
    while (item != NULL && (item->hash != hash || strcmp(item->topic, topic) != 0))
        item = item->chain;
    return item;
}

static void grow(struct latest *latest)
{
    free(latest->buckets);
    latest->bucket_count *= 2;
    latest->buckets = memory_new(latest->bucket_count, sizeof(struct latest_item *));
    for (struct latest_item *item = latest->first; item != NULL; item = item->next) {
        struct latest_item **bucket = bucket_of(latest, item->hash);
        item->chain = *bucket;
        *bucket = item;
    }
}

static struct latest_item *add(struct latest *latest, const char *topic, uint64_t hash)
{
    if (latest->topics >= latest->bucket_count)
        grow(latest);
    struct latest_item *item = memory_new(1, sizeof *item);
    item->topic = memory_copy_text(topic);
    item->hash = hash;
    struct latest_item **bucket = bucket_of(latest, hash);
    item->chain = *bucket;
    *bucket = item;

    item->previous = latest->last;
    if (latest->last != NULL)
        latest->last->next = item;
    else
        latest->first = item;
    latest->last = item;
    latest->topics++;
    latest->bytes += strlen(topic);
    return item;
}

static void set_payload(struct latest *latest, struct latest_item *item, struct payload *payload)
{
    if (item->payload != NULL)
        latest->bytes -= item->payload->length;
    payload_release(item->payload);
    item->payload = payload;
    if (payload != NULL)
        latest->bytes += payload->length;
}

static void forget(struct latest *latest, struct latest_item *item)
{
    struct latest_item **link = bucket_of(latest, item->hash);
    while (*link != item)
        link = &(*link)->chain;
    *link = item->chain;

    if (item->previous != NULL)
        item->previous->next = item->next;
    else
        latest->first = item->next;
    if (item->next != NULL)
        item->next->previous = item->previous;
    else
        latest->last = item->previous;
    latest->topics--;
    latest->bytes -= strlen(item->topic);
    set_payload(latest, item, NULL);
    free_item(item);
}

static void mark_dirty(struct latest *latest, struct latest_item *item)
{
    if (item->dirty)
        return;
    item->dirty = true;
    item->dirty_next = NULL;
    if (latest->dirty_last != NULL)
        latest->dirty_last->dirty_next = item;
    else
        latest->dirty_first = item;
    latest->dirty_last = item;
}

static struct latest_item *pop_dirty(struct latest *latest)
{
    struct latest_item *item = latest->dirty_first;
    latest->dirty_first = item->dirty_next;
    if (latest->dirty_first == NULL)
        latest->dirty_last = NULL;
    item->dirty = false;
    return item;
}

static void note_overtaken(struct latest_item *item)
{
    if (item->retained && item->payload != NULL && !item->came_back)
        item->overtaken[item->overtaken_count++ % OVERTAKEN_MAX] =
            hash_bytes(item->payload->bytes, item->payload->length);
    item->came_back = false;
}

bool latest_put(struct latest *latest, const char *topic, const char *bytes, size_t length,
                enum latest_keeping keeping, int qos)
{
    uint64_t hash = hash_text(topic);
    struct latest_item *item = find(latest, topic, hash);
    size_t kept = item != NULL && item->payload != NULL ? item->payload->length : 0;
    size_t added = length + (item == NULL ? strlen(topic) : 0);
    if ((item == NULL && latest->topics >= latest->topics_max) ||
        added > latest->bytes_max - (latest->bytes - kept))
        return false;
    if (item == NULL)
        item = add(latest, topic, hash);
    bool clears = item->dirty && item->retained && item->payload->length == 0;
    item->clear_first = (item->clear_first || clears) && keeping == LATEST_UNRETAINED;
    note_overtaken(item);
    item->refused = false;
    set_payload(latest, item, payload_new(bytes, length));
    item->version++;
    item->retained = keeping != LATEST_UNRETAINED;
    item->once = keeping == LATEST_RETAINED_ONCE;
    item->qos = qos;
    mark_dirty(latest, item);
    return true;
}

/* The value itself follows. */
static void take_clearing(struct latest *latest, struct latest_item *item,
                          struct latest_message *message)
{
    item->clear_first = false;
    *message = (struct latest_message){
        .item = item,
        .version = item->version - 1,
        .topic = item->topic,
        .payload = payload_new("", 0),
        .retained = true,
        .qos = 1,
    };
    mark_dirty(latest, item);
}

bool latest_take(struct latest *latest, struct latest_message *message)
{
    if (latest->dirty_first == NULL)
        return false;
    struct latest_item *item = pop_dirty(latest);
    item->on_the_way++;
    if (item->clear_first) {
        take_clearing(latest, item, message);
        return true;
    }
    item->payload->references++;
    *message = (struct latest_message){
        .item = item,
        .version = item->version,
        .topic = item->topic,
        .payload = item->payload,
        .retained = item->retained,
        .qos = item->qos,
    };
    return true;
}

void latest_done(struct latest *latest, struct latest_message *message, enum latest_outcome outcome)
{
    struct latest_item *item = message->item;
    bool cleared = message->retained && message->payload->length == 0;
    payload_release(message->payload);
    message->payload = NULL;
    item->on_the_way--;
    if (cleared && outcome == LATEST_FAILED && !item->retained && item->payload != NULL) {
        item->clear_first = true;
        mark_dirty(latest, item);
        return;
    }
    if (item->version != message->version || item->dirty)
        return; /* a newer value has taken over */
    item->refused = outcome == LATEST_REFUSED;
    if (outcome == LATEST_FAILED) {
        mark_dirty(latest, item);
        return;
    }
    if (item->on_the_way > 0)
        return;
    if (item->retained && (item->once || item->payload->length == 0))
        forget(latest, item); /* nothing to repeat, or the caller will */
    else if (!item->retained)
        set_payload(latest, item, NULL);
}

void latest_resend(struct latest *latest)
{
    for (struct latest_item *item = latest->first; item != NULL; item = item->next) {
        item->overtaken_count = 0;
        if (item->retained)
            mark_dirty(latest, item);
    }
}

enum latest_echo latest_came_back(struct latest *latest, const char *topic, const char *bytes,
                                  size_t length)
{
    struct latest_item *item = find(latest, topic, hash_text(topic));
    if (item == NULL || !item->retained || item->payload == NULL)
        return LATEST_UNKNOWN;
    if (item->payload->length == length && memcmp(item->payload->bytes, bytes, length) == 0) {
        item->came_back = true;
        item->overtaken_count = 0; /* a broker keeps the order */
        return LATEST_SAME;
    }
    uint64_t hash = hash_bytes(bytes, length);
    for (unsigned i = 0; i < item->overtaken_count && i < OVERTAKEN_MAX; i++)
        if (item->overtaken[i] == hash)
            return LATEST_EARLIER;
    return LATEST_DIFFERENT;
}

void latest_repeat(struct latest *latest, const char *topic)
{
    struct latest_item *item = find(latest, topic, hash_text(topic));
    if (item != NULL && item->payload != NULL)
        mark_dirty(latest, item);
}

void latest_visit_retained(const struct latest *latest,
                           void (*visit)(void *context, const char *topic, size_t length),
                           void *context)
{
    for (const struct latest_item *item = latest->first; item != NULL; item = item->next)
        if (item->retained && !item->refused && item->payload != NULL && item->payload->length > 0)
            visit(context, item->topic, item->payload->length);
}

bool latest_waiting(const struct latest *latest)
{
    return latest->dirty_first != NULL;
}

bool latest_settled(const struct latest *latest, const char *topic)
{
    const struct latest_item *item = find(latest, topic, hash_text(topic));
    return item == NULL || (!item->dirty && item->on_the_way == 0);
}

size_t latest_topics(const struct latest *latest)
{
    return latest->topics;
}

size_t latest_bytes(const struct latest *latest)
{
    return latest->bytes;
}
