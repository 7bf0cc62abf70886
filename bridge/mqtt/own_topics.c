/* SPDX-License-Identifier: MIT */
#include "bridge/mqtt/own_topics.h"

#include "drivers/base/clock.h"
#include "drivers/base/memory.h"
#include "drivers/base/text.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define TICK_MS 1000
#define CONFIRM_MS                                                                                 \
    700 /* an echo of our own that was overtaken by a newer value is matched by then */
#define GHOSTS_AFTER_MS 3000   /* by then it is known whether another bridge lives here */
#define LEFT_AFTER_MS 5000     /* Home Assistant has dealt with the announcements by then */
#define MISSING_AFTER_MS 15000 /* what was published has come back by then */
#define REPAIR_FIRST_MS 1000
#define REPAIR_LAST_MS 300000
#define REPORT_FOR_MS 600000 /* so long health names what happened */
#define WATCHED_MAX 256      /* topics that are being repaired, ghosts that wait */
#define TOPIC_SIZE 512
#define ID_SIZE 65

/* A topic on which something came that we did not publish. */
struct repair {
    char *topic;
    int64_t differs_since_ms; /* 0: what came last was ours */
    bool strange;             /* it never was ours: somebody published it */
    int64_t next_ms;          /* not before: repairs become ever rarer */
    int64_t wait_ms;
};

struct ghost {
    char *topic;
    char device_id[ID_SIZE];
    bool removed; /* there is no such device; else only its retained state is too many */
};

/* What a device has left behind. */
struct departure {
    char *topic; /* <base>/<device> */
    int64_t due_ms;
    bool retained; /* its state may be */
};

struct own_topics {
    struct own_topics_options options;
    char *base_topic, *bridge_id;
    uv_timer_t timer;
    int64_t connected_ms; /* 0: no connection */

    struct repair repairs[WATCHED_MAX];
    size_t repair_count;
    char overwritten[TOPIC_SIZE]; /* the last one that was repaired */
    uint64_t overwritten_count;
    int64_t overwritten_ms;

    struct ghost ghosts[WATCHED_MAX];
    size_t ghost_count;

    struct departure *departures;
    size_t departure_count, departure_room;
    json_t *old_bases; /* base topic -> true once it is cleared */

    char other_bridge[ID_SIZE];
    int64_t other_seen_ms;

    json_t *seen; /* topics that came back on this connection */
    bool missing_judged;
    char missing[TOPIC_SIZE];
    size_t missing_count;
    size_t missing_least,
        seen_most; /* bytes of the shortest that is missing, the longest that came back */

    unsigned problems_shown; /* bits: which were reported last */
};

/* ---- topics ---- */

static void topic_of(const struct own_topics *own, const char *rest, char *topic)
{
    struct text text;
    text_init(&text, topic, TOPIC_SIZE);
    text_append(&text, "%s/%s", own->base_topic, rest);
}

/* What stands behind "<base>/"; NULL if the topic does not begin so. */
static const char *below_base(const struct own_topics *own, const char *topic)
{
    size_t length = strlen(own->base_topic);
    bool below = strncmp(topic, own->base_topic, length) == 0 && topic[length] == '/';
    return below ? topic + length + 1 : NULL;
}

static const char *const bridge_leaves[] = {"bridge/state", "bridge/info", "bridge/devices",
                                            "bridge/health"};

static bool is_bridge_leaf(const char *rest)
{
    for (size_t i = 0; i < sizeof bridge_leaves / sizeof bridge_leaves[0]; i++)
        if (strcmp(rest, bridge_leaves[i]) == 0)
            return true;
    return false;
}

/* "<id>" or "<id>/availability"; false for anything else. */
static bool read_device(const char *rest, char id[ID_SIZE], bool *availability)
{
    size_t length = strcspn(rest, "/");
    *availability = strcmp(rest + length, "/availability") == 0;
    if (length == 0 || length >= ID_SIZE || (rest[length] != '\0' && !*availability))
        return false;
    memcpy(id, rest, length);
    id[length] = '\0';
    return strcmp(id, "bridge") != 0;
}

