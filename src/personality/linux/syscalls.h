/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * syscalls: the functions behind the rows of syscalls.def, syscalls_amd64.def and syscalls_i386.def. Private
 * to this folder.
 *
 * linux_sys_NAME() serves a CALL row and is written by hand; linux_pass_NAME() serves a PASS row and is
 * made by passthrough.c.
 */
#ifndef VISOR_PERSONALITY_LINUX_SYSCALLS_H
#define VISOR_PERSONALITY_LINUX_SYSCALLS_H

#include <sys/syscall.h>

#include "personality/linux/process.h"

/* Newer than the host's headers may be. From 424 on the numbers are the same on all architectures. */
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif
#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452
#endif
#ifndef SYS_futex_wake
#define SYS_futex_wake    454
#define SYS_futex_wait    455
#define SYS_futex_requeue 456
#endif
#ifndef SYS_statmount
#define SYS_statmount 457
#define SYS_listmount 458
#endif
#ifndef SYS_lsm_get_self_attr
#define SYS_lsm_get_self_attr 459
#define SYS_lsm_set_self_attr 460
#define SYS_lsm_list_modules  461
#endif
#ifndef SYS_mseal
#define SYS_mseal 462
#endif
#ifndef SYS_setxattrat
#define SYS_setxattrat    463
#define SYS_getxattrat    464
#define SYS_listxattrat   465
#define SYS_removexattrat 466
#endif
#ifndef SYS_open_tree_attr
#define SYS_open_tree_attr 467
#endif
#ifndef SYS_file_getattr
#define SYS_file_getattr 468
#define SYS_file_setattr 469
#endif
#ifndef SYS_listns
#define SYS_listns 470
#endif
#ifndef SYS_map_shadow_stack
#define SYS_map_shadow_stack 453
#endif
#ifndef SYS_rseq_slice_yield
#define SYS_rseq_slice_yield 471
#endif

#define CALL(number, name, format) int64_t linux_sys_##name(struct linux_thread *thread, const uint64_t a[6]);
#define PASS(number, name, format)                                                                           \
    int64_t linux_pass_##name(struct linux_thread *thread, const uint64_t a[6]);
#define NONE(number, name, format)
#include "personality/linux/syscalls.def"
#include "personality/linux/syscalls_amd64.def"
#undef CALL
#undef PASS

/* i386's: linux_i386_NAME() serves an OWN row, linux_i386_pass_NAME() a PASS row. */
#define CALL(number, name, format)
#define SAME(number, name, as, format)
#define WIDE(number, name, as, format)
#define OWN(number, name, format) int64_t linux_i386_##name(struct linux_thread *thread, const uint64_t a[6]);
#define PASS(number, name, format)                                                                           \
    int64_t linux_i386_pass_##name(struct linux_thread *thread, const uint64_t a[6]);
#include "personality/linux/syscalls_i386.def"
#undef CALL
#undef SAME
#undef WIDE
#undef OWN
#undef PASS
#undef NONE

#endif
