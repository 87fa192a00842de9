/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Models of CPUs: their names, what CPUID says, and that what it says and what works agree: for every feature
 * there is here what it brings, which is not there without it.
 */
#include "base/macros.h"
#include "translator/guest/x86/lift.h"
#include "x86_emulate.h"

/* -- names ----------------------------------------------------------------------------------------------- */

static void test_parse(void **state)
{
    struct x86_model m;
    struct error error = ERROR_INIT;
    (void)state;

    for (unsigned i = 0; x86_model_name(i); i++) {
        assert_int_equal(x86_model_parse(&m, x86_model_name(i), &error), 0);
        assert_string_equal(m.name, x86_model_name(i));
        assert_true(x86_has(&m, X86_FEATURE_FPU));
    }
    assert_int_equal(x86_model_parse(&m, "x86-64-v2,-sse4_2,+pcid,popcnt=off,smap=on", &error), 0);
    assert_false(x86_has(&m, X86_FEATURE_SSE4_2));
    assert_true(x86_has(&m, X86_FEATURE_PCID));
    assert_false(x86_has(&m, X86_FEATURE_POPCNT));
    assert_true(x86_has(&m, X86_FEATURE_SMAP));
    assert_int_equal(x86_model_parse(&m, "486", &error), 0);
    assert_false(x86_has(&m, X86_FEATURE_CMOV));
    assert_int_equal(x86_model_parse(&m, "pentium3", &error), 0);
    assert_true(x86_has(&m, X86_FEATURE_SSE));
    assert_false(x86_has(&m, X86_FEATURE_SSE2));
    assert_false(x86_has(&m, X86_FEATURE_LM));
}

static void check_refused(const char *text, const char *message, const char *hint)
{
    struct x86_model m;
    struct error error = ERROR_INIT;
    assert_true(x86_model_parse(&m, text, &error) < 0);
    if (!strstr(error.message, message) || !strstr(error.hint, hint))
        fail_msg("%s: %s; %s", text, error.message, error.hint);
}

static void test_refused(void **state)
{
    (void)state;
    check_refused("pentium4", "'pentium4'", "486, pentium3, x86-64-v1, x86-64-v2, max");
    check_refused("", "''", "486");
    check_refused("max,+avx", "'avx'", "fpu, ");
    check_refused("max,sse", "'sse'", "");
    check_refused("max,sse=maybe", "'sse=maybe'", "");
    check_refused("max,", "''", "");
    check_refused("max,+", "''", "");
}

/* -- CPUID ----------------------------------------------------------------------------------------------- */

static uint32_t out[4];

static void cpuid(const char *model, unsigned vcpus, uint32_t leaf, uint32_t subleaf)
{
    const struct x86_topology topology = {.apic_id = vcpus - 1, .vcpu_count = vcpus};
    around_init(model);
    x86_cpuid(&around.model, &topology, NULL, leaf, subleaf, out);
}

