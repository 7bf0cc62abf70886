/* SPDX-License-Identifier: MIT */
#include "bridge/config/edit.h"

#include "bridge/config/edit_document.h"
#include "bridge/config/edit_text.h"
#include "bridge/config/fields.h"
#include "drivers/base/memory.h"

#include <string.h>

#define DEPTH_MAX 16

/* What one edit puts in the place of a range of the text. */
struct splice {
    size_t start, end;
    struct edit_text words;
};

static char *splice_text(const struct document *document, const struct splice *splice)
{
    struct edit_text result = {0};
    edit_text_append(&result, document->text, splice->start);
    if (splice->words.length > 0)
        edit_text_append(&result, splice->words.bytes, splice->words.length);
    edit_text_append(&result, document->text + splice->end, document->length - splice->end);
    return result.bytes;
}

/* The place for whole lines behind offset; a last line without its end gets one. */
static void begin_lines(const struct document *document, size_t offset, struct splice *splice)
{
    splice->start = splice->end = document_next_line(document, offset);
    if (splice->start > document->bom && document->text[splice->start - 1] != '\n')
        edit_text_append(&splice->words, document->newline, strlen(document->newline));
}

/* ---- comparing ---- */

static bool equals(struct document *document, const yaml_node_t *node, json_t *value)
{
    if (node->type == YAML_SCALAR_NODE)
        return edit_text_equals((const char *)node->data.scalar.value,
                                node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE, value);
    if (node->type == YAML_SEQUENCE_NODE) {
        if (!json_is_array(value) || json_array_size(value) != node_items(node))
            return false;
        for (size_t i = 0; i < node_items(node); i++)
            if (!equals(document, document_item(document, node, i), json_array_get(value, i)))
                return false;
        return true;
    }
    if (!json_is_object(value) || json_object_size(value) != node_pairs(node))
        return false;
    const char *key;
    json_t *inner;
    json_object_foreach(value, key, inner)
    {
        const yaml_node_t *child = document_value(document, node, key);
        if (child == NULL || !equals(document, child, inner))
            return false;
    }
    return true;
}

/* ---- changing mappings ---- */

/* What is being changed: the key's words for messages. */
struct change {
    const char *key;
    json_t *value; /* NULL: remove */
};

/* A flow mapping gets the pair in front of its brace. */
static void add_to_flow(struct document *document, const yaml_node_t *mapping,
                        const struct change *change, struct splice *splice)
{
    splice->start = splice->end = document_offset(document, mapping->end_mark) - 1;
    if (node_pairs(mapping) > 0) {
        size_t count = node_pairs(mapping);
        const yaml_node_t *last =
            document_node(document, mapping->data.mapping.pairs.start[count - 1].value);
        splice->start = splice->end = document_end(document, last);
        edit_text_append(&splice->words, ", ", 2);
    }
    edit_text_key(&splice->words, change->key);
    edit_text_append(&splice->words, ": ", 2);
    edit_text_inline(&splice->words, change->value);
}

static void add_pair(struct document *document, const yaml_node_t *mapping,
                     const struct change *change, struct splice *splice)
{
    if (!node_is_block(mapping)) {
        add_to_flow(document, mapping, change, splice);
        return;
    }
    const yaml_node_t *first = document_node(document, mapping->data.mapping.pairs.start[0].key);
    begin_lines(document, document_end(document, mapping), splice);
    edit_text_pair(&splice->words, first->start_mark.column, change->key, change->value,
                   document->newline);
}

/* The first key of a group whose keys were all commented out or missing. */
static void fill_group(struct document *document, const yaml_node_t *key,
                       const struct change *change, struct splice *splice)
{
    begin_lines(document, document_colon(document, key), splice);
    edit_text_pair(&splice->words, key->start_mark.column + 2, change->key, change->value,
                   document->newline);
}

