/* SPDX-License-Identifier: GPL-2.0-or-later */
/* convert: AArch64 Linux's numbers and structures into the host's and back. See convert.h. */
#include "personality/linux/convert.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <stddef.h>
#include <string.h>

#include "base/macros.h"
#include "personality/linux/arch.h"

/* The kernel's value; glibc's is 0 on 64-bit hosts. */
#define HOST_O_LARGEFILE 0100000u

static const struct {
    uint64_t guest, host;
} open_flags[] = {
    {ARM64_O_DIRECTORY, O_DIRECTORY},
    {ARM64_O_NOFOLLOW, O_NOFOLLOW},
    {ARM64_O_DIRECT, O_DIRECT},
    {ARM64_O_LARGEFILE, HOST_O_LARGEFILE},
};

#define GUEST_OPEN_MASK (ARM64_O_DIRECTORY | ARM64_O_NOFOLLOW | ARM64_O_DIRECT | ARM64_O_LARGEFILE)
#define HOST_OPEN_MASK  ((uint64_t)(O_DIRECTORY | O_NOFOLLOW | O_DIRECT) | HOST_O_LARGEFILE)

uint64_t linux_open_flags_to_host(uint64_t guest)
{
    uint64_t host = guest & ~(GUEST_OPEN_MASK | HOST_OPEN_MASK);
    for (size_t i = 0; i < ARRAY_SIZE(open_flags); i++) {
        if (guest & open_flags[i].guest)
            host |= open_flags[i].host;
    }
    return host;
}

uint64_t linux_open_flags_from_host(uint64_t host)
{
    uint64_t guest = host & ~(GUEST_OPEN_MASK | HOST_OPEN_MASK);
    for (size_t i = 0; i < ARRAY_SIZE(open_flags); i++) {
        if (host & open_flags[i].host)
            guest |= open_flags[i].guest;
    }
    return guest;
}

uint64_t linux_guest_open_flags(const struct linux_process *process, uint64_t guest)
{
    return process->arch->host_abi ? guest : linux_open_flags_to_host(guest);
}

uint64_t linux_shown_open_flags(const struct linux_process *process, uint64_t host)
{
    return process->arch->host_abi ? host : linux_open_flags_from_host(host);
}

void linux_stat_from_host(struct arm64_stat *guest, const struct stat *host)
{
    *guest = (struct arm64_stat){
        .dev = host->st_dev,
        .ino = host->st_ino,
        .mode = host->st_mode,
        .nlink = (uint32_t)host->st_nlink,
        .uid = host->st_uid,
        .gid = host->st_gid,
        .rdev = host->st_rdev,
        .size = host->st_size,
        .blksize = (int32_t)host->st_blksize,
        .blocks = host->st_blocks,
        .atime = host->st_atim.tv_sec,
        .atime_nsec = (uint64_t)host->st_atim.tv_nsec,
        .mtime = host->st_mtim.tv_sec,
        .mtime_nsec = (uint64_t)host->st_mtim.tv_nsec,
        .ctime = host->st_ctim.tv_sec,
        .ctime_nsec = (uint64_t)host->st_ctim.tv_nsec,
    };
}

void linux_epoll_event_to_host(struct epoll_event *host, const struct arm64_epoll_event *guest)
{
    host->events = guest->events;
    host->data.u64 = guest->data;
}

void linux_epoll_event_from_host(struct arm64_epoll_event *guest, const struct epoll_event *host)
{
    guest->events = host->events;
    guest->pad = 0;
    guest->data = host->data.u64;
}

void linux_semid_from_host(struct arm64_semid_ds *guest, const struct host_semid_ds *host)
{
    *guest = (struct arm64_semid_ds){
        .perm = host->perm,
        .otime = host->otime,
        .ctime = host->ctime,
        .nsems = host->nsems,
    };
}

void linux_semid_to_host(struct host_semid_ds *host, const struct arm64_semid_ds *guest)
{
    *host = (struct host_semid_ds){
        .perm = guest->perm,
        .otime = guest->otime,
        .ctime = guest->ctime,
        .nsems = guest->nsems,
    };
}

#define NAME_AND_KEY_OFFSET offsetof(struct loop_info, lo_name)

void linux_loop_info_to_host(struct loop_info *host, const struct arm64_loop_info *guest)
{
    *host = (struct loop_info){
        .lo_number = guest->number,
        .lo_device = guest->device,
        .lo_inode = guest->inode,
        .lo_rdevice = guest->rdevice,
        .lo_offset = guest->offset,
        .lo_encrypt_type = guest->encrypt_type,
        .lo_encrypt_key_size = guest->encrypt_key_size,
        .lo_flags = guest->flags,
        .lo_init = {guest->init[0], guest->init[1]},
    };
    memcpy((char *)host + NAME_AND_KEY_OFFSET, guest->rest, sizeof guest->rest);
    memcpy(host->reserved, guest->reserved, sizeof guest->reserved);
}

void linux_loop_info_from_host(struct arm64_loop_info *guest, const struct loop_info *host)
{
    *guest = (struct arm64_loop_info){
        .number = host->lo_number,
        .device = (uint32_t)host->lo_device,
        .inode = host->lo_inode,
        .rdevice = (uint32_t)host->lo_rdevice,
        .offset = host->lo_offset,
        .encrypt_type = host->lo_encrypt_type,
        .encrypt_key_size = host->lo_encrypt_key_size,
        .flags = host->lo_flags,
        .init = {host->lo_init[0], host->lo_init[1]},
    };
    memcpy(guest->rest, (const char *)host + NAME_AND_KEY_OFFSET, sizeof guest->rest);
    memcpy(guest->reserved, host->reserved, sizeof guest->reserved);
}
