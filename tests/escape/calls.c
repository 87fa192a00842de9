/* SPDX-License-Identifier: GPL-2.0-or-later */
/* calls: the system calls that visor's own filter refuses; with arguments that do nothing where they are let
 * through. */
#include <linux/bpf.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/swap.h>
#include <termios.h>

#include "attack.h"

#define WITHOUT_MEANING 0x7fff0001L

int main(void)
{
    struct perf_event_attr counter = {.size = sizeof counter};
    char letter = 'X';
    const struct {
        const char *name;
        long number, a, b, c, d;
    } calls[] = {
        {"open_by_handle_at", SYS_open_by_handle_at, -1, 0, 0, 0},
        {"bpf", SYS_bpf, BPF_MAP_CREATE, 0, 0, 0},
        {"perf_event_open", SYS_perf_event_open, (long)&counter, 0, -1, -1},
        {"kexec_load", SYS_kexec_load, 0, 0, 0, WITHOUT_MEANING},
        {"kexec_file_load", SYS_kexec_file_load, -1, -1, 0, 0},
        {"reboot", SYS_reboot, WITHOUT_MEANING, WITHOUT_MEANING, 0, 0},
        {"init_module", SYS_init_module, 0, 0, 0, 0},
        {"finit_module", SYS_finit_module, -1, 0, 0, 0},
        {"delete_module", SYS_delete_module, 0, 0, 0, 0},
        {"userfaultfd", SYS_userfaultfd, WITHOUT_MEANING, 0, 0, 0},
        {"process_madvise", SYS_process_madvise, -1, 0, 0, 0},
        {"kcmp", SYS_kcmp, getpid(), getpid(), 99, 0},
        {"mount", SYS_mount, 0, 0, 0, 0},
        {"umount2", SYS_umount2, 0, 0, 0, 0},
        {"pivot_root", SYS_pivot_root, 0, 0, 0, 0},
        {"fsopen", SYS_fsopen, 0, 0, 0, 0},
        {"fsmount", SYS_fsmount, -1, 0, 0, 0},
        {"open_tree", SYS_open_tree, -1, 0, WITHOUT_MEANING, 0},
        {"move_mount", SYS_move_mount, -1, 0, -1, 0},
        {"mount_setattr", SYS_mount_setattr, -1, 0, 0, 0},
        {"unshare user", SYS_unshare, CLONE_NEWUSER, 0, 0, 0},
        {"unshare mount", SYS_unshare, CLONE_NEWNS, 0, 0, 0},
        {"unshare cgroup", SYS_unshare, CLONE_NEWCGROUP, 0, 0, 0},
        {"clone user", SYS_clone, CLONE_NEWUSER | WITHOUT_MEANING << 32, 0, 0, 0},
        {"clone3", SYS_clone3, 0, 0, 0, 0},
        {"setns", SYS_setns, -1, 0, 0, 0},
        {"keyctl", SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0, 0},
        {"add_key", SYS_add_key, 0, 0, 0, 0},
        {"request_key", SYS_request_key, 0, 0, 0, 0},
        {"io_uring_setup", SYS_io_uring_setup, 0, 0, 0, 0},
        {"io_uring_enter", SYS_io_uring_enter, -1, 0, 0, 0},
        {"io_uring_register", SYS_io_uring_register, -1, 0, 0, 0},
        {"swapon", SYS_swapon, 0, 0, 0, 0},
        {"quotactl", SYS_quotactl, -1, 0, 0, 0},
        {"acct", SYS_acct, 1, 0, 0, 0},
        {"settimeofday", SYS_settimeofday, 1, 0, 0, 0},
        {"clock_settime", SYS_clock_settime, 99, 0, 0, 0},
        {"syslog", SYS_syslog, 99, 0, 0, 0},
        {"iopl", SYS_iopl, 99, 0, 0, 0},
        {"ioperm", SYS_ioperm, 1L << 40, 1, 1, 0},
        {"fanotify_init", SYS_fanotify_init, WITHOUT_MEANING, 0, 0, 0},
        {"chroot", SYS_chroot, 0, 0, 0, 0},
        {"socket vsock", SYS_socket, AF_VSOCK, SOCK_STREAM, 0, 0},
        {"personality", SYS_personality, 0x0400000, 0, 0, 0},
        {"TIOCSTI", SYS_ioctl, -1, TIOCSTI, (long)&letter, 0},
        {"TIOCLINUX", SYS_ioctl, -1, TIOCLINUX, (long)&letter, 0},
    };
    for (unsigned i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        long result = syscall(calls[i].number, calls[i].a, calls[i].b, calls[i].c, calls[i].d, 0);
        printf("%s: %s\n", calls[i].name, result < 0 ? strerrorname_np(errno) : "0");
    }
    return 0;
}
