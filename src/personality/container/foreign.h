/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * foreign: a container's program that is for another CPU.
 *
 * The process that would execute it executes visor instead, which translates it (personality/linux), and so
 * do the programs that it executes in turn. Nothing of visor is in the container's root: the creator hands
 * the process a descriptor of visor's own file, by which nobody can write to it (self_exe.h).
 */
#ifndef VISOR_PERSONALITY_CONTAINER_FOREIGN_H
#define VISOR_PERSONALITY_CONTAINER_FOREIGN_H

#include "personality/container/process.h"

/* In the process, when it has its root, rights and directory: fills program->execution if the program is
 * foreign. */
int foreign_prepare(const struct oci_process *process, int channel, struct process_program *program,
                    struct error *error);
/* The creator's answer to CHANNEL_FOREIGN. */
int foreign_serve(int channel, struct error *error);

#endif
