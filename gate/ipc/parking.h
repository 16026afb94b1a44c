/* Questions that wait for an answer from another process: asker by id. An answer that nobody awaits is the
 * caller's to treat as an error. */
#ifndef AEGIS_IPC_PARKING_H
#define AEGIS_IPC_PARKING_H

#include <event2/event.h>
#include <stddef.h>
#include <stdint.h>

struct aegis_parking;

/* `expired` is called from the loop for a question that waited longer than `timeout_ms`; it is parked no more
 * then. */
struct aegis_parking *aegis_parking_new(struct event_base *base, int64_t timeout_ms,
                                        void (*expired)(void *asker, void *context), void *context);
void aegis_parking_free(struct aegis_parking **parking);

/* Returns the id of the question, never 0, never used before by this parking. */
uint64_t aegis_parking_put(struct aegis_parking *parking, void *asker);

/* The asker, parked no more; NULL when nobody waits under this id. */
void *aegis_parking_take(struct aegis_parking *parking, uint64_t id);

/* Takes out every asker in order of arrival: for a peer that died. */
void *aegis_parking_take_any(struct aegis_parking *parking);
size_t aegis_parking_count(const struct aegis_parking *parking);

#endif
