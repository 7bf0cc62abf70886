/* SPDX-License-Identifier: MIT */
#include "bridge/backfill/websocket.h"

#include "drivers/base/clock.h"
#include "drivers/base/dynamic.h"
#include "drivers/base/memory.h"
#include "drivers/base/number.h"

#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PROTOCOL_NAME "bl2mqtt"
#define IDLE_NS 10000000
#define CONNECT_S 15
#define RECEIVE_BYTES 65536

/* The functions used, under their names without lws_. */
struct library {
    __typeof__(&lws_create_context) create_context;
    __typeof__(&lws_context_destroy) context_destroy;
    __typeof__(&lws_client_connect_via_info) client_connect_via_info;
    __typeof__(&lws_service) service;
    __typeof__(&lws_write) write;
    __typeof__(&lws_callback_on_writable) callback_on_writable;
    __typeof__(&lws_is_final_fragment) is_final_fragment;
    __typeof__(&lws_remaining_packet_payload) remaining_packet_payload;
    __typeof__(&lws_frame_is_binary) frame_is_binary;
    __typeof__(&lws_set_log_level) set_log_level;
};

#define FUNCTION(name)                                                                             \
    {                                                                                              \
        "lws_" #name, offsetof(struct library, name)                                               \
    }

static const struct dynamic_function functions[] = {
    FUNCTION(create_context),
    FUNCTION(context_destroy),
    FUNCTION(client_connect_via_info),
    FUNCTION(service),
    FUNCTION(write),
    FUNCTION(callback_on_writable),
    FUNCTION(is_final_fragment),
    FUNCTION(remaining_packet_payload),
    FUNCTION(frame_is_binary),
    FUNCTION(set_log_level),
};

struct talk {
    struct library library;
    const struct websocket_options *options;
    websocket_take take;
    void *context;
    struct error *error;
    enum status status;
    bool over, busy;
    int64_t last_ms; /* of the last message, or the beginning */
    char *message;
    size_t length, room;
    unsigned char *reply; /* with the room that the library wants in front */
    size_t reply_length;
};

/* ---- the address ---- */

static bool parse_port(const char *text, size_t length, int *port)
{
    int64_t number = 0;
    if (!number_parse_int(text, length, 1, 65535, &number))
        return false;
    *port = (int)number;
    return true;
}

bool websocket_address_parse(const char *url, const char *path, struct websocket_address *address)
{
    static const struct {
        const char *scheme;
        bool tls;
    } schemes[] = {{"http://", false}, {"ws://", false}, {"https://", true}, {"wss://", true}};
    const char *host = NULL;
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0] && host == NULL; i++) {
        if (strncmp(url, schemes[i].scheme, strlen(schemes[i].scheme)) != 0)
            continue;
        host = url + strlen(schemes[i].scheme);
        address->tls = schemes[i].tls;
    }
    if (host == NULL)
        return false;
    bool literal = host[0] == '[';
    size_t length = literal ? strcspn(host, "]") : strcspn(host, ":/");
    const char *behind = host + length;
    if (literal && *behind != ']')
        return false;
    behind += literal ? 1 : 0;
    host += literal ? 1 : 0;
    length -= literal ? 1 : 0;
    if (length == 0 || length >= sizeof address->host)
        return false;
    memcpy(address->host, host, length);
    address->host[length] = '\0';
    address->port = address->tls ? 443 : 80;
    if (*behind == ':') {
        size_t digits = strcspn(behind + 1, "/");
        if (!parse_port(behind + 1, digits, &address->port))
            return false;
        behind += 1 + digits;
    }
    if (*behind != '\0' && *behind != '/')
        return false;
    int own = (int)strlen(behind);
    while (own > 0 && behind[own - 1] == '/')
        own--;
    int needed = snprintf(address->path, sizeof address->path, "%.*s%s", own, behind, path);
    return needed > 0 && (size_t)needed < sizeof address->path;
}

/* ---- the conversation ---- */

static void end(struct talk *talk, enum status status)
{
    talk->over = true;
    talk->status = status;
}

static void end_with(struct talk *talk, const char *problem)
{
    if (!talk->over)
        end(talk, error_set(talk->error, STATUS_FAILED, "%s", problem));
}

static void queue_reply(struct talk *talk, struct lws *wsi, const char *reply)
{
    size_t length = strlen(reply);
    free(talk->reply);
    talk->reply = memory_new(1, LWS_PRE + length + 1);
    memcpy(talk->reply + LWS_PRE, reply, length + 1);
    talk->reply_length = length;
    (void)talk->library.callback_on_writable(wsi);
}

static void message_is_whole(struct talk *talk, struct lws *wsi)
{
    const char *reply = NULL;
    bool goes_on = talk->take(talk->context, talk->message, talk->length, &reply);
    talk->length = 0;
    talk->last_ms = clock_boot_ms();
    if (!goes_on)
        end(talk, STATUS_OK);
    else if (reply != NULL)
        queue_reply(talk, wsi, reply);
}

