/* SPDX-License-Identifier: MIT */
#include "bridge/config/yaml_errors.h"

#include "bridge/config/characters.h"

#include <stddef.h>
#include <string.h>

/* libyaml's words for the mistakes that people make, and ours, which say what to do. */
struct translation {
    const char *problem;
    char character;  /* at the place; 0: any */
    bool at_context; /* the place that helps is where the construct began */
    const char *sentence;
};

static const struct translation translations[] = {
    {"found character that cannot start any token", '\t', false,
     "There is a tab here; YAML wants spaces for indentation."},
    {"found character that cannot start any token", 0, false,
     "A text cannot begin with this character; put the text in quotes."},
    {"found a tab character that violates indentation", 0, false,
     "There is a tab here; YAML wants spaces for indentation."},
    {"found a tab character where an indentation space is expected", 0, false,
     "There is a tab here; YAML wants spaces for indentation."},
    {"mapping values are not allowed in this context", 0, false,
     "There cannot be a `key:` here. Is this line indented like its neighbours, does the line "
     "before "
     "have a space behind its ':', or does a text with ': ' in it need quotes?"},
    {"could not find expected ':'", 0, true,
     "This line is not of the form `key: value`; is the ':' or the space behind it missing?"},
    {"did not find expected key", 0, false,
     "This does not fit the lines above: it must be indented like the other keys of its group, and "
     "a text with quotes in it must be in quotes as a whole."},
    {"did not find expected '-' indicator", 0, false,
     "This does not fit the list above: each element begins with '-', indented like the first."},
    {"did not find expected ',' or ']'", 0, true,
     "The list that begins with this '[' does not end with ']' or lacks a ','."},
    {"did not find expected ',' or '}'", 0, true,
     "The group that begins with this '{' does not end with '}' or lacks a ','."},
    {"found unexpected end of stream", 0, true, "The quote that begins here is never closed."},
    {"found unknown escape character", 0, false,
     "There is no such escape; a text with '\\' in it is best put in single quotes."},
    {"found undefined tag handle", 0, false,
     "The only YAML tag here is `!secret name`. A text that begins with '!' must be in quotes."},
    {"did not find expected <document start>", 0, false,
     "A second YAML document begins here; there can be only one."},
};

/* The byte at a mark; libyaml counts characters, not bytes. '\0' if beyond the end. */
static char byte_at(const char *bytes, size_t length, yaml_mark_t mark)
{
    size_t at = 0;
    for (size_t i = 0; i < mark.index && at < length; i++) {
        size_t step = utf8_character(bytes + at, length - at);
        at += step > 0 ? step : 1;
    }
    return at < length ? bytes[at] : '\0';
}

static struct place place_at(const char *file, yaml_mark_t mark)
{
    return (struct place){file, (int)mark.line + 1, (int)mark.column + 1};
}

static void report_syntax(const char *file, const yaml_parser_t *parser, const char *bytes,
                          size_t length, struct config_problems *problems)
{
    const char *problem = parser->problem != NULL ? parser->problem : "not YAML";
    char character = byte_at(bytes, length, parser->problem_mark);
    for (size_t i = 0; i < sizeof translations / sizeof translations[0]; i++) {
        const struct translation *known = &translations[i];
        if (strcmp(known->problem, problem) != 0 ||
            (known->character != 0 && known->character != character))
            continue;
        yaml_mark_t mark = known->at_context ? parser->context_mark : parser->problem_mark;
        problems_add(problems, CONFIG_ERROR, place_at(file, mark), "%s", known->sentence);
        return;
    }
    problems_add(problems, CONFIG_ERROR, place_at(file, parser->problem_mark),
                 "This is not valid YAML: %s%s%s.", problem, parser->context != NULL ? " " : "",
                 parser->context != NULL ? parser->context : "");
}

/* Length of the line break at bytes[0..length) as libyaml sees it (CR LF, CR, LF, NEL, LS, PS). */
static size_t line_break(const char *bytes, size_t length)
{
    if (bytes[0] == '\r')
        return length > 1 && bytes[1] == '\n' ? 2 : 1;
    if (bytes[0] == '\n')
        return 1;
    if (length >= 2 && memcmp(bytes, "\xc2\x85", 2) == 0)
        return 2;
    if (length >= 3 &&
        (memcmp(bytes, "\xe2\x80\xa8", 3) == 0 || memcmp(bytes, "\xe2\x80\xa9", 3) == 0))
        return 3;
    return 0;
}

/* For what its reader refuses, libyaml knows the byte's offset but not its line. */
static yaml_mark_t mark_of_offset(const char *bytes, size_t length, size_t offset)
{
    yaml_mark_t mark = {0};
    size_t at = 0;
    while (at < offset && at < length) {
        size_t step = line_break(bytes + at, length - at);
        if (step > 0) {
            mark.line++;
            mark.column = 0;
        } else {
            mark.column++;
            step = utf8_character(bytes + at, length - at);
            if (step == 0)
                step = 1;
        }
        at += step;
    }
    return mark;
}

static void report_reader(const char *file, const yaml_parser_t *parser, const char *bytes,
                          size_t length, struct config_problems *problems)
{
    yaml_mark_t mark = mark_of_offset(bytes, length, parser->problem_offset);
    struct place place = place_at(file, mark);
    if (parser->problem_value == 0)
        problems_add(problems, CONFIG_ERROR, place,
                     "There is a zero byte here; the file must be text.");
    else if (strcmp(parser->problem, "control characters are not allowed") == 0)
        problems_add(problems, CONFIG_ERROR, place,
                     "There is a control character here (U+%04X); delete it.",
                     (unsigned)parser->problem_value);
    else
        problems_add(problems, CONFIG_ERROR, place,
                     "This is not UTF-8 (%s); save the file in that encoding.", parser->problem);
}

void yaml_errors_report(const char *file, const yaml_parser_t *parser, const char *bytes,
                        size_t length, struct config_problems *problems)
{
    if (parser->error == YAML_READER_ERROR)
        report_reader(file, parser, bytes, length, problems);
    else if (parser->error == YAML_MEMORY_ERROR)
        problems_add(problems, CONFIG_ERROR, (struct place){file, 0, 0},
                     "There is no memory to read this file.");
    else
        report_syntax(file, parser, bytes, length, problems);
}
