/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/error.h"
#include "vmm/doctor.h"
#include "vmm/options.h"
#include "vmm/profile.h"

enum { EAX, EBX, ECX, EDX };

#define TIMERS_EAX	HV_ACCESS_SYNTHETIC_TIMER_REGS
#define TIMERS_EDX	HV_DIRECT_SYNTHETIC_TIMERS

static const struct hv_config host = {
	.vp_count = 4, .tsc_hz = 2000000000, .apic_hz = 1000000000,
	.tsc_invariant = true, .gpa_bits = 46, .stimers = true,
};

static bool choose(struct hv_profile *p, const char *name,
		   enum hv_switch timers, GError **error)
{
	const struct options o = { .hv_profile = (char *)name,
				   .hv_parts[HV_PART_TIMERS] = timers };

	return profile_choose(p, &o, &host, error);
}

static struct hv_profile chosen(const char *name, enum hv_switch timers)
{
	struct hv_profile p;

	assert_true(choose(&p, name, timers, NULL));
	return p;
}

/* The profile that a file with @text gives. */
static bool from_text(struct hv_profile *p, const char *text, GError **error)
{
	char path[] = "/tmp/profile-XXXXXX";
	int fd = mkstemp(path);
	bool ok;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	ok = choose(p, path, HV_AS_PROFILE, error);
	unlink(path);
	return ok;
}

static void refused(const char *text, const char *why)
{
	g_autoptr(GError) e = NULL;
	struct hv_profile p;

	assert_false(from_text(&p, text, &e));
	assert_true(g_error_matches(e, USER_ERROR, EX_DATAERR));
	assert_non_null(strstr(e->message, "[hv.profile]"));
	if (!strstr(e->message, why))
		fail_msg("%s: no \"%s\" in: %s", text, why, e->message);
}

static void timers_are_offered_when_asked_for(void **state)
{
	assert_false(chosen("full", HV_AS_PROFILE).leaf[3][EAX] &
		     TIMERS_EAX);
	assert_true(chosen("full", HV_ON).leaf[3][EAX] & TIMERS_EAX);
	assert_true(chosen("full", HV_ON).leaf[3][EDX] & TIMERS_EDX);
	assert_true(chosen("minimal", HV_ON).leaf[3][EAX] & TIMERS_EAX);
	assert_true(chosen("openvmm", HV_AS_PROFILE).leaf[3][EAX] &
		    TIMERS_EAX);
	assert_false(chosen("openvmm", HV_AS_PROFILE).leaf[3][EDX] &
		     TIMERS_EDX);
	assert_false(chosen("openvmm", HV_OFF).leaf[3][EAX] &
		     TIMERS_EAX);
}

/* Without the host's help there is neither guest idle nor an APIC by MSRs. */
static void what_the_host_lacks_cannot_be_switched_on(void **state)
{
	struct hv_config more = host;
	struct hv_profile p;

	for (unsigned part = HV_PART_IDLE; part <= HV_PART_APIC; part++) {
		struct options o = { .hv_profile = (char *)"minimal" };
		g_autoptr(GError) e = NULL;

		o.hv_parts[part] = HV_ON;
		assert_false(profile_choose(&p, &o, &host, &e));
		assert_true(g_error_matches(e, USER_ERROR, EX_UNAVAILABLE));
		assert_non_null(strstr(e->message, " off"));
		o.hv_parts[part] = HV_OFF;
		assert_true(profile_choose(&p, &o, &host, NULL));
		more.guest_idle = more.apic_msrs = true;
		o.hv_parts[part] = HV_ON;
		assert_true(profile_choose(&p, &o, &more, NULL));
		assert_int_equal(profile_has_apic_msrs(&p),
				 part == HV_PART_APIC);
		assert_int_equal(!!(p.leaf[3][EAX] & HV_ACCESS_GUEST_IDLE_REG),
				 part == HV_PART_IDLE);
	}
}

static void apic_registers_are_recommended_only_where_they_are_offered(
	void **state)
{
	struct options o = { .hv_profile = (char *)"full" };
	struct hv_config more = host;
	struct hv_profile p;

	more.apic_msrs = true;
	o.hv_parts[HV_PART_APIC] = HV_ON;
	assert_true(profile_choose(&p, &o, &more, NULL));
	assert_int_equal(p.leaf[4][EAX] & HV_RECOMMEND_APIC_MSRS, 0);
	more.eoi_assist = true;
	assert_true(profile_choose(&p, &o, &more, NULL));
	assert_true(p.leaf[4][EAX] & HV_RECOMMEND_APIC_MSRS);
	o.hv_parts[HV_PART_APIC] = HV_OFF;
	assert_true(profile_choose(&p, &o, &more, NULL));
	assert_int_equal(p.leaf[4][EAX] & HV_RECOMMEND_APIC_MSRS, 0);
	o.hv_parts[HV_PART_APIC] = HV_AS_PROFILE;
	assert_true(profile_choose(&p, &o, &more, NULL));
	assert_int_equal(p.leaf[4][EAX] & HV_RECOMMEND_APIC_MSRS, 0);
}

