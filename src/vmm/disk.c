/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "backends/image_kind.h"
#include "backends/nbd_connect.h"
#include "core/error.h"
#include "vmm/disk.h"
#include "vmm/disk_internal.h"
#include "vmm/options.h"

enum sub { INFO, CREATE, CONVERT, CHECK, RESIZE, REBASE, COMMIT, SUBS };

static const struct {
	const char *name;
	const char *words;
	const char *help;
	unsigned min, max;	/* words */
	int (*run)(const struct disk_args *a, GError **error);
} subs[SUBS] = {
	[INFO] = { "info", "FILE", "what is in an image", 1, 1, disk_info },
	[CREATE] = { "create", "FILE [SIZE]",
		     "make an image; SIZE such as 64G", 1, 2, disk_create },
	[CONVERT] = { "convert", "FROM TO", "copy a disk to a new image", 2, 2,
		      disk_convert },
	[CHECK] = { "check", "FILE", "say what is wrong with an image", 1, 1,
		    disk_check },
	[RESIZE] = { "resize", "FILE SIZE", "give a disk another size", 2, 2,
		     disk_resize },
	[REBASE] = { "rebase", "FILE", "say where its parent is now", 1, 1,
		     disk_rebase },
	[COMMIT] = { "commit", "FILE", "write what it has to its parent, which "
		     "its siblings lose", 1, 1, disk_commit },
};

static bool set_format(struct disk_args *a, const char *value, GError **error)
{
	a->format = value;
	return true;
}

static bool set_parent(struct disk_args *a, const char *value, GError **error)
{
	a->parent = value;
	return true;
}

static bool set_block_size(struct disk_args *a, const char *value,
			   GError **error)
{
	return disk_parse_size(value, &a->block_size, error);
}

static bool set_fixed(struct disk_args *a, const char *value, GError **error)
{
	return a->fixed = true;
}

static bool set_azure(struct disk_args *a, const char *value, GError **error)
{
	return a->azure = a->fixed = true;
}

static bool set_force(struct disk_args *a, const char *value, GError **error)
{
	return a->force = true;
}

static bool set_json(struct disk_args *a, const char *value, GError **error)
{
	return a->json = true;
}

static bool set_repair(struct disk_args *a, const char *value, GError **error)
{
	return a->repair = true;
}

static bool set_replay(struct disk_args *a, const char *value, GError **error)
{
	return a->replay = true;
}

static bool set_shrink(struct disk_args *a, const char *value, GError **error)
{
	return a->shrink = true;
}

#define OF(sub)		(1u << (sub))
#define OF_ALL		(OF(SUBS) - 1)

static const struct option {
	const char *flag;
	const char *argument;	/* NULL: takes none */
	const char *help;
	unsigned of;		/* bits of enum sub */
	bool (*set)(struct disk_args *a, const char *value, GError **error);
} options[] = {
	{ "-O", "FORMAT", "raw, vhd or vhdx (by the name of the file)",
	  OF(CREATE) | OF(CONVERT), set_format },
	{ "--fixed", NULL, "with room for all blocks, not one that grows",
	  OF(CREATE) | OF(CONVERT), set_fixed },
	{ "--azure", NULL, "a fixed VHD of whole MiB, as Azure takes them",
	  OF(CREATE) | OF(CONVERT), set_azure },
	{ "--parent", "FILE", "a VHD or VHDX, to keep what differs from it only",
	  OF(CREATE) | OF(REBASE), set_parent },
	{ "--block-size", "SIZE", "of a disk that grows (VHD 2M, VHDX 32M)",
	  OF(CREATE) | OF(CONVERT), set_block_size },
	{ "--force", NULL, "write over a file that is there",
	  OF(CREATE) | OF(CONVERT), set_force },
	{ "--json", NULL, "for programs: what there is now",
	  OF_ALL, set_json },
	{ "--repair", NULL, "mend what can be mended without a guess",
	  OF(CHECK), set_repair },
	{ "--replay", NULL, "write what the log of a VHDX has to its places",
	  OF(CHECK), set_replay },
	{ "--shrink", NULL, "allow a smaller size, if nothing is there",
	  OF(RESIZE), set_shrink },
};

bool disk_fail(GError **error, int status, const char *id, const char *what,
	       const char *why, const char *advice)
{
	user_error_set(error, status, id, what, why, advice);
	return false;
}

static bool usage(GError **error, const char *what, const char *why,
		  const char *advice)
{
	return disk_fail(error, EX_USAGE, "usage", what, why, advice);
}

bool disk_parse_size(const char *text, uint64_t *bytes, GError **error)
{
	g_autofree char *what = g_strdup_printf("%s is no size", text);

	return options_parse_size(text, bytes) ||
	       usage(error, what, "a size is a number and one of K, M, G, T",
		     "64G");
}

