/* SPDX-License-Identifier: MIT */
#include "bridge/provision/obk_edits.h"

#include "bridge/provision/firmware.h"
#include "bridge/provision/obk_request.h"
#include "bridge/provision/secret.h"

#include "drivers/base/file.h"
#include "drivers/base/memory.h"
#include "drivers/base/number.h"
#include "drivers/beken/obk_role.h"
#include "drivers/beken/tuya_report.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIELDS_FILE_MAX = 65536 };

struct secret {
    const struct obk_config_field *field;
    char text[SECRET_SIZE];
};

struct obk_edits {
    const struct obk_edit *list; /* in the order in which they were given */
    size_t count;
    struct secret *secrets;
    size_t secret_count, secret_capacity;
    json_t *fields;          /* from --fields, or NULL */
    struct tuya_report tuya; /* from --tuya */
    bool has_tuya;
};

struct obk_edits *obk_edits_create(const struct obk_edit *list, size_t count)
{
    struct obk_edits *edits = memory_new(1, sizeof *edits);
    edits->list = list;
    edits->count = count;
    return edits;
}

void obk_edits_free(struct obk_edits *edits)
{
    if (edits == NULL)
        return;
    if (edits->secrets != NULL)
        explicit_bzero(edits->secrets, edits->secret_capacity * sizeof *edits->secrets);
    if (edits->has_tuya)
        tuya_report_free(&edits->tuya);
    json_decref(edits->fields);
    free(edits->secrets);
    free(edits);
}

/* ---- options ---- */

void obk_edit_option_name(const struct obk_config_field *field, char name[OBK_EDIT_NAME_SIZE])
{
    (void)snprintf(name, OBK_EDIT_NAME_SIZE, "%s%s", field->name,
                   field->environment != NULL ? "-file" : "");
    for (char *c = name; *c != '\0'; c++)
        if (*c == '_')
            *c = '-';
}

static const struct obk_config_field *field_of_option(const char *option)
{
    char name[OBK_EDIT_NAME_SIZE];
    const struct obk_config_field *field;
    for (size_t i = 0; (field = obk_config_field(i)) != NULL; i++) {
        obk_edit_option_name(field, name);
        if (strcmp(name, option) == 0)
            return field;
    }
    return NULL;
}

/* ---- reading ---- */

static enum status load_fields(struct obk_edits *edits, const char *path, struct error *error)
{
    char *bytes = NULL;
    size_t length = 0;
    json_error_t problem;
    if (file_read(path, FIELDS_FILE_MAX, &bytes, &length, error) != STATUS_OK)
        return STATUS_USAGE;
    json_t *document = json_loadb(bytes, length, JSON_REJECT_DUPLICATES, &problem);
    explicit_bzero(bytes, length);
    free(bytes);
    json_t *fields = json_object_get(document, "fields");
    json_decref(edits->fields);
    edits->fields = json_is_object(fields) ? json_incref(fields) : json_incref(document);
    json_decref(document);
    if (json_is_object(edits->fields))
        return STATUS_OK;
    if (document == NULL)
        return error_set(error, STATUS_USAGE, "%s:%d:%d: %s.", path, problem.line, problem.column,
                         problem.text);
    return error_set(error, STATUS_USAGE, "%s holds no object with fields.", path);
}

static enum status load_tuya(struct obk_edits *edits, const char *path, struct error *error)
{
    uint8_t *bytes = NULL;
    size_t length = 0;
    struct image_info info;
    enum status status = firmware_load(path, &bytes, &length, &info, error);
    if (status != STATUS_OK)
        return status;
    if (edits->has_tuya)
        tuya_report_free(&edits->tuya);
    tuya_report_make(bytes, length, &edits->tuya);
    edits->has_tuya = true;
    free(bytes);
    if (edits->tuya.pins.count > 0)
        return STATUS_OK;
    return error_set(error, STATUS_FAILED, "%s tells no pins. %s", path, edits->tuya.reason);
}

static enum status load_secret(struct obk_edits *edits, const struct obk_config_field *field,
                               const char *file, struct error *error)
{
    char text[SECRET_SIZE];
    bool ask = file != NULL && strcmp(file, "-") == 0;
    enum status status =
        secret_read(field->name, ask ? NULL : file, field->environment, ask, text, error);
    if (status != STATUS_OK || text[0] == '\0')
        return status;
    edits->secrets = memory_grow(edits->secrets, edits->secret_count, &edits->secret_capacity,
                                 sizeof *edits->secrets);
    struct secret *secret = &edits->secrets[edits->secret_count++];
    secret->field = field;
    memcpy(secret->text, text, sizeof text);
    explicit_bzero(text, sizeof text);
    return STATUS_OK;
}

static const char *value_of(const struct obk_edits *edits, const char *option)
{
    const char *value = NULL;
    for (size_t i = 0; i < edits->count; i++)
        if (strcmp(edits->list[i].option, option) == 0)
            value = edits->list[i].value;
    return value;
}

