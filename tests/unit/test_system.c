/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Tests of the translator's system mode: code behind page tables that change, and code that changes. */
#include "system_machine.h"
#include "translator/runtime.h"

#define GPR(n) (cpus[0]->x86.state.gpr[n])

static FILE *trace;
static char *text; /* what was translated */
static size_t text_size;

static bool fills; /* tests are run with and without */

static int begin(void **state)
{
    (void)state;
    trace = open_memstream(&text, &text_size);
    machine_begin(
        &(struct translator_options){
            .system = true, .fills = fills, .trace = TRANSLATOR_TRACE_GUEST, .trace_stream = trace},
        CPUS);
    return 0;
}

static int end(void **state)
{
    (void)state;
    machine_end();
    fclose(trace);
    free(text);
    return 0;
}

static unsigned regions(void)
{
    unsigned count = 0;
    fflush(trace);
    for (const char *p = text; (p = strstr(p, "---- region")); p++)
        count++;
    return count;
}

/* From a linear address to a breakpoint, which is at `stop`. */
static void run_to(uint64_t start, uint64_t stop)
{
    cpus[0]->x86.pc = start;
    assert_int_equal(run(0), TRANSLATOR_BREAKPOINT);
    assert_int_equal(cpus[0]->x86.pc, stop);
}

/* -- pages ----------------------------------------------------------------------------------------------- */

/* 0: inc eax; jmp page 1. 1: dec ecx; jne page 0; breakpoint */
static void put_loop(void)
{
    PUT(0, 0x10, 0xff, 0xc0, 0xe9, 0xe9, 0x0f, 0x00, 0x00);
    PUT(1, 0x00, 0xff, 0xc9, 0x0f, 0x85, 0x08, 0xf0, 0xff, 0xff, 0xcc);
}

static void test_loop(void **state)
{
    (void)state;
    put_loop();
    GPR(X86_RCX) = 100000;
    run_to(AT(0, 0x10), AT(1, 8));
    assert_int_equal(GPR(X86_RAX), 100000);
    assert_int_equal(regions(), 2);
}

/* Straight on from one page to the next, by an instruction that ends with the page and by one that crosses.
 */
static void test_straight_on(void **state)
{
    (void)state;
    memset(physical + PAGE - 8, 0x90, 8);
    PUT(1, 0, 0xff, 0xc0, 0xcc);
    run_to(AT(0, 0xff8), AT(1, 2));
    assert_int_equal(GPR(X86_RAX), 1);
    PUT(0, 0xffd, 0xb8, 0x78, 0x56); /* mov eax, imm32 */
    PUT(1, 0, 0x34, 0x12, 0xcc);
    run_to(AT(0, 0xff8), AT(1, 2));
    assert_int_equal(GPR(X86_RAX), 0x12345678);
}

static void test_fetch_faults(void **state)
{
    (void)state;
    map[1] = NOWHERE;
    PUT(0, 0xffd, 0xb8, 0x78, 0x56);
    cpus[0]->x86.pc = AT(1, 5);
    assert_int_equal(run(0), TRANSLATOR_FETCH_FAULT);
    assert_int_equal(cpus[0]->x86.common.exit_payload, AT(1, 5));
    for (unsigned i = 0; i < 2; i++) {
        cpus[0]->x86.pc = AT(0, 0xffd);
        assert_int_equal(run(0), TRANSLATOR_FETCH_FAULT);
        assert_int_equal(cpus[0]->x86.common.exit_payload, AT(1, 0));
        assert_int_equal(cpus[0]->x86.pc, AT(0, 0xffd));
    }
    map[1] = 5;
    PUT(5, 0, 0x34, 0x12, 0xcc);
    run_to(AT(0, 0xffd), AT(1, 2));
    assert_int_equal(GPR(X86_RAX), 0x12345678);
}

/* Another physical page is mapped behind code that is linked and in the jump cache. */
static void test_remap(void **state)
{
    (void)state;
    put_loop();
    PUT(5, 0x00, 0xff, 0xc3, 0xff, 0xc9, 0x0f, 0x85, 0x06, 0xf0, 0xff, 0xff, 0xcc); /* and inc ebx */
    for (unsigned i = 0; i < 4; i++) {
        GPR(X86_RCX) = 50;
        GPR(X86_RBX) = 0;
        map[1] = i & 1 ? 5 : 1;
        flush(0);
        run_to(AT(0, 0x10), AT(1, i & 1 ? 10 : 8));
        assert_int_equal(GPR(X86_RBX), i & 1 ? 50 : 0);
    }
    assert_int_equal(GPR(X86_RAX), 200);
    assert_int_equal(regions(), 3);
}

