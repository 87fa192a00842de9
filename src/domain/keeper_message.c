/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "domain/keeper_message.h"

#include <string.h>

#include "base/visible.h"

size_t keeper_request_size(uint32_t ask)
{
    const size_t head = offsetof(struct keeper_request, prepared);
    switch ((enum keeper_ask)ask) {
    case KEEPER_PREPARED: return head + sizeof(struct keeper_prepared);
    case KEEPER_CAGED: return head + sizeof(struct error);
    case KEEPER_NEWS: return head + sizeof(struct keeper_news);
    case KEEPER_DIAL:
    case KEEPER_THREAD: return head + sizeof(uint32_t);
    case KEEPER_ENDED: return head + sizeof(struct domain_end);
    }
    return 0;
}

static bool end_check(struct domain_end *end)
{
    unsigned char bools[2];
    memcpy(&bools[0], &end->failed, 1);
    memcpy(&bools[1], &end->asked, 1);
    end->reason[sizeof end->reason - 1] = '\0';
    visible_make(end->reason, strlen(end->reason));
    return bools[0] <= 1 && bools[1] <= 1 && end->status >= 0 && end->status <= 255;
}

bool keeper_request_check(struct keeper_request *request, size_t size)
{
    if (size < sizeof request->ask || size != keeper_request_size(request->ask))
        return false;
    switch ((enum keeper_ask)request->ask) {
    case KEEPER_NEWS: return request->news.paused <= 1 && request->news.asked <= 1;
    case KEEPER_DIAL:
    case KEEPER_THREAD: return true;
    case KEEPER_ENDED: return end_check(&request->end);
    case KEEPER_PREPARED:
    case KEEPER_CAGED: break;
    }
    return false;
}
