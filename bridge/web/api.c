/* SPDX-License-Identifier: MIT */
#include "bridge/web/api.h"

#include "bridge/web/assets.h"
#include "bridge/web/files.h"
#include "bridge/web/metrics.h"
#include "drivers/base/clock.h"
#include "drivers/base/memory.h"
#include "drivers/base/version.h"

#include <stdio.h>
#include <string.h>

extern const unsigned char web_openapi[];
extern const size_t web_openapi_size;

#define JSON_TYPE "application/json"

/* ---- documents ---- */

/* Takes the text. */
static void reply_json(struct exchange *exchange, unsigned status, char *json)
{
    if (json == NULL)
        exchange_reply_error(exchange, 500, "The answer could not be made; memory is short.");
    else
        exchange_reply_owned(exchange, status, JSON_TYPE, json, strlen(json));
}

static void serve_info(struct api *api, struct exchange *exchange, const char *rest)
{
    (void)rest;
    reply_json(exchange, 200, hub_info_json(api->hub));
}

static void serve_devices(struct api *api, struct exchange *exchange, const char *rest)
{
    (void)rest;
    reply_json(exchange, 200, hub_devices_json(api->hub));
}

static void serve_job(struct api *api, struct exchange *exchange, const char *rest)
{
    (void)rest;
    const char *json = hub_job_json(api->hub);
    exchange_reply_copy(exchange, 200, JSON_TYPE, json, strlen(json));
}

static void serve_bridge_health(struct api *api, struct exchange *exchange, const char *rest)
{
    (void)rest;
    reply_json(exchange, 200, hub_health_json(api->hub));
}

static void serve_state(struct api *api, struct exchange *exchange, const char *rest)
{
    const struct hub_device *device = hub_find(api->hub, rest);
    if (device == NULL) {
        exchange_reply_error(exchange, 404, "There is no device with that id.");
        return;
    }
    char buffer[HUB_STATE_SIZE];
    struct text text;
    text_init(&text, buffer, sizeof buffer);
    if (hub_state_json(device, &text))
        exchange_reply_copy(exchange, 200, JSON_TYPE, buffer, text.length);
    else
        exchange_reply_error(exchange, 500, "The state is too long.");
}

static void serve_states(struct api *api, struct exchange *exchange, const char *rest)
{
    (void)rest;
    char *json = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&json, &length);
    if (out == NULL) {
        exchange_reply_error(exchange, 500, "The answer could not be made; memory is short.");
        return;
    }
    char buffer[HUB_STATE_SIZE];
    (void)fputc('{', out);
    for (size_t i = 0; i < hub_device_count(api->hub); i++) {
        const struct hub_device *device = hub_device_at(api->hub, i);
        struct text text;
        text_init(&text, buffer, sizeof buffer);
        if (hub_state_json(device, &text))
            (void)fprintf(out, "%s\"%s\":%s", i == 0 ? "" : ",\n",
                          hub_device_description(device)->id, buffer);
    }
    (void)fputc('}', out);
    if (fclose(out) == 0) {
        exchange_reply_owned(exchange, 200, JSON_TYPE, json, length);
        return;
    }
    free(json);
    exchange_reply_error(exchange, 500, "The answer could not be made; memory is short.");
}

static void serve_stream(struct api *api, struct exchange *exchange, const char *rest)
{
    (void)rest;
    stream_begin(api->streams, exchange);
}

static void serve_history(struct api *api, struct exchange *exchange, const char *rest)
{
    enum history_kind kind;
    if (history_kind_find(rest, &kind))
        queries_ask(api->queries, kind, exchange);
    else
        exchange_reply_error(exchange, 404,
                             "The history answers energy, power, cost, gaps, events and voltage.");
}

static void serve_openapi(struct api *api, struct exchange *exchange, const char *rest)
{
    (void)api;
    (void)rest;
    exchange_reply_static(exchange, 200, JSON_TYPE, web_openapi, web_openapi_size);
}

