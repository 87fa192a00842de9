/* SPDX-License-Identifier: GPL-2.0-or-later */
/* trace_names: names of flags and other constants of system calls. See trace.c for the letters. */
#include <asm/ioctls.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/bpf.h>
#include <linux/fs.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <linux/kcmp.h>
#include <linux/keyctl.h>
#include <linux/landlock.h>
#include <linux/mount.h>
#include <linux/sockios.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/macros.h"
#include "personality/linux/convert.h"
#include "personality/linux/trace.h"

struct name {
    uint64_t value;
    const char *name;
};

#define NAME(constant)                                                                                       \
    {                                                                                                        \
        (uint64_t)(constant), #constant                                                                      \
    }
/* Where the constant's value is the host's or its name has a prefix here. */
#define NAMED(value, name)                                                                                   \
    {                                                                                                        \
        (uint64_t)(value), name                                                                              \
    }

/* The guest's values, which differ from the host's in four bits. */
static const struct name open_names[] = {
    NAME(O_CREAT),
    NAME(O_EXCL),
    NAME(O_NOCTTY),
    NAME(O_TRUNC),
    NAME(O_APPEND),
    NAME(O_NONBLOCK),
    NAMED(04010000, "O_SYNC"),
    NAME(O_DSYNC),
    NAME(O_ASYNC),
    NAMED(ARM64_O_DIRECT, "O_DIRECT"),
    NAMED(ARM64_O_LARGEFILE, "O_LARGEFILE"),
    NAMED(020000000 | ARM64_O_DIRECTORY, "O_TMPFILE"),
    NAMED(ARM64_O_DIRECTORY, "O_DIRECTORY"),
    NAMED(ARM64_O_NOFOLLOW, "O_NOFOLLOW"),
    NAME(O_NOATIME),
    NAME(O_CLOEXEC),
    NAME(O_PATH),
};
static const struct name access_names[] = {NAME(R_OK), NAME(W_OK), NAME(X_OK)};
static const struct name at_names[] = {
    NAME(AT_SYMLINK_NOFOLLOW),
    NAMED(AT_REMOVEDIR, "AT_REMOVEDIR"),
    NAME(AT_SYMLINK_FOLLOW),
    NAME(AT_NO_AUTOMOUNT),
    NAME(AT_EMPTY_PATH),
    NAMED(0x2000, "AT_STATX_FORCE_SYNC"),
    NAMED(0x4000, "AT_STATX_DONT_SYNC"),
};
static const struct name whence_names[] = {
    NAME(SEEK_SET), NAME(SEEK_CUR), NAME(SEEK_END), NAMED(3, "SEEK_DATA"), NAMED(4, "SEEK_HOLE"),
};
static const struct name protection_names[] = {
    NAME(PROT_READ),         NAME(PROT_WRITE),        NAME(PROT_EXEC),      NAMED(8, "PROT_SEM"),
    NAMED(0x10, "PROT_BTI"), NAMED(0x20, "PROT_MTE"), NAME(PROT_GROWSDOWN), NAME(PROT_GROWSUP),
};
static const struct name map_names[] = {
    NAMED(3, "MAP_SHARED_VALIDATE"),
    NAME(MAP_SHARED),
    NAME(MAP_PRIVATE),
    NAME(MAP_FIXED),
    NAME(MAP_ANONYMOUS),
    NAME(MAP_GROWSDOWN),
    NAME(MAP_DENYWRITE),
    NAME(MAP_LOCKED),
    NAME(MAP_NORESERVE),
    NAME(MAP_POPULATE),
    NAME(MAP_NONBLOCK),
    NAME(MAP_STACK),
    NAME(MAP_HUGETLB),
    NAME(MAP_SYNC),
    NAMED(0x100000, "MAP_FIXED_NOREPLACE"),
};
static const struct name mask_names[] = {NAME(SIG_BLOCK), NAME(SIG_UNBLOCK), NAME(SIG_SETMASK)};
static const struct name clock_names[] = {
    NAME(CLOCK_REALTIME),          NAME(CLOCK_MONOTONIC),     NAME(CLOCK_PROCESS_CPUTIME_ID),
    NAME(CLOCK_THREAD_CPUTIME_ID), NAME(CLOCK_MONOTONIC_RAW), NAME(CLOCK_REALTIME_COARSE),
    NAME(CLOCK_MONOTONIC_COARSE),  NAME(CLOCK_BOOTTIME),      NAME(CLOCK_REALTIME_ALARM),
    NAME(CLOCK_BOOTTIME_ALARM),    NAME(CLOCK_TAI),
};
static const struct name fcntl_names[] = {
    NAME(F_DUPFD),         NAME(F_GETFD),       NAME(F_SETFD),      NAME(F_GETFL),     NAME(F_SETFL),
    NAME(F_GETLK),         NAME(F_SETLK),       NAME(F_SETLKW),     NAME(F_SETOWN),    NAME(F_GETOWN),
    NAME(F_SETSIG),        NAME(F_GETSIG),      NAME(F_SETOWN_EX),  NAME(F_GETOWN_EX), NAME(F_OFD_GETLK),
    NAME(F_OFD_SETLK),     NAME(F_OFD_SETLKW),  NAME(F_SETLEASE),   NAME(F_GETLEASE),  NAME(F_NOTIFY),
    NAME(F_DUPFD_CLOEXEC), NAME(F_SETPIPE_SZ),  NAME(F_GETPIPE_SZ), NAME(F_ADD_SEALS), NAME(F_GET_SEALS),
    NAME(F_GET_RW_HINT),   NAME(F_SET_RW_HINT),
};
static const struct name ioctl_names[] = {
    NAME(TCGETS),       NAME(TCSETS),        NAME(TCSETSW),         NAME(TCSETSF),         NAME(TCSBRK),
    NAME(TCXONC),       NAME(TCFLSH),        NAME(TIOCEXCL),        NAME(TIOCNXCL),        NAME(TIOCSCTTY),
    NAME(TIOCGPGRP),    NAME(TIOCSPGRP),     NAME(TIOCOUTQ),        NAME(TIOCSTI),         NAME(TIOCGWINSZ),
    NAME(TIOCSWINSZ),   NAME(TIOCMGET),      NAME(TIOCMBIS),        NAME(TIOCMBIC),        NAME(TIOCMSET),
    NAME(FIONREAD),     NAME(TIOCCONS),      NAME(TIOCPKT),         NAME(FIONBIO),         NAME(TIOCNOTTY),
    NAME(TIOCSETD),     NAME(TIOCGETD),      NAME(TCSBRKP),         NAME(TIOCGSID),        NAME(TIOCGPTN),
    NAME(TIOCSPTLCK),   NAME(TIOCGPTPEER),   NAME(FIONCLEX),        NAME(FIOCLEX),         NAME(FIOASYNC),
    NAME(FIOQSIZE),     NAME(SIOCGIFCONF),   NAME(SIOCGIFFLAGS),    NAME(SIOCSIFFLAGS),    NAME(SIOCGIFADDR),
    NAME(SIOCGIFINDEX), NAME(SIOCGIFNAME),   NAME(SIOCGIFMTU),      NAME(SIOCGIFHWADDR),   NAME(FICLONE),
    NAME(FICLONERANGE), NAME(FIDEDUPERANGE), NAME(FS_IOC_GETFLAGS), NAME(FS_IOC_SETFLAGS), NAME(FIGETBSZ),
    NAME(FIFREEZE),     NAME(FITHAW),        NAME(FITRIM),          NAME(BLKGETSIZE64),    NAME(BLKGETSIZE),
    NAME(BLKSSZGET),    NAME(BLKFLSBUF),     NAME(BLKRRPART),
};
static const struct name clone_names[] = {
    NAME(CLONE_VM),
    NAME(CLONE_FS),
    NAME(CLONE_FILES),
    NAME(CLONE_SIGHAND),
    NAMED(0x1000, "CLONE_PIDFD"),
    NAME(CLONE_PTRACE),
    NAME(CLONE_VFORK),
    NAME(CLONE_PARENT),
    NAME(CLONE_THREAD),
    NAME(CLONE_NEWNS),
    NAME(CLONE_SYSVSEM),
    NAME(CLONE_SETTLS),
    NAME(CLONE_PARENT_SETTID),
    NAME(CLONE_CHILD_CLEARTID),
    NAME(CLONE_DETACHED),
    NAME(CLONE_UNTRACED),
    NAME(CLONE_CHILD_SETTID),
    NAME(CLONE_NEWCGROUP),
    NAME(CLONE_NEWUTS),
    NAME(CLONE_NEWIPC),
    NAME(CLONE_NEWUSER),
    NAME(CLONE_NEWPID),
    NAME(CLONE_NEWNET),
    NAME(CLONE_IO),
};
static const struct name futex_names[] = {
    NAME(FUTEX_WAIT),
    NAME(FUTEX_WAKE),
    NAME(FUTEX_FD),
    NAME(FUTEX_REQUEUE),
    NAME(FUTEX_CMP_REQUEUE),
    NAME(FUTEX_WAKE_OP),
    NAME(FUTEX_LOCK_PI),
    NAME(FUTEX_UNLOCK_PI),
    NAME(FUTEX_TRYLOCK_PI),
    NAME(FUTEX_WAIT_BITSET),
    NAME(FUTEX_WAKE_BITSET),
    NAME(FUTEX_WAIT_REQUEUE_PI),
    NAME(FUTEX_CMP_REQUEUE_PI),
    NAMED(13, "FUTEX_LOCK_PI2"),
};
static const struct name wait_names[] = {
    NAME(WNOHANG),
    NAMED(WUNTRACED, "WUNTRACED"),
    NAME(WEXITED),
    NAME(WCONTINUED),
    NAME(WNOWAIT),
    NAMED(0x20000000, "__WNOTHREAD"),
    NAMED(0x40000000, "__WALL"),
    NAMED(0x80000000u, "__WCLONE"),
};
static const struct name limit_names[] = {
    NAME(RLIMIT_CPU),      NAME(RLIMIT_FSIZE), NAME(RLIMIT_DATA),   NAME(RLIMIT_STACK),
    NAME(RLIMIT_CORE),     NAME(RLIMIT_RSS),   NAME(RLIMIT_NPROC),  NAME(RLIMIT_NOFILE),
    NAME(RLIMIT_MEMLOCK),  NAME(RLIMIT_AS),    NAME(RLIMIT_LOCKS),  NAME(RLIMIT_SIGPENDING),
    NAME(RLIMIT_MSGQUEUE), NAME(RLIMIT_NICE),  NAME(RLIMIT_RTPRIO), NAME(RLIMIT_RTTIME),
};
static const struct name family_names[] = {
    NAME(AF_UNSPEC),  NAME(AF_UNIX),   NAME(AF_INET), NAME(AF_INET6),
    NAME(AF_NETLINK), NAME(AF_PACKET), NAME(AF_ALG),  NAME(AF_VSOCK),
};
static const struct name socket_names[] = {
    NAME(SOCK_STREAM), NAME(SOCK_DGRAM),     NAME(SOCK_RAW),
    NAME(SOCK_RDM),    NAME(SOCK_SEQPACKET), NAME(SOCK_PACKET),
};
static const struct name socket_flag_names[] = {NAME(SOCK_NONBLOCK), NAME(SOCK_CLOEXEC)};
static const struct name epoll_names[] = {NAME(EPOLL_CTL_ADD), NAME(EPOLL_CTL_DEL), NAME(EPOLL_CTL_MOD)};

