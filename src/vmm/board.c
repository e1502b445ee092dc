/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>
#include <time.h>

#include "backends/chardev.h"
#include "core/error.h"
#include "core/util.h"
#include "devices/chipset/acpi_pm.h"
#include "devices/chipset/debug_exit.h"
#include "devices/chipset/fw_cfg.h"
#include "devices/chipset/ioports.h"
#include "devices/chipset/rtc.h"
#include "devices/chipset/uart16550.h"
#include "vmm/acpi.h"
#include "vmm/board.h"
#include "vmm/layout.h"
#include "vmm/smbios.h"

#define COM1	0x3f8
#define COM2	0x2f8

struct gsi_line {
	struct irq_line line;
	const struct kvm *kvm;
	uint32_t gsi;
	bool high;
};

struct board {
	const struct options *options;
	const struct gmem *gm;
	const struct board_ops *ops;
	void *host;
	struct loader *loader;
	struct ioports ports;
	struct gsi_line com1_irq, com2_irq, sci;
	struct uart16550 com1, com2;
	struct rtc rtc;
	struct acpi_pm pm;
	struct debug_exit debug_exit;	/* these two: MACHINE_UNIT_TEST */
	struct fw_cfg fw_cfg;
	struct chardev *console;	/* of COM1; NULL: nobody listens */
};

/* Under the bus lock, or before anything runs. */
static void gsi_set(struct irq_line *line, bool high)
{
	struct gsi_line *g = container_of(line, struct gsi_line, line);

	if (g->high == high)
		return;
	g->high = high;
	kvm_set_irq(g->kvm, g->gsi, high);
}

static void gsi_init(struct gsi_line *g, const struct kvm *kvm, uint32_t gsi)
{
	*g = (struct gsi_line){
		.line.set = gsi_set, .kvm = kvm, .gsi = gsi,
	};
}

static int64_t wall_clock(void)
{
	return (int64_t)time(NULL);
}

static uint64_t monotonic_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void com1_output(struct uart16550 *u, uint8_t byte)
{
	struct board *b = container_of(u, struct board, com1);

	if (b->console)
		chardev_write(b->console, &byte, 1);
}

static void com1_drained(struct uart16550 *u)
{
	struct board *b = container_of(u, struct board, com1);

	if (b->console)
		chardev_accept(b->console);
}

static size_t console_input(void *user, const uint8_t *bytes, size_t len)
{
	struct board *b = user;
	size_t n;

	pthread_mutex_lock(&b->ports.lock);
	n = uart_input(&b->com1, bytes, len);
	pthread_mutex_unlock(&b->ports.lock);
	return n;
}

static void console_quit(void *user)
{
	struct board *b = user;

	b->ops->quit(b->host);
}

static void pm_power_off(struct acpi_pm *pm)
{
	struct board *b = container_of(pm, struct board, pm);

	b->ops->power_off(b->host);
}

static void pm_reset(struct acpi_pm *pm)
{
	struct board *b = container_of(pm, struct board, pm);

	b->ops->reset(b->host);
}

static void exit_written(struct debug_exit *d, int status)
{
	struct board *b = container_of(d, struct board, debug_exit);

	b->ops->exit(b->host, status);
}

static void make_devices(struct board *b, const struct kvm *kvm)
{
	ioports_init(&b->ports);
	gsi_init(&b->com1_irq, kvm, LAYOUT_GSI_COM1);
	gsi_init(&b->com2_irq, kvm, LAYOUT_GSI_COM2);
	gsi_init(&b->sci, kvm, LAYOUT_GSI_SCI);
	uart_init(&b->com1, COM1, &b->com1_irq.line);
	uart_init(&b->com2, COM2, &b->com2_irq.line);
	b->com1.output = com1_output;
	b->com1.drained = com1_drained;
	ioports_add(&b->ports, &b->com1.io);
	ioports_add(&b->ports, &b->com2.io);
	rtc_init(&b->rtc, wall_clock);
	ioports_add(&b->ports, &b->rtc.io);
	acpi_pm_init(&b->pm, &b->ports, &b->sci.line, monotonic_ns);
	b->pm.power_off = pm_power_off;
	b->pm.system_reset = pm_reset;
}

static void make_test_devices(struct board *b)
{
	debug_exit_init(&b->debug_exit);
	b->debug_exit.exit = exit_written;
	ioports_add(&b->ports, &b->debug_exit.io);
	fw_cfg_init(&b->fw_cfg, b->options->memory,
		    (uint16_t)b->options->cpus);
	ioports_add(&b->ports, &b->fw_cfg.io);
}

static bool open_console(struct board *b, struct loop *loop, GError **error)
{
	const struct chardev_user user = {
		.input = console_input, .quit = console_quit, .user = b,
	};

	if (!strcmp(b->options->console, "off"))
		return true;
	b->console = chardev_open(b->options->console, loop, &user, error);
	return b->console != NULL;
}

static bool open_image(struct board *b, const struct kvm *kvm, GError **error)
{
	const struct options *o = b->options;
	g_autofree char *named =
		g_strdup_printf("%s %s", o->kernel, o->append);

	/* A test kernel takes the first word for its name. */
	b->loader = loader_open(o->kernel, o->initrd,
				o->machine == MACHINE_UNIT_TEST ? named :
								  o->append,
				error);
	if (!b->loader)
		return false;
	if (!kvm->paravirtual || !loader_is_linux(b->loader))
		return true;
	user_error_set(error, EX_UNAVAILABLE, "kvm.paravirtual",
		       "this computer's KVM cannot run unmodified guests",
		       "it is kvm_pvm, without hardware virtualization",
		       "scripts/with-kvm kvmbus run ...   (an emulated "
		       "machine; slow)");
	return false;
}

struct board *board_new(const struct options *o, const struct kvm *kvm,
			const struct gmem *gm, struct loop *loop,
			const struct board_ops *ops, void *host,
			GError **error)
{
	struct board *b = g_new0(struct board, 1);

	b->options = o;
	b->gm = gm;
	b->ops = ops;
	b->host = host;
	make_devices(b, kvm);
	if (o->machine == MACHINE_UNIT_TEST)
		make_test_devices(b);
	if (open_image(b, kvm, error) && open_console(b, loop, error))
		return b;
	board_free(b);
	return NULL;
}

void board_free(struct board *b)
{
	if (!b)
		return;

	chardev_close(b->console);
	loader_free(b->loader);
	ioports_finish(&b->ports);
	g_free(b);
}

struct ioports *board_ports(struct board *b)
{
	return &b->ports;
}

void board_reset_devices(struct board *b)
{
	pthread_mutex_lock(&b->ports.lock);
	uart_reset(&b->com1);
	uart_reset(&b->com2);
	acpi_pm_reset(&b->pm);
	fw_cfg_reset(&b->fw_cfg);
	pthread_mutex_unlock(&b->ports.lock);
}

bool board_load(struct board *b, bool vmbus, struct boot_state *state,
		GError **error)
{
	const struct acpi_config acpi = {
		.vp_count = b->options->cpus, .com_count = 2,
		.no_vmbus = !vmbus,
	};
	const struct smbios_config smbios = {
		.vp_count = b->options->cpus, .memory = b->options->memory,
		.uuid = GUID(0x6b766d62, 0x7573, 0x4d00, 0x8000, 0),
	};

	acpi_write(b->gm, &acpi);
	smbios_write(b->gm, &smbios);
	return loader_load(b->loader, b->gm, state, error);
}
