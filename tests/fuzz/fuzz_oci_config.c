/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz_oci_config: config.json of bundles, and process.json of `exec`. What is taken has what the rest relies
 * on. */
#include <stdint.h>
#include <stdlib.h>

#include "personality/container/oci_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_process(const struct oci_process *process)
{
    if (!process->args_count || !process->args[0] || process->args[process->args_count] ||
        process->cwd[0] != '/')
        abort();
    for (unsigned i = 0; i < process->rlimits_count; i++) {
        if (process->rlimits[i].soft > process->rlimits[i].hard)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = ERROR_INIT;
    struct oci_config *config;
    struct oci_process_file *process;
    if (oci_config_parse(&config, (const char *)data, size, &error) == 0) {
        if (!config->root.path[0] || (config->platform.new_namespaces & config->platform.joined_namespaces))
            abort();
        if (config->has_process)
            check_process(&config->process);
        for (unsigned i = 0; i < config->mounts_count; i++) {
            const struct oci_mount *mount = &config->mounts[i];
            if (mount->parsed.data_count > mount->option_count || (mount->parsed.bind && !mount->source))
                abort();
        }
        oci_config_free(config);
    } else if (!error.message[0]) {
        abort();
    }
    if (oci_process_parse(&process, (const char *)data, size, &error) == 0) {
        check_process(&process->process);
        oci_process_free(process);
    }
    return 0;
}
