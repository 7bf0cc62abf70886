/* SPDX-License-Identifier: MIT */
#include "bridge/mqtt/ask.h"

#include "drivers/base/clock.h"
#include "drivers/base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define POLL_MS 20
#define CONNECT_MS 5000
#define CLOSE_MS 1500
#define STATE_MS 3000  /* a broker sends what is retained at once */
#define INFO_MS 1000   /* so long the request waits for the bridge's retained information */
#define SECOND_MS 1000 /* so long a refusal waits for another bridge's answer */

struct asking {
    struct publisher *publisher;
    const char *request_topic;
    const char *response_topic;
    const char *state_topic, *info_topic; /* retained by every bridge */
    const char *bridge_id;                /* whose answer counts; NULL: anybody's */
    char *other_id;                       /* another bridge's information is on info_topic */
    bool informed, asked;
    const char *transaction;
    char *payload;
    bool connected, online, offline; /* what the state says; neither: it was not reported */
    int64_t connected_boot_ms;
    json_t *answer; /* the whole response */
    int64_t refused_boot_ms;
};

static void take_state(struct asking *asking, const struct publisher_incoming *incoming)
{
    json_t *reported = json_loadb(incoming->payload, incoming->payload_length, 0, NULL);
    const char *state = json_string_value(json_object_get(reported, "state"));
    asking->online = state != NULL && strcmp(state, "online") == 0;
    asking->offline = state != NULL && strcmp(state, "offline") == 0;
    json_decref(reported);
}

static void take_info(struct asking *asking, const struct publisher_incoming *incoming)
{
    json_t *info = json_loadb(incoming->payload, incoming->payload_length, 0, NULL);
    const char *id = json_string_value(json_object_get(info, "bridge_id"));
    bool other = id != NULL && asking->bridge_id != NULL && strcmp(id, asking->bridge_id) != 0;
    free(asking->other_id);
    asking->other_id = other ? memory_copy_text(id) : NULL;
    asking->informed = id != NULL;
    json_decref(info);
}

/* What is retained comes before the question, so that it is not put to another bridge. */
static void ask_when_informed(struct asking *asking)
{
    bool waited = asking->connected && clock_boot_ms() - asking->connected_boot_ms >= INFO_MS;
    if (asking->asked || asking->other_id != NULL || !asking->connected ||
        (asking->bridge_id != NULL && !asking->informed && !waited))
        return;
    asking->asked = true;
    publisher_event(asking->publisher, asking->request_topic, asking->payload,
                    strlen(asking->payload), 1);
}

/* A refusal may be of another bridge on the same topics: the one that did it answers as well. */
static void take_answer(struct asking *asking, json_t *answer)
{
    const char *status = json_string_value(json_object_get(answer, "status"));
    bool good = status != NULL && strcmp(status, "ok") == 0;
    if (asking->answer == NULL || good) {
        json_decref(asking->answer);
        asking->answer = json_incref(answer);
    }
    asking->refused_boot_ms = good ? 0 : clock_boot_ms();
}

static bool is_answered(const struct asking *asking)
{
    return asking->answer != NULL && (asking->bridge_id == NULL || asking->refused_boot_ms == 0 ||
                                      clock_boot_ms() - asking->refused_boot_ms >= SECOND_MS);
}

/* Nobody is there who could answer. */
static bool is_alone(const struct asking *asking)
{
    return asking->connected && !asking->online &&
           (asking->offline || clock_boot_ms() - asking->connected_boot_ms >= STATE_MS);
}

/* The publisher sends its subscriptions before any event of the same connection. */
static void on_incoming(void *context, const struct publisher_incoming *incoming)
{
    struct asking *asking = context;
    if (incoming->kind == PUBLISHER_CONNECTED && !asking->connected) {
        asking->connected = true;
        asking->connected_boot_ms = clock_boot_ms();
    }
    if (incoming->kind == PUBLISHER_MESSAGE && strcmp(incoming->topic, asking->state_topic) == 0)
        take_state(asking, incoming);
    if (incoming->kind == PUBLISHER_MESSAGE && strcmp(incoming->topic, asking->info_topic) == 0)
        take_info(asking, incoming);
    if (incoming->kind != PUBLISHER_MESSAGE || strcmp(incoming->topic, asking->response_topic) != 0)
        return;
    json_t *answer = json_loadb(incoming->payload, incoming->payload_length, 0, NULL);
    const char *transaction = json_string_value(json_object_get(answer, "transaction"));
    if (transaction != NULL && strcmp(transaction, asking->transaction) == 0)
        take_answer(asking, answer);
    json_decref(answer);
}