static void vmbus_needs_its_privileges(void **state)
{
	struct hv_profile p = chosen("full", HV_AS_PROFILE);

	assert_true(profile_has_vmbus(&p));
	p.leaf[3][EBX] &= ~HV_POST_MESSAGES;
	assert_false(profile_has_vmbus(&p));
	p = chosen("openvmm", HV_AS_PROFILE);
	assert_true(profile_has_vmbus(&p));
	p.leaf[3][EAX] &= ~HV_ACCESS_SYNIC_REGS;
	assert_false(profile_has_vmbus(&p));
	p = chosen("minimal", HV_AS_PROFILE);
	assert_false(profile_has_vmbus(&p));
}

static void a_file_changes_what_it_names(void **state)
{
	const struct hv_profile full = chosen("full", HV_AS_PROFILE);
	struct hv_profile p;

	assert_true(from_text(&p, "# mine\n[0x40000003]\neax=0x6b\n"
				  "[0x40000002]\neax = 26100\n"
				  "[0x40000004]\nebx=0xfff\necx=0\n"
				  "[0x40000005]\neax=4\nebx=8\n"
				  "[0x40000000]\neax=0x40000005\n", NULL));
	assert_int_equal(p.leaf[0][EAX], 0x40000005);
	assert_int_equal(p.leaf[2][EAX], 26100);
	assert_int_equal(p.leaf[2][EBX], full.leaf[2][EBX]);
	assert_int_equal(p.leaf[3][EAX], 0x6b);
	assert_int_equal(p.leaf[3][EBX], full.leaf[3][EBX]);
	assert_int_equal(p.leaf[3][EDX], full.leaf[3][EDX]);
	assert_int_equal(p.leaf[4][EAX], full.leaf[4][EAX]);
	assert_int_equal(p.leaf[4][EBX], 0xfff);
	assert_int_equal(p.leaf[4][ECX], 0);
	assert_int_equal(p.leaf[5][EAX], 4);
	assert_int_equal(p.leaf[5][EBX], 8);
}

static void an_empty_file_is_full(void **state)
{
	const struct hv_profile full = chosen("full", HV_AS_PROFILE);
	struct hv_profile p;

	assert_true(from_text(&p, "", NULL));
	assert_memory_equal(&p, &full, sizeof(p));
}

static void what_is_not_there_cannot_be_offered(void **state)
{
	refused("[0x40000003]\neax=0x160\n", "there is no AccessStatsReg");
	refused("[0x40000003]\neax=0x80000060\n", "there is no bit 31");
	refused("[0x40000003]\nebx=0x1030\n", "CpuManagement");
	refused("[0x40000003]\nedx=0x1000\n", "Npiep");
	refused("[0x40000003]\necx=1\n", "it is 0");
	refused("[0x40000004]\neax=0x4000\n", "UseEnlightenedVmcs");
	refused("[0x40000006]\neax=8\n", "Slat");
}

static void numbers_have_their_limits(void **state)
{
	struct hv_profile p;

	refused("[0x40000000]\neax=0x40000004\n", "0x40000005 to 0x40000006");
	refused("[0x40000000]\neax=0x40000007\n", "0x40000005 to 0x40000006");
	refused("[0x40000000]\neax=0\n", "0x40000005 to 0x40000006");
	refused("[0x40000000]\nebx=0\n", "it is 0x7263694d");
	refused("[0x40000001]\neax=1\n", "it is 0x31237648");
	refused("[0x40000004]\necx=45\n", "0x2e to 0x2e, or 0");
	refused("[0x40000005]\neax=3\n", "0x4 to 0x40, or 0");
	refused("[0x40000005]\neax=65\n", "0x4 to 0x40, or 0");
	assert_true(from_text(&p, "[0x40000005]\neax=0\n", NULL));
	assert_true(from_text(&p, "[0x40000005]\neax=64\n", NULL));
	assert_true(from_text(&p, "[0x40000004]\nebx=4294967295\n", NULL));
	refused("[0x40000004]\nebx=4294967296\n", "a number of 32 bits");
	refused("[0x40000004]\nebx=-1\n", "a number of 32 bits");
	refused("[0x40000004]\nebx=0x\n", "a number of 32 bits");
	refused("[0x40000004]\nebx=12x\n", "a number of 32 bits");
	refused("[0x40000004]\nebx=\n", "a number of 32 bits");
}

