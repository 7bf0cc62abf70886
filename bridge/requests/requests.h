/* SPDX-License-Identifier: MIT */
/**
 * Requests to the bridge: one table (table.c), as many doors as there are ways to ask (MQTT, HTTP).
 *
 * A door submits a request's name and the bytes of its payload, and gets exactly one answer by its
 * callback: during requests_submit, or later. Everything between is the table's: parsing, the checks of the
 * arguments, the handler, the transaction that is echoed, the form of the answer.
 *
 * Loop thread only. A handler that has work for the disk or the network gives it to a thread and answers
 * later, on the loop.
 */
#ifndef BRIDGE_REQUESTS_REQUESTS_H
#define BRIDGE_REQUESTS_REQUESTS_H

#include "drivers/base/log.h"
#include "drivers/base/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REQUEST_NAME_SIZE 128
#define REQUEST_PAYLOAD_MAX 65536   /**< bytes of a payload */
#define REQUEST_DEPTH_MAX 16        /**< nested objects and arrays, as in bridge.yaml */
#define REQUEST_TRANSACTION_MAX 128 /**< bytes of a transaction that is text */
#define REQUESTS_PENDING_MAX 1024   /**< requests that wait for their answer at a time */

struct requests;
struct pending; /**< one request on its way to its answer */

/* ---- for doors ---- */

struct request_answer {
    const char *name; /**< X in lower case, as the response topic needs it; "" if it was no name */
    enum status
        status;   /**< STATUS_USAGE: the request is wrong; others: it could not be carried out */
    bool unknown; /**< there is no request X, or the device that it names does not exist */
    /** The whole response as JSON: {"status":"ok","data":...} or {"status":"error","data":{},
     *  "error":"sentence"}, with "transaction" if the request had one. Borrowed. */
    const char *text;
    size_t length;
};

struct request_door {
    const char *name; /**< "MQTT", "HTTP": for the log */
    /** The answer; called exactly once for each submitted request that was not abandoned. */
    void (*answer)(void *context, const struct request_answer *answer);
    void *context;
    bool trusted; /**< whoever comes through it is logged in, or on this machine: may also ask for
                            what the table keeps for them */
    size_t answer_max; /**< bytes of a response; longer ones become an error that names the HTTP
                            address; 0: unlimited */
};

/**
 * Takes a request in. name is X in any case; the payload is JSON, plain text or empty. The door is copied.
 * Returns NULL if the answer was given during the call, else the handle by which the door can leave before
 * the answer comes.
 */
struct pending *requests_submit(struct requests *requests, const char *name, const char *payload,
                                size_t length, const struct request_door *door);

/** The door leaves (a connection was closed): its answer callback is not called any more. What was asked
 *  for is carried out all the same. pending is not to be used again. */
void requests_abandon(struct pending *pending);

/** The JSON Schemas of all requests by their names, for bridge/info. New reference. */
json_t *requests_schema(void);

/* ---- for handlers ---- */

/**
 * Carries a request out. The arguments have been checked against the table. Either it calls one of the
 * answer functions, now or later, exactly once; or it returns an error, which becomes the answer. It must
 * not do both. context is that of requests_create.
 */
typedef enum status (*request_handler)(void *context, struct pending *pending, struct error *error);

/** X of the request, in lower case. Borrowed. */
const char *pending_name(const struct pending *pending);
/** The argument; NULL if it is absent or null. Borrowed. Of an argument whose type is REQUEST_TEXT,
 *  pending_text has the text, and of a REQUEST_DEVICE the device's id. */
const json_t *pending_argument(const struct pending *pending, const char *key);
const char *pending_text(const struct pending *pending, const char *key);
/** otherwise, if the argument is absent. */
double pending_number(const struct pending *pending, const char *key, double otherwise);
int64_t pending_integer(const struct pending *pending, const char *key, int64_t otherwise);
bool pending_flag(const struct pending *pending, const char *key, bool otherwise);
/** All arguments as an object, without the transaction and without keys that the table does not know;
 *  for handlers that have a parser of their own. Borrowed. */
const json_t *pending_arguments(const struct pending *pending);

/** Answers with data (taken; NULL: {}) and frees pending. */
void pending_answer(struct pending *pending, json_t *data);
/** Answers with data that is JSON text already, such as a command's document, and frees pending. */
void pending_answer_text(struct pending *pending, const char *json, size_t length);
/** Answers with an error, and frees pending. */
void pending_refuse(struct pending *pending, enum status status, const struct error *error);
/** To be called before an error is returned or refused with: there is no such device. */
void pending_unknown(struct pending *pending);

/* ---- for whoever owns the table's handlers ---- */

struct request_handlers; /**< table.h */

struct requests_options {
    const struct request_handlers *handlers; /**< borrowed; NULL members: refused as not offered */
    void *context;                           /**< of all handlers */
    /** The device that a word of this request means: true with its id, which is borrowed, or with NULL: the
     *  word is no name of a device. False with *error filled if several have that name. Called with
     *  device_context. NULL: only ids are taken. */
    bool (*device)(const void *context, const char *request, const char *word, const char **id,
                   struct error *error);
    const void *device_context;
    /** Base of the HTTP API, "http://127.0.0.1:8942/api/v1", for answers that are too long; NULL: HTTP is
     *  off. Borrowed. */
    const char *http_address;
    struct log *log;
};

struct requests *requests_create(const struct requests_options *options);
/** Answers what is still pending with an error: the service is stopping. NULL is allowed. */
void requests_free(struct requests *requests);

#endif
