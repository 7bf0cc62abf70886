/* SPDX-License-Identifier: MIT */
/** What libyaml found wrong, in words that say what to do. */
#ifndef BRIDGE_CONFIG_YAML_ERRORS_H
#define BRIDGE_CONFIG_YAML_ERRORS_H

#include "bridge/config/problems.h"

#include <stddef.h>
#include <yaml.h>

/** Adds one problem for a parser that has just failed on bytes. */
void yaml_errors_report(const char *file, const yaml_parser_t *parser, const char *bytes,
                        size_t length, struct config_problems *problems);

#endif
