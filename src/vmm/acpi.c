/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ACPI specification 6.4, chapter 5. */
#include <assert.h>
#include <string.h>

#include "devices/chipset/acpi_pm.h"
#include "vmm/acpi.h"
#include "vmm/acpi_internal.h"
#include "vmm/layout.h"

#define OEM_ID		"VRTUAL"
#define OEM_TABLE_ID	"MICROSFT"
#define CREATOR_ID	"MSFT"
#define TABLE_ALIGN	64

struct acpi_header {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem_id[6], oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
} __attribute__((packed));
static_assert(sizeof(struct acpi_header) == 36, "ACPI 5.2.6");

struct acpi_rsdp {
	char signature[8];
	uint8_t checksum;
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum, reserved[3];
} __attribute__((packed));
static_assert(sizeof(struct acpi_rsdp) == 36, "ACPI 5.2.5.3");

struct acpi_address {
	uint8_t space, width, offset, access;
	uint64_t address;
} __attribute__((packed));

struct acpi_fadt {
	uint32_t facs, dsdt;
	uint8_t reserved1, profile;
	uint16_t sci;
	uint32_t smi_cmd;
	uint8_t acpi_enable, acpi_disable, s4bios, pstate;
	uint32_t pm1a_evt, pm1b_evt, pm1a_cnt, pm1b_cnt, pm2_cnt, pm_tmr;
	uint32_t gpe0, gpe1;
	uint8_t pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_tmr_len;
	uint8_t gpe0_len, gpe1_len, gpe1_base, cst_cnt;
	uint16_t p_lvl2_lat, p_lvl3_lat, flush_size, flush_stride;
	uint8_t duty_offset, duty_width, day_alarm, month_alarm, century;
	uint16_t iapc_boot_arch;
	uint8_t reserved2;
	uint32_t flags;
	struct acpi_address reset_reg;
	uint8_t reset_value;
	uint16_t arm_boot_arch;
	uint8_t minor;
	uint64_t x_facs, x_dsdt;
	struct acpi_address x_pm1a_evt, x_pm1b_evt, x_pm1a_cnt, x_pm1b_cnt,
		x_pm2_cnt, x_pm_tmr, x_gpe0, x_gpe1, sleep_control,
		sleep_status;
	char hypervisor[8];
} __attribute__((packed));
static_assert(sizeof(struct acpi_header) + sizeof(struct acpi_fadt) == 276,
	      "ACPI 5.2.9");

#define FADT_WBINVD		(1u << 0)
#define FADT_PROC_C1		(1u << 2)
#define FADT_NO_POWER_BUTTON	(1u << 4)
#define FADT_NO_SLEEP_BUTTON	(1u << 5)
#define FADT_TMR_VAL_EXT	(1u << 8)
#define FADT_RESET_REG		(1u << 10)
#define FADT_USE_PLATFORM_CLOCK	(1u << 15)
#define BOOT_ARCH_NO_VGA	(1u << 2)

struct acpi_facs {
	char signature[4];
	uint32_t length, hardware_signature, waking_vector, lock, flags;
	uint64_t x_waking_vector;
	uint8_t version, reserved[31];
} __attribute__((packed));
static_assert(sizeof(struct acpi_facs) == 64, "ACPI 5.2.10");

struct madt_lapic {
	uint8_t type, length, uid, apic_id;
	uint32_t flags;
} __attribute__((packed));

struct madt_ioapic {
	uint8_t type, length, id, reserved;
	uint32_t address, gsi_base;
} __attribute__((packed));

struct madt_override {
	uint8_t type, length, bus, source;
	uint32_t gsi;
	uint16_t flags;
} __attribute__((packed));

struct madt_lapic_nmi {
	uint8_t type, length, uid;
	uint16_t flags;
	uint8_t lint;
} __attribute__((packed));

#define MADT_LEVEL_HIGH		0x000d

struct srat_lapic {
	uint8_t type, length, domain, apic_id;
	uint32_t flags;
	uint8_t eid, domain_high[3];
	uint32_t clock_domain;
} __attribute__((packed));