static const struct name uring_enter_names[] = {
    NAME(IORING_ENTER_GETEVENTS),
    NAME(IORING_ENTER_SQ_WAKEUP),
    NAME(IORING_ENTER_SQ_WAIT),
    NAME(IORING_ENTER_EXT_ARG),
    NAME(IORING_ENTER_REGISTERED_RING),
    NAMED(1 << 5, "IORING_ENTER_ABS_TIMER"),
    NAMED(1 << 6, "IORING_ENTER_EXT_ARG_REG"),
    NAMED(1 << 7, "IORING_ENTER_NO_IOWAIT"),
};
static const struct name uring_register_names[] = {
    NAME(IORING_REGISTER_BUFFERS),        NAME(IORING_UNREGISTER_BUFFERS),
    NAME(IORING_REGISTER_FILES),          NAME(IORING_UNREGISTER_FILES),
    NAME(IORING_REGISTER_EVENTFD),        NAME(IORING_UNREGISTER_EVENTFD),
    NAME(IORING_REGISTER_FILES_UPDATE),   NAME(IORING_REGISTER_EVENTFD_ASYNC),
    NAME(IORING_REGISTER_PROBE),          NAME(IORING_REGISTER_PERSONALITY),
    NAME(IORING_UNREGISTER_PERSONALITY),  NAME(IORING_REGISTER_RESTRICTIONS),
    NAME(IORING_REGISTER_ENABLE_RINGS),   NAME(IORING_REGISTER_FILES2),
    NAME(IORING_REGISTER_FILES_UPDATE2),  NAME(IORING_REGISTER_BUFFERS2),
    NAME(IORING_REGISTER_BUFFERS_UPDATE), NAME(IORING_REGISTER_IOWQ_AFF),
    NAME(IORING_UNREGISTER_IOWQ_AFF),     NAME(IORING_REGISTER_IOWQ_MAX_WORKERS),
    NAME(IORING_REGISTER_RING_FDS),       NAME(IORING_UNREGISTER_RING_FDS),
    NAME(IORING_REGISTER_PBUF_RING),      NAME(IORING_UNREGISTER_PBUF_RING),
    NAME(IORING_REGISTER_SYNC_CANCEL),    NAME(IORING_REGISTER_FILE_ALLOC_RANGE),
};
static const struct name bpf_names[] = {
    NAME(BPF_MAP_CREATE),       NAME(BPF_MAP_LOOKUP_ELEM),
    NAME(BPF_MAP_UPDATE_ELEM),  NAME(BPF_MAP_DELETE_ELEM),
    NAME(BPF_MAP_GET_NEXT_KEY), NAME(BPF_PROG_LOAD),
    NAME(BPF_OBJ_PIN),          NAME(BPF_OBJ_GET),
    NAME(BPF_PROG_ATTACH),      NAME(BPF_PROG_DETACH),
    NAME(BPF_PROG_TEST_RUN),    NAME(BPF_PROG_GET_NEXT_ID),
    NAME(BPF_MAP_GET_NEXT_ID),  NAME(BPF_PROG_GET_FD_BY_ID),
    NAME(BPF_MAP_GET_FD_BY_ID), NAME(BPF_OBJ_GET_INFO_BY_FD),
    NAME(BPF_PROG_QUERY),       NAME(BPF_RAW_TRACEPOINT_OPEN),
    NAME(BPF_BTF_LOAD),         NAME(BPF_LINK_CREATE),
};
static const struct name keyctl_names[] = {
    NAME(KEYCTL_GET_KEYRING_ID),
    NAME(KEYCTL_JOIN_SESSION_KEYRING),
    NAME(KEYCTL_UPDATE),
    NAME(KEYCTL_REVOKE),
    NAME(KEYCTL_CHOWN),
    NAME(KEYCTL_SETPERM),
    NAME(KEYCTL_DESCRIBE),
    NAME(KEYCTL_CLEAR),
    NAME(KEYCTL_LINK),
    NAME(KEYCTL_UNLINK),
    NAME(KEYCTL_SEARCH),
    NAME(KEYCTL_READ),
    NAME(KEYCTL_INSTANTIATE),
    NAME(KEYCTL_NEGATE),
    NAME(KEYCTL_SET_REQKEY_KEYRING),
    NAME(KEYCTL_SET_TIMEOUT),
    NAME(KEYCTL_ASSUME_AUTHORITY),
    NAME(KEYCTL_GET_SECURITY),
    NAME(KEYCTL_SESSION_TO_PARENT),
    NAME(KEYCTL_INVALIDATE),
    NAME(KEYCTL_GET_PERSISTENT),
    NAME(KEYCTL_CAPABILITIES),
};
static const struct name fsconfig_names[] = {
    NAME(FSCONFIG_SET_FLAG),   NAME(FSCONFIG_SET_STRING),      NAME(FSCONFIG_SET_BINARY),
    NAME(FSCONFIG_SET_PATH),   NAME(FSCONFIG_SET_PATH_EMPTY),  NAME(FSCONFIG_SET_FD),
    NAME(FSCONFIG_CMD_CREATE), NAME(FSCONFIG_CMD_RECONFIGURE), NAMED(8, "FSCONFIG_CMD_CREATE_EXCL"),
};
static const struct name kcmp_names[] = {
    NAME(KCMP_FILE),    NAME(KCMP_VM), NAME(KCMP_FILES),   NAME(KCMP_FS),
    NAME(KCMP_SIGHAND), NAME(KCMP_IO), NAME(KCMP_SYSVSEM), NAME(KCMP_EPOLL_TFD),
};
static const struct name statx_names[] = {
    NAMED(STATX_ALL, "STATX_ALL"),
    NAME(STATX_BASIC_STATS),
    NAME(STATX_TYPE),
    NAME(STATX_MODE),
    NAME(STATX_NLINK),
    NAME(STATX_UID),
    NAME(STATX_GID),
    NAME(STATX_ATIME),
    NAME(STATX_MTIME),
    NAME(STATX_CTIME),
    NAME(STATX_INO),
    NAME(STATX_SIZE),
    NAME(STATX_BLOCKS),
    NAME(STATX_BTIME),
    NAME(STATX_MNT_ID),
    NAMED(0x2000, "STATX_DIOALIGN"),
};
static const struct name memfd_names[] = {
    NAME(MFD_CLOEXEC),           NAME(MFD_ALLOW_SEALING), NAME(MFD_HUGETLB),
    NAMED(8, "MFD_NOEXEC_SEAL"), NAMED(16, "MFD_EXEC"),
};
static const struct name tree_names[] = {
    NAMED(1, "OPEN_TREE_CLONE"), NAMED(O_CLOEXEC, "OPEN_TREE_CLOEXEC"),
    NAME(AT_SYMLINK_NOFOLLOW),   NAME(AT_NO_AUTOMOUNT),
    NAME(AT_EMPTY_PATH),         NAMED(0x8000, "AT_RECURSIVE"),
};
static const struct name landlock_names[] = {
    NAME(LANDLOCK_RULE_PATH_BENEATH),
    NAMED(2, "LANDLOCK_RULE_NET_PORT"),
};