/* A text that stood in quotes gets them again. */
static void append_value(struct splice *splice, const yaml_node_t *old, json_t *value)
{
    yaml_scalar_style_t style =
        old->type == YAML_SCALAR_NODE ? old->data.scalar.style : YAML_PLAIN_SCALAR_STYLE;
    if (style == YAML_SINGLE_QUOTED_SCALAR_STYLE || style == YAML_DOUBLE_QUOTED_SCALAR_STYLE)
        edit_text_quoted(&splice->words, value, style == YAML_SINGLE_QUOTED_SCALAR_STYLE);
    else
        edit_text_inline(&splice->words, value);
}

/* The value of `pair` in words, in place of what is there. */
static void replace_value(struct document *document, const yaml_node_pair_t *pair, json_t *value,
                          struct splice *splice)
{
    const yaml_node_t *old = document_node(document, pair->value);
    size_t colon = document_colon(document, document_node(document, pair->key));
    if (!node_is_block(old)) {
        bool nothing = node_is_empty(old);
        splice->start = nothing ? colon : document_start(document, old);
        splice->end = nothing ? colon : document_end(document, old);
        if (nothing)
            edit_text_append(&splice->words, " ", 1);
        append_value(splice, old, value);
        return;
    }
    /* A block ends up on the key's line, which keeps its comment. */
    size_t end = document_next_line(document, colon);
    edit_text_append(&splice->words, " ", 1);
    edit_text_inline(&splice->words, value);
    edit_text_append(&splice->words, document->text + colon, end - colon);
    splice->start = colon;
    splice->end = document_next_line(document, document_end(document, old));
}

/* With its lines; of a flow mapping with its comma. */
static void remove_pair(struct document *document, const yaml_node_t *mapping,
                        const yaml_node_pair_t *pair, struct splice *splice)
{
    const yaml_node_pair_t *first = mapping->data.mapping.pairs.start;
    const yaml_node_pair_t *top = mapping->data.mapping.pairs.top;
    const yaml_node_t *key = document_node(document, pair->key);
    const yaml_node_t *value = document_node(document, pair->value);
    splice->start = document_start(document, key);
    splice->end = document_end(document, value);
    if (node_is_empty(value))
        splice->end = document_colon(document, key);
    size_t before = document_line_start(document, splice->start);
    bool own_line = strspn(document->text + before, " ") == splice->start - before;
    if (node_is_block(mapping) && own_line) {
        splice->start = before;
        splice->end = document_next_line(document, splice->end);
    } else if (pair + 1 < top) {
        splice->end = document_start(document, document_node(document, pair[1].key));
    } else if (pair > first) {
        splice->start = document_end(document, document_node(document, pair[-1].value));
    } else if (node_is_block(mapping)) {
        edit_text_append(&splice->words, "{}", 2);
    }
}

static enum status refuse_secret(const yaml_node_t *node, const char *key, struct error *error)
{
    return error_set(error, STATUS_REFUSED,
                     "%s comes from secrets.yaml (!secret %.64s); change it there.", key,
                     (const char *)node->data.scalar.value);
}

static bool is_secret(const yaml_node_t *node)
{
    return node->type == YAML_SCALAR_NODE && node->tag != NULL &&
           strcmp((const char *)node->tag, "!secret") == 0;
}

/* ---- one edit after the other ---- */

/* Where an edit happens: a device or the whole file, and the keys on the way. */
struct place_of_edit {
    const char *device; /* NULL: the file */
    const char *keys[DEPTH_MAX];
    size_t depth;
};

/* The text as far as it was edited. Each edit reads it anew, so that marks are always right. */
struct editor {
    char *text;
    struct error *error;
};

static enum status find_root(struct document *document, const char *device, yaml_node_t **root,
                             struct error *error)
{
    *root = yaml_document_get_root_node(&document->yaml);
    if (device == NULL)
        return STATUS_OK;
    const yaml_node_t *devices = document_devices(document);
    int number = document_device(document, devices, device);
    if (number < 0)
        return error_set(error, STATUS_USAGE,
                         "The device \"%s\" does not stand in the configuration file.", device);
    *root = document_item(document, devices, (size_t)number);
    return STATUS_OK;
}