/* ---- another bridge ---- */

static bool shares_base(const struct own_topics *own)
{
    return own->other_seen_ms != 0 && clock_boot_ms() - own->other_seen_ms < REPORT_FOR_MS;
}

static void note_other_bridge(struct own_topics *own, const struct publisher_incoming *incoming)
{
    json_t *info = json_loadb(incoming->payload, incoming->payload_length, 0, NULL);
    const char *id = json_string_value(json_object_get(info, "bridge_id"));
    if (id != NULL && strcmp(id, own->bridge_id) != 0) {
        (void)snprintf(own->other_bridge, sizeof own->other_bridge, "%s", id);
        own->other_seen_ms = clock_boot_ms();
    }
    json_decref(info);
}

/* ---- repairing ---- */

static struct repair *find_repair(struct own_topics *own, const char *topic)
{
    for (size_t i = 0; i < own->repair_count; i++)
        if (strcmp(own->repairs[i].topic, topic) == 0)
            return &own->repairs[i];
    return NULL;
}

static void note_difference(struct own_topics *own, const char *topic, bool strange)
{
    struct repair *repair = find_repair(own, topic);
    if (repair == NULL && own->repair_count < WATCHED_MAX) {
        repair = &own->repairs[own->repair_count++];
        *repair = (struct repair){.topic = memory_copy_text(topic), .wait_ms = REPAIR_FIRST_MS};
    }
    if (repair == NULL)
        return;
    repair->strange = strange || (repair->strange && repair->differs_since_ms != 0);
    if (repair->differs_since_ms == 0)
        repair->differs_since_ms = clock_boot_ms();
}

static void compare(struct own_topics *own, const struct publisher_incoming *incoming)
{
    enum publisher_own is = publisher_own(own->options.publisher, incoming->topic,
                                          incoming->payload, incoming->payload_length);
    if (is == PUBLISHER_DIFFERENT || is == PUBLISHER_EARLIER)
        note_difference(own, incoming->topic, is == PUBLISHER_DIFFERENT);
    struct repair *repair = is == PUBLISHER_SAME ? find_repair(own, incoming->topic) : NULL;
    if (repair != NULL)
        repair->differs_since_ms = 0;
    if (is != PUBLISHER_NOT_OWN)
        (void)json_object_set_new(own->seen, incoming->topic, json_true());
}

static void repair_one(struct own_topics *own, struct repair *repair, int64_t now_ms)
{
    publisher_repeat(own->options.publisher, repair->topic);
    repair->differs_since_ms = 0;
    repair->next_ms = now_ms + repair->wait_ms;
    repair->wait_ms = 2 * repair->wait_ms < REPAIR_LAST_MS ? 2 * repair->wait_ms : REPAIR_LAST_MS;
    if (!repair->strange) {
        log_debug(
            own->options.log,
            "The broker gave back an older message on %s; the present one was published again.",
            repair->topic);
        return;
    }
    (void)snprintf(own->overwritten, sizeof own->overwritten, "%s", repair->topic);
    own->overwritten_count++;
    own->overwritten_ms = now_ms;
    log_repeating(own->options.log, LOG_LEVEL_WARNING, "own topic overwritten",
                  "Another client has published on %s, which belongs to this bridge; it was "
                  "published again. If another instance of this bridge runs, give each its own "
                  "bridge.id and mqtt.base_topic.",
                  repair->topic);
}

static void drop_repair(struct own_topics *own, size_t index)
{
    free(own->repairs[index].topic);
    own->repairs[index] = own->repairs[--own->repair_count];
}

static void repair_due(struct own_topics *own, int64_t now_ms)
{
    for (size_t i = own->repair_count; i-- > 0;) {
        struct repair *repair = &own->repairs[i];
        bool differs = repair->differs_since_ms != 0;
        if (differs && shares_base(own))
            repair->differs_since_ms = 0; /* it is the other's as well: no fight */
        else if (differs && now_ms - repair->differs_since_ms >= CONFIRM_MS &&
                 now_ms >= repair->next_ms)
            repair_one(own, repair, now_ms);
        else if (!differs && now_ms - repair->next_ms >= REPORT_FOR_MS)
            drop_repair(own, i); /* calm again: the next repair is quick */
    }
}

