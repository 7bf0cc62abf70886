/* SPDX-License-Identifier: MIT */
/* What callers do, on their threads; the publisher's own thread is in publisher_thread.c. */
#include "bridge/mqtt/publisher_state.h"

#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define POLL_SLICE_MS 8 /* the loop has other things to do: a flood is handed over in slices */

/* ---- what both threads use ------------------------------------------------------------------ */

/* With lock held; waits at most ms. */
void publisher_wait(struct publisher *publisher, pthread_cond_t *condition, int64_t ms)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += (long)(ms % 1000) * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    (void)pthread_cond_timedwait(condition, &publisher->lock, &until);
}

void publisher_free_event(struct event *event)
{
    if (event == NULL)
        return;
    free(event->topic);
    payload_release(event->payload);
    free(event);
}

struct event *publisher_pop_event(struct event_queue *queue)
{
    struct event *event = queue->first;
    if (event == NULL)
        return NULL;
    queue->first = event->next;
    if (queue->first == NULL)
        queue->last = NULL;
    queue->count--;
    queue->bytes -= event->payload->length;
    return event;
}

void publisher_drop_oldest_event(struct publisher *publisher)
{
    publisher_free_event(publisher_pop_event(&publisher->events));
    publisher->health.dropped++;
    publisher->complaints_dropped++;
}

void publisher_push_event(struct publisher *publisher, const char *topic, const char *payload,
                          size_t length, int qos)
{
    struct event_queue *queue = &publisher->events;
    while (queue->first != NULL &&
           (queue->count >= PUBLISHER_EVENTS_MAX || queue->bytes + length > EVENT_BYTES_MAX))
        publisher_drop_oldest_event(publisher);

    struct event *event = memory_new(1, sizeof *event);
    event->topic = memory_copy_text(topic);
    event->payload = payload_new(payload, length);
    event->qos = qos;
    if (queue->last != NULL)
        queue->last->next = event;
    else
        queue->first = event;
    queue->last = event;
    queue->count++;
    queue->bytes += length;
}

/* ---- creation ------------------------------------------------------------------------------- */

static enum status check_file(const char *path, const char *key, const char *what,
                              struct error *error)
{
    if (path == NULL || *path == '\0' || access(path, R_OK) == 0)
        return STATUS_OK;
    return error_set(error, STATUS_USAGE, "%s: the %s %s cannot be read (%s).", key, what, path,
                     strerrordesc_np(errno));
}

static bool given(const char *text)
{
    return text != NULL && *text != '\0';
}

static enum status check_options(const struct publisher_options *options,
                                 const struct server_address *address, struct error *error)
{
    bool tls_options = given(options->ca) || given(options->cert) || given(options->key);
    if (tls_options && !address->tls)
        return error_set(error, STATUS_USAGE,
                         "mqtt.ca, mqtt.cert and mqtt.key are for mqtts://, but mqtt.server is %s, "
                         "which is not encrypted.",
                         options->server);
    if (given(options->key) && !given(options->cert))
        return error_set(error, STATUS_USAGE,
                         "mqtt.key needs mqtt.cert, the certificate it "
                         "belongs to.");
    if (given(options->password) && !given(options->user))
        return error_set(error, STATUS_USAGE, "mqtt.password needs mqtt.user.");
    if (options->version != 4 && options->version != 5)
        return error_set(error, STATUS_USAGE, "mqtt.version must be 3.1.1 or 5.");
    if (!given(options->client_id))
        return error_set(error, STATUS_USAGE, "mqtt.client_id must not be empty.");
    enum status status = check_file(options->ca, "mqtt.ca", "file with CA certificates", error);
    if (status == STATUS_OK)
        status = check_file(options->cert, "mqtt.cert", "client certificate", error);
    if (status == STATUS_OK)
        status = check_file(options->key, "mqtt.key", "client key", error);
    return status;
}

static char *copy(const char *text)
{
    return memory_copy_text(text != NULL ? text : "");
}

static int whole_seconds(int64_t ms)
{
    int64_t seconds = (ms + 999) / 1000;
    if (seconds < 1)
        return 1;
    return seconds > 65535 ? 65535 : (int)seconds;
}