/* The change at keys[depth - 1], wrapped into the groups that are missing. New reference. */
static json_t *wrapped(const struct place_of_edit *place, size_t from, json_t *value)
{
    json_t *result = json_incref(value);
    for (size_t i = place->depth; i-- > from;)
        result = json_pack("{s:o}", place->keys[i], result);
    return result;
}

/* The key that a value in the place of a group stands for: `homeassistant: false` is its `enabled`. NULL: none. */
static const char *shorthand_of(const struct place_of_edit *place, size_t depth)
{
    char path[200];
    struct text text;
    text_init(&text, path, sizeof path);
    for (size_t i = 0; i < depth; i++)
        text_append(&text, "%s%s", i == 0 ? "" : ".", place->keys[i]);
    const struct field *group =
        field_by_path(place->device != NULL ? SCOPE_DEVICE : SCOPE_FILE, path);
    const char *dot =
        group == NULL || group->shorthand == NULL ? NULL : strrchr(group->shorthand, '.');
    return dot == NULL ? NULL : dot + 1;
}

/* The group that a value stood for, with one key more. False: it stands for none. */
static bool spell_group(struct document *document, const struct place_of_edit *place, size_t depth,
                        const yaml_node_pair_t *pair, const struct change *change,
                        struct splice *splice)
{
    const yaml_node_t *old = pair == NULL ? NULL : document_node(document, pair->value);
    const char *key = old == NULL || old->type != YAML_SCALAR_NODE || is_secret(old)
                          ? NULL
                          : shorthand_of(place, depth);
    if (key == NULL)
        return false;
    const char *word = (const char *)old->data.scalar.value;
    json_t *value = json_loads(word, JSON_DECODE_ANY, NULL);
    json_t *group = json_object();
    (void)json_object_set_new(group, key, value != NULL ? value : json_string(word));
    (void)json_object_set(group, change->key, change->value);
    replace_value(document, pair, group, splice);
    json_decref(group);
    return true;
}

static enum status edit_pair(struct document *document, const struct place_of_edit *place,
                             yaml_node_t *root, json_t *value, struct splice *splice,
                             struct error *error)
{
    const yaml_node_t *mapping = root;
    const yaml_node_pair_t *pair = NULL;
    size_t i = 0;
    for (; i < place->depth; i++) {
        const yaml_node_pair_t *next = document_pair(document, mapping, place->keys[i]);
        if (next == NULL)
            break;
        pair = next;
        if (i + 1 < place->depth)
            mapping = document_node(document, pair->value);
    }
    if (i == place->depth) {
        const yaml_node_t *old = document_node(document, pair->value);
        bool redacted =
            json_is_string(value) && strcmp(json_string_value(value), CONFIG_EDIT_REDACTED) == 0;
        if (redacted || (!json_is_null(value) && equals(document, old, value)))
            return STATUS_OK;
        if (is_secret(old))
            return refuse_secret(old, place->keys[place->depth - 1], error);
        if (json_is_null(value))
            remove_pair(document, mapping, pair, splice);
        else
            replace_value(document, pair, value, splice);
        return STATUS_OK;
    }
    if (json_is_null(value))
        return STATUS_OK;
    json_t *rest = wrapped(place, i + 1, value);
    const struct change change = {place->keys[i], rest};
    enum status status = STATUS_OK;
    if (mapping->type == YAML_MAPPING_NODE && (node_pairs(mapping) > 0 || !node_is_block(mapping)))
        add_pair(document, mapping, &change, splice);
    else if (pair != NULL && node_is_empty(mapping))
        fill_group(document, document_node(document, pair->key), &change, splice);
    else if (!spell_group(document, place, i, pair, &change, splice))
        status = error_set(error, STATUS_USAGE, "%s is no group of keys in the file.",
                           i > 0 ? place->keys[i - 1] : "The configuration");
    json_decref(rest);
    return status;
}

