/* SPDX-License-Identifier: MIT */
#include "bridge/config/yaml_tree.h"

#include "bridge/config/yaml_errors.h"
#include "drivers/base/memory.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define CHUNK_SIZE 16384
#define CHUNK_SIZE_SMALL 2048 /* of a file of a few lines: there may be thousands */

/* All nodes and texts of a tree live in a list of chunks and go away together. */
struct chunk {
    struct chunk *next;
    size_t used, size;
    max_align_t bytes[];
};

struct yaml_tree {
    struct chunk *chunks;
    size_t chunk_size;
    size_t nodes;
    struct yaml_node *root;
};

static void *tree_allocate(struct yaml_tree *tree, size_t size)
{
    size = (size + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);
    struct chunk *chunk = tree->chunks;
    if (chunk == NULL || chunk->size - chunk->used < size) {
        size_t room = size > tree->chunk_size ? size : tree->chunk_size;
        chunk = memory_new(1, sizeof *chunk + room);
        chunk->size = room;
        chunk->next = tree->chunks;
        tree->chunks = chunk;
    }
    void *memory = (char *)chunk->bytes + chunk->used;
    chunk->used += size;
    return memory; /* zeroed by memory_new */
}

char *yaml_tree_copy_text(struct yaml_tree *tree, const char *text, size_t length)
{
    char *copy = tree_allocate(tree, length + 1);
    memcpy(copy, text, length);
    return copy;
}

static struct yaml_node *new_node(struct yaml_tree *tree, enum yaml_kind kind, struct place place)
{
    struct yaml_node *node = tree_allocate(tree, sizeof *node);
    node->kind = kind;
    node->place = place;
    tree->nodes++;
    return node;
}

static void append_child(struct yaml_node *parent, struct yaml_node *child)
{
    if (parent->last == NULL)
        parent->first = child;
    else
        parent->last->next = child;
    parent->last = child;
    parent->count++;
}

/* What is known between two events. */
struct builder {
    struct yaml_tree *tree;
    struct config_problems *problems;
    const char *file;
    struct yaml_node *open[YAML_TREE_DEPTH_MAX]; /* containers that were begun and not ended */
    size_t depth;
    const char *key; /* of the value that comes next in a mapping, NULL: the key comes next */
    struct place key_place;
    bool unusable; /* reported; there is no point in going on */
};

static struct place place_of(const struct builder *builder, yaml_mark_t mark)
{
    return (struct place){builder->file, (int)mark.line + 1, (int)mark.column + 1};
}

static void report(const struct builder *builder, yaml_mark_t mark, const char *sentence)
{
    problems_add(builder->problems, CONFIG_ERROR, place_of(builder, mark), "%s", sentence);
}

static void give_up(struct builder *builder, yaml_mark_t mark, const char *sentence)
{
    report(builder, mark, sentence);
    builder->unusable = true;
}

static struct yaml_node *parent_of_next(const struct builder *builder)
{
    return builder->depth > 0 ? builder->open[builder->depth - 1] : NULL;
}

static bool expects_key(const struct builder *builder)
{
    const struct yaml_node *parent = parent_of_next(builder);
    return parent != NULL && parent->kind == YAML_MAPPING && builder->key == NULL;
}

/* Adds a value where the last events left off. NULL when the file is given up. */
static struct yaml_node *add_value(struct builder *builder, enum yaml_kind kind, yaml_mark_t mark)
{
    if (builder->tree->nodes >= YAML_TREE_NODES_MAX) {
        problems_add(builder->problems, CONFIG_ERROR, place_of(builder, mark),
                     "The file holds more than %d values; it must be smaller.",
                     YAML_TREE_NODES_MAX);
        builder->unusable = true;
        return NULL;
    }
    struct yaml_node *node = new_node(builder->tree, kind, place_of(builder, mark));
    struct yaml_node *parent = parent_of_next(builder);
    if (parent == NULL) {
        builder->tree->root = node;
        return node;
    }
    if (parent->kind == YAML_MAPPING) {
        node->key = builder->key;
        node->key_place = builder->key_place;
        builder->key = NULL;
    }
    append_child(parent, node);
    return node;
}

