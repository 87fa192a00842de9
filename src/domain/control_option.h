/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control_option: what follows --qmp: another path at which a domain's control socket is. */
#ifndef VISOR_DOMAIN_CONTROL_OPTION_H
#define VISOR_DOMAIN_CONTROL_OPTION_H

#include "base/error.h"

/* unix:PATH[,server[=on]][,wait=off], as QEMU's users write it. `path`, an allocated copy, is the caller's; a
 * comma in it is written twice. -EINVAL with the reason. */
int domain_control_option_parse(const char *text, char **path, struct error *error);

#endif
