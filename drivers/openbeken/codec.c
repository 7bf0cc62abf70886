/* SPDX-License-Identifier: MIT */
#include "drivers/openbeken/codec.h"

#include "drivers/base/number.h"

#include <math.h>
#include <string.h>

#define NUMBER_MAX 32 /* characters of the longest number believed */

struct word {
    const char *text;
    size_t length;
};

/* ---- topics ---- */

#define WORD(name) name, sizeof(name) - 1

static const struct {
    const char *name;
    size_t length;
    enum openbeken_kind kind;
    unsigned chip;
    enum openbeken_quantity quantity;
} names[] = {
    {WORD("voltage"), OPENBEKEN_VALUE, 0, OPENBEKEN_VOLTAGE},
    {WORD("current"), OPENBEKEN_VALUE, 0, OPENBEKEN_CURRENT},
    {WORD("power"), OPENBEKEN_VALUE, 0, OPENBEKEN_POWER},
    {WORD("138"), OPENBEKEN_VALUE, 0, OPENBEKEN_FREQUENCY}, /* a number by the firmware's table */
    {WORD("energycounter"), OPENBEKEN_VALUE, 0, OPENBEKEN_ENERGY},
    {WORD("voltage_b"), OPENBEKEN_VALUE, 1, OPENBEKEN_VOLTAGE},
    {WORD("current_b"), OPENBEKEN_VALUE, 1, OPENBEKEN_CURRENT},
    {WORD("power_b"), OPENBEKEN_VALUE, 1, OPENBEKEN_POWER},
    {WORD("frequency_b"), OPENBEKEN_VALUE, 1, OPENBEKEN_FREQUENCY},
    {WORD("energycounter_b"), OPENBEKEN_VALUE, 1, OPENBEKEN_ENERGY},
    {WORD("connected"), OPENBEKEN_CONNECTED, 0, OPENBEKEN_VOLTAGE},
    {WORD("uptime"), OPENBEKEN_UPTIME, 0, OPENBEKEN_VOLTAGE},
    {WORD("build"), OPENBEKEN_BUILD, 0, OPENBEKEN_VOLTAGE},
    {WORD("0"), OPENBEKEN_CHANNEL_0, 0, OPENBEKEN_VOLTAGE},
};

unsigned openbeken_field(enum openbeken_quantity quantity)
{
    static const unsigned fields[OPENBEKEN_QUANTITY_COUNT] = {
        [OPENBEKEN_VOLTAGE] = READING_VOLTAGE,     [OPENBEKEN_CURRENT] = READING_CURRENT,
        [OPENBEKEN_POWER] = READING_POWER,         [OPENBEKEN_ENERGY] = READING_ENERGY,
        [OPENBEKEN_FREQUENCY] = READING_FREQUENCY,
    };
    return fields[quantity];
}

static bool is(const struct word *word, const char *text)
{
    return strlen(text) == word->length && memcmp(word->text, text, word->length) == 0;
}

static bool read_name(const struct word *word, struct openbeken_topic *topic)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].length != word->length || memcmp(names[i].name, word->text, word->length) != 0)
            continue;
        topic->kind = names[i].kind;
        topic->chip = names[i].chip;
        topic->quantity = names[i].quantity;
        return true;
    }
    return false;
}

static bool set_client(const char *begin, const char *end, struct openbeken_topic *topic)
{
    if (end <= begin || (size_t)(end - begin) > OPENBEKEN_CLIENT_MAX)
        return false;
    topic->client = begin;
    topic->client_length = (size_t)(end - begin);
    return true;
}

/* The last word before `end`, which stands behind a slash; NULL if there is none. */
static const char *last_word(const char *topic, const char *end, struct word *word)
{
    const char *slash = end;
    while (slash > topic && slash[-1] != '/')
        slash--;
    if (slash == topic)
        return NULL;
    word->text = slash;
    word->length = (size_t)(end - slash);
    return slash - 1;
}

/* CLIENT/name or CLIENT/name/get; only values have the latter form. */
static bool read_own(const char *topic, const char *end, struct openbeken_topic *out)
{
    struct word word;
    const char *client_end = last_word(topic, end, &word);
    if (client_end == NULL)
        return false;
    if (!is(&word, "get"))
        return read_name(&word, out) && set_client(topic, client_end, out);
    client_end = last_word(topic, client_end, &word);
    return client_end != NULL && read_name(&word, out) &&
           (out->kind == OPENBEKEN_VALUE || out->kind == OPENBEKEN_CHANNEL_0) &&
           set_client(topic, client_end, out);
}

