/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The calling convention, on calls that are the test's own.  TLFS 3. */
#include "hv/hypercall.h"
#include "hv_test.h"

#define FAST		HV_HYPERCALL_FAST
#define IN		UINT64_C(0x5000)
#define OUT		UINT64_C(0x6000)
#define HIGH		UINT64_C(0xaaaaaaaa00000000)
#define OLD		0xee	/* what output memory has before a call */
#define SLICE		500	/* 50 us */
#define REFUSED		UINT64_C(13)	/* an element, and the answer to it */

#define REPS(n)		((uint64_t)(n) << 32)
#define START(n)	((uint64_t)(n) << 48)
#define VARHEAD(n)	((uint64_t)(n) << 17)

enum code {
	ECHO = 0x7001,	/* 24 bytes in, the same and one more out */
	FULL,		/* all the registers */
	TOO_MUCH,	/* and 8 bytes more */
	EXAMPLE,	/* 20 bytes in, 80 out: the TLFS's own */
	TOO_MUCH_OUT,	/* and 4 more out */
	OUTPUT_ONLY,	/* 16 bytes of it */
	NOTHING,
	FAILS,		/* with output */
	DOUBLE,		/* a list, and its results */
	COUNTED,	/* a list without elements, done at once */
	HEADERS,	/* a variable header */
	HEADERS_LIST,	/* and a list of words behind it */
};

/* What the handlers saw, and do. */
static struct {
	unsigned runs;
	uint8_t input[GMEM_PAGE_SIZE];
	size_t header_size;
	uint32_t words[8];
	unsigned reps[8];
	uint64_t step;		/* time that an element takes */
} seen;

static enum hv_status look(struct call *c, size_t size)
{
	seen.runs++;
	seen.header_size = c->header_size;
	memcpy(seen.input, c->input, size + c->header_size);
	return HV_STATUS_SUCCESS;
}

static enum hv_status echo(struct call *c)
{
	/* The guest changes its mind: too late. */
	memset(h.ram + IN, 0x77, 24);
	look(c, 24);
	for (unsigned i = 0; i < 24; i++)
		((uint8_t *)c->output)[i] = (uint8_t)(seen.input[i] + 1);
	return HV_STATUS_SUCCESS;
}

static enum hv_status full(struct call *c)
{
	return look(c, 112);
}

static enum hv_status example(struct call *c)
{
	for (unsigned i = 0; i < 80; i++)
		((uint8_t *)c->output)[i] = (uint8_t)(0x80 + i);
	return look(c, 20);
}

static enum hv_status output_only(struct call *c)
{
	memset(c->output, 0x5a, 8);
	return look(c, 0);
}

static enum hv_status nothing(struct call *c)
{
	return look(c, 0);
}

static enum hv_status fails(struct call *c)
{
	memset(c->output, 0x5a, 8);
	return HV_STATUS_INVALID_PARAMETER;
}

static enum hv_status twice(struct call *c)
{
	uint64_t element, result;

	memcpy(&element, c->element, sizeof(element));
	result = 2 * element;
	memcpy(c->result, &result, sizeof(result));
	if (seen.runs < G_N_ELEMENTS(seen.reps))
		seen.reps[seen.runs] = c->rep;
	look(c, 8);
	h.now += seen.step;
	return element == REFUSED ? HV_STATUS_INVALID_PARAMETER :
				    HV_STATUS_SUCCESS;
}

static enum hv_status counted(struct call *c)
{
	c->rep = c->count - 1;
	return look(c, 8);
}

static enum hv_status headers(struct call *c)
{
	return look(c, 16);
}

static enum hv_status headers_list(struct call *c)
{
	memcpy(&seen.words[c->rep % G_N_ELEMENTS(seen.words)], c->element,
	       sizeof(uint32_t));
	return look(c, 20);
}

