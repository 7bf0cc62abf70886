/* SPDX-License-Identifier: MIT */
#include "bridge/commands/openbeken_found.h"

#include <stdio.h>

const char *found_text(const json_t *module, const char *key)
{
    const char *text = json_string_value(json_object_get(module, key));
    return text == NULL ? "" : text;
}

static void print_heading(const json_t *module)
{
    static const char *const keys[] = {"long_name", "page"};
    const json_t *online = json_object_get(module, "online");
    const json_t *adopted = json_object_get(module, "adopted");
    (void)printf("# %s", found_text(module, "topic"));
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (found_text(module, keys[i])[0] != '\0')
            (void)printf(" %s", found_text(module, keys[i]));
    if (online != NULL)
        (void)printf(", %s", json_is_true(online) ? "online" : "offline");
    if (adopted != NULL)
        (void)printf(", adopted as the device %s", found_text(adopted, "id"));
    else if (json_is_true(json_object_get(module, "configured")))
        (void)printf(", a device already");
    (void)printf("\n");
}

void found_print(const json_t *modules)
{
    size_t index, n;
    const json_t *module, *note;
    json_array_foreach(modules, index, module)
    {
        print_heading(module);
        json_array_foreach(json_object_get(module, "notes"), n, note)
        {
            (void)printf("#   %s\n", json_string_value(note));
        }
        if (json_object_get(module, "adopted") == NULL) /* its lines a second time would be wrong */
            (void)printf("%s", found_text(module, "config"));
    }
}