/* tele/CLIENT/word and stat/CLIENT/word. */
static bool read_tasmota(const char *topic, const char *end, struct openbeken_topic *out)
{
    bool tele = strncmp(topic, "tele/", 5) == 0;
    struct word word;
    if (!tele && strncmp(topic, "stat/", 5) != 0)
        return false;
    const char *client_end = last_word(topic + 5, end, &word);
    if (client_end == NULL || !set_client(topic + 5, client_end, out))
        return false;
    if (tele) {
        out->kind = is(&word, "SENSOR") ? OPENBEKEN_SENSOR : OPENBEKEN_TELE;
        return true;
    }
    out->kind = OPENBEKEN_STATUS;
    return is(&word, "STATUS8") || is(&word, "STATUS10");
}

size_t openbeken_topic_read(const char *topic,
                            struct openbeken_topic candidates[OPENBEKEN_CANDIDATES])
{
    size_t length = strnlen(topic, OPENBEKEN_TOPIC_MAX + 1);
    if (length > OPENBEKEN_TOPIC_MAX)
        return 0;
    memset(candidates, 0, OPENBEKEN_CANDIDATES * sizeof *candidates);
    size_t count = read_own(topic, topic + length, &candidates[0]) ? 1 : 0;
    if (!read_tasmota(topic, topic + length, &candidates[count]))
        return count;
    if (count == 1 && candidates[1].client_length > candidates[0].client_length) {
        struct openbeken_topic shorter = candidates[0];
        candidates[0] = candidates[1];
        candidates[1] = shorter;
    }
    return count + 1;
}

/* ---- payloads ---- */

static const struct {
    double low, high;
} ranges[OPENBEKEN_QUANTITY_COUNT] = {
    [OPENBEKEN_VOLTAGE] = {0, 2000}, [OPENBEKEN_CURRENT] = {0, 10000},
    [OPENBEKEN_POWER] = {-2e6, 2e6}, [OPENBEKEN_FREQUENCY] = {0, 1000},
    [OPENBEKEN_ENERGY] = {0, 1e9},
};

/* As C's printf writes what is no number, with or without a sign. */
static bool not_finite(const char *text, size_t length)
{
    struct word word = {text, length};
    if (length > 0 && text[0] == '-')
        word = (struct word){text + 1, length - 1};
    return is(&word, "inf") || is(&word, "nan");
}

static int64_t to_milli(enum openbeken_quantity quantity, double value)
{
    if (quantity != OPENBEKEN_ENERGY)
        return llround(value * 1e3);
    /* A counter is cut, never rounded up, so that its two spellings (three digits in the topic, six in
     * JSON) agree. What the decimal point costs in binary is far below the millionth added here. */
    return (int64_t)floor(value * 1e3 + 1e-6);
}

enum openbeken_verdict openbeken_value(enum openbeken_quantity quantity, const char *payload,
                                       size_t length, int64_t *milli)
{
    double value;
    if (length == 0)
        return OPENBEKEN_EMPTY;
    if (not_finite(payload, length))
        return OPENBEKEN_UNKNOWN;
    /* The firmware writes no exponents; 1e-999 would pass for 0. */
    if (length > NUMBER_MAX || memchr(payload, 'e', length) != NULL ||
        memchr(payload, 'E', length) != NULL ||
        !number_parse_double(payload, length, ranges[quantity].low, ranges[quantity].high, &value))
        return OPENBEKEN_BAD;
    *milli = to_milli(quantity, value);
    return OPENBEKEN_GOOD;
}

enum openbeken_verdict openbeken_connected(const char *payload, size_t length, bool *online)
{
    struct word word = {payload, length};
    if (length == 0)
        return OPENBEKEN_EMPTY;
    *online = is(&word, "online");
    return *online || is(&word, "offline") ? OPENBEKEN_GOOD : OPENBEKEN_BAD;
}

