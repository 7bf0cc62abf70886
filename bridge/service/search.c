/* SPDX-License-Identifier: MIT */
/*
 * The search has a thread of its own: what strangers publish may be much, and the MQTT library takes its time
 * to end a connection. The loop only starts it and takes the result.
 */
#include "bridge/service/search.h"

#include "bridge/mqtt/publisher.h"
#include "bridge/service/broker.h"
#include "bridge/service/found.h"
#include "bridge/service/found_meters.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define CLOSE_MS 1000
#define CONNECT_MS 10000 /* as a broker may be slow */

struct search {
    uv_async_t ended; /* the thread sends it last of all */
    pthread_t thread;
    bool started, joined;
    void (*done)(void *context);
    void *context;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool woken, stopping; /* guarded by lock */

    /* The thread's own from start to end. */
    struct publisher *publisher;
    struct openbeken_finder *finder;
    struct found_known *known;
    struct meter_finder *meters;
    json_t *meters_known;
    char *clear_client;
    int64_t duration_ms; /* from when it is connected */
    size_t modules_max;
    int64_t deadline_ms; /* boot clock */
    bool connected;
    json_t *result;
};

/* ---- the thread ---- */

static void on_incoming(void *context, const struct publisher_incoming *incoming)
{
    struct search *search = context;
    if (incoming->kind == PUBLISHER_CONNECTED && !search->connected) {
        search->connected = true;
        search->deadline_ms = clock_boot_ms() + search->duration_ms;
    }
    if (incoming->kind != PUBLISHER_MESSAGE)
        return;
    openbeken_finder_message(search->finder, incoming->topic, incoming->payload,
                             incoming->payload_length, incoming->retained);
    meter_finder_message(search->meters, incoming->topic, incoming->payload,
                         incoming->payload_length, incoming->retained);
}

/* Waits for messages; false when the time is over. */
static bool wait_for_messages(struct search *search)
{
    pthread_mutex_lock(&search->lock);
    int64_t rest_ms = search->deadline_ms - clock_boot_ms();
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t wait_ms =
        rest_ms < 1000 ? rest_ms : 1000; /* the boot clock may run ahead of this one */
    until.tv_nsec += (long)(wait_ms % 1000) * 1000000L;
    until.tv_sec += (time_t)(wait_ms / 1000) + until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    if (!search->woken && !search->stopping && rest_ms > 0)
        (void)pthread_cond_timedwait(&search->changed, &search->lock, &until);
    search->woken = false;
    bool goes_on = !search->stopping && rest_ms > 0;
    pthread_mutex_unlock(&search->lock);
    return goes_on;
}

static size_t clear_announcements(struct search *search)
{
    size_t cleared = 0;
    for (size_t i = 0; i < openbeken_finder_count(search->finder); i++) {
        const struct openbeken_found *found = openbeken_finder_get(search->finder, i);
        if (strcmp(found->client, search->clear_client) != 0)
            continue;
        for (size_t a = 0; a < found->announcement_count; a++)
            publisher_publish(search->publisher,
                              openbeken_finder_announcement(search->finder, i, a), "", 0, true, 1);
        cleared = found->announcement_count;
    }
    return cleared;
}

static json_t *make_result(struct search *search)
{
    size_t left_out = 0, cleared = 0;
    json_t *modules = found_modules(search->known, search->finder, search->modules_max, &left_out);
    size_t room = search->modules_max == 0 ? SIZE_MAX : search->modules_max;
    size_t listed = json_array_size(modules);
    found_meters(search->meters_known, search->meters, room > listed ? room - listed : 0, modules);
    if (search->clear_client != NULL)
        cleared = clear_announcements(search);
    json_t *result = json_pack("{s:b, s:o, s:I}", "connected", search->connected, "modules",
                               modules, "cleared", (json_int_t)cleared);
    if (left_out > 0)
        (void)json_object_set_new(result, "left_out", json_integer((json_int_t)left_out));
    return result;
}

static void *look(void *context)
{
    struct search *search = context;
    (void)pthread_setname_np(pthread_self(), "search");
    while (wait_for_messages(search))
        publisher_poll(search->publisher, on_incoming, search);
    search->result = make_result(search);
    publisher_close(search->publisher, CLOSE_MS);
    openbeken_finder_free(search->finder);
    found_known_free(search->known);
    meter_finder_free(search->meters);
    search->meters = NULL;
    search->publisher = NULL;
    search->finder = NULL;
    search->known = NULL;
    (void)malloc_trim(0); /* thousands of invented modules were a lot */
    (void)uv_async_send(&search->ended);
    return NULL;
}