static const struct hypercall rows[] = {
	{ ECHO, .input = 24, .output = 24, .handler = echo },
	{ FULL, .input = 112, .handler = full },
	{ TOO_MUCH, .input = 120, .handler = full },
	{ EXAMPLE, .input = 20, .output = 80, .handler = example },
	{ TOO_MUCH_OUT, .input = 20, .output = 84, .handler = example },
	{ OUTPUT_ONLY, .output = 16, .handler = output_only },
	{ NOTHING, .handler = nothing },
	{ FAILS, .output = 8, .handler = fails },
	{ DOUBLE, .rep = true, .input = 8, .element = 8, .result = 8,
	  .handler = twice },
	{ COUNTED, .rep = true, .input = 8, .handler = counted },
	{ HEADERS, .variable = true, .input = 16, .handler = headers },
	{ HEADERS_LIST, .rep = true, .variable = true, .input = 20,
	  .element = 4, .handler = headers_list },
};

static void fill_input(void)
{
	for (unsigned i = 0; i < PAGE; i++)
		h.ram[IN + i] = (uint8_t)(i * 7 + 1);
}

static int enable(void **state)
{
	hv_host_init(&h, VP_COUNT);
	h.hv->calls = rows;
	h.hv->call_count = G_N_ELEMENTS(rows);
	memset(&seen, 0, sizeof(seen));
	wr(0, HV_X64_MSR_GUEST_OS_ID, OS_ID);
	wr(0, HV_X64_MSR_HYPERCALL, 0x1000 | ENABLE);
	fill_input();
	memset(h.ram + OUT, OLD, 2 * PAGE);
	return 0;
}

#undef TEST
#define TEST(f)	cmocka_unit_test_setup_teardown(f, enable, tear_down)

static struct hv_call call64(uint64_t control, uint64_t in, uint64_t out)
{
	return (struct hv_call){
		.rax = HIGH | 1, .rbx = HIGH | 2, .rcx = control, .rdx = in,
		.rsi = HIGH | 5, .rdi = HIGH | 6, .r8 = out,
		.long_mode = true, .protected_mode = true,
	};
}

static struct hv_call call32(uint64_t control, uint64_t in, uint64_t out)
{
	return (struct hv_call){
		.rax = HIGH | (uint32_t)control, .rdx = HIGH | control >> 32,
		.rcx = HIGH | (uint32_t)in, .rbx = HIGH | in >> 32,
		.rsi = HIGH | (uint32_t)out, .rdi = HIGH | out >> 32,
		.r8 = HIGH | 7, .protected_mode = true,
	};
}

/* The result, of either kind of caller. */
static uint64_t result_of(const struct hv_call *c)
{
	return c->long_mode ? c->rax : c->rdx << 32 | c->rax;
}

static uint64_t value_of(uint64_t control, uint64_t in, uint64_t out)
{
	struct hv_call c = call64(control, in, out);

	assert_true(hv_hypercall(h.hv, 0, &c));
	return c.rax;
}

static uint64_t out_word(unsigned i)
{
	uint64_t word;

	memcpy(&word, h.ram + OUT + i * sizeof(word), sizeof(word));
	return word;
}

static void put_words(gpa_t gpa, unsigned n, const uint64_t *words)
{
	memcpy(h.ram + gpa, words, n * sizeof(*words));
}

#define NO_RESULT	UINT64_C(0xeeeeeeeeeeeeeeee)

/* TLFS: HC-10 HC-11 HC-19 HC-48 HC-58 HC-60 */
static void input_is_copied_before_and_output_written_after(void **state)
{
	struct hv_call c = call64(ECHO, IN, OUT), want = c;

	assert_true(hv_hypercall(h.hv, 0, &c));
	want.rax = 0;
	assert_memory_equal(&c, &want, sizeof(c));
	assert_int_equal(seen.runs, 1);
	for (unsigned i = 0; i < 24; i++) {
		assert_int_equal(seen.input[i], (uint8_t)(i * 7 + 1));
		assert_int_equal(h.ram[OUT + i], (uint8_t)(i * 7 + 2));
	}
	assert_int_equal(h.ram[OUT + 24], OLD);

	/* Over each other: the output is there in the end. */
	fill_input();
	assert_int_equal(value_of(ECHO, IN, IN + 8), 0);
	for (unsigned i = 0; i < 24; i++)
		assert_int_equal(h.ram[IN + 8 + i], (uint8_t)(i * 7 + 2));
}

