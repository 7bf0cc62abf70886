/* SPDX-License-Identifier: MIT */
/**
 * YAML, as much of it as a configuration needs, in memory: a tree of mappings, sequences and
 * scalars that knows where each thing stands. Built from libyaml's events, because its document
 * loader takes quadratic time on deep nesting and keeps neither duplicate keys nor further
 * documents apart.
 *
 * Bounds: YAML_TREE_BYTES_MAX, YAML_TREE_DEPTH_MAX, YAML_TREE_NODES_MAX. Refused: anchors, aliases,
 * tags other than !secret, duplicate keys, keys that are not plain words, a second document, any
 * encoding but UTF-8 (a byte order mark is fine).
 */
#ifndef BRIDGE_CONFIG_YAML_TREE_H
#define BRIDGE_CONFIG_YAML_TREE_H

#include "bridge/config/problems.h"

#include <stdbool.h>
#include <stddef.h>

#define YAML_TREE_BYTES_MAX ((size_t)1024 * 1024)
#define YAML_TREE_DEPTH_MAX 16
#define YAML_TREE_NODES_MAX 65536

enum yaml_kind {
    YAML_NOTHING, /**< `key:` with nothing behind it, ~ or null */
    YAML_SCALAR,
    YAML_MAPPING,
    YAML_SEQUENCE,
    YAML_BROKEN, /**< a problem was reported for it already; to be skipped silently */
};

/** All pointers belong to the tree. Children are a list in the order of the file. */
struct yaml_node {
    enum yaml_kind kind;
    struct place place; /**< of the value */
    const char *key;    /**< in a mapping, else NULL */
    struct place key_place;
    const char *text; /**< of a scalar; holds no NUL and is well-formed UTF-8 */
    bool quoted;      /**< scalar in quotes or a block scalar: not a number or true/false */
    bool secret;      /**< tagged !secret: text is the name, later the value, never shown */
    struct yaml_node *first, *last, *next;
    size_t count; /**< of children */
};

struct yaml_tree;

/**
 * Never NULL. What is wrong goes to problems; a part that could not be understood is YAML_BROKEN,
 * so that the rest can still be checked. file (copied) is the name for messages. bytes may hold
 * anything.
 */
struct yaml_tree *yaml_tree_load(const char *file, const char *bytes, size_t length,
                                 struct config_problems *problems);
void yaml_tree_free(struct yaml_tree *tree);

/** The document's node; YAML_NOTHING for an empty file, YAML_BROKEN if there is no tree to use. */
struct yaml_node *yaml_tree_root(struct yaml_tree *tree);

/** NULL if there is no such key (or node is not a mapping). */
struct yaml_node *yaml_node_child(const struct yaml_node *node, const char *key);

/** The node at a path of keys, "mains.voltage"; NULL if there is none. */
struct yaml_node *yaml_node_at(struct yaml_node *node, const char *path);

/**
 * Sets key in a mapping to a plain scalar (text not NULL) or an empty mapping (NULL), replacing
 * what was there. A node that was YAML_NOTHING becomes a mapping. place.file must outlive the tree.
 * Returns the child; NULL if node is no mapping.
 */
struct yaml_node *yaml_tree_set(struct yaml_tree *tree, struct yaml_node *node, const char *key,
                                const char *text, struct place place);

/** Adds the root of another tree, which must outlive this one's use, to a sequence. */
void yaml_node_append(struct yaml_node *sequence, struct yaml_node *root);

/** A copy of text that lives as long as the tree. */
char *yaml_tree_copy_text(struct yaml_tree *tree, const char *text, size_t length);

/** The version of the libyaml that runs. */
const char *yaml_library_version(void);

#endif
