/* Wallet files: the official library's, damaged ones, and our own. scrypt costs 0.12 s a time, so that
 * envelopes that were opened before are not opened again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>

#include "gate/vault/envelope.h"
#include "gate/vault/wallet.h"
#include "tests/unit/vault_fixture.h"

#define NOW 1795162584206 /* 2026-11-20T08:16:24.206Z */

static struct aegis_secret *secret_of_text(const char *text)
{
    return aegis_secret_copy(text, strlen(text));
}

static void assert_hex(struct aegis_secret *secret, const char *expected)
{
    char hex[129];
    assert_non_null(secret);
    assert_true(aegis_secret_size(secret) <= 64);
    assert_string_equal(aegis_hex_encode(aegis_secret_bytes(secret), aegis_secret_size(secret), hex),
                        expected);
}

static void official_wallets_open(void **state)
{
    (void)state;
    json_t *facts = vectors_load("vault/vault.json");
    struct aegis_vault *vault = fixture_official(facts);
    size_t i;
    json_t *c;
    json_array_foreach(vectors_get(facts, "wallets"), i, c)
    {
        struct aegis_error error = {""};
        struct aegis_wallet *wallet = aegis_wallet_find(vault, vectors_text(c, "name"), &error);
        assert_non_null(wallet);
        assert_string_equal(wallet->id, vectors_text(c, "id"));
        struct aegis_secret *passphrase = secret_of_text(vectors_text(c, "passphrase"));
        struct aegis_secret *plain = aegis_wallet_open(vault, wallet, passphrase, &error);
        assert_non_null(plain);
        assert_string_equal(aegis_secret_text(plain), vectors_text(c, "plaintext_utf8"));
        struct aegis_secret *key = aegis_wallet_evm_key(wallet, plain, &error);
        assert_hex(key, vectors_text(vectors_get(c, "evm"), "private_key"));
        assert_string_equal(aegis_wallet_account(wallet, "eip155")->address,
                            vectors_text(vectors_get(c, "evm"), "address"));
        assert_string_equal(aegis_wallet_account(wallet, "solana")->address,
                            vectors_text(vectors_get(c, "solana"), "address"));
        aegis_secret_free(&key);
        aegis_secret_free(&plain);
        aegis_secret_free(&passphrase);
        aegis_wallet_free(&wallet);
    }
    fixture_free(&vault);
    json_decref(facts);
}

/* What we do otherwise than the official library: NULL as it does. */
static const char *our_own_view(const char *what)
{
    static const char *const views[][2] = {
        {"chain_type unknown", "open"},
        {"accounts empty", "no key"},
        {"key_type private_key on a mnemonic wallet", "no key"},
        {"cipher name changed to aes-128-ctr", "refused"},
        {"cipher name nonsense", "refused"},
        {"tag moved to the end of ciphertext, auth_tag empty", "refused"},
    };
    for (size_t i = 0; i < sizeof views / sizeof views[0]; i++)
        if (strcmp(views[i][0], what) == 0)
            return views[i][1];
    return NULL;
}

/* Envelopes that were opened: JSON of it with the passphrase -> what was inside. */
static struct aegis_secret *open_once(const struct aegis_vault *vault, const struct aegis_wallet *wallet,
                                      const char *passphrase, json_t *opened, struct aegis_error *error)
{
    char *envelope = json_dumps(wallet->crypto, JSON_SORT_KEYS);
    char *memory = aegis_format("%s %s", passphrase, envelope);
    const char *known = json_string_value(json_object_get(opened, memory));
    struct aegis_secret *secret = secret_of_text(passphrase);
    struct aegis_secret *plain =
        known != NULL ? secret_of_text(known) : aegis_wallet_open(vault, wallet, secret, error);
    if (plain != NULL)
        json_object_set_new(opened, memory, json_string(aegis_secret_text(plain)));
    aegis_secret_free(&secret);
    free(memory);
    free(envelope);
    return plain;
}