/* TLFS: HC-20 HC-23 */
static void a_32_bit_caller_has_its_output_in_memory_too(void **state)
{
	struct hv_call c = call32(ECHO, IN, OUT), want = c;

	assert_true(hv_hypercall(h.hv, 0, &c));
	want.rax = want.rdx = 0;
	assert_memory_equal(&c, &want, sizeof(c));
	assert_int_equal(h.ram[OUT], 2);
	/* The upper half of an address counts. */
	c = call32(ECHO, IN, BIT64(32) | OUT);
	assert_true(hv_hypercall(h.hv, 0, &c));
	assert_int_equal(c.rax, HV_STATUS_INVALID_ALIGNMENT);
}

/* TLFS: HC-43 HC-44 HC-45 HC-46 HC-47 */
static void blocks_are_aligned_and_within_a_page_of_ram(void **state)
{
	static const struct {
		uint64_t gpa;
		bool good;
	} table[] = {
		{ 0x8000, true }, { 0x8001, false }, { 0x8002, false },
		{ 0x8004, false }, { 0x8007, false }, { 0x8008, true },
		{ 0x9000 - 24, true }, { 0x9000 - 16, false },
		{ 0x9000 - 8, false }, { 0, true },
		{ HV_HOST_RAM - 24, true }, { HV_HOST_RAM - 16, false },
		{ HV_HOST_RAM, false }, { BIT64(40), false },
		{ BIT64(52), false }, { UINT64_MAX - 0xfff, false },
		{ UINT64_MAX - 7, false }, { UINT64_MAX, false },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		uint64_t want = table[i].good ? 0 :
						HV_STATUS_INVALID_ALIGNMENT;

		seen.runs = 0;
		assert_int_equal(value_of(ECHO, table[i].gpa, OUT), want);
		assert_int_equal(value_of(ECHO, IN, table[i].gpa), want);
		assert_int_equal(seen.runs, table[i].good ? 2 : 0);
	}
}

/* TLFS: HC-45 HC-46 */
static void a_list_is_a_part_of_its_block(void **state)
{
	/* A header and 511 elements are a page; results are less. */
	assert_int_equal(value_of(DOUBLE | REPS(511), IN, OUT),
			 REPS(511));
	assert_int_equal(value_of(DOUBLE | REPS(512), IN, OUT),
			 HV_STATUS_INVALID_ALIGNMENT);
	assert_int_equal(value_of(DOUBLE | REPS(0xfff), IN, OUT),
			 HV_STATUS_INVALID_ALIGNMENT);
	assert_int_equal(value_of(DOUBLE | REPS(2), IN + PAGE - 24, OUT),
			 REPS(2));
	assert_int_equal(value_of(DOUBLE | REPS(2), IN + PAGE - 16, OUT),
			 HV_STATUS_INVALID_ALIGNMENT);
	assert_int_equal(value_of(DOUBLE | REPS(2), IN, OUT + PAGE - 16),
			 REPS(2));
	assert_int_equal(value_of(DOUBLE | REPS(2), IN, OUT + PAGE - 8),
			 HV_STATUS_INVALID_ALIGNMENT);
}

/* TLFS: HC-49 */
static void an_address_without_a_block_is_ignored(void **state)
{
	assert_int_equal(value_of(NOTHING, 1, UINT64_MAX), 0);
	assert_int_equal(value_of(OUTPUT_ONLY, 1, OUT), 0);
	assert_int_equal(h.ram[OUT], 0x5a);
	assert_int_equal(value_of(FULL, IN, 3), 0);
	assert_int_equal(seen.runs, 3);
}

/* TLFS: HC-56 HC-58 */
static void a_call_that_fails_has_no_output(void **state)
{
	struct hv_call c = call64(FAILS | FAST, 1, 2), want = c;

	assert_int_equal(value_of(FAILS, 0, OUT), HV_STATUS_INVALID_PARAMETER);
	assert_int_equal(h.ram[OUT], OLD);
	assert_true(hv_hypercall(h.hv, 0, &c));
	want.rax = HV_STATUS_INVALID_PARAMETER;
	assert_memory_equal(&c, &want, sizeof(c));
}

