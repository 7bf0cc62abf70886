/* SPDX-License-Identifier: MIT */
/* bridge/config/yaml_tree: what is accepted, what is refused and where, bounds in size and time. */
#include "bridge/config/yaml_tree.h"
#include "drivers/base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static struct config_problems problems;

static struct yaml_tree *load(const char *bytes, size_t length)
{
    problems = (struct config_problems){0};
    return yaml_tree_load("f", bytes, length, &problems);
}

static void test_tree(void **unused)
{
    (void)unused;
    static const char yaml[] = "a: 1\n"
                               "b: {c: 'x', d: [y, \"z\"], e: !secret s}\n"
                               "f:\n"
                               "g: ~\n"
                               "h: |\n"
                               "  text\n";
    struct yaml_tree *tree = load(yaml, sizeof yaml - 1);
    struct yaml_node *root = yaml_tree_root(tree);
    assert_int_equal(problems.count, 0);
    assert_int_equal(root->kind, YAML_MAPPING);
    assert_int_equal(root->count, 5);
    const struct yaml_node *a = yaml_node_child(root, "a");
    assert_string_equal(a->text, "1");
    assert_false(a->quoted);
    assert_int_equal(a->place.line, 1);
    assert_int_equal(a->place.column, 4);
    assert_int_equal(a->key_place.column, 1);
    const struct yaml_node *c = yaml_node_at(root, "b.c");
    assert_true(c->quoted);
    assert_int_equal(c->place.line, 2);
    assert_int_equal(c->place.column, 8);
    const struct yaml_node *d = yaml_node_at(root, "b.d");
    assert_int_equal(d->kind, YAML_SEQUENCE);
    assert_int_equal(d->count, 2);
    assert_string_equal(d->last->text, "z");
    const struct yaml_node *e = yaml_node_at(root, "b.e");
    assert_true(e->secret);
    assert_string_equal(e->text, "s");
    assert_int_equal(yaml_node_child(root, "f")->kind, YAML_NOTHING);
    assert_int_equal(yaml_node_child(root, "g")->kind, YAML_NOTHING);
    assert_true(yaml_node_child(root, "h")->quoted);
    assert_null(yaml_node_at(root, "b.x"));
    assert_null(yaml_node_at(root, "a.x"));
    yaml_tree_free(tree);
}

/* Each with one problem at one place. bytes may hold zeros. */
#define REFUSED(bytes, line, column, fragment, usable)                                             \
    {                                                                                              \
        bytes, sizeof bytes - 1, line, column, fragment, usable                                    \
    }

