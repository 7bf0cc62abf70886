/* SPDX-License-Identifier: MIT */
#include "bridge/provision/obk_request.h"

#include "bridge/config/characters.h"
#include "drivers/base/text.h"

#include <stdio.h>
#include <string.h>

static bool unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           strchr("-._~", c) != NULL;
}

/* Percent-encoded by RFC 3986, so also '/', '+' and blanks, which the firmware would take apart. */
static void append_encoded(struct text *text, const char *value)
{
    for (; *value != '\0'; value++)
        text_append(text, unreserved(*value) ? "%c" : "%%%02X", (unsigned char)*value);
}

static void begin(struct obk_request *request, bool post, const char *path)
{
    request->post = post;
    request->bare_answer = false;
    request->body_length = 0;
    request->body[0] = '\0';
    (void)snprintf(request->path, sizeof request->path, "%s", path);
    (void)snprintf(request->shown, sizeof request->shown, "%s", path);
}

void obk_request_info(struct obk_request *request)
{
    begin(request, false, "/api/info");
}

void obk_request_status(struct obk_request *request, int which)
{
    begin(request, false, which == 8 ? "/cm?cmnd=Status%208" : "/cm?cmnd=Status%200");
}

void obk_request_reboot(struct obk_request *request)
{
    begin(request, true, "/api/reboot");
}

void obk_request_file_list(struct obk_request *request)
{
    begin(request, false, "/api/lfs/");
}

static void begin_file(struct obk_request *request, bool post, const char *folder, const char *name)
{
    char path[OBK_PATH_SIZE];
    struct text text;
    text_init(&text, path, sizeof path);
    text_append(&text, "%s", folder);
    append_encoded(&text, name);
    begin(request, post, path);
}

void obk_request_file_read(struct obk_request *request, const char *name)
{
    begin_file(request, false, "/api/lfs/", name);
}

void obk_request_file_delete(struct obk_request *request, const char *name)
{
    begin_file(request, false, "/api/del/", name);
    request->bare_answer = true;
}

static enum status set_body(struct obk_request *request, const char *bytes, size_t length,
                            struct error *error)
{
    if (length >= sizeof request->body)
        return error_set(error, STATUS_USAGE,
                         "This is too long for the module: %zu bytes, at most %zu are possible.",
                         length, sizeof request->body - 1);
    memcpy(request->body, bytes, length);
    request->body[length] = '\0';
    request->body_length = length;
    return STATUS_OK;
}

enum status obk_request_command(struct obk_request *request, const char *command,
                                struct error *error)
{
    begin(request, true, "/api/cmnd");
    return set_body(request, command, strlen(command), error);
}

enum status obk_request_file_write(struct obk_request *request, const char *name, const char *bytes,
                                   size_t length, struct error *error)
{
    begin_file(request, true, "/api/lfs/", name);
    return set_body(request, bytes, length, error);
}

static void append_mqtt(struct text *text, const struct obk_mqtt *mqtt, bool for_people)
{
    text_append(text, "/cfg_mqtt_set?host=");
    append_encoded(text, mqtt->host);
    text_append(text, "&port=%d&client=", mqtt->port);
    append_encoded(text, mqtt->client_id);
    if (mqtt->user[0] != '\0') {
        text_append(text, "&user=");
        append_encoded(text, mqtt->user);
    }
    if (mqtt->password[0] != '\0') {
        text_append(text, "&password=");
        if (for_people)
            text_append(text, "***");
        else
            append_encoded(text, mqtt->password);
    }
    /* Builds with TLS take the absence of mqtt_use_tls for "off", but of this one for whatever is
     * on their stack. */
    text_append(text, "&mqtt_cert_file=");
}

enum status obk_request_mqtt(struct obk_request *request, const struct obk_mqtt *mqtt,
                             struct error *error)
{
    begin(request, false, "");
    struct text text, shown;
    text_init(&text, request->path, sizeof request->path);
    append_mqtt(&text, mqtt, false);
    text_init(&shown, request->shown, sizeof request->shown);
    append_mqtt(&shown, mqtt, true);
    return text.cut ? error_set(error, STATUS_USAGE, "The MQTT settings are too long.") : STATUS_OK;
}

enum status obk_request_names(struct obk_request *request, const char *short_name, const char *name,
                              struct error *error)
{
    begin(request, false, "");
    struct text text;
    text_init(&text, request->path, sizeof request->path);
    text_append(&text, "/cfg_name?shortName=");
    append_encoded(&text, short_name);
    text_append(&text, "&name=");
    append_encoded(&text, name);
    (void)snprintf(request->shown, sizeof request->shown, "%s", request->path);
    return text.cut ? error_set(error, STATUS_USAGE, "The names are too long.") : STATUS_OK;
}

static bool good_character(const char *text, size_t step)
{
    return step > 0 && !utf8_is_control(text, step) && *text != '"' && *text != '\\';
}

enum status obk_check_text(const char *what, const char *text, size_t longest, struct error *error)
{
    size_t length = strlen(text);
    if (length == 0)
        return error_set(error, STATUS_USAGE, "The %s is empty.", what);
    if (length > longest)
        return error_set(error, STATUS_USAGE,
                         "The %s is %zu bytes long; the module has room for %zu.", what, length,
                         longest);
    for (size_t at = 0; at < length;) {
        size_t step = utf8_character(text + at, length - at);
        if (!good_character(text + at, step))
            return error_set(error, STATUS_USAGE,
                             "The %s has something in it that the module cannot keep: quotation "
                             "marks, backslashes, control characters, or bytes that are not UTF-8.",
                             what);
        at += step;
    }
    return STATUS_OK;
}

void obk_short_name(const char *client_id, char *short_name, size_t size)
{
    const char *slash = strrchr(client_id, '/');
    const char *from = slash != NULL ? slash + 1 : client_id;
    size_t length = 0;
    for (; *from != '\0' && length + 1 < size; from++)
        short_name[length++] = unreserved(*from) && *from != '~' ? *from : '_';
    short_name[length] = '\0';
}
