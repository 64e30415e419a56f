/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 by libcrypto, in a library context of our own: the default one belongs to the application and may be set up in
 * ways (FIPS, engines) that are not ours to depend on. libcrypto itself looks at its openssl.cnf at first use, as in every
 * program; telling it not to would decide that for the application too.
 */
#include "base/hash.h"
#include <openssl/evp.h>
#include <pthread.h>
#include "base/alloc.h"

struct pare_sha256 { EVP_MD_CTX *md; };

static EVP_MD *sha256; /* fetched once and kept for the life of the process */
static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;

static void fetch_sha256(void)
{
    static OSSL_LIB_CTX *lib;
    lib = OSSL_LIB_CTX_new();
    if (lib) sha256 = EVP_MD_fetch(lib, "SHA256", NULL);
}

pare_status pare_sha256_new(pare_sha256 **out, pare_err *err)
{
    *out = NULL;
    pthread_once(&sha256_once, fetch_sha256);
    if (!sha256) return pare_fail(err, PARE_ERR_UNSUPPORTED, "SHA-256 is not available from libcrypto");
    pare_sha256 *h = pare_alloc_zero(1, sizeof *h);
    if (!h) return pare_no_memory(err, "a SHA-256 state", sizeof *h);
    h->md = EVP_MD_CTX_new();
    if (!h->md || EVP_DigestInit_ex(h->md, sha256, NULL) != 1) {
        pare_sha256_free(h);
        return pare_fail(err, PARE_ERR_MEMORY, "out of memory: libcrypto could not start SHA-256");
    }
    *out = h;
    return PARE_OK;
}

pare_status pare_sha256_update(pare_sha256 *h, const void *data, size_t n, pare_err *err)
{
    if (n == 0 || EVP_DigestUpdate(h->md, data, n) == 1) return PARE_OK;
    return pare_fail(err, PARE_ERR_DATA, "libcrypto refused to hash %zu bytes", n);
}

pare_status pare_sha256_hex(pare_sha256 *h, char out[65], pare_err *err)
{
    unsigned char digest[32];
    if (EVP_DigestFinal_ex(h->md, digest, NULL) != 1) return pare_fail(err, PARE_ERR_DATA, "libcrypto could not finish SHA-256");
    for (int i = 0; i < 32; i++) {
        out[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    out[64] = '\0';
    return PARE_OK;
}

void pare_sha256_free(pare_sha256 *h)
{
    if (!h) return;
    EVP_MD_CTX_free(h->md);
    pare_dealloc(h);
}

pare_status pare_sha256_of(const void *data, size_t n, char out[65], pare_err *err)
{
    pare_sha256 *h;
    pare_status st = pare_sha256_new(&h, err);
    if (st == PARE_OK) st = pare_sha256_update(h, data, n, err);
    if (st == PARE_OK) st = pare_sha256_hex(h, out, err);
    pare_sha256_free(h);
    return st;
}