static void test_refused(void **unused)
{
    (void)unused;
    static const struct {
        const char *bytes;
        size_t length;
        int line, column;
        const char *fragment;
        bool usable; /* the rest can still be checked */
    } table[] = {
        REFUSED("a: &x 1\n", 1, 4, "anchors", true),
        REFUSED("a: *x\n", 1, 4, "aliases", true),
        REFUSED("*x : 1\n", 1, 1, "aliases", false),
        REFUSED("a: &x {b: 1}\n", 1, 4, "anchors", true),
        REFUSED("a: !!str 1\n", 1, 4, "`!secret name`", true),
        REFUSED("a: ! 1\n", 1, 4, "`!secret name`", true),
        REFUSED("a: !secret [1]\n", 1, 4, "`!secret name`", true),
        REFUSED("a: !x!y z\n", 1, 4, "`!secret name`", false),
        REFUSED("a: 1\nb: 2\na: 3\n", 3, 1,
                "\"a\" is here for the second time; the first is at 1:1", true),
        REFUSED("x:\n  b: 1\n  'b': 2\n", 3, 3, "the first is at 2:3", true),
        REFUSED("? [a]\n: 1\n", 1, 3, "plain word", false),
        REFUSED("a: {{ b }}\n", 1, 5, "must be in quotes", false),
        REFUSED("\"a\\0b\": 1\n", 1, 1, "zero byte", false),
        REFUSED("a: \"b\\0c\"\n", 1, 4, "zero byte", true),
        REFUSED("a: b\0c\n", 1, 5, "zero byte", false),
        REFUSED("a: 1\nb\xc3\xa4\xc3\xa4: x\x07\n", 2, 7, "U+0007", false),
        REFUSED("a: 1\r\nb: 2\rc: \x07\n", 3, 4, "U+0007", false),
        REFUSED("a: \xff\n", 1, 4, "not UTF-8", false),
        REFUSED("a: \xc3(\n", 1, 5, "not UTF-8", false),
        REFUSED("a: \xed\xa0\x80\n", 1, 4, "", false),
        REFUSED("\xff\xfe"
                "a\0:\0",
                0, 0, "UTF-16", false),
        REFUSED("\xfe\xff\0a\0:", 0, 0, "UTF-16", false),
        REFUSED("a\0:\0 \0", 1, 2, "zero byte", false),
        REFUSED("a: 1\n---\nb: 2\n", 2, 1, "second YAML document", true),
        REFUSED("a: 1\n...\nb: 2\n", 3, 1, "second YAML document", false),
        REFUSED("a:\n\tb: 1\n", 2, 1, "tab", false),
        REFUSED("a: 1\n\tb: 1\n", 2, 1, "tab", false),
        REFUSED("a: @b\n", 1, 4, "in quotes", false),
        REFUSED("a: %b\n", 1, 4, "in quotes", false),
        REFUSED("a: b: c\n", 1, 5, "There cannot be a `key:` here", false),
        REFUSED("a: 1\n  b: 2\n", 2, 4, "There cannot be a `key:` here", false),
        REFUSED("a: 1\nb\nc: 2\n", 2, 1, "not of the form `key: value`", false),
        REFUSED("a:\n  b: 1\n c: 2\n", 3, 2, "does not fit the lines above", false),
        REFUSED("- a\nb: 1\n", 2, 1, "does not fit the list", false),
        REFUSED("a: [1, 2\nb: 3\n", 1, 4, "does not end with ']'", false),
        REFUSED("a: {b: 2\nc: 3\n", 1, 4, "does not end with '}'", false),
        REFUSED("a: \"b\nc: 1\n", 1, 4, "never closed", false),
        REFUSED("a: 'b\n", 1, 4, "never closed", false),
        REFUSED("a: \"\\d\"\n", 1, 5, "escape", false),
        REFUSED("a: ]\n", 1, 4, "not valid YAML", false),
        REFUSED("%YAML 9.9\n---\na: 1\n", 1, 1, "not valid YAML", false),
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct yaml_tree *tree = load(table[i].bytes, table[i].length);
        bool usable = yaml_tree_root(tree)->kind != YAML_BROKEN;
        yaml_tree_free(tree);
        const struct config_problem *problem = &problems.list[0];
        if (problems.count == 1 && problem->line == table[i].line &&
            problem->column == table[i].column && usable == table[i].usable &&
            strstr(problem->message, table[i].fragment) != NULL)
            continue;
        config_problems_print(&problems, stdout);
        fail_msg("row %zu (%d:%d %s), usable %d", i, table[i].line, table[i].column,
                 table[i].fragment, usable);
    }
}

/* Of duplicates the first stays, once, whatever their number and order. */
static void test_duplicates(void **unused)
{
    (void)unused;
    static const char yaml[] = "b: 1\na: 1\nb: 2\nb: 3\na: 2\nc: 1\n";
    struct yaml_tree *tree = load(yaml, sizeof yaml - 1);
    const struct yaml_node *root = yaml_tree_root(tree);
    assert_int_equal(problems.count, 3);
    assert_int_equal(root->count, 3);
    assert_string_equal(root->first->key, "b");
    assert_string_equal(root->first->text, "1");
    assert_string_equal(root->last->key, "c");
    assert_null(root->last->next);
    yaml_tree_free(tree);
}

static void test_byte_order_mark(void **unused)
{
    (void)unused;
    static const char yaml[] = "\xef\xbb\xbf"
                               "a: 1\n";
    struct yaml_tree *tree = load(yaml, sizeof yaml - 1);
    assert_int_equal(problems.count, 0);
    assert_int_equal(yaml_node_child(yaml_tree_root(tree), "a")->key_place.column, 1);
    yaml_tree_free(tree);
}

