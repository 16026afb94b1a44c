/* API keys: the official library's and our own, and the index over them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>

#include "gate/vault/apikey.h"
#include "gate/vault/wallet.h"
#include "tests/unit/vault_fixture.h"

#define NOW      1795162584206 /* 2026-11-20T08:16:24.206Z */
#define PLAIN_ID "6c0e436d-9405-4839-b3c5-671dface9981"
#define WALLET   "f62574cd-2383-4736-bbef-2b6577fe1fd3"
#define TOKEN    "ows_key_3b838242b258a1c1d178b7dafe8f06a74a91f73cc6352e8578c71b180a2cd3f4"

static struct aegis_secret *secret_of_text(const char *text)
{
    return aegis_secret_copy(text, strlen(text));
}

static const json_t *wallet_facts(const json_t *facts, const char *id)
{
    size_t i;
    json_t *c;
    json_array_foreach(vectors_get(facts, "wallets"), i, c)
    {
        if (strcmp(vectors_text(c, "id"), id) == 0)
            return c;
    }
    return NULL;
}

static void official_keys_open(void **state)
{
    (void)state;
    json_t *facts = vectors_load("vault/vault.json");
    struct aegis_vault *vault = fixture_official(facts);
    struct aegis_apikeys *keys = aegis_apikeys_new(vault);
    struct aegis_error error = {""};
    size_t i;
    json_t *c;
    assert_true(aegis_apikeys_refresh(keys, &error));
    json_array_foreach(vectors_get(facts, "api_keys"), i, c)
    {
        const char *text = vectors_text(c, "token");
        const struct aegis_apikey *key = aegis_apikeys_find(keys, text, strlen(text));
        assert_non_null(key);
        assert_string_equal(key->id, vectors_text(c, "id"));
        assert_string_equal(key->name, vectors_text(c, "name"));
        struct aegis_secret *token = secret_of_text(text);
        const char *wallet_id;
        json_t *secret;
        json_object_foreach(vectors_get(c, "secrets"), wallet_id, secret)
        {
            char hex[65];
            struct aegis_wallet *wallet = aegis_wallet_find(vault, wallet_id, &error);
            struct aegis_secret *evm_key = aegis_apikey_open(key, wallet, token, &error);
            assert_non_null(evm_key);
            assert_string_equal(
                aegis_hex_encode(aegis_secret_bytes(evm_key), 32, hex),
                vectors_text(vectors_get(wallet_facts(facts, wallet_id), "evm"), "private_key"));
            aegis_secret_free(&evm_key);
            aegis_wallet_free(&wallet);
        }
        aegis_secret_free(&token);
    }
    const struct aegis_apikey *key = aegis_apikeys_find_id(keys, "207bc824-2a70-41b9-8d07-26b093a82adc");
    assert_true(aegis_apikey_expired(key, NOW));
    assert_false(aegis_apikey_expired(key, 1577836800000));
    assert_true(aegis_apikey_expired(key, 1577836800001));
    key = aegis_apikeys_find_id(keys, "9f4beb28-f036-410d-b530-6edbb067940c");
    assert_true(aegis_apikey_expired(key, NOW));
    key = aegis_apikeys_find_id(keys, "df88e033-cdfa-421a-9a9e-02df1a987d39");
    assert_false(aegis_apikey_expired(key, NOW));
    assert_string_equal(key->policy_ids[0], "base-sepolia-only");
    assert_null(key->policy_ids[1]);
    key = aegis_apikeys_find_id(keys, PLAIN_ID);
    assert_false(aegis_apikey_expired(key, INT64_MAX));
    assert_null(aegis_apikeys_find_id(keys, "00000000-0000-4000-8000-000000000000"));
    aegis_apikeys_free(&keys);
    fixture_free(&vault);
    json_decref(facts);
}

static void changed_key_files_are_judged(void **state)
{
    (void)state;
    json_t *file = vectors_load("vault/malformed.json");
    size_t i;
    json_t *c;
    json_array_foreach(vectors_get(file, "key_files"), i, c)
    {
        struct aegis_error error = {""};
        struct aegis_vault *vault = fixture_vault();
        const char *what = vectors_text(c, "what");
        const char *text = vectors_text(c, "token");
        fixture_copy(vault, "wallets", WALLET);
        fixture_write(vault, "keys", PLAIN_ID ".json", vectors_text(c, "key_file_text"));
        struct aegis_apikeys *keys = aegis_apikeys_new(vault);
        struct aegis_wallet *wallet = aegis_wallet_find(vault, vectors_text(c, "wallet_id"), &error);
        struct aegis_secret *token = secret_of_text(text);
        const struct aegis_apikey *key = aegis_apikeys_find(keys, text, strlen(text));
        bool expired = key != NULL && aegis_apikey_expired(key, NOW);
        struct aegis_secret *evm_key =
            key != NULL && !expired ? aegis_apikey_open(key, wallet, token, &error) : NULL;
        /* A policy that does not exist is the judge's business. */
        bool expected = json_is_true(vectors_get(c, "ok")) || strcmp(what, "unknown policy id") == 0;
        if ((evm_key != NULL) != expected)
            fail_msg("%s: %s", what, error.text);
        aegis_secret_free(&evm_key);
        aegis_secret_free(&token);
        aegis_wallet_free(&wallet);
        aegis_apikeys_free(&keys);
        fixture_free(&vault);
    }
    json_decref(file);
}

