# The sources and unit tests of gate/base.
noinst_LIBRARIES += libaegis_base.a
libaegis_base_a_SOURCES = \
	gate/base/amount.c gate/base/amount.h \
	gate/base/base64.c \
	gate/base/clock.c gate/base/clock.h \
	gate/base/confine.c gate/base/confine.h \
	gate/base/error.c gate/base/error.h \
	gate/base/file.c gate/base/file.h \
	gate/base/hash.c gate/base/hash.h \
	gate/base/json.c gate/base/json_write.c gate/base/json.h \
	gate/base/log.c gate/base/log.h \
	gate/base/text.c gate/base/text.h \
	gate/base/yaml.c gate/base/yaml.h
