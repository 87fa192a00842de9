/* SPDX-License-Identifier: GPL-2.0-or-later */
/* eval_mmx: the operations on MMX registers, which are in the host's unit: taken out of it, computed, put
 * back. */
#include <string.h>

#include "base/host_mmx.h"
#include "translator/ir/evaluation.h"
#include "translator/ir/evaluation_x87.h"
#include "translator/ir/x87.h"

enum { MAP_0F = 1, ALL_VALID = 0xff, TOP = 7 << 11 };

/* -- the state --------------------------------------------------------------------------------------------
 */

static bool is_mmx(const struct x87_image *image)
{
    return !(image->status & TOP) && image->tags == ALL_VALID;
}

static void enter(const struct evaluation *e)
{
    const bool only_if_already = e->insn->imm;
    struct x87_image image;

    ir_x87_enter(e->isa, e->cpu);
    if (e->cpu->x87_live != IR_X87_MMX) {
        x87_save(&image);
        if (is_mmx(&image) || !only_if_already) {
            __asm__ volatile("movd %%mm0, %%eax" ::: "eax");
            e->cpu->x87_live = IR_X87_MMX;
        }
    }
    e->r->d[0] = e->cpu->x87_live;
}

/* -- registers: the top is 0 ------------------------------------------------------------------------------
 */

static uint64_t read_mm(const struct x87_image *image, unsigned n)
{
    uint64_t value;
    memcpy(&value, image->stack[n], sizeof value);
    return value;
}

static void write_mm(struct x87_image *image, unsigned n, uint64_t value)
{
    memcpy(image->stack[n], &value, sizeof value);
    memset(image->stack[n] + sizeof value, 0xff, 2);
}

/* -- instructions -----------------------------------------------------------------------------------------
 */

enum { MOVQ_FROM = 0x6e, MOVQ_LOAD = 0x6f, MOVQ_TO = 0x7e };

/* b: the operand that reg is not. */
static void compute(struct x87_image *image, const struct ir_mmx_code *code, uint64_t b)
{
    const bool shifts = code->map == MAP_0F && code->opcode >= 0x71 && code->opcode <= 0x73;
    const unsigned n = shifts ? code->rm : code->reg;
    const unsigned opcode = shifts ? host_mmx_shift(code->opcode, code->reg) : code->opcode;

    if (code->map == MAP_0F && (opcode == MOVQ_FROM || opcode == MOVQ_LOAD))
        write_mm(image, n, b);
    else
        write_mm(
            image, n,
            host_mmx(code->map, opcode, read_mm(image, n), shifts ? code->immediate : b, code->immediate));
}

static void execute(const struct evaluation *e)
{
    const struct ir_mmx_code code = ir_mmx_code(e->insn->imm);
    struct x87_image image;

    x87_save(&image);
    if (e->insn->op == IR_MMX_TO_INT) {
        e->r->d[0] = code.opcode == MOVQ_TO
                         ? read_mm(&image, code.reg)
                         : host_mmx_integer(code.opcode, read_mm(&image, code.rm), code.immediate);
    } else if (e->insn->imm == IR_MMX_EMMS) {
        image.tags = 0;
        e->cpu->x87_live = IR_X87_LIVE;
    } else {
        compute(&image, &code, e->insn->op == IR_MMX ? read_mm(&image, code.rm) : e->a->d[0]);
    }
    x87_restore(&image);
}

void ir_evaluate_mmx(const struct evaluation *e)
{
    if (e->insn->op == IR_MMX_ENTER)
        enter(e);
    else
        execute(e);
}
