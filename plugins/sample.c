/* sample: a host that was never paid before gets at most `first` (whole tokens, an integer) for its first
 * answer. */
#include <aegis/plugin.h>

#include <stdio.h>
#include <stdlib.h>

struct sample {
    aegis_amount first; /* scaled */
};

static void *sample_open(const json_t *config, char *error, size_t size)
{
    json_int_t first = json_integer_value(json_object_get(config, "first"));
    struct sample *sample = first >= 1 && first <= 1000000 ? calloc(1, sizeof(*sample)) : NULL;
    if (sample == NULL)
        snprintf(error, size, "first: expected an integer from 1 to 1000000");
    else
        sample->first = (aegis_amount)first * 1000000000000000000u;
    return sample;
}

static void sample_check_payment(void *policy, const struct aegis_payment *payment,
                                 const struct aegis_host *host, struct aegis_decision *decision)
{
    const struct sample *sample = policy;
    struct aegis_spent spent;
    if (!host->spent(host->context, "agent+host", "total", "*", "*", &spent))
        return; /* called again when the answer is there */
    if (spent.settled > 0 || payment->scaled <= sample->first) {
        decision->verdict = AEGIS_ALLOW;
        return;
    }
    decision->verdict = AEGIS_DENY;
    snprintf(decision->code, sizeof(decision->code), "stranger_too_expensive");
    snprintf(decision->reason, sizeof(decision->reason), "%.100s was never paid before and asks too much",
             payment->host);
}

const struct aegis_policy aegis_policy = {
    .abi = AEGIS_PLUGIN_ABI,
    .size = sizeof(struct aegis_policy),
    .name = "sample",
    .version = "1.0.0",
    .summary = "Refuses a high price from a host that was never paid before.",
    .configuration = "first  integer  whole tokens that a host may ask for the first time",
    .open = sample_open,
    .close = free,
    .check_payment = sample_check_payment,
};