static void copy_settings(struct settings_copy *settings, const struct publisher_options *options)
{
    *settings = (struct settings_copy){
        .client_id = copy(options->client_id),
        .user = copy(options->user),
        .password = copy(options->password),
        .ca = copy(options->ca),
        .cert = copy(options->cert),
        .key = copy(options->key),
        .will_topic = copy(options->will_topic),
        .will_payload = copy(options->will_payload),
        .birth_payload = copy(options->birth_payload),
        .retry_ms = options->retry_ms > 0 ? options->retry_ms : RETRY_FIRST_MS,
        .keepalive_s = whole_seconds(options->keepalive_ms),
        .version = options->version,
        .insecure = options->insecure,
    };
}

static void init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

enum status publisher_create(const struct publisher_options *options, struct publisher **publisher,
                             struct error *error)
{
    struct server_address address;
    enum status status = server_address_parse(options->server, &address, error);
    if (status == STATUS_OK)
        status = check_options(options, &address, error);
    if (status != STATUS_OK)
        return status;

    struct publisher *new = memory_new(1, sizeof *new);
    new->address = address;
    copy_settings(&new->settings, options);
    new->log = options->log;
    new->wake = options->wake;
    new->wake_context = options->wake_context;
    broker_limits_init(&new->limits, options->version, !options->no_retain);
    new->latest = latest_create(PUBLISHER_TOPICS_MAX, PUBLISHER_BYTES_MAX);
    pthread_mutex_init(&new->log_guard, NULL);
    pthread_mutex_init(&new->lock, NULL);
    init_condition(&new->changed);
    init_condition(&new->over);
    (void)unsetenv("http_proxy");
    (void)unsetenv("https_proxy");
    *publisher = new;
    return STATUS_OK;
}

static void free_settings(struct settings_copy *settings)
{
    free(settings->client_id);
    free(settings->user);
    free(settings->password);
    free(settings->ca);
    free(settings->cert);
    free(settings->key);
    free(settings->will_topic);
    free(settings->will_payload);
    free(settings->birth_payload);
}

void publisher_free(struct publisher *publisher)
{
    struct event *event;
    while ((event = publisher_pop_event(&publisher->events)) != NULL)
        publisher_free_event(event);
    for (size_t i = 0; i < publisher->filter_count; i++)
        free(publisher->filters[i].text);
    free(publisher->filters);
    inbox_free_items(inbox_take(&publisher->inbox));
    inbox_free_items(publisher->taken);
    latest_free(publisher->latest);
    free_settings(&publisher->settings);
    pthread_cond_destroy(&publisher->changed);
    pthread_cond_destroy(&publisher->over);
    pthread_mutex_destroy(&publisher->lock);
    pthread_mutex_destroy(&publisher->log_guard);
    free(publisher);
}

enum status publisher_start(struct publisher *publisher, struct error *error)
{
    /* Signals belong to the loop. Paho's threads inherit this mask from ours. */
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&publisher->thread, NULL, publisher_run, publisher);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        return error_set(error, STATUS_FAILED, "The MQTT thread could not be started (%s).",
                         strerrordesc_np(rc));
    publisher->started = true;
    return STATUS_OK;
}

/* ---- what callers do -------------------------------------------------------------------------- */

/* MQTT allows no wildcards in the topic of a message, and 65535 bytes at most. */
static bool good_topic(const char *topic)
{
    size_t length = strcspn(topic, "+#");
    return length > 0 && length <= 65535 && topic[length] == '\0';
}

static void put(struct publisher *publisher, const char *topic, const char *payload, size_t length,
                enum latest_keeping keeping, int qos)
{
    pthread_mutex_lock(&publisher->lock);
    if (!good_topic(topic) ||
        !latest_put(publisher->latest, topic, payload, length, keeping, qos)) {
        publisher->health.dropped++;
        publisher->complaints_dropped++;
    }
    pthread_cond_signal(&publisher->changed);
    pthread_mutex_unlock(&publisher->lock);
}