static void test_cpuid(void **state)
{
    (void)state;
    cpuid("x86-64-v2", 1, 0, 0);
    assert_int_equal(out[0], 0x16);
    cpuid("x86-64-v2", 1, 1, 0);
    assert_int_equal(out[0], 0x30661);
    assert_int_equal(out[1] >> 24, 0);
    assert_true(out[2] >> 31);
    cpuid("x86-64-v2", 3, 1, 0);
    assert_int_equal(out[1] >> 16, 2 << 8 | 4); /* four APIC ids are taken */
    assert_true(out[3] >> 28 & 1);
    cpuid("x86-64-v2", 3, 0xb, 0);
    assert_int_equal(out[0], 0);
    assert_int_equal(out[2], 0x100);
    assert_int_equal(out[3], 2);
    cpuid("x86-64-v2", 3, 0xb, 1);
    assert_int_equal(out[0], 2);
    assert_int_equal(out[1], 3);
    assert_int_equal(out[2], 0x201);
    cpuid("x86-64-v2", 1, 0xd, 0);
    assert_int_equal(out[0], 3);
    assert_int_equal(out[1], 576);
    assert_int_equal(out[2], 576);
    cpuid("x86-64-v2,-xsave", 1, 0xd, 0);
    assert_int_equal(out[0], 0);
    cpuid("x86-64-v2", 1, 0x15, 0); /* the TSC counts nanoseconds */
    assert_int_equal((uint64_t)out[2] * out[1] / out[0], 1000000000);
    cpuid("x86-64-v2", 1, 0x40000000, 0);
    assert_int_equal(out[0], 0x40000001);
    assert_memory_equal(&out[1], "KVMKVMKVM\0\0\0", 12);
    cpuid("x86-64-v2", 1, 0x40000001, 0);
    assert_int_equal(out[0], 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 14 | 1 << 24);
    cpuid("x86-64-v2", 1, 0x40000100, 0);
    assert_int_equal(out[0], 0x40000100);
    assert_memory_equal(&out[1], "visor visor ", 12);
    cpuid("x86-64-v2,-kvmclock,-kvm-asyncpf,-kvm-steal-time,-kvm-pv-eoi", 1, 0x40000000, 0);
    assert_int_equal(out[0], 0x40000000);
    assert_memory_equal(&out[1], "visor visor ", 12);
    cpuid("x86-64-v2,kvm=off", 1, 0x40000000, 0);
    assert_int_equal(out[0], 0x40000000);
    assert_memory_equal(&out[1], "visor visor ", 12);
    cpuid("x86-64-v2,kvm=off,kvm=on,-kvm-pv-eoi", 1, 0x40000001, 0);
    assert_int_equal(out[0], 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 14 | 1 << 24);
    cpuid("x86-64-v2,-kvm,+kvmclock", 1, 0x40000001, 0);
    assert_int_equal(out[0], 1 | 1 << 3 | 1 << 24);
    cpuid("x86-64-v2,hv=on", 1, 0x40000000, 0);
    assert_int_equal(out[0], 0x40000006);
    assert_memory_equal(&out[1], "Microsoft Hv", 12);
    cpuid("x86-64-v2,hv=on", 1, 0x40000001, 0);
    assert_memory_equal(out, "Hv#1", 4);
    cpuid("x86-64-v2,hv=on", 1, 0x40000003, 0);
    assert_int_equal(out[0], 1 << 1 | 1 << 2 | 1 << 3 | 1 << 5 | 1 << 6 | 1 << 9 | 1 << 11);
    assert_int_equal(out[1], 1 << 4 | 1 << 5);
    assert_int_equal(out[3], 1 << 8 | 1 << 19);
    cpuid("x86-64-v2,hv=on,-hv-synic", 1, 0x40000003, 0);
    assert_int_equal(out[0], 1 << 1 | 1 << 5 | 1 << 6 | 1 << 9 | 1 << 11);
    assert_int_equal(out[3], 1 << 8);
    cpuid("x86-64-v2,hv=on", 4, 0x40000005, 0);
    assert_int_equal(out[0], 4);
    cpuid("x86-64-v2,hv=on", 1, 0x40000100, 0);
    assert_int_equal(out[0], 0x40000101);
    assert_memory_equal(&out[1], "KVMKVMKVM\0\0\0", 12);
    cpuid("x86-64-v2,hv=on", 1, 0x40000101, 0);
    assert_int_equal(out[0], 1 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 14 | 1 << 24);
    cpuid("x86-64-v2,hv=on", 1, 0x40000200, 0);
    assert_int_equal(out[0], 0x40000200);
    assert_memory_equal(&out[1], "visor visor ", 12);
    cpuid("x86-64-v2,-hypervisor", 1, 0x40000000, 0);
    assert_int_not_equal(out[0], 0x40000000);
    cpuid("x86-64-v2", 1, 0x80000008, 0);
    assert_int_equal(out[0], 48 << 8 | 40);
    cpuid("x86-64-v2", 1, 0x80000002, 0);
    assert_memory_equal(out, "visor x86-64-v2", 16);
    cpuid("x86-64-v2", 1, 0x12345678, 0); /* as the last basic one */
    assert_int_equal(out[0], 1000);
    cpuid("486", 1, 0, 0);
    assert_int_equal(out[0], 1);
    cpuid("486", 1, 0x80000000, 0);
    assert_int_equal(out[0] >> 8, 4); /* there are none such: family 4 */
}