static const char *verdict_on(const struct aegis_vault *vault, json_t *c, json_t *opened)
{
    struct aegis_error error = {""};
    struct aegis_wallet *wallet = aegis_wallet_find(vault, "f62574cd-2383-4736-bbef-2b6577fe1fd3", &error);
    struct aegis_secret *plain =
        wallet != NULL ? open_once(vault, wallet, vectors_text(c, "passphrase"), opened, &error) : NULL;
    struct aegis_secret *key = plain != NULL ? aegis_wallet_evm_key(wallet, plain, &error) : NULL;
    const char *verdict = key != NULL ? "open" : plain != NULL ? "no key" : "refused";
    assert_int_equal(key == NULL, error.text[0] != '\0');
    aegis_secret_free(&key);
    aegis_secret_free(&plain);
    aegis_wallet_free(&wallet);
    return verdict;
}

static void changed_files_are_judged(void **state)
{
    (void)state;
    json_t *file = vectors_load("vault/malformed.json");
    json_t *opened = json_object();
    size_t i;
    json_t *c;
    json_array_foreach(vectors_get(file, "wallet_files"), i, c)
    {
        struct aegis_vault *vault = fixture_vault();
        const char *what = vectors_text(c, "what");
        const char *view = our_own_view(what);
        const char *expected = view != NULL ? view : json_is_true(vectors_get(c, "ok")) ? "open" : "refused";
        fixture_write(vault, "wallets", "f62574cd-2383-4736-bbef-2b6577fe1fd3.json",
                      vectors_text(c, "wallet_file_text"));
        const char *verdict = verdict_on(vault, c, opened);
        if (strcmp(verdict, expected) != 0)
            fail_msg("%s: %s, expected %s", what, verdict, expected);
        fixture_free(&vault);
    }
    json_decref(opened);
    json_decref(file);
}

static json_t *good_envelope(void)
{
    json_t *wallet = vectors_load("vault/wallets/f62574cd-2383-4736-bbef-2b6577fe1fd3.json");
    json_t *envelope = json_incref(vectors_get(wallet, "crypto"));
    json_decref(wallet);
    return envelope;
}

static void scrypt_is_bounded(void **state)
{
    (void)state;
    struct aegis_error error = {""};
    json_t *envelope = good_envelope();
    json_t *params = vectors_get(envelope, "kdfparams");
    assert_true(aegis_envelope_check(envelope, 64 << 20, &error));
    assert_false(aegis_envelope_check(envelope, (64 << 20) - 1, &error));
    assert_non_null(strstr(error.text, "67108864"));

    json_object_set_new(params, "n", json_integer(1 << 30));
    assert_false(aegis_envelope_check(envelope, AEGIS_SCRYPT_MEMORY, &error));
    json_object_set_new(params, "n", json_integer((json_int_t)1 << 62));
    assert_false(aegis_envelope_check(envelope, UINT64_MAX, &error));
    json_object_set_new(params, "n", json_integer(65536));
    json_object_set_new(params, "r", json_integer((json_int_t)1 << 40));
    assert_false(aegis_envelope_check(envelope, UINT64_MAX, &error));
    json_object_set_new(params, "r", json_integer(8));
    json_object_set_new(params, "p", json_integer(1000000));
    assert_false(aegis_envelope_check(envelope, AEGIS_SCRYPT_MEMORY, &error));
    json_object_set_new(params, "p", json_integer(1));
    assert_true(aegis_envelope_check(envelope, AEGIS_SCRYPT_MEMORY, &error));
    json_decref(envelope);
}

static void files_open_to_others_are_refused(void **state)
{
    (void)state;
    static const mode_t modes[] = {0640, 0604, 0620, 0644, 0666};
    struct aegis_vault *vault = fixture_vault();
    struct aegis_error error = {""};
    const char *id = "f62574cd-2383-4736-bbef-2b6577fe1fd3";
    fixture_copy(vault, "wallets", id);
    char *path = aegis_format("%s/wallets/%s.json", vault->folder, id);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        char mode[8];
        snprintf(mode, sizeof mode, "%03o", (unsigned)modes[i]);
        assert_int_equal(chmod(path, modes[i]), 0);
        assert_null(aegis_wallet_find(vault, id, &error));
        assert_non_null(strstr(error.text, path));
        assert_non_null(strstr(error.text, mode));
    }
    assert_int_equal(chmod(path, 0400), 0);
    struct aegis_wallet *wallet = aegis_wallet_find(vault, id, &error);
    assert_non_null(wallet);
    aegis_wallet_free(&wallet);
    free(path);

    path = aegis_format("%s/wallets", vault->folder);
    assert_int_equal(chmod(path, 0755), 0);
    assert_null(aegis_wallet_find(vault, id, &error));
    assert_non_null(strstr(error.text, path));
    assert_non_null(strstr(error.text, "755"));
    assert_int_equal(chmod(path, 0700), 0);
    assert_int_equal(chmod(vault->folder, 0777), 0);
    assert_null(aegis_wallet_find(vault, id, &error));
    assert_non_null(strstr(error.text, "777"));
    assert_int_equal(chmod(vault->folder, 0755), 0);
    wallet = aegis_wallet_find(vault, id, &error);
    assert_non_null(wallet);
    aegis_wallet_free(&wallet);
    free(path);
    fixture_free(&vault);
}