/* Checks anchor and tag of a node; false if one was reported. *secret: it was tagged !secret. */
static bool check_properties(const struct builder *builder, const yaml_event_t *event,
                             const yaml_char_t *anchor, const yaml_char_t *tag, bool *secret)
{
    *secret = false;
    if (anchor != NULL) {
        report(builder, event->start_mark,
               "YAML anchors (&name) are not supported. A text that begins with '&' must be in "
               "quotes.");
        return false;
    }
    if (tag == NULL)
        return true;
    if (event->type == YAML_SCALAR_EVENT && strcmp((const char *)tag, "!secret") == 0) {
        *secret = true;
        return true;
    }
    report(builder, event->start_mark,
           "The only YAML tag here is `!secret name`. A text that begins with '!' must be in "
           "quotes.");
    return false;
}

static bool is_nothing(const char *text)
{
    static const char *const spellings[] = {"", "~", "null", "Null", "NULL"};
    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++)
        if (strcmp(text, spellings[i]) == 0)
            return true;
    return false;
}

static void take_key(struct builder *builder, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    bool secret;
    builder->key_place = place_of(builder, event->start_mark);
    if (!check_properties(builder, event, event->data.scalar.anchor, event->data.scalar.tag,
                          &secret))
        builder->unusable = true;
    else if (secret)
        give_up(builder, event->start_mark, "A key cannot come from secrets.yaml, only a value.");
    else if (memchr(text, '\0', length) != NULL)
        give_up(builder, event->start_mark, "This key contains a zero byte.");
    else
        builder->key = yaml_tree_copy_text(builder->tree, text, length);
}

static void take_scalar(struct builder *builder, const yaml_event_t *event)
{
    if (expects_key(builder)) {
        take_key(builder, event);
        return;
    }
    struct yaml_node *node = add_value(builder, YAML_SCALAR, event->start_mark);
    if (node == NULL)
        return;
    const char *text = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    if (!check_properties(builder, event, event->data.scalar.anchor, event->data.scalar.tag,
                          &node->secret)) {
        node->kind = YAML_BROKEN;
    } else if (memchr(text, '\0', length) != NULL) {
        report(builder, event->start_mark, "This text contains a zero byte.");
        node->kind = YAML_BROKEN;
    } else {
        node->text = yaml_tree_copy_text(builder->tree, text, length);
        node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
        if (!node->quoted && !node->secret && is_nothing(text))
            node->kind = YAML_NOTHING;
    }
}

/* Puts a broken value where an alias stands, so that what is around it can still be checked. */
static void take_alias(struct builder *builder, const yaml_event_t *event)
{
    static const char sentence[] = "YAML aliases (*name) are not supported. A text that begins "
                                   "with '*' must be in quotes.";
    if (expects_key(builder)) {
        give_up(builder, event->start_mark, sentence);
        return;
    }
    report(builder, event->start_mark, sentence);
    (void)add_value(builder, YAML_BROKEN, event->start_mark);
}

static void begin_container(struct builder *builder, const yaml_event_t *event, enum yaml_kind kind)
{
    if (expects_key(builder)) {
        give_up(builder, event->start_mark,
                "A key must be a plain word. A text with braces or brackets, such as {{ x }}, must "
                "be in quotes.");
        return;
    }
    if (builder->depth == YAML_TREE_DEPTH_MAX) {
        problems_add(builder->problems, CONFIG_ERROR, place_of(builder, event->start_mark),
                     "This is nested more than %d levels deep; no key of this file is.",
                     YAML_TREE_DEPTH_MAX);
        builder->unusable = true;
        return;
    }
    bool secret;
    const yaml_char_t *anchor =
        kind == YAML_MAPPING ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
    const yaml_char_t *tag =
        kind == YAML_MAPPING ? event->data.mapping_start.tag : event->data.sequence_start.tag;
    struct yaml_node *node = add_value(builder, kind, event->start_mark);
    if (node == NULL)
        return;
    /* A reported container is still filled and checked: only its anchor or tag is wrong. */
    (void)check_properties(builder, event, anchor, tag, &secret);
    builder->open[builder->depth++] = node;
}

