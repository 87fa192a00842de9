/* SPDX-License-Identifier: GPL-2.0-or-later */
/* amd64 emulate: see amd64_emulate.h. */
#include "personality/linux/amd64_emulate.h"

#include <string.h>
#include <unistd.h>

#include "base/macros.h"
#include "translator/guest/x86/decode.h"

enum { VECTOR_GP = 13, VECTOR_PF = 14 };

/* x86-64-v2, AES, PCLMULQDQ. */
static void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    memset(out, 0, 16);
    switch (leaf) {
    case 0:
        out[0] = 7, memcpy(out + 1, "Genu", 4), memcpy(out + 3, "ineI", 4), memcpy(out + 2, "ntel", 4);
        break;
    case 1:
        out[0] = 0x000106a5;
        out[1] = 0x00010800;
        out[2] =
            1u << 0 | 1u << 1 | 1u << 9 | 1u << 13 | 1u << 19 | 1u << 20 | 1u << 22 | 1u << 23 | 1u << 25;
        out[3] = 0x078bfbfd;
        break;
    case 7:
        if (!subleaf)
            out[1] = 1u << 0;
        break;
    case 0x80000000: out[0] = 0x80000008; break;
    case 0x80000001: out[2] = 1, out[3] = 1u << 29 | 1u << 27 | 1u << 20 | 1u << 11; break;
    case 0x80000008: out[0] = 0x3030; break;
    default: break;
    }
}

uint64_t amd64_hwcap(void)
{
    uint32_t out[4];
    cpuid(1, 0, out);
    return out[3];
}

uint64_t amd64_hwcap2(void)
{
    return 2; /* FSGSBASE */
}

void amd64_write_cpuinfo(FILE *stream)
{
    for (long i = 0; i < MAX(sysconf(_SC_NPROCESSORS_ONLN), 1); i++)
        fprintf(stream, "processor\t: %ld\nvendor_id\t: GenuineIntel\n\n", i);
}

bool amd64_emulate(struct linux_thread *thread, unsigned length, struct amd64_exception *exception)
{
    struct x86_cpu *cpu = amd64_cpu(thread->cpu);
    struct x86_state *s = &cpu->state;
    struct x86_insn insn;
    uint8_t code[16] = {0};

    *exception = (struct amd64_exception){.vector = VECTOR_GP};
    if (!length || guest_read(code, s->rip, length) < 0 ||
        x86_decode(&insn, X86_CODE_64, code, length) != X86_DECODED)
        return false;
    if (insn.map == X86_MAP_BASE && insn.opcode == 0xcd) /* INT n: the gate is not for programs */
        exception->error = (insn.imm & 0xff) << 3 | 2;
    if (insn.map != X86_MAP_0F)
        return false;
    uint64_t address = (uint64_t)insn.disp + (insn.base < 16 ? s->gpr[insn.base] : 0) +
                       (insn.base == X86_BASE_RIP ? s->rip + length : 0) +
                       (insn.index < 16 ? s->gpr[insn.index] << insn.scale : 0) +
                       (insn.segment >= X86_FS ? s->segment_base[insn.segment] : 0);
    uint8_t area[AMD64_FXSAVE_SIZE];
    uint32_t out[4];
    uint64_t tsc = __builtin_ia32_rdtsc();
    if (insn.opcode == 0xa2) {
        cpuid((uint32_t)s->gpr[X86_RAX], (uint32_t)s->gpr[X86_RCX], out);
        s->gpr[X86_RAX] = out[0], s->gpr[X86_RBX] = out[1], s->gpr[X86_RCX] = out[2],
        s->gpr[X86_RDX] = out[3];
    } else if (insn.opcode == 0x31 || (insn.opcode == 1 && code[length - 1] == 0xf9)) {
        s->gpr[X86_RAX] = (uint32_t)tsc, s->gpr[X86_RDX] = tsc >> 32;
        if (insn.opcode == 1)
            s->gpr[X86_RCX] = 0;
    } else if (insn.opcode == 0xae && insn.memory && insn.reg % 8 == 0) {
        amd64_read_fpu(cpu, area);
        *exception = (struct amd64_exception){.vector = VECTOR_PF, .address = address};
        if (guest_write(address, area, AMD64_FXSAVE_USED) < 0)
            return false;
    } else if (insn.opcode == 0xae && insn.memory && insn.reg % 8 == 1) {
        *exception = (struct amd64_exception){.vector = VECTOR_PF, .address = address};
        if (guest_read(area, address, sizeof area) < 0)
            return false;
        amd64_write_fpu(cpu, area);
    } else if (insn.opcode == 0xae && !insn.memory && insn.prefix == X86_F3) {
        uint64_t *base = &s->segment_base[insn.reg & 1 ? X86_GS : X86_FS], *gpr = &s->gpr[insn.rm];
        if (insn.reg & 2)
            *base = insn.size == 3 ? *gpr : (uint32_t)*gpr;
        else
            *gpr = insn.size == 3 ? *base : (uint32_t)*base;
    } else {
        return false;
    }
    s->rip += length;
    return true;
}