/* ---- ghosts ---- */

static bool is_availability(const struct publisher_incoming *incoming)
{
    static const char *const payloads[] = {"{\"state\":\"online\"}", "{\"state\":\"offline\"}"};
    for (size_t i = 0; i < 2; i++)
        if (incoming->payload_length == strlen(payloads[i]) &&
            memcmp(incoming->payload, payloads[i], incoming->payload_length) == 0)
            return true;
    return false;
}

/* Every state of a device of ours has these, and no other program's does. */
static bool is_state(const struct publisher_incoming *incoming)
{
    static const char *const keys[] = {"last_seen", "frame_errors", "data_problem",
                                       "report_interval"};
    json_t *state = json_loadb(incoming->payload, incoming->payload_length, 0, NULL);
    bool good = json_is_object(state);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        good = good && json_object_get(state, keys[i]) != NULL;
    json_decref(state);
    return good;
}

static void note_retained(struct own_topics *own, const struct publisher_incoming *incoming,
                          const char *rest)
{
    char id[ID_SIZE];
    bool availability = false, retained = false;
    if (own->ghost_count == WATCHED_MAX || incoming->payload_length == 0 ||
        !read_device(rest, id, &availability))
        return;
    bool exists = own->options.find(own->options.context, id, &retained);
    if (exists && (availability || retained))
        return;
    if (!(availability ? is_availability(incoming) : is_state(incoming)))
        return;
    struct ghost *ghost = &own->ghosts[own->ghost_count++];
    *ghost = (struct ghost){.topic = memory_copy_text(incoming->topic), .removed = !exists};
    memcpy(ghost->device_id, id, sizeof id);
}

/* It may have been added meanwhile, or its states are retained now. */
static bool still_a_ghost(const struct own_topics *own, const struct ghost *ghost)
{
    bool retained = false;
    bool exists = own->options.find(own->options.context, ghost->device_id, &retained);
    return ghost->removed ? !exists : exists && !retained;
}

/* Announcements first: Home Assistant renders templates of what it still knows. */
static void clear_ghost(struct own_topics *own, const struct ghost *ghost)
{
    char topic[TOPIC_SIZE];
    if (!ghost->removed) {
        publisher_publish(own->options.publisher, ghost->topic, "", 0, true, 1);
        return;
    }
    own->options.forget(own->options.context, ghost->device_id);
    topic_of(own, ghost->device_id, topic);
    own_topics_left(own, topic, true);
}

static void clear_ghosts(struct own_topics *own)
{
    for (size_t i = 0; i < own->ghost_count; i++) {
        struct ghost *ghost = &own->ghosts[i];
        if (!shares_base(own) && still_a_ghost(own, ghost)) {
            log_repeating(own->options.log, LOG_LEVEL_INFO, "ghost cleared",
                          "The retained message on %s stands for nothing any more; it was cleared.",
                          ghost->topic);
            clear_ghost(own, ghost);
        }
        free(ghost->topic);
    }
    own->ghost_count = 0;
}

/* ---- what is left behind on purpose ---- */

static void clear(const struct own_topics *own, const char *topic)
{
    publisher_publish(own->options.publisher, topic, "", 0, true, 1);
}

void own_topics_left(struct own_topics *own, const char *topic, bool retained)
{
    own->departures = memory_grow(own->departures, own->departure_count, &own->departure_room,
                                  sizeof *own->departures);
    own->departures[own->departure_count++] = (struct departure){
        .topic = memory_copy_text(topic),
        .due_ms = clock_boot_ms() + LEFT_AFTER_MS,
        .retained = retained,
    };
}

