/* SPDX-License-Identifier: MIT */
/**
 * Puts a simulated module on a pseudo terminal, on a libuv loop: the host's baud rate is what the
 * pty's settings say, bytes are paced by the model, an adapter that vanishes hangs up and comes
 * back under the same link.
 *
 * What a pty cannot do: tcdrain returns at once, so the port holds a change of rate back until the
 * bytes written before it have left, as a real adapter's driver does; there are no modem lines, so
 * a module is power-cycled by itself, on opening, or on request.
 */
#ifndef DRIVERS_SIMULATOR_MODULE_PORT_H
#define DRIVERS_SIMULATOR_MODULE_PORT_H

#include "drivers/base/log.h"
#include "drivers/base/status.h"
#include "drivers/simulator/module.h"

#include <uv.h>

struct module_port_options {
    const char *link;         /**< symlink to the pty, replaced if it is one; NULL: none */
    double speed;             /**< module time runs so many times as fast as the clock */
    int64_t power_cycle_ms;   /**< after so long unlinked, power-cycle (clock time); 0: never */
    bool power_cycle_on_open; /**< power-cycle when a program opens the pty */
    struct log *log;          /**< what happens, at level info; may be NULL */
};

struct module_port;

/** loop, module and options->log are borrowed; the module must have been created at time 0 with a
 *  window_scale equal to the speed. Unless power_cycle_ms or power_cycle_on_open is set it stays
 *  without power until module_port_power_cycle. */
enum status module_port_open(uv_loop_t *loop, struct module *module,
                             const struct module_port_options *options, struct module_port **port,
                             struct error *error);
/** Removes the link. The port is freed by the loop's next turn. NULL is allowed. */
void module_port_close(struct module_port *port);

/** The pty's name; it changes when the adapter vanishes. */
const char *module_port_tty(const struct module_port *port);
/** Module time now, in microseconds, for the calls of module.h. */
int64_t module_port_now_us(const struct module_port *port);
void module_port_power_cycle(struct module_port *port);
/** Unplugs the adapter for a while (clock time). */
void module_port_vanish(struct module_port *port, int64_t outage_ms);

#endif
