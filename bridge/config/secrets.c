/* SPDX-License-Identifier: MIT */
#include "bridge/config/secrets.h"

#include "bridge/config/suggest.h"
#include "drivers/base/file.h"
#include "drivers/base/memory.h"

#include <string.h>
#include <sys/stat.h>

struct resolver {
    const struct secrets_source *source;
    struct config_problems *problems;
    bool loaded;
    const char *name;     /* of secrets.yaml, for messages */
    struct error missing; /* why there is nothing to look up */
    bool reported;        /* ... and that was said already, at the place in secrets.yaml */
    struct yaml_tree *secrets;
    struct yaml_node **sorted; /* the secrets by name */
    size_t count;
};

static int compare_nodes(const void *left, const void *right)
{
    const struct yaml_node *const *a = left;
    const struct yaml_node *const *b = right;
    return strcmp((*a)->key, (*b)->key);
}

static void sort_secrets(struct resolver *resolver)
{
    struct yaml_node *root = yaml_tree_root(resolver->secrets);
    if (root->kind == YAML_BROKEN) {
        resolver->reported = true;
        return;
    }
    if (root->kind != YAML_MAPPING && root->kind != YAML_NOTHING) {
        problems_add(resolver->problems, CONFIG_ERROR, root->place,
                     "This file must consist of lines such as `mqtt_password: \"...\"`.");
        resolver->reported = true;
        return;
    }
    resolver->sorted = memory_new(root->count, sizeof *resolver->sorted);
    for (struct yaml_node *node = root->first; node != NULL; node = node->next)
        resolver->sorted[resolver->count++] = node;
    qsort(resolver->sorted, resolver->count, sizeof *resolver->sorted, compare_nodes);
}

static void load_file(struct resolver *resolver)
{
    char *bytes memory_auto = NULL;
    size_t length = 0;
    if (file_read(resolver->source->path, YAML_TREE_BYTES_MAX, &bytes, &length,
                  &resolver->missing) != STATUS_OK)
        return;
    struct stat status;
    if (stat(resolver->source->path, &status) == 0 && (status.st_mode & S_IROTH) != 0)
        problems_add(resolver->problems, CONFIG_WARNING, (struct place){resolver->name, 0, 0},
                     "Everybody on this machine can read this file; chmod o-r it.");
    resolver->secrets = yaml_tree_load(resolver->name, bytes, length, resolver->problems);
    sort_secrets(resolver);
}

static void load(struct resolver *resolver)
{
    resolver->loaded = true;
    if (resolver->source->path != NULL) {
        load_file(resolver);
    } else if (resolver->source->bytes != NULL) {
        resolver->secrets = yaml_tree_load(resolver->name, resolver->source->bytes,
                                           resolver->source->length, resolver->problems);
        sort_secrets(resolver);
    } else {
        (void)error_set(&resolver->missing, STATUS_FAILED, "There is no secrets.yaml.");
    }
}

static void report_unknown(const struct resolver *resolver, const struct yaml_node *node)
{
    struct suggestion suggestion = {.word = node->text};
    if (!problems_full(resolver->problems))
        for (size_t i = 0; i < resolver->count; i++)
            suggestion_offer(&suggestion, resolver->sorted[i]->key);
    char shown[200];
    struct text text;
    text_init(&text, shown, sizeof shown);
    append_quoted(&text, node->text);
    if (suggestion.best != NULL) {
        text_append(&text, "; did you mean ");
        append_quoted(&text, suggestion.best);
        text_append(&text, "?");
    } else {
        text_append(&text, ".");
    }
    problems_add(resolver->problems, CONFIG_ERROR, node->place, "%s has no secret %s",
                 resolver->name, shown);
}

/* The secret, or NULL after saying why there is none. */
static const struct yaml_node *look_up(struct resolver *resolver, const struct yaml_node *node)
{
    if (!resolver->loaded)
        load(resolver);
    if (resolver->missing.text[0] != '\0') {
        problems_add(resolver->problems, CONFIG_ERROR, node->place,
                     "This secret cannot be looked up. %s", resolver->missing.text);
        return NULL;
    }
    if (resolver->reported)
        return NULL;
    struct yaml_node wanted = {.key = node->text};
    const struct yaml_node *key = &wanted;
    struct yaml_node **found =
        bsearch(&key, resolver->sorted, resolver->count, sizeof *resolver->sorted, compare_nodes);
    if (found == NULL) {
        report_unknown(resolver, node);
        return NULL;
    }
    if ((*found)->kind == YAML_BROKEN)
        return NULL;
    if ((*found)->kind != YAML_SCALAR || (*found)->secret) {
        problems_add(resolver->problems, CONFIG_ERROR, (*found)->place,
                     "A secret must be one text or number, in quotes if it begins with a character "
                     "such as # or !.");
        (*found)->kind = YAML_BROKEN; /* once is enough */
        return NULL;
    }
    return *found;
}

static void resolve(struct resolver *resolver, struct yaml_node *node)
{
    for (struct yaml_node *child = node->first; child != NULL; child = child->next)
        resolve(resolver, child); /* no deeper than YAML_TREE_DEPTH_MAX */
    if (node->kind != YAML_SCALAR || !node->secret)
        return;
    const struct yaml_node *secret = look_up(resolver, node);
    if (secret == NULL) {
        node->kind = YAML_BROKEN;
        return;
    }
    node->text = secret->text; /* shared: a long secret used often must not grow */
    node->quoted = secret->quoted;
}

struct yaml_tree *secrets_resolve(struct yaml_tree *tree, const struct secrets_source *source,
                                  struct config_problems *problems)
{
    struct resolver resolver = {
        .source = source,
        .problems = problems,
        .name = source->path != NULL ? source->path : "secrets.yaml",
    };
    resolve(&resolver, yaml_tree_root(tree));
    free(resolver.sorted);
    return resolver.secrets;
}