static void tokens_of_other_keys_open_nothing(void **state)
{
    (void)state;
    struct aegis_error error = {""};
    struct aegis_vault *vault = fixture_vault();
    fixture_copy(vault, "wallets", WALLET);
    fixture_copy(vault, "wallets", "79fa98ba-da04-46cd-b733-eab0216e7c6a");
    fixture_copy(vault, "keys", PLAIN_ID);
    struct aegis_apikeys *keys = aegis_apikeys_new(vault);
    struct aegis_wallet *wallet = aegis_wallet_find(vault, WALLET, &error);
    struct aegis_wallet *other = aegis_wallet_find(vault, "79fa98ba-da04-46cd-b733-eab0216e7c6a", &error);
    const struct aegis_apikey *key = aegis_apikeys_find(keys, TOKEN, strlen(TOKEN));
    struct aegis_secret *token = secret_of_text(TOKEN);
    struct aegis_secret *wrong =
        secret_of_text("ows_key_2bc669a95054036a1aef0d9f5051f673b61099d3f71aae8886fb6aff1292edf7");
    assert_null(aegis_apikey_open(key, wallet, wrong, &error));
    assert_null(strstr(error.text, "2bc669"));
    assert_null(aegis_apikey_open(key, other, token, &error));
    assert_non_null(strstr(error.text, "no access"));
    static const char *const odd[] = {"", "ows_key_", "ows_key_3b838242",
                                      "Ows_key_3b838242b258a1c1d178b7dafe8f06a7", TOKEN "0"};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        assert_null(aegis_apikeys_find(keys, odd[i], strlen(odd[i])));
    aegis_secret_free(&wrong);
    aegis_secret_free(&token);
    aegis_wallet_free(&other);
    aegis_wallet_free(&wallet);
    aegis_apikeys_free(&keys);
    fixture_free(&vault);
}

static bool finds(struct aegis_apikeys *keys)
{
    return aegis_apikeys_find(keys, TOKEN, strlen(TOKEN)) != NULL;
}

static void the_index_sees_every_change(void **state)
{
    (void)state;
    struct aegis_error error = {""};
    struct aegis_vault *vault = fixture_vault();
    struct aegis_apikeys *keys = aegis_apikeys_new(vault);
    char *path = aegis_format("%s/keys/%s.json", vault->folder, PLAIN_ID);
    assert_false(finds(keys)); /* no folder at all */
    assert_true(aegis_apikeys_refresh(keys, &error));
    assert_false(finds(keys));
    fixture_copy(vault, "keys", PLAIN_ID);
    assert_true(finds(keys));
    uint64_t generation = aegis_apikeys_generation(keys);
    assert_true(aegis_apikeys_refresh(keys, &error));
    assert_int_equal(aegis_apikeys_generation(keys), generation);

    assert_int_equal(chmod(path, 0644), 0); /* others may have read it */
    assert_false(finds(keys));
    assert_int_equal(chmod(path, 0600), 0);
    assert_true(finds(keys));
    assert_int_equal(unlink(path), 0);
    assert_false(finds(keys));
    fixture_write(vault, "keys", "half.json", "{\"id\":");
    assert_false(finds(keys));
    fixture_copy(vault, "keys", PLAIN_ID);
    assert_true(finds(keys));

    /* Changed in place: the folder does not show it, the file does. */
    int fd = open(path, O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd, "{}", 2), 2);
    close(fd);
    assert_false(finds(keys));
    fixture_copy(vault, "keys", PLAIN_ID);
    assert_true(finds(keys));
    assert_true(aegis_apikeys_generation(keys) > generation);

    char *moved = aegis_format("%s-moved", vault->folder);
    assert_int_equal(rename(vault->folder, moved), 0);
    assert_false(finds(keys));
    assert_int_equal(rename(moved, vault->folder), 0);
    free(moved);
    assert_true(finds(keys));
    free(path);
    aegis_apikeys_free(&keys);
    fixture_free(&vault);
}

static void a_copy_of_a_key_disables_both(void **state)
{
    (void)state;
    struct aegis_error error = {""};
    struct aegis_vault *vault = fixture_vault();
    struct aegis_apikeys *keys = aegis_apikeys_new(vault);
    json_t *copy = vectors_load("vault/keys/" PLAIN_ID ".json");
    json_object_set_new(copy, "id", json_string("00000000-0000-4000-8000-000000000000"));
    char *text = json_dumps(copy, 0);
    fixture_copy(vault, "keys", PLAIN_ID);
    assert_true(finds(keys));
    fixture_write(vault, "keys", "copy.json", text);
    assert_true(aegis_apikeys_refresh(keys, &error));
    assert_false(finds(keys));
    /* Revoking takes the copy along. */
    assert_true(aegis_apikey_revoke(vault, PLAIN_ID, &error));
    struct aegis_apikey_list list;
    assert_true(aegis_apikey_list(vault, &list, &error));
    assert_int_equal(list.count, 0);
    aegis_apikey_list_free(&list);
    assert_false(finds(keys));
    assert_false(aegis_apikey_revoke(vault, PLAIN_ID, &error));
    free(text);
    json_decref(copy);
    aegis_apikeys_free(&keys);
    fixture_free(&vault);
}