static void take(struct editor *editor, const struct document *document,
                 const struct splice *splice)
{
    char *result = splice_text(document, splice);
    free(editor->text);
    editor->text = result;
}

static enum status set_value(struct editor *editor, const struct place_of_edit *place,
                             json_t *value)
{
    struct document document document_auto = {0};
    enum status status = document_open(&document, editor->text, editor->error);
    yaml_node_t *root = NULL;
    if (status == STATUS_OK)
        status = find_root(&document, place->device, &root, editor->error);
    if (status != STATUS_OK)
        return status;
    struct splice splice = {0};
    if (root == NULL) { /* nothing but comments, or nothing at all */
        json_t *rest = wrapped(place, 1, value);
        begin_lines(&document, document.length, &splice);
        edit_text_pair(&splice.words, 0, place->keys[0], rest, document.newline);
        json_decref(rest);
    } else {
        status = edit_pair(&document, place, root, value, &splice, editor->error);
    }
    if (status == STATUS_OK && (splice.words.length > 0 || splice.end > splice.start))
        take(editor, &document, &splice);
    free(splice.words.bytes);
    return status;
}

/* ---- lists of objects ---- */

static size_t dash_of(const struct document *document, size_t item)
{
    size_t dash = item - 1; /* an element may begin with a minus itself */
    while (dash > 0 && document->text[dash] != '-')
        dash--;
    return dash;
}

/* The node at a place, NULL if there is none. */
static yaml_node_t *node_at(struct document *document, const struct place_of_edit *place)
{
    yaml_node_t *node = NULL;
    if (find_root(document, place->device, &node, NULL) != STATUS_OK)
        return NULL;
    for (size_t i = 0; i < place->depth && node != NULL; i++)
        node = document_value(document, node, place->keys[i]);
    return node;
}

/* Puts `added` in front of element `at` of a block list, or behind the last one, and removes
 * `removed` elements from there on. */
static void edit_items(struct document *document, const yaml_node_t *list, size_t at,
                       size_t removed, json_t *added, struct splice *splice)
{
    size_t count = node_items(list);
    size_t indent = dash_of(document, document_start(document, document_item(document, list, 0)));
    indent -= document_line_start(document, indent);
    if (removed > 0) {
        size_t dash =
            dash_of(document, document_start(document, document_item(document, list, at)));
        const yaml_node_t *last = document_item(document, list, at + removed - 1);
        splice->start = document_line_start(document, dash);
        splice->end = document_next_line(document, document_end(document, last));
    } else if (at < count) {
        size_t dash =
            dash_of(document, document_start(document, document_item(document, list, at)));
        splice->start = splice->end = document_line_start(document, dash);
    } else {
        begin_lines(document, document_end(document, list), splice);
    }
    size_t index;
    json_t *item;
    json_array_foreach(added, index, item)
    {
        if (json_is_object(item)) {
            edit_text_item(&splice->words, indent, item, document->newline);
            continue;
        }
        edit_text_spaces(&splice->words, indent);
        edit_text_append(&splice->words, "- ", 2);
        edit_text_inline(&splice->words, item);
        edit_text_append(&splice->words, document->newline, strlen(document->newline));
    }
}

/* Elements that are the same at both ends stay as they are. */
static enum status set_list(struct editor *editor, const struct place_of_edit *place, json_t *value)
{
    struct document document document_auto = {0};
    enum status status = document_open(&document, editor->text, editor->error);
    if (status != STATUS_OK)
        return status;
    const yaml_node_t *list = node_at(&document, place);
    size_t wanted = json_array_size(value);
    if (list == NULL || list->type != YAML_SEQUENCE_NODE || !node_is_block(list) ||
        node_items(list) == 0 || wanted == 0)
        return set_value(editor, place, value);
    size_t count = node_items(list), front = 0, back = 0;
    while (front < count && front < wanted &&
           equals(&document, document_item(&document, list, front), json_array_get(value, front)))
        front++;
    while (back < count - front && back < wanted - front &&
           equals(&document, document_item(&document, list, count - back - 1),
                  json_array_get(value, wanted - back - 1)))
        back++;
    json_t *added = json_array();
    for (size_t i = front; i < wanted - back; i++)
        json_array_append(added, json_array_get(value, i));
    size_t removed = count - back - front;
    struct splice splice = {0};
    if (removed > 0 || json_array_size(added) > 0) {
        edit_items(&document, list, front, removed, added, &splice);
        take(editor, &document, &splice);
    }
    free(splice.words.bytes);
    json_decref(added);
    return STATUS_OK;
}