struct srat_memory {
	uint8_t type, length;
	uint32_t domain;
	uint16_t reserved1;
	uint64_t base, size;
	uint32_t reserved2, flags;
	uint64_t reserved3;
} __attribute__((packed));

#define WAET_RTC_GOOD		1u
#define WAET_PM_TIMER_GOOD	2u

static uint8_t checksum(const uint8_t *p, size_t len)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum += p[i];
	return (uint8_t)-sum;
}

GByteArray *acpi_begin(const char signature[4], uint8_t revision)
{
	GByteArray *t = g_byte_array_new();
	struct acpi_header h = {
		.revision = revision, .oem_revision = 1, .creator_revision = 1,
	};

	memcpy(h.signature, signature, sizeof(h.signature));
	memcpy(h.oem_id, OEM_ID, sizeof(h.oem_id));
	memcpy(h.oem_table_id, OEM_TABLE_ID, sizeof(h.oem_table_id));
	memcpy(h.creator_id, CREATOR_ID, sizeof(h.creator_id));
	return g_byte_array_append(t, (const guint8 *)&h, sizeof(h));
}

GByteArray *acpi_end(GByteArray *t)
{
	struct acpi_header *h = (void *)t->data;

	h->length = t->len;
	h->checksum = checksum(t->data, t->len);
	return t;
}

#define APPEND(t, object)						\
	g_byte_array_append((t), (const guint8 *)(object), sizeof(*(object)))

static struct acpi_address io_address(uint16_t port, uint8_t bytes)
{
	return (struct acpi_address){
		.space = 1, .width = (uint8_t)(bytes * 8),
		.access = bytes == 4 ? 3 : bytes, .address = port,
	};
}

static GByteArray *fadt(uint64_t facs, uint64_t dsdt)
{
	GByteArray *t = acpi_begin("FACP", 6);
	struct acpi_fadt f = {
		.sci = LAYOUT_GSI_SCI,
		.pm1_evt_len = 4, .pm1_cnt_len = 2, .pm_tmr_len = 4,
		.gpe0_len = 4,
		.pm1a_evt = ACPI_PM1_EVENT, .pm1a_cnt = ACPI_PM1_CONTROL,
		.pm_tmr = ACPI_PM_TIMER, .gpe0 = ACPI_GPE0,
		.p_lvl2_lat = 101, .p_lvl3_lat = 1001,	/* no C2, no C3 */
		.century = 0x32,
		.iapc_boot_arch = BOOT_ARCH_NO_VGA,
		.flags = FADT_WBINVD | FADT_PROC_C1 | FADT_NO_POWER_BUTTON |
			 FADT_NO_SLEEP_BUTTON | FADT_TMR_VAL_EXT |
			 FADT_RESET_REG | FADT_USE_PLATFORM_CLOCK,
		.reset_reg = io_address(ACPI_RESET_PORT, 1),
		.reset_value = ACPI_RESET_VALUE,
		.minor = 3,
		.facs = (uint32_t)facs, .dsdt = (uint32_t)dsdt,
		.x_dsdt = dsdt,
		.x_pm1a_evt = io_address(ACPI_PM1_EVENT, 4),
		.x_pm1a_cnt = io_address(ACPI_PM1_CONTROL, 2),
		.x_pm_tmr = io_address(ACPI_PM_TIMER, 4),
		.x_gpe0 = io_address(ACPI_GPE0, 4),
		/* The upper bytes of PM1 control and status. */
		.sleep_control = io_address(ACPI_PM1_CONTROL + 1, 1),
		.sleep_status = io_address(ACPI_PM1_EVENT + 1, 1),
		.hypervisor = "MsHyperV",
	};

	APPEND(t, &f);
	return acpi_end(t);
}

static GByteArray *facs(void)
{
	GByteArray *t = g_byte_array_new();
	struct acpi_facs f = {
		.signature = "FACS", .length = sizeof(f), .version = 2,
	};

	return APPEND(t, &f);
}

