/* SPDX-License-Identifier: MIT */
/* The options that change OpenBeken's configuration: made from the table of its fields. */
#include "bridge/commands/flash_obk_rows.h"

#include "drivers/base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIELDS_MAX = 120, HELP_SIZE = 200 };

static const struct option_row others[] = {
    {.name = "pin",
     .kind = OPTION_LIST,
     .argument = "N=ROLE[:C[:C2]]",
     .at = OBK_EDITS_AT,
     .help = "use of pin PN and its channels, like 6=Rel:1; repeatable"},
    {.name = "flag",
     .kind = OPTION_LIST,
     .argument = "N=0|1",
     .at = OBK_EDITS_AT,
     .help = "flag N off or on, 0 to 63; repeatable"},
    {.name = "clear",
     .kind = OPTION_LIST,
     .argument = "FIELD",
     .at = OBK_EDITS_AT,
     .help = "make a text or a password empty; repeatable"},
    {.name = "fields",
     .kind = OPTION_LIST,
     .argument = "FILE",
     .at = OBK_EDITS_AT,
     .file = true,
     .help = "fields from JSON, as `show --json` prints them"},
    {.name = "tuya",
     .kind = OPTION_LIST,
     .argument = "DUMP",
     .at = OBK_EDITS_AT,
     .file = true,
     .help = "pins and their commands from the vendor's settings in a dump"},
    {.name = "client-id", .kind = OPTION_ALIAS, .argument = "mqtt-client-id"},
    {.name = NULL},
};
enum { OTHERS = sizeof others / sizeof others[0] - 1 };

/* A row for each field, made once, as the fields are a table of another module. */
static struct {
    struct option_row rows[FIELDS_MAX + OTHERS + 1];
    char names[FIELDS_MAX][OBK_EDIT_NAME_SIZE];
    char helps[FIELDS_MAX][HELP_SIZE];
    bool made;
} table;

static void add_field(size_t index, size_t row, const struct obk_config_field *field)
{
    bool secret = field->environment != NULL;
    obk_edit_option_name(field, table.names[index]);
    if (secret)
        (void)snprintf(table.helps[index], HELP_SIZE, "%s: the first line of F; - asks; or %s",
                       field->help, field->environment);
    else
        (void)snprintf(table.helps[index], HELP_SIZE, "%s", field->help);
    table.rows[row] = (struct option_row){
        .name = table.names[index],
        .kind = OPTION_LIST,
        .argument = secret             ? "F"
                    : field->count > 1 ? "V,V... or I=V,I=V..."
                                       : "V",
        .at = OBK_EDITS_AT,
        .file = secret,
        .help = table.helps[index],
    };
}

const struct option_row *obk_edit_rows(void)
{
    const struct obk_config_field *field;
    if (table.made)
        return table.rows;
    memcpy(table.rows, others, sizeof others);
    size_t row = OTHERS;
    for (size_t i = 0; (field = obk_config_field(i)) != NULL && i < FIELDS_MAX; i++)
        if (field->type != OBK_CONFIG_HEX)
            add_field(i, row++, field);
    table.made = true;
    return table.rows;
}

struct obk_edits *obk_edits_of(const struct obk_edit_options *options, struct obk_edit **list)
{
    size_t count = options->edits.count;
    *list = memory_new(count + 1, sizeof **list);
    for (size_t i = 0; i < count; i++)
        (*list)[i] = (struct obk_edit){options->edits.items[i].name, options->edits.items[i].value};
    return obk_edits_create(*list, count);
}
