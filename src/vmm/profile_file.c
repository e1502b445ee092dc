/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A profile of the user's own, in a key file. */
#include <string.h>

#include "core/error.h"
#include "vmm/profile.h"

#define LEAF_BASE	HV_CPUID_VENDOR_AND_MAX_FUNCTIONS
#define LEAF(number)	((number) - LEAF_BASE)

static const char *const registers[] = { "eax", "ebx", "ecx", "edx", NULL };

/* Where a value comes from, and what stands there at most. */
struct place {
	const char *path;
	const struct hv_config *host;
	unsigned leaf, reg;
	uint32_t full;
};

/* What a register may be, other than what "full" has in it. */
enum rule { NOTHING, FEWER_BITS, LESS, ANYTHING };

static const uint8_t rules[HV_PROFILE_LEAVES][4] = {
	{ LESS },
	[LEAF(HV_CPUID_VERSION)] = { ANYTHING, ANYTHING, ANYTHING, ANYTHING },
	[LEAF(HV_CPUID_FEATURES)] = { FEWER_BITS, FEWER_BITS, NOTHING,
				      FEWER_BITS },
	[LEAF(HV_CPUID_ENLIGHTENMENT_INFO)] = { FEWER_BITS, ANYTHING, LESS },
	[LEAF(HV_CPUID_IMPLEMENTATION_LIMITS)] = { LESS, ANYTHING, ANYTHING },
	[LEAF(HV_CPUID_HARDWARE_FEATURES)] = { FEWER_BITS },
};

static bool fail(const char *path, int status, const char *why, GError **error)
{
	g_autofree char *what = g_strdup_printf("cannot use the profile %s",
						path);

	user_error_set(error, status, "hv.profile", what, why,
		       "kvmbus doctor --hv prints what can be offered here\n"
		       "--hv-profile is full, openvmm, minimal, or a file");
	return false;
}

static bool refuse(const char *path, const char *why, GError **error)
{
	return fail(path, EX_DATAERR, why, error);
}

/* The least that a register of the rule LESS may be; else 0 says "unknown". */
static uint32_t least(const struct place *at)
{
	switch (at->leaf) {
	case 0:		/* the highest leaf */
		return HV_CPUID_IMPLEMENTATION_LIMITS;
	case LEAF(HV_CPUID_IMPLEMENTATION_LIMITS):
		return at->host->vp_count;
	default:	/* address bits */
		return at->full;
	}
}

static bool is_allowed(const struct place *at, uint32_t value)
{
	switch ((enum rule)rules[at->leaf][at->reg]) {
	case FEWER_BITS:
		return !(value & ~at->full);
	case LESS:
		return (value >= least(at) && value <= at->full) ||
		       (at->leaf && !value);
	case ANYTHING:
		return true;
	case NOTHING:
		break;
	}
	return value == at->full;
}

static void append_bits(GString *s, const struct place *at, uint32_t bits)
{
	for (unsigned b = 0; b < 32; b++) {
		const char *name = hv_cpuid_bit_name(LEAF_BASE + at->leaf,
						     at->reg, b);

		if (!(bits >> b & 1))
			continue;
		if (name)
			g_string_append_printf(s, " %s", name);
		else
			g_string_append_printf(s, " bit %u", b);
	}
}

static bool refuse_value(const struct place *at, uint32_t value, GError **error)
{
	g_autoptr(GString) why = g_string_new(NULL);

	g_string_printf(why, "[%#x] %s=%#x: ", LEAF_BASE + at->leaf,
			registers[at->reg], value);
	switch ((enum rule)rules[at->leaf][at->reg]) {
	case FEWER_BITS:
		g_string_append(why, "there is no");
		append_bits(why, at, value & ~at->full);
		break;
	case LESS:
		g_string_append_printf(why, "it may be %#x to %#x%s", least(at),
				       at->full, at->leaf ? ", or 0" : "");
		break;
	default:
		g_string_append_printf(why, "it is %#x", at->full);
	}
	return refuse(at->path, why->str, error);
}

/* 32 bits: decimal, or hexadecimal behind 0x. */
static bool parse_u32(const char *text, uint32_t *value)
{
	char *end;
	guint64 n = g_ascii_strtoull(text, &end, 0);

	*value = (uint32_t)n;
	return g_ascii_isdigit(*text) && !*end && n <= UINT32_MAX;
}

static bool read_register(struct place *at, const char *text, uint32_t *value,
			  GError **error)
{
	g_autofree char *why = NULL;
	uint32_t n;

	if (!parse_u32(text, &n)) {
		why = g_strdup_printf("[%#x] %s=%s: it is a number of 32 bits",
				      LEAF_BASE + at->leaf, registers[at->reg],
				      text);
		return refuse(at->path, why, error);
	}
	if (!is_allowed(at, n))
		return refuse_value(at, n, error);
	*value = n;
	return true;
}

static bool find_register(const char *name, unsigned *reg)
{
	for (*reg = 0; registers[*reg]; ++*reg)
		if (!strcmp(name, registers[*reg]))
			return true;
	return false;
}

static bool read_leaf(GKeyFile *file, const char *group, struct place *at,
		      uint32_t out[4], GError **error)
{
	g_auto(GStrv) keys = g_key_file_get_keys(file, group, NULL, NULL);
	struct hv_profile full;

	hv_profile_full(&full, at->host);
	for (char **key = keys; *key; key++) {
		g_autofree char *text = g_key_file_get_value(file, group, *key,
							     NULL);
		g_autofree char *why = NULL;

		if (!find_register(*key, &at->reg)) {
			why = g_strdup_printf("[%s] %s: registers are eax, "
					      "ebx, ecx and edx", group, *key);
			return refuse(at->path, why, error);
		}
		at->full = full.leaf[at->leaf][at->reg];
		if (!read_register(at, text, &out[at->reg], error))
			return false;
	}
	return true;
}

bool profile_read(struct hv_profile *p, const char *path,
		  const struct hv_config *host, GError **error)
{
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_autoptr(GError) failed = NULL;
	g_auto(GStrv) groups = NULL;
	struct place at = { .path = path, .host = host };

	if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &failed))
		return fail(path, failed->domain == G_FILE_ERROR ?
				    EX_NOINPUT : EX_DATAERR, failed->message,
			    error);
	groups = g_key_file_get_groups(file, NULL);
	for (char **group = groups; *group; group++) {
		g_autofree char *why = NULL;
		uint32_t leaf;

		if (!parse_u32(*group, &leaf) ||
		    LEAF(leaf) >= HV_PROFILE_LEAVES) {
			why = g_strdup_printf("[%s]: leaves are %#x to %#x",
					      *group, LEAF_BASE,
					      HV_CPUID_HARDWARE_FEATURES);
			return refuse(path, why, error);
		}
		at.leaf = LEAF(leaf);
		if (!read_leaf(file, *group, &at, p->leaf[at.leaf], error))
			return false;
	}
	return true;
}
