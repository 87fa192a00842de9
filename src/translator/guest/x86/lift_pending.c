/* SPDX-License-Identifier: GPL-2.0-or-later */
/* lift_pending: instructions that are left to the owner so far. */
#include "translator/guest/x86/lift.h"

bool x86_lift_aad(struct x86_lift *l);
bool x86_lift_aad(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_aam(struct x86_lift *l);
bool x86_lift_aam(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_alu_acc_imm(struct x86_lift *l);
bool x86_lift_alu_acc_imm(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_alu_reg_rm(struct x86_lift *l);
bool x86_lift_alu_reg_rm(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_alu_rm_imm(struct x86_lift *l);
bool x86_lift_alu_rm_imm(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_alu_rm_reg(struct x86_lift *l);
bool x86_lift_alu_rm_reg(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_ascii_adjust(struct x86_lift *l);
bool x86_lift_ascii_adjust(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_bit_imm(struct x86_lift *l);
bool x86_lift_bit_imm(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_bit_reg(struct x86_lift *l);
bool x86_lift_bit_reg(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_bit_scan(struct x86_lift *l);
bool x86_lift_bit_scan(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_bound(struct x86_lift *l);
bool x86_lift_bound(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_bswap(struct x86_lift *l);
bool x86_lift_bswap(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_call(struct x86_lift *l);
bool x86_lift_call(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_carry(struct x86_lift *l);
bool x86_lift_carry(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_cbw(struct x86_lift *l);
bool x86_lift_cbw(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_cmov(struct x86_lift *l);
bool x86_lift_cmov(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_cmps(struct x86_lift *l);
bool x86_lift_cmps(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_cmpxchg(struct x86_lift *l);
bool x86_lift_cmpxchg(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_cmpxchg_pair(struct x86_lift *l);
bool x86_lift_cmpxchg_pair(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_control(struct x86_lift *l);
bool x86_lift_control(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_crc32(struct x86_lift *l);
bool x86_lift_crc32(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_cwd(struct x86_lift *l);
bool x86_lift_cwd(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_decimal_adjust(struct x86_lift *l);
bool x86_lift_decimal_adjust(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_direction(struct x86_lift *l);
bool x86_lift_direction(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_double_shift(struct x86_lift *l);
bool x86_lift_double_shift(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_enter(struct x86_lift *l);
bool x86_lift_enter(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_fsgsbase(struct x86_lift *l);
bool x86_lift_fsgsbase(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_group15(struct x86_lift *l);
bool x86_lift_group15(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_group3(struct x86_lift *l);
bool x86_lift_group3(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_group5(struct x86_lift *l);
bool x86_lift_group5(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_group6(struct x86_lift *l);
bool x86_lift_group6(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_group7(struct x86_lift *l);
bool x86_lift_group7(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_imul_imm(struct x86_lift *l);
bool x86_lift_imul_imm(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_imul_reg(struct x86_lift *l);
bool x86_lift_imul_reg(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_inc_dec(struct x86_lift *l);
bool x86_lift_inc_dec(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_inc_dec_short(struct x86_lift *l);
bool x86_lift_inc_dec_short(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_int3(struct x86_lift *l);
bool x86_lift_int3(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_jcc(struct x86_lift *l);
bool x86_lift_jcc(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_jcxz(struct x86_lift *l);
bool x86_lift_jcxz(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_jmp(struct x86_lift *l);
bool x86_lift_jmp(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_lahf(struct x86_lift *l);
bool x86_lift_lahf(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_lea(struct x86_lift *l);
bool x86_lift_lea(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_leave(struct x86_lift *l);
bool x86_lift_leave(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_lods(struct x86_lift *l);
bool x86_lift_lods(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_loop(struct x86_lift *l);
bool x86_lift_loop(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_mov_offset(struct x86_lift *l);
bool x86_lift_mov_offset(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_mov_reg_imm(struct x86_lift *l);
bool x86_lift_mov_reg_imm(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_mov_reg_rm(struct x86_lift *l);
bool x86_lift_mov_reg_rm(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_mov_rm_imm(struct x86_lift *l);
bool x86_lift_mov_rm_imm(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_mov_rm_reg(struct x86_lift *l);
bool x86_lift_mov_rm_reg(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_mov_rm_segment(struct x86_lift *l);
bool x86_lift_mov_rm_segment(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_mov_segment_rm(struct x86_lift *l);
bool x86_lift_mov_segment_rm(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_movbe(struct x86_lift *l);
bool x86_lift_movbe(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_movs(struct x86_lift *l);
bool x86_lift_movs(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_movsxd(struct x86_lift *l);
bool x86_lift_movsxd(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_movx(struct x86_lift *l);
bool x86_lift_movx(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_nop(struct x86_lift *l);
bool x86_lift_nop(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_pop_reg(struct x86_lift *l);
bool x86_lift_pop_reg(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_pop_rm(struct x86_lift *l);
bool x86_lift_pop_rm(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_popa(struct x86_lift *l);
bool x86_lift_popa(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_popcnt(struct x86_lift *l);
bool x86_lift_popcnt(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_popf(struct x86_lift *l);
bool x86_lift_popf(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_push_imm(struct x86_lift *l);
bool x86_lift_push_imm(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_push_reg(struct x86_lift *l);
bool x86_lift_push_reg(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_push_segment(struct x86_lift *l);
bool x86_lift_push_segment(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_pusha(struct x86_lift *l);
bool x86_lift_pusha(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_pushf(struct x86_lift *l);
bool x86_lift_pushf(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_ret(struct x86_lift *l);
bool x86_lift_ret(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_sahf(struct x86_lift *l);
bool x86_lift_sahf(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_salc(struct x86_lift *l);
bool x86_lift_salc(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_scas(struct x86_lift *l);
bool x86_lift_scas(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_setcc(struct x86_lift *l);
bool x86_lift_setcc(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_shift(struct x86_lift *l);
bool x86_lift_shift(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_stos(struct x86_lift *l);
bool x86_lift_stos(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_syscall(struct x86_lift *l);
bool x86_lift_syscall(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_ud(struct x86_lift *l);
bool x86_lift_ud(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_x87(struct x86_lift *l);
bool x86_lift_x87(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_xadd(struct x86_lift *l);
bool x86_lift_xadd(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_xchg(struct x86_lift *l);
bool x86_lift_xchg(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_xchg_acc(struct x86_lift *l);
bool x86_lift_xchg_acc(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}

bool x86_lift_xlat(struct x86_lift *l);
bool x86_lift_xlat(struct x86_lift *l)
{
    return x86_lift_emulate(l);
}
