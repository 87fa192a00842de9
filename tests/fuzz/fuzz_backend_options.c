/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz_backend_options: what may follow --disk, --net, --console and --vsock; what is accepted is within
 * bounds. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "backend/block/options.h"
#include "backend/char/host.h"
#include "backend/net/options.h"
#include "backend/vsock/option.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

static void check_error(int code, const struct error *error)
{
    check(code < 0 && error->code == code && error->message[0] && !strchr(error->hint, '\n'));
}

static void try_net(const char *text)
{
    struct net_options options;
    struct error error = ERROR_INIT;
    int code = net_options_parse(&options, text, &error);
    if (code) {
        check_error(code, &error);
        return;
    }
    check(options.forward_count <= NET_FORWARD_MAX &&
          memchr(options.interface, 0, sizeof options.interface) &&
          memchr(options.hostname, 0, sizeof options.hostname));
    for (unsigned i = 0; i < options.forward_count; i++)
        check(options.forwards[i].host_port && options.forwards[i].guest_port);
}

static void try_vsock(const char *text)
{
    struct vsock_option option;
    struct error error = ERROR_INIT;
    const int code = vsock_option_parse(&option, text, &error);
    if (code)
        check_error(code, &error);
    else
        check(option.path ? option.path[0] && !option.cid : !option.cid || option.cid >= VSOCK_CID_FIRST);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error error = ERROR_INIT;
    struct block_options disk;
    struct char_options console;
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';

    try_vsock(text);
    int code = block_options_parse(&disk, text, &error);
    if (code) {
        check_error(code, &error);
        check(!disk.path);
    } else {
        check(disk.path[0] && strlen(disk.serial) <= BLOCK_SERIAL_MAX);
        block_options_free(&disk);
    }
    code = char_options_parse(&console, text, &error);
    check(code < 0 || (console.kind <= CHAR_FILE && console.escape < 32));
    check((console.kind == CHAR_UNIX || console.kind == CHAR_FILE) == !!console.path || code < 0);
    try_net(text);
    free(text);
    return 0;
}
