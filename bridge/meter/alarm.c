/* SPDX-License-Identifier: MIT */
#include "bridge/meter/alarm.h"

#include "drivers/base/number.h"

#include <math.h>
#include <string.h>

static const double limit_most = 1e9; /* millionths of it still fit 64 bits */

static enum status refuse(const char *text, const char *reason, struct error *error)
{
    return error_set(error, STATUS_USAGE,
                     "The condition \"%.60s\" %s. It must be a property, one of < <= > >=, and a "
                     "number, like \"power_a > 7000\".",
                     text, reason);
}

static const char *skip_spaces(const char *text)
{
    return text + strspn(text, " \t");
}

static bool read_comparison(const char **text, enum alarm_comparison *comparison)
{
    const char *at = *text;
    if (*at != '<' && *at != '>')
        return false;
    bool equal = at[1] == '=';
    if (*at == '<')
        *comparison = equal ? ALARM_AT_MOST : ALARM_BELOW;
    else
        *comparison = equal ? ALARM_AT_LEAST : ALARM_ABOVE;
    *text = at + (equal ? 2 : 1);
    return true;
}

enum status alarm_parse(const char *text, struct alarm_condition *condition, struct error *error)
{
    *condition = (struct alarm_condition){.property = ""};
    const char *at = skip_spaces(text);
    size_t length = strspn(at, "abcdefghijklmnopqrstuvwxyz0123456789_");
    if (length == 0)
        return refuse(text, "names no property", error);
    if (length >= sizeof condition->property)
        return refuse(text, "names a property that is too long", error);
    memcpy(condition->property, at, length);
    at = skip_spaces(at + length);
    if (!read_comparison(&at, &condition->comparison))
        return refuse(text, "compares with none of < <= > >=", error);
    at = skip_spaces(at);
    size_t digits = strcspn(at, " \t");
    double limit;
    if (digits == 0 || at[digits + strspn(at + digits, " \t")] != '\0' ||
        !number_parse_double(at, digits, -limit_most, limit_most, &limit))
        return refuse(text, "has no number from -1e9 to 1e9 at its end", error);
    condition->limit_micro = llround(limit * 1e6);
    return STATUS_OK;
}

enum status alarm_rule_parse(const char *when, const char *until, int64_t for_ms,
                             struct alarm_rule *rule, struct error *error)
{
    *rule = (struct alarm_rule){.for_ms = for_ms < 0 ? 0 : for_ms};
    enum status status = alarm_parse(when, &rule->when, error);
    rule->has_until = until != NULL && until[0] != '\0';
    if (status != STATUS_OK || !rule->has_until)
        return status;
    status = alarm_parse(until, &rule->until, error);
    if (status == STATUS_OK && strcmp(rule->when.property, rule->until.property) != 0)
        return refuse(until, "is about another property than `when`", error);
    return status;
}

static bool holds(const struct alarm_condition *condition, int64_t value_micro)
{
    switch (condition->comparison) {
    case ALARM_BELOW:
        return value_micro < condition->limit_micro;
    case ALARM_AT_MOST:
        return value_micro <= condition->limit_micro;
    case ALARM_ABOVE:
        return value_micro > condition->limit_micro;
    case ALARM_AT_LEAST:
        break;
    }
    return value_micro >= condition->limit_micro;
}

static enum alarm_edge turn(struct alarm *alarm, bool on)
{
    alarm->on = on;
    alarm->holding = false;
    return on ? ALARM_BEGAN : ALARM_ENDED;
}

enum alarm_edge alarm_update(struct alarm *alarm, const struct alarm_rule *rule, bool known,
                             int64_t value_micro, int64_t now_ms)
{
    alarm->known = known;
    if (!known) {
        alarm->holding = false;
        return ALARM_NO_EDGE;
    }
    bool raised = holds(&rule->when, value_micro);
    if (alarm->on) {
        bool ends = rule->has_until ? holds(&rule->until, value_micro) : !raised;
        return ends ? turn(alarm, false) : ALARM_NO_EDGE;
    }
    if (!raised) {
        alarm->holding = false;
        return ALARM_NO_EDGE;
    }
    if (!alarm->holding)
        alarm->since_ms = now_ms;
    alarm->holding = true;
    return now_ms - alarm->since_ms >= rule->for_ms ? turn(alarm, true) : ALARM_NO_EDGE;
}