/* Caches are of whole sets, and the third is that of all. */
static void test_caches(void **state)
{
    static const unsigned kilobytes[] = {32, 32, 256, 8192};
    (void)state;
    for (unsigned i = 0; i < ARRAY_SIZE(kilobytes); i++) {
        cpuid("max", 4, 4, i);
        const unsigned line = (out[1] & 0xfff) + 1, ways = (out[1] >> 22) + 1;
        assert_int_equal(line * ways * (out[2] + 1) / 1024, kilobytes[i]);
        assert_int_equal((out[0] >> 14 & 0xfff) + 1, i == 3 ? 4 : 1);
        assert_int_equal((out[0] >> 26) + 1, 4);
    }
    cpuid("max", 4, 4, ARRAY_SIZE(kilobytes));
    assert_int_equal(out[0] & 31, 0);
}

/* -- what features bring --------------------------------------------------------------------------------- */

static const struct brings {
    unsigned feature;
    uint8_t code[8]; /* an instruction; ends with the last byte that is not 0 */
    uint32_t cr4;    /* or a bit of CR4 */
    uint32_t msr;    /* or an MSR, */
    uint32_t efer;   /* or a bit of EFER */
    bool nothing;    /* ... that software could do, or it is elsewhere */
} brings[] = {
    {.feature = X86_FEATURE_FPU, .nothing = true},
    {.feature = X86_FEATURE_DE, .cr4 = X86_CR4_DE},
    {.feature = X86_FEATURE_PSE, .cr4 = X86_CR4_PSE},
    {.feature = X86_FEATURE_TSC, .code = {0x0f, 0x31}},
    {.feature = X86_FEATURE_MSR, .code = {0x0f, 0x32}},
    {.feature = X86_FEATURE_PAE, .cr4 = X86_CR4_PAE},
    {.feature = X86_FEATURE_MCE, .cr4 = X86_CR4_MCE},
    {.feature = X86_FEATURE_CX8, .code = {0x0f, 0xc7, 0x0e}},
    {.feature = X86_FEATURE_APIC, .msr = 0x1b},
    {.feature = X86_FEATURE_SEP, .code = {0x0f, 0x34}},
    {.feature = X86_FEATURE_MTRR, .msr = 0xfe},
    {.feature = X86_FEATURE_PGE, .cr4 = X86_CR4_PGE},
    {.feature = X86_FEATURE_MCA, .msr = 0x179},
    {.feature = X86_FEATURE_CMOV, .code = {0x0f, 0x44, 0xc1}},
    {.feature = X86_FEATURE_PAT, .msr = 0x277},
    {.feature = X86_FEATURE_PSE36, .nothing = true},
    {.feature = X86_FEATURE_CLFLUSH, .code = {0x0f, 0xae, 0x3e}},
    {.feature = X86_FEATURE_MMX, .code = {0x0f, 0xfc, 0xc1}},
    {.feature = X86_FEATURE_FXSR, .code = {0x0f, 0xae, 0x06}},
    {.feature = X86_FEATURE_SSE, .code = {0x0f, 0x58, 0xc1}},
    {.feature = X86_FEATURE_SSE2, .code = {0x66, 0x0f, 0x58, 0xc1}},
    {.feature = X86_FEATURE_HTT, .nothing = true},
    {.feature = X86_FEATURE_SSE3, .code = {0xf2, 0x0f, 0x7c, 0xc1}},
    {.feature = X86_FEATURE_PCLMULQDQ, .code = {0x66, 0x0f, 0x3a, 0x44, 0xc1, 0x11}},
    {.feature = X86_FEATURE_SSSE3, .code = {0x66, 0x0f, 0x38, 0x01, 0xc1}},
    {.feature = X86_FEATURE_CX16, .code = {0x48, 0x0f, 0xc7, 0x0e}},
    {.feature = X86_FEATURE_PCID, .cr4 = X86_CR4_PCIDE},
    {.feature = X86_FEATURE_SSE4_1, .code = {0x66, 0x0f, 0x38, 0x40, 0xc1}},
    {.feature = X86_FEATURE_SSE4_2, .code = {0xf2, 0x0f, 0x38, 0xf1, 0xc1}},
    {.feature = X86_FEATURE_X2APIC, .msr = 0x800},
    {.feature = X86_FEATURE_MOVBE, .code = {0x0f, 0x38, 0xf0, 0x06}},
    {.feature = X86_FEATURE_POPCNT, .code = {0xf3, 0x0f, 0xb8, 0xc1}},
    {.feature = X86_FEATURE_TSC_DEADLINE, .msr = 0x6e0},
    {.feature = X86_FEATURE_AES, .code = {0x66, 0x0f, 0x38, 0xdc, 0xc1}},
    {.feature = X86_FEATURE_XSAVE, .code = {0x0f, 0xae, 0x26}},
    {.feature = X86_FEATURE_OSXSAVE, .nothing = true},
    {.feature = X86_FEATURE_RDRAND, .code = {0x0f, 0xc7, 0xf1}},
    {.feature = X86_FEATURE_HYPERVISOR, .nothing = true},
    {.feature = X86_FEATURE_FSGSBASE, .code = {0xf3, 0x0f, 0xae, 0xc1}},
    {.feature = X86_FEATURE_TSC_ADJUST, .msr = 0x3b},
    {.feature = X86_FEATURE_SMEP, .cr4 = X86_CR4_SMEP},
    {.feature = X86_FEATURE_INVPCID, .code = {0x66, 0x0f, 0x38, 0x82, 0x06}},
    {.feature = X86_FEATURE_RDSEED, .code = {0x0f, 0xc7, 0xf9}},
    {.feature = X86_FEATURE_SMAP, .code = {0x0f, 0x01, 0xca}},
    {.feature = X86_FEATURE_SHA, .code = {0x0f, 0x38, 0xc8, 0xc1}},
    {.feature = X86_FEATURE_UMIP, .cr4 = X86_CR4_UMIP},
    {.feature = X86_FEATURE_ARCH_CAPABILITIES, .msr = 0x10a},
    {.feature = X86_FEATURE_XSAVEOPT, .code = {0x0f, 0xae, 0x36}},
    {.feature = X86_FEATURE_SYSCALL, .code = {0x0f, 0x05}},
    {.feature = X86_FEATURE_NX, .efer = X86_EFER_NXE},
    {.feature = X86_FEATURE_PDPE1GB, .nothing = true},
    {.feature = X86_FEATURE_RDTSCP, .code = {0x0f, 0x01, 0xf9}},
    {.feature = X86_FEATURE_LM, .msr = 0xc0000101},
    {.feature = X86_FEATURE_LAHF_LM, .code = {0x9f}},
    {.feature = X86_FEATURE_PREFETCHW, .nothing = true},
    {.feature = X86_FEATURE_INVARIANT_TSC, .nothing = true},
    {.feature = X86_FEATURE_KVMCLOCK, .nothing = true},        /* the engines': test_pvclock */
    {.feature = X86_FEATURE_KVM_ASYNC_FAULT, .nothing = true}, /* test_async_fault */
    {.feature = X86_FEATURE_KVM_STEAL_TIME, .nothing = true},
    {.feature = X86_FEATURE_KVM_PV_EOI, .nothing = true},
    {.feature = X86_FEATURE_HYPERV, .nothing = true}, /* likewise: test_hyperv */
    {.feature = X86_FEATURE_HYPERV_SYNIC, .nothing = true},
};

