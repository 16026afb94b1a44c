# The sources and unit tests of gate/x402.
noinst_LIBRARIES += libaegis_x402.a
libaegis_x402_a_SOURCES = \
	gate/x402/address.c gate/x402/address.h \
	gate/x402/answer.c \
	gate/x402/asset.c gate/x402/asset.h \
	gate/x402/authorization.c \
	gate/x402/challenge.c gate/x402/challenge.h gate/x402/challenge_internal.h \
	gate/x402/ranking.c \
	gate/x402/requirement.c \
	gate/x402/settlement.c \
	gate/x402/signature.c gate/x402/signature.h