/* TLFS: HC-29 HC-31 HC-32 HC-33 HC-34 HC-35 HC-57 */
static void the_input_value_fits_the_call(void **state)
{
	static const struct {
		uint64_t control;
		bool good;
	} table[] = {
		{ NOTHING, true },
		{ NOTHING | REPS(1), false },
		{ NOTHING | REPS(0xfff), false },
		{ NOTHING | START(1), false },
		{ NOTHING | START(1) | REPS(2), false },
		{ NOTHING | VARHEAD(1), false },
		{ NOTHING | VARHEAD(0x200), false },
		{ NOTHING | BIT64(27), false }, { NOTHING | BIT64(30), false },
		{ NOTHING | BIT64(31), false }, { NOTHING | BIT64(44), false },
		{ NOTHING | BIT64(47), false }, { NOTHING | BIT64(60), false },
		{ NOTHING | BIT64(63), false },
		{ COUNTED | REPS(1), true },
		{ COUNTED | REPS(0xfff), true },
		{ COUNTED | REPS(0xfff) | START(0xffe), true },
		{ COUNTED | REPS(0xfff) | START(0xfff), false },
		{ COUNTED, false },
		{ COUNTED | START(1), false },
		{ COUNTED | REPS(1) | START(1), false },
		{ COUNTED | REPS(1) | START(2), false },
		{ COUNTED | REPS(1) | VARHEAD(1), false },
		{ COUNTED | REPS(1) | BIT64(28), false },
		{ HEADERS | VARHEAD(1), true },
		{ HEADERS | VARHEAD(1) | REPS(1), false },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		const uint64_t control = table[i].control;
		struct hv_call c = call64(control, IN, OUT);
		struct hv_call c32 = call32(control, IN, OUT);
		uint64_t want = table[i].good ? control & REPS(0xfff) :
					HV_STATUS_INVALID_HYPERCALL_INPUT;

		assert_true(hv_hypercall(h.hv, 0, &c));
		assert_true(hv_hypercall(h.hv, 0, &c32));
		assert_true(c.rax == want);
		assert_true(result_of(&c32) == want);
		if (!table[i].good)
			assert_true(c.rcx == control);
	}
}