void disk_help(void)
{
	printf("\nkvmbus disk\n");
	for (unsigned i = 0; i < SUBS; i++) {
		g_autofree char *line = g_strdup_printf(
			"%s %s", subs[i].name, subs[i].words);

		printf("  %-31s %s\n", line, subs[i].help);
	}
	for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
		const struct option *o = &options[i];
		g_autofree char *flag = g_strdup_printf(
			"%s %s", o->flag, o->argument ? o->argument : "");
		g_autoptr(GString) of = g_string_new(NULL);

		if (o->of == OF_ALL)
			g_string_assign(of, "all");
		for (unsigned s = 0; s < SUBS && o->of != OF_ALL; s++)
			if (o->of & OF(s))
				g_string_append_printf(of, "%s%s",
						       of->len ? ", " : "",
						       subs[s].name);
		printf("  %-31s %s: %s\n", flag, of->str, o->help);
	}
}

static bool find_sub(const char *name, enum sub *sub, GError **error)
{
	g_autofree char *what = NULL;

	for (unsigned i = 0; i < SUBS && name; i++) {
		if (!strcmp(subs[i].name, name)) {
			*sub = (enum sub)i;
			return true;
		}
	}
	what = g_strdup_printf("kvmbus disk %s is not possible",
			       name ? name : "alone");
	return usage(error, what,
		     "there are info, create, convert, check, resize, rebase "
		     "and commit",
		     "kvmbus help");
}

static const struct option *find_option(enum sub sub, const char *flag)
{
	for (size_t i = 0; i < G_N_ELEMENTS(options); i++)
		if (options[i].of & OF(sub) && !strcmp(options[i].flag, flag))
			return &options[i];
	return NULL;
}

/* The option at @argv[*at], and its value. */
static bool parse_option(struct disk_args *a, enum sub sub, char **argv,
			 int *at, GError **error)
{
	const struct option *o = find_option(sub, argv[*at]);
	const char *value = NULL;
	g_autofree char *what = NULL;

	if (!o) {
		what = g_strdup_printf("unknown option %s", argv[*at]);
		return usage(error, what, "kvmbus disk does not know it here",
			     "kvmbus help");
	}
	if (o->argument) {
		value = argv[*at + 1] ? argv[++*at] : NULL;
		what = g_strdup_printf("%s needs a value", o->flag);
		if (!value)
			return usage(error, what, o->help, "kvmbus help");
	}
	return o->set(a, value, error);
}

static bool parse(struct disk_args *a, enum sub sub, int argc, char **argv,
		  GError **error)
{
	unsigned words = 0;
	g_autofree char *form = g_strdup_printf("kvmbus disk %s %s",
						subs[sub].name,
						subs[sub].words);

	for (int i = 1; i < argc; i++) {
		if (argv[i][0] == '-' && argv[i][1]) {
			if (!parse_option(a, sub, argv, &i, error))
				return false;
		} else if (words == subs[sub].max) {
			return usage(error, "too many words", argv[i], form);
		} else if (words++) {
			a->second = argv[i];
		} else {
			a->file = argv[i];
		}
	}
	return words >= subs[sub].min ||
	       usage(error, "a word is missing", "this is the form", form);
}

/*
 * A server's disk, and formats that others have made, can be read; to make and
 * change them is those ones' business.
 */
static bool is_ours(const struct disk_args *a, enum sub sub, GError **error)
{
	const char *made = sub == CONVERT ? a->second :
			   sub == INFO ? NULL : a->file;
	const struct image_kind *kind =
		sub == CHECK || sub == RESIZE || sub == COMMIT ?
		image_kind_of_file(a->file, NULL) : NULL;
	g_autofree char *what = NULL, *why = NULL;

	if (!made || (!kind && !nbd_is_uri(made)))
		return true;
	what = g_strdup_printf("cannot %s %s", subs[sub].name, made);
	if (!kind)
		return disk_fail(error, EX_USAGE, "disk.uri", what,
				 "it is a disk of a server, which can only be "
				 "read", "the name of a file");
	why = g_strdup_printf("it is a %s image, which can only be read",
			      kind->name);
	return disk_fail(error, EX_USAGE, "image.kind", what, why,
			 "qemu-img, or kvmbus disk convert to another format");
}

/* The image is all that there is to tell of it. */
static bool makes_image(enum sub sub)
{
	return sub == CREATE || sub == CONVERT || sub == RESIZE;
}

static int tell_image(const struct disk_args *a, enum sub sub, GError **error)
{
	const struct disk_args info = {
		.file = sub == CONVERT ? a->second : a->file, .json = true,
	};

	return disk_info(&info, error);
}

int disk_command(int argc, char **argv, GError **error)
{
	struct disk_args a = { 0 };
	enum sub sub = INFO;
	int status;

	if (!find_sub(argv[0], &sub, error) ||
	    !parse(&a, sub, argc, argv, error) ||
	    !is_ours(&a, sub, error))
		return (*error)->code;
	status = subs[sub].run(&a, error);
	if (status || !a.json || !makes_image(sub))
		return status;
	return tell_image(&a, sub, error);
}
