/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * host_float: the host's floating-point instructions, one function each, on bits of one lane. Private to this
 * folder.
 *
 * They are written as instructions because the control word that they obey (rounding, flushing) and the
 * sticky flags that they set are part of what they do; a compiler knows neither.
 */
#ifndef VISOR_TRANSLATOR_IR_HOST_FLOAT_H
#define VISOR_TRANSLATOR_IR_HOST_FLOAT_H

#include <string.h>

#include "translator/ir/ir.h"

/* The control word with its sticky flags. Not the compiler's intrinsics: gcc moves those across other
 * instructions. */
static inline uint32_t host_control(void)
{
    uint32_t control;
    __asm__ volatile("stmxcsr %0" : "=m"(control)::"memory");
    return control;
}

static inline void host_set_control(uint32_t control)
{
    __asm__ volatile("ldmxcsr %0" ::"m"(control) : "memory");
}

static inline float host_float(uint64_t bits)
{
    uint32_t low = (uint32_t)bits;
    float x;
    memcpy(&x, &low, sizeof x);
    return x;
}

static inline double host_double(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint64_t host_float_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline uint64_t host_double_bits(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

#define HOST_BINARY(name, instruction)                                                                       \
    static inline uint64_t name(enum ir_type type, uint64_t a, uint64_t b)                                   \
    {                                                                                                        \
        if (type == IR_F32) {                                                                                \
            float x = host_float(a);                                                                         \
            __asm__ volatile(instruction "ss %1, %0" : "+x"(x) : "x"(host_float(b)));                        \
            return host_float_bits(x);                                                                       \
        }                                                                                                    \
        double x = host_double(a);                                                                           \
        __asm__ volatile(instruction "sd %1, %0" : "+x"(x) : "x"(host_double(b)));                           \
        return host_double_bits(x);                                                                          \
    }

HOST_BINARY(host_add, "add")
HOST_BINARY(host_subtract, "sub")
HOST_BINARY(host_multiply, "mul")
HOST_BINARY(host_divide, "div")
#undef HOST_BINARY

static inline uint64_t host_square_root(enum ir_type type, uint64_t a)
{
    if (type == IR_F32) {
        float x;
        __asm__ volatile("sqrtss %1, %0" : "=x"(x) : "x"(host_float(a)));
        return host_float_bits(x);
    }
    double x;
    __asm__ volatile("sqrtsd %1, %0" : "=x"(x) : "x"(host_double(a)));
    return host_double_bits(x);
}

/* a * b + c, rounded once */
static inline uint64_t host_multiply_add(enum ir_type type, uint64_t a, uint64_t b, uint64_t c)
{
    if (type == IR_F32) {
        float x = host_float(c);
        __asm__ volatile("vfmadd231ss %2, %1, %0" : "+x"(x) : "x"(host_float(a)), "x"(host_float(b)));
        return host_float_bits(x);
    }
    double x = host_double(c);
    __asm__ volatile("vfmadd231sd %2, %1, %0" : "+x"(x) : "x"(host_double(a)), "x"(host_double(b)));
    return host_double_bits(x);
}

static inline uint64_t host_convert(enum ir_type to, uint64_t a)
{
    if (to == IR_F32) {
        float x;
        __asm__ volatile("cvtsd2ss %1, %0" : "=x"(x) : "x"(host_double(a)));
        return host_float_bits(x);
    }
    double x;
    __asm__ volatile("cvtss2sd %1, %0" : "=x"(x) : "x"(host_float(a)));
    return host_double_bits(x);
}

#endif
