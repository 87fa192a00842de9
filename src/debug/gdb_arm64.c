/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gdb: the registers of an AArch64 program, as gdb's features of that architecture list them. */
#include <stddef.h>
#include <string.h>

#include "arch/arm64/state.h"
#include "base/macros.h"
#include "debug/gdb.h"
#include "debug/gdb_plain.h"

#define STATE(member) offsetof(struct arm64_state, member)

GDB_PLAIN(4)
GDB_PLAIN(8)
GDB_PLAIN(16)

static void get_cpsr(const void *state, unsigned argument, uint8_t *value)
{
    const uint32_t nzcv = arm64_nzcv_get(state);
    (void)argument;
    memcpy(value, &nzcv, sizeof nzcv);
}

/* The program runs in EL0 with nothing masked, and cannot do otherwise. */
static bool set_cpsr(void *state, unsigned argument, const uint8_t *value)
{
    uint32_t nzcv;
    (void)argument;
    memcpy(&nzcv, value, sizeof nzcv);
    arm64_nzcv_set(state, nzcv);
    return true;
}

enum { CORE, FPU, TLS };

static const struct gdb_feature features[] = {
    [CORE] = {"org.gnu.gdb.aarch64.core",
              "<flags id=\"cpsr_flags\" size=\"4\"><field name=\"V\" start=\"28\" end=\"28\"/>"
              "<field name=\"C\" start=\"29\" end=\"29\"/><field name=\"Z\" start=\"30\" end=\"30\"/>"
              "<field name=\"N\" start=\"31\" end=\"31\"/></flags>"},
    [FPU] =
        {"org.gnu.gdb.aarch64.fpu",
         "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/><vector id=\"v2u\" type=\"uint64\" count=\"2\"/>"
         "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/><vector id=\"v4u\" type=\"uint32\" count=\"4\"/>"
         "<vector id=\"v8u\" type=\"uint16\" count=\"8\"/><vector id=\"v16u\" type=\"uint8\" count=\"16\"/>"
         "<vector id=\"v1u\" type=\"uint128\" count=\"1\"/>"
         "<union id=\"vnd\"><field name=\"f\" type=\"v2d\"/><field name=\"u\" type=\"v2u\"/></union>"
         "<union id=\"vns\"><field name=\"f\" type=\"v4f\"/><field name=\"u\" type=\"v4u\"/></union>"
         "<union id=\"vnh\"><field name=\"u\" type=\"v8u\"/></union>"
         "<union id=\"vnb\"><field name=\"u\" type=\"v16u\"/></union>"
         "<union id=\"vnq\"><field name=\"u\" type=\"v1u\"/></union>"
         "<union id=\"aarch64v\"><field name=\"d\" type=\"vnd\"/><field name=\"s\" type=\"vns\"/>"
         "<field name=\"h\" type=\"vnh\"/><field name=\"b\" type=\"vnb\"/>"
         "<field name=\"q\" type=\"vnq\"/></union>"},
    [TLS] = {"org.gnu.gdb.aarch64.tls", ""},
};

#define REGISTER(feature, name, bytes, type, kind, argument)                                                 \
    {                                                                                                        \
        name, bytes, feature, type, get_##kind, set_##kind, argument                                         \
    }
#define X(number) REGISTER(CORE, "x" #number, 8, NULL, 8, STATE(x[number]))
#define V(number) REGISTER(FPU, "v" #number, 16, "aarch64v", 16, STATE(v[number]))
#define X10(tens)                                                                                            \
    X(tens##0), X(tens##1), X(tens##2), X(tens##3), X(tens##4), X(tens##5), X(tens##6), X(tens##7),          \
        X(tens##8), X(tens##9)
#define V10(tens)                                                                                            \
    V(tens##0), V(tens##1), V(tens##2), V(tens##3), V(tens##4), V(tens##5), V(tens##6), V(tens##7),          \
        V(tens##8), V(tens##9)

static const struct gdb_register registers[] = {
    X10(),
    X10(1),
    X10(2),
    X(30),
    REGISTER(CORE, "sp", 8, "data_ptr", 8, STATE(sp)),
    REGISTER(CORE, "pc", 8, "code_ptr", 8, STATE(pc)),
    REGISTER(CORE, "cpsr", 4, "cpsr_flags", cpsr, 0),
    V10(),
    V10(1),
    V10(2),
    V(30),
    V(31),
    REGISTER(FPU, "fpsr", 4, "int", 4, STATE(fpsr)),
    REGISTER(FPU, "fpcr", 4, "int", 4, STATE(fpcr)),
    REGISTER(TLS, "tpidr", 8, "data_ptr", 8, STATE(tpidr)),
};

const struct gdb_arch gdb_arch_arm64 = {
    .name = "aarch64",
    .state_size = sizeof(struct arm64_state),
    .features = features,
    .registers = registers,
    .register_count = ARRAY_SIZE(registers),
};