void publisher_publish(struct publisher *publisher, const char *topic, const char *payload,
                       size_t length, bool retained, int qos)
{
    put(publisher, topic, payload, length, retained ? LATEST_RETAINED : LATEST_UNRETAINED, qos);
}

void publisher_publish_once(struct publisher *publisher, const char *topic, const char *payload,
                            size_t length)
{
    put(publisher, topic, payload, length, LATEST_RETAINED_ONCE, 1);
}

void publisher_event(struct publisher *publisher, const char *topic, const char *payload,
                     size_t length, int qos)
{
    pthread_mutex_lock(&publisher->lock);
    if (publisher->is_online && good_topic(topic) && length <= EVENT_BYTES_MAX) {
        publisher_push_event(publisher, topic, payload, length, qos);
        pthread_cond_signal(&publisher->changed);
    } else {
        publisher->health.dropped++; /* that there is no connection was said; no more words here */
    }
    pthread_mutex_unlock(&publisher->lock);
}

static uint32_t hash_of(const char *filter)
{
    uint32_t hash = 2166136261U; /* FNV-1a */
    for (; *filter != '\0'; filter++)
        hash = (hash ^ (unsigned char)*filter) * 16777619U;
    return hash;
}

/* Of thousands of modules there are tens of thousands, which differ late. */
static bool has_filter(const struct publisher *publisher, const char *filter, uint32_t hash)
{
    for (size_t i = 0; i < publisher->filter_count; i++)
        if (publisher->filters[i].hash == hash && strcmp(publisher->filters[i].text, filter) == 0)
            return true;
    return false;
}

void publisher_subscribe(struct publisher *publisher, const char *filter, int qos)
{
    uint32_t hash = hash_of(filter);
    pthread_mutex_lock(&publisher->lock);
    if (publisher->filter_count < PUBLISHER_FILTERS_MAX && !has_filter(publisher, filter, hash)) {
        publisher->filters = memory_grow(publisher->filters, publisher->filter_count,
                                         &publisher->filter_room, sizeof *publisher->filters);
        publisher->filters[publisher->filter_count++] =
            (struct filter){.text = memory_copy_text(filter), .hash = hash, .qos = qos};
        pthread_cond_signal(&publisher->changed);
    }
    pthread_mutex_unlock(&publisher->lock);
}

void publisher_subscribe_again(struct publisher *publisher, const char *filter, int qos)
{
    publisher_subscribe(publisher, filter, qos);
    pthread_mutex_lock(&publisher->lock);
    for (size_t i = 0; i < publisher->filters_sent && i < publisher->filter_count; i++) {
        if (strcmp(publisher->filters[i].text, filter) != 0 || publisher->filters[i].again)
            continue;
        publisher->filters[i].again = true;
        publisher->filters_again++;
        pthread_cond_signal(&publisher->changed);
    }
    pthread_mutex_unlock(&publisher->lock);
}

bool publisher_settled(struct publisher *publisher, const char *topic)
{
    pthread_mutex_lock(&publisher->lock);
    bool settled = latest_settled(publisher->latest, topic);
    pthread_mutex_unlock(&publisher->lock);
    return settled;
}

static bool is_birth(const struct publisher *publisher, const char *topic)
{
    const char *will_topic = publisher->settings.will_topic;
    return will_topic[0] != '\0' && strcmp(topic, will_topic) == 0;
}

static bool equals(const char *payload, size_t length, const char *other, size_t other_length)
{
    return length == other_length && (length == 0 || memcmp(payload, other, length) == 0);
}

enum publisher_own publisher_own(struct publisher *publisher, const char *topic,
                                 const char *payload, size_t length)
{
    const char *birth = publisher->settings.birth_payload;
    if (is_birth(publisher, topic))
        return equals(payload, length, birth, strlen(birth)) ? PUBLISHER_SAME : PUBLISHER_DIFFERENT;
    static const enum publisher_own meaning[] = {
        [LATEST_UNKNOWN] = PUBLISHER_NOT_OWN,
        [LATEST_SAME] = PUBLISHER_SAME,
        [LATEST_EARLIER] = PUBLISHER_EARLIER,
        [LATEST_DIFFERENT] = PUBLISHER_DIFFERENT,
    };
    pthread_mutex_lock(&publisher->lock);
    enum latest_echo echo = latest_came_back(publisher->latest, topic, payload, length);
    pthread_mutex_unlock(&publisher->lock);
    return meaning[echo];
}

