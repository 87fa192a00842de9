/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz_journal: any bytes as a file system's journal: refused, or blocks in order, which can be read. */
#include <stdbool.h>
#include <stdlib.h>

#include "boot/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint32_t block_size = 1024;
    struct journal *journal = NULL;
    uint8_t block[1024];
    struct boot_file *log = boot_file_of_memory("journal", data, size);
    check(log != NULL);
    if (journal_open(&journal, log, block_size)) {
        boot_file_close(log);
        return 0;
    }
    size_t count = 0;
    for (uint64_t at = journal_next(journal, 0); at != UINT64_MAX; at = journal_next(journal, at + 1)) {
        check(!journal_read(journal, at, 0, block, block_size));
        check(!journal_read(journal, at, 3, block, 7));
        check(++count <= size / block_size);
        if (at == UINT64_MAX - 1)
            break;
    }
    check(journal_read(journal, 1234567, 0, block, 1) <= 0);
    journal_close(journal);
    return 0;
}
