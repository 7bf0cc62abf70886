/* SPDX-License-Identifier: MIT */
/*
 * A disk that forgets what was not synced. Every write, cut, sync and deletion that SQLite does goes to the
 * real file and into a log; from the log, what a power cut after any of them could leave is made afresh: of
 * what was not synced yet, nothing, everything, or whole sectors at random, in any order.
 *
 * A file that was made but never synced may be missing after the cut. One thread at a time. Included by one
 * test file.
 */
#ifndef TESTS_UNIT_POWER_CUT_VFS_H
#define TESTS_UNIT_POWER_CUT_VFS_H

#include "random_helper.h"

#include <sqlite3.h>

#define CUT_FILES 8
#define CUT_NAME_SIZE 160
#define CUT_SECTOR 512

enum cut_kind { CUT_WRITE, CUT_TRUNCATE, CUT_SYNC, CUT_DELETE };

struct cut_op {
    enum cut_kind kind;
    unsigned file;
    int64_t offset; /* CUT_TRUNCATE: the new length */
    int length;
    char *bytes;
};

struct cut_log {
    char names[CUT_FILES][CUT_NAME_SIZE];
    unsigned file_count;
    struct cut_op *ops;
    size_t count, capacity;
    sqlite3_vfs vfs;
    sqlite3_vfs *real;
};

/* The one log: SQLite's callbacks get no context but the file. */
static struct cut_log cut_log;

struct cut_file {
    sqlite3_file base;
    unsigned number; /* CUT_FILES: not logged */
    sqlite3_file *real;
};

static unsigned cut_number(const char *name)
{
    for (unsigned i = 0; i < cut_log.file_count; i++)
        if (strcmp(cut_log.names[i], name) == 0)
            return i;
    assert_true(cut_log.file_count < CUT_FILES);
    (void)snprintf(cut_log.names[cut_log.file_count], CUT_NAME_SIZE, "%s", name);
    return cut_log.file_count++;
}

static void cut_note(enum cut_kind kind, unsigned file, int64_t offset, const void *bytes,
                     int length)
{
    if (cut_log.count == cut_log.capacity) {
        cut_log.capacity = cut_log.capacity == 0 ? 1024 : cut_log.capacity * 2;
        cut_log.ops = realloc(cut_log.ops, cut_log.capacity * sizeof *cut_log.ops);
        assert_non_null(cut_log.ops);
    }
    char *copy = NULL;
    if (length > 0) {
        copy = malloc((size_t)length);
        assert_non_null(copy);
        memcpy(copy, bytes, (size_t)length);
    }
    cut_log.ops[cut_log.count++] = (struct cut_op){kind, file, offset, length, copy};
}

/* ---- what SQLite calls ---- */

static sqlite3_file *cut_real(sqlite3_file *file)
{
    return ((struct cut_file *)file)->real;
}

static unsigned cut_of(sqlite3_file *file)
{
    return ((struct cut_file *)file)->number;
}

static int cut_close(sqlite3_file *file)
{
    return cut_real(file)->pMethods->xClose(cut_real(file));
}

static int cut_read(sqlite3_file *file, void *bytes, int length, sqlite3_int64 offset)
{
    return cut_real(file)->pMethods->xRead(cut_real(file), bytes, length, offset);
}

static int cut_write(sqlite3_file *file, const void *bytes, int length, sqlite3_int64 offset)
{
    int code = cut_real(file)->pMethods->xWrite(cut_real(file), bytes, length, offset);
    if (code == SQLITE_OK)
        cut_note(CUT_WRITE, cut_of(file), offset, bytes, length);
    return code;
}

static int cut_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    int code = cut_real(file)->pMethods->xTruncate(cut_real(file), size);
    if (code == SQLITE_OK)
        cut_note(CUT_TRUNCATE, cut_of(file), size, NULL, 0);
    return code;
}

static int cut_sync(sqlite3_file *file, int flags)
{
    int code = cut_real(file)->pMethods->xSync(cut_real(file), flags);
    if (code == SQLITE_OK)
        cut_note(CUT_SYNC, cut_of(file), 0, NULL, 0);
    return code;
}

static int cut_size(sqlite3_file *file, sqlite3_int64 *size)
{
    return cut_real(file)->pMethods->xFileSize(cut_real(file), size);
}

static int cut_lock(sqlite3_file *file, int level)
{
    return cut_real(file)->pMethods->xLock(cut_real(file), level);
}

static int cut_unlock(sqlite3_file *file, int level)
{
    return cut_real(file)->pMethods->xUnlock(cut_real(file), level);
}

static int cut_check_lock(sqlite3_file *file, int *result)
{
    return cut_real(file)->pMethods->xCheckReservedLock(cut_real(file), result);
}

static int cut_control(sqlite3_file *file, int operation, void *argument)
{
    return cut_real(file)->pMethods->xFileControl(cut_real(file), operation, argument);
}

static int cut_sector(sqlite3_file *file)
{
    return cut_real(file)->pMethods->xSectorSize(cut_real(file));
}

static int cut_device(sqlite3_file *file)
{
    return cut_real(file)->pMethods->xDeviceCharacteristics(cut_real(file));
}

static int cut_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **memory)
{
    return cut_real(file)->pMethods->xShmMap(cut_real(file), page, size, extend, memory);
}

static int cut_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    return cut_real(file)->pMethods->xShmLock(cut_real(file), offset, count, flags);
}

static void cut_shm_barrier(sqlite3_file *file)
{
    cut_real(file)->pMethods->xShmBarrier(cut_real(file));
}