static unsigned mode_of(const struct aegis_vault *vault, const char *name)
{
    struct stat status;
    char *path = aegis_format("%s/%s", vault->folder, name);
    assert_int_equal(stat(path, &status), 0);
    free(path);
    return status.st_mode & 0777;
}

static char *text_of(const struct aegis_vault *vault, const char *id)
{
    struct aegis_error error = {""};
    size_t size = 0;
    char *path = aegis_format("%s/wallets/%s.json", vault->folder, id);
    char *text = aegis_file_read(path, 1 << 20, AEGIS_FILE_SECRET, &size, &error);
    fixture_require(text != NULL, &error);
    free(path);
    return text;
}

/* Puts their random or timely text in the place of ours, which must be there and as long. */
static void replace(char *text, const json_t *ours, const json_t *theirs, const char *name)
{
    const char *old = vectors_text(ours, name);
    const char *new = vectors_text(theirs, name);
    char *at = strstr(text, old);
    assert_non_null(at);
    assert_int_equal(strlen(old), strlen(new));
    memcpy(at, new, strlen(new));
}

static void written_files_have_the_official_shape(void **state)
{
    (void)state;
    struct aegis_vault *official = fixture_vault();
    struct aegis_vault *vault = fixture_vault();
    struct aegis_error error = {""};
    const char *id = "f62574cd-2383-4736-bbef-2b6577fe1fd3";
    fixture_copy(official, "wallets", id);
    struct aegis_secret *phrase =
        secret_of_text("primary oblige mixture lab chat jacket rifle sound arrange term roof borrow");
    struct aegis_secret *passphrase = secret_of_text("p");
    mode_t mask = umask(0);
    struct aegis_wallet *wallet =
        aegis_wallet_import_mnemonic(vault, "imported-12", phrase, 0, passphrase, NOW, &error);
    umask(mask);
    assert_non_null(wallet);
    assert_int_equal(mode_of(vault, "wallets"), 0700);
    char *name = aegis_format("wallets/%s.json", wallet->id);
    assert_int_equal(mode_of(vault, name), 0600);
    free(name);
    assert_string_equal(wallet->created_at, "2026-11-20T08:16:24.206000000+00:00");

    static const char *const in_file[] = {"id", "created_at"};
    static const char *const in_crypto[] = {"auth_tag", "ciphertext"};
    char *our_text = text_of(vault, wallet->id);
    char *their_text = text_of(official, id);
    json_t *ours = json_loads(our_text, 0, NULL);
    json_t *theirs = json_loads(their_text, 0, NULL);
    const json_t *our_crypto = vectors_get(ours, "crypto");
    const json_t *their_crypto = vectors_get(theirs, "crypto");
    for (size_t i = 0; i < 2; i++) {
        replace(our_text, ours, theirs, in_file[i]);
        replace(our_text, our_crypto, their_crypto, in_crypto[i]);
    }
    replace(our_text, vectors_get(our_crypto, "cipherparams"), vectors_get(their_crypto, "cipherparams"),
            "iv");
    replace(our_text, vectors_get(our_crypto, "kdfparams"), vectors_get(their_crypto, "kdfparams"), "salt");
    assert_string_equal(our_text, their_text);
    json_decref(theirs);
    json_decref(ours);
    free(their_text);
    free(our_text);
    aegis_wallet_free(&wallet);
    aegis_secret_free(&phrase);
    aegis_secret_free(&passphrase);
    fixture_free(&vault);
    fixture_free(&official);
}