static void serve_metrics(struct api *api, struct exchange *exchange, const char *rest)
{
    (void)rest;
    size_t memory_bytes = 0;
    (void)uv_resident_set_memory(&memory_bytes);
    const struct metrics_process process = {
        .version = program_version,
        .uptime_s = (double)(clock_boot_ms() - api->started_boot_ms) / 1000,
        .memory_bytes = (double)memory_bytes,
    };
    size_t length = 0;
    enum metrics_format format = metrics_format_for(exchange_header(exchange, "Accept"));
    char *text = metrics_text(api->hub, &process, format, &length);
    exchange_set_header(exchange, "Vary", "Accept");
    if (text == NULL)
        exchange_reply_error(exchange, 500, "The answer could not be made; memory is short.");
    else
        exchange_reply_owned(exchange, 200, metrics_type(format), text, length);
}

/* For load balancers: what is wrong with the bridge itself, in sentences. */
static void serve_health(struct api *api, struct exchange *exchange, const char *rest)
{
    (void)rest;
    char *json memory_auto = hub_health_json(api->hub);
    json_t *health = json == NULL ? NULL : json_loads(json, 0, NULL);
    json_t *problems = json_array();
    (void)json_array_extend(problems, json_object_get(health, "problems"));
    const json_t *mqtt = json_object_get(health, "mqtt");
    if (mqtt != NULL && !json_is_true(json_object_get(mqtt, "connected")))
        (void)json_array_append_new(problems, json_string("The MQTT broker cannot be reached."));
    bool good = health != NULL && json_array_size(problems) == 0;
    json_t *answer =
        json_pack("{s:s, s:o}", "status", good ? "ok" : "problem", "problems", problems);
    reply_json(exchange, good ? 200 : 503, json_dumps(answer, JSON_COMPACT));
    json_decref(answer);
    json_decref(health);
}

/* ---- login ---- */

/* Where the browser sends the cookie back: below the address that it sees. */
static void set_cookie(const struct api *api, struct exchange *exchange, const char *value,
                       const char *life)
{
    const char *ingress = exchange_header(exchange, "X-Ingress-Path");
    bool plain = ingress != NULL && ingress[0] == '/' && strlen(ingress) < 200 &&
                 ingress[strspn(ingress, "/-._~0123456789abcdefghijklmnopqrstuvwxyz"
                                         "ABCDEFGHIJKLMNOPQRSTUVWXYZ")] == '\0';
    char cookie[512];
    (void)snprintf(cookie, sizeof cookie, "%s=%s; Path=%s%s/; HttpOnly; SameSite=Strict%s",
                   GUARD_COOKIE, value, plain ? ingress : "", api->base_path, life);
    exchange_set_header(exchange, "Set-Cookie", cookie);
}

static void log_in(struct api *api, struct exchange *exchange, const char *password)
{
    char session[GUARD_SESSION_SIZE];
    switch (guard_log_in(api->guard, password, clock_boot_ms(), session)) {
    case GUARD_LOGIN_LOCKED:
        exchange_set_header(exchange, "Retry-After", "60");
        exchange_reply_error(exchange, 429,
                             "There were too many wrong passwords; try again in a minute.");
        break;
    case GUARD_LOGIN_WRONG:
        exchange_reply_error(exchange, 401, "The password is wrong.");
        break;
    case GUARD_LOGIN_OK:
        set_cookie(api, exchange, session, "; Max-Age=2592000");
        exchange_reply_static(exchange, 200, JSON_TYPE, "{\"status\":\"ok\"}", 15);
        break;
    }
}

static void serve_login(struct api *api, struct exchange *exchange, const char *rest)
{
    (void)rest;
    size_t length;
    const char *body = exchange_body(exchange, &length);
    json_t *json = json_loadb(body, length, JSON_REJECT_DUPLICATES, NULL);
    const char *password = json_string_value(json_object_get(json, "password"));
    if (password == NULL)
        exchange_reply_error(exchange, 400, "Send {\"password\": \"...\"}.");
    else
        log_in(api, exchange, password);
    json_decref(json);
}

static void serve_logout(struct api *api, struct exchange *exchange, const char *rest)
{
    (void)rest;
    guard_log_out(api->guard, exchange_header(exchange, "Cookie"));
    set_cookie(api, exchange, "", "; Max-Age=0");
    exchange_reply_static(exchange, 200, JSON_TYPE, "{\"status\":\"ok\"}", 15);
}

