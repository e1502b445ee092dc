/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "core/error.h"
#include "core/trace.h"
#include "vmm/options.h"

/* Parse a command line given as one string. */
static struct options *parse(const char *line, GError **error)
{
	g_auto(GStrv) argv = g_strsplit(line, " ", -1);

	return options_parse((int)g_strv_length(argv), argv, error);
}

static void refused(const char *line, const char *part)
{
	g_autoptr(GError) e = NULL;

	assert_null(parse(line, &e));
	assert_true(g_error_matches(e, USER_ERROR, EX_USAGE));
	if (!strstr(e->message, part))
		fail_msg("%s: no \"%s\" in: %s", line, part, e->message);
}

static void a_full_line_is_understood(void **state)
{
	autoptr(options) o = parse("kvmbus run --kernel k --initrd=i "
				   "--append root=/dev/sda -c 3 -m1G "
				   "--disk a.img,ro=on --disk b.img --timeout 2m "
				   "--console file:log --on-crash reset --stats "
				   "--hv-apic on",
				   NULL);
	const struct disk_options *d;

	assert_non_null(o);
	assert_string_equal(o->kernel, "k");
	assert_string_equal(o->initrd, "i");
	assert_string_equal(o->append, "root=/dev/sda");
	assert_int_equal(o->cpus, 3);
	assert_int_equal(o->memory, 1u << 30);
	assert_int_equal(o->timeout_ms, 120000);
	assert_int_equal(o->on_crash, ON_CRASH_RESET);
	assert_true(o->stats && o->hv_parts[HV_PART_APIC] == HV_ON);
	assert_int_equal(o->disks->len, 2);
	d = o->disks->pdata[0];
	assert_true(d->read_only && d->direct);
	d = o->disks->pdata[1];
	assert_false(d->read_only);
	assert_int_equal(d->lun, 1);
}

static void processors_are_1_to_64(void **state)
{
	autoptr(options) one = parse("kvmbus run --kernel k -c 1", NULL);
	autoptr(options) most = parse("kvmbus run --kernel k -c 64", NULL);

	assert_int_equal(one->cpus, 1);
	assert_int_equal(most->cpus, 64);
	refused("kvmbus run --kernel k -c 0", "1 to 64");
	refused("kvmbus run --kernel k -c 65", "1 to 64");
	refused("kvmbus run --kernel k -c -1", "1 to 64");
	refused("kvmbus run --kernel k -c two", "1 to 64");
}

static void a_machine_has_no_test_devices_unless_asked(void **state)
{
	autoptr(options) o = parse("kvmbus run --kernel k", NULL);
	autoptr(options) test = parse("kvmbus run --kernel k "
				      "--machine unit-test", NULL);
	autoptr(options) named = parse("kvmbus run --kernel k "
				       "--machine unit-test "
				       "--machine default", NULL);

	assert_int_equal(o->machine, MACHINE_DEFAULT);
	assert_int_equal(test->machine, MACHINE_UNIT_TEST);
	assert_int_equal(named->machine, MACHINE_DEFAULT);
}

static void memory_needs_a_unit_and_sense(void **state)
{
	refused("kvmbus run --kernel k -m 512", "one of K, M, G, T");
	refused("kvmbus run --kernel k -m 1X", "one of K, M, G, T");
	refused("kvmbus run --kernel k -m 1GB", "one of K, M, G, T");
	refused("kvmbus run --kernel k -m 99999999999999T", "one of");
	refused("kvmbus run --kernel k -m 1M", "from 2M to 1T");
	refused("kvmbus run --kernel k -m 2049K", "whole MiB");
	refused("kvmbus run --kernel k -m 2T", "from 2M to 1T");
}

static void the_interface_is_full_unless_asked(void **state)
{
	autoptr(options) plain = parse("kvmbus run --kernel k", NULL);
	autoptr(options) asked = parse("kvmbus run --kernel k --hv-profile p "
				       "--hv-timers off --unknown-msr gp",
				       NULL);

	assert_string_equal(plain->hv_profile, "full");
	for (unsigned part = 0; part < HV_PARTS; part++)
		assert_int_equal(plain->hv_parts[part], HV_AS_PROFILE);
	assert_string_equal(asked->hv_profile, "p");
	assert_int_equal(asked->hv_parts[HV_PART_TIMERS], HV_OFF);
	assert_false(plain->unknown_msr_gp);
	assert_true(asked->unknown_msr_gp);
	refused("kvmbus run --kernel k --unknown-msr zero", "ignore or gp");
	refused("kvmbus run --kernel k --hv-timers yes", "on or off");
}