enum status obk_edits_prepare(struct obk_edits *edits, struct error *error)
{
    char name[OBK_EDIT_NAME_SIZE];
    const struct obk_config_field *field;
    const char *fields = value_of(edits, "fields");
    const char *dump = value_of(edits, "tuya");
    enum status status = fields != NULL ? load_fields(edits, fields, error) : STATUS_OK;
    if (status == STATUS_OK && dump != NULL)
        status = load_tuya(edits, dump, error);
    for (size_t i = 0; status == STATUS_OK && (field = obk_config_field(i)) != NULL; i++) {
        obk_edit_option_name(field, name);
        if (field->environment != NULL)
            status = load_secret(edits, field, value_of(edits, name), error);
    }
    return status;
}

/* ---- applying ---- */

/* "P6=Rel:1:2" */
static enum status apply_pin(struct obk_config *config, const char *text, struct error *error)
{
    int64_t pin = 0;
    int64_t channels[2] = {0, 0};
    struct obk_config_pin what = {0};
    const char *at = text + (text[0] == 'P' || text[0] == 'p');
    size_t length = strcspn(at, "=");
    bool good = at[length] == '=' && number_parse_int(at, length, 0, OBK_CONFIG_PINS - 1, &pin);
    if (good) {
        at += length + 1;
        length = strcspn(at, ":");
        good = obk_role_parse(at, length, &what.role);
    }
    for (size_t i = 0; good && at[length] == ':'; i++) {
        at += length + 1;
        length = strcspn(at, ":");
        good = i < 2 && number_parse_int(at, length, 0, UINT8_MAX, &channels[i]);
    }
    if (!good)
        return error_set(error, STATUS_USAGE,
                         "--pin %s: give pin, role and channel like 6=Rel:1; roles are OpenBeken's "
                         "names or numbers.",
                         text);
    what.channel = (uint8_t)channels[0];
    what.channel2 = (uint8_t)channels[1];
    obk_config_set_pin(config, (unsigned)pin, what);
    return STATUS_OK;
}

static enum status apply_flag(struct obk_config *config, const char *text, struct error *error)
{
    int64_t flag = 0;
    int64_t on = 0;
    size_t length = strcspn(text, "=");
    if (text[length] != '=' || !number_parse_int(text, length, 0, 63, &flag) ||
        !number_parse_int(text + length + 1, strlen(text + length + 1), 0, 1, &on))
        return error_set(error, STATUS_USAGE,
                         "--flag %s: give a number from 0 to 63, = and 0 or 1.", text);
    obk_config_set_flag(config, (unsigned)flag, on == 1);
    return STATUS_OK;
}

static enum status apply_edit(struct obk_config *config, const struct obk_edit *edit,
                              struct error *error)
{
    char name[OBK_EDIT_NAME_SIZE];
    const struct obk_config_field *field = field_of_option(edit->option);
    if (field != NULL && field->environment == NULL)
        return obk_config_set(config, field->name, edit->value, error);
    if (strcmp(edit->option, "pin") == 0)
        return apply_pin(config, edit->value, error);
    if (strcmp(edit->option, "flag") == 0)
        return apply_flag(config, edit->value, error);
    if (strcmp(edit->option, "clear") != 0)
        return STATUS_OK; /* prepared before */
    (void)snprintf(name, sizeof name, "%s", edit->value);
    for (char *c = name; *c != '\0'; c++)
        if (*c == '-')
            *c = '_';
    return obk_config_set(config, name, "", error);
}

static void derive_short_name(struct obk_config *config)
{
    char client_id[OBK_CONFIG_TEXT_SIZE];
    char short_name[OBK_SHORT_NAME_MAX + 1];
    obk_config_get(config, "mqtt_client_id", client_id);
    obk_short_name(client_id, short_name, sizeof short_name);
    (void)obk_config_set(config, "short_name", short_name, NULL);
}

static bool names_short_name(const struct obk_edits *edits)
{
    return value_of(edits, "short-name") != NULL ||
           json_object_get(edits->fields, "short_name") != NULL;
}

/* The firmware's factory user is known to no broker, and would keep the module out of one that lets
 * everybody in. */
static void clear_factory_user(struct obk_config *config)
{
    (void)obk_config_set(config, "mqtt_user", "", NULL);
    (void)obk_config_set(config, "mqtt_password", "", NULL);
}

enum status obk_edits_apply(const struct obk_edits *edits, bool is_new, struct obk_config *config,
                            struct error *error)
{
    if (is_new && value_of(edits, "mqtt-host") != NULL)
        clear_factory_user(config);
    enum status status =
        edits->fields != NULL ? obk_config_set_json(config, edits->fields, error) : STATUS_OK;
    if (status == STATUS_OK && edits->has_tuya)
        tuya_pins_apply(&edits->tuya.pins, config);
    for (size_t i = 0; status == STATUS_OK && i < edits->count; i++)
        status = apply_edit(config, &edits->list[i], error);
    for (size_t i = 0; status == STATUS_OK && i < edits->secret_count; i++)
        status =
            obk_config_set(config, edits->secrets[i].field->name, edits->secrets[i].text, error);
    if (status == STATUS_OK && is_new && value_of(edits, "mqtt-client-id") != NULL &&
        !names_short_name(edits))
        derive_short_name(config);
    return status;
}
