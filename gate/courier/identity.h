/* The Ed25519 identity with which an agent, or the gate itself, signs its messages. It moves no money. */
#ifndef AEGIS_COURIER_IDENTITY_H
#define AEGIS_COURIER_IDENTITY_H

#include <jansson.h>
#include <stdbool.h>

#include "gate/base/error.h"

struct aegis_courier_identity;

/* Reads `folder`/AGENT_ID.key (64 hex digits, mode 0600); makes folder and key when there is none. agent_id
 * is letters, digits, '-', '_' and '.', not beginning with a dot, at most 100. A key that others can read, or
 * that is none, is refused, not replaced. */
struct aegis_courier_identity *aegis_courier_identity_open(const char *folder, const char *agent_id,
                                                           struct aegis_error *error);
void aegis_courier_identity_free(struct aegis_courier_identity **identity);

const char *aegis_courier_identity_agent(const struct aegis_courier_identity *identity);

/* Adds `publicKey` (64 hex digits) and `signature` (128): Ed25519 over the RFC 8785 form of the message with
 * its publicKey and without its signature. False when the message has no canonical form. */
bool aegis_courier_identity_sign(const struct aegis_courier_identity *identity, json_t *message);

/* Whether `signature` is that of `publicKey` over the rest. Says nothing of whose key that is. */
bool aegis_courier_identity_verify(const json_t *message, struct aegis_error *error);

#endif
