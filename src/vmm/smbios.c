/* SPDX-License-Identifier: GPL-2.0-or-later */
/* DMTF DSP0134, "System Management BIOS Reference Specification". */
#include <glib.h>
#include <string.h>

#include "vmm/layout.h"
#include "vmm/smbios.h"

#define MIB		(UINT64_C(1) << 20)
#define VENDOR		"Microsoft Corporation"
#define PRODUCT		"Virtual Machine"
#define HANDLE_MEMORY	0x1000

struct entry_point {
	char anchor[5];
	uint8_t checksum, length, major, minor, docrev, revision, reserved;
	uint32_t table_size;
	uint64_t table;
} __attribute__((packed));

/* Structures one after the other; the current one begins at @start. */
struct table {
	GByteArray *bytes;
	guint start;
};

static void put8(struct table *t, uint8_t v)
{
	g_byte_array_append(t->bytes, &v, 1);
}

static void put16(struct table *t, uint16_t v)
{
	g_byte_array_append(t->bytes, (const guint8 *)&v, sizeof(v));
}

static void put32(struct table *t, uint32_t v)
{
	g_byte_array_append(t->bytes, (const guint8 *)&v, sizeof(v));
}

static void put64(struct table *t, uint64_t v)
{
	g_byte_array_append(t->bytes, (const guint8 *)&v, sizeof(v));
}

static void begin(struct table *t, uint8_t type, uint16_t handle)
{
	t->start = t->bytes->len;
	put8(t, type);
	put8(t, 0);		/* length: by end() */
	put16(t, handle);
}

/* Close the formatted part and append its strings, numbered from 1. */
static void end(struct table *t, const char *const *strings)
{
	t->bytes->data[t->start + 1] = (uint8_t)(t->bytes->len - t->start);
	if (!strings)
		put8(t, 0);
	for (; strings && *strings; strings++)
		g_byte_array_append(t->bytes, (const guint8 *)*strings,
				    (guint)strlen(*strings) + 1);
	put8(t, 0);
}

static void bios_information(struct table *t)
{
	static const char *const strings[] = { VENDOR, KVMBUS_VERSION,
					       "01/01/2026", NULL };

	begin(t, 0, 0);
	put8(t, 1);			/* vendor */
	put8(t, 2);			/* version */
	put16(t, 0);			/* no segment */
	put8(t, 3);			/* date */
	put8(t, 0);
	put64(t, 1 << 3);		/* characteristics not told */
	put8(t, 1 << 0);		/* ACPI */
	put8(t, 1 << 4 | 1 << 2);	/* a virtual machine */
	put8(t, 4), put8(t, 1);		/* release 4.1 */
	put8(t, 0xff), put8(t, 0xff);	/* no embedded controller */
	put16(t, 0);
	end(t, strings);
}

static void system_information(struct table *t, const struct guid *uuid)
{
	static const char *const strings[] = { VENDOR, PRODUCT, "Hyper-V",
					       "None", NULL };

	begin(t, 1, 1);
	put8(t, 1), put8(t, 2), put8(t, 3), put8(t, 4);
	g_byte_array_append(t->bytes, uuid->b, sizeof(uuid->b));
	put8(t, 6);			/* woken by the power switch */
	put8(t, 0), put8(t, 0);		/* no SKU, no family */
	end(t, strings);
}

static void chassis(struct table *t)
{
	static const char *const strings[] = { VENDOR, PRODUCT, NULL };

	begin(t, 3, 3);
	put8(t, 1);
	put8(t, 3);			/* desktop */
	put8(t, 2), put8(t, 0), put8(t, 0);
	put8(t, 3), put8(t, 3), put8(t, 3), put8(t, 1);	/* safe, no security */
	put32(t, 0);
	put8(t, 0), put8(t, 1), put8(t, 0), put8(t, 0), put8(t, 0);
	end(t, strings);
}

