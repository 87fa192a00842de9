/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See nft.h. The library is looked for when it is needed, so that its lack can be told of. */
#include "network/nft/nft.h"

#include <dlfcn.h>
#include <nftables/libnftables.h>
#include <stdio.h>
#include <stdlib.h>

#define COMMANDS_MOST (16u << 20) /* bytes */

static char *read_commands(void)
{
    size_t size = 0, room = 1 << 16;
    char *text = malloc(room);
    while (text) {
        size += fread(text + size, 1, room - 1 - size, stdin);
        text[size] = '\0';
        if (size < room - 1)
            return text;
        char *more = room < COMMANDS_MOST ? realloc(text, 2 * room) : NULL;
        if (!more)
            free(text);
        text = more;
        room *= 2;
    }
    return NULL;
}

int main(void)
{
    void *library = dlopen("libnftables.so.1", RTLD_NOW);
    if (!library)
        return NFT_MISSING;
    __typeof__(nft_ctx_new) *make = (__typeof__(make))dlsym(library, "nft_ctx_new");
    __typeof__(nft_run_cmd_from_buffer) *run = (__typeof__(run))dlsym(library, "nft_run_cmd_from_buffer");
    __typeof__(nft_ctx_buffer_error) *keep = (__typeof__(keep))dlsym(library, "nft_ctx_buffer_error");
    __typeof__(nft_ctx_get_error_buffer) *get = (__typeof__(get))dlsym(library, "nft_ctx_get_error_buffer");
    __typeof__(nft_ctx_free) *discard = (__typeof__(discard))dlsym(library, "nft_ctx_free");
    if (!make || !run || !keep || !get || !discard)
        return NFT_MISSING;
    struct nft_ctx *context = make(NFT_CTX_DEFAULT);
    char *commands = read_commands();
    enum nft_status status = NFT_REFUSED;
    if (context && commands && !keep(context)) {
        status = run(context, commands) == 0 ? NFT_DONE : NFT_REFUSED;
        const char *why = status == NFT_DONE ? NULL : get(context);
        if (why)
            fputs(why, stdout);
    }
    free(commands);
    if (context)
        discard(context);
    return status;
}