/* TLFS: HC-01 HC-02 HC-08 HC-30 HC-57 HC-59 HC-60 */
static void a_list_is_done_in_order_from_its_start(void **state)
{
	static const uint64_t in[] = { 0, 1, 2, 3, 4, 5 };
	struct hv_call c = call64(DOUBLE | REPS(5) | START(2), IN, OUT);
	struct hv_call want = c;

	put_words(IN, G_N_ELEMENTS(in), in);
	assert_true(hv_hypercall(h.hv, 0, &c));
	want.rax = REPS(5);
	want.rcx = DOUBLE | REPS(5) | START(5);
	assert_memory_equal(&c, &want, sizeof(c));
	assert_int_equal(seen.runs, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(seen.reps[i], i + 2);
	/* Only what was done is written. */
	assert_true(out_word(1) == NO_RESULT);
	for (unsigned i = 2; i < 5; i++)
		assert_int_equal(out_word(i), 2 * in[i + 1]);
	assert_true(out_word(5) == NO_RESULT);
}

/* TLFS: HC-07 HC-09 */
static void an_element_that_fails_ends_the_list(void **state)
{
	static const uint64_t in[] = { 0, 1, 2, REFUSED, 4 };

	put_words(IN, G_N_ELEMENTS(in), in);
	assert_true(value_of(DOUBLE | REPS(4), IN, OUT) ==
		    (REPS(2) | HV_STATUS_INVALID_PARAMETER));
	assert_int_equal(seen.runs, 3);
	assert_int_equal(out_word(0), 2);
	assert_int_equal(out_word(1), 4);
	assert_true(out_word(2) == NO_RESULT);
	/* The first one of those asked for. */
	assert_true(value_of(DOUBLE | REPS(4) | START(2), IN, OUT) ==
		    (REPS(2) | HV_STATUS_INVALID_PARAMETER));
	assert_int_equal(seen.runs, 4);
}

/* Call as the page does, until the call is done; returns the slices. */
static unsigned until_done(struct hv_call *c)
{
	unsigned slices = 0;

	do {
		assert_true(hv_hypercall(h.hv, 0, c));
		slices++;
	} while (c->again);
	return slices;
}

/* TLFS: HC-03 HC-04 HC-05 HC-59 */
static void a_long_list_is_done_in_slices(void **state)
{
	struct hv_call c = call64(DOUBLE | REPS(10), IN, OUT), want = c;

	/* However slow they are, one element is done. */
	seen.step = 100 * SLICE;
	assert_true(hv_hypercall(h.hv, 0, &c));
	want.again = true;
	want.rcx = DOUBLE | REPS(10) | START(1);
	assert_memory_equal(&c, &want, sizeof(c));
	assert_int_equal(seen.runs, 1);

	/* Four of them: 50 us are over. */
	seen.step = SLICE / 4;
	assert_true(hv_hypercall(h.hv, 0, &c));
	want.rcx = DOUBLE | REPS(10) | START(5);
	assert_memory_equal(&c, &want, sizeof(c));
	assert_true(out_word(4) != NO_RESULT);
	assert_true(out_word(5) == NO_RESULT);

	assert_int_equal(until_done(&c), 2);
	want.again = false;
	want.rax = REPS(10);
	want.rcx = DOUBLE | REPS(10) | START(10);
	assert_memory_equal(&c, &want, sizeof(c));
	assert_int_equal(seen.runs, 10);
}

/* TLFS: HC-04 HC-23 HC-59 */
static void a_32_bit_caller_goes_on_by_edx_eax(void **state)
{
	struct hv_call c = call32(DOUBLE | REPS(3), IN, OUT), want = c;

	seen.step = SLICE;
	assert_true(hv_hypercall(h.hv, 0, &c));
	assert_true(c.again);
	want.again = true;
	want.rax = DOUBLE;
	want.rdx = (REPS(3) | START(1)) >> 32;
	assert_memory_equal(&c, &want, sizeof(c));
	assert_int_equal(until_done(&c), 2);
	want.again = false;
	want.rax = 0;
	want.rdx = 3;
	assert_memory_equal(&c, &want, sizeof(c));
	assert_int_equal(seen.runs, 3);
}

static void one_action_may_do_many_elements(void **state)
{
	assert_true(value_of(COUNTED | REPS(0xfff) | START(7), IN, 0) ==
		    REPS(0xfff));
	assert_int_equal(seen.runs, 1);
}

/* TLFS: HC-27 HC-36 HC-37 */
static void a_variable_header_follows_the_fixed_one(void **state)
{
	uint32_t first;

	assert_int_equal(value_of(HEADERS, IN, 0), 0);
	assert_int_equal(seen.header_size, 0);
	assert_int_equal(value_of(HEADERS | VARHEAD(3), IN, 0), 0);
	assert_int_equal(seen.header_size, 24);
	assert_memory_equal(seen.input, h.ram + IN, 16 + 24);
	/* A page is 16 bytes and 510 times 8. */
	assert_int_equal(value_of(HEADERS | VARHEAD(510), IN, 0), 0);
	assert_int_equal(value_of(HEADERS | VARHEAD(511), IN, 0),
			 HV_STATUS_INVALID_ALIGNMENT);
	assert_int_equal(value_of(HEADERS | VARHEAD(0x3ff), IN, 0),
			 HV_STATUS_INVALID_ALIGNMENT);

	/* 20 bytes, then 16, and the list at the next 8. */
	assert_true(value_of(HEADERS_LIST | VARHEAD(2) | REPS(2), IN, 0) ==
		    REPS(2));
	assert_memory_equal(seen.words, h.ram + IN + 40, 8);
	assert_true(value_of(HEADERS_LIST | REPS(1), IN, 0) == REPS(1));
	memcpy(&first, h.ram + IN + 24, sizeof(first));
	assert_int_equal(seen.words[0], first);
}

static void fill_xmm(struct hv_call *c)
{
	for (unsigned i = 0; i < sizeof(c->xmm); i++)
		((uint8_t *)c->xmm)[i] = (uint8_t)(i + 16);
}

/* TLFS: HC-21 HC-61 HC-63 HC-65 */
static void a_fast_call_has_112_bytes_of_input(void **state)
{
	struct hv_call c = call64(FULL | FAST, UINT64_C(0x0706050403020100),
				  UINT64_C(0x0f0e0d0c0b0a0908));
	struct hv_call want;

	fill_xmm(&c);
	want = c;
	assert_true(hv_hypercall(h.hv, 0, &c));
	want.rax = 0;
	assert_memory_equal(&c, &want, sizeof(c));
	for (unsigned i = 0; i < 112; i++)
		assert_int_equal(seen.input[i], i);
	assert_int_equal(value_of(TOO_MUCH | FAST, IN, 0),
			 HV_STATUS_INVALID_HYPERCALL_INPUT);
	assert_int_equal(value_of(TOO_MUCH, IN, 0), 0);
	/* A header of 16 bytes needs no more of them. */
	assert_int_equal(value_of(HEADERS | FAST, IN, 0), 0);
}

/* TLFS: HC-22 HC-64 */
static void a_32_bit_fast_call_has_them_too(void **state)
{
	struct hv_call c = call32(FULL | FAST, UINT64_C(0x0706050403020100),
				  UINT64_C(0x0f0e0d0c0b0a0908));

	fill_xmm(&c);
	assert_true(hv_hypercall(h.hv, 0, &c));
	assert_int_equal(c.rax, 0);
	for (unsigned i = 0; i < 112; i++)
		assert_int_equal(seen.input[i], i);
}

/* TLFS: HC-67 */
static void a_fast_call_ends_with_its_registers(void **state)
{
	/* 16 bytes and 12 times 8. */
	assert_int_equal(value_of(HEADERS | FAST | VARHEAD(12), 0, 0), 0);
	assert_int_equal(value_of(HEADERS | FAST | VARHEAD(13), 0, 0),
			 HV_STATUS_INVALID_HYPERCALL_INPUT);
	assert_int_equal(value_of(HEADERS | FAST | VARHEAD(0x3ff), 0, 0),
			 HV_STATUS_INVALID_HYPERCALL_INPUT);
	/* A list at 24. */
	assert_true(value_of(HEADERS_LIST | FAST | REPS(22), 0, 0) ==
		    REPS(22));
	assert_int_equal(value_of(HEADERS_LIST | FAST | REPS(23), 0, 0),
			 HV_STATUS_INVALID_HYPERCALL_INPUT);
	assert_int_equal(value_of(HEADERS_LIST | FAST | REPS(0xfff), 0, 0),
			 HV_STATUS_INVALID_HYPERCALL_INPUT);
}

/* TLFS: HC-60 HC-68 */
static void fast_output_follows_the_input(void **state)
{
	struct hv_call c = call64(EXAMPLE | FAST, 1, 2), want;

	fill_xmm(&c);
	want = c;
	assert_true(hv_hypercall(h.hv, 0, &c));
	want.rax = 0;
	want.xmm_dirty = true;
	for (unsigned i = 0; i < 80; i++)
		((uint8_t *)want.xmm)[16 + i] = (uint8_t)(0x80 + i);
	assert_memory_equal(&c, &want, sizeof(c));
	assert_int_equal(value_of(TOO_MUCH_OUT | FAST, 0, 0),
			 HV_STATUS_INVALID_HYPERCALL_INPUT);

	/* Without input it begins in RDX; what the call leaves out is zero. */
	c = call64(OUTPUT_ONLY | FAST, 1, 2);
	want = c;
	assert_true(hv_hypercall(h.hv, 0, &c));
	want.rax = 0;
	want.rdx = UINT64_C(0x5a5a5a5a5a5a5a5a);
	want.r8 = 0;
	assert_memory_equal(&c, &want, sizeof(c));
}

/* TLFS: HC-70 HC-71 */
static void a_32_bit_caller_gets_no_output_in_registers(void **state)
{
	static const uint64_t controls[] = {
		EXAMPLE | FAST, OUTPUT_ONLY | FAST, DOUBLE | FAST | REPS(1),
	};

	for (size_t i = 0; i < G_N_ELEMENTS(controls); i++) {
		struct hv_call c = call32(controls[i], 1, 2), want = c;

		assert_true(hv_hypercall(h.hv, 0, &c));
		want.rax = HV_STATUS_INVALID_HYPERCALL_INPUT;
		want.rdx = 0;
		assert_memory_equal(&c, &want, sizeof(c));
	}
	assert_int_equal(seen.runs, 0);
}

/* TLFS: HC-73 */
static void a_fast_list_keeps_its_place_in_the_registers(void **state)
{
	/* 8 bytes, 3 elements: 32; their results are in XMM1 and XMM2. */
	struct hv_call c = call64(DOUBLE | FAST | REPS(3), 0, 10), want;
	const uint64_t rest[] = { 11, 12 };
	const uint64_t results[] = { 20, 22, 24 };

	seen.step = SLICE;
	memcpy(c.xmm[0], rest, sizeof(rest));
	memset(c.xmm[1], OLD, sizeof(c.xmm[1]));
	want = c;
	assert_int_equal(until_done(&c), 3);
	want.rax = REPS(3);
	want.rcx = DOUBLE | FAST | REPS(3) | START(3);
	want.xmm_dirty = true;
	memcpy(want.xmm[1], results, sizeof(results));
	assert_memory_equal(&c, &want, sizeof(c));
	assert_int_equal(seen.runs, 3);
}

/* TLFS: HC-66 HC-69 FD-19 FD-20 */
static void xmm_that_is_not_offered_is_ud(void **state)
{
	static const struct {
		uint64_t control;
		bool needs_in, needs_out;
	} table[] = {
		{ FULL | FAST, true, false }, { FULL, false, false },
		{ HEADERS | FAST, false, false },
		{ HEADERS | FAST | VARHEAD(1), true, false },
		{ OUTPUT_ONLY | FAST, false, true },
		{ OUTPUT_ONLY, false, false },
		{ EXAMPLE | FAST, true, true },
	};
	const uint32_t all = h.hv->features[EDX];

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		struct hv_call c = call64(table[i].control, IN, OUT), was = c;

		h.hv->features[EDX] = all & ~HV_XMM_INPUT_AVAILABLE;
		assert_int_equal(hv_hypercall(h.hv, 0, &c),
				 !table[i].needs_in);
		if (table[i].needs_in)
			assert_memory_equal(&c, &was, sizeof(c));
		c = was;
		h.hv->features[EDX] = all & ~HV_XMM_OUTPUT_AVAILABLE;
		assert_int_equal(hv_hypercall(h.hv, 0, &c),
				 !table[i].needs_out);
		c = was;
		h.hv->features[EDX] = all;
		assert_true(hv_hypercall(h.hv, 0, &c));
	}
}

