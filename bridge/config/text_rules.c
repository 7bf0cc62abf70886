/* SPDX-License-Identifier: MIT */
#include "bridge/config/text_rules.h"

#include "bridge/config/characters.h"
#include "bridge/meter/tariff.h"
#include "drivers/base/number.h"
#include "drivers/serial/address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define HOST_MAX 253 /* RFC 1035 */

static const struct {
    const char *expectation;
    const char *pattern;
} rules[] = {
    [TEXT_ANY] = {"a text", NULL},
    [TEXT_NAME] = {"a text", NULL},
    [TEXT_ID] = {"a short name of a-z, 0-9, _ and -", "^[a-z0-9_-]+$"},
    [TEXT_TOPIC] = {"an MQTT topic", "^(?!\\$)[^+#/\\u0000-\\u001f]+(/[^+#/\\u0000-\\u001f]+)*$"},
    [TEXT_SERVER] = {"mqtt://host or mqtts://host, with :port if it is not the usual one",
                     "^mqtts?://([A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+\\])(:[0-9]{1,5})?/?$"},
    [TEXT_LISTEN] = {"host:port, or off",
                     "^(off|([A-Za-z0-9._-]+|\\[[0-9A-Fa-f:.]+\\]):[0-9]{1,5})$"},
    [TEXT_BASE_PATH] = {"a path such as /meter, without / at its end", "^(/[A-Za-z0-9._~-]+)+$"},
    [TEXT_PATH] = {"the name of a file or folder", NULL},
    [TEXT_URL] = {"http://host or https://host, with :port and path where there are such",
                  "^https?://[^\\s@?#/][^\\s@?#]*$"},
    [TEXT_ZONE] = {"a time zone such as Europe/Berlin, or system", "^[A-Za-z][A-Za-z0-9_+/-]*$"},
    [TEXT_DEVICE] = {"a serial port's path, or tcp://host:port and the like",
                     "^(/.|spi:/.|(tcp|rfc2217)://.+:[0-9]+$|tcp-listen://.*:[0-9]+)"},
    [TEXT_CLOCK_OR_OFF] = {"a time of day from 00:00 to 23:59, or off",
                           "^(off|([01][0-9]|2[0-3]):[0-5][0-9])$"},
    [TEXT_DATE] = {"a date, year-month-day", "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"},
    [TEXT_CURRENCY] = {"three capital letters", "^[A-Z]{3}$"},
    [TEXT_QUARTER] = {"a time of day in quarters of an hour, from 00:00 to 24:00",
                      "^(24:00|([01][0-9]|2[0-3]):(00|15|30|45))$"},
    [TEXT_DAYS] = {"days of the week: mon tue wed thu fri sat sun, with - and ,",
                   "^(mon|tue|wed|thu|fri|sat|sun)([-,] ?(mon|tue|wed|thu|fri|sat|sun))*$"},
    [TEXT_ICON] = {"an icon such as mdi:flash", "^[a-z0-9]+:[a-z0-9-]+$"},
    [TEXT_MEMBER] = {"device/channel, with a minus sign in front to subtract",
                     "^-?[a-z0-9_-]{1,32}/[a-z0-9]{1,8}$"},
    [TEXT_MONTHS] =
        {"months: jan feb mar apr may jun jul aug sep oct nov dec, with - and ,",
         "^(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)([-,] ?(jan|feb|mar|apr|may|"
         "jun|jul|aug|sep|oct|nov|dec))*$"},
};

const char *text_rule_expectation(enum text_rule rule)
{
    return rules[rule].expectation;
}

const char *text_rule_pattern(enum text_rule rule)
{
    return rules[rule].pattern;
}

/* Refuses control characters and broken UTF-8, counts characters. */
static bool check_characters(const char *text, size_t longest, struct text *reason)
{
    size_t length = strlen(text);
    size_t characters = 0;
    for (size_t at = 0; at < length; characters++) {
        size_t step = utf8_character(text + at, length - at);
        if (step == 0) {
            text_append(reason, "It is not UTF-8.");
            return false;
        }
        if (utf8_is_control(text + at, step)) {
            text_append(reason, "It contains a control character.");
            return false;
        }
        at += step;
    }
    if (characters > longest) {
        text_append(reason, "It is longer than %zu characters.", longest);
        return false;
    }
    return true;
}