/* ---- merging ---- */

static enum status merge(struct editor *editor, struct place_of_edit *place, json_t *options);

static enum status merge_devices(struct editor *editor, json_t *devices)
{
    enum status status = STATUS_OK;
    const char *key;
    size_t index;
    json_t *options;
    struct place_of_edit place = {0};
    json_object_foreach(devices, key, options)
    {
        place.device = key;
        if (status == STATUS_OK)
            status = merge(editor, &place, options);
    }
    json_array_foreach(devices, index, options)
    {
        place.device = json_string_value(json_object_get(options, "id"));
        if (status == STATUS_OK && place.device == NULL)
            status = error_set(editor->error, STATUS_USAGE,
                               "Each device of the list needs its id, to know which one it is.");
        if (status == STATUS_OK)
            status = merge(editor, &place, options);
    }
    return status;
}

static enum status merge_one(struct editor *editor, struct place_of_edit *place, const char *key,
                             json_t *value)
{
    if (place->device == NULL && place->depth == 0 && strcmp(key, "devices") == 0)
        return merge_devices(editor, value);
    if (place->depth == DEPTH_MAX)
        return error_set(editor->error, STATUS_USAGE,
                         "The options are nested more than %d levels deep; no key is.", DEPTH_MAX);
    place->keys[place->depth++] = key;
    enum status status;
    if (json_is_object(value) && json_object_size(value) > 0)
        status = merge(editor, place, value);
    else if (json_is_array(value))
        status = set_list(editor, place, value);
    else
        status = set_value(editor, place, value);
    place->depth--;
    return status;
}