/* It may have come back meanwhile, perhaps without a state that is retained. */
static void clear_departure(const struct own_topics *own, const struct departure *departure,
                            const char *id)
{
    char availability[TOPIC_SIZE];
    struct text text;
    bool retained = false;
    bool back = below_base(own, departure->topic) == id &&
                own->options.find(own->options.context, id, &retained);
    text_init(&text, availability, sizeof availability);
    text_append(&text, "%s/availability", departure->topic);
    if (text.cut || (back && (retained || !departure->retained)))
        return;
    clear(own, departure->topic);
    if (!back)
        clear(own, availability);
}

static void clear_departures(struct own_topics *own, int64_t now_ms)
{
    for (size_t i = own->departure_count; i-- > 0;) {
        struct departure *departure = &own->departures[i];
        const char *slash = strrchr(departure->topic, '/');
        const char *id = slash != NULL ? slash + 1 : departure->topic;
        if (now_ms < departure->due_ms || now_ms - own->connected_ms < LEFT_AFTER_MS ||
            own->options.announced(own->options.context, id))
            continue;
        clear_departure(own, departure, id);
        free(departure->topic);
        own->departures[i] = own->departures[--own->departure_count];
    }
}

void own_topics_old_base(struct own_topics *own, const char *base_topic)
{
    char topic[TOPIC_SIZE];
    if (strcmp(base_topic, own->base_topic) == 0 ||
        json_object_get(own->old_bases, base_topic) != NULL)
        return;
    (void)json_object_set_new(own->old_bases, base_topic, json_false());
    struct text text;
    text_init(&text, topic, sizeof topic);
    text_append(&text, "%s/bridge/info", base_topic);
    publisher_subscribe(own->options.publisher, topic, 1);
}

static void clear_old_bridge(const struct own_topics *own, const char *base)
{
    static const char *const leaves[] = {"state", "info", "devices", "health", "price", "co2"};
    char topic[TOPIC_SIZE];
    for (size_t i = 0; i < sizeof leaves / sizeof leaves[0]; i++) {
        struct text text;
        text_init(&text, topic, sizeof topic);
        text_append(&text, "%s/bridge/%s", base, leaves[i]);
        clear(own, topic);
    }
}

/* Its devices' topics come in from now on, and are cleared. */
static void watch_old_devices(struct own_topics *own, const char *base)
{
    static const char *const filters[] = {"+/availability", "+"};
    char topic[TOPIC_SIZE];
    if (json_is_true(json_object_get(own->old_bases, base)))
        return;
    (void)json_object_set_new(own->old_bases, base, json_true());
    for (size_t i = 0; i < 2; i++) {
        struct text text;
        text_init(&text, topic, sizeof topic);
        text_append(&text, "%s/%s", base, filters[i]);
        publisher_subscribe(own->options.publisher, topic, 0);
    }
}

static void old_info_incoming(struct own_topics *own, const struct publisher_incoming *incoming,
                              const char *base)
{
    json_t *info = json_loadb(incoming->payload, incoming->payload_length, 0, NULL);
    const char *id = json_string_value(json_object_get(info, "bridge_id"));
    if (incoming->retained && id != NULL && strcmp(id, own->bridge_id) == 0) {
        clear_old_bridge(own, base);
        watch_old_devices(own, base);
    }
    json_decref(info);
}

/* True if it came from a former base topic of this bridge. */
static bool old_base_incoming(struct own_topics *own, const struct publisher_incoming *incoming)
{
    const char *base;
    json_t *ours;
    json_object_foreach(own->old_bases, base, ours)
    {
        char id[ID_SIZE];
        bool availability = false;
        size_t length = strlen(base);
        if (strncmp(incoming->topic, base, length) != 0 || incoming->topic[length] != '/')
            continue;
        const char *rest = incoming->topic + length + 1;
        if (strcmp(rest, "bridge/info") == 0) {
            old_info_incoming(own, incoming, base);
            return true;
        }
        if (json_is_true(ours) && read_device(rest, id, &availability) && incoming->retained &&
            incoming->payload_length > 0 &&
            (availability ? is_availability(incoming) : is_state(incoming))) {
            clear(own, incoming->topic);
            return true;
        }
    }
    return false;
}