/* The second page of an instruction is mapped elsewhere, and changes. */
static void test_crossing(void **state)
{
    (void)state;
    PUT(0, 0xff0, 0xff, 0xc9, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x81, 0xc0,
        0x01);
    for (unsigned page = 1; page < 3; page++) /* add eax, imm32; test ecx, ecx; jne back; breakpoint */
        PUT(page, 0, 0x00, (uint8_t)page, 0x00, 0x85, 0xc9, 0x0f, 0x85, 0xe5, 0xff, 0xff, 0xff, 0xcc);
    for (unsigned i = 0; i < 6; i++) {
        if (i == 4)
            PUT(2, 0, 0x80);
        map[1] = (uint8_t)(1 + i % 2);
        flush(0);
        GPR(X86_RCX) = 10;
        GPR(X86_RAX) = 0;
        run_to(AT(0, 0xff0), AT(1, 11));
        uint64_t added = i % 2 ? (i == 5 ? 0x28001 : 0x20001) : 0x10001;
        assert_int_equal(GPR(X86_RAX), 10 * added);
    }
}

/* The exits to this address that are links, and lead somewhere. */
static unsigned links_to(uint64_t target)
{
    const struct code_cache *cache = translator->cache;
    unsigned count = 0;
    for (unsigned a = 0; a < ARENA_COUNT; a++) {
        const struct code_part *exits = &cache->arenas[a].parts[TABLE_EXITS];
        for (uint32_t i = exits->first; i < exits->end; i++)
            count += cache->exits[i].slot && cache->exits[i].target == target &&
                     cache->exits[i].linked != NO_BLOCK;
    }
    return count;
}

/* Links to an instruction that crosses find what it is now, with the flags that it may or may not read. */
static void test_links_to_crossing(void **state)
{
    (void)state;
    PUT(0, 0xff0, 0xff, 0xc9, 0x83, 0xf9, 0x05, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
        0x81);                                /* dec ecx; cmp ecx, 5 */
    for (unsigned page = 1; page < 3; page++) /* add or adc eax, 256; test ecx, ecx; jne back; breakpoint */
        PUT(page, 0, page == 1 ? 0xc0 : 0xd0, 0x00, 0x01, 0x00, 0x00, 0x85, 0xc9, 0x0f, 0x85, 0xe3, 0xff,
            0xff, 0xff, 0xcc);
    for (unsigned i = 0; i < 6; i++) {
        map[1] = (uint8_t)(1 + i % 2);
        flush(0);
        GPR(X86_RCX) = 10;
        GPR(X86_RAX) = 0;
        run_to(AT(0, 0xff0), AT(1, 13));
        assert_int_equal(GPR(X86_RAX), i % 2 ? 2565 : 2560);
        assert_int_equal(links_to(AT(0, 0xfff)), 1);
    }
}

/* Such an instruction in a loop, behind others and as a branch target, is reached without the run loop. */
static void test_crossing_stays(void **state)
{
    const struct translator_cpu *cpu = &cpus[0]->x86.common;
    (void)state;
    /* dec ecx; add eax, imm32, across */
    PUT(0, 0xffb, 0xff, 0xc9, 0x05, 0x01, 0x00);
    PUT(1, 0, 0x00, 0x00, 0x85, 0xc9, 0x75, 0xf5, 0xcc); /* test ecx, ecx; jne dec ecx; breakpoint */
    GPR(X86_RCX) = 10000;
    run_to(AT(0, 0xffb), AT(1, 6));
    assert_int_equal(GPR(X86_RAX), 10000);
    assert_true(cpu->entries < 20);
    PUT(1, 0, 0x00, 0x00, 0xff, 0xc9, 0x75, 0xf7, 0xcc); /* dec ecx; jne add */
    GPR(X86_RCX) = 10000;
    const uint64_t before = cpu->entries;
    run_to(AT(0, 0xffd), AT(1, 6));
    assert_int_equal(GPR(X86_RAX), 20000);
    assert_true(cpu->entries - before < 20);
}

/* What one address space has found out stays while another runs the same program, and when a page that has no
 * code is flushed. */