/* What the page asks first: whether to show the login. */
static void serve_session(struct api *api, struct exchange *exchange, const char *rest)
{
    (void)rest;
    bool allowed = guard_allowed(api->guard, exchange_header(exchange, "Authorization"),
                                 exchange_header(exchange, "Cookie"), clock_boot_ms());
    json_t *answer =
        json_pack("{s:b, s:b}", "login", guard_needs_login(api->guard), "allowed", allowed);
    reply_json(exchange, 200, json_dumps(answer, JSON_COMPACT));
    json_decref(answer);
}

/* ---- requests ---- */

struct api_request {
    struct api *api;
    struct exchange *exchange;
    struct pending *pending; /* NULL until requests_submit returned */
    struct api_request *next;
};

static void forget(struct api_request *request)
{
    struct api_request **place = &request->api->pending;
    while (*place != request)
        place = &(*place)->next;
    *place = request->next;
    free(request);
}

static unsigned answer_status(const struct request_answer *answer)
{
    if (answer->status == STATUS_OK)
        return 200;
    if (answer->unknown)
        return 404;
    if (answer->status == STATUS_REFUSED)
        return 409;
    return answer->status == STATUS_USAGE ? 400 : 422;
}

static void on_answer(void *context, const struct request_answer *answer)
{
    struct api_request *request = context;
    exchange_reply_copy(request->exchange, answer_status(answer), JSON_TYPE, answer->text,
                        answer->length);
    forget(request);
}

static void serve_request(struct api *api, struct exchange *exchange, const char *rest)
{
    size_t length;
    const char *body = exchange_body(exchange, &length);
    struct api_request *request = memory_new(1, sizeof *request);
    *request = (struct api_request){.api = api, .exchange = exchange, .next = api->pending};
    api->pending = request;
    const struct request_door door = {
        .name = "HTTP", .trusted = files_allowed(api), .answer = on_answer, .context = request};
    struct pending *pending = requests_submit(api->requests, rest, body, length, &door);
    if (pending != NULL) /* else it was answered, and the request is gone */
        request->pending = pending;
}

void api_end(struct api *api)
{
    while (api->pending != NULL) {
        struct api_request *request = api->pending;
        requests_abandon(request->pending);
        exchange_reply_error(request->exchange, 503, "The service is stopping.");
        forget(request);
    }
}

/* ---- the page ---- */

static void serve_page(struct api *api, struct exchange *exchange, const char *rest)
{
    (void)api;
    const struct asset *asset = asset_find(rest[0] == '\0' ? "index.html" : rest);
    if (asset != NULL)
        asset_reply(asset, exchange);
    else
        exchange_reply_error(exchange, 404, "There is nothing at this address.");
}

/* ---- the table ---- */

/* The first row that fits counts. */
const struct api_route api_routes[] = {
    {"GET", "/api/v1/info", false, serve_info},
    {"GET", "/api/v1/devices", false, serve_devices},
    {"GET", "/api/v1/health", false, serve_bridge_health},
    {"GET", "/api/v1/state", false, serve_states},
    {"GET", "/api/v1/state/", false, serve_state},
    {"GET", "/api/v1/stream", false, serve_stream},
    {"GET", "/api/v1/history/", false, serve_history},
    {"GET", "/api/v1/job", false, serve_job},
    {"GET", "/api/v1/backups", false, files_list_backups},
    {"GET", "/api/v1/backups/", false, files_send_backup},
    {"GET", "/api/v1/files/", false, files_send},
    {"PUT", "/api/v1/upload/", false, files_uploaded},
    {"GET", "/api/v1/openapi.json", false, serve_openapi},
    {"GET", "/api/v1/session", true, serve_session},
    {"POST", "/api/v1/login", true, serve_login},
    {"POST", "/api/v1/logout", true, serve_logout},
    {"POST", "/api/v1/request/", false, serve_request},
    {"GET", "/metrics", false, serve_metrics},
    {"GET", "/health", true, serve_health},
    {"GET", "/", true, serve_page},
};
const size_t api_route_count = sizeof api_routes / sizeof api_routes[0];

