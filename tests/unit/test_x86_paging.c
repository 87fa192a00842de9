// SPDX-License-Identifier: GPL-2.0-or-later
/* x86 page tables against the rules of Intel's manual, volume 3A, chapter 4. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/x86/paging.h"

enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80, G = 0x100 };
#define NX (1ull << 63)

static uint8_t memory[64 << 10];
static unsigned interferences; /* how often set() finds another entry */

static bool read_entry(void *context, uint64_t physical, unsigned size, uint64_t *entry)
{
    (void)context;
    if (physical > sizeof memory - size)
        return false;
    *entry = 0;
    memcpy(entry, memory + physical, size);
    return true;
}

static bool set_bits(void *context, uint64_t physical, unsigned size, uint64_t old, uint64_t bits)
{
    uint64_t now;
    (void)context;
    read_entry(NULL, physical, size, &now);
    if (interferences > 0) {
        interferences--;
        return false;
    }
    assert_int_equal(now, old);
    now |= bits;
    memcpy(memory + physical, &now, size);
    return true;
}

static const struct x86_table_memory tables = {NULL, read_entry, set_bits};

static void put64(uint64_t physical, uint64_t entry)
{
    memcpy(memory + physical, &entry, 8);
}

static void put32(uint64_t physical, uint32_t entry)
{
    memcpy(memory + physical, &entry, 4);
}

static uint64_t get64(uint64_t physical)
{
    uint64_t entry;
    memcpy(&entry, memory + physical, 8);
    return entry;
}

/* Long mode with 4 KiB at LINEAR, by tables at 1000h, 2000h, 3000h, 4000h, and all rights. */
#define LINEAR 0x0000123456789abcull
#define PAGE   0x8000ull
enum { L4 = 0x1000, L3 = 0x2000, L2 = 0x3000, L1 = 0x4000 };

static uint64_t entry_of(uint64_t table, unsigned level)
{
    return table + (LINEAR >> (12 + 9 * level) & 511) * 8;
}

static struct x86_paging long_mode(void)
{
    memset(memory, 0, sizeof memory);
    interferences = 0;
    put64(entry_of(L4, 3), L3 | P | W | U);
    put64(entry_of(L3, 2), L2 | P | W | U);
    put64(entry_of(L2, 1), L1 | P | W | U);
    put64(entry_of(L1, 0), PAGE | P | W | U);
    return (struct x86_paging){
        .cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_WP,
        .cr3 = L4,
        .cr4 = X86_CR4_PAE,
        .efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE,
        .physical_bits = 40,
        .gigabyte_pages = true,
    };
}

static const struct x86_access supervisor_read = {0}, supervisor_write = {.write = true},
                               supervisor_fetch = {.fetch = true}, user_read = {.user = true},
                               user_write = {.user = true, .write = true},
                               user_fetch = {.user = true, .fetch = true}, smap_read = {.smap = true};

static void assert_page(const struct x86_paging *p, uint64_t linear, struct x86_access access,
                        uint64_t physical)
{
    struct x86_page page;
    uint32_t error;
    assert_int_equal(x86_paging_walk(p, &tables, linear, access, &page, &error), 0);
    assert_int_equal(page.physical, physical);
}

static void assert_fault(const struct x86_paging *p, uint64_t linear, struct x86_access access,
                         uint32_t expected)
{
    struct x86_page page;
    uint32_t error = ~0u;
    assert_int_equal(x86_paging_walk(p, &tables, linear, access, &page, &error), -EFAULT);
    assert_int_equal(error, expected);
}

static void without_paging_linear_is_physical_modulo_4_gib(void **state)
{
    (void)state;
    struct x86_paging p = {.cr0 = X86_CR0_PE, .physical_bits = 40};
    assert_page(&p, 0x1234fffffull, user_write, 0x234fffff);
}

static void long_mode_walks_four_levels(void **state)
{
    (void)state;
    struct x86_paging p = long_mode();
    assert_page(&p, LINEAR, user_write, PAGE | 0xabc);
    assert_fault(&p, LINEAR + 0x1000, user_read, X86_PF_USER);
    assert_fault(&p, LINEAR + (1ull << 39), supervisor_write, X86_PF_WRITE);
}

