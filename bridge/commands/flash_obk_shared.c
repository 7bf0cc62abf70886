/* SPDX-License-Identifier: MIT */
#include "bridge/commands/flash_obk_shared.h"

#include "bridge/provision/firmware.h"
#include "drivers/base/memory.h"
#include "drivers/beken/obk_role.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum status obk_config_refuse_existing(const char *path, struct error *error)
{
    if (access(path, F_OK) != 0)
        return STATUS_OK;
    return error_set(error, STATUS_REFUSED, "%s is already there; name another file.", path);
}

enum status obk_config_load(const char *path, struct obk_config *config,
                            enum obk_config_state *state, size_t *offset, struct error *error)
{
    uint8_t *bytes = NULL;
    size_t length = 0;
    struct image_info info;
    enum status status = firmware_load(path, &bytes, &length, &info, error);
    if (status != STATUS_OK)
        return status;
    if (obk_config_find(bytes, length, offset))
        *state = obk_config_read(bytes + *offset, length - *offset, config);
    else
        status =
            error_set(error, STATUS_FAILED,
                      "%s holds no OpenBeken configuration%s. It is 3584 bytes that begin with "
                      "CFG, on a module at 0x1D1000 (BK7231N) or 0x1E1000 (BK7231T).",
                      path, info.blank ? ", it is blank" : "");
    free(bytes);
    return status;
}

static json_t *flags_json(const struct obk_config *config)
{
    json_t *list = json_array();
    for (unsigned flag = 0; flag < 64; flag++)
        if (obk_config_flag(config, flag))
            (void)json_array_append_new(list, json_integer(flag));
    return list;
}

static json_t *pins_json(const struct obk_config *config)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < OBK_CONFIG_PINS; i++) {
        struct obk_config_pin pin = obk_config_pin(config, i);
        const char *name = obk_role_name(pin.role);
        if (pin.role == 0)
            continue;
        json_t *role = name != NULL ? json_string(name) : json_integer(pin.role);
        (void)json_array_append_new(list,
                                    json_pack("{s:i, s:o, s:i, s:i}", "pin", (int)i, "role", role,
                                              "channel", pin.channel, "channel2", pin.channel2));
    }
    return list;
}

json_t *obk_config_describe(const struct obk_config *config, enum obk_config_state state,
                            size_t offset, bool show_secrets)
{
    return json_pack("{s:b, s:I, s:I, s:i, s:i, s:o, s:o, s:o}", "valid",
                     (int)(state == OBK_CONFIG_GOOD), "address", (json_int_t)offset, "version",
                     (json_int_t)obk_config_version(config), "checksum", config->bytes[3],
                     "checksum_expected", obk_config_checksum(config), "fields",
                     obk_config_to_json(config, show_secrets), "flags", flags_json(config), "pins",
                     pins_json(config));
}
