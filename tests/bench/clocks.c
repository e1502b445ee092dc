/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * clocks - the clock and the timers of the machine that this runs on; hv.py
 * runs it in guests.
 *
 *	clocks time	"CLOCK n m": nanoseconds of a clock_gettime(), of m that
 *			were called
 *	clocks sleep	"LATE n m": how much later than asked for a sleeper wakes,
 *			in nanoseconds, median and 99th percentile
 */
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define BLOCK		1000
#define MEASURE		500000000	/* ns */
#define SLEEPS		1000
#define PERIOD		3000000		/* ns */
#define NS_PER_S	1000000000

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

static void measure_time(void)
{
	int64_t begin = now(), reads = 0, took;

	do {
		for (int i = 0; i < BLOCK - 1; i++)
			now();
		reads += BLOCK;
		took = now() - begin;
	} while (took < MEASURE);
	printf("CLOCK %.1f %lld\n", (double)took / (double)reads,
	       (long long)reads);
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* Alone on its processor, and at times that nothing else has. */
static void measure_sleep(void)
{
	const struct sched_param first = { .sched_priority = 80 };
	static int64_t late[SLEEPS];

	sched_setscheduler(0, SCHED_FIFO, &first);
	mlockall(MCL_CURRENT | MCL_FUTURE);
	for (int i = 0; i < SLEEPS; i++) {
		int64_t at = now() + PERIOD + i * 977 % 100000;
		const struct timespec until = {
			.tv_sec = at / NS_PER_S, .tv_nsec = at % NS_PER_S,
		};

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
		late[i] = now() - at;
	}
	qsort(late, SLEEPS, sizeof(late[0]), compare);
	printf("LATE %lld %lld\n", (long long)late[SLEEPS / 2],
	       (long long)late[SLEEPS * 99 / 100]);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "time"))
		measure_time();
	else
		measure_sleep();
	return 0;
}
