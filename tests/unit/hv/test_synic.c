/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "core/trace.h"
#include "hv_test.h"

#define SINT	2
#define VECTOR	0xf3
#define A	UINT64_C(0x10000)
#define B	UINT64_C(0x20000)

static struct hv_sint *sint;

static int synic_on(void **state)
{
	hv_host_init(&h, VP_COUNT);
	hv_host_synic_on(&h, 1);
	wr(1, sint_msr(SINT), VECTOR);
	sint = hv_get_sint(h.hv, 1, SINT);
	return 0;
}

#undef TEST
#define TEST(f)	cmocka_unit_test_setup_teardown(f, synic_on, tear_down)

static bool take(unsigned flag)
{
	return hv_host_take_flag(&h, 1, SINT, flag);
}

static unsigned raised(void)
{
	return h.vp[1].raised[SINT];
}

/* TLFS: SYNIC-09 */
static void a_flag_is_set_in_the_sints_own_array(void **state)
{
	static const uint16_t flags[] = { 0, 1, 7, 8, 63, 64, 1000, 2047 };

	for (size_t i = 0; i < G_N_ELEMENTS(flags); i++) {
		uint8_t *sief = h.ram + hv_host_siefp(1);

		assert_int_equal(sint->signal(sint, flags[i]), 0);
		for (unsigned byte = 0; byte < PAGE; byte++)
			assert_int_equal(sief[byte],
					 byte == SINT * 256u + flags[i] / 8u ?
						 1u << flags[i] % 8 : 0);
		assert_true(take(flags[i]));
	}
	assert_int_equal(raised(), G_N_ELEMENTS(flags));
}

/* TLFS: SYNIC-52 */
static void only_a_flag_that_was_clear_interrupts(void **state)
{
	assert_int_equal(sint->signal(sint, 5), 0);
	assert_int_equal(sint->signal(sint, 5), 0);
	assert_int_equal(raised(), 1);
	assert_int_equal(sint->signal(sint, 6), 0);
	assert_int_equal(raised(), 2);
	assert_true(take(5));
	assert_int_equal(sint->signal(sint, 5), 0);
	assert_int_equal(raised(), 3);
}

static void a_flag_out_of_range_is_refused(void **state)
{
	assert_int_equal(sint->signal(sint, 2048), -EINVAL);
	assert_int_equal(sint->signal(sint, 65535), -EINVAL);
	assert_int_equal(raised(), 0);
}

static void flag_is_lost(void)
{
	assert_int_equal(sint->signal(sint, 1), -ENXIO);
	assert_int_equal(raised(), 0);
}

static void with_anything_off_a_flag_is_lost(void **state)
{
	wr(1, HV_X64_MSR_SCONTROL, 0);
	flag_is_lost();
	wr(1, HV_X64_MSR_SCONTROL, 1);
	wr(1, HV_X64_MSR_SIEFP, hv_host_siefp(1));
	flag_is_lost();
	wr(1, HV_X64_MSR_SIEFP, hv_host_siefp(1) | ENABLE);
	wr(1, sint_msr(SINT), VECTOR | HV_SYNIC_SINT_MASKED);
	flag_is_lost();
	wr(1, sint_msr(SINT), VECTOR);
	assert_false(take(1));
	assert_int_equal(sint->signal(sint, 1), 0);
	assert_true(take(1));
}

/* TLFS: SYNIC-17 */
static void a_polling_guest_has_flags_without_interrupts(void **state)
{
	wr(1, sint_msr(SINT), VECTOR | HV_SYNIC_SINT_POLLING);
	assert_int_equal(sint->signal(sint, 1), 0);
	assert_true(take(1));
	assert_int_equal(raised(), 0);
	assert_int_equal(h.vp[1].route[SINT], 0);
}

/* TLFS: SYNIC-12 */
static void flags_are_kept_over_off_and_on(void **state)
{
	assert_int_equal(sint->signal(sint, 9), 0);
	wr(1, HV_X64_MSR_SIEFP, hv_host_siefp(1));
	assert_false(take(9));
	wr(1, HV_X64_MSR_SIEFP, hv_host_siefp(1) | ENABLE);
	assert_true(take(9));
}

/* TLFS: SYNIC-05 */
static void flags_out_of_ram_do_no_harm(void **state)
{
	wr(1, HV_X64_MSR_SIEFP, BIT64(50) | ENABLE);
	assert_int_equal(sint->signal(sint, 9), 0);
	assert_false(take(9));
	wr(1, HV_X64_MSR_SIEFP, hv_host_siefp(1) | ENABLE);
	assert_true(take(9));
}