static GByteArray *madt(uint32_t vp_count)
{
	const uint32_t head[] = { LAYOUT_LAPIC, 0 };	/* no 8259 */
	const struct madt_ioapic ioapic = { 1, sizeof(ioapic), 0, 0,
					    LAYOUT_IOAPIC, 0 };
	const struct madt_override sci = { 2, sizeof(sci), 0, LAYOUT_GSI_SCI,
					   LAYOUT_GSI_SCI, MADT_LEVEL_HIGH };
	const struct madt_lapic_nmi nmi = { 4, sizeof(nmi), 0xff, 0, 1 };
	GByteArray *t = acpi_begin("APIC", 5);

	g_byte_array_append(t, (const guint8 *)head, sizeof(head));
	for (uint32_t i = 0; i < vp_count; i++) {
		const struct madt_lapic l = { 0, sizeof(l), (uint8_t)(i + 1),
					      (uint8_t)i, 1 };

		APPEND(t, &l);
	}
	APPEND(t, &ioapic);
	APPEND(t, &sci);
	APPEND(t, &nmi);
	return acpi_end(t);
}

/* One node with all there is. */
static GByteArray *srat(const struct gmem *gm, uint32_t vp_count)
{
	static const uint8_t head[12] = { 1 };
	GByteArray *t = acpi_begin("SRAT", 3);

	g_byte_array_append(t, head, sizeof(head));
	for (uint32_t i = 0; i < vp_count; i++) {
		const struct srat_lapic l = {
			.type = 0, .length = sizeof(l),
			.apic_id = (uint8_t)i, .flags = 1,
		};

		APPEND(t, &l);
	}
	for (size_t i = 0; i < gm->count; i++) {
		const struct srat_memory m = {
			.type = 1, .length = sizeof(m), .flags = 1,
			.base = gm->region[i].gpa, .size = gm->region[i].size,
		};

		APPEND(t, &m);
	}
	return acpi_end(t);
}

static GByteArray *waet(void)
{
	const uint32_t flags = WAET_RTC_GOOD | WAET_PM_TIMER_GOOD;
	GByteArray *t = acpi_begin("WAET", 1);

	APPEND(t, &flags);
	return acpi_end(t);
}

/* Put @table, which is freed, at *@at and step behind it; return where. */
static gpa_t place(const struct gmem *gm, gpa_t *at, GByteArray *table)
{
	gpa_t here = *at;

	g_assert(here + table->len <= LAYOUT_ACPI + LAYOUT_ACPI_MAX);
	if (gmem_write(gm, here, table->data, table->len))
		g_assert_not_reached();	/* memory_init() has 2 MiB at least */
	*at = (here + table->len + TABLE_ALIGN - 1) &
	      ~(gpa_t)(TABLE_ALIGN - 1);
	g_byte_array_unref(table);
	return here;
}

static void write_rsdp(const struct gmem *gm, gpa_t xsdt)
{
	struct acpi_rsdp r = {
		.revision = 2, .length = sizeof(r), .xsdt = xsdt,
	};

	memcpy(r.signature, "RSD PTR ", sizeof(r.signature));
	memcpy(r.oem_id, OEM_ID, sizeof(r.oem_id));
	/* The first checksum is that of ACPI 1.0's 20 bytes. */
	r.checksum = checksum((const uint8_t *)&r, 20);
	r.extended_checksum = checksum((const uint8_t *)&r, sizeof(r));
	if (gmem_write(gm, LAYOUT_RSDP, &r, sizeof(r)))
		g_assert_not_reached();
}

void acpi_write(const struct gmem *gm, const struct acpi_config *config)
{
	gpa_t at = LAYOUT_ACPI, f, d, tables[4];
	GByteArray *xsdt = acpi_begin("XSDT", 1);

	f = place(gm, &at, facs());
	d = place(gm, &at, acpi_dsdt(gm, config));
	tables[0] = place(gm, &at, fadt(f, d));
	tables[1] = place(gm, &at, madt(config->vp_count));
	tables[2] = place(gm, &at, srat(gm, config->vp_count));
	tables[3] = place(gm, &at, waet());
	g_byte_array_append(xsdt, (const guint8 *)tables, sizeof(tables));
	write_rsdp(gm, place(gm, &at, acpi_end(xsdt)));
}