static void test_spaces_stay(void **state)
{
    struct translator_cpu *cpu = &cpus[0]->x86.common;
    uint64_t before = 0;
    (void)state;
    put_loop();
    for (unsigned i = 0; i < 20; i++) {
        if (i == 4)
            before = cpu->entries;
        translator_set_space(cpu, i % 2);
        if (i % 3 == 0)
            translator_flush_jumps_page(cpu, AT(1024, 0));
        GPR(X86_RCX) = 5;
        run_to(AT(0, 0x10), AT(1, 8));
    }
    assert_int_equal(regions(), 2);
    assert_int_equal(cpu->entries - before, 16); /* one each */
    translator_flush_jumps_page(cpu, AT(1, 0));
    GPR(X86_RCX) = 5;
    run_to(AT(0, 0x10), AT(1, 8));
    assert_true(cpu->entries - before > 17);
}

/* The same bytes at two linear addresses: each knows where it is, and both follow when they change. */
static void test_alias(void **state)
{
    (void)state;
    map[7] = 3;
    PUT(3, 0x20, 0x48, 0x8d, 0x05, 0x00, 0x00, 0x00, 0x00, 0xb3, 0x01, 0xcc); /* lea rax, [rip]; mov bl, 1 */
    for (unsigned i = 1; i < 4; i++) {
        physical[3 * PAGE + 0x28] = (uint8_t)i;
        translator_invalidate(translator, 3 * PAGE + 0x28, 1);
        for (unsigned page = 3; page <= 7; page += 4) {
            run_to(AT(page, 0x20), AT(page, 0x29));
            assert_int_equal(GPR(X86_RAX), AT(page, 0x27));
            assert_int_equal(GPR(X86_RBX), i);
        }
    }
}

/* Calls and returns across pages that are mapped elsewhere between the two. */
static void swap_pages(struct translator_cpu *cpu, uint64_t offset)
{
    (void)offset;
    map[0] = 8;
    tlb_flush(cpus[0]->tlbs);
    translator_flush_jumps_page(cpu, AT(0, 0));
}

static void test_return(void **state)
{
    (void)state;
    GPR(X86_RSP) = AT(10, 0x800);
    GPR(X86_RDI) = AT(20, 0);
    map[20] = NOWHERE;
    on_device = swap_pages;
    PUT(0, 0, 0xe8, 0xfb, 0x0f, 0x00, 0x00, 0xb8, 0x01, 0x00, 0x00, 0x00, 0xcc); /* call page 1; mov eax, 1 */
    PUT(8, 0, 0xe8, 0xfb, 0x0f, 0x00, 0x00, 0xb8, 0x02, 0x00, 0x00, 0x00, 0xcc);
    PUT(1, 0, 0x48, 0x89, 0x07, 0xc3); /* mov [rdi], rax; ret */
    run_to(AT(0, 0), AT(0, 10));
    assert_int_equal(GPR(X86_RAX), 2);
}

/* More flushes than there are keys. */
static void test_keys(void **state)
{
    (void)state;
    put_loop();
    for (unsigned i = 0; i < 140000; i++) {
        translator_flush_jumps(&cpus[0]->x86.common);
        if (i % 1000)
            cpus[0]->x86.common.single_step = true;
        GPR(X86_RCX) = 5;
        cpus[0]->x86.pc = AT(0, 0x10);
        enum translator_exit exit = run(0);
        assert_int_equal(exit, i % 1000 ? TRANSLATOR_STEPPED : TRANSLATOR_BREAKPOINT);
        cpus[0]->x86.common.single_step = false;
    }
    assert_int_equal(regions(), 2);
}

/* -- accesses -------------------------------------------------------------------------------------------- */

/* An instruction that has read the flags when it faults finds them when it comes again, though what follows
 * sets them. */
static void test_flags_at_fault(void **state)
{
    (void)state;
    PUT(0, 0, 0x39, 0xd0, 0x0f, 0x92, 0x07, 0x31, 0xc9, 0xcc); /* cmp eax, edx; setb [rdi]; xor ecx, ecx */
    GPR(X86_RDI) = AT(20, 0);
    for (unsigned i = 0; i < 4; i++) {
        map[20] = NOWHERE;
        flush(0);
        GPR(X86_RAX) = i & 1;
        GPR(X86_RDX) = 1;
        cpus[0]->x86.pc = AT(0, 0);
        assert_int_equal(run(0), TRANSLATOR_FAULT);
        assert_int_equal(cpus[0]->x86.pc, AT(0, 2));
        assert_int_equal(cpus[0]->x86.common.exit_payload, AT(20, 0));
        map[20] = 20;
        run_to(AT(0, 2), AT(0, 7));
        assert_int_equal(physical[20 * PAGE], !(i & 1));
    }
}