static enum status merge(struct editor *editor, struct place_of_edit *place, json_t *options)
{
    const char *key;
    json_t *value;
    if (!json_is_object(options))
        return error_set(editor->error, STATUS_USAGE, "The options must be a JSON object.");
    json_object_foreach(options, key, value)
    {
        enum status status = merge_one(editor, place, key, value);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static enum status finish(struct editor *editor, enum status status, char **result)
{
    if (status == STATUS_OK)
        *result = editor->text;
    else
        free(editor->text);
    return status;
}

enum status config_edit_options(const char *text, const char *device, json_t *options,
                                char **result, struct error *error)
{
    struct editor editor = {.text = memory_copy_text(text), .error = error};
    struct place_of_edit place = {.device = device};
    return finish(&editor, merge(&editor, &place, options), result);
}

/* ---- devices ---- */

static enum status add_item(struct document *document, yaml_node_t *devices, json_t *device,
                            struct splice *splice, struct error *error)
{
    const yaml_node_t *root = yaml_document_get_root_node(&document->yaml);
    const yaml_node_pair_t *pair = document_pair(document, root, "devices");
    json_t *list = json_pack("[O]", device);
    enum status status = STATUS_OK;
    if (root != NULL && root->type == YAML_MAPPING_NODE && !node_is_block(root) &&
        (devices == NULL || node_is_empty(devices) ||
         (devices->type == YAML_SEQUENCE_NODE && node_items(devices) == 0))) {
        /* In a file that is written as JSON no block may stand. */
        if (devices != NULL)
            replace_value(document, pair, list, splice);
        else
            add_to_flow(document, root, &(struct change){.key = "devices", .value = list}, splice);
    } else if (devices != NULL && devices->type == YAML_SEQUENCE_NODE && node_is_block(devices)) {
        edit_items(document, devices, node_items(devices), 0, list, splice);
    } else if (devices != NULL && devices->type == YAML_SEQUENCE_NODE && node_items(devices) > 0) {
        splice->start = splice->end =
            document_end(document, document_item(document, devices, node_items(devices) - 1));
        edit_text_append(&splice->words, ", ", 2);
        edit_text_inline(&splice->words, device);
    } else if (devices != NULL && (devices->type == YAML_SEQUENCE_NODE || node_is_empty(devices))) {
        const yaml_node_t *key = document_node(document, pair->key);
        size_t colon = document_colon(document, key);
        size_t end = node_is_empty(devices) ? colon : document_end(document, devices);
        size_t line = document_next_line(document, end);
        edit_text_append(&splice->words, document->text + end, line - end);
        if (document->text[line - 1] != '\n')
            edit_text_append(&splice->words, document->newline, strlen(document->newline));
        edit_text_item(&splice->words, key->start_mark.column + 2, device, document->newline);
        splice->start = colon;
        splice->end = line;
    } else if (devices == NULL && (root == NULL || root->type == YAML_MAPPING_NODE)) {
        begin_lines(document, root != NULL ? document_end(document, root) : document->length,
                    splice);
        edit_text_append(&splice->words, "devices:", 8);
        edit_text_append(&splice->words, document->newline, strlen(document->newline));
        edit_text_item(&splice->words, 2, device, document->newline);
    } else {
        status = error_set(error, STATUS_USAGE, "`devices` is no list in the configuration file.");
    }
    json_decref(list);
    return status;
}

enum status config_edit_add_device(const char *text, json_t *device, char **result,
                                   struct error *error)
{
    struct document document document_auto = {0};
    enum status status = document_open(&document, text, error);
    if (status != STATUS_OK)
        return status;
    const char *id = json_string_value(json_object_get(device, "id"));
    if (id == NULL)
        return error_set(error, STATUS_USAGE, "A device needs an id.");
    yaml_node_t *devices = document_devices(&document);
    if (document_device(&document, devices, id) >= 0)
        return error_set(error, STATUS_USAGE, "There is a device \"%s\" already.", id);
    struct splice splice = {0};
    status = add_item(&document, devices, device, &splice, error);
    if (status == STATUS_OK)
        *result = splice_text(&document, &splice);
    free(splice.words.bytes);
    return status;
}

/* The last device leaves an empty list behind. */
static void empty_devices(struct document *document, struct splice *splice)
{
    const yaml_node_t *root = yaml_document_get_root_node(&document->yaml);
    json_t *empty = json_array();
    replace_value(document, document_pair(document, root, "devices"), empty, splice);
    json_decref(empty);
}

enum status config_edit_remove_device(const char *text, const char *id, char **result,
                                      struct error *error)
{
    struct document document document_auto = {0};
    enum status status = document_open(&document, text, error);
    if (status != STATUS_OK)
        return status;
    const yaml_node_t *devices = document_devices(&document);
    int number = document_device(&document, devices, id);
    if (number < 0)
        return error_set(error, STATUS_NO_ANSWER,
                         "The device \"%s\" does not stand in the configuration file.", id);
    size_t at = (size_t)number, count = node_items(devices);
    struct splice splice = {0};
    if (count == 1) {
        empty_devices(&document, &splice);
    } else if (node_is_block(devices)) {
        edit_items(&document, devices, at, 1, NULL, &splice);
    } else {
        splice.start = at > 0 ? document_end(&document, document_item(&document, devices, at - 1))
                              : document_start(&document, document_item(&document, devices, 0));
        splice.end = at > 0 ? document_end(&document, document_item(&document, devices, at))
                            : document_start(&document, document_item(&document, devices, 1));
    }
    *result = splice_text(&document, &splice);
    free(splice.words.bytes);
    return STATUS_OK;
}
