/* SPDX-License-Identifier: MIT */
#include "drivers/beken/crypto.h"

#include "drivers/base/dynamic.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define FUNCTION(symbol, member)                                                                   \
    {                                                                                              \
#symbol, offsetof(struct crypto, member)                                                   \
    }

static const struct dynamic_function functions[] = {
    FUNCTION(EVP_aes_128_ecb, aes_128_ecb),
    FUNCTION(EVP_aes_256_cbc, aes_256_cbc),
    FUNCTION(EVP_CIPHER_CTX_free, cipher_free),
    FUNCTION(EVP_CIPHER_CTX_new, cipher_new),
    FUNCTION(EVP_CIPHER_CTX_set_padding, cipher_set_padding),
    FUNCTION(EVP_DecryptInit_ex, decrypt_init),
    FUNCTION(EVP_DecryptUpdate, decrypt_update),
    FUNCTION(EVP_Digest, digest),
    FUNCTION(EVP_sha256, sha256),
    FUNCTION(OpenSSL_version, version),
};

static const struct dynamic_library library = {
    .file = "libcrypto.so.3",
    .purpose = "Looking into a module's flash",
    .package = "libssl3",
    .functions = functions,
    .count = sizeof functions / sizeof functions[0],
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct crypto table;
static struct error failure;
static bool loaded;

static void load(void)
{
    loaded = dynamic_load(&library, &table, &failure) != NULL;
}

const struct crypto *crypto_load(void)
{
    (void)pthread_once(&once, load);
    if (!loaded) {
        (void)fprintf(stderr, "%s\n", failure.text);
        exit(STATUS_FAILED);
    }
    return &table;
}

const char *crypto_version(void)
{
    (void)pthread_once(&once, load);
    return loaded ? table.version(OPENSSL_VERSION) : NULL;
}