static void what_is_no_profile_is_refused(void **state)
{
	g_autoptr(GError) e = NULL;
	struct hv_profile p;

	refused("[0x40000007]\neax=0\n", "leaves are 0x40000000 to 0x40000006");
	refused("[1]\neax=0\n", "leaves are 0x40000000 to 0x40000006");
	refused("[features]\neax=0\n", "leaves are 0x40000000 to 0x40000006");
	refused("[0x40000003]\nrax=0\n", "registers are eax");
	refused("eax=0\n", "group");
	refused("\x7f" "ELF", "line");
	assert_false(choose(&p, "fulll", HV_AS_PROFILE, &e));
	assert_non_null(strstr(e->message, "No such file"));
	assert_non_null(strstr(e->message, "full, openvmm, minimal"));
	g_clear_error(&e);
	assert_false(choose(&p, "/", HV_AS_PROFILE, &e));
}

/* What doctor --hv prints for @name; the caller frees it. */
static char *printed(const char *name)
{
	struct hv_profile p = chosen(name, HV_AS_PROFILE);
	struct hv_config config = host;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	struct hv *hv;

	config.profile = &p;
	hv = hv_new(&config, NULL, NULL, NULL);
	doctor_print_hv(out, hv, &p);
	hv_free(hv);
	fclose(out);
	return text;
}

static void doctor_prints_minimal_whole(void **state)
{
	g_autofree char *text = printed("minimal");

	assert_string_equal(
		text,
		"0x40000000  eax 40000005  ebx 7263694d  ecx 666f736f  edx 76482074\n"
		"    vendor \"Microsoft Hv\", highest leaf 0x40000005\n"
		"0x40000001  eax 31237648  ebx 00000000  ecx 00000000  edx 00000000\n"
		"    interface \"Hv#1\"\n"
		"0x40000002  eax 00000000  ebx 00000000  ecx 00000000  edx 00000000\n"
		"    version 0.0.0\n"
		"0x40000003  eax 00000060  ebx 00000000  ecx 00000000  edx 00000000\n"
		"    eax[5]   AccessHypercallMsrs\n"
		"    eax[6]   AccessVpIndex\n"
		"0x40000004  eax 00000000  ebx 00000000  ecx 00000000  edx 00000000\n"
		"    address bits 0\n"
		"0x40000005  eax 00000000  ebx 00000000  ecx 00000000  edx 00000000\n"
		"    virtual processors 0, logical 0\n"
		"\n"
		"0x40000000            rw  HV_X64_MSR_GUEST_OS_ID\n"
		"0x40000001            rw  HV_X64_MSR_HYPERCALL\n"
		"0x40000002            r-  HV_X64_MSR_VP_INDEX\n"
		"0x40000073            rw  HV_X64_MSR_VP_ASSIST_PAGE\n");
}

static void doctor_tells_what_is_allowed_but_not_shown(void **state)
{
	g_autofree char *text = printed("openvmm");

	assert_non_null(strstr(text, "    ebx[4]   PostMessages (allowed, not "
				     "shown)\n"));
	assert_non_null(strstr(text, "    eax[11]  AccessFrequencyRegs\n"));
	assert_non_null(strstr(text, "\n0x400000b0-0x400000b7 rw  HV_X64_MSR_"
				     "STIMER0-STIMER3\n"));
	assert_null(strstr(text, "REFERENCE_TSC"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_are_offered_when_asked_for),
		cmocka_unit_test(what_the_host_lacks_cannot_be_switched_on),
		cmocka_unit_test(
			apic_registers_are_recommended_only_where_they_are_offered),
		cmocka_unit_test(vmbus_needs_its_privileges),
		cmocka_unit_test(a_file_changes_what_it_names),
		cmocka_unit_test(an_empty_file_is_full),
		cmocka_unit_test(what_is_not_there_cannot_be_offered),
		cmocka_unit_test(numbers_have_their_limits),
		cmocka_unit_test(what_is_no_profile_is_refused),
		cmocka_unit_test(doctor_prints_minimal_whole),
		cmocka_unit_test(doctor_tells_what_is_allowed_but_not_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