/* ---- what never comes back ---- */

static void note_missing(void *context, const char *topic, size_t length)
{
    struct own_topics *own = context;
    const char *rest = below_base(own, topic);
    char id[ID_SIZE];
    bool availability = false;
    bool watched = rest != NULL &&
                   (is_bridge_leaf(rest) || (read_device(rest, id, &availability) && availability));
    if (!watched || length > PUBLISHER_PAYLOAD_MAX)
        return;
    if (json_object_get(own->seen, topic) != NULL) {
        own->seen_most = length > own->seen_most ? length : own->seen_most;
        return;
    }
    if (own->missing_count == 0 || length < own->missing_least)
        own->missing_least = length;
    if (own->missing_count++ == 0)
        (void)snprintf(own->missing, sizeof own->missing, "%s", topic);
}

static void judge_missing(struct own_topics *own)
{
    own->missing_judged = true;
    own->missing_count = own->missing_least = own->seen_most = 0;
    publisher_visit_retained(own->options.publisher, note_missing, own);
}

/* ---- problems ---- */

static void append_other(const struct own_topics *own, struct text *text)
{
    text_append(
        text,
        "The bridge \"%s\" publishes below %s as well. Each bridge needs a base topic of its "
        "own: change mqtt.base_topic of one of them.",
        own->other_bridge, own->base_topic);
}

static void append_missing(const struct own_topics *own, struct text *text)
{
    text_append(text, "The broker does not give back what this bridge publishes on %s",
                own->missing);
    if (own->missing_count > 1)
        text_append(text, " and %zu other topics", own->missing_count - 1);
    bool longer = own->seen_most > 0 && own->missing_least > own->seen_most;
    if (longer)
        text_append(text,
                    ". It may drop messages of more than %zu bytes without a word: raise its limit "
                    "(mosquitto: message_size_limit)",
                    own->seen_most);
    text_append(text,
                ". %s access rules may forbid this user to write there, and then nobody sees "
                "it, or to read it; allow both.",
                longer ? "Or its" : "Its");
}

static void append_overwritten(const struct own_topics *own, struct text *text)
{
    text_append(text,
                "Another client publishes on topics of this bridge, the last time on %s (%" PRIu64
                " times since the start). Another instance of it may run.",
                own->overwritten, own->overwritten_count);
}

/* Bits: which problems there are. */
static unsigned problems_of(const struct own_topics *own)
{
    bool overwritten =
        own->overwritten_ms != 0 && clock_boot_ms() - own->overwritten_ms < REPORT_FOR_MS;
    return (shares_base(own) ? 1U : 0) | (own->missing_count > 0 ? 2U : 0) | (overwritten ? 4U : 0);
}

size_t own_topics_problems(const struct own_topics *own,
                           char sentences[OWN_TOPICS_PROBLEMS_MAX][OWN_TOPICS_PROBLEM_SIZE])
{
    static void (*const append[])(const struct own_topics *own, struct text *text) = {
        append_other, append_missing, append_overwritten};
    unsigned problems = own == NULL ? 0 : problems_of(own);
    size_t count = 0;
    for (unsigned i = 0; i < OWN_TOPICS_PROBLEMS_MAX; i++) {
        if ((problems >> i & 1U) == 0)
            continue;
        struct text text;
        text_init(&text, sentences[count++], OWN_TOPICS_PROBLEM_SIZE);
        append[i](own, &text);
    }
    return count;
}

static void show_problems(struct own_topics *own)
{
    unsigned problems = problems_of(own);
    unsigned began = problems & ~own->problems_shown;
    if (problems == own->problems_shown)
        return;
    own->problems_shown = problems;
    char sentence[OWN_TOPICS_PROBLEM_SIZE];
    struct text text;
    text_init(&text, sentence, sizeof sentence);
    if ((began & 1U) != 0) {
        append_other(own, &text);
        log_repeating(own->options.log, LOG_LEVEL_ERROR, "base topic shared", "%s", sentence);
    }
    text_init(&text, sentence, sizeof sentence);
    if ((began & 2U) != 0) {
        append_missing(own, &text);
        log_repeating(own->options.log, LOG_LEVEL_WARNING, "topics missing", "%s", sentence);
    }
    own->options.changed(own->options.context);
}

