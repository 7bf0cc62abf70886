/* SPDX-License-Identifier: MIT */
/* The file of totals between transactions: what is read back is what was written last as a whole. */
#include "bridge/history/safety/interim.h"
#include "history_helper.h"

#include <fcntl.h>
#include <sys/stat.h>

#define SLOT 4096

static struct interim_total totals_of(int64_t number, int64_t imported)
{
    return (struct interim_total){
        .number = number, .counter = imported % 1000, .imported = imported, .exported = 7};
}

static void write_one(struct interim *interim, const char *word, struct interim_total *list,
                      size_t count)
{
    struct interim_record record = {.totals = list, .count = count, .boot_id = "boot"};
    struct error error = {""};
    (void)snprintf(record.word, sizeof record.word, "%s", word);
    if (interim_write(interim, &record, &error) != STATUS_OK)
        fail_msg("%s", error.text);
}

/* imported of the first total that is found on top of that word; -1 if none is. */
static int64_t found(const struct folder *folder, const char *word)
{
    struct interim_record record;
    interim_read(folder->database, word, &record);
    int64_t imported = record.count == 0 ? -1 : record.totals[0].imported;
    if (record.count > 0)
        assert_string_equal(record.boot_id, "boot");
    free(record.totals);
    return imported;
}

static const char *file_of(const struct folder *folder)
{
    static char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s.interim", folder->database);
    return path;
}

static void damage(const struct folder *folder, off_t at)
{
    int fd = open(file_of(folder), O_RDWR);
    unsigned char byte = 0;
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    (void)close(fd);
}

static void test_the_newest_sound_one_counts(void **state)
{
    const struct folder *folder = *state;
    struct interim *interim = interim_create(folder->database);
    assert_int_equal(found(folder, "w"), -1); /* no file */
    for (int64_t i = 1; i <= 5; i++) {
        struct interim_total total = totals_of(1, i);
        write_one(interim, "w", &total, 1);
        assert_int_equal(found(folder, "w"), i);
    }
    struct stat status;
    assert_int_equal(stat(file_of(folder), &status), 0);
    assert_int_equal(status.st_size, 2 * SLOT); /* in place */
    assert_int_equal(found(folder, "other"), -1);
    assert_int_equal(found(folder, ""), -1);
    damage(folder, 100); /* the fifth stands in the first slot, torn */
    assert_int_equal(found(folder, "w"), 4);
    damage(folder, SLOT + 100);
    assert_int_equal(found(folder, "w"), -1);
    interim_free(interim);
}

static void test_any_torn_byte_is_noticed(void **state)
{
    const struct folder *folder = *state;
    struct interim *interim = interim_create(folder->database);
    struct interim_total list[2] = {totals_of(1, 10), totals_of(2, 20)};
    write_one(interim, "w", list, 2);
    const off_t length = 8 + 8 + 8 + 8 + META_WORD_SIZE + 40 + 2 * 48;
    for (off_t at = 0; at < length; at++) {
        damage(folder, at);
        assert_int_equal(found(folder, "w"), -1);
        damage(folder, at);
    }
    assert_int_equal(found(folder, "w"), 10);
    assert_int_equal(truncate(file_of(folder), 50), 0);
    assert_int_equal(found(folder, "w"), -1);
    interim_free(interim);
}

static void test_it_grows_and_comes_back(void **state)
{
    const struct folder *folder = *state;
    struct interim *interim = interim_create(folder->database);
    struct interim_total *list = calloc(1000, sizeof *list);
    for (size_t i = 0; i < 1000; i++)
        list[i] = totals_of((int64_t)i + 1, 5);
    write_one(interim, "w", list, 1);
    list[0].imported = 6;
    write_one(interim, "w", list, 1000);
    struct interim_record record;
    interim_read(folder->database, "w", &record);
    assert_int_equal(record.count, 1000);
    assert_memory_equal(record.totals, list, 1000 * sizeof *list);
    free(record.totals);
    assert_int_equal(unlink(file_of(folder)), 0); /* somebody tidied up */
    list[0].imported = 7;
    write_one(interim, "w", list, 1);
    assert_int_equal(found(folder, "w"), 7);
    interim_free(interim);
    interim = interim_create(folder->database); /* the next service */
    list[0].imported = 8;
    write_one(interim, "next", list, 1);
    assert_int_equal(found(folder, "next"), 8);
    assert_int_equal(found(folder, "w"), -1);
    interim_free(interim);
    free(list);
}

struct credits {
    int64_t imported[3], exported[3];
};

static void add_credit(void *context, unsigned number, int64_t imported, int64_t exported)
{
    struct credits *credits = context;
    credits->imported[number] += imported;
    credits->exported[number] += exported;
}

static void test_only_more_is_applied(void **state)
{
    (void)state;
    struct channels channels = {0};
    struct credits credits = {{0}, {0}};
    for (unsigned i = 1; i <= 2; i++) {
        struct known_channel *channel =
            channels_add(&channels, i, "house", i == 1 ? "a" : "b", READING_BL0942);
        channel->has_state = true;
        channel->state = (struct energy_state){.known = true, .imported = 100, .exported = 5};
    }
    struct interim_total list[] = {totals_of(1, 130), totals_of(2, 90) /* fewer than are stored */,
                                   totals_of(3, 10), totals_of(0, 10), totals_of(INT64_MAX, 10)};
    const struct interim_record record = {.totals = list, .count = 5, .boot_id = "boot"};
    assert_int_equal(interim_apply(&record, &channels, add_credit, &credits), 1);
    assert_int_equal(channels.list[0].state.imported, 130);
    assert_int_equal(channels.list[0].state.exported, 7);
    assert_int_equal(channels.list[0].state.counter, 130);
    assert_string_equal(channels.list[0].state.boot_id, "boot");
    assert_true(channels.list[0].dirty);
    assert_int_equal(channels.list[1].state.imported, 100);
    assert_int_equal(credits.imported[1], 30);
    assert_int_equal(credits.exported[1], 2);
    assert_int_equal(credits.imported[2], 0);
    channels_free(&channels);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_newest_sound_one_counts, folder_setup,
                                        folder_teardown),
        cmocka_unit_test_setup_teardown(test_any_torn_byte_is_noticed, folder_setup,
                                        folder_teardown),
        cmocka_unit_test_setup_teardown(test_it_grows_and_comes_back, folder_setup,
                                        folder_teardown),
        cmocka_unit_test(test_only_more_is_applied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
