/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * convert: numbers and structures of AArch64 Linux that differ from the host's (x86-64), and how one
 * becomes the other. Everything that is not here is the same on both.
 *
 * Sources: the kernel's uapi headers arch/arm64/include/uapi/asm, include/uapi/asm-generic and
 * arch/x86/include/uapi/asm.
 */
#ifndef VISOR_PERSONALITY_LINUX_CONVERT_H
#define VISOR_PERSONALITY_LINUX_CONVERT_H

#include <stdint.h>
#include <sys/epoll.h>
#include <sys/stat.h>

/* The four open() flags whose values are permuted. */
#define ARM64_O_DIRECTORY 0040000u
#define ARM64_O_NOFOLLOW  0100000u
#define ARM64_O_DIRECT    0200000u
#define ARM64_O_LARGEFILE 0400000u

/* Flags of open(), pipe2(), fcntl(F_SETFL) and the like; all other bits stay. */
uint64_t linux_open_flags_to_host(uint64_t guest);
uint64_t linux_open_flags_from_host(uint64_t host);

/* The same for the program of a process, whose flags may be the host's. */
struct linux_process;
uint64_t linux_guest_open_flags(const struct linux_process *process, uint64_t guest);
uint64_t linux_shown_open_flags(const struct linux_process *process, uint64_t host);

struct arm64_stat {
    uint64_t dev;
    uint64_t ino;
    uint32_t mode;
    uint32_t nlink;
    uint32_t uid;
    uint32_t gid;
    uint64_t rdev;
    uint64_t pad1;
    int64_t size;
    int32_t blksize;
    int32_t pad2;
    int64_t blocks;
    int64_t atime;
    uint64_t atime_nsec;
    int64_t mtime;
    uint64_t mtime_nsec;
    int64_t ctime;
    uint64_t ctime_nsec;
    uint32_t unused[2];
};
_Static_assert(sizeof(struct arm64_stat) == 128, "struct stat of arm64");

void linux_stat_from_host(struct arm64_stat *guest, const struct stat *host);

/* Packed on x86-64 only. */
struct arm64_epoll_event {
    uint32_t events;
    uint32_t pad;
    uint64_t data;
};
_Static_assert(sizeof(struct arm64_epoll_event) == 16, "struct epoll_event of arm64");

void linux_epoll_event_to_host(struct epoll_event *host, const struct arm64_epoll_event *guest);
void linux_epoll_event_from_host(struct arm64_epoll_event *guest, const struct epoll_event *host);

/* struct ipc64_perm, the same on both. */
struct linux_ipc_perm {
    int32_t key;
    uint32_t uid;
    uint32_t gid;
    uint32_t cuid;
    uint32_t cgid;
    uint32_t mode;
    uint16_t sequence;
    uint16_t pad;
    uint32_t pad2;
    uint64_t unused[2];
};
_Static_assert(sizeof(struct linux_ipc_perm) == 48, "struct ipc64_perm");

struct arm64_semid_ds {
    struct linux_ipc_perm perm;
    int64_t otime;
    int64_t ctime;
    uint64_t nsems;
    uint64_t unused[2];
};
_Static_assert(sizeof(struct arm64_semid_ds) == 88, "struct semid64_ds of arm64");

/* Has padding after each of the times. */
struct host_semid_ds {
    struct linux_ipc_perm perm;
    int64_t otime;
    uint64_t unused1;
    int64_t ctime;
    uint64_t unused2;
    uint64_t nsems;
    uint64_t unused[2];
};
_Static_assert(sizeof(struct host_semid_ds) == 104, "struct semid64_ds of x86-64");

void linux_semid_from_host(struct arm64_semid_ds *guest, const struct host_semid_ds *host);
void linux_semid_to_host(struct host_semid_ds *host, const struct arm64_semid_ds *guest);

/* Of LOOP_GET_STATUS and LOOP_SET_STATUS, which hold device numbers of the type that x86-64 alone has as
 * long. */
struct arm64_loop_info {
    int32_t number;
    uint32_t device;
    uint64_t inode;
    uint32_t rdevice;
    int32_t offset;
    int32_t encrypt_type;
    int32_t encrypt_key_size;
    int32_t flags;
    char rest[64 + 32]; /* name and key */
    uint64_t init[2];
    char reserved[4];
};
_Static_assert(sizeof(struct arm64_loop_info) == 160, "struct loop_info of arm64");

struct loop_info;
void linux_loop_info_to_host(struct loop_info *host, const struct arm64_loop_info *guest);
void linux_loop_info_from_host(struct arm64_loop_info *guest, const struct loop_info *host);

#endif
