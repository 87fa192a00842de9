/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * print: a region as text, one instruction a line:
 *
 *      7  i64   add       %5 %6
 *      8        set       x0 %7
 */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "translator/ir/ir.h"
#include "translator/ir/x86_vector.h"

static const char *const type_names[] = {"", "i32", "i64", "f32", "f64", "v128", "flags", "bool"};

static const char *const cond_names[] = {"eq",  "ne",  "uge", "ult", "mi",  "pl",  "vs", "vc",
                                         "ugt", "ule", "sge", "slt", "sgt", "sle", "pe", "po"};

static const char *const round_names[] = {"even", "up", "down", "zero", "away", "current", "6?", "7?"};

static const char *const atomic_names[] = {"add", "and", "or", "xor", "smax", "smin", "umax", "umin", "swap"};

static void print_name(FILE *stream, const char *name)
{
    char text[16];
    size_t i;
    for (i = 0; name[i] && i < sizeof text - 1; i++)
        text[i] = (char)tolower((unsigned char)name[i]);
    text[i] = '\0';
    fprintf(stream, "%-13s", text);
}

static void print_register(FILE *stream, unsigned index, const char *(*register_name)(unsigned))
{
    const char *name = register_name ? register_name(index) : NULL;
    if (name)
        fprintf(stream, " %s", name);
    else
        fprintf(stream, " r%u", index);
}

static void print_flag_bits(FILE *stream, uint64_t bits)
{
    fprintf(stream, " %c%c%c%c%s%s", bits & NZCV_N ? 'N' : '-', bits & NZCV_Z ? 'Z' : '-',
            bits & NZCV_B ? '-' : 'C', bits & NZCV_V ? 'V' : '-', bits & NZCV_P ? "P" : "",
            bits & NZCV_A ? "A" : "");
}

static void print_address(FILE *stream, const struct ir_insn *n)
{
    fprintf(stream, " [%%%u", n->a);
    if (n->b)
        fprintf(stream, " + %%%u<<%u", n->b, (n->aux & IR_MEM_SCALE) >> IR_MEM_SCALE_SHIFT);
    int64_t offset = (int64_t)n->imm;
    if (offset)
        fprintf(stream, " %c 0x%" PRIx64, offset < 0 ? '-' : '+', offset < 0 ? -n->imm : n->imm);
    fprintf(stream, "]");
}

static void print_memory_bits(FILE *stream, unsigned aux)
{
    static const struct {
        unsigned bit;
        const char *name;
    } bits[] = {
        {IR_MEM_SIGNED, "signed"},   {IR_MEM_ALIGNED, "aligned"}, {IR_MEM_ACQUIRE, "acquire"},
        {IR_MEM_RELEASE, "release"}, {IR_MEM_SEQ_CST, "seq"},     {IR_MEM_SINGLE_COPY, "single"},
        {IR_MEM_REACHED, "reached"}, {IR_REACH_WRITE, "write"},   {IR_MEM_WRAPS, "wraps"},
    };
    fprintf(stream, " .%u", 1u << (aux & IR_MEM_SIZE));
    for (size_t i = 0; i < sizeof bits / sizeof bits[0]; i++)
        if (aux & bits[i].bit)
            fprintf(stream, " %s", bits[i].name);
}

static void print_rounding(FILE *stream, unsigned bits)
{
    fprintf(stream, " %s%s%s", round_names[bits & IR_ROUND_MODE], bits & IR_ROUND_EXACT ? " exact" : "",
            bits & IR_UNSIGNED ? " unsigned" : "");
}

static void print_arguments(FILE *stream, const struct ir_insn *n)
{
    const ir_value arguments[] = {n->a, n->b, n->c};
    size_t count = strlen(ir_op_info[n->op].arguments);
    for (size_t i = 0; i < count; i++) {
        if (arguments[i])
            fprintf(stream, " %%%u", arguments[i]);
        else
            fprintf(stream, " -");
    }
}

