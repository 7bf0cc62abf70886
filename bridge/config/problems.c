/* SPDX-License-Identifier: MIT */
#include "bridge/config/problems.h"

#include "bridge/config/characters.h"
#include "drivers/base/plain.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_CHARACTERS 40

/* Copies text, cut at a whole character, everything unprintable as '?'. */
static void copy_printable(char *out, size_t size, const char *text)
{
    size_t length = strlen(text);
    size_t from = 0;
    size_t to = 0;
    while (from < length) {
        size_t step = utf8_character(text + from, length - from);
        bool printable = step > 0 && plain_is(text + from, step);
        if (step == 0)
            step = 1;
        size_t room = printable ? step : 1;
        if (to + room >= size)
            break;
        if (printable)
            memcpy(out + to, text + from, step);
        else
            out[to] = '?';
        to += room;
        from += step;
    }
    out[to] = '\0';
}

/* Where a new problem goes; NULL if it is only counted. */
static struct config_problem *find_room(struct config_problems *problems,
                                        enum config_severity severity)
{
    if (problems->count < CONFIG_PROBLEMS_MAX)
        return &problems->list[problems->count++];
    problems->more++;
    if (severity == CONFIG_WARNING || problems_full(problems))
        return NULL;
    for (size_t i = CONFIG_PROBLEMS_MAX; i-- > 0;)
        if (problems->list[i].severity == CONFIG_WARNING)
            return &problems->list[i];
    return NULL;
}

void problems_add(struct config_problems *problems, enum config_severity severity,
                  struct place place, const char *format, ...)
{
    struct config_problem *problem = find_room(problems, severity);
    if (severity == CONFIG_ERROR)
        problems->errors++;
    else
        problems->warnings++;
    if (problem == NULL)
        return;

    /* Longer than a message, so that cutting happens once and at a whole character. */
    char message[2 * sizeof problem->message];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);

    copy_printable(problem->message, sizeof problem->message, message);
    copy_printable(problem->file, sizeof problem->file, place.file);
    problem->line = place.line;
    problem->column = place.column;
    problem->severity = severity;
}

bool problems_full(const struct config_problems *problems)
{
    return problems->errors >= CONFIG_PROBLEMS_MAX;
}

static int compare_int(int a, int b)
{
    return (a > b) - (a < b);
}

static int compare_problems(const void *left, const void *right)
{
    const struct config_problem *a = left;
    const struct config_problem *b = right;
    int order = compare_int(a->line == 0, b->line == 0);
    if (order == 0)
        order = strcmp(a->file, b->file);
    if (order == 0)
        order = compare_int(a->line, b->line);
    if (order == 0)
        order = compare_int(a->column, b->column);
    if (order == 0)
        order = strcmp(a->message, b->message);
    return order;
}

void problems_sort(struct config_problems *problems)
{
    qsort(problems->list, problems->count, sizeof problems->list[0], compare_problems);
}

void append_quoted(struct text *out, const char *text)
{
    size_t length = strlen(text);
    size_t end = 0;
    for (unsigned shown = 0; end < length && shown < SHOWN_CHARACTERS; shown++) {
        size_t step = utf8_character(text + end, length - end);
        end += step > 0 ? step : 1;
    }
    text_append(out, "\"%.*s%s\"", (int)end, text, end < length ? "..." : "");
}

void config_problems_print(const struct config_problems *problems, FILE *out)
{
    for (size_t i = 0; i < problems->count; i++) {
        const struct config_problem *problem = &problems->list[i];
        const char *severity = problem->severity == CONFIG_WARNING ? "warning: " : "";
        if (problem->line > 0)
            (void)fprintf(out, "%s:%d:%d: %s%s\n", problem->file, problem->line, problem->column,
                          severity, problem->message);
        else
            (void)fprintf(out, "%s: %s%s\n", problem->file, severity, problem->message);
    }
    if (problems->more > 0)
        (void)fprintf(out, "... and %zu more.\n", problems->more);
}

const struct config_problem *config_problems_first_error(const struct config_problems *problems)
{
    for (size_t i = 0; i < problems->count; i++)
        if (problems->list[i].severity == CONFIG_ERROR)
            return &problems->list[i];
    return NULL;
}
