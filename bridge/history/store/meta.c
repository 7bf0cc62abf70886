/* SPDX-License-Identifier: MIT */
#include "bridge/history/store/meta.h"

#include "bridge/history/store/key.h"
#include "bridge/history/store/sql.h"
#include "drivers/base/number.h"

#include <stdio.h>
#include <string.h>

static int find(sqlite3 *db, const char *name, sqlite3_stmt **statement)
{
    int code =
        sqlite3_prepare_v2(db, "SELECT value FROM meta WHERE name = ?1", -1, statement, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_bind_text(*statement, 1, name, -1, SQLITE_STATIC);
    return code == SQLITE_OK ? sqlite3_step(*statement) : code;
}

static int found(int code)
{
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

int meta_get(sqlite3 *db, const char *name, char *text, size_t size, bool *known)
{
    sqlite3_stmt *statement = NULL;
    int code = find(db, name, &statement);
    const char *value = code == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    bool fits = value != NULL && strlen(value) < size;
    (void)snprintf(text, size, "%s", fits ? value : "");
    if (known != NULL)
        *known = code == SQLITE_ROW;
    (void)sqlite3_finalize(statement);
    return found(code);
}

int meta_put(sqlite3 *db, const char *name, const char *text)
{
    sqlite3_stmt *statement = NULL;
    const char *sql = text == NULL ? "DELETE FROM meta WHERE name = ?1"
                                   : "INSERT OR REPLACE INTO meta VALUES (?1, ?2)";
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK) {
        (void)sqlite3_bind_text(statement, 1, name, -1, SQLITE_STATIC);
        if (text != NULL)
            (void)sqlite3_bind_text(statement, 2, text, -1, SQLITE_STATIC);
        code = sqlite3_step(statement);
    }
    (void)sqlite3_finalize(statement);
    return found(code);
}

int meta_mark_clean(sqlite3 *db, bool clean)
{
    return meta_put(db, "stopped_clean", clean ? "1" : "0");
}

int meta_was_clean(sqlite3 *db, bool *clean)
{
    char text[8];
    bool known;
    int code = meta_get(db, "stopped_clean", text, sizeof text, &known);
    *clean = !known || strcmp(text, "1") == 0;
    return code;
}

int meta_was_used(sqlite3 *db, bool *used)
{
    char text[8];
    return meta_get(db, "stopped_clean", text, sizeof text, used);
}

int meta_mark_clock_awaited(sqlite3 *db, bool awaited)
{
    return meta_put(db, "clock_awaited", awaited ? "1" : NULL);
}

int meta_is_clock_awaited(sqlite3 *db, bool *awaited)
{
    char text[8];
    return meta_get(db, "clock_awaited", text, sizeof text, awaited);
}

int meta_put_uncredited(sqlite3 *db, const char *text)
{
    return meta_put(db, "uncredited", text[0] == '\0' ? NULL : text);
}

int meta_put_word(sqlite3 *db, const char *word)
{
    return meta_put(db, "commit", word[0] == '\0' ? NULL : word);
}

int meta_get_word(sqlite3 *db, char word[META_WORD_SIZE])
{
    return meta_get(db, "commit", word, META_WORD_SIZE, NULL);
}

/* "number imported exported" */
static void hand_out(const char *item, size_t length, meta_credit credit, void *context)
{
    int64_t values[3];
    for (size_t i = 0; i < 3; i++) {
        size_t word = 0;
        while (word < length && item[word] != ' ')
            word++;
        int64_t high = i == 0 ? CHANNEL_NUMBER_MAX : INT64_MAX / 2;
        if (!number_parse_int(item, word, i == 0 ? 1 : 0, high, &values[i]))
            return;
        item += word < length ? word + 1 : word;
        length -= word < length ? word + 1 : word;
    }
    if (length == 0)
        credit(context, (unsigned)values[0], values[1], values[2]);
}

int meta_load_uncredited(sqlite3 *db, meta_credit credit, void *context)
{
    sqlite3_stmt *statement = NULL;
    int code = find(db, "uncredited", &statement);
    const char *text = code == SQLITE_ROW ? (const char *)sqlite3_column_text(statement, 0) : NULL;
    while (text != NULL && *text != '\0') {
        size_t length = strcspn(text, ";");
        hand_out(text, length, credit, context);
        text += text[length] == ';' ? length + 1 : length;
    }
    (void)sqlite3_finalize(statement);
    return found(code);
}
