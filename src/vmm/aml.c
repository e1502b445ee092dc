/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "vmm/aml.h"

enum {
	OP_ZERO = 0x00, OP_ONE = 0x01, OP_NAME = 0x08, OP_BYTE = 0x0a,
	OP_WORD = 0x0b, OP_DWORD = 0x0c, OP_STRING = 0x0d, OP_QWORD = 0x0e,
	OP_SCOPE = 0x10, OP_BUFFER = 0x11, OP_PACKAGE = 0x12,
	OP_METHOD = 0x14, OP_EXT = 0x5b, OP_EXT_DEVICE = 0x82,
};

#define NAME_LEN	4

static void append(GByteArray *a, const void *p, size_t len)
{
	g_byte_array_append(a, p, (guint)len);
}

void aml_byte(GByteArray *a, uint8_t byte)
{
	append(a, &byte, 1);
}

void aml_integer(GByteArray *a, uint64_t value)
{
	if (value <= OP_ONE) {
		aml_byte(a, (uint8_t)value);
	} else if (value <= UINT8_MAX) {
		aml_byte(a, OP_BYTE);
		append(a, &value, 1);
	} else if (value <= UINT16_MAX) {
		aml_byte(a, OP_WORD);
		append(a, &value, 2);
	} else if (value <= UINT32_MAX) {
		aml_byte(a, OP_DWORD);
		append(a, &value, 4);
	} else {
		aml_byte(a, OP_QWORD);
		append(a, &value, 8);
	}
}

void aml_string(GByteArray *a, const char *text)
{
	aml_byte(a, OP_STRING);
	append(a, text, strlen(text) + 1);
}

void aml_eisa_id(GByteArray *a, const char *id)
{
	uint32_t number = (uint32_t)g_ascii_strtoull(id + 3, NULL, 16);
	uint32_t value = (uint32_t)(id[0] - '@') << 26 |
			 (uint32_t)(id[1] - '@') << 21 |
			 (uint32_t)(id[2] - '@') << 16 | number;

	value = GUINT32_SWAP_LE_BE(value);
	aml_byte(a, OP_DWORD);
	append(a, &value, 4);
}

/* A name segment has four characters, short ones padded by underscores. */
static void name_string(GByteArray *a, const char *name)
{
	char segment[NAME_LEN] = { '_', '_', '_', '_' };

	if (*name == '\\')
		aml_byte(a, (uint8_t)*name++);
	memcpy(segment, name, MIN(strlen(name), NAME_LEN));
	append(a, segment, NAME_LEN);
}

void aml_name(GByteArray *a, const char *name)
{
	aml_byte(a, OP_NAME);
	name_string(a, name);
}

void aml_name_integer(GByteArray *a, const char *name, uint64_t value)
{
	aml_name(a, name);
	aml_integer(a, value);
}

void aml_name_string(GByteArray *a, const char *name, const char *text)
{
	aml_name(a, name);
	aml_string(a, text);
}

/* The length of a package counts the bytes of the length itself. */
static void package_length(GByteArray *a, size_t len)
{
	unsigned more = len + 1 < 0x40 ? 0 : len + 2 < 0x1000 ? 1 :
			len + 3 < 0x100000 ? 2 : 3;

	len += more + 1;
	if (!more) {
		aml_byte(a, (uint8_t)len);
		return;
	}
	aml_byte(a, (uint8_t)(more << 6 | (len & 0xf)));
	for (len >>= 4; more; more--, len >>= 8)
		aml_byte(a, (uint8_t)len);
}

/* @op, length, @head, then @inside, which is freed. */
static void enclose(GByteArray *a, const GByteArray *head, GByteArray *inside)
{
	package_length(a, head->len + inside->len);
	append(a, head->data, head->len);
	append(a, inside->data, inside->len);
	g_byte_array_unref(inside);
}

void aml_scope(GByteArray *a, const char *name, GByteArray *inside)
{
	g_autoptr(GByteArray) head = g_byte_array_new();

	aml_byte(a, OP_SCOPE);
	name_string(head, name);
	enclose(a, head, inside);
}

void aml_device(GByteArray *a, const char *name, GByteArray *inside)
{
	g_autoptr(GByteArray) head = g_byte_array_new();

	aml_byte(a, OP_EXT);
	aml_byte(a, OP_EXT_DEVICE);
	name_string(head, name);
	enclose(a, head, inside);
}

void aml_method(GByteArray *a, const char *name, GByteArray *inside)
{
	g_autoptr(GByteArray) head = g_byte_array_new();

	aml_byte(a, OP_METHOD);
	name_string(head, name);
	aml_byte(head, 0);	/* no arguments, not serialized */
	enclose(a, head, inside);
}

void aml_package(GByteArray *a, unsigned count, const uint8_t *values)
{
	g_autoptr(GByteArray) head = g_byte_array_new();
	GByteArray *inside = g_byte_array_new();

	aml_byte(a, OP_PACKAGE);
	aml_byte(head, (uint8_t)count);
	for (unsigned i = 0; i < count; i++)
		aml_integer(inside, values[i]);
	enclose(a, head, inside);
}

void aml_resources(GByteArray *a, const char *name, GByteArray *descriptors)
{
	g_autoptr(GByteArray) head = g_byte_array_new();

	aml_byte(descriptors, 0x79);	/* end tag */
	aml_byte(descriptors, 0);	/* no checksum */
	aml_name(a, name);
	aml_byte(a, OP_BUFFER);
	aml_integer(head, descriptors->len);
	enclose(a, head, descriptors);
}

void aml_irq(GByteArray *d, unsigned irq)
{
	const uint16_t mask = (uint16_t)(1u << irq);

	aml_byte(d, 0x23);
	append(d, &mask, sizeof(mask));
	aml_byte(d, 1);		/* edge, active high, exclusive */
}

void aml_io(GByteArray *d, uint16_t port, uint8_t len)
{
	aml_byte(d, 0x47);
	aml_byte(d, 1);		/* decodes 16 bits */
	append(d, &port, sizeof(port));
	append(d, &port, sizeof(port));
	aml_byte(d, 1);		/* alignment */
	aml_byte(d, len);
}

void aml_memory_window(GByteArray *d, uint64_t first, uint64_t last)
{
	const uint64_t fields[] = { 0, first, last, 0, last - first + 1 };
	const uint16_t len = 3 + sizeof(fields);

	aml_byte(d, 0x8a);	/* QWord address space */
	append(d, &len, sizeof(len));
	aml_byte(d, 0);		/* memory */
	aml_byte(d, 0x0c);	/* producer, fixed at both ends */
	aml_byte(d, 0x03);	/* cacheable, read-write */
	append(d, fields, sizeof(fields));
}

void aml_memory32_fixed(GByteArray *d, uint32_t first, uint32_t len)
{
	const uint16_t size = 9;

	aml_byte(d, 0x86);
	append(d, &size, sizeof(size));
	aml_byte(d, 1);		/* read-write */
	append(d, &first, sizeof(first));
	append(d, &len, sizeof(len));
}