/* Lifted, or left to the emulator, which does not say that it is undefined either. */
static bool insn_works(const uint8_t code[8])
{
    static struct ir_region region;
    unsigned length = 8;

    while (!code[length - 1])
        length--;
    ir_region_reset(&region, 0x400000);
    region.mode = X86_CODE_64 | X86_MODE_SYSTEM;
    region.model = &around.model;
    x86_guest.lift(&region, 0x400000, code, length, 1);
    const struct ir_insn *last = &region.insns[region.count - 1];
    if (last->op != IR_RAISE)
        return true;
    if (last->aux != TRANSLATOR_EMULATE)
        return false;
    machine_long();
    S->cr4 = X86_CR4_OSFXSR | X86_CR4_OSXSAVE | X86_CR4_FSGSBASE;
    S->gpr[X86_RSI] = 0x5000;
    return run_bytes(code, length) == X86_EMULATED || CORE->exception.vector != X86_UD;
}

static bool register_works(const struct brings *b)
{
    machine_long();
    S->cr3 = 0x5000;
    if (b->cr4) {
        S->cr4 = b->cr4 == X86_CR4_PAE ? 0 : X86_CR4_PAE;
        S->efer = b->cr4 == X86_CR4_PAE ? 0 : S->efer;
        S->cr0 = b->cr4 == X86_CR4_PAE ? X86_CR0_PE : S->cr0;
        S->gpr[X86_RAX] = S->cr4 | b->cr4;
        if (b->cr4 != X86_CR4_PAE && !x86_has(&around.model, X86_FEATURE_PAE))
            return false;
        return RUN(0x0f, 0x22, 0xe0) == X86_EMULATED;
    }
    if (b->efer) {
        S->gpr[X86_RCX] = 0xc0000080;
        S->gpr[X86_RAX] = S->efer | b->efer, S->gpr[X86_RDX] = 0;
        return RUN(0x0f, 0x30) == X86_EMULATED;
    }
    S->gpr[X86_RCX] = b->msr;
    return RUN(0x0f, 0x32) == X86_EMULATED;
}

