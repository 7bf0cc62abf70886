/* SPDX-License-Identifier: MIT */
/**
 * The text of bridge.yaml with libyaml's marks in it: where each key and value begins and ends, so
 * that an edit (edit.h) can replace exactly that. Offsets are bytes of the text.
 */
#ifndef BRIDGE_CONFIG_EDIT_DOCUMENT_H
#define BRIDGE_CONFIG_EDIT_DOCUMENT_H

#include "drivers/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <yaml.h>

struct document {
    const char *text; /**< borrowed */
    size_t length;
    size_t bom;          /**< bytes of a byte order mark, which libyaml does not see */
    const char *newline; /**< "\n" or "\r\n", as the file has it */
    yaml_document_t yaml;
};

/** STATUS_USAGE if the text is no YAML. The document is to be closed in any case. */
enum status document_open(struct document *document, const char *text, struct error *error);
void document_close(struct document *document);
#define document_auto __attribute__((cleanup(document_close)))

yaml_node_t *document_node(struct document *document, int index);

/** A mark as an offset. */
size_t document_offset(const struct document *document, yaml_mark_t mark);
size_t document_start(const struct document *document, const yaml_node_t *node);
/** Behind the last value of the node; comments and blank lines that follow are not part of it. */
size_t document_end(struct document *document, const yaml_node_t *node);
/** Behind the line end of the line that holds offset. */
size_t document_next_line(const struct document *document, size_t offset);
size_t document_line_start(const struct document *document, size_t offset);
/** Behind the colon of a key. */
size_t document_colon(struct document *document, const yaml_node_t *key);

/** A mapping or sequence in block style, whose entries have lines of their own. */
bool node_is_block(const yaml_node_t *node);
/** A key's value of which nothing is written. */
bool node_is_empty(const yaml_node_t *node);
size_t node_pairs(const yaml_node_t *mapping);
size_t node_items(const yaml_node_t *sequence);
yaml_node_t *document_item(struct document *document, const yaml_node_t *sequence, size_t number);

/** NULL if there is no such key, or mapping is none. */
const yaml_node_pair_t *document_pair(struct document *document, const yaml_node_t *mapping,
                                      const char *key);
yaml_node_t *document_value(struct document *document, const yaml_node_t *mapping, const char *key);

/** The list of devices, NULL if there is none, and the number of one in it, -1. */
yaml_node_t *document_devices(struct document *document);
int document_device(struct document *document, const yaml_node_t *devices, const char *id);

#endif
