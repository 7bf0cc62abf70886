/* SPDX-License-Identifier: MIT */
/**
 * OpenSSL's libcrypto, loaded on demand: a service that never looks into a module's flash needs none of it. Only for
 * drivers/beken.
 */
#ifndef DRIVERS_BEKEN_CRYPTO_H
#define DRIVERS_BEKEN_CRYPTO_H

#include <openssl/crypto.h>
#include <openssl/evp.h>

/** The functions used, under their names without EVP_. */
struct crypto {
    __typeof__(&EVP_aes_128_ecb) aes_128_ecb;
    __typeof__(&EVP_aes_256_cbc) aes_256_cbc;
    __typeof__(&EVP_CIPHER_CTX_free) cipher_free;
    __typeof__(&EVP_CIPHER_CTX_new) cipher_new;
    __typeof__(&EVP_CIPHER_CTX_set_padding) cipher_set_padding;
    __typeof__(&EVP_DecryptInit_ex) decrypt_init;
    __typeof__(&EVP_DecryptUpdate) decrypt_update;
    __typeof__(&EVP_Digest) digest;
    __typeof__(&EVP_sha256) sha256;
    __typeof__(&OpenSSL_version) version;
};

/** From any thread. If it cannot be loaded this says so and ends the program, as for memory: it is a part of the
 *  packages that the program needs. */
const struct crypto *crypto_load(void);

/** NULL: it is not installed. */
const char *crypto_version(void);

#endif