static bool works(const struct brings *b)
{
    return b->code[0] ? insn_works(b->code) : register_works(b);
}

static void test_features(void **state)
{
    (void)state;
    for (unsigned i = 0; x86_feature_name(i); i++) {
        const struct brings *b = &brings[i];
        char text[64];
        assert_true(i < ARRAY_SIZE(brings));
        around_init("max");
        if (b->nothing)
            continue;
        if (x86_has(&around.model, b->feature) && !works(b))
            fail_msg("%s is listed and does not work", x86_feature_name(i));
        snprintf(text, sizeof text, "max,-%s", x86_feature_name(i));
        around_init(text);
        assert_false(x86_has(&around.model, b->feature)); /* the order is features.def's */
        if (works(b))
            fail_msg("%s is not listed and works", x86_feature_name(i));
    }
    assert_null(x86_feature_name(ARRAY_SIZE(brings)));
}

/* Those that an engine has to be told of, and no others. */
static void test_hypervisor_leaves(void **state)
{
    static const struct {
        const char *model;
        uint32_t leaves[12];
    } cases[] = {
        {"max,hv=on",
         {0x40000000, 0x40000001, 0x40000002, 0x40000003, 0x40000004, 0x40000005, 0x40000006, 0x40000100,
          0x40000101, 0x40000200}},
        {"max", {0x40000000, 0x40000001, 0x40000100}},
        {"max,kvm=off", {0x40000000}},
        {"max,-hypervisor", {0}},
    };
    (void)state;
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct x86_model model;
        struct error error = ERROR_INIT;
        uint32_t leaf = 0;
        assert_int_equal(x86_model_parse(&model, cases[i].model, &error), 0);
        for (unsigned j = 0; j == 0 || leaf; j++) {
            leaf = x86_hypervisor_leaf(&model, leaf);
            assert_int_equal(leaf, cases[i].leaves[j]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),    cmocka_unit_test(test_refused),
        cmocka_unit_test(test_cpuid),    cmocka_unit_test(test_caches),
        cmocka_unit_test(test_features), cmocka_unit_test(test_hypervisor_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
