/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One byte to and fro over TCP, again and again.
 *
 *	rr serve PORT			answers one client after the other
 *	rr ADDRESS PORT SECONDS		asks: prints how often in a second
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static struct sockaddr_in address(const char *host, const char *port)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
	};

	inet_pton(AF_INET, host, &a.sin_addr);
	return a;
}

static void at_once(int fd)
{
	int one = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
}

static int serve(const char *port)
{
	const struct sockaddr_in a = address("0.0.0.0", port);
	int fd = socket(AF_INET, SOCK_STREAM, 0), client;
	char c;

	if (bind(fd, (const void *)&a, sizeof(a)) < 0 || listen(fd, 16) < 0) {
		perror("rr");
		return 1;
	}
	while ((client = accept(fd, NULL, NULL)) >= 0) {
		at_once(client);
		while (read(client, &c, 1) == 1 && write(client, &c, 1) == 1)
			;
		close(client);
	}
	return 1;
}

static int ask(const char *host, const char *port, double limit)
{
	const struct sockaddr_in a = address(host, port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	double begin, now;
	unsigned long n = 0;
	char c = 'c';

	if (connect(fd, (const void *)&a, sizeof(a)) < 0) {
		perror("rr");
		return 1;
	}
	at_once(fd);
	begin = now = seconds();
	for (; now - begin < limit; now = seconds(), n++) {
		if (write(fd, &c, 1) != 1 || read(fd, &c, 1) != 1) {
			perror("rr");
			return 1;
		}
	}
	printf("%.1f\n", (double)n / (now - begin));
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "serve"))
		return serve(argv[2]);
	if (argc == 4)
		return ask(argv[1], argv[2], strtod(argv[3], NULL));
	fprintf(stderr, "usage: rr serve PORT | rr ADDRESS PORT SECONDS\n");
	return 2;
}
