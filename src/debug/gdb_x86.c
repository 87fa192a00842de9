/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gdb: the registers of an x86-64 CPU, as gdb's features of the i386 architecture list them. */
#include <stddef.h>
#include <string.h>

#include "arch/x86/state.h"
#include "base/macros.h"
#include "debug/gdb.h"
#include "debug/gdb_plain.h"

/* -- getters and setters, by what their argument is ------------------------------------------------------ */

#define STATE(member) offsetof(struct x86_state, member)

GDB_PLAIN(4)
GDB_PLAIN(8)
GDB_PLAIN(10)
GDB_PLAIN(16)

static void get_eflags(const void *state, unsigned argument, uint8_t *value)
{
    uint32_t eflags = (uint32_t)x86_eflags_get(state);
    (void)argument;
    memcpy(value, &eflags, sizeof eflags);
}

static bool set_eflags(void *state, unsigned argument, const uint8_t *value)
{
    uint32_t eflags;
    (void)argument;
    memcpy(&eflags, value, sizeof eflags);
    x86_eflags_set(state, eflags);
    return true;
}

static void get_selector(const void *state, unsigned segment, uint8_t *value)
{
    uint32_t selector = ((const struct x86_state *)state)->segment[segment].selector;
    memcpy(value, &selector, sizeof selector);
}

/* To load a segment register takes its descriptor: only what it has already is accepted. */
static bool set_selector(void *state, unsigned segment, const uint8_t *value)
{
    uint32_t selector;
    memcpy(&selector, value, sizeof selector);
    return selector == ((const struct x86_state *)state)->segment[segment].selector;
}

/* The fields of FXSAVE's header that gdb shows as 32 bits: their offset; 0x100: of 16 bits. */
static void get_x87(const void *state, unsigned argument, uint8_t *value)
{
    memcpy(value, ((const struct x86_state *)state)->x87 + (argument & 0xff), argument & 0x100 ? 2 : 4);
}

static bool set_x87(void *state, unsigned argument, const uint8_t *value)
{
    memcpy(((struct x86_state *)state)->x87 + (argument & 0xff), value, argument & 0x100 ? 2 : 4);
    return true;
}

/* FXSAVE has a bit for each register that is not empty; gdb wants two that say what is in it. */
static void get_tags(const void *state, unsigned argument, uint8_t *value)
{
    const uint8_t *x87 = ((const struct x86_state *)state)->x87;
    uint16_t tags = 0;
    (void)argument;
    for (unsigned i = 0; i < 8; i++) {
        const unsigned top = (unsigned)(x87[2] | x87[3] << 8) >> 11 & 7;
        const uint8_t *st = x87 + 32 + 16 * ((i - top) & 7);
        uint64_t significand;
        memcpy(&significand, st, sizeof significand);
        const unsigned exponent = (unsigned)(st[8] | st[9] << 8) & 0x7fff;
        unsigned tag = 3;
        if (x87[4] >> i & 1)
            tag = exponent == 0 && significand == 0                             ? 1
                  : exponent == 0 || exponent == 0x7fff || !(significand >> 63) ? 2
                                                                                : 0;
        tags |= (uint16_t)(tag << 2 * i);
    }
    memcpy(value, &tags, sizeof tags);
}

static bool set_tags(void *state, unsigned argument, const uint8_t *value)
{
    uint8_t *x87 = ((struct x86_state *)state)->x87;
    const unsigned tags = (unsigned)(value[0] | value[1] << 8);
    (void)argument;
    x87[4] = 0;
    for (unsigned i = 0; i < 8; i++)
        x87[4] |= (uint8_t)((tags >> 2 * i & 3) != 3) << i;
    return true;
}

/* -- the table ------------------------------------------------------------------------------------------- */

/* What the kernel notes of a system call that may have to be executed again: nothing, visor does so before it
 * stops. To say so is what makes gdb see a Linux program. */
static void get_orig_rax(const void *state, unsigned argument, uint8_t *value)
{
    (void)state, (void)argument;
    memset(value, 0xff, 8);
}

static bool set_orig_rax(void *state, unsigned argument, const uint8_t *value)
{
    (void)state, (void)argument, (void)value;
    return true;
}

enum { CORE, SSE, LINUX, SEGMENTS };