static void print_one(struct trace_line *line, const struct name *names, size_t count, uint64_t value)
{
    for (size_t i = 0; i < count; i++) {
        if (names[i].value == value) {
            trace_printf(line, "%s", names[i].name);
            return;
        }
    }
    trace_printf(line, "%#" PRIx64, value);
}

/* Flags joined by '|', after `separator` if there are any; what has no name in hexadecimal; "0" stays out. */
static void print_flags(struct trace_line *line, const struct name *names, size_t count, uint64_t value,
                        const char *separator)
{
    for (size_t i = 0; i < count; i++) {
        if ((value & names[i].value) != names[i].value)
            continue;
        trace_printf(line, "%s%s", separator, names[i].name);
        separator = "|";
        value &= ~names[i].value;
    }
    if (value)
        trace_printf(line, "%s%#" PRIx64, separator, value);
}

/* Of calls that take some of open's flags but no access mode. */
static void print_descriptor_flags(struct trace_line *line, uint64_t value)
{
    if (value)
        print_flags(line, open_names, ARRAY_SIZE(open_names), value, "");
    else
        trace_printf(line, "0");
}

static void print_open_flags(struct trace_line *line, uint64_t value)
{
    static const char *const modes[] = {"O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"};
    trace_printf(line, "%s", modes[value & O_ACCMODE]);
    print_flags(line, open_names, ARRAY_SIZE(open_names), value & ~(uint64_t)O_ACCMODE, "|");
}

