/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hv_test.h"

#define ID		0x1234u
#define FAST		HV_HYPERCALL_FAST
#define INPUT		UINT64_C(0x5000)
#define HIGH		UINT64_C(0xaaaaaaaa00000000)

static unsigned signals, posts;

static int on_signal(struct hv_event_port *port, uint16_t flag)
{
	signals++;
	return 0;
}

static int on_post(struct hv_message_port *port, uint32_t type,
		   const void *payload, size_t len)
{
	posts++;
	return 0;
}

static struct hv_event_port event = { on_signal };
static struct hv_message_port message = { on_post };

static int enable(void **state)
{
	hv_host_init(&h, VP_COUNT);
	signals = posts = 0;
	assert_int_equal(hv_connect_event(h.hv, ID, &event), 0);
	assert_int_equal(hv_connect_message(h.hv, 1, &message), 0);
	wr(0, HV_X64_MSR_GUEST_OS_ID, OS_ID);
	wr(0, HV_X64_MSR_HYPERCALL, 0x1000 | ENABLE);
	return 0;
}

#undef TEST
#define TEST(f)	cmocka_unit_test_setup_teardown(f, enable, tear_down)

static struct hv_call call64(uint64_t control, uint64_t in)
{
	return (struct hv_call){
		.rax = HIGH | 1, .rbx = HIGH | 2, .rcx = control, .rdx = in,
		.rsi = HIGH | 5, .rdi = HIGH | 6, .r8 = HIGH | 7,
		.long_mode = true, .protected_mode = true,
	};
}

static struct hv_call call32(uint64_t control, uint64_t in)
{
	return (struct hv_call){
		.rax = HIGH | (uint32_t)control, .rdx = HIGH | control >> 32,
		.rcx = HIGH | (uint32_t)in, .rbx = HIGH | in >> 32,
		.rsi = HIGH | 5, .rdi = HIGH | 6, .r8 = HIGH | 7,
		.protected_mode = true,
	};
}

static uint64_t status_of(uint64_t control, uint64_t in)
{
	struct hv_call c = call64(control, in);

	assert_true(hv_hypercall(h.hv, 0, &c));
	return c.rax;
}

/* Valid input for HvPostMessage and HvSignalEvent alike, at @gpa. */
static void put_message(gpa_t gpa)
{
	const struct hv_input_post_message in = {
		.connection_id = 1, .message_type = 1, .payload_size = 1,
	};

	assert_int_equal(gmem_write(&h.gmem, gpa, &in, sizeof(in)), 0);
}

static void put_signal(gpa_t gpa)
{
	const struct hv_input_signal_event in = { .connection_id = ID };

	assert_int_equal(gmem_write(&h.gmem, gpa, &in, sizeof(in)), 0);
}

/* TLFS: HC-26 HC-58 HC-60 HC-61 GEN-09 */
static void a_64_bit_call_changes_rax_only(void **state)
{
	struct hv_call c = call64(HVCALL_SIGNAL_EVENT | FAST, ID);
	struct hv_call want = c;

	assert_true(hv_hypercall(h.hv, 0, &c));
	want.rax = 0;
	assert_memory_equal(&c, &want, sizeof(c));
	assert_int_equal(signals, 1);

	put_signal(INPUT);
	assert_int_equal(status_of(HVCALL_SIGNAL_EVENT, INPUT), 0);
	assert_int_equal(signals, 2);
}

/* TLFS: HC-23 HC-60 */
static void a_32_bit_call_changes_edx_and_eax_only(void **state)
{
	struct hv_call c = call32(HVCALL_SIGNAL_EVENT | FAST, ID);
	struct hv_call want = c;

	assert_true(hv_hypercall(h.hv, 0, &c));
	want.rax = want.rdx = 0;
	assert_memory_equal(&c, &want, sizeof(c));
	assert_int_equal(signals, 1);
}