/* Accesses relative to one register: on one page, on two, of which one or the other is missing or a device.
 */
static unsigned device_stores;

static void count_store(struct translator_cpu *cpu, uint64_t offset)
{
    (void)cpu, (void)offset;
    device_stores++;
}

static void test_union(void **state)
{
    (void)state;
    /* mov eax, [rdi]; mov [rdi+8], eax; mov [rdi+16], ecx; inc ecx; breakpoint */
    PUT(0, 0, 0x8b, 0x07, 0x89, 0x47, 0x08, 0x89, 0x4f, 0x10, 0xff, 0xc1, 0xcc);
    for (unsigned page = 20; page < 22; page++)
        for (unsigned i = 0; i < PAGE; i++)
            physical[page * PAGE + i] = (uint8_t)(i + page);
    for (unsigned i = 0; i < 8; i++) { /* behind one another, across the page's end */
        uint64_t at = AT(20, 0xfe0 + 4 * i);
        GPR(X86_RDI) = at;
        GPR(X86_RCX) = 0x11111111 * i;
        run_to(AT(0, 0), AT(0, 10));
        assert_memory_equal(physical + (at - LINEAR), physical + (at - LINEAR) + 8, 4);
        assert_int_equal(physical[at - LINEAR + 16], 0x11 * i);
    }
    map[21] = NOWHERE;
    flush(0);
    for (unsigned i = 0; i < 3; i++) {
        static const uint8_t pcs[] = {5, 2, 0};
        GPR(X86_RDI) = AT(20, 0xff0 + 8 * i);
        cpus[0]->x86.pc = AT(0, 0);
        assert_int_equal(run(0), TRANSLATOR_FAULT);
        assert_int_equal(cpus[0]->x86.pc, AT(0, pcs[i]));
        assert_int_equal(cpus[0]->x86.common.exit_payload, AT(21, 0));
    }
    on_device = count_store;
    GPR(X86_RDI) = AT(20, 0xff8);
    run_to(AT(0, 0), AT(0, 10));
    assert_int_equal(device_stores, 2);
    device_stores = 0;
}

/* -- changed code ---------------------------------------------------------------------------------------- */

/* A store into another block of the page, which is dropped and no other. */
static void test_other_block(void **state)
{
    (void)state;
    PUT(0, 0x00, 0x88, 0x15, 0xfb, 0x00, 0x00, 0x00, 0xe9, 0xf5, 0x00, 0x00,
        0x00);                                               /* mov [rip], dl; jmp 100h */
    PUT(0, 0x100, 0xb0, 0x00, 0xe9, 0xf9, 0x00, 0x00, 0x00); /* mov al, 0; jmp 200h */
    PUT(0, 0x200, 0xcc);
    for (unsigned i = 1; i < 5; i++) {
        GPR(X86_RDX) = i;
        run_to(AT(0, 0), AT(0, 0x200));
        assert_int_equal(GPR(X86_RAX) & 0xff, i);
    }
    assert_int_equal(regions(), 3 + 3);
}

/* A store into the block itself, to the very next instruction and to a later one. */
static void test_own_block(void **state)
{
    (void)state;
    PUT(0, 0x00, 0xff, 0xc1, 0x88, 0x15, 0x01, 0x00, 0x00, 0x00, 0xb0, 0x00,
        0xcc); /* inc ecx; mov [rip+1], dl; mov al */
    PUT(1, 0x00, 0xff, 0xc1, 0x88, 0x15, 0x06, 0x00, 0x00, 0x00, 0x31, 0xdb, 0xff, 0xc3, 0x90, 0xb0, 0x00,
        0xcc);
    for (unsigned page = 0; page < 2; page++) {
        for (unsigned i = 1; i < 5; i++) {
            GPR(X86_RDX) = i;
            GPR(X86_RCX) = 0;
            run_to(AT(page, 0), AT(page, page ? 15 : 10));
            assert_int_equal(GPR(X86_RAX) & 0xff, i);
            assert_int_equal(GPR(X86_RCX), 1);
        }
    }
}