static void print_signal(struct trace_line *line, uint64_t value)
{
    const char *name = value < 32 ? sigabbrev_np((int)value) : NULL;
    if (name)
        trace_printf(line, "SIG%s", name);
    else if (value >= 32 && value <= 64)
        trace_printf(line, "SIGRT_%d", (int)value - 32);
    else
        trace_printf(line, "%d", (int)value);
}

static void print_clone_flags(struct trace_line *line, uint64_t value)
{
    print_flags(line, clone_names, ARRAY_SIZE(clone_names), value & ~0xffull, "");
    if (value & 0xff || !value) {
        trace_printf(line, value > 0xff ? "|" : "");
        print_signal(line, value & 0xff);
    }
}

static void print_futex_operation(struct trace_line *line, uint64_t value)
{
    print_one(line, futex_names, ARRAY_SIZE(futex_names), value & 0x7f);
    trace_printf(line, "%s%s", value & FUTEX_PRIVATE_FLAG ? "_PRIVATE" : "",
                 value & FUTEX_CLOCK_REALTIME ? "|FUTEX_CLOCK_REALTIME" : "");
}

static void print_socket_type(struct trace_line *line, uint64_t value)
{
    print_one(line, socket_names, ARRAY_SIZE(socket_names), value & 0xf);
    print_flags(line, socket_flag_names, ARRAY_SIZE(socket_flag_names), value & ~0xfull, "|");
}