static void rights_of_all_levels_count_together(void **state)
{
    (void)state;
    const uint64_t tables_by_level[] = {L1, L2, L3, L4};
    for (unsigned level = 0; level < 4; level++) {
        struct x86_paging p = long_mode();
        uint64_t at = entry_of(tables_by_level[level], level), entry = get64(at);
        put64(at, entry & ~(uint64_t)U);
        assert_fault(&p, LINEAR, user_read, X86_PF_PRESENT | X86_PF_USER);
        assert_page(&p, LINEAR, supervisor_write, PAGE | 0xabc);
        put64(at, entry & ~(uint64_t)W);
        assert_fault(&p, LINEAR, user_write, X86_PF_PRESENT | X86_PF_USER | X86_PF_WRITE);
        assert_fault(&p, LINEAR, supervisor_write, X86_PF_PRESENT | X86_PF_WRITE);
        assert_page(&p, LINEAR, user_read, PAGE | 0xabc);
        p.cr0 &= ~(uint64_t)X86_CR0_WP;
        assert_page(&p, LINEAR, supervisor_write, PAGE | 0xabc);
        put64(at, entry | NX);
        assert_fault(&p, LINEAR, user_fetch, X86_PF_PRESENT | X86_PF_USER | X86_PF_FETCH);
        assert_page(&p, LINEAR, user_read, PAGE | 0xabc);
        put64(at, entry & ~(uint64_t)P);
        assert_fault(&p, LINEAR, user_read, X86_PF_USER);
    }
}

static void without_nxe_nx_is_reserved_and_fetches_are_not_told(void **state)
{
    (void)state;
    struct x86_paging p = long_mode();
    p.efer &= ~(uint64_t)X86_EFER_NXE;
    assert_page(&p, LINEAR, user_fetch, PAGE | 0xabc);
    put64(entry_of(L2, 1), get64(entry_of(L2, 1)) | NX);
    assert_fault(&p, LINEAR, user_fetch, X86_PF_PRESENT | X86_PF_RESERVED | X86_PF_USER);
}

static void smep_and_smap_keep_the_supervisor_from_user_pages(void **state)
{
    (void)state;
    struct x86_paging p = long_mode();
    assert_page(&p, LINEAR, supervisor_fetch, PAGE | 0xabc);
    assert_page(&p, LINEAR, smap_read, PAGE | 0xabc);
    p.cr4 |= X86_CR4_SMEP | X86_CR4_SMAP;
    assert_fault(&p, LINEAR, supervisor_fetch, X86_PF_PRESENT | X86_PF_FETCH);
    assert_fault(&p, LINEAR, smap_read, X86_PF_PRESENT);
    assert_page(&p, LINEAR, supervisor_read, PAGE | 0xabc); /* EFLAGS.AC is set */
    assert_page(&p, LINEAR, user_fetch, PAGE | 0xabc);
}

static void accessed_and_dirty_bits_are_set(void **state)
{
    (void)state;
    struct x86_paging p = long_mode();
    assert_page(&p, LINEAR, user_read, PAGE | 0xabc);
    assert_int_equal(get64(entry_of(L4, 3)), L3 | P | W | U | A);
    assert_int_equal(get64(entry_of(L1, 0)), PAGE | P | W | U | A);
    interferences = 1;
    assert_page(&p, LINEAR, user_write, PAGE | 0xabc);
    assert_int_equal(get64(entry_of(L1, 0)), PAGE | P | W | U | A | D);
    assert_int_equal(get64(entry_of(L2, 1)), L1 | P | W | U | A);
}

static void a_page_that_is_refused_is_not_accessed(void **state)
{
    (void)state;
    struct x86_paging p = long_mode();
    put64(entry_of(L1, 0), PAGE | P | U);
    assert_fault(&p, LINEAR, user_write, X86_PF_PRESENT | X86_PF_USER | X86_PF_WRITE);
    assert_int_equal(get64(entry_of(L1, 0)), PAGE | P | U);
}

static void large_pages_of_long_mode(void **state)
{
    (void)state;
    struct x86_paging p = long_mode();
    p.cr4 |= X86_CR4_PGE;
    put64(entry_of(L2, 1), 0x40200000 | P | W | U | PS | G | NX);
    struct x86_page page;
    uint32_t error;
    assert_int_equal(x86_paging_walk(&p, &tables, LINEAR, user_write, &page, &error), 0);
    assert_int_equal(page.physical, 0x40200000 | (LINEAR & 0x1fffff));
    assert_int_equal(page.size, 2 << 20);
    assert_true(page.global && page.user && page.writable && page.dirty && !page.executable);
    put64(entry_of(L2, 1), 0x40202000 | P | W | U | PS); /* bits 13 to 20 */
    assert_fault(&p, LINEAR, user_read, X86_PF_PRESENT | X86_PF_RESERVED | X86_PF_USER);
    put64(entry_of(L3, 2), 0xc0000000 | P | W | U | PS);
    assert_page(&p, LINEAR, user_read, 0xc0000000 | (LINEAR & 0x3fffffff));
    p.gigabyte_pages = false;
    assert_fault(&p, LINEAR, user_read, X86_PF_PRESENT | X86_PF_RESERVED | X86_PF_USER);
    put64(entry_of(L4, 3), L3 | P | W | U | PS);
    assert_fault(&p, LINEAR, supervisor_read, X86_PF_PRESENT | X86_PF_RESERVED);
}