void publisher_repeat(struct publisher *publisher, const char *topic)
{
    pthread_mutex_lock(&publisher->lock);
    if (!is_birth(publisher, topic))
        latest_repeat(publisher->latest, topic);
    else if (!publisher->closing)
        publisher->birth_sent = false;
    pthread_cond_signal(&publisher->changed);
    pthread_mutex_unlock(&publisher->lock);
}

void publisher_visit_retained(struct publisher *publisher,
                              void (*visit)(void *context, const char *topic, size_t length),
                              void *context)
{
    if (publisher->settings.will_topic[0] != '\0')
        visit(context, publisher->settings.will_topic, strlen(publisher->settings.birth_payload));
    pthread_mutex_lock(&publisher->lock);
    latest_visit_retained(publisher->latest, visit, context);
    pthread_mutex_unlock(&publisher->lock);
}

void publisher_poll(struct publisher *publisher,
                    void (*callback)(void *context, const struct publisher_incoming *incoming),
                    void *context)
{
    if (publisher->taken == NULL) {
        pthread_mutex_lock(&publisher->lock);
        publisher->taken = inbox_take(&publisher->inbox);
        pthread_mutex_unlock(&publisher->lock);
    }
    int64_t began_ms = clock_boot_ms();
    while (publisher->taken != NULL && clock_boot_ms() - began_ms < POLL_SLICE_MS) {
        struct inbox_item *item = publisher->taken;
        publisher->taken = item->next;
        item->next = NULL;
        callback(context, &item->incoming);
        inbox_free_items(item);
    }
    if (publisher->taken != NULL && publisher->wake != NULL)
        publisher->wake(publisher->wake_context);
}

void publisher_health(struct publisher *publisher, struct publisher_health *health)
{
    pthread_mutex_lock(&publisher->lock);
    *health = publisher->health;
    pthread_mutex_unlock(&publisher->lock);
}

size_t publisher_problems(struct publisher *publisher,
                          char sentences[PUBLISHER_PROBLEMS_MAX][PUBLISHER_PROBLEM_SIZE])
{
    _Static_assert(PUBLISHER_PROBLEM_SIZE == BROKER_LIMITS_SENTENCE &&
                       PUBLISHER_PROBLEMS_MAX == BROKER_LIMITS_PROBLEMS + 1,
                   "the limits' sentences and one more");
    pthread_mutex_lock(&publisher->lock);
    size_t count = broker_limits_problems(&publisher->limits, sentences);
    if (publisher->denied > 0)
        publisher_describe_denied(publisher, sentences[count++], PUBLISHER_PROBLEM_SIZE);
    pthread_mutex_unlock(&publisher->lock);
    return count;
}

void publisher_close(struct publisher *publisher, int64_t timeout_ms)
{
    if (publisher == NULL)
        return;
    if (!publisher->started) {
        publisher_free(publisher);
        return;
    }
    int64_t close_by = clock_boot_ms() + timeout_ms;
    pthread_mutex_lock(&publisher->lock);
    publisher->closing = true;
    publisher->close_by_ms = close_by;
    pthread_cond_signal(&publisher->changed);
    while (!publisher->finished && clock_boot_ms() < close_by)
        publisher_wait(publisher, &publisher->over, close_by - clock_boot_ms());
    bool finished = publisher->finished;
    pthread_mutex_unlock(&publisher->lock);

    if (!finished) {
        pthread_mutex_lock(&publisher->log_guard);
        pthread_mutex_lock(&publisher->lock);
        finished = publisher->finished;
        publisher->abandoned = !finished;
        if (!finished)
            pthread_detach(publisher->thread);
        pthread_mutex_unlock(&publisher->log_guard);
        /* Last of all: as soon as the thread can have it, it may free everything. */
        pthread_mutex_unlock(&publisher->lock);
    }
    if (!finished)
        return;
    pthread_join(publisher->thread, NULL);
    publisher_free(publisher);
}