/* On the publisher's threads, with its lock held. */
static void wake_up(void *context)
{
    struct search *search = context;
    pthread_mutex_lock(&search->lock);
    search->woken = true;
    pthread_cond_signal(&search->changed);
    pthread_mutex_unlock(&search->lock);
}

/* ---- the loop ---- */

static void subscribe(void *context, const char *filter)
{
    const struct search *search = context;
    publisher_subscribe(search->publisher, filter, 0);
}

static enum status create_publisher(struct search *search, const struct search_options *from,
                                    struct error *error)
{
    const struct config_mqtt *mqtt = &from->config->mqtt;
    char client_id[64], will_topic[256];
    (void)snprintf(client_id, sizeof client_id, "bl2mqtt_find_%ld", (long)getpid());
    (void)snprintf(will_topic, sizeof will_topic, "%s/bridge/find", mqtt->base_topic);
    struct publisher_options options = broker_options(mqtt);
    options.client_id = client_id;
    /* Empty and retained: the broker keeps nothing of it. */
    options.will_topic = will_topic;
    options.will_payload = "";
    options.birth_payload = "";
    options.log = from->log;
    options.wake = wake_up;
    options.wake_context = search;
    return publisher_create(&options, &search->publisher, error);
}

/* Signals belong to the loop. */
static enum status start_thread(struct search *search, struct error *error)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&search->thread, NULL, look, search);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    search->started = rc == 0;
    return search->started
               ? STATUS_OK
               : error_set(error, STATUS_FAILED, "The search's thread could not be started (%s).",
                           strerrordesc_np(rc));
}

static void join(struct search *search)
{
    if (search->started && !search->joined)
        (void)pthread_join(search->thread, NULL);
    search->joined = true;
}

static void on_ended(uv_async_t *async)
{
    struct search *search = async->data;
    join(search);
    search->done(search->context);
}

static void init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(condition, &attributes);
    (void)pthread_condattr_destroy(&attributes);
}

enum status search_start(uv_loop_t *loop, const struct search_options *options,
                         struct search **created, struct error *error)
{
    struct search *search = memory_new(1, sizeof *search);
    search->done = options->done;
    search->context = options->context;
    search->duration_ms = options->duration_ms;
    search->modules_max = options->modules_max;
    search->deadline_ms = clock_boot_ms() + CONNECT_MS;
    search->clear_client =
        options->clear_client == NULL ? NULL : memory_copy_text(options->clear_client);
    search->finder = openbeken_finder_create(options->config->homeassistant.discovery_prefix);
    search->known = found_known_create(options->config);
    search->meters = meter_finder_create();
    search->meters_known = found_meters_known(options->config);
    (void)pthread_mutex_init(&search->lock, NULL);
    init_condition(&search->changed);
    (void)uv_async_init(loop, &search->ended, on_ended);
    search->ended.data = search;
    enum status status = create_publisher(search, options, error);
    if (status == STATUS_OK) {
        openbeken_finder_filters(search->finder, subscribe, search);
        meter_finder_filters(subscribe, search);
        status = publisher_start(search->publisher, error);
    }
    if (status == STATUS_OK)
        status = start_thread(search, error);
    if (status != STATUS_OK) {
        search_close(search);
        return status;
    }
    *created = search;
    return STATUS_OK;
}

json_t *search_result(const struct search *search)
{
    return json_incref(search->result);
}

static void handle_closed(uv_handle_t *handle)
{
    struct search *search = handle->data;
    if (search->publisher != NULL) /* the thread was never started */
        publisher_close(search->publisher, CLOSE_MS);
    openbeken_finder_free(search->finder);
    found_known_free(search->known);
    meter_finder_free(search->meters);
    json_decref(search->meters_known);
    json_decref(search->result);
    (void)pthread_mutex_destroy(&search->lock);
    (void)pthread_cond_destroy(&search->changed);
    free(search->clear_client);
    free(search);
}

void search_stop(struct search *search)
{
    pthread_mutex_lock(&search->lock);
    search->stopping = true;
    pthread_cond_signal(&search->changed);
    pthread_mutex_unlock(&search->lock);
}

void search_close(struct search *search)
{
    if (search == NULL)
        return;
    search_stop(search);
    join(search);
    uv_close((uv_handle_t *)&search->ended, handle_closed);
}