/* An instruction that overwrites itself, and one that changes code atomically. */
static void test_own_instruction(void **state)
{
    (void)state;
    PUT(0, 0, 0xc6, 0x05, 0xf9, 0xff, 0xff, 0xff, 0xcc, 0xff, 0xc0, 0xcc); /* mov byte [rip-7], cc; inc eax */
    run_to(AT(0, 0), AT(0, 9));
    assert_int_equal(GPR(X86_RAX), 1);
    assert_int_equal(physical[0], 0xcc);
    run_to(AT(0, 0), AT(0, 0));

    PUT(1, 0, 0xf0, 0x00, 0x15, 0x01, 0x00, 0x00, 0x00, 0xb0, 0x00,
        0xcc); /* lock add [rip+1], dl; mov al, 0 */
    PUT(1, 0x80, 0xf0, 0x00, 0x15, 0x7a, 0xff, 0xff, 0xff, 0xeb,
        0xf6); /* the same from elsewhere; jmp 7f+... */
    GPR(X86_RDX) = 3;
    for (unsigned i = 1; i < 5; i++) {
        run_to(AT(1, 0), AT(1, 9));
        assert_int_equal(GPR(X86_RAX) & 0xff, 3 * i);
    }
}

/* Data next to code: stores to it drop nothing. */
static void test_mixed_page(void **state)
{
    (void)state;
    /* inc dword [rip + 0x100]; loop back; breakpoint */
    PUT(0, 0x00, 0xff, 0x05, 0xfa, 0x00, 0x00, 0x00, 0xe2, 0xf8, 0xcc);
    memset(physical + 0x100, 0, 4);
    GPR(X86_RCX) = 1000;
    run_to(AT(0, 0), AT(0, 8));
    assert_int_equal(physical[0x100] | physical[0x101] << 8, 1000);
    assert_int_equal(regions(), fills ? 2 : 1);
}

/* A page that has no code any more is written at full speed: its flag goes. */
static void test_page_empties(void **state)
{
    (void)state;
    PUT(0, 0, 0xcc);
    PUT(1, 0, 0x90, 0xcc);
    run_to(AT(0, 0), AT(0, 0));
    run_to(AT(1, 0), AT(1, 1));
    assert_int_equal(code_pages, 2);
    PUT(1, 8, 0);
    assert_int_equal(code_pages, 2);
    PUT(1, 1, 0x90);
    assert_int_equal(code_pages, 1);
    assert_false(has_code[1]);
}

static void test_uncached(void **state)
{
    (void)state;
    uncached[0] = uncached[1] = 1;
    put_loop();
    GPR(X86_RCX) = 10;
    cpus[0]->x86.pc = AT(0, 0x10);
    assert_int_equal(run(0), TRANSLATOR_BREAKPOINT);
    assert_int_equal(GPR(X86_RAX), 10);
    assert_int_equal(regions(), 0);
    assert_int_equal(code_pages, 0);
    PUT(0, 0xffd, 0xb8, 0x78, 0x56);
    PUT(1, 0, 0x34, 0x12, 0xcc);
    run_to(AT(0, 0xffd), AT(1, 2));
    assert_int_equal(GPR(X86_RAX), 0x12345678);
}

/* -- leaving --------------------------------------------------------------------------------------------- */

static void test_single_step(void **state)
{
    (void)state;
    PUT(0, 0, 0xff, 0xc0, 0xeb, 0x02, 0x90, 0x90, 0xff, 0xc0, 0xcc);
    static const uint8_t stops[] = {2, 6, 8};
    cpus[0]->x86.common.single_step = true;
    cpus[0]->x86.pc = AT(0, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(stops); i++) {
        assert_int_equal(run(0), TRANSLATOR_STEPPED);
        assert_int_equal(cpus[0]->x86.pc, AT(0, stops[i]));
    }
    assert_int_equal(run(0), TRANSLATOR_BREAKPOINT);
    assert_int_equal(GPR(X86_RAX), 2);
    assert_int_equal(regions(), 0);
}

static void request(struct translator_cpu *cpu, uint64_t offset)
{
    (void)offset;
    translator_request(cpu);
}