static void only_a_call_that_uses_xmm_costs_it(void **state)
{
	static const struct {
		uint64_t control;
		bool wants;
	} table[] = {
		{ FULL | FAST, true }, { FULL, false },
		{ TOO_MUCH | FAST, false }, { HEADERS | FAST, false },
		{ HEADERS | FAST | VARHEAD(1), true },
		{ OUTPUT_ONLY | FAST, false }, { EXAMPLE | FAST, true },
		{ DOUBLE | FAST | REPS(1), true }, { DOUBLE | FAST, false },
		{ NOTHING | FAST, false }, { 0x7ffe | FAST, false },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
		struct hv_call c = call64(table[i].control, IN, OUT);

		assert_int_equal(hv_call_wants_xmm(h.hv, &c), table[i].wants);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(input_is_copied_before_and_output_written_after),
		TEST(a_32_bit_caller_has_its_output_in_memory_too),
		TEST(blocks_are_aligned_and_within_a_page_of_ram),
		TEST(a_list_is_a_part_of_its_block),
		TEST(an_address_without_a_block_is_ignored),
		TEST(a_call_that_fails_has_no_output),
		TEST(the_input_value_fits_the_call),
		TEST(a_list_is_done_in_order_from_its_start),
		TEST(an_element_that_fails_ends_the_list),
		TEST(a_long_list_is_done_in_slices),
		TEST(a_32_bit_caller_goes_on_by_edx_eax),
		TEST(one_action_may_do_many_elements),
		TEST(a_variable_header_follows_the_fixed_one),
		TEST(a_fast_call_has_112_bytes_of_input),
		TEST(a_32_bit_fast_call_has_them_too),
		TEST(a_fast_call_ends_with_its_registers),
		TEST(fast_output_follows_the_input),
		TEST(a_32_bit_caller_gets_no_output_in_registers),
		TEST(a_fast_list_keeps_its_place_in_the_registers),
		TEST(xmm_that_is_not_offered_is_ud),
		TEST(only_a_call_that_uses_xmm_costs_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