enum openbeken_verdict openbeken_uptime(const char *payload, size_t length, int64_t *seconds)
{
    if (length == 0)
        return OPENBEKEN_EMPTY;
    return number_parse_int(payload, length, 0, UINT32_MAX, seconds) ? OPENBEKEN_GOOD
                                                                     : OPENBEKEN_BAD;
}

/* ---- SENSOR and STATUS8 ---- */

/* Bytes not read yet. */
struct rest {
    const char *at, *end;
};

static void skip_blanks(struct rest *rest)
{
    while (rest->at < rest->end &&
           (*rest->at == ' ' || *rest->at == '\t' || *rest->at == '\n' || *rest->at == '\r'))
        rest->at++;
}

static bool take(struct rest *rest, char character)
{
    skip_blanks(rest);
    if (rest->at >= rest->end || *rest->at != character)
        return false;
    rest->at++;
    return true;
}

static bool take_key(struct rest *rest, struct word *key)
{
    if (!take(rest, '"'))
        return false;
    const char *quote = memchr(rest->at, '"', (size_t)(rest->end - rest->at));
    if (quote == NULL)
        return false;
    *key = (struct word){rest->at, (size_t)(quote - rest->at)};
    rest->at = quote + 1;
    return take(rest, ':');
}

/* A number, or inf and nan; ends before a comma, a brace or a blank. */
static struct word take_scalar(struct rest *rest)
{
    skip_blanks(rest);
    struct word word = {rest->at, 0};
    while (rest->at < rest->end && strchr(",} \t\r\n", *rest->at) == NULL && *rest->at != '\0')
        rest->at++;
    word.length = (size_t)(rest->at - word.text);
    return word;
}

static bool find_energy(struct rest *rest)
{
    static const char key[] = "\"ENERGY\"";
    const char *found = memmem(rest->at, (size_t)(rest->end - rest->at), key, sizeof key - 1);
    if (found == NULL)
        return false;
    rest->at = found + sizeof key - 1;
    return take(rest, ':') && take(rest, '{');
}

/* False if the number is one that cannot be. */
static bool take_member(const struct word *key, const struct word *value,
                        struct openbeken_energy *energy)
{
    static const char *const keys[OPENBEKEN_QUANTITY_COUNT] = {
        [OPENBEKEN_VOLTAGE] = "Voltage",
        [OPENBEKEN_CURRENT] = "Current",
        [OPENBEKEN_POWER] = "Power",
        [OPENBEKEN_FREQUENCY] = "Frequency",
        [OPENBEKEN_ENERGY] = "ConsumptionTotal",
    };
    for (unsigned i = 0; i < OPENBEKEN_QUANTITY_COUNT; i++) {
        if (!is(key, keys[i]))
            continue;
        switch (openbeken_value(i, value->text, value->length, &energy->milli[i])) {
        case OPENBEKEN_GOOD:
            energy->present |= openbeken_field(i);
            return true;
        case OPENBEKEN_UNKNOWN:
            return true;
        case OPENBEKEN_EMPTY:
        case OPENBEKEN_BAD:
            return false;
        }
    }
    return true; /* ApparentPower and others, which follow from these */
}

static bool all_zero(const struct openbeken_energy *energy)
{
    for (size_t i = 0; i < OPENBEKEN_ENERGY; i++)
        if (energy->milli[i] != 0)
            return false;
    return true;
}

enum openbeken_verdict openbeken_sensor_json(const char *payload, size_t length,
                                             struct openbeken_energy *energy)
{
    *energy = (struct openbeken_energy){0};
    if (length == 0)
        return OPENBEKEN_EMPTY;
    struct rest rest = {payload, payload + length};
    if (length > OPENBEKEN_JSON_MAX || !take(&rest, '{'))
        return OPENBEKEN_BAD;
    if (!find_energy(&rest))
        return OPENBEKEN_UNKNOWN;
    do {
        struct word key;
        if (!take_key(&rest, &key))
            return OPENBEKEN_BAD;
        struct word value = take_scalar(&rest);
        if (!take_member(&key, &value, energy))
            return OPENBEKEN_BAD;
    } while (take(&rest, ','));
    if (!take(&rest, '}'))
        return OPENBEKEN_BAD;
    return all_zero(energy) ? OPENBEKEN_UNKNOWN : OPENBEKEN_GOOD;
}