/* The memory function asks to come back: at the end of the block, every time. */
static void test_request(void **state)
{
    (void)state;
    map[20] = NOWHERE;
    on_device = request;
    GPR(X86_RDI) = AT(20, 0);
    GPR(X86_RCX) = 5;
    /* mov [rdi], eax; inc eax; jmp +0; dec ecx; jne back; breakpoint */
    PUT(0, 0, 0x89, 0x07, 0xff, 0xc0, 0xeb, 0x00, 0xff, 0xc9, 0x75, 0xf6, 0xcc);
    cpus[0]->x86.pc = AT(0, 0);
    for (unsigned i = 1; i <= 5; i++) {
        assert_int_equal(run(0), TRANSLATOR_INTERRUPTED);
        assert_int_equal(cpus[0]->x86.pc, AT(0, 6));
        assert_int_equal(GPR(X86_RAX), i);
    }
    assert_int_equal(run(0), TRANSLATOR_BREAKPOINT);
}

static void *interrupt_later(void *unused)
{
    (void)unused;
    usleep(2000);
    pthread_kill(vcpus[0].thread, SIGUSR1);
    return NULL;
}

/* Tight loops: within a page, and across pages. */
static void test_interrupt(void **state)
{
    (void)state;
    PUT(0, 0x00, 0xff, 0xc0, 0xeb, 0xfc);                   /* inc eax; jmp back */
    PUT(1, 0x00, 0xff, 0xc0, 0xe9, 0xf9, 0x0f, 0x00, 0x00); /* inc eax; jmp page 2 */
    PUT(2, 0x00, 0xe9, 0xfb, 0xef, 0xff, 0xff);             /* jmp page 1 */
    for (unsigned i = 0; i < 20; i++) {
        pthread_t thread;
        vcpus[0].thread = pthread_self();
        atomic_store(&vcpus[0].running, true);
        cpus[0]->x86.pc = AT(i & 1, 0);
        pthread_create(&thread, NULL, interrupt_later, NULL);
        assert_int_equal(run(0), TRANSLATOR_INTERRUPTED);
        pthread_join(thread, NULL);
        assert_true(cpus[0]->x86.pc == AT(0, 0) || cpus[0]->x86.pc == AT(1, 0) ||
                    cpus[0]->x86.pc == AT(2, 0));
    }
}

/* Modes keep apart: the accesses of the same code go by the TLB of the mode. */
static void test_modes(void **state)
{
    (void)state;
    PUT(0, 0, 0xff, 0xc0, 0xe9, 0xf9, 0x0f, 0x00, 0x00); /* inc eax; jmp page 1 */
    PUT(1, 0, 0x8b, 0x1f, 0xff, 0xc9, 0x0f, 0x85, 0xf6, 0xef, 0xff, 0xff,
        0xcc); /* mov ebx, [rdi]; dec ecx; jne */
    memset(physical + 2 * PAGE, 2, PAGE);
    memset(physical + 3 * PAGE, 3, PAGE);
    GPR(X86_RDI) = AT(2, 0);
    for (unsigned i = 0; i < 2; i++)
        cpus[0]->tlbs[i].entries[AT(2, 0) / PAGE % TLB_SIZE] = (struct tlb_entry){
            .read = AT(2, 0), .write = TLB_NONE, .addend = (uintptr_t)physical + (2 + i) * PAGE - AT(2, 0)};
    for (unsigned i = 0; i < 12; i++) {
        cpus[0]->x86.mode = (i & 1) << X86_MODE_TLB_SHIFT | (i >= 6 ? X86_MODE_SYSTEM : 0);
        GPR(X86_RCX) = 10;
        run_to(AT(0, 0), AT(1, 10));
        assert_int_equal(GPR(X86_RBX), i & 1 ? 0x03030303 : 0x02020202);
    }
    assert_int_equal(GPR(X86_RAX), 120);
}

static unsigned pauses;

static void count_pause(struct x86_cpu *cpu)
{
    (void)cpu;
    pauses++;
}

/* PAUSE is told of, and changes nothing, not even flags; other exchanges with F3 are none. */
static void test_pause(void **state)
{
    (void)state;
    PUT(0, 0, 0x83, 0xe9, 0x01,             /* 0 sub ecx, 1 */
        0xf3, 0x90,                         /* 3 pause */
        0x75, 0xf9,                         /* 5 jne 0 */
        0x90, 0xf3, 0x41, 0x90, 0x48, 0x90, /* 7 nop; xchg r8d, eax; nop */
        0xcc);
    cpus[0]->x86.pause = count_pause;
    pauses = 0;
    GPR(X86_RCX) = 1000;
    GPR(X86_RAX) = 7;
    GPR(X86_R8) = 8;
    run_to(AT(0, 0), AT(0, 13));
    assert_int_equal(pauses, 1000);
    assert_int_equal(GPR(X86_RAX), 8);
    assert_int_equal(GPR(X86_R8), 7);
}