static void wait_for_answer(struct asking *asking, int64_t timeout_ms)
{
    int64_t until_ms = clock_boot_ms() + timeout_ms;
    int64_t connect_by_ms = clock_boot_ms() + CONNECT_MS;
    while (!is_answered(asking) && clock_boot_ms() < until_ms && !is_alone(asking) &&
           asking->other_id == NULL && (asking->connected || clock_boot_ms() < connect_by_ms)) {
        const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
        (void)nanosleep(&pause, NULL);
        publisher_poll(asking->publisher, on_incoming, asking);
        ask_when_informed(asking);
    }
}

static enum status judge(const struct asking *asking, const char *server, json_t **data,
                         struct error *error)
{
    if (asking->other_id != NULL)
        return error_set(
            error, STATUS_REFUSED,
            "The bridge on the topics of the broker %s is \"%s\", not \"%s\": %s names it. "
            "Two bridges must not share mqtt.base_topic. Nothing was asked.",
            server, asking->other_id, asking->bridge_id, asking->info_topic);
    if (asking->answer == NULL && !asking->connected)
        return error_set(error, STATUS_NO_ANSWER, "The broker %s could not be reached.", server);
    if (asking->answer == NULL && !asking->online)
        return error_set(error, STATUS_NO_ANSWER,
                         "No bridge runs on the broker %s: %s says %s. Start the service, or check "
                         "mqtt.base_topic.",
                         server, asking->state_topic, asking->offline ? "offline" : "nothing");
    if (asking->answer == NULL)
        return error_set(error, STATUS_NO_ANSWER,
                         "The bridge did not answer on %s; it may have lost the broker %s.",
                         asking->response_topic, server);
    const char *status = json_string_value(json_object_get(asking->answer, "status"));
    const char *words = json_string_value(json_object_get(asking->answer, "error"));
    if (status == NULL || strcmp(status, "ok") != 0)
        return error_set(error, STATUS_FAILED, "%s",
                         words != NULL ? words : "The bridge refused without saying why.");
    *data = json_incref(json_object_get(asking->answer, "data"));
    return STATUS_OK;
}

enum status bridge_ask(const struct publisher_options *connection, const char *base_topic,
                       const char *bridge_id, const char *request, json_t *body, int64_t timeout_ms,
                       json_t **data, struct error *error)
{
    char client_id[64], transaction[48], request_topic[256], response_topic[256];
    char state_topic[256], info_topic[256];
    (void)snprintf(transaction, sizeof transaction, "%d-%" PRId64, (int)getpid(), clock_boot_ms());
    (void)snprintf(client_id, sizeof client_id, "bl2mqtt_ask_%s", transaction);
    (void)snprintf(request_topic, sizeof request_topic, "%s/bridge/request/%s", base_topic,
                   request);
    (void)snprintf(response_topic, sizeof response_topic, "%s/bridge/response/%s", base_topic,
                   request);
    (void)snprintf(state_topic, sizeof state_topic, "%s/bridge/state", base_topic);
    (void)snprintf(info_topic, sizeof info_topic, "%s/bridge/info", base_topic);
    struct publisher_options options = *connection;
    options.client_id = client_id;
    options.will_topic = options.will_payload = options.birth_payload = NULL;
    options.log = NULL;  /* what matters is in the error */
    options.wake = NULL; /* polled instead */

    struct asking asking = {.request_topic = request_topic,
                            .response_topic = response_topic,
                            .state_topic = state_topic,
                            .info_topic = info_topic,
                            .bridge_id = bridge_id,
                            .transaction = transaction};
    (void)json_object_set_new(body, "transaction", json_string(transaction));
    asking.payload = json_dumps(body, JSON_COMPACT);
    if (asking.payload == NULL)
        return error_set(error, STATUS_FAILED, "The request could not be made.");
    enum status status = publisher_create(&options, &asking.publisher, error);
    if (status == STATUS_OK) {
        publisher_subscribe(asking.publisher, response_topic, 1);
        publisher_subscribe(asking.publisher, state_topic, 1);
        if (bridge_id != NULL)
            publisher_subscribe(asking.publisher, info_topic, 1);
        status = publisher_start(asking.publisher, error);
        if (status == STATUS_OK)
            wait_for_answer(&asking, timeout_ms);
        publisher_close(asking.publisher, CLOSE_MS);
    }
    if (status == STATUS_OK)
        status = judge(&asking, options.server, data, error);
    json_decref(asking.answer);
    free(asking.other_id);
    free(asking.payload);
    return status;
}