static void new_wallets_can_be_unlocked(void **state)
{
    (void)state;
    struct aegis_vault *vault = fixture_vault();
    struct aegis_error error = {""};
    struct aegis_secret *passphrase = secret_of_text("pässwörd 🔑");
    struct aegis_secret *wrong = secret_of_text("password");
    struct aegis_wallet *created =
        aegis_wallet_create(vault, "böth \"names\" \\ 名前", 24, passphrase, NOW, &error);
    assert_non_null(created);
    assert_int_equal(created->account_count, 9);
    struct aegis_secret *key = aegis_wallet_unlock(vault, created, passphrase, &error);
    assert_non_null(key);
    assert_null(aegis_wallet_unlock(vault, created, wrong, &error));
    assert_non_null(strstr(error.text, created->id));

    struct aegis_wallet *imported = aegis_wallet_import_key(vault, "key", key, passphrase, NOW + 1, &error);
    assert_non_null(imported);
    assert_int_equal(imported->kind, AEGIS_WALLET_PRIVATE_KEY);
    assert_string_equal(aegis_wallet_account(imported, "eip155")->address,
                        aegis_wallet_account(created, "eip155")->address);
    assert_string_not_equal(aegis_wallet_account(imported, "solana")->address,
                            aegis_wallet_account(created, "solana")->address);
    struct aegis_secret *again = aegis_wallet_unlock(vault, imported, passphrase, &error);
    assert_true(aegis_secret_equal(key, again));

    struct aegis_wallets list;
    assert_true(aegis_wallets_list(vault, &list, &error));
    assert_int_equal(list.count, 2);
    assert_string_equal(list.items[0]->id, created->id);
    aegis_wallets_free(&list);
    aegis_secret_free(&again);
    aegis_secret_free(&key);
    aegis_secret_free(&wrong);
    aegis_secret_free(&passphrase);
    aegis_wallet_free(&imported);
    aegis_wallet_free(&created);
    fixture_free(&vault);
}

static void an_address_that_is_not_the_keys_is_refused(void **state)
{
    (void)state;
    struct aegis_vault *vault = fixture_vault();
    struct aegis_error error = {""};
    const char *id = "f62574cd-2383-4736-bbef-2b6577fe1fd3";
    fixture_copy(vault, "wallets", id);
    struct aegis_wallet *wallet = aegis_wallet_find(vault, id, &error);
    struct aegis_secret *plain =
        secret_of_text("primary oblige mixture lab chat jacket rifle sound arrange term roof borrow");
    struct aegis_secret *key = aegis_wallet_evm_key(wallet, plain, &error);
    assert_non_null(key);
    aegis_secret_free(&key);

    free(wallet->accounts[0].address);
    wallet->accounts[0].address = aegis_strdup("0x68487DbaB5bB3D6e99b4c13d0c857ebd2D1D9CD9");
    assert_null(aegis_wallet_evm_key(wallet, plain, &error));
    assert_non_null(strstr(error.text, "another address"));

    static const char *const paths[] = {"",
                                        "m/44'/60'/0'/0/",
                                        "m/44'/60'/0'/0/0'",
                                        "m/44'/60'/0'/0/2147483648",
                                        "m/44'/60'/0'/0/0/0",
                                        "m/44'/501'/0'/0'"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        free(wallet->accounts[0].derivation_path);
        wallet->accounts[0].derivation_path = aegis_strdup(paths[i]);
        assert_null(aegis_wallet_evm_key(wallet, plain, &error));
    }
    aegis_secret_free(&plain);
    aegis_wallet_free(&wallet);
    fixture_free(&vault);
}