/* TLFS: SYNIC-01 SYNIC-15 */
static void the_hosts_wire_follows_the_registers(void **state)
{
	const struct hv_host_vp *vp = &h.vp[1];
	unsigned routes = vp->routes;

	assert_int_equal(vp->route[SINT], VECTOR);
	assert_int_equal(routes, 1);
	wr(1, sint_msr(SINT), VECTOR);
	assert_int_equal(vp->routes, routes);
	wr(1, sint_msr(SINT), 0x55);
	assert_int_equal(vp->route[SINT], 0x55);
	wr(1, sint_msr(SINT), 0x55 | HV_SYNIC_SINT_MASKED);
	assert_int_equal(vp->route[SINT], 0);
	wr(1, sint_msr(SINT), 0x56);
	wr(1, sint_msr(7), 0x57);
	wr(1, HV_X64_MSR_SCONTROL, 0);
	assert_int_equal(vp->route[SINT], 0);
	assert_int_equal(vp->route[7], 0);
	wr(1, sint_msr(7), 0x58);
	assert_int_equal(vp->route[7], 0);
	wr(1, HV_X64_MSR_SCONTROL, 1);
	assert_int_equal(vp->route[SINT], 0x56);
	assert_int_equal(vp->route[7], 0x58);
	assert_int_equal(h.vp[0].routes, 0);
}

/* TLFS: SYNIC-15 */
static void the_wire_knows_about_auto_eoi(void **state)
{
	const uint64_t value = VECTOR | HV_SYNIC_SINT_AUTO_EOI;
	const struct hv_host_vp *vp = &h.vp[1];

	assert_false(vp->auto_eoi[SINT]);
	wr(1, sint_msr(SINT), value);
	assert_true(rd(1, sint_msr(SINT)) == value);
	assert_true(vp->auto_eoi[SINT]);
	assert_int_equal(vp->route[SINT], VECTOR);
	assert_int_equal(vp->routes, 2);
	wr(1, sint_msr(SINT), value);
	assert_int_equal(vp->routes, 2);
	assert_int_equal(sint->signal(sint, 5), 0);
	assert_int_equal(raised(), 1);
	wr(1, sint_msr(SINT), VECTOR);
	assert_false(vp->auto_eoi[SINT]);
	assert_int_equal(vp->routes, 3);
}

/* Whatever takes the vector away takes the rule away. */
static void without_a_vector_there_is_no_auto_eoi(void **state)
{
	const uint64_t value = VECTOR | HV_SYNIC_SINT_AUTO_EOI;
	const struct hv_host_vp *vp = &h.vp[1];

	wr(1, sint_msr(SINT), value);
	wr(1, sint_msr(SINT), value | HV_SYNIC_SINT_MASKED);
	assert_false(vp->auto_eoi[SINT]);
	assert_int_equal(vp->route[SINT], 0);
	wr(1, sint_msr(SINT), value | HV_SYNIC_SINT_POLLING);
	assert_false(vp->auto_eoi[SINT]);
	wr(1, sint_msr(SINT), value);
	wr(1, HV_X64_MSR_SCONTROL, 0);
	assert_false(vp->auto_eoi[SINT]);
	wr(1, HV_X64_MSR_SCONTROL, 1);
	assert_true(vp->auto_eoi[SINT]);
	hv_reset(h.hv);
	assert_false(vp->auto_eoi[SINT]);
}

/* TLFS: SYNIC-14 */
static void a_vector_below_16_is_gp(void **state)
{
	for (unsigned i = 0; i < HV_SYNIC_SINT_COUNT; i++) {
		assert_gp_on_write(0, sint_msr(i), 0);
		assert_gp_on_write(0, sint_msr(i), 15);
		assert_gp_on_write(0, sint_msr(i), 15 | HV_SYNIC_SINT_POLLING);
		assert_int_equal(rd(0, sint_msr(i)), 0x10000);
		wr(0, sint_msr(i), 0x1000f);
		wr(0, sint_msr(i), 16);
		wr(0, sint_msr(i), 0x100ff);
		assert_int_equal(rd(0, sint_msr(i)), 0x100ff);
	}
}

/* TLFS: SYNIC-01 SYNIC-04 SYNIC-15 GEN-04 */
static void registers_keep_reserved_bits(void **state)
{
	const uint64_t all = ~UINT64_C(0);

	wr(0, sint_msr(3), all);
	assert_true(rd(0, sint_msr(3)) == all);
	wr(0, HV_X64_MSR_SCONTROL, all & ~UINT64_C(1));
	assert_true(rd(0, HV_X64_MSR_SCONTROL) == (all & ~UINT64_C(1)));
	wr(0, HV_X64_MSR_SIMP, all & ~UINT64_C(1));
	assert_true(rd(0, HV_X64_MSR_SIMP) == (all & ~UINT64_C(1)));
	wr(0, HV_X64_MSR_SIEFP, A | 0xffe);
	assert_int_equal(rd(0, HV_X64_MSR_SIEFP), A | 0xffe);
}

