/* SPDX-License-Identifier: MIT */
#include "drivers/beken/flash_table.h"

#include "drivers/base/number.h"

#include <stdio.h>
#include <string.h>

/* Made from schema/flash_chips.csv by bl2mqtt_embed(). */
extern const unsigned char flash_chips_csv[];
extern const size_t flash_chips_csv_size;

/* Columns of the file; what other tools say about a chip (from column 16 on) is not needed here. */
enum {
    COLUMN_ID = 0,
    COLUMN_NAME = 2,
    COLUMN_MANUFACTURER = 3,
    COLUMN_SIZE = 4,
    COLUMN_SR_COUNT = 6,
    COLUMN_MASK = 9,
    COLUMN_UNPROTECTED = 12,
    COLUMN_READ_OPCODES = 14,
    COLUMN_WRITE_OPCODES = 15,
    COLUMNS = 16,
};

struct field {
    const char *text;
    size_t length;
};

static bool parse_hex(const char *text, size_t length, uint32_t *value)
{
    uint32_t result = 0;
    if (length == 0 || length > 8)
        return false;
    for (size_t i = 0; i < length; i++) {
        int digit = number_hex_digit(text[i]);
        if (digit < 0)
            return false;
        result = result << 4 | (uint32_t)digit;
    }
    *value = result;
    return true;
}

static bool field_hex(const struct field *field, uint32_t *value)
{
    if (field->length < 3 || strncmp(field->text, "0x", 2) != 0)
        return false;
    return parse_hex(field->text + 2, field->length - 2, value);
}

static bool field_number(const struct field *field, int64_t high, uint32_t *value)
{
    int64_t number = 0;
    if (!number_parse_int(field->text, field->length, 0, high, &number))
        return false;
    *value = (uint32_t)number;
    return true;
}

/* "05 35 FF FF": up to count two-digit opcodes. */
static bool field_opcodes(const struct field *field, uint8_t *opcodes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t value = 0;
        if (3 * i + 2 > field->length || !parse_hex(field->text + 3 * i, 2, &value))
            return false;
        opcodes[i] = (uint8_t)value;
    }
    return true;
}

static void field_text(const struct field *field, char *text, size_t size)
{
    (void)snprintf(text, size, "%.*s", (int)field->length, field->text);
}

static bool split(const char *line, size_t length, struct field fields[COLUMNS])
{
    const char *end = line + length;
    for (size_t i = 0; i < COLUMNS; i++) {
        const char *comma = memchr(line, ',', (size_t)(end - line));
        if (comma == NULL)
            return false;
        fields[i] = (struct field){line, (size_t)(comma - line)};
        line = comma + 1;
    }
    return true;
}

static bool parse_line(const char *line, size_t length, struct flash_chip *chip)
{
    struct field fields[COLUMNS];
    if (!split(line, length, fields))
        return false;
    *chip = (struct flash_chip){0};
    uint32_t sr_count = 0;
    if (!field_hex(&fields[COLUMN_ID], &chip->id) ||
        !field_number(&fields[COLUMN_SIZE], INT64_C(1) << 28, &chip->size) ||
        !field_number(&fields[COLUMN_SR_COUNT], BEKEN_SR_MAX, &sr_count) ||
        !field_hex(&fields[COLUMN_MASK], &chip->protect_mask) ||
        !field_hex(&fields[COLUMN_UNPROTECTED], &chip->unprotected) ||
        !field_opcodes(&fields[COLUMN_READ_OPCODES], chip->read_opcodes, BEKEN_SR_MAX) ||
        !field_opcodes(&fields[COLUMN_WRITE_OPCODES], &chip->write_opcode, 1))
        return false;
    chip->sr_count = sr_count;
    field_text(&fields[COLUMN_NAME], chip->name, sizeof chip->name);
    field_text(&fields[COLUMN_MANUFACTURER], chip->manufacturer, sizeof chip->manufacturer);
    return true;
}

/* Calls for the row after *offset; false at the end of the table. */
static bool next_line(size_t *offset, const char **line, size_t *length)
{
    const char *text = (const char *)flash_chips_csv;
    if (*offset >= flash_chips_csv_size)
        return false;
    *line = text + *offset;
    const char *end = memchr(*line, '\n', flash_chips_csv_size - *offset);
    *length = end == NULL ? flash_chips_csv_size - *offset : (size_t)(end - *line);
    *offset += *length + 1;
    return true;
}

bool flash_table_row(size_t row, struct flash_chip *chip)
{
    size_t offset = 0;
    const char *line = NULL;
    size_t length = 0;
    for (size_t i = 0; next_line(&offset, &line, &length); i++)
        if (i == row + 1) /* the first line names the columns */
            return parse_line(line, length, chip);
    return false;
}

bool flash_table_find(uint32_t id, struct flash_chip *chip)
{
    size_t offset = 0;
    const char *line = NULL;
    size_t length = 0;
    struct flash_chip row;
    while (next_line(&offset, &line, &length)) {
        if (!parse_line(line, length, &row) || row.id != id)
            continue;
        *chip = row;
        return true;
    }
    return false;
}

void flash_table_generic(uint32_t id, struct flash_chip *chip)
{
    uint32_t capacity = id >> 16 & 0xFF;
    *chip = (struct flash_chip){
        .id = id,
        .name = "unknown",
        .manufacturer = "unknown",
        .size = capacity >= 0x10 && capacity <= 0x1C ? (uint32_t)1 << capacity : 0,
        .sr_count = 2,
        .read_opcodes = {0x05, 0x35, 0xFF},
        .write_opcode = 0x01,
        .protect_mask = 0x407C,
        .unprotected = 0,
        .generic = true,
    };
}

bool flash_id_is_silent(uint32_t id)
{
    return id == 0 || id == 0xFFFFFF;
}
