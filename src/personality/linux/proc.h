/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * proc: files of /proc that would show visor and the host's CPU instead of the guest.
 *
 * A call that takes a path asks linux_proc_find() first and, if the path is one of these files,
 * serves it by the functions below instead of the host's file. All other files of /proc are right as the
 * host has them, because the guest's process is a process of the host.
 */
#ifndef VISOR_PERSONALITY_LINUX_PROC_H
#define VISOR_PERSONALITY_LINUX_PROC_H

#include <limits.h>
#include <stdio.h>

#include "base/macros.h"
#include "personality/linux/process.h"

enum linux_proc_file {
    LINUX_PROC_NONE,      /* not ours */
    LINUX_PROC_OWN_FD,    /* /proc/self/fd/N of a descriptor of visor: does not exist */
    LINUX_PROC_EXE,       /* /proc/self/exe: the link to process->exe_path */
    LINUX_PROC_OTHER_EXE, /* the same of another process of visor, which its link would show */
    LINUX_PROC_CPUINFO,   /* these have contents, see linux_proc_open() */
    LINUX_PROC_AUXV,
    LINUX_PROC_CMDLINE,
    LINUX_PROC_ENVIRON,
    LINUX_PROC_MAPS, /* from here to STAT: of this or another process of visor, with the path of the host's */
    LINUX_PROC_SMAPS,
    LINUX_PROC_SMAPS_ROLLUP,
    LINUX_PROC_NUMA_MAPS,
    LINUX_PROC_STATUS,
    LINUX_PROC_STATM,
    LINUX_PROC_STAT,
    LINUX_PROC_FDINFO, /* of any process, with the path of the host's */
    LINUX_PROC_ARCH,   /* /proc/sys/kernel/arch */
    LINUX_PROC_MIDR,   /* /sys/devices/system/cpu/cpuN/regs/identification/midr_el1 */
};

/* What the path at guest address `path`, relative to `dirfd`, names. A bad address gives LINUX_PROC_NONE;
 * LINUX_PROC_OTHER_EXE gives the path of the program in `target`, files with a path of the host's that. */
enum linux_proc_file linux_proc_find(struct linux_thread *thread, int dirfd, uint64_t path,
                                     char target[PATH_MAX]);

/* What a path names that leads to visor's own program file: EXE or OTHER_EXE if it does through such a link,
 * with `target` as above; LINUX_PROC_NONE if it names the file itself. */
enum linux_proc_file linux_proc_follow(const struct linux_process *process, int dirfd, const char *path,
                                       char target[PATH_MAX]);

/* If `dirfd` is open on the directory fd or fdinfo of a process of visor: its descriptors of visor's own, by
 * enum linux_own_fd. */
bool linux_proc_is_fd_directory(struct linux_thread *thread, int dirfd, int own_fds[OWN_FD_COUNT]);

/* A new descriptor with the file's contents at this moment, or a negative errno. `flags`: the host's;
 * `path`: what linux_proc_find() gave as the target. */
int64_t linux_proc_open(struct linux_thread *thread, enum linux_proc_file file, const char *path,
                        uint64_t flags);

/* Tells the kernel where the guest's arguments, environment, auxiliary vector and stack are, so that
 * /proc/PID of this process shows them, to others as well. Without effect on kernels that cannot be told. */
void linux_proc_publish(struct linux_process *process, uint64_t sp);

/* The program that the process with this directory runs, if it is one of visor's that has told the kernel. */
bool linux_proc_other_exe(const struct linux_process *process, const char *directory, char target[PATH_MAX]);

/* Is this visor's own program file? */
static inline bool linux_is_own_file(const struct linux_process *process, uint64_t device, uint64_t inode)
{
    return UNLIKELY(inode == process->own_inode && device == process->own_device && process->own_inode);
}

/* Is this directory, like /proc/PID, that of a process of this visor? */
bool linux_proc_is_visor(const struct linux_process *process, const char *directory);

/* Write the host's files of /proc/PID about the address space as the guest sees it (maps.c): 0 or a negative
 * errno. For the rollup `host` is smaps. */
int linux_proc_convert_maps(FILE *stream, struct linux_process *process, FILE *host);
int linux_proc_convert_smaps(FILE *stream, struct linux_process *process, FILE *host);
int linux_proc_convert_smaps_rollup(FILE *stream, struct linux_process *process, FILE *host);
int linux_proc_convert_numa_maps(FILE *stream, struct linux_process *process, FILE *host);

/* Writes the host's LINUX_PROC_STATUS, _STATM, _STAT or _FDINFO with the guest's values (proc_status.c), for
 * which all but the last need the process's `maps`: 0 or a negative errno. */
int linux_proc_convert_status(FILE *stream, struct linux_process *process, enum linux_proc_file file,
                              FILE *host, FILE *maps);

/* Texts of other processes (proc_publish.c). The fields of /proc/PID/stat from the fourth on, by their
 * number; false: there are not so many. */
#define LINUX_STAT_FIELDS 48
bool linux_proc_parse_stat(const char *text, uint64_t fields[LINUX_STAT_FIELDS]);
/* The name of the file that is mapped at `address`, by a file like /proc/PID/maps. */
bool linux_proc_find_mapped(FILE *maps, uint64_t address, char target[PATH_MAX]);

#endif