static void addresses_beyond_the_physical_width_are_reserved(void **state)
{
    (void)state;
    struct x86_paging p = long_mode();
    put64(entry_of(L1, 0), 1ull << 40 | PAGE | P | W | U);
    assert_fault(&p, LINEAR, user_read, X86_PF_PRESENT | X86_PF_RESERVED | X86_PF_USER);
    put64(entry_of(L1, 0), 1ull << 39 | 1ull << 52 | PAGE | P | W | U); /* 52 to 62 are software's */
    assert_page(&p, LINEAR, user_read, 1ull << 39 | PAGE | 0xabc);
}

static void tables_outside_of_memory_are_not_present(void **state)
{
    (void)state;
    struct x86_paging p = long_mode();
    p.cr3 = 1ull << 30;
    assert_fault(&p, LINEAR, supervisor_read, 0);
}

static struct x86_paging legacy(uint64_t cr4)
{
    memset(memory, 0, sizeof memory);
    interferences = 0;
    return (struct x86_paging){
        .cr0 = X86_CR0_PE | X86_CR0_PG, .cr3 = 0x1000, .cr4 = cr4, .physical_bits = 40};
}

static void legacy_paging_has_two_levels_and_pages_of_4_mib(void **state)
{
    (void)state;
    struct x86_paging p = legacy(X86_CR4_PSE);
    put32(0x1000 + 0x3ff * 4, 0x2000 | P | W | U);
    put32(0x2000 + 0x123 * 4, 0x7000 | P | U);
    assert_page(&p, 0xffd23456, user_read, 0x7456);
    assert_fault(&p, 0xffd23456, user_write, X86_PF_PRESENT | X86_PF_USER | X86_PF_WRITE);
    assert_page(&p, 0xffd23456, supervisor_write, 0x7456); /* CR0.WP is clear */

    put32(0x1000, 0x00c00000 | 5 << 13 | P | W | PS); /* PSE-36 */
    assert_page(&p, 0x123456, supervisor_read, 5ull << 32 | 0xc00000 | 0x123456);
    put32(0x1000, 0x00c00000 | 1 << 21 | P | W | PS);
    assert_fault(&p, 0x123456, supervisor_read, X86_PF_PRESENT | X86_PF_RESERVED);
    p.cr4 = 0; /* the bit means nothing then: it is a table */
    put32(0x1000, 0x2000 | P | W | PS);
    assert_page(&p, 0x123456, supervisor_read, 0x7456);
}

static void pae_begins_at_its_registers(void **state)
{
    (void)state;
    struct x86_paging p = legacy(X86_CR4_PAE);
    p.pdpte[3] = 0x3000 | P;
    put64(0x3000 + 511 * 8, 0x4000 | P | W | U);
    put64(0x4000 + 0x123 * 8, 0x5000 | P | W | U);
    assert_page(&p, 0xfff23456, user_write, 0x5456);
    assert_fault(&p, 0x3ff23456, user_read, X86_PF_USER);
    put64(0x4000 + 0x123 * 8, 1ull << 62 | 0x5000 | P | W | U); /* software's in long mode only */
    assert_fault(&p, 0xfff23456, user_read, X86_PF_PRESENT | X86_PF_RESERVED | X86_PF_USER);
    put64(0x3000, 0x40200000 | P | W | PS);
    assert_page(&p, 0xc0112233, supervisor_write, 0x40312233);
    assert_true(x86_paging_pdpte_valid(&p, 0x3000 | P | 1 << 3));
    assert_false(x86_paging_pdpte_valid(&p, 0x3000 | P | W));
    assert_false(x86_paging_pdpte_valid(&p, 1ull << 40 | P));
    assert_true(x86_paging_pdpte_valid(&p, 1ull << 40));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_paging_linear_is_physical_modulo_4_gib),
        cmocka_unit_test(long_mode_walks_four_levels),
        cmocka_unit_test(rights_of_all_levels_count_together),
        cmocka_unit_test(without_nxe_nx_is_reserved_and_fetches_are_not_told),
        cmocka_unit_test(smep_and_smap_keep_the_supervisor_from_user_pages),
        cmocka_unit_test(accessed_and_dirty_bits_are_set),
        cmocka_unit_test(a_page_that_is_refused_is_not_accessed),
        cmocka_unit_test(large_pages_of_long_mode),
        cmocka_unit_test(addresses_beyond_the_physical_width_are_reserved),
        cmocka_unit_test(tables_outside_of_memory_are_not_present),
        cmocka_unit_test(legacy_paging_has_two_levels_and_pages_of_4_mib),
        cmocka_unit_test(pae_begins_at_its_registers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