static int cut_shm_unmap(sqlite3_file *file, int delete)
{
    return cut_real(file)->pMethods->xShmUnmap(cut_real(file), delete);
}

static const sqlite3_io_methods cut_methods = {
    .iVersion = 2, /* without memory mapping, which would write past this */
    .xClose = cut_close,
    .xRead = cut_read,
    .xWrite = cut_write,
    .xTruncate = cut_truncate,
    .xSync = cut_sync,
    .xFileSize = cut_size,
    .xLock = cut_lock,
    .xUnlock = cut_unlock,
    .xCheckReservedLock = cut_check_lock,
    .xFileControl = cut_control,
    .xSectorSize = cut_sector,
    .xDeviceCharacteristics = cut_device,
    .xShmMap = cut_shm_map,
    .xShmLock = cut_shm_lock,
    .xShmBarrier = cut_shm_barrier,
    .xShmUnmap = cut_shm_unmap,
};

static int cut_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *got)
{
    (void)vfs;
    struct cut_file *mine = (struct cut_file *)file;
    mine->real = (sqlite3_file *)(mine + 1);
    mine->base.pMethods = NULL;
    assert_non_null(name); /* temporary files are in memory */
    int code = cut_log.real->xOpen(cut_log.real, name, mine->real, flags, got);
    if (code != SQLITE_OK)
        return code;
    mine->number = cut_number(name);
    mine->base.pMethods = &cut_methods;
    return SQLITE_OK;
}

static int cut_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
    (void)vfs;
    int code = cut_log.real->xDelete(cut_log.real, name, sync);
    if (code == SQLITE_OK)
        cut_note(CUT_DELETE, cut_number(name), 0, NULL, 0);
    return code;
}

static void cut_begin(void)
{
    cut_log.real = sqlite3_vfs_find(NULL);
    cut_log.vfs = *cut_log.real;
    cut_log.vfs.szOsFile += (int)sizeof(struct cut_file);
    cut_log.vfs.zName = "power-cut";
    cut_log.vfs.pNext = NULL;
    cut_log.vfs.xOpen = cut_open;
    cut_log.vfs.xDelete = cut_delete;
    assert_int_equal(sqlite3_vfs_register(&cut_log.vfs, 1), SQLITE_OK);
}

static void cut_end(void)
{
    assert_int_equal(sqlite3_vfs_unregister(&cut_log.vfs), SQLITE_OK);
    assert_int_equal(sqlite3_vfs_register(cut_log.real, 1), SQLITE_OK);
}

static void cut_free(void)
{
    for (size_t i = 0; i < cut_log.count; i++)
        free(cut_log.ops[i].bytes);
    free(cut_log.ops);
    cut_log = (struct cut_log){.file_count = 0};
}

/* ---- what a power cut leaves ---- */

struct cut_image {
    char *bytes;
    int64_t length, room;
    bool there;
};

static void cut_apply(struct cut_image *image, int64_t offset, const char *bytes, int64_t length)
{
    int64_t end = offset + length;
    if (end > image->room) {
        int64_t room = end * 2;
        image->bytes = realloc(image->bytes, (size_t)room);
        assert_non_null(image->bytes);
        memset(image->bytes + image->room, 0, (size_t)(room - image->room));
        image->room = room;
    }
    memcpy(image->bytes + offset, bytes, (size_t)length);
    if (end > image->length)
        image->length = end;
    image->there = true;
}

static void cut_shorten(struct cut_image *image, int64_t length)
{
    if (length < image->length) {
        memset(image->bytes + length, 0, (size_t)(image->length - length));
        image->length = length;
    }
}

/* One unsynced operation of which some sectors may have got through. */
static void cut_perhaps(struct cut_image *image, const struct cut_op *op, double survives,
                        uint64_t *dice)
{
    if (op->kind == CUT_TRUNCATE && fraction(dice) < survives)
        cut_shorten(image, op->offset);
    if (op->kind != CUT_WRITE)
        return;
    for (int at = 0; at < op->length;) {
        int sector = CUT_SECTOR - (int)((op->offset + at) % CUT_SECTOR);
        int length = sector < op->length - at ? sector : op->length - at;
        if (fraction(dice) < survives)
            cut_apply(image, op->offset + at, op->bytes + at, length);
        at += length;
    }
}

/* Writes the files as they could be after `count` operations into the folder, under their own names.
 * survives: the chance of each unsynced sector, 0..1. */
static void cut_leave(size_t count, double survives, uint64_t *dice, const char *folder)
{
    for (unsigned file = 0; file < cut_log.file_count; file++) {
        size_t synced = 0;
        struct cut_image image = {.there = false};
        for (size_t i = 0; i < count; i++)
            if (cut_log.ops[i].file == file && cut_log.ops[i].kind == CUT_SYNC)
                synced = i + 1;
        for (size_t i = 0; i < count; i++) {
            const struct cut_op *op = &cut_log.ops[i];
            if (op->file != file)
                continue;
            if (op->kind == CUT_DELETE) {
                image.length = 0;
                image.there = false;
                if (image.room > 0)
                    memset(image.bytes, 0, (size_t)image.room);
            } else {
                cut_perhaps(&image, op, i < synced ? 1 : survives, dice);
            }
        }
        char path[CUT_NAME_SIZE * 2];
        (void)snprintf(path, sizeof path, "%s%s", folder, strrchr(cut_log.names[file], '/'));
        if (image.there) {
            FILE *out = fopen(path, "wb");
            assert_non_null(out);
            assert_int_equal(fwrite(image.bytes, 1, (size_t)image.length, out), image.length);
            assert_int_equal(fclose(out), 0);
        }
        free(image.bytes);
    }
}

#endif