static bool route_fits(const struct api_route *route, const char *path, const char **rest)
{
    size_t length = strlen(route->path);
    if (route->path[length - 1] != '/') {
        *rest = "";
        return strcmp(path, route->path) == 0;
    }
    *rest = path + length;
    if (strncmp(path, route->path, length) != 0)
        return false;
    /* Below /api only what is in the table exists. */
    return length > 1 || strncmp(path, "/api", 4) != 0;
}

static bool method_fits(const struct api_route *route, const char *method)
{
    return strcmp(route->method, method) == 0 ||
           (strcmp(route->method, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

/* The path behind web.base_path; NULL if it is not below it. */
static const char *below_base(const struct api *api, const char *path)
{
    size_t length = strlen(api->base_path);
    return strncmp(path, api->base_path, length) == 0 && path[length] == '/' ? path + length : NULL;
}

/* True if it was answered with an error. */
static bool refused(struct api *api, struct exchange *exchange, const struct api_route *route)
{
    const char *host = exchange_header(exchange, "Host");
    if (!guard_host_allowed(api->guard, host)) {
        exchange_reply_error(exchange, 421,
                             "This address answers to 127.0.0.1, [::1] and localhost only; with "
                             "web.auth: always and a password it answers to any name.");
        return true;
    }
    if (strcmp(route->method, "GET") != 0 &&
        !guard_origin_allowed(host, exchange_header(exchange, "Origin"))) {
        exchange_reply_error(exchange, 403, "The request comes from a page of another site.");
        return true;
    }
    if (route->open || guard_allowed(api->guard, exchange_header(exchange, "Authorization"),
                                     exchange_header(exchange, "Cookie"), clock_boot_ms()))
        return false;
    exchange_set_header(exchange, "WWW-Authenticate", "Bearer");
    exchange_reply_error(exchange, 401, "A login is needed.");
    return true;
}

/* The page's files are named relative to it, so its address must end with a slash. */
static void redirect_to_base(const struct api *api, struct exchange *exchange)
{
    char location[300];
    (void)snprintf(location, sizeof location, ".%s/", strrchr(api->base_path, '/'));
    exchange_set_header(exchange, "Location", location);
    exchange_reply_static(exchange, 308, NULL, "", 0);
}

/* Judged before the body comes: what is refused is not even received. */
void api_upload(void *context, struct exchange *exchange, char path[PATH_MAX], int64_t *limit)
{
    struct api *api = context;
    const char *below = below_base(api, exchange_path(exchange)), *kind;
    for (size_t i = 0; below != NULL && i < api_route_count; i++) {
        const struct api_route *route = &api_routes[i];
        if (route->serve != files_uploaded || !route_fits(route, below, &kind) ||
            !method_fits(route, exchange_method(exchange)))
            continue;
        if (refused(api, exchange, route) || files_refused(api, exchange))
            return;
        if (!files_upload_place(api, kind, path, limit))
            exchange_reply_error(exchange, 404, "Uploads are \"firmware\" or \"backup\".");
        return;
    }
}

void api_handle(void *context, struct exchange *exchange)
{
    struct api *api = context;
    const char *path = exchange_path(exchange);
    if (api->base_path[0] != '\0' && strcmp(path, api->base_path) == 0) {
        redirect_to_base(api, exchange);
        return;
    }
    path = below_base(api, path);
    const char *allowed = NULL;
    for (size_t i = 0; path != NULL && i < api_route_count; i++) {
        const struct api_route *route = &api_routes[i];
        const char *rest;
        if (!route_fits(route, path, &rest))
            continue;
        if (method_fits(route, exchange_method(exchange))) {
            if (!refused(api, exchange, route))
                route->serve(api, exchange, rest);
            return;
        }
        allowed = strcmp(route->method, "GET") == 0 ? "GET, HEAD" : route->method;
        break;
    }
    if (allowed == NULL) {
        exchange_reply_error(exchange, 404, "There is nothing at this address.");
        return;
    }
    exchange_set_header(exchange, "Allow", allowed);
    exchange_reply_error(exchange, 405, "This address does not take that method.");
}
