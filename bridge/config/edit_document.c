/* SPDX-License-Identifier: MIT */
#include "bridge/config/edit_document.h"

#include <string.h>

enum status document_open(struct document *document, const char *text, struct error *error)
{
    *document = (struct document){.text = text, .length = strlen(text)};
    document->bom = strncmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    const char *first = strchr(text, '\n');
    document->newline = first != NULL && first > text && first[-1] == '\r' ? "\r\n" : "\n";
    yaml_parser_t parser;
    if (yaml_parser_initialize(&parser) == 0)
        return error_set(error, STATUS_FAILED, "There is no memory to read the configuration.");
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text + document->bom,
                                 document->length - document->bom);
    int loaded = yaml_parser_load(&parser, &document->yaml);
    size_t line = parser.problem_mark.line + 1;
    yaml_parser_delete(&parser);
    if (loaded == 0)
        return error_set(error, STATUS_USAGE,
                         "The configuration cannot be edited, as line %zu is not valid YAML; "
                         "`bl2mqtt check` says what is wrong.",
                         line);
    return STATUS_OK;
}

void document_close(struct document *document)
{
    yaml_document_delete(&document->yaml);
}
yaml_node_t *document_node(struct document *document, int index)
{
    return yaml_document_get_node(&document->yaml, index);
}

size_t document_offset(const struct document *document, yaml_mark_t mark)
{
    size_t offset = document->bom;
    for (size_t i = 0; i < mark.index && offset < document->length; i++)
        do
            offset++;
        while (((unsigned char)document->text[offset] & 0xc0) == 0x80);
    return offset;
}

size_t document_start(const struct document *document, const yaml_node_t *node)
{
    return document_offset(document, node->start_mark);
}

bool node_is_block(const yaml_node_t *node)
{
    return (node->type == YAML_MAPPING_NODE &&
            node->data.mapping.style != YAML_FLOW_MAPPING_STYLE) ||
           (node->type == YAML_SEQUENCE_NODE &&
            node->data.sequence.style != YAML_FLOW_SEQUENCE_STYLE);
}

bool node_is_empty(const yaml_node_t *node)
{
    return node->type == YAML_SCALAR_NODE && node->data.scalar.length == 0 &&
           node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

size_t node_pairs(const yaml_node_t *mapping)
{
    return (size_t)(mapping->data.mapping.pairs.top - mapping->data.mapping.pairs.start);
}

size_t node_items(const yaml_node_t *sequence)
{
    return (size_t)(sequence->data.sequence.items.top - sequence->data.sequence.items.start);
}

yaml_node_t *document_item(struct document *document, const yaml_node_t *sequence, size_t i)
{
    return document_node(document, sequence->data.sequence.items.start[i]);
}

/* A block's own end mark stands behind the comments that follow it, so the end of its last value
 * counts; of a text in block style without the line ends behind it. */
size_t document_end(struct document *document, const yaml_node_t *node)
{
    while (node_is_block(node)) {
        size_t count = node->type == YAML_MAPPING_NODE ? node_pairs(node) : node_items(node);
        if (count == 0)
            break;
        node = node->type == YAML_MAPPING_NODE
                   ? document_node(document, node->data.mapping.pairs.start[count - 1].value)
                   : document_item(document, node, count - 1);
    }
    size_t end = document_offset(document, node->end_mark);
    size_t start = document_start(document, node);
    while (end > start && strchr(" \t\r\n", document->text[end - 1]) != NULL)
        end--;
    return end;
}

/* Behind the line end of the line that holds offset. */
size_t document_next_line(const struct document *document, size_t offset)
{
    const char *end = strchr(document->text + offset, '\n');
    return end != NULL ? (size_t)(end - document->text) + 1 : document->length;
}

size_t document_line_start(const struct document *document, size_t offset)
{
    while (offset > document->bom && document->text[offset - 1] != '\n')
        offset--;
    return offset;
}

const yaml_node_pair_t *document_pair(struct document *document, const yaml_node_t *mapping,
                                      const char *key)
{
    if (mapping == NULL || mapping->type != YAML_MAPPING_NODE)
        return NULL;
    for (const yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;
         pair < mapping->data.mapping.pairs.top; pair++) {
        const yaml_node_t *node = document_node(document, pair->key);
        if (node->type == YAML_SCALAR_NODE &&
            strcmp((const char *)node->data.scalar.value, key) == 0)
            return pair;
    }
    return NULL;
}

yaml_node_t *document_value(struct document *document, const yaml_node_t *mapping, const char *key)
{
    const yaml_node_pair_t *pair = document_pair(document, mapping, key);
    return pair != NULL ? document_node(document, pair->value) : NULL;
}

/* -1: there is none. */
int document_device(struct document *document, const yaml_node_t *devices, const char *id)
{
    if (devices == NULL || devices->type != YAML_SEQUENCE_NODE)
        return -1;
    for (size_t i = 0; i < node_items(devices); i++) {
        const yaml_node_t *value =
            document_value(document, document_item(document, devices, i), "id");
        if (value != NULL && value->type == YAML_SCALAR_NODE &&
            strcmp((const char *)value->data.scalar.value, id) == 0)
            return (int)i;
    }
    return -1;
}

yaml_node_t *document_devices(struct document *document)
{
    return document_value(document, yaml_document_get_root_node(&document->yaml), "devices");
}

/* Behind the colon of a key. */
size_t document_colon(struct document *document, const yaml_node_t *key)
{
    const char *colon = strchr(document->text + document_offset(document, key->end_mark), ':');
    return colon != NULL ? (size_t)(colon - document->text) + 1 : document->length;
}