static const struct gdb_feature features[] = {
    [CORE] = {"org.gnu.gdb.i386.core",
              "<flags id=\"i386_eflags\" size=\"4\"><field name=\"CF\" start=\"0\" end=\"0\"/>"
              "<field name=\"PF\" start=\"2\" end=\"2\"/><field name=\"AF\" start=\"4\" end=\"4\"/>"
              "<field name=\"ZF\" start=\"6\" end=\"6\"/><field name=\"SF\" start=\"7\" end=\"7\"/>"
              "<field name=\"TF\" start=\"8\" end=\"8\"/><field name=\"IF\" start=\"9\" end=\"9\"/>"
              "<field name=\"DF\" start=\"10\" end=\"10\"/><field name=\"OF\" start=\"11\" end=\"11\"/>"
              "<field name=\"NT\" start=\"14\" end=\"14\"/><field name=\"RF\" start=\"16\" end=\"16\"/>"
              "<field name=\"VM\" start=\"17\" end=\"17\"/><field name=\"AC\" start=\"18\" end=\"18\"/>"
              "<field name=\"ID\" start=\"21\" end=\"21\"/></flags>"},
    [SSE] =
        {"org.gnu.gdb.i386.sse",
         "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/><vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
         "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/><vector id=\"v8i16\" type=\"int16\" count=\"8\"/>"
         "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/><vector id=\"v2i64\" type=\"int64\" count=\"2\"/>"
         "<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/><field name=\"v2_double\" type=\"v2d\"/>"
         "<field name=\"v16_int8\" type=\"v16i8\"/><field name=\"v8_int16\" type=\"v8i16\"/>"
         "<field name=\"v4_int32\" type=\"v4i32\"/><field name=\"v2_int64\" type=\"v2i64\"/>"
         "<field name=\"uint128\" type=\"uint128\"/></union>"},
    [LINUX] = {"org.gnu.gdb.i386.linux", ""},
    [SEGMENTS] = {"org.gnu.gdb.i386.segments", ""},
};

#define REGISTER(feature, name, bytes, type, kind, argument)                                                 \
    {                                                                                                        \
        name, bytes, feature, type, get_##kind, set_##kind, argument                                         \
    }
#define GPR(name, number)     REGISTER(CORE, name, 8, "int64", 8, STATE(gpr[number]))
#define POINTER(name, number) REGISTER(CORE, name, 8, "data_ptr", 8, STATE(gpr[number]))
#define SELECTOR(name, which) REGISTER(CORE, name, 4, "int32", selector, which)
#define ST(number)            REGISTER(CORE, "st" #number, 10, "i387_ext", 10, STATE(x87[32 + 16 * number]))
#define X87(name, argument)   REGISTER(CORE, name, 4, "int", x87, argument)
#define XMM(number)           REGISTER(SSE, "xmm" #number, 16, "vec128", 16, STATE(xmm[number]))

static const struct gdb_register registers[] = {
    GPR("rax", X86_RAX),
    GPR("rbx", X86_RBX),
    GPR("rcx", X86_RCX),
    GPR("rdx", X86_RDX),
    GPR("rsi", X86_RSI),
    GPR("rdi", X86_RDI),
    POINTER("rbp", X86_RBP),
    POINTER("rsp", X86_RSP),
    GPR("r8", 8),
    GPR("r9", 9),
    GPR("r10", 10),
    GPR("r11", 11),
    GPR("r12", 12),
    GPR("r13", 13),
    GPR("r14", 14),
    GPR("r15", 15),
    REGISTER(CORE, "rip", 8, "code_ptr", 8, STATE(rip)),
    REGISTER(CORE, "eflags", 4, "i386_eflags", eflags, 0),
    SELECTOR("cs", X86_CS),
    SELECTOR("ss", X86_SS),
    SELECTOR("ds", X86_DS),
    SELECTOR("es", X86_ES),
    SELECTOR("fs", X86_FS),
    SELECTOR("gs", X86_GS),
    ST(0),
    ST(1),
    ST(2),
    ST(3),
    ST(4),
    ST(5),
    ST(6),
    ST(7),
    X87("fctrl", 0x100),
    X87("fstat", 0x102),
    REGISTER(CORE, "ftag", 4, "int", tags, 0),
    X87("fiseg", 12),
    X87("fioff", 8),
    X87("foseg", 20),
    X87("fooff", 16),
    X87("fop", 0x106),
    XMM(0),
    XMM(1),
    XMM(2),
    XMM(3),
    XMM(4),
    XMM(5),
    XMM(6),
    XMM(7),
    XMM(8),
    XMM(9),
    XMM(10),
    XMM(11),
    XMM(12),
    XMM(13),
    XMM(14),
    XMM(15),
    REGISTER(SSE, "mxcsr", 4, "int", 4, STATE(mxcsr)),
    REGISTER(SEGMENTS, "fs_base", 8, "int", 8, STATE(segment_base[X86_FS])),
    REGISTER(SEGMENTS, "gs_base", 8, "int", 8, STATE(segment_base[X86_GS])),
    REGISTER(LINUX, "orig_rax", 8, "int", orig_rax, 0), /* a program's; a machine has all before it */
};

const struct gdb_arch gdb_arch_x86_64 = {
    .name = "i386:x86-64",
    .state_size = sizeof(struct x86_state),
    .features = features,
    .registers = registers,
    .register_count = ARRAY_SIZE(registers) - 1,
};

const struct gdb_arch gdb_arch_x86_64_linux = {
    .name = "i386:x86-64",
    .state_size = sizeof(struct x86_state),
    .features = features,
    .registers = registers,
    .register_count = ARRAY_SIZE(registers),
};