static void many_keys_are_found(void **state)
{
    (void)state;
    struct aegis_error error = {""};
    struct aegis_vault *vault = fixture_vault();
    struct aegis_apikeys *keys = aegis_apikeys_new(vault);
    json_t *file = vectors_load("vault/keys/" PLAIN_ID ".json");
    for (unsigned i = 0; i < 300; i++) {
        char name[64];
        char token[73];
        char hash[AEGIS_HASH_HEX];
        snprintf(token, sizeof token, "ows_key_%064u", i);
        snprintf(name, sizeof name, "00000000-0000-4000-8000-%012u", i);
        json_object_set_new(file, "id", json_string(name));
        json_object_set_new(file, "token_hash", json_string(aegis_sha256_hex(token, 72, hash)));
        char *text = json_dumps(file, 0);
        snprintf(name, sizeof name, "%u.json", i);
        fixture_write(vault, "keys", name, text);
        free(text);
    }
    assert_true(aegis_apikeys_refresh(keys, &error));
    for (unsigned i = 0; i < 310; i++) {
        char token[73];
        snprintf(token, sizeof token, "ows_key_%064u", i);
        const struct aegis_apikey *key = aegis_apikeys_find(keys, token, 72);
        assert_int_equal(key != NULL, i < 300);
        if (key != NULL)
            assert_int_equal(strtoul(key->id + 24, NULL, 10), i);
    }
    json_decref(file);
    aegis_apikeys_free(&keys);
    fixture_free(&vault);
}

static void created_keys_work_until_revoked(void **state)
{
    (void)state;
    struct aegis_error error = {""};
    struct aegis_vault *vault = fixture_vault();
    struct aegis_secret *passphrase = secret_of_text("correct horse battery staple");
    struct aegis_secret *wrong = secret_of_text("wrong");
    struct aegis_wallet *wallet = aegis_wallet_create(vault, "main", 12, passphrase, NOW, &error);
    const struct aegis_wallet *wallets[] = {wallet};
    static const char *const policies[] = {"budget", "guard"};
    struct aegis_apikey_request request = {.name = "agent",
                                           .wallets = wallets,
                                           .wallet_count = 1,
                                           .policy_ids = policies,
                                           .policy_count = 2,
                                           .expires_at = NOW + 1000,
                                           .now = NOW};
    char id[AEGIS_VAULT_ID];
    assert_null(aegis_apikey_create(vault, &request, wrong, id, &error));
    struct aegis_secret *token = aegis_apikey_create(vault, &request, passphrase, id, &error);
    assert_non_null(token);
    assert_int_equal(aegis_secret_size(token), AEGIS_APIKEY_TOKEN_SIZE);
    struct stat status;
    char *path = aegis_format("%s/keys/%s.json", vault->folder, id);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    free(path);

    struct aegis_apikeys *keys = aegis_apikeys_new(vault);
    const struct aegis_apikey *key =
        aegis_apikeys_find(keys, aegis_secret_text(token), aegis_secret_size(token));
    assert_non_null(key);
    assert_string_equal(key->id, id);
    assert_string_equal(key->name, "agent");
    assert_string_equal(key->policy_ids[1], "guard");
    assert_false(aegis_apikey_expired(key, NOW + 1000));
    assert_true(aegis_apikey_expired(key, NOW + 1001));
    struct aegis_secret *by_token = aegis_apikey_open(key, wallet, token, &error);
    assert_non_null(by_token);
    assert_true(aegis_apikey_revoke(vault, "agent", &error));
    assert_null(aegis_apikeys_find(keys, aegis_secret_text(token), aegis_secret_size(token)));

    request.expires_at = NOW;
    assert_null(aegis_apikey_create(vault, &request, passphrase, id, &error));
    request.expires_at = AEGIS_APIKEY_NEVER;
    request.name = "";
    assert_null(aegis_apikey_create(vault, &request, passphrase, id, &error));
    request.name = "agent";
    request.wallet_count = 0;
    assert_null(aegis_apikey_create(vault, &request, passphrase, id, &error));
    aegis_secret_free(&by_token);
    aegis_secret_free(&token);
    aegis_secret_free(&wrong);
    aegis_secret_free(&passphrase);
    aegis_apikeys_free(&keys);
    aegis_wallet_free(&wallet);
    fixture_free(&vault);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(official_keys_open),
        cmocka_unit_test(changed_key_files_are_judged),
        cmocka_unit_test(tokens_of_other_keys_open_nothing),
        cmocka_unit_test(the_index_sees_every_change),
        cmocka_unit_test(a_copy_of_a_key_disables_both),
        cmocka_unit_test(many_keys_are_found),
        cmocka_unit_test(created_keys_work_until_revoked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