/* TLFS: GEN-08 */
static void a_32_bit_call_has_64_bits_of_each(void **state)
{
	struct hv_call c;

	/* Reserved bits are in EDX. */
	c = call32(HVCALL_SIGNAL_EVENT | FAST | BIT64(44), ID);
	assert_true(hv_hypercall(h.hv, 0, &c));
	assert_int_equal(c.rax, HV_STATUS_INVALID_HYPERCALL_INPUT);
	/* The flag number is in EBX. */
	c = call32(HVCALL_SIGNAL_EVENT | FAST, UINT64_C(2048) << 32 | ID);
	assert_true(hv_hypercall(h.hv, 0, &c));
	assert_int_equal(c.rax, HV_STATUS_INVALID_PARAMETER);
	/* And so is the upper half of an address. */
	put_signal(INPUT);
	c = call32(HVCALL_SIGNAL_EVENT, UINT64_C(1) << 32 | INPUT);
	assert_true(hv_hypercall(h.hv, 0, &c));
	assert_int_equal(c.rax, HV_STATUS_INVALID_ALIGNMENT);
	c = call32(HVCALL_SIGNAL_EVENT, INPUT);
	assert_true(hv_hypercall(h.hv, 0, &c));
	assert_int_equal(c.rax, HV_STATUS_SUCCESS);
	assert_int_equal(signals, 1);
}

static void refused_with_ud(struct hv_call c)
{
	struct hv_call before = c;

	assert_false(hv_hypercall(h.hv, 0, &c));
	assert_memory_equal(&c, &before, sizeof(c));
	assert_int_equal(signals, 0);
}

/* TLFS: HC-12 HC-13 */
static void only_the_kernel_in_protected_mode_may_call(void **state)
{
	struct hv_call c = call64(HVCALL_SIGNAL_EVENT | FAST, ID);

	for (uint8_t cpl = 1; cpl <= 3; cpl++) {
		c.cpl = cpl;
		refused_with_ud(c);
	}
	c = call32(HVCALL_SIGNAL_EVENT | FAST, ID);
	c.protected_mode = false;
	refused_with_ud(c);
}

/* TLFS: HC-15 */
static void nobody_may_call_without_the_page(void **state)
{
	struct hv_call c = call64(HVCALL_SIGNAL_EVENT | FAST, ID);

	wr(0, HV_X64_MSR_HYPERCALL, 0x1000);
	refused_with_ud(c);
	wr(0, HV_X64_MSR_HYPERCALL, 0x1000 | ENABLE);
	wr(0, HV_X64_MSR_GUEST_OS_ID, 0);
	refused_with_ud(c);
	hv_reset(h.hv);
	refused_with_ud(c);
}

/* TLFS: HC-29 HC-31 HC-34 HC-35 GEN-05 */
static void no_other_bit_of_the_input_value_may_be_set(void **state)
{
	put_message(INPUT);
	put_signal(INPUT + 512);
	for (unsigned bit = 17; bit < 64; bit++) {
		assert_int_equal(status_of(HVCALL_POST_MESSAGE | BIT64(bit),
					   INPUT),
				 HV_STATUS_INVALID_HYPERCALL_INPUT);
		assert_int_equal(status_of(HVCALL_SIGNAL_EVENT | BIT64(bit),
					   INPUT + 512),
				 HV_STATUS_INVALID_HYPERCALL_INPUT);
		assert_int_equal(status_of(HVCALL_SIGNAL_EVENT | FAST |
					   BIT64(bit), ID),
				 HV_STATUS_INVALID_HYPERCALL_INPUT);
	}
	assert_int_equal(signals + posts, 0);
}

/* TLFS: HC-67 */
static void a_message_cannot_be_fast(void **state)
{
	put_message(INPUT);
	assert_int_equal(status_of(HVCALL_POST_MESSAGE | FAST, INPUT),
			 HV_STATUS_INVALID_HYPERCALL_INPUT);
	assert_int_equal(status_of(HVCALL_POST_MESSAGE, INPUT), 0);
	assert_int_equal(posts, 1);
}