/* -- two CPUs -------------------------------------------------------------------------------------------- */

/*
 * One CPU writes a number into the other's code, then into memory; the other, when it has seen the second,
 * must execute the first, and answers. Page 0 is the writer, page 1 the other, page 2 the words that they
 * talk by: edi points to them. Both count to ecx.
 */
static void test_two_cpus(void **state)
{
    enum { ROUNDS = 300 };
    (void)state;
    PUT(0, 0, 0xff, 0xc0,                   /*  0 inc eax */
        0x89, 0x86, 0x21, 0x00, 0x00, 0x00, /*  2 mov [rsi+21h], eax: the immediate */
        0x89, 0x07,                         /*  8 mov [rdi], eax */
        0xf3, 0x90,                         /*  a pause */
        0x39, 0x47, 0x40,                   /*  c cmp [rdi+40h], eax */
        0x75, 0xf9,                         /*  f jne a */
        0x39, 0xc8,                         /* 11 cmp eax, ecx */
        0x75, 0xeb,                         /* 13 jne 0 */
        0xcc);
    PUT(1, 0, 0xff, 0xc0,                      /*  0 inc eax */
        0xf3, 0x90,                            /*  2 pause */
        0x39, 0x07,                            /*  4 cmp [rdi], eax */
        0x75, 0xfa,                            /*  6 jne 2 */
        0xeb, 0x16);                           /*  8 jmp 20 */
    PUT(1, 0x20, 0xbb, 0x00, 0x00, 0x00, 0x00, /* 20 mov ebx, imm32 */
        0x39, 0xc3,                            /* 25 cmp ebx, eax */
        0x75, 0x09,                            /* 27 jne 32: a breakpoint */
        0x89, 0x47, 0x40,                      /* 29 mov [rdi+40h], eax */
        0x39, 0xc8,                            /* 2c cmp eax, ecx */
        0x75, 0xd0,                            /* 2e jne 0 */
        0xf4, 0x90,                            /* 30 hlt: the owner's */
        0xcc);
    memset(physical + 2 * PAGE, 0, PAGE);
    for (unsigned i = 0; i < 2; i++) {
        cpus[i]->x86.state.gpr[X86_RCX] = ROUNDS;
        cpus[i]->x86.state.gpr[X86_RSI] = AT(1, 0);
        cpus[i]->x86.state.gpr[X86_RDI] = AT(2, 0);
        cpus[i]->x86.pc = AT(i, 0);
    }
    pthread_t thread;
    void *exit;
    pthread_create(&thread, NULL, run_second, NULL);
    assert_int_equal(run_through(0), TRANSLATOR_BREAKPOINT);
    pthread_join(thread, &exit);
    assert_int_equal((uintptr_t)exit, TRANSLATOR_EMULATE);
    assert_int_equal(cpus[1]->x86.state.gpr[X86_RBX], ROUNDS);
}

/* -- code that moves ------------------------------------------------------------------------------------- */

enum { MOVED = 20, STACK = 30 }; /* pages */

/* 0x10: lea rax, [rip + 0x100 - 0x17]; mov rbx, [rip + 0x100 - 0x1e]; call 0x40; jmp page 1
 * 0x40: mov rcx, [rsp]; ret. Page 1: breakpoint */
static void put_movable(void)
{
    PUT(MOVED, 0x10, 0x48, 0x8d, 0x05, 0xe9, 0, 0, 0, 0x48, 0x8b, 0x1d, 0xe2, 0, 0, 0, 0xe8, 0x1d, 0, 0, 0,
        0xe9, 0xf8, 0x0f, 0, 0);
    PUT(MOVED, 0x40, 0x48, 0x8b, 0x0c, 0x24, 0xc3);
    PUT(MOVED, 0x100, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x08);
    PUT(MOVED + 1, 0x20, 0xcc);
}

/* The two pages mapped at another linear page only. */
static void map_movable(unsigned from, unsigned to)
{
    map[from] = map[from + 1] = NOWHERE;
    map[to] = MOVED;
    map[to + 1] = MOVED + 1;
    flush(0);
}