/* ---- time and input ---- */

static void on_tick(uv_timer_t *timer)
{
    struct own_topics *own = timer->data;
    int64_t now_ms = clock_boot_ms();
    if (own->connected_ms == 0)
        return;
    repair_due(own, now_ms);
    clear_departures(own, now_ms);
    if (own->ghost_count > 0 && now_ms - own->connected_ms >= GHOSTS_AFTER_MS)
        clear_ghosts(own);
    if (!own->missing_judged && now_ms - own->connected_ms >= MISSING_AFTER_MS)
        judge_missing(own);
    show_problems(own);
}

static void on_edge(struct own_topics *own, bool connected)
{
    own->connected_ms = connected ? clock_boot_ms() : 0;
    own->missing_judged = false;
    json_object_clear(own->seen);
    for (size_t i = 0; i < own->repair_count; i++)
        own->repairs[i].differs_since_ms = 0; /* all is published again anyway */
}

bool own_topics_incoming(struct own_topics *own, const struct publisher_incoming *incoming)
{
    if (incoming->kind != PUBLISHER_MESSAGE) {
        on_edge(own, incoming->kind == PUBLISHER_CONNECTED);
        return false;
    }
    if (json_object_size(own->old_bases) > 0 && old_base_incoming(own, incoming))
        return true;
    const char *rest = below_base(own, incoming->topic);
    char id[ID_SIZE];
    bool availability = false;
    if (rest == NULL || (!is_bridge_leaf(rest) && !read_device(rest, id, &availability)))
        return false;
    if (strcmp(rest, "bridge/info") == 0 &&
        publisher_own(own->options.publisher, incoming->topic, incoming->payload,
                      incoming->payload_length) != PUBLISHER_SAME)
        note_other_bridge(own, incoming);
    if (is_bridge_leaf(rest) || availability)
        compare(own, incoming);
    if (incoming->retained)
        note_retained(own, incoming, rest);
    return true;
}

/* ---- life ---- */

struct own_topics *own_topics_create(uv_loop_t *loop, const struct own_topics_options *options)
{
    struct own_topics *own = memory_new(1, sizeof *own);
    own->options = *options;
    own->base_topic = memory_copy_text(options->base_topic);
    own->bridge_id = memory_copy_text(options->bridge_id);
    own->seen = json_object();
    own->old_bases = json_object();
    char topic[TOPIC_SIZE];
    for (size_t i = 0; i < sizeof bridge_leaves / sizeof bridge_leaves[0]; i++) {
        topic_of(own, bridge_leaves[i], topic);
        publisher_subscribe(options->publisher, topic, 1);
    }
    topic_of(own, "+/availability", topic);
    publisher_subscribe(options->publisher, topic, 1);
    topic_of(own, "+", topic);
    publisher_subscribe(options->publisher, topic, 0);
    (void)uv_timer_init(loop, &own->timer);
    own->timer.data = own;
    (void)uv_timer_start(&own->timer, on_tick, clock_to_grid_ms(TICK_MS), TICK_MS);
    return own;
}

static void on_closed(uv_handle_t *handle)
{
    struct own_topics *own = handle->data;
    while (own->repair_count > 0)
        drop_repair(own, 0);
    for (size_t i = 0; i < own->ghost_count; i++)
        free(own->ghosts[i].topic);
    for (size_t i = 0; i < own->departure_count; i++)
        free(own->departures[i].topic);
    free(own->departures);
    json_decref(own->seen);
    json_decref(own->old_bases);
    free(own->base_topic);
    free(own->bridge_id);
    free(own);
}

void own_topics_close(struct own_topics *own)
{
    if (own != NULL)
        uv_close((uv_handle_t *)&own->timer, on_closed);
}
