# The sources and unit tests of gate/vault.
noinst_LIBRARIES += libaegis_vault.a
libaegis_vault_a_SOURCES = \
	gate/vault/apikey.c gate/vault/apikey.h gate/vault/apikey_read.h \
	gate/vault/apikeys.c \
	gate/vault/derive.c gate/vault/derive.h \
	gate/vault/envelope.c gate/vault/envelope.h \
	gate/vault/family.c gate/vault/family.h \
	gate/vault/folder.c gate/vault/folder.h \
	gate/vault/material.c gate/vault/material.h \
	gate/vault/mnemonic.c gate/vault/mnemonic.h \
	gate/vault/secret.c gate/vault/secret.h \
	gate/vault/wallet.c gate/vault/wallet.h \
	gate/vault/wallet_make.c \
	gate/vault/words.c gate/vault/words.h

vault_test_libraries = libaegis_vault.a libaegis_x402.a libaegis_base.a $(AEGIS_LIBS) -lcmocka
check_PROGRAMS += \
	tests/unit/test_vault_apikey tests/unit/test_vault_derive tests/unit/test_vault_wallet
TESTS += \
	tests/unit/test_vault_apikey tests/unit/test_vault_derive tests/unit/test_vault_wallet
tests_unit_test_vault_apikey_SOURCES = tests/unit/test_vault_apikey.c tests/unit/vault_fixture.h tests/unit/vectors.h
tests_unit_test_vault_apikey_LDADD = $(vault_test_libraries)
tests_unit_test_vault_derive_SOURCES = tests/unit/test_vault_derive.c tests/unit/vectors.h
tests_unit_test_vault_derive_LDADD = $(vault_test_libraries)
tests_unit_test_vault_wallet_SOURCES = tests/unit/test_vault_wallet.c tests/unit/vault_fixture.h tests/unit/vectors.h
tests_unit_test_vault_wallet_LDADD = $(vault_test_libraries)

EXTRA_DIST += \
	gate/vault/README.md \
	tests/data/vault/bip32.json tests/data/vault/bip39.json tests/data/vault/derive.json \
	tests/data/vault/malformed.json tests/data/vault/sign.json tests/data/vault/slip10-ed25519.json \
	tests/data/vault/vault.json \
	tests/data/vault/wallets/47c03a7d-cfde-4bd4-a396-ec1111699b9c.json \
	tests/data/vault/wallets/5d93fa70-35cc-4776-9a59-549fa38c64e1.json \
	tests/data/vault/wallets/77b9edaf-a6b6-41a5-b63b-f01344211a0b.json \
	tests/data/vault/wallets/79fa98ba-da04-46cd-b733-eab0216e7c6a.json \
	tests/data/vault/wallets/ad0985e2-b2df-4d6a-a11e-c4f96b081e3d.json \
	tests/data/vault/wallets/d2fec470-b1fc-4310-9bba-b9aa0851a035.json \
	tests/data/vault/wallets/d5ef05b8-d2e1-4dfc-bbec-53a343a95a99.json \
	tests/data/vault/wallets/f62574cd-2383-4736-bbef-2b6577fe1fd3.json \
	tests/data/vault/keys/207bc824-2a70-41b9-8d07-26b093a82adc.json \
	tests/data/vault/keys/4c13c721-5dd7-4b28-a3aa-f45e3afd0865.json \
	tests/data/vault/keys/5347e75f-3e82-4c2c-a96d-e8b38fb9f53f.json \
	tests/data/vault/keys/66377cac-cc33-47dc-b715-31c933034b81.json \
	tests/data/vault/keys/6c0e436d-9405-4839-b3c5-671dface9981.json \
	tests/data/vault/keys/9b5974e9-bd57-412b-ac6d-e70a981aec2a.json \
	tests/data/vault/keys/9f4beb28-f036-410d-b530-6edbb067940c.json \
	tests/data/vault/keys/b995f87a-d146-4fcb-86dd-23b5a01022cf.json \
	tests/data/vault/keys/df88e033-cdfa-421a-9a9e-02df1a987d39.json \
	tests/data/vault/keys/f8cdd949-27ac-445d-9f76-a100c876f842.json