bool trace_name(struct trace_line *line, char letter, uint64_t value)
{
    static const struct {
        char letter;
        bool flags;
        const char *zero; /* of a set of flags */
        const struct name *names;
        size_t count;
    } sets[] = {
        {'a', true, "F_OK", access_names, ARRAY_SIZE(access_names)},
        {'A', true, "0", at_names, ARRAY_SIZE(at_names)},
        {'P', true, "PROT_NONE", protection_names, ARRAY_SIZE(protection_names)},
        {'M', true, "0", map_names, ARRAY_SIZE(map_names)},
        {'W', true, "0", wait_names, ARRAY_SIZE(wait_names)},
        {'k', false, NULL, whence_names, ARRAY_SIZE(whence_names)},
        {'h', false, NULL, mask_names, ARRAY_SIZE(mask_names)},
        {'c', false, NULL, clock_names, ARRAY_SIZE(clock_names)},
        {'q', false, NULL, fcntl_names, ARRAY_SIZE(fcntl_names)},
        {'Q', false, NULL, ioctl_names, ARRAY_SIZE(ioctl_names)},
        {'R', false, NULL, limit_names, ARRAY_SIZE(limit_names)},
        {'j', false, NULL, family_names, ARRAY_SIZE(family_names)},
        {'N', false, NULL, epoll_names, ARRAY_SIZE(epoll_names)},
        {'z', true, "0", uring_enter_names, ARRAY_SIZE(uring_enter_names)},
        {'T', false, NULL, uring_register_names, ARRAY_SIZE(uring_register_names)},
        {'1', false, NULL, bpf_names, ARRAY_SIZE(bpf_names)},
        {'2', false, NULL, keyctl_names, ARRAY_SIZE(keyctl_names)},
        {'4', false, NULL, fsconfig_names, ARRAY_SIZE(fsconfig_names)},
        {'5', false, NULL, kcmp_names, ARRAY_SIZE(kcmp_names)},
        {'6', true, "0", statx_names, ARRAY_SIZE(statx_names)},
        {'7', true, "0", memfd_names, ARRAY_SIZE(memfd_names)},
        {'8', true, "0", tree_names, ARRAY_SIZE(tree_names)},
        {'9', false, NULL, landlock_names, ARRAY_SIZE(landlock_names)},
    };
    value = (uint32_t)value; /* all of these are ints */
    switch (letter) {
    case 'o': print_open_flags(line, line->host_abi ? linux_open_flags_from_host(value) : value); return true;
    case 'n': print_descriptor_flags(line, value); return true;
    case 'g': print_signal(line, value); return true;
    case 'C': print_clone_flags(line, value); return true;
    case 'U': print_futex_operation(line, value); return true;
    case 'J': print_socket_type(line, value); return true;
    default: break;
    }
    for (size_t i = 0; i < ARRAY_SIZE(sets); i++) {
        if (sets[i].letter != letter)
            continue;
        if (!sets[i].flags)
            print_one(line, sets[i].names, sets[i].count, value);
        else if (!value)
            trace_printf(line, "%s", sets[i].zero);
        else
            print_flags(line, sets[i].names, sets[i].count, value, "");
        return true;
    }
    return false;
}