/* TLFS: HC-43 */
static void input_is_aligned(void **state)
{
	for (unsigned i = 1; i < 8; i++) {
		put_message(INPUT + i);
		assert_int_equal(status_of(HVCALL_POST_MESSAGE, INPUT + i),
				 HV_STATUS_INVALID_ALIGNMENT);
		put_signal(INPUT + i);
		assert_int_equal(status_of(HVCALL_SIGNAL_EVENT, INPUT + i),
				 HV_STATUS_INVALID_ALIGNMENT);
	}
	put_message(INPUT + 8);
	assert_int_equal(status_of(HVCALL_POST_MESSAGE, INPUT + 8), 0);
	assert_int_equal(signals, 0);
}

/* TLFS: HC-45 */
static void input_does_not_cross_a_page(void **state)
{
	put_message(INPUT + PAGE - 256);
	assert_int_equal(status_of(HVCALL_POST_MESSAGE, INPUT + PAGE - 256),
			 0);
	put_message(INPUT + PAGE - 248);
	assert_int_equal(status_of(HVCALL_POST_MESSAGE, INPUT + PAGE - 248),
			 HV_STATUS_INVALID_ALIGNMENT);
	put_signal(INPUT + PAGE - 8);
	assert_int_equal(status_of(HVCALL_SIGNAL_EVENT, INPUT + PAGE - 8), 0);
	assert_int_equal(signals + posts, 2);
}

/* TLFS: HC-47 BOOT-11 */
static void input_is_in_ram(void **state)
{
	static const uint64_t gpas[] = {
		HV_HOST_RAM, BIT64(40), BIT64(52), UINT64_MAX - 0xfff,
	};

	for (size_t i = 0; i < G_N_ELEMENTS(gpas); i++) {
		assert_int_equal(status_of(HVCALL_POST_MESSAGE, gpas[i]),
				 HV_STATUS_INVALID_ALIGNMENT);
		assert_int_equal(status_of(HVCALL_SIGNAL_EVENT, gpas[i]),
				 HV_STATUS_INVALID_ALIGNMENT);
	}
	put_message(HV_HOST_RAM - 256);
	assert_int_equal(status_of(HVCALL_POST_MESSAGE, HV_HOST_RAM - 256), 0);
	assert_int_equal(status_of(HVCALL_POST_MESSAGE, UINT64_MAX - 7),
			 HV_STATUS_INVALID_ALIGNMENT);
}

/* TLFS: HC-55 GEN-05 */
static void reserved_fields_do_not_matter(void **state)
{
	struct hv_input_signal_event s = { .connection_id = ID, .rsvdz = 1 };
	struct hv_input_post_message m = {
		.connection_id = 1, .reserved = 1, .message_type = 1,
	};

	memcpy(h.ram + INPUT, &s, sizeof(s));
	assert_int_equal(status_of(HVCALL_SIGNAL_EVENT, INPUT), 0);
	memcpy(h.ram + INPUT, &m, sizeof(m));
	assert_int_equal(status_of(HVCALL_POST_MESSAGE, INPUT), 0);
	assert_int_equal(status_of(HVCALL_SIGNAL_EVENT | FAST,
				   BIT64(63) | ID), 0);
}

/* TLFS: HC-50 */
static void input_may_be_on_an_overlay(void **state)
{
	/* The hypercall page is as good as any place: no host state is. */
	assert_int_equal(status_of(HVCALL_POST_MESSAGE, 0x1000),
			 HV_STATUS_INVALID_PARAMETER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_64_bit_call_changes_rax_only),
		TEST(a_32_bit_call_changes_edx_and_eax_only),
		TEST(a_32_bit_call_has_64_bits_of_each),
		TEST(only_the_kernel_in_protected_mode_may_call),
		TEST(nobody_may_call_without_the_page),
		TEST(no_other_bit_of_the_input_value_may_be_set),
		TEST(a_message_cannot_be_fast),
		TEST(input_is_aligned),
		TEST(input_does_not_cross_a_page),
		TEST(input_is_in_ram),
		TEST(reserved_fields_do_not_matter),
		TEST(input_may_be_on_an_overlay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