/* A pointer into a child list, to be sorted by key and then by place. */
struct keyed {
    struct yaml_node *node;
    size_t position;
};

static int compare_keyed(const void *left, const void *right)
{
    const struct keyed *a = left;
    const struct keyed *b = right;
    int order = strcmp(a->node->key, b->node->key);
    if (order == 0)
        order = a->position < b->position ? -1 : 1;
    return order;
}

static void report_duplicate(const struct builder *builder, const struct yaml_node *first,
                             const struct yaml_node *again)
{
    char shown[200];
    struct text text;
    text_init(&text, shown, sizeof shown);
    append_quoted(&text, again->key);
    problems_add(builder->problems, CONFIG_ERROR, again->key_place,
                 "The key %s is here for the second time; the first is at %d:%d.", shown,
                 first->key_place.line, first->key_place.column);
}

static void remove_marked(struct yaml_node *mapping)
{
    struct yaml_node *child = mapping->first;
    mapping->first = mapping->last = NULL;
    mapping->count = 0;
    while (child != NULL) {
        struct yaml_node *next = child->next;
        child->next = NULL;
        if (child->key != NULL)
            append_child(mapping, child);
        child = next;
    }
}

/* Reports duplicate keys and keeps the first of each. By sorting: a file of 60000 keys is no reason
   to take 60000 squared steps. */
static void check_duplicates(const struct builder *builder, struct yaml_node *mapping)
{
    if (mapping->count < 2)
        return;
    struct keyed *sorted memory_auto = memory_new(mapping->count, sizeof *sorted);
    size_t count = 0;
    for (struct yaml_node *child = mapping->first; child != NULL; child = child->next, count++)
        sorted[count] = (struct keyed){child, count};
    qsort(sorted, count, sizeof *sorted, compare_keyed);

    size_t first = 0;
    bool found = false;
    for (size_t i = 1; i < count; i++) {
        if (strcmp(sorted[first].node->key, sorted[i].node->key) != 0) {
            first = i;
            continue;
        }
        report_duplicate(builder, sorted[first].node, sorted[i].node);
        found = true;
        sorted[i].node->key = NULL; /* marks it for removal */
    }
    if (found)
        remove_marked(mapping);
}

static void end_container(struct builder *builder)
{
    struct yaml_node *node = builder->open[--builder->depth];
    if (node->kind == YAML_MAPPING)
        check_duplicates(builder, node);
}

static void take_event(struct builder *builder, const yaml_event_t *event, bool *done)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        take_scalar(builder, event);
        break;
    case YAML_ALIAS_EVENT:
        take_alias(builder, event);
        break;
    case YAML_MAPPING_START_EVENT:
        begin_container(builder, event, YAML_MAPPING);
        break;
    case YAML_SEQUENCE_START_EVENT:
        begin_container(builder, event, YAML_SEQUENCE);
        break;
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        end_container(builder);
        break;
    case YAML_DOCUMENT_START_EVENT:
        if (builder->tree->root != NULL) {
            report(builder, event->start_mark,
                   "A second YAML document begins here (---); there can be only one.");
            *done = true;
        }
        break;
    case YAML_STREAM_END_EVENT:
        *done = true;
        break;
    default: /* stream start and document end say nothing */
        break;
    }
}

static void parse_events(struct builder *builder, const char *bytes, size_t length)
{
    yaml_parser_t parser;
    if (yaml_parser_initialize(&parser) == 0) {
        give_up(builder, (yaml_mark_t){0}, "There is no memory to read this file.");
        return;
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)bytes, length);
    bool done = false;
    while (!done && !builder->unusable) {
        yaml_event_t event;
        if (yaml_parser_parse(&parser, &event) == 0) {
            builder->unusable = true;
            yaml_errors_report(builder->file, &parser, bytes, length, builder->problems);
            break;
        }
        take_event(builder, &event, &done);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
}