static void doctor_has_options_of_its_own(void **state)
{
	autoptr(options) plain = parse("kvmbus doctor", NULL);
	autoptr(options) hv = parse("kvmbus doctor --hv", NULL);
	autoptr(options) profile = parse("kvmbus doctor --hv-profile minimal",
					 NULL);

	assert_false(plain->show_hv);
	assert_true(hv->show_hv && profile->show_hv);
	assert_string_equal(profile->hv_profile, "minimal");
	refused("kvmbus doctor --kernel k", "kvmbus doctor does not know it");
	refused("kvmbus run --hv --kernel k", "kvmbus run does not know it");
}

static void a_misspelt_option_gets_a_suggestion(void **state)
{
	refused("kvmbus run --kernl k", "--kernel");
	refused("kvmbus run --memry 1G", "--memory");
	refused("kvmbus run --zzzzzzzzzz", "kvmbus help");
	refused("kvmbus rnu", "kvmbus run");
	refused("kvmbus run -q", "unknown option");
}

static void words_that_lack_or_exceed_are_named(void **state)
{
	refused("kvmbus run", "--kernel is missing");
	refused("kvmbus run --kernel", "needs a value");
	refused("kvmbus run --stats=1 --kernel k", "takes no value");
	refused("kvmbus run image.raw", "image.raw");
	refused("kvmbus doctor x", "too many words");
	refused("kvmbus run --kernel k --console tty", "stdio, file:F");
	refused("kvmbus run --kernel k --console file:", "stdio, file:F");
	refused("kvmbus run --kernel k --timeout 0", "number and s, m or h");
	refused("kvmbus run --kernel k --timeout 5d", "number and s, m or h");
	refused("kvmbus run --kernel k --on-crash maybe", "fail or reset");
	refused("kvmbus run --kernel k --trace hv,nothing", "no such area");
	refused("kvmbus run --kernel k --hv-timers maybe", "on or off");
	refused("kvmbus run --kernel k --hv-apic 1", "on or off");
	refused("kvmbus run --kernel k --machine pc", "default or unit-test");
}

static void disks_fill_the_places_that_are_left(void **state)
{
	autoptr(options) o = parse("kvmbus run --kernel k --disk a "
				   "--disk b,lun=0 --disk c,controller=2 "
				   "--disk d,controller=2,lun=63", NULL);
	static const unsigned want[][2] = { { 0, 1 }, { 0, 0 }, { 2, 0 },
					    { 2, 63 } };

	for (unsigned i = 0; i < 4; i++) {
		const struct disk_options *d = o->disks->pdata[i];

		assert_int_equal(d->controller, want[i][0]);
		assert_int_equal(d->lun, want[i][1]);
	}
}

static void all_256_places_can_be_filled_and_no_more(void **state)
{
	g_autoptr(GString) line = g_string_new("kvmbus run --kernel k");

	for (int i = 0; i < 256; i++)
		g_string_append(line, " --disk x");
	options_free(parse(line->str, NULL));
	g_string_append(line, " --disk y");
	refused(line->str, "all LUNs are taken");
}

static void a_disk_says_what_is_wrong_with_it(void **state)
{
	refused("kvmbus run --kernel k --disk a,lun=64", "lun=64");
	refused("kvmbus run --kernel k --disk a,controller=4", "controller=4");
	refused("kvmbus run --kernel k --disk a,ro=maybe", "ro=maybe");
	refused("kvmbus run --kernel k --disk a,serial=", "serial=");
	refused("kvmbus run --kernel k --disk ,ro=on", "names no file");
	refused("kvmbus run --kernel k --disk a,lun=1 --disk b,lun=1",
		"another disk");
}

static void a_file_name_may_hold_commas(void **state)
{
	autoptr(options) o = parse("kvmbus run --kernel k "
				   "--disk a,b=c,ro=on,d.img", NULL);
	const struct disk_options *d = o->disks->pdata[0];

	assert_string_equal(d->file, "a,b=c,d.img");
	assert_true(d->read_only);
}

static void drives_have_places_among_the_disks(void **state)
{
	autoptr(options) o = parse("kvmbus run --kernel k --cdrom a,b.iso "
				   "--disk d --cdrom none,controller=1,lun=7 "
				   "--cdrom none,lun=0", NULL);
	static const struct { const char *file; bool cdrom; unsigned c, lun; }
	expected[] = {
		{ "a,b.iso", true, 0, 1 }, { "d", false, 0, 2 },
		{ NULL, true, 1, 7 }, { NULL, true, 0, 0 },
	};

	assert_int_equal(o->disks->len, G_N_ELEMENTS(expected));
	for (unsigned i = 0; i < o->disks->len; i++) {
		const struct disk_options *d = o->disks->pdata[i];

		assert_true(!g_strcmp0(d->file, expected[i].file));
		assert_int_equal(d->cdrom, expected[i].cdrom);
		assert_int_equal(d->controller, expected[i].c);
		assert_int_equal(d->lun, expected[i].lun);
	}
	refused("kvmbus run --kernel k --cdrom ,lun=1", "names no file");
	refused("kvmbus run --kernel k --cdrom a,lun=64", "lun=64");
	refused("kvmbus run --kernel k --cdrom none,lun=1 --cdrom none,lun=1",
		"--cdrom none");
}

