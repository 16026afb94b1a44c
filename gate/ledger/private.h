/* What the reader's files share. Private to gate/ledger. */
#ifndef AEGIS_LEDGER_PRIVATE_H
#define AEGIS_LEDGER_PRIVATE_H

#include "gate/ledger/reader.h"
#include "gate/ledger/store.h"

struct aegis_reader {
    struct aegis_books *store;
};

#endif
