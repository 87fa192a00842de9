/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nft: the program that gives libnftables its commands: it reads them from standard input, and has them done
 * in one transaction. What it has to complain of goes to standard output. Its exit status:
 */
#ifndef VISOR_NETWORK_NFT_NFT_H
#define VISOR_NETWORK_NFT_NFT_H

enum nft_status {
    NFT_DONE = 0,
    NFT_REFUSED = 1,
    NFT_MISSING = 3, /* there is no library */
};

#endif
