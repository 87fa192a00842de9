/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * compare: random x86 instructions on the host's processor, in host code that the translator makes, and in
 * the interpreter. What the files of this folder share.
 */
#ifndef VISOR_TESTS_ISA_X86_COMPARE_H
#define VISOR_TESTS_ISA_X86_COMPARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "translator/guest/x86/x86.h"

/* Fixed places below 4 GiB. Code is surrounded by INT3, to which branches lead; data by nothing. A
 * bit string of 32 bits cannot reach from the data to the code. */
#define CODE_START  0x48000000ull
#define CODE_SIZE   4096u
#define CODE_BEFORE 1024u /* where the first instruction is */
#define CODE_BEHIND 2048u /* from here on there is only INT3 */
#define DATA_START  0x20000000ull
#define DATA_SIZE   4096u
#define STACK_TOP   (DATA_START + 3072)

/* How a run ended. */
enum ending { END_BREAKPOINT, END_FAULT, END_DIVIDE, END_UNDEFINED, END_FLOAT, END_EMULATE, END_OTHER };

struct machine {
    uint64_t gpr[16];
    uint64_t rip;
    uint64_t eflags;
    union vector128 xmm[16];
    uint32_t mxcsr;
    enum ending ending;
    uint8_t data[DATA_SIZE];
};

#define SEQUENCE_MAX 8

/* A part of an instruction that depends on where it is: `size` bytes at `at`, so that it leads to `target`:
 * an address of data, or the number of bytes behind the end of the sequence. */
struct relative {
    uint8_t at, size; /* size 0: there is none */
    bool is_data;
    uint64_t target;
};

struct instruction {
    uint8_t bytes[24]; /* it may be too long */
    uint8_t length;
    uint8_t row; /* its class: an index for template_name() */
    struct relative relative;
    uint64_t undefined; /* EFLAGS bits that are undefined behind it, */
    uint64_t writes;    /* and that it always sets */
};

struct sequence {
    unsigned count;
    struct instruction instructions[SEQUENCE_MAX];
    struct machine start;
};

/* -- generate.c ---------------------------------------------------------------------------------------- */

void random_seed(uint64_t seed);
uint64_t random_bits(void);
unsigned random_below(unsigned n);

/* Only rows of code of that kind, whose class name begins with `only` if that is not NULL. False: there are
 * none. */
bool generate_choose(const char *only, enum x86_code code);
void generate_sequence(struct sequence *s);
unsigned template_count(void);
const char *template_name(unsigned row);

/* -- native.c ------------------------------------------------------------------------------------------ */

/* Once, before any run. False: errno says why the host cannot. */
bool native_prepare(enum x86_code code);
/* Runs the code at CODE_START + CODE_BEFORE. The data are at DATA_START already. */
void native_run(struct machine *machine);
/* [signal] True if the signal came out of native_run(); then it ends. */
bool native_signal(int signal, void *ucontext);

#endif