/* Sorts out what can be told from the first bytes; false if it was reported. */
static bool check_start(struct builder *builder, const char **bytes, size_t *length)
{
    struct place whole = {builder->file, 0, 0};
    if (*length > YAML_TREE_BYTES_MAX) {
        problems_add(builder->problems, CONFIG_ERROR, whole,
                     "The file is larger than %zu KiB, which no configuration needs.",
                     YAML_TREE_BYTES_MAX / 1024);
        return false;
    }
    if (*length >= 2 &&
        (memcmp(*bytes, "\xff\xfe", 2) == 0 || memcmp(*bytes, "\xfe\xff", 2) == 0)) {
        problems_add(builder->problems, CONFIG_ERROR, whole,
                     "The file is in UTF-16; save it as UTF-8.");
        return false;
    }
    if (*length >= 3 && memcmp(*bytes, "\xef\xbb\xbf", 3) == 0) {
        *bytes += 3; /* left to libyaml it would shift the columns of the first line */
        *length -= 3;
    }
    return true;
}

struct yaml_tree *yaml_tree_load(const char *file, const char *bytes, size_t length,
                                 struct config_problems *problems)
{
    struct yaml_tree *tree = memory_new(1, sizeof *tree);
    tree->chunk_size = length <= CHUNK_SIZE_SMALL ? CHUNK_SIZE_SMALL : CHUNK_SIZE;
    struct builder builder = {.tree = tree, .problems = problems};
    builder.file = yaml_tree_copy_text(tree, file, strlen(file));
    if (check_start(&builder, &bytes, &length))
        parse_events(&builder, bytes, length);
    else
        builder.unusable = true;

    struct place start = {builder.file, 1, 1};
    if (builder.unusable)
        tree->root = new_node(tree, YAML_BROKEN, start);
    else if (tree->root == NULL)
        tree->root = new_node(tree, YAML_NOTHING, start);
    return tree;
}

void yaml_tree_free(struct yaml_tree *tree)
{
    if (tree == NULL)
        return;
    for (struct chunk *chunk = tree->chunks; chunk != NULL;) {
        struct chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    free(tree);
}

struct yaml_node *yaml_tree_root(struct yaml_tree *tree)
{
    return tree->root;
}

struct yaml_node *yaml_node_child(const struct yaml_node *node, const char *key)
{
    if (node->kind != YAML_MAPPING)
        return NULL;
    for (struct yaml_node *child = node->first; child != NULL; child = child->next)
        if (strcmp(child->key, key) == 0)
            return child;
    return NULL;
}

struct yaml_node *yaml_node_at(struct yaml_node *node, const char *path)
{
    char key[64];
    while (node != NULL && *path != '\0') {
        size_t length = strcspn(path, ".");
        if (length >= sizeof key)
            return NULL;
        memcpy(key, path, length);
        key[length] = '\0';
        node = yaml_node_child(node, key);
        path += path[length] == '.' ? length + 1 : length;
    }
    return node;
}

void yaml_node_append(struct yaml_node *sequence, struct yaml_node *root)
{
    append_child(sequence, root);
}

struct yaml_node *yaml_tree_set(struct yaml_tree *tree, struct yaml_node *node, const char *key,
                                const char *text, struct place place)
{
    if (node->kind == YAML_NOTHING)
        node->kind = YAML_MAPPING;
    if (node->kind != YAML_MAPPING)
        return NULL;
    struct yaml_node *child = yaml_node_child(node, key);
    if (child == NULL) {
        child = new_node(tree, YAML_MAPPING, place);
        child->key = yaml_tree_copy_text(tree, key, strlen(key));
        append_child(node, child);
    }
    struct yaml_node *next = child->next;
    *child = (struct yaml_node){
        .kind = text != NULL ? YAML_SCALAR : YAML_MAPPING,
        .place = place,
        .key = child->key,
        .key_place = place,
        .text = text != NULL ? yaml_tree_copy_text(tree, text, strlen(text)) : NULL,
        .next = next,
    };
    return child;
}

const char *yaml_library_version(void)
{
    return yaml_get_version_string();
}