static char *repeat(const char *piece, size_t count, size_t *length)
{
    size_t each = strlen(piece);
    char *bytes = memory_new(1, each * count + 1);
    for (size_t i = 0; i < count; i++)
        memcpy(bytes + i * each, piece, each);
    *length = each * count;
    return bytes;
}

/* None of these may take time that grows with the square of their size. */
static void test_hostile(void **unused)
{
    (void)unused;
    static const struct {
        const char *piece;
        size_t count;
        const char *fragment;
    } table[] = {
        {"[", 100000, "nested more than 16"},
        {"{a: ", 60000, "nested more than 16"},
        {"- ", 100000, "nested more than 16"},
        {"? ", 100000, "plain word"},
        {"a: ", 80000, "cannot be a `key:`"},
        {"a: 1\n", 50000, "second time"},
        {"[],", 80000, ""},
        {"- a\n", 65536, "65536 values"},
        {"#", 1048576, NULL},
        {"\n", 1048576, NULL},
        {"'", 262143, "never closed"},
        {"x", 1048577, "larger than 1024 KiB"},
        {"x", 1048576, NULL},
        {"- &a a\n", 30000, "anchors"},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        size_t length;
        char *bytes = repeat(table[i].piece, table[i].count, &length);
        clock_t begin = clock();
        struct yaml_tree *tree = load(bytes, length);
        double seconds = (double)(clock() - begin) / CLOCKS_PER_SEC;
        yaml_tree_free(tree);
        free(bytes);
        if (seconds > 3 || (problems.count > 0) != (table[i].fragment != NULL) ||
            (problems.count > 0 && strstr(problems.list[0].message, table[i].fragment) == NULL))
            fail_msg("\"%s\" x %zu: %.2f s, %zu problems, first: %s", table[i].piece,
                     table[i].count, seconds, problems.count, problems.list[0].message);
    }
}

static void test_depth(void **unused)
{
    (void)unused;
    for (size_t depth = YAML_TREE_DEPTH_MAX; depth <= YAML_TREE_DEPTH_MAX + 1; depth++) {
        char bytes[64] = "";
        memset(bytes, '[', depth);
        memset(bytes + depth, ']', depth);
        yaml_tree_free(load(bytes, 2 * depth));
        assert_int_equal(problems.count, depth > YAML_TREE_DEPTH_MAX);
        if (problems.count > 0)
            assert_int_equal(problems.list[0].column, YAML_TREE_DEPTH_MAX + 1);
    }
}

static void test_set(void **unused)
{
    (void)unused;
    static const char yaml[] = "a: 1\nb:\nc: [1]\n";
    struct yaml_tree *tree = load(yaml, sizeof yaml - 1);
    struct yaml_node *root = yaml_tree_root(tree);
    struct place place = {"V", 0, 0};
    assert_non_null(yaml_tree_set(tree, root, "a", "2", place));
    assert_string_equal(yaml_node_at(root, "a")->text, "2");
    assert_string_equal(yaml_node_at(root, "a")->place.file, "V");
    assert_ptr_equal(root->first->next, yaml_node_at(root, "b"));
    assert_non_null(yaml_tree_set(tree, yaml_node_at(root, "b"), "x", "y", place));
    assert_string_equal(yaml_node_at(root, "b.x")->text, "y");
    assert_null(yaml_tree_set(tree, yaml_node_at(root, "c"), "x", "y", place));
    assert_non_null(yaml_tree_set(tree, root, "d", NULL, place));
    assert_int_equal(yaml_node_at(root, "d")->kind, YAML_MAPPING);
    assert_ptr_equal(root->last, yaml_node_at(root, "d"));
    yaml_tree_free(tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tree),       cmocka_unit_test(test_refused),
        cmocka_unit_test(test_duplicates), cmocka_unit_test(test_byte_order_mark),
        cmocka_unit_test(test_hostile),    cmocka_unit_test(test_depth),
        cmocka_unit_test(test_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