static void disks_may_be_ephemeral(void **state)
{
	autoptr(options) o = parse("kvmbus run --kernel k --disk a "
				   "--disk b,ephemeral=on "
				   "--disk c,ephemeral=3M "
				   "--disk d,ephemeral=3M,ephemeral=off", NULL);
	static const struct { bool on; uint64_t max; } want[] = {
		{ false, 0 }, { true, 0 }, { true, 3 << 20 }, { false, 0 },
	};

	assert_false(o->ephemeral);
	for (unsigned i = 0; i < G_N_ELEMENTS(want); i++) {
		const struct disk_options *d = o->disks->pdata[i];

		assert_int_equal(d->ephemeral, want[i].on);
		assert_int_equal(d->ephemeral_max, want[i].max);
	}
	refused("kvmbus run --kernel k --disk a,format=qcow2", "format=qcow2");
	refused("kvmbus run --kernel k --disk a,ephemeral=1K", "ephemeral=1K");
	refused("kvmbus run --kernel k --disk a,ephemeral=yes",
		"ephemeral=yes");
	options_free(o);
	o = parse("kvmbus run --kernel k --disk a -x", NULL);
	assert_true(o->ephemeral);
}

static void disks_may_pause_the_machine(void **state)
{
	autoptr(options) o = parse("kvmbus run --kernel k --control c --disk a "
				   "--disk b,on-error=report -x "
				   "--disk c,on-error=pause,iops=5", NULL);

	for (unsigned i = 0; i < 3; i++) {
		const struct disk_options *d = o->disks->pdata[i];

		assert_int_equal(d->pause_on_error, i == 2);
	}
	refused("kvmbus run --kernel k --control c --disk a,on-error=stop",
		"on-error=stop");
	/* Nobody could let it go on. */
	refused("kvmbus run --kernel k --disk a,on-error=pause", "--control");
	refused("kvmbus run --kernel k --control c "
		"--disk a,on-error=pause,ephemeral=1M", "its limit");
	refused("kvmbus run --kernel k --control c "
		"--disk a,on-error=pause,shared=m", "would wait");
}

static void disks_may_be_slow(void **state)
{
	autoptr(options) o = parse("kvmbus run --kernel k --disk a "
				   "--disk b,iops=1,bps=64K "
				   "--disk c,iops=4294967295,bps=50M", NULL);
	static const struct { uint64_t iops, bps; } want[] = {
		{ 0, 0 }, { 1, 64 << 10 }, { UINT32_MAX, 50 << 20 },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(want); i++) {
		const struct disk_options *d = o->disks->pdata[i];

		assert_int_equal(d->iops, want[i].iops);
		assert_int_equal(d->bps, want[i].bps);
	}
	refused("kvmbus run --kernel k --disk a,iops=0", "iops=0");
	refused("kvmbus run --kernel k --disk a,iops=4294967296", "iops=");
	refused("kvmbus run --kernel k --disk a,iops=1K", "iops=1K");
	refused("kvmbus run --kernel k --disk a,bps=63K", "bps=63K");
	refused("kvmbus run --kernel k --disk a,bps=1000000", "bps=1000000");
}

static void other_commands_are_known(void **state)
{
	static const struct { const char *line; enum command command; } c[] = {
		{ "kvmbus", COMMAND_HELP },
		{ "kvmbus --help", COMMAND_HELP },
		{ "kvmbus help", COMMAND_HELP },
		{ "kvmbus doctor", COMMAND_DOCTOR },
		{ "kvmbus --version", COMMAND_VERSION },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(c); i++) {
		autoptr(options) o = parse(c[i].line, NULL);

		assert_int_equal(o->command, c[i].command);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_line_is_understood),
		cmocka_unit_test(processors_are_1_to_64),
		cmocka_unit_test(a_machine_has_no_test_devices_unless_asked),
		cmocka_unit_test(memory_needs_a_unit_and_sense),
		cmocka_unit_test(the_interface_is_full_unless_asked),
		cmocka_unit_test(doctor_has_options_of_its_own),
		cmocka_unit_test(a_misspelt_option_gets_a_suggestion),
		cmocka_unit_test(words_that_lack_or_exceed_are_named),
		cmocka_unit_test(disks_fill_the_places_that_are_left),
		cmocka_unit_test(all_256_places_can_be_filled_and_no_more),
		cmocka_unit_test(a_disk_says_what_is_wrong_with_it),
		cmocka_unit_test(drives_have_places_among_the_disks),
		cmocka_unit_test(disks_may_be_ephemeral),
		cmocka_unit_test(a_file_name_may_hold_commas),
		cmocka_unit_test(disks_may_pause_the_machine),
		cmocka_unit_test(disks_may_be_slow),
		cmocka_unit_test(other_commands_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
