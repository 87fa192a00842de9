/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fixed: lets the C library be linked statically at an address above 2 GiB, see meson.build.
 *
 * libc calls some of its parts only if they are linked. One that is not has the address 0, which a call in a
 * program up there cannot reach, so that the linker refuses even calls that are never made. Here they all
 * exist, and do nothing; whatever part of libc is linked after all comes before these weak ones.
 */
#include <features.h>

#if !__GLIBC_PREREQ(2, 34)
#error "in this version one of them has another meaning"
#endif

#define NOTHING(name)                                                                                        \
    __attribute__((weak)) void name(void);                                                                   \
    void name(void) {}

/* Would relocate the program. */
NOTHING(_dl_relocate_static_pie)
/* At the start and the end of the process and of threads: */
NOTHING(__pthread_initialize_minimal)
NOTHING(__call_tls_dtors)
NOTHING(__cxa_finalize)
NOTHING(__glibc_tls_internal_free)
/* In fork(): */
NOTHING(__mq_notify_fork_subprocess)
NOTHING(__nss_database_fork_prepare_parent)
NOTHING(__nss_database_fork_subprocess)
NOTHING(__timer_fork_subprocess)

/* Likewise in zstd, which would tell a tracer of what it compresses. */
__attribute__((weak)) unsigned long long ZSTD_trace_compress_begin(const void *context);
unsigned long long ZSTD_trace_compress_begin(const void *context)
{
    (void)context;
    return 0; /* nobody listens */
}
NOTHING(ZSTD_trace_compress_end)
