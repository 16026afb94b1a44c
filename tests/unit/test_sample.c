/* The sample plugin, from SAMPLE_FOLDER: tests/plugins/build-sample puts one there that was built outside the
 * tree. */
#include "tests/unit/judging.h"

static json_t *paid(const char *settled)
{
    json_t *facts = json_object();
    judging_spent(facts, "spent/agent+host/total/*/*", settled, "0", 1, 0);
    return facts;
}

static void test_strangers(void **state)
{
    struct judging judging;
    struct aegis_error error = {{0}};
    const char *folder = getenv("SAMPLE_FOLDER");
    (void)state;
    json_t *folders = json_pack("[s]", folder == NULL ? "tests/plugins" : folder);
    json_t *documents = json_array();
    json_array_append_new(documents, judging_document(judging_json(
                                         "{\"id\":\"p\",\"plugin\":\"sample\",\"config\":{\"first\":2}}")));
    judging.plugins = aegis_plugins_new(folders);
    judging.policies = aegis_policies_new(documents, NULL, judging.plugins, NULL, &error);
    if (judging.policies == NULL)
        fail_msg("%s", error.text);
    judging_expect(&judging, judging_subject("2000000", NULL), NULL, "allow");
    judging_expect(&judging, judging_subject("2000001", NULL), NULL, "deny stranger_too_expensive");
    judging_expect(&judging, judging_subject("2000001", NULL), paid("1"), "allow");
    json_decref(folders);
    json_decref(documents);
    judging_close(&judging);
    judging_refused("[{\"id\":\"p\",\"plugin\":\"sample\"}]", "first: expected an integer from 1 to 1000000");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_strangers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
