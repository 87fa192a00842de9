/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * trial: whether a host's KVM is the processor, or software that emulates one: a few instructions of a small
 * guest are timed. A processor needs less than a nanosecond for each; what emulates them, hundreds.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "engine/kvm/kvm.h"
#include "engine/kvm/private.h"

/* The guest: 64-bit code that counts RCX down and writes to a port. */
enum {
    TABLES = 0x1000, /* three of them */
    CODE = 0x4000,
    SIZE = 0x5000,
    LOOPS = 200,
    INSTRUCTIONS = 2 * LOOPS,
    TIMES = 3,
    SLOW = 40, /* nanoseconds for an instruction */
};

static const uint8_t code[] = {
    0xff, 0xc9, /* 1: dec %ecx */
    0x75, 0xfc, /* jnz 1b */
    0xe6, 0x80, /* out %al, $0x80 */
};

struct trial {
    int kvm, vm, vcpu;
    size_t run_size;
    struct kvm_run *run;
    uint8_t *memory;
};

static void prepare_memory(uint8_t *memory)
{
    const uint64_t entries[] = {TABLES + 0x1003, TABLES + 0x2003, 0x83};
    for (unsigned i = 0; i < 3; i++)
        memcpy(memory + TABLES + i * 0x1000, &entries[i], sizeof entries[i]);
    memcpy(memory + CODE, code, sizeof code);
}

/* A processor that CPUID has not given long mode is refused it. */
static int prepare_cpuid(const struct trial *t)
{
    _Alignas(struct kvm_cpuid2) uint8_t room[sizeof(struct kvm_cpuid2) + sizeof(struct kvm_cpuid_entry2)];
    struct kvm_cpuid2 *cpuid = (struct kvm_cpuid2 *)room;
    memset(room, 0, sizeof room);
    cpuid->nent = 1;
    cpuid->entries[0] = (struct kvm_cpuid_entry2){.function = 0x80000001, .edx = 1u << 29};
    return ioctl(t->vcpu, KVM_SET_CPUID2, cpuid) < 0 ? -errno : 0;
}

static int prepare_registers(const struct trial *t)
{
    struct kvm_sregs sregs;
    const struct kvm_segment data = {
        .limit = UINT32_MAX, .selector = 16, .type = 3, .present = 1, .s = 1, .db = 1, .g = 1};
    if (ioctl(t->vcpu, KVM_GET_SREGS, &sregs) < 0)
        return -errno;
    sregs.cs = data;
    sregs.cs.selector = 8, sregs.cs.type = 11, sregs.cs.db = 0, sregs.cs.l = 1;
    sregs.ds = sregs.es = sregs.ss = sregs.fs = sregs.gs = data;
    sregs.cr3 = TABLES;
    sregs.cr4 = X86_CR4_PAE;
    sregs.cr0 = X86_CR0_PG | X86_CR0_ET | X86_CR0_PE;
    sregs.efer = X86_EFER_LME | X86_EFER_LMA;
    return ioctl(t->vcpu, KVM_SET_SREGS, &sregs) < 0 ? -errno : 0;
}

static int make(struct trial *t)
{
    struct kvm_userspace_memory_region region = {.memory_size = SIZE};
    t->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    t->vm = t->kvm < 0 ? -1 : ioctl(t->kvm, KVM_CREATE_VM, 0);
    if (t->vm < 0)
        return -errno;
    t->memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (t->memory == MAP_FAILED)
        return -errno;
    prepare_memory(t->memory);
    region.userspace_addr = (uintptr_t)t->memory;
    if (ioctl(t->vm, KVM_SET_USER_MEMORY_REGION, &region) < 0 ||
        (t->vcpu = ioctl(t->vm, KVM_CREATE_VCPU, 0)) < 0)
        return -errno;
    const int size = ioctl(t->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (size <= 0)
        return -ENOTSUP;
    t->run_size = (size_t)size;
    t->run = mmap(NULL, t->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, t->vcpu, 0);
    if (t->run == MAP_FAILED)
        return -errno;
    const int refused = prepare_cpuid(t);
    return refused ? refused : prepare_registers(t);
}

static void unmake(struct trial *t)
{
    if (t->run != MAP_FAILED)
        munmap(t->run, t->run_size);
    if (t->vcpu >= 0)
        close(t->vcpu);
    if (t->vm >= 0)
        close(t->vm);
    if (t->memory != MAP_FAILED)
        munmap(t->memory, SIZE);
    if (t->kvm >= 0)
        close(t->kvm);
}

/* CPU time, which others on a busy host do not take from, in nanoseconds. */
static int64_t cpu_time(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* -errno, or how long so many rounds take. */
static int64_t run(const struct trial *t, unsigned rounds)
{
    const struct kvm_regs regs = {.rip = CODE, .rcx = rounds, .rflags = 2};
    if (ioctl(t->vcpu, KVM_SET_REGS, &regs) < 0)
        return -errno;
    const int64_t start = cpu_time();
    if (ioctl(t->vcpu, KVM_RUN, 0) < 0)
        return -errno;
    const int64_t taken = cpu_time() - start;
    return t->run->exit_reason == KVM_EXIT_IO ? taken : -EIO;
}

/* The shortest of some runs, less one of a single round: what is not the instructions' is in both. */
static int64_t measure(const struct trial *t)
{
    int64_t least[2] = {INT64_MAX, INT64_MAX};
    for (unsigned i = 0; i < 2 * TIMES; i++) {
        const int64_t taken = run(t, i % 2 ? LOOPS : 1);
        if (taken < 0)
            return taken;
        if (taken < least[i % 2])
            least[i % 2] = taken;
    }
    return least[1] > least[0] ? (least[1] - least[0]) / INSTRUCTIONS : 0;
}

int kvm_trial(struct kvm_trial *out, struct error *error)
{
    struct trial t = {.kvm = -1, .vm = -1, .vcpu = -1, .run = MAP_FAILED, .memory = MAP_FAILED};
    const int made = make(&t);
    const int64_t taken = made < 0 ? made : measure(&t);
    unmake(&t);
    if (taken < 0)
        return error_set(error, (int)taken, "KVM cannot run a small guest: %s", strerror((int)-taken));
    *out = (struct kvm_trial){.instruction = (unsigned)taken, .software = taken >= SLOW};
    return 0;
}