static bool is_id_character(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

/* Proposes what an id could be: "House Meter" -> house_meter. Nothing if there is nothing left. */
static void propose_id(const char *text, size_t longest, struct text *reason)
{
    char proposal[64] = "";
    size_t length = 0;
    for (const char *c = text; *c != '\0' && length < longest && length + 1 < sizeof proposal;
         c++) {
        char lower = (char)tolower((unsigned char)*c);
        if (is_id_character(lower))
            proposal[length++] = lower;
        else if (length > 0 && proposal[length - 1] != '_')
            proposal[length++] = '_';
    }
    while (length > 0 && proposal[length - 1] == '_')
        length--;
    proposal[length] = '\0';
    if (length > 0)
        text_append(reason, "Write %s?", proposal);
}

static bool check_id(const char *text, size_t longest, struct text *reason)
{
    for (const char *c = text; *c != '\0'; c++) {
        if (!is_id_character(*c)) {
            propose_id(text, longest, reason);
            return false;
        }
    }
    return true;
}

static bool check_topic(const char *text, struct text *reason)
{
    size_t length = strlen(text);
    if (text[0] == '$')
        text_append(reason, "Topics that begin with $ belong to the broker.");
    else if (strpbrk(text, "+#") != NULL)
        text_append(reason, "The wildcards + and # are for subscribing only.");
    else if (text[0] == '/' || text[length - 1] == '/' || strstr(text, "//") != NULL)
        text_append(reason, "It must not begin or end with / nor have // in it.");
    else
        return true;
    return false;
}

/* Splits "host", "host:port", "[v6]" or "[v6]:port". port is NULL where there is none. */
static bool split_host(char *text, const char **host, const char **port, struct text *reason)
{
    char *end;
    if (text[0] == '[') {
        end = strchr(text, ']');
        if (end == NULL) {
            text_append(reason, "The bracket of the IPv6 address is not closed.");
            return false;
        }
        *end++ = '\0';
        *host = text + 1;
        struct in6_addr address;
        if (inet_pton(AF_INET6, *host, &address) != 1) {
            text_append(reason, "What is in the brackets is not an IPv6 address.");
            return false;
        }
    } else {
        if (strchr(text, ':') != strrchr(text, ':')) {
            text_append(reason, "An IPv6 address must be in brackets: [::1].");
            return false;
        }
        *host = text;
        end = text + strcspn(text, ":");
    }
    *port = NULL;
    if (*end == '\0')
        return true;
    if (*end != ':') {
        text_append(reason, "Only :port can follow the bracket.");
        return false;
    }
    *end = '\0';
    *port = end + 1;
    return true;
}

static bool check_host_name(const char *host, bool bracketed, struct text *reason)
{
    if (host[0] == '\0') {
        text_append(reason, "The host is missing.");
        return false;
    }
    if (bracketed)
        return true;
    if (strlen(host) > HOST_MAX) {
        text_append(reason, "The host's name is too long.");
        return false;
    }
    for (const char *c = host; *c != '\0'; c++) {
        if (!isalnum((unsigned char)*c) && strchr("._-", *c) == NULL) {
            text_append(reason, "A host's name consists of letters, digits, '.', '-' and '_'.");
            return false;
        }
    }
    return true;
}

static bool check_port_number(const char *port, int64_t *number, struct text *reason)
{
    if (number_parse_int(port, strlen(port), 1, 65535, number))
        return true;
    text_append(reason, "The port must be a number from 1 to 65535.");
    return false;
}

/* host[:port] in text (changed) to its normal spelling; default_port 0: there must be one. */
static bool check_host_and_port(char *text, int64_t default_port, struct text *normal,
                                struct text *reason)
{
    const char *host, *port;
    bool bracketed = text[0] == '[';
    if (!split_host(text, &host, &port, reason) || !check_host_name(host, bracketed, reason))
        return false;
    int64_t number = default_port;
    if (port == NULL && default_port == 0) {
        text_append(reason, "The port is missing.");
        return false;
    }
    if (port != NULL && !check_port_number(port, &number, reason))
        return false;
    text_append(normal, bracketed ? "[%s]:%" PRId64 : "%s:%" PRId64, host, number);
    return true;
}

/* Says what is wrong with the scheme, or with what people put behind it. */
static bool check_server(const char *text, struct text *normal, struct text *reason)
{
    bool tls = strncmp(text, "mqtts://", 8) == 0;
    if (!tls && strncmp(text, "mqtt://", 7) != 0) {
        if (strncmp(text, "ssl://", 6) == 0 || strncmp(text, "tls://", 6) == 0)
            text_append(reason, "TLS is spelt mqtts:// here.");
        else if (strncmp(text, "tcp://", 6) == 0)
            text_append(reason, "Write mqtt:// for tcp://.");
        else if (strstr(text, "://") == NULL)
            text_append(reason, "Put mqtt:// in front.");
        else
            text_append(reason, "Only mqtt:// and mqtts:// are supported.");
        return false;
    }
    char rest[HOST_MAX + 16];
    const char *host = text + (tls ? 8 : 7);
    if (strchr(host, '@') != NULL) {
        text_append(reason, "User and password go into mqtt.user and mqtt.password.");
        return false;
    }
    size_t length = strlen(host);
    if (length > 0 && host[length - 1] == '/')
        length--;
    if (length >= sizeof rest) {
        text_append(reason, "The host's name is too long.");
        return false;
    }
    memcpy(rest, host, length);
    rest[length] = '\0';
    if (strchr(rest, '/') != NULL) {
        text_append(reason, "Nothing can follow host and port.");
        return false;
    }
    text_append(normal, tls ? "mqtts://" : "mqtt://");
    return check_host_and_port(rest, tls ? 8883 : 1883, normal, reason);
}

static bool check_url(const char *text, struct text *normal, struct text *reason)
{
    bool tls = strncmp(text, "https://", 8) == 0;
    const char *host = text + (tls ? 8 : 7);
    if (!tls && strncmp(text, "http://", 7) != 0) {
        text_append(reason, "%s",
                    strstr(text, "://") == NULL ? "Put http:// in front."
                                                : "Only http:// and https:// are supported.");
        return false;
    }
    if (strchr(host, '@') != NULL) {
        text_append(reason, "User and password have keys of their own.");
        return false;
    }
    if (strpbrk(host, "?#") != NULL) {
        text_append(reason, "Database, bucket and org have keys of their own; nothing follows the "
                            "path.");
        return false;
    }
    if (host[0] == '\0' || host[0] == '/' || strchr(host, ' ') != NULL)
        return false;
    size_t length = strlen(text);
    while (text[length - 1] == '/')
        length--;
    text_append(normal, "%.*s", (int)length, text);
    return true;
}

static bool check_listen(const char *text, struct text *normal, struct text *reason)
{
    char copy[HOST_MAX + 16];
    struct text builder;
    if (strcmp(text, "off") == 0) {
        text_append(normal, "off");
        return true;
    }
    text_init(&builder, copy, sizeof copy);
    text_append(&builder, "%s", text);
    if (builder.cut) {
        text_append(reason, "The host's name is too long.");
        return false;
    }
    return check_host_and_port(copy, 0, normal, reason);
}

/* No step may be "." or "..": browsers take them away. */
static bool check_base_path(const char *text, struct text *reason)
{
    const char *step = text;
    bool good = text[0] == '/';
    while (good && *step == '/') {
        step++;
        size_t length = strspn(step, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                     "0123456789._~-");
        good = length > 0 && strspn(step, ".") < length;
        step += length;
    }
    good = good && *step == '\0';
    if (!good)
        text_append(reason, "It is a / and letters, digits, ., _, ~ and -, once or several times.");
    return good;
}

static bool check_device(const char *text, struct text *reason)
{
    const char *path = strncmp(text, "spi:", 4) == 0 ? text + 4 : text;
    if (path[0] == '/' && path[1] != '\0')
        return true;
    struct serial_address address;
    struct error error = {""};
    if (strstr(text, "://") == NULL)
        text_append(reason, "It must begin with /, or be tcp://host:port, rfc2217://host:port or "
                            "tcp-listen://:port; `bl2mqtt ports` lists what is there.");
    else if (serial_address_read(text, &address, &error) == STATUS_OK)
        return true;
    else
        text_append(reason, "%s", error.text);
    return false;
}

static bool check_clock(const char *text, struct text *reason)
{
    int64_t value;
    size_t length = strlen(text);
    if (length == 5 && text[2] == ':' && number_parse_int(text, 2, 0, 23, &value) &&
        isdigit((unsigned char)text[0]) && number_parse_int(text + 3, 2, 0, 59, &value) &&
        isdigit((unsigned char)text[3]))
        return true;
    if (length == 4 && text[1] == ':')
        text_append(reason, "Hours have two digits: 0%s.", text);
    return false;
}

/* The texts of tariffs. */
static bool check_tariff_text(enum text_rule rule, const char *text)
{
    int number;
    unsigned set;
    switch (rule) {
    case TEXT_DATE:
        return tariff_parse_date(text, &number);
    case TEXT_CURRENCY:
        return strlen(text) == 3 && strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 3;
    case TEXT_QUARTER:
        return tariff_parse_minute(text, &number);
    case TEXT_DAYS:
        return tariff_parse_days(text, &set);
    case TEXT_MONTHS:
        return tariff_parse_months(text, &set);
    default:
        return true;
    }
}

/* "mdi:flash" */
static bool check_icon(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    size_t set = strcspn(text, ":");
    size_t name = text[set] == '\0' ? 0 : strspn(text + set + 1, letters);
    return set > 0 && strcspn(text, "-") > set && strspn(text, letters) == set && name > 0 &&
           text[set + 1 + name] == '\0';
}

/* "-solar/a" */
static bool check_member(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";
    text += text[0] == '-' ? 1 : 0;
    size_t device = strspn(text, letters);
    if (device == 0 || device > 32 || text[device] != '/')
        return false;
    size_t channel = strcspn(text + device + 1, "_-");
    return channel > 0 && channel <= 8 && strspn(text + device + 1, letters) == channel &&
           text[device + 1 + channel] == '\0';
}

/* Names are files below the folder of zones. */
static bool check_zone(const char *text, struct text *reason)
{
    char path[256];
    struct text out;
    text_init(&out, path, sizeof path);
    text_append(&out, "/usr/share/zoneinfo/%s", text);
    bool name = isalpha((unsigned char)text[0]) && strstr(text, "..") == NULL && !out.cut;
    if (strcmp(text, "system") == 0 || strcmp(text, "UTC") == 0 ||
        (name && access(path, R_OK) == 0))
        return true;
    text_append(reason, "This machine does not know such a time zone; names are those of the IANA, "
                        "such as Europe/Berlin (package tzdata).");
    return false;
}

bool text_rule_check(enum text_rule rule, const char *text, size_t longest, char *normal,
                     size_t normal_size, struct text *reason)
{
    struct text out;
    text_init(&out, normal, normal_size);
    if (!check_characters(text, longest, reason))
        return false;
    if (text[0] == '\0' && rule != TEXT_ANY) {
        text_append(reason, "It must not be empty.");
        return false;
    }
    if (rule == TEXT_SERVER)
        return check_server(text, &out, reason);
    if (rule == TEXT_URL)
        return check_url(text, &out, reason);
    if (rule == TEXT_LISTEN)
        return check_listen(text, &out, reason);
    if (!check_tariff_text(rule, text))
        return false;
    if ((rule == TEXT_ID && !check_id(text, longest, reason)) ||
        (rule == TEXT_TOPIC && !check_topic(text, reason)) ||
        (rule == TEXT_BASE_PATH && !check_base_path(text, reason)) ||
        (rule == TEXT_DEVICE && !check_device(text, reason)) ||
        (rule == TEXT_ICON && !check_icon(text)) || (rule == TEXT_MEMBER && !check_member(text)) ||
        (rule == TEXT_CLOCK_OR_OFF && strcmp(text, "off") != 0 && !check_clock(text, reason)) ||
        (rule == TEXT_ZONE && !check_zone(text, reason)))
        return false;
    text_append(&out, "%s", text);
    return true;
}