static int receive(struct talk *talk, struct lws *wsi, const char *bytes, size_t length)
{
    if (length > talk->options->message_max - talk->length ||
        talk->library.frame_is_binary(wsi) != 0) {
        end_with(talk, "Home Assistant sent what is no message of its API, or too long a one.");
        return -1;
    }
    if (talk->length + length > talk->room) {
        size_t room =
            talk->room * 2 > talk->length + length ? talk->room * 2 : talk->length + length;
        char *larger = realloc(talk->message, room);
        if (larger == NULL) {
            end_with(talk, "There is no memory for Home Assistant's message.");
            return -1;
        }
        talk->message = larger;
        talk->room = room;
    }
    if (length > 0)
        memcpy(talk->message + talk->length, bytes, length);
    talk->length += length;
    if (talk->library.is_final_fragment(wsi) != 0 &&
        talk->library.remaining_packet_payload(wsi) == 0)
        message_is_whole(talk, wsi);
    return talk->over ? -1 : 0;
}

static int send_reply(struct talk *talk, struct lws *wsi)
{
    if (talk->reply == NULL)
        return 0;
    int sent = talk->library.write(wsi, talk->reply + LWS_PRE, talk->reply_length, LWS_WRITE_TEXT);
    free(talk->reply);
    talk->reply = NULL;
    return sent < 0 ? -1 : 0;
}

static void look_at_clock(struct talk *talk)
{
    if (atomic_load(talk->options->stop))
        end_with(talk, "It was stopped.");
    else if (clock_boot_ms() - talk->last_ms > talk->options->silence_ms)
        end_with(talk, "Home Assistant did not answer in time.");
}

/* The library's own wait has no bound that could be relied on (4.1), so that it is asked to look and not to wait.
 * While something arrives it is asked again at once. */
static void serve(struct talk *talk, struct lws_context *context)
{
    while (!talk->over) {
        talk->busy = false;
        if (talk->library.service(context, -1) < 0)
            end_with(talk, "The connection to Home Assistant broke.");
        look_at_clock(talk);
        if (!talk->busy && !talk->over)
            (void)nanosleep(&(struct timespec){.tv_nsec = IDLE_NS}, NULL);
    }
}

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *bytes,
                    size_t length)
{
    struct talk *talk = user;
    if (talk != NULL)
        talk->busy = true;
    switch (reason) {
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        if (talk != NULL && !talk->over)
            end(talk,
                error_set(talk->error, STATUS_FAILED,
                          "Home Assistant cannot be reached at homeassistant.backfill.url: %.*s.",
                          bytes == NULL ? 12 : (int)(length < 120 ? length : 120),
                          bytes == NULL ? "no connection" : (const char *)bytes));
        return 0;
    case LWS_CALLBACK_CLIENT_RECEIVE:
        return receive(talk, wsi, bytes, length);
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return send_reply(talk, wsi);
    case LWS_CALLBACK_CLIENT_CLOSED:
        end_with(talk, "Home Assistant closed the connection.");
        return 0;
    default:
        return 0;
    }
}

static void run(struct talk *talk, const struct websocket_address *address)
{
    static const struct lws_protocols protocols[] = {
        {.name = PROTOCOL_NAME, .callback = on_event, .rx_buffer_size = RECEIVE_BYTES},
        {.name = NULL},
    };
    struct lws_context_creation_info creation = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .protocols = protocols,
        .options = address->tls ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT : 0,
        .http_proxy_address = "", /* and not that of the environment */
        .timeout_secs = CONNECT_S,
    };
    creation.gid = (__typeof__(creation.gid))-1;
    creation.uid = (__typeof__(creation.uid))-1;
    talk->library.set_log_level(0, NULL);
    struct lws_context *context = talk->library.create_context(&creation);
    if (context == NULL) {
        end_with(talk, "libwebsockets does not start.");
        return;
    }
    const struct lws_client_connect_info info = {
        .context = context,
        .address = address->host,
        .port = address->port,
        .ssl_connection = address->tls ? LCCSCF_USE_SSL : 0,
        .path = address->path,
        .host = address->host,
        .origin = address->host,
        .local_protocol_name = PROTOCOL_NAME,
        .alpn = "http/1.1",
        .userdata = talk,
    };
    if (talk->library.client_connect_via_info(&info) == NULL)
        end_with(talk, "Home Assistant cannot be reached at homeassistant.backfill.url.");
    serve(talk, context);
    talk->library.context_destroy(context);
}

enum status websocket_talk(const struct websocket_options *options, websocket_take take,
                           void *context, struct error *error)
{
    static const struct dynamic_library library = {
        .file = WEBSOCKETS_LIBRARY_FILE,
        .purpose = "homeassistant.backfill",
        .package = "libwebsockets",
        .functions = functions,
        .count = sizeof functions / sizeof functions[0],
    };
    struct websocket_address address;
    if (!websocket_address_parse(options->url, options->path, &address))
        return error_set(error, STATUS_USAGE,
                         "homeassistant.backfill.url is no address: write http://HOST:8123.");
    struct talk talk = {
        .options = options,
        .take = take,
        .context = context,
        .error = error,
        .status = STATUS_FAILED,
        .last_ms = clock_boot_ms(),
    };
    if (dynamic_load(&library, &talk.library, error) == NULL)
        return STATUS_FAILED;
    run(&talk, &address);
    free(talk.message);
    free(talk.reply);
    return talk.status;
}