static void run_movable(unsigned page, uint64_t data)
{
    GPR(X86_RSP) = AT(STACK, 0x800);
    run_to(AT(page, 0x10), AT(page + 1, 0x20));
    assert_int_equal(GPR(X86_RAX), AT(page, 0x100));
    assert_int_equal(GPR(X86_RBX), data);
    assert_int_equal(GPR(X86_RCX), AT(page, 0x23));
}

/* As libraries are in other processes: nothing is translated again. */
static void test_moved(void **state)
{
    (void)state;
    put_movable();
    run_movable(MOVED, 0x0877665544332211);
    unsigned translated = regions();
    for (unsigned page = MOVED; page < 60; page += 5) {
        if (page == STACK)
            continue;
        if (page > MOVED)
            map_movable(page - 5 == STACK ? page - 10 : page - 5, page);
        run_movable(page, 0x0877665544332211);
        run_movable(page, 0x0877665544332211);
    }
    assert_int_equal(regions(), translated);
}

/* Where it is now, changed code is changed for all addresses. */
static void test_moved_changes(void **state)
{
    (void)state;
    put_movable();
    run_movable(MOVED, 0x0877665544332211);
    map_movable(MOVED, 40);
    run_movable(40, 0x0877665544332211);
    PUT(MOVED, 0x1a, 0xea); /* the next eight bytes */
    translator_invalidate(translator, MOVED * PAGE + 0x1a, 1);
    run_movable(40, UINT64_C(0xcccccccccccccccc));
    map_movable(40, MOVED);
    run_movable(MOVED, UINT64_C(0xcccccccccccccccc));
}

/* A fault is where the code is now. */
static void test_moved_faults(void **state)
{
    (void)state;
    put_movable();
    run_movable(MOVED, 0x0877665544332211);
    map_movable(MOVED, 45);
    map[STACK] = NOWHERE;
    flush(0);
    cpus[0]->x86.pc = AT(45, 0x10);
    assert_int_equal(run(0), TRANSLATOR_FAULT);
    assert_int_equal(cpus[0]->x86.pc, AT(45, 0x1e));
    assert_int_equal(cpus[0]->x86.common.exit_payload, AT(STACK, 0x7f8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_loop, begin, end),
        cmocka_unit_test_setup_teardown(test_straight_on, begin, end),
        cmocka_unit_test_setup_teardown(test_fetch_faults, begin, end),
        cmocka_unit_test_setup_teardown(test_remap, begin, end),
        cmocka_unit_test_setup_teardown(test_crossing, begin, end),
        cmocka_unit_test_setup_teardown(test_links_to_crossing, begin, end),
        cmocka_unit_test_setup_teardown(test_crossing_stays, begin, end),
        cmocka_unit_test_setup_teardown(test_spaces_stay, begin, end),
        cmocka_unit_test_setup_teardown(test_alias, begin, end),
        cmocka_unit_test_setup_teardown(test_return, begin, end),
        cmocka_unit_test_setup_teardown(test_keys, begin, end),
        cmocka_unit_test_setup_teardown(test_flags_at_fault, begin, end),
        cmocka_unit_test_setup_teardown(test_union, begin, end),
        cmocka_unit_test_setup_teardown(test_other_block, begin, end),
        cmocka_unit_test_setup_teardown(test_own_block, begin, end),
        cmocka_unit_test_setup_teardown(test_own_instruction, begin, end),
        cmocka_unit_test_setup_teardown(test_mixed_page, begin, end),
        cmocka_unit_test_setup_teardown(test_page_empties, begin, end),
        cmocka_unit_test_setup_teardown(test_uncached, begin, end),
        cmocka_unit_test_setup_teardown(test_single_step, begin, end),
        cmocka_unit_test_setup_teardown(test_request, begin, end),
        cmocka_unit_test_setup_teardown(test_interrupt, begin, end),
        cmocka_unit_test_setup_teardown(test_modes, begin, end),
        cmocka_unit_test_setup_teardown(test_pause, begin, end),
        cmocka_unit_test_setup_teardown(test_two_cpus, begin, end),
        cmocka_unit_test_setup_teardown(test_moved, begin, end),
        cmocka_unit_test_setup_teardown(test_moved_changes, begin, end),
        cmocka_unit_test_setup_teardown(test_moved_faults, begin, end),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fills = true;
    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