static void wrong_requests_write_nothing(void **state)
{
    (void)state;
    struct aegis_vault *vault = fixture_vault();
    struct aegis_error error = {""};
    struct aegis_secret *passphrase = secret_of_text("p");
    struct aegis_secret *token = secret_of_text("ows_key_x");
    struct aegis_secret *zero = aegis_secret_new(32);
    struct aegis_secret *short_key = aegis_secret_new(31);
    memset(aegis_secret_bytes(short_key), 1, 31);
    fixture_copy(vault, "wallets", "f62574cd-2383-4736-bbef-2b6577fe1fd3");
    assert_null(aegis_wallet_create(vault, "imported-12", 12, passphrase, NOW, &error));
    assert_non_null(strstr(error.text, "imported-12"));
    assert_null(aegis_wallet_create(vault, "", 12, passphrase, NOW, &error));
    assert_null(aegis_wallet_create(vault, "new\nline", 12, passphrase, NOW, &error));
    assert_null(aegis_wallet_create(vault, "bad \xff", 12, passphrase, NOW, &error));
    assert_null(aegis_wallet_create(vault, "x", 13, passphrase, NOW, &error));
    assert_null(aegis_wallet_create(vault, "x", 12, token, NOW, &error));
    assert_null(aegis_wallet_import_key(vault, "x", zero, passphrase, NOW, &error));
    assert_null(aegis_wallet_import_key(vault, "x", short_key, passphrase, NOW, &error));
    assert_null(aegis_wallet_import_mnemonic(vault, "x", passphrase, 0, passphrase, NOW, &error));
    struct aegis_wallets list;
    assert_true(aegis_wallets_list(vault, &list, &error));
    assert_int_equal(list.count, 1);
    aegis_wallets_free(&list);
    aegis_secret_free(&short_key);
    aegis_secret_free(&zero);
    aegis_secret_free(&token);
    aegis_secret_free(&passphrase);
    fixture_free(&vault);
}

static void two_wallets_of_one_name_are_told_apart_by_id(void **state)
{
    (void)state;
    struct aegis_vault *vault = fixture_vault();
    struct aegis_error error = {""};
    const char *id = "f62574cd-2383-4736-bbef-2b6577fe1fd3";
    fixture_copy(vault, "wallets", id);
    json_t *twin = vectors_load("vault/wallets/f62574cd-2383-4736-bbef-2b6577fe1fd3.json");
    json_object_set_new(twin, "id", json_string("00000000-0000-4000-8000-000000000000"));
    char *text = json_dumps(twin, 0);
    fixture_write(vault, "wallets", "called-otherwise.json", text);
    fixture_write(vault, "wallets", ".hidden.json", text);
    fixture_write(vault, "wallets", "no-json.txt", text);
    fixture_write(vault, "wallets", "broken.json", "{");
    assert_null(aegis_wallet_find(vault, "imported-12", &error));
    assert_non_null(strstr(error.text, "2 wallets"));
    struct aegis_wallet *wallet = aegis_wallet_find(vault, "00000000-0000-4000-8000-000000000000", &error);
    assert_non_null(wallet);
    aegis_wallet_free(&wallet);
    assert_null(aegis_wallet_find(vault, "nobody", &error));
    assert_non_null(strstr(error.text, "broken.json"));
    assert_null(aegis_wallet_find(vault, "../wallets/broken", &error));
    free(text);
    json_decref(twin);
    fixture_free(&vault);
}

static void secrets_are_read_from_descriptors(void **state)
{
    (void)state;
    static const struct {
        const char *written;
        size_t size;
        const char *expected;
    } cases[] = {
        {"pass\n", 5, "pass"},  {"pass\r\n", 6, "pass"}, {"pass", 4, "pass"}, {"", 0, ""},
        {"\n", 1, ""},          {" a b \n", 6, " a b "}, {"a\n\n", 3, "a\n"}, {"12345678", 8, "12345678"},
        {"123456789", 9, NULL}, {"a\0b", 3, NULL},       {"\r", 1, "\r"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct aegis_error error = {""};
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        assert_int_equal(write(ends[1], cases[i].written, cases[i].size), cases[i].size);
        close(ends[1]);
        struct aegis_secret *secret = aegis_secret_read(ends[0], 8, &error);
        assert_int_equal(secret != NULL, cases[i].expected != NULL);
        if (secret != NULL)
            assert_string_equal(aegis_secret_text(secret), cases[i].expected);
        aegis_secret_free(&secret);
        close(ends[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secrets_are_read_from_descriptors),
        cmocka_unit_test(official_wallets_open),
        cmocka_unit_test(changed_files_are_judged),
        cmocka_unit_test(scrypt_is_bounded),
        cmocka_unit_test(files_open_to_others_are_refused),
        cmocka_unit_test(written_files_have_the_official_shape),
        cmocka_unit_test(new_wallets_can_be_unlocked),
        cmocka_unit_test(an_address_that_is_not_the_keys_is_refused),
        cmocka_unit_test(wrong_requests_write_nothing),
        cmocka_unit_test(two_wallets_of_one_name_are_told_apart_by_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
