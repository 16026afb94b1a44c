/* The documents in policies/: each is right, works, and is not allow-all for stock OWS. */
#include "tests/unit/judging.h"

#include <dirent.h>

static int is_document(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name);
    return length > 5 && strcmp(entry->d_name + length - 5, ".json") == 0;
}

static json_t *shipped(void)
{
    const char *srcdir = getenv("srcdir");
    struct dirent **entries;
    char folder[512], path[1024];
    json_t *documents = json_array();
    snprintf(folder, sizeof(folder), "%s/policies", srcdir == NULL ? "." : srcdir);
    int count = scandir(folder, &entries, is_document, alphasort);
    assert_true(count >= 8);
    for (int i = 0; i < count; i++) {
        json_error_t error;
        snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
        json_t *json = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
        if (json == NULL)
            fail_msg("%s: %s", path, error.text);
        json_array_append_new(documents, json_pack("{s:s,s:o}", "path", path, "document", json));
        free(entries[i]);
    }
    free(entries);
    return documents;
}

static void open_shipped(struct judging *judging)
{
    struct aegis_error error = {{0}};
    json_t *documents = shipped(), *folders = judging_json("[\"plugins\"]");
    judging->plugins = aegis_plugins_new(folders);
    judging->policies = aegis_policies_new(documents, NULL, judging->plugins, NULL, &error);
    if (judging->policies == NULL || !aegis_policies_strict(judging->policies, &error))
        fail_msg("%s", error.text);
    json_decref(folders);
    json_decref(documents);
}

static void test_all_are_right(void **state)
{
    struct judging judging;
    (void)state;
    open_shipped(&judging);
    for (size_t i = 0; i < aegis_policies_count(judging.policies); i++) {
        const struct aegis_document *document = aegis_policies_at(judging.policies, i)->document;
        char file[128];
        snprintf(file, sizeof(file), "/%s.json", document->id);
        assert_non_null(strstr(document->path, file));
        assert_non_null(document->executable);
        assert_string_equal(document->executable, AEGIS_DOCUMENT_OWN_EXECUTABLE);
        assert_non_null(document->plugin);
    }
    judging_close(&judging);
}

static void expect_default(const struct judging *judging, json_t *subject, const char *settled,
                           const char *expected)
{
    struct aegis_evaluation evaluation;
    json_t *facts = json_object();
    judging_spent(facts, "spent/agent/day/*/USDC", settled, "0", 1, JUDGING_NOW + 1);
    judging_ask(judging, "payment", "[\"default-budget\",\"default-guard\"]", subject, facts, JUDGING_NOW,
                &evaluation);
    assert_string_equal(judging_text(&evaluation), expected);
    aegis_evaluation_clear(&evaluation);
    json_decref(facts);
}

/* What a newcomer gets: 1 USDC a payment, 10 a day, known assets only. */
static void test_the_defaults_are_cautious(void **state)
{
    struct judging judging;
    (void)state;
    open_shipped(&judging);
    expect_default(&judging, judging_subject("1000000", NULL), "9000000000000000000", "allow");
    expect_default(&judging, judging_subject("1000001", NULL), "0", "deny payment_limit_exceeded");
    expect_default(&judging, judging_subject("1000000", NULL), "9000000000000000001",
                   "deny daily_limit_exceeded");
    expect_default(&judging, judging_subject("1", "{\"token\":\"EURC\"}"), "0", "deny limit_missing");
    expect_default(&judging, judging_subject("1", "{\"token\":\"\"}"), "0", "deny limit_missing");
    judging_close(&judging);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_are_right),
        cmocka_unit_test(test_the_defaults_are_cautious),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