static void processor(struct table *t, uint32_t count)
{
	static const char *const strings[] = { "CPU 0", VENDOR, NULL };

	begin(t, 4, 4);
	put8(t, 1);			/* socket */
	put8(t, 3), put8(t, 2);		/* central, family unknown */
	put8(t, 2);
	put64(t, 0);			/* ask CPUID */
	put8(t, 0), put8(t, 0);
	put16(t, 0), put16(t, 0), put16(t, 0);
	put8(t, 1 << 6 | 1);		/* populated, enabled */
	put8(t, 1);
	put16(t, 0xffff), put16(t, 0xffff), put16(t, 0xffff);
	put8(t, 0), put8(t, 0), put8(t, 0);
	put8(t, (uint8_t)count), put8(t, (uint8_t)count);
	put8(t, (uint8_t)count);
	put16(t, 1 << 2 | 1 << 3);	/* 64-bit, multi-core */
	put16(t, 2);
	put16(t, (uint16_t)count), put16(t, (uint16_t)count);
	put16(t, (uint16_t)count);
	end(t, strings);
}

static void memory_array(struct table *t, uint64_t size)
{
	begin(t, 16, HANDLE_MEMORY);
	put8(t, 1);			/* other location */
	put8(t, 3);			/* system memory */
	put8(t, 3);			/* no correction */
	put32(t, UINT32_C(0x80000000));	/* see the extended size */
	put16(t, 0xfffe);
	put16(t, 1);
	put64(t, size);
	end(t, NULL);
}

static void memory_device(struct table *t, uint64_t size)
{
	static const char *const strings[] = { "DIMM 0", VENDOR, NULL };

	begin(t, 17, HANDLE_MEMORY + 1);
	put16(t, HANDLE_MEMORY), put16(t, 0xfffe);
	put16(t, 64), put16(t, 64);
	put16(t, 0x7fff);		/* see the extended size */
	put8(t, 9), put8(t, 0), put8(t, 1), put8(t, 0);
	put8(t, 7);			/* RAM */
	put16(t, 1 << 2);
	put16(t, 0);
	put8(t, 2), put8(t, 0), put8(t, 0), put8(t, 0);
	put8(t, 0);
	put32(t, (uint32_t)(size / MIB));
	put16(t, 0), put16(t, 0), put16(t, 0), put16(t, 0);
	end(t, strings);
}

static void memory_mapping(struct table *t, uint64_t size)
{
	begin(t, 19, HANDLE_MEMORY + 2);
	put32(t, UINT32_MAX), put32(t, UINT32_MAX);
	put16(t, HANDLE_MEMORY);
	put8(t, 1);
	put64(t, 0);
	put64(t, size - 1);
	end(t, NULL);
}

static uint8_t checksum(const void *p, size_t len)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += ((const uint8_t *)p)[i];
	return (uint8_t)-sum;
}

void smbios_write(const struct gmem *gm, const struct smbios_config *config)
{
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	struct table t = { .bytes = bytes };
	struct entry_point e = {
		.anchor = "_SM3_", .length = sizeof(e), .major = 3,
		.minor = 1, .revision = 1, .table = LAYOUT_SMBIOS,
	};

	bios_information(&t);
	system_information(&t, &config->uuid);
	chassis(&t);
	processor(&t, config->vp_count);
	memory_array(&t, config->memory);
	memory_device(&t, config->memory);
	memory_mapping(&t, config->memory);
	begin(&t, 32, 32);		/* boot status: no errors */
	put32(&t, 0), put16(&t, 0), put8(&t, 0);
	end(&t, NULL);
	begin(&t, 127, 127);		/* the end */
	end(&t, NULL);

	e.table_size = bytes->len;
	e.checksum = checksum(&e, sizeof(e));
	g_assert(bytes->len <= LAYOUT_SMBIOS_MAX);
	if (gmem_write(gm, LAYOUT_SMBIOS, bytes->data, bytes->len) ||
	    gmem_write(gm, LAYOUT_SMBIOS_ENTRY, &e, sizeof(e)))
		g_assert_not_reached();	/* memory_init() has 2 MiB at least */
}
