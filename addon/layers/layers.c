/*
 * Reads one layer after the other. A hard link to something that went by unseen makes its layer be read a second time, for that
 * alone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "layers_internal.h"

static int take_one(struct sing_layers *layers, const struct sing_member *member, sing_take *taker)
{
	int error = sing_merge_check(member->path);

	free(layers->clean);
	layers->clean = NULL;
	if (error != 0)
		return error;
	layers->clean = sing_clean_path(member->path);
	layers->member_number++;
	return layers->clean == NULL ? ENOMEM : taker(layers, member);
}

/* Every member, and what is behind the last one, because the sums are of all bytes. */
static int take_all(struct sing_layers *layers, sing_take *taker, struct sing_failure *failure)
{
	struct sing_member member;
	const void *rest;
	ssize_t size = 0;
	int reason = 0;
	int result;

	while ((result = sing_archive_next(layers->archive, &member, &reason)) > 0) {
		reason = take_one(layers, &member, taker);
		layers->position = sing_feed_position(layers->feed);
		if (reason != 0)
			break;
	}
	if (reason == 0)
		while ((size = sing_feed_next(layers->feed, &rest, &reason)) > 0)
			continue;
	if (reason != 0)
		return sing_fail(failure, reason, "unpack", member.path == NULL ? "" : member.path);
	return 0;
}

static int pass(struct sing_layers *layers, const struct sing_feed_options *options, sing_take *taker,
		struct sing_layer_result *result, struct sing_failure *failure)
{
	int error = sing_feed_start(options, &layers->feed);
	int status;

	if (error != 0)
		return sing_fail(failure, error, "unpack", "");
	layers->member_number = 0;
	layers->archive = sing_archive_open(layers->feed);
	status = layers->archive == NULL ? sing_fail(failure, ENOMEM, "unpack", "") : take_all(layers, taker, failure);
	if (layers->archive != NULL)
		result->left_out = sing_archive_left_out(layers->archive);
	result->entries = layers->member_number;
	result->bytes = sing_feed_size(layers->feed);
	if (status == 0)
		sing_feed_sums(layers->feed, result->packed, result->plain);
	else
		sing_source_stop(options->source, SING_STOPPED);
	if (layers->archive != NULL)
		sing_archive_close(layers->archive);
	sing_feed_stop(layers->feed);
	layers->archive = NULL;
	layers->feed = NULL;
	return status;
}

int sing_layers_apply(struct sing_layers *layers, struct sing_source *source, enum sing_digest_kind packed,
		      enum sing_digest_kind plain, struct sing_layer_result *result, struct sing_failure *failure)
{
	struct sing_feed_options options = { source, packed, plain, layers->limits.ratio };
	struct sing_layer_result again = { 0 };
	int status;

	layers->merge.layer = layers->next++;
	status = pass(layers, &options, sing_take_member, result, failure);
	if (status == 0 && sing_links_look_again(&layers->merge.links, layers->merge.layer)) {
		status = pass(layers, &options, sing_take_wanted, &again, failure);
		if (status == 0 && strcmp(again.plain, result->plain) != 0)
			status = sing_fail(failure, SING_CHANGED, "unpack", "");
	}
	sing_links_end_layer(&layers->merge.links);
	return status;
}

uint64_t sing_layers_position(const struct sing_layers *layers)
{
	return layers->position;
}

int sing_layers_end(struct sing_layers *layers, struct sing_failure *failure)
{
	char *path = NULL;
	int error = sing_merge_settle(&layers->merge, &path);

	if (error == 0 && layers->keep_whiteouts)
		error = sing_overlay_mark(&layers->overlay, &layers->merge);
	if (error == 0)
		error = sing_merge_tie(&layers->merge);
	if (error == 0)
		error = sing_capture_end(&layers->capture, &layers->merge);
	if (error != 0)
		sing_fail(failure, error, "merge", path == NULL ? "" : path);
	free(path);
	/* the tree is the writer's now */
	sing_merge_close(&layers->merge);
	return error != 0 ? -1 : 0;
}

const struct sing_captured *sing_layers_captured(const struct sing_layers *layers)
{
	return layers->capture.first;
}

struct sing_layers *sing_layers_open(struct sing_writer *writer, const struct sing_layers_options *options)
{
	struct sing_layers *layers = calloc(1, sizeof *layers);

	if (layers == NULL)
		return NULL;
	layers->writer = writer;
	layers->limits = options->limits;
	layers->keep_whiteouts = options->keep_whiteouts;
	layers->capture.paths = options->captures;
	layers->capture.path_count = options->capture_count;
	if (sing_merge_open(&layers->merge, writer, options->limits.entries + 1) == 0)
		return layers;
	sing_layers_close(layers);
	return NULL;
}

void sing_layers_close(struct sing_layers *layers)
{
	if (layers == NULL)
		return;
	sing_capture_free(&layers->capture);
	sing_overlay_free(&layers->overlay);
	sing_merge_close(&layers->merge);
	free(layers->clean);
	free(layers);
}
