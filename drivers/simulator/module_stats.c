/* SPDX-License-Identifier: MIT */
#include "drivers/simulator/module_stats.h"

static json_t *counters_document(struct module *module)
{
    struct module_counters c;
    module_counters(module, &c);
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, "
        "s:I, s:I}",
        "power_cycles", (json_int_t)c.power_cycles, "brownouts", (json_int_t)c.brownouts,
        "watchdog_resets", (json_int_t)c.watchdog_resets, "reboots", (json_int_t)c.reboots,
        "application_boots", (json_int_t)c.application_boots, "links", (json_int_t)c.links,
        "frames", (json_int_t)c.frames, "unknown_frames", (json_int_t)c.unknown_frames, "refused",
        (json_int_t)c.refused, "crcs", (json_int_t)c.crcs, "crc_bytes", (json_int_t)c.crc_bytes,
        "overruns", (json_int_t)c.overruns, "host_overruns", (json_int_t)c.host_overruns,
        "bytes_to_chip", (json_int_t)c.bytes_to_chip, "bytes_to_host", (json_int_t)c.bytes_to_host,
        "baud_changes", (json_int_t)c.baud_changes, "vanished", (json_int_t)c.vanished);
}

static json_t *flash_document(struct module *module)
{
    struct nor *nor = module_flash(module);
    const struct nor_counters *c = nor_counters(nor);
    json_t *touched = json_array();
    for (uint32_t sector = 0; sector < nor_size(nor) / NOR_SECTOR; sector++)
        if (nor_touched(nor, sector))
            (void)json_array_append_new(touched, json_integer(sector));
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "status",
        (json_int_t)nor_status(nor), "reads", (json_int_t)c->reads, "read_bytes",
        (json_int_t)c->read_bytes, "erases_4k", (json_int_t)c->erases_4k, "erases_64k",
        (json_int_t)c->erases_64k, "erases_chip", (json_int_t)c->erases_chip, "programs",
        (json_int_t)c->programs, "program_bytes", (json_int_t)c->program_bytes, "ignored",
        (json_int_t)c->ignored, "unerased", (json_int_t)c->unerased, "bootloader_erases",
        (json_int_t)c->bootloader_erases, "bootloader_programs", (json_int_t)c->bootloader_programs,
        "status_writes", (json_int_t)c->status_writes, "touched_sectors", touched);
}

json_t *module_stats(struct module *module)
{
    return json_pack("{s:s, s:s, s:i, s:i, s:b, s:o, s:o}", "chip",
                     module_chip_name(module_chip_of(module)), "state",
                     module_state_name(module_state(module)), "baud", (int)module_baud(module),
                     "host_baud", (int)module_host_baud(module), "application_runs",
                     module_application_runs(module) ? 1 : 0, "counters", counters_document(module),
                     "flash", flash_document(module));
}