/* TLFS: SYNIC-03 SYNIC-39 SYNIC-41 */
static void version_and_eom_are_what_they_are(void **state)
{
	assert_int_equal(rd(0, HV_X64_MSR_SVERSION), 1);
	assert_gp_on_write(0, HV_X64_MSR_SVERSION, 1);
	wr(0, HV_X64_MSR_EOM, UINT64_MAX);
	assert_int_equal(rd(0, HV_X64_MSR_EOM), 0);
}

/* TLFS: SYNIC-06 */
static void vps_are_apart(void **state)
{
	hv_host_synic_on(&h, 3);
	wr(3, sint_msr(SINT), 0x40);
	assert_int_equal(sint->signal(sint, 4), 0);
	assert_false(hv_host_take_flag(&h, 3, SINT, 4));
	assert_int_equal(h.vp[3].raised[SINT], 0);
	assert_int_equal(rd(0, sint_msr(SINT)), 0x10000);
	assert_int_equal(rd(3, sint_msr(SINT)), 0x40);
}

/* As Linux does it when a processor goes offline. */
/* TLFS: SYNIC-23 */
static void turned_off_by_read_modify_write(void **state)
{
	wr(1, sint_msr(SINT), rd(1, sint_msr(SINT)) | HV_SYNIC_SINT_MASKED);
	wr(1, HV_X64_MSR_SIMP, rd(1, HV_X64_MSR_SIMP) & ~ENABLE);
	wr(1, HV_X64_MSR_SIEFP, rd(1, HV_X64_MSR_SIEFP) & ~ENABLE);
	wr(1, HV_X64_MSR_SCONTROL, 0);
	assert_int_equal(rd(1, sint_msr(SINT)), VECTOR | 0x10000);
	assert_int_equal(rd(1, HV_X64_MSR_SIMP), hv_host_simp(1));
	flag_is_lost();
}

/* TLFS: SYNIC-07 */
static void reset_is_as_on_the_first_day(void **state)
{
	assert_int_equal(sint->signal(sint, 9), 0);
	hv_reset(h.hv);
	assert_int_equal(h.vp[1].route[SINT], 0);
	assert_int_equal(rd(1, HV_X64_MSR_SCONTROL), 0);
	assert_int_equal(rd(1, HV_X64_MSR_SIEFP), 0);
	assert_int_equal(rd(1, HV_X64_MSR_SIMP), 0);
	assert_int_equal(rd(1, sint_msr(SINT)), 0x10000);
	assert_int_equal(sint->signal(sint, 9), -ENXIO);
	hv_host_synic_on(&h, 1);
	wr(1, sint_msr(SINT), VECTOR);
	assert_false(take(9));
}

static GString *lines;

static void sink(const char *line)
{
	g_string_append_printf(lines, "%s|", line);
}

static void events_are_traced_in_order(void **state)
{
	lines = g_string_new(NULL);
	trace_sink = sink;
	trace_mask = 1u << TRACE_HV;
	assert_int_equal(sint->signal(sint, 9), 0);
	trace_mask = 0;
	trace_sink = NULL;
	assert_string_equal(lines->str,
			    "hv.sint_signal vp=1 sint=2 flag=9 error=0|"
			    "hv.sint vp=1 sint=2|");
	g_string_free(lines, TRUE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_flag_is_set_in_the_sints_own_array),
		TEST(only_a_flag_that_was_clear_interrupts),
		TEST(a_flag_out_of_range_is_refused),
		TEST(with_anything_off_a_flag_is_lost),
		TEST(a_polling_guest_has_flags_without_interrupts),
		TEST(flags_are_kept_over_off_and_on),
		TEST(flags_out_of_ram_do_no_harm),
		TEST(the_hosts_wire_follows_the_registers),
		TEST(the_wire_knows_about_auto_eoi),
		TEST(without_a_vector_there_is_no_auto_eoi),
		TEST(a_vector_below_16_is_gp),
		TEST(registers_keep_reserved_bits),
		TEST(version_and_eom_are_what_they_are),
		TEST(vps_are_apart),
		TEST(turned_off_by_read_modify_write),
		TEST(reset_is_as_on_the_first_day),
		TEST(events_are_traced_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