/* Rows whose operands are not simply "arguments, then #imm". Returns false for all others. */
static bool print_special(FILE *stream, const struct ir_insn *n, const char *(*register_name)(unsigned))
{
    switch (n->op) {
    case IR_GET: print_register(stream, n->aux, register_name); return true;
    case IR_SET:
        print_register(stream, n->aux, register_name);
        print_arguments(stream, n);
        return true;
    case IR_INSN:
    case IR_CONST:
    case IR_ADDRESS:
    case IR_FCONST:
    case IR_GOTO: fprintf(stream, " 0x%" PRIx64, n->imm); return true;
    case IR_CALL_GUEST: fprintf(stream, " 0x%" PRIx64 " return 0x%" PRIx64, n->imm, n->imm2); return true;
    case IR_CALL_REG: fprintf(stream, " %%%u return 0x%" PRIx64, n->a, n->imm2); return true;
    case IR_EXIT_IF: fprintf(stream, " %%%u 0x%" PRIx64, n->a, n->imm); return true;
    case IR_RAISE_IF:
    case IR_RAISE:
        print_arguments(stream, n);
        fprintf(stream, " exit=%u payload=0x%" PRIx64 " pc=0x%" PRIx64, n->aux, n->imm, n->imm2);
        return true;
    case IR_VCONST: fprintf(stream, " 0x%016" PRIx64 "%016" PRIx64, n->imm2, n->imm); return true;
    case IR_FLAGS_CONST: print_flag_bits(stream, n->imm); return true;
    case IR_FLAGS_SELECT:
        print_arguments(stream, n);
        print_flag_bits(stream, n->imm);
        return true;
    case IR_COND:
    case IR_CMP:
        fprintf(stream, " %s", n->aux < 16 ? cond_names[n->aux] : "?");
        print_arguments(stream, n);
        return true;
    case IR_BIT: fprintf(stream, " %%%u #%u%s", n->a, (unsigned)n->imm, n->aux ? " zero" : ""); return true;
    case IR_UBFX:
    case IR_SBFX:
    case IR_BFI:
        print_arguments(stream, n);
        fprintf(stream, " lsb=%u width=%u", n->aux & 255, n->aux >> 8);
        return true;
    default: return false;
    }
}

static bool print_memory(FILE *stream, const struct ir_insn *n)
{
    switch (n->op) {
    case IR_REACH:
        print_address(stream, n);
        fprintf(stream, " %d..%d", (int)(int32_t)n->imm2, (int)(int32_t)(n->imm2 >> 32));
        break;
    case IR_LOAD: print_address(stream, n); break;
    case IR_STORE:
        print_address(stream, n);
        fprintf(stream, " %%%u", n->c);
        break;
    case IR_ATOMIC:
        fprintf(stream, " [%%%u] %s %%%u", n->a, n->imm < 9 ? atomic_names[n->imm] : "?", n->b);
        break;
    case IR_CAS: fprintf(stream, " [%%%u] %%%u %%%u", n->a, n->b, n->c); break;
    case IR_LOAD_EXCL: fprintf(stream, " [%%%u]", n->a); break;
    case IR_STORE_EXCL: fprintf(stream, " [%%%u] %%%u", n->a, n->b); break;
    default: return false;
    }
    print_memory_bits(stream, n->aux);
    return true;
}

static void print_insn(FILE *stream, const struct ir_insn *n, const char *(*register_name)(unsigned))
{
    if (print_special(stream, n, register_name) || print_memory(stream, n))
        return;
    print_arguments(stream, n);
    switch (n->op) {
    case IR_FROUND:
    case IR_FTO_INT:
    case IR_FFROM_INT: print_rounding(stream, n->aux); break;
    case IR_VFROUND:
    case IR_VFTO_INT:
    case IR_VFFROM_INT:
        fprintf(stream, " .%u", 8u << (n->aux & 255));
        print_rounding(stream, n->aux >> 8);
        break;
    case IR_X86V:
    case IR_X86VF:
    case IR_X86V_TO_INT:
    case IR_X86VF_TO_INT:
    case IR_X86VF_FROM_INT:
    case IR_X86V_FLAGS:
        fprintf(stream, " %s", n->aux < X86V_COUNT ? x86_vector_info[n->aux].name : "?");
        break;
    default:
        if (n->op >= IR_PART_ADD && n->op <= IR_PART_MUL)
            fprintf(stream, " .%u", 8u << (n->aux & 3));
        else if (n->op > IR_FRECPX && n->op < IR_AESE)
            fprintf(stream, " .%u%s", 8u << (n->aux & 3), n->aux & IR_SIGNED ? " signed" : "");
        else if (n->aux)
            fprintf(stream, " aux=0x%x", n->aux);
        break;
    }
    if (n->imm)
        fprintf(stream, " #%" PRId64, (int64_t)n->imm);
}

void ir_print(FILE *stream, const struct ir_region *region, const char *(*register_name)(unsigned index))
{
    fprintf(stream, "region 0x%" PRIx64 "..0x%" PRIx64 "%s\n", region->guest_start, region->guest_end,
            region->overflow ? " (overflow)" : "");
    for (unsigned i = 1; i < region->count; i++) {
        const struct ir_insn *n = &region->insns[i];
        bool yields = n->op < IR_OP_COUNT && ir_op_info[n->op].result != 'v';
        fprintf(stream, "%5u  %-5s ", i, yields ? type_names[n->type & 7] : "");
        if (n->op < IR_OP_COUNT) {
            print_name(stream, ir_op_info[n->op].name);
            print_insn(stream, n, register_name);
        } else {
            fprintf(stream, "op%u?", n->op);
        }
        fputc('\n', stream);
    }
}
