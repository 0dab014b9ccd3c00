/*
 * One operation, one function, one reply. Nothing is kept between requests: a node's number is its inode's place in the
 * image, a directory offset is a place in the listing, and files and directories need not be opened.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "directory.h"
#include "file.h"
#include "layer.h"
#include "ops.h"
#include "unpack.h"

/* The image never changes, so what the kernel knows stays true: thirty years. */
static const double forever = 1e9;

/* Node 1 is the root; any other node is its inode's reference + 2, since 0 means none. */
enum { NODE_BASE = 2 };

/* The offsets behind "." and ".."; behind an entry it is the listing's own place + DOTS. */
enum { BEHIND_SELF = 1, BEHIND_PARENT = 2, DOTS = 2 };

static struct image *image_of(fuse_req_t request)
{
	const struct served *served = fuse_req_userdata(request);

	return served->image;
}

static fuse_ino_t node_of(const struct image *image, inode_reference reference)
{
	return reference == image->super.root_inode_ref ? FUSE_ROOT_ID : reference + NODE_BASE;
}

static inode_reference reference_of(const struct image *image, fuse_ino_t node)
{
	return node == FUSE_ROOT_ID ? image->super.root_inode_ref : node - NODE_BASE;
}

static int read_node(struct image *image, fuse_ino_t node, struct inode *inode)
{
	return inode_read(image, reference_of(image, node), inode);
}

static void reply_error(fuse_req_t request, int error)
{
	fuse_reply_err(request, -error);
}

static void init(void *data, struct fuse_conn_info *connection)
{
	const unsigned wanted = FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO | FUSE_CAP_PARALLEL_DIROPS |
				FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_CACHE_SYMLINKS |
				FUSE_CAP_NO_OPEN_SUPPORT | FUSE_CAP_NO_OPENDIR_SUPPORT;
	struct served *served = data;

	connection->want = connection->capable & wanted;
	served->open_for_nothing = (connection->capable & FUSE_CAP_NO_OPEN_SUPPORT) != 0;
	served->opendir_for_nothing = (connection->capable & FUSE_CAP_NO_OPENDIR_SUPPORT) != 0;
	/* also the largest read: it sets the number of pages in a request */
	connection->max_write = ANSWER_SIZE;
}

static int fill_entry(struct image *image, inode_reference reference, struct fuse_entry_param *param)
{
	struct inode inode;
	int error = inode_read(image, reference, &inode);

	memset(param, 0, sizeof *param);
	param->entry_timeout = forever;
	param->attr_timeout = forever;
	if (error != 0)
		return error;
	param->ino = node_of(image, reference);
	inode_stat(&inode, &param->attr);
	return 0;
}

static void lookup(fuse_req_t request, fuse_ino_t parent, const char *name)
{
	struct image *image = image_of(request);
	struct fuse_entry_param param = { .entry_timeout = forever };
	struct inode directory;
	struct entry entry;
	int error = read_node(image, parent, &directory);

	if (error == 0 && !S_ISDIR(directory.mode))
		error = -ENOTDIR;
	if (error == 0)
		error = directory_find(image, &directory, name, &entry);
	if (error == 0)
		error = fill_entry(image, entry.reference, &param);
	/* node 0 is an answer that the kernel remembers, an error is not */
	if (error == 0 || error == -ENOENT)
		fuse_reply_entry(request, &param);
	else
		reply_error(request, error);
}

static void forget(fuse_req_t request, fuse_ino_t node, uint64_t count)
{
	(void)node;
	(void)count;
	fuse_reply_none(request);
}

static void forget_multi(fuse_req_t request, size_t count, struct fuse_forget_data *forgets)
{
	(void)count;
	(void)forgets;
	fuse_reply_none(request);
}

static void getattr(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *info)
{
	struct image *image = image_of(request);
	struct inode inode;
	struct stat stat;
	int error = read_node(image, node, &inode);

	(void)info;
	if (error != 0) {
		reply_error(request, error);
		return;
	}
	inode_stat(&inode, &stat);
	fuse_reply_attr(request, &stat, forever);
}

static void readlink_node(fuse_req_t request, fuse_ino_t node)
{
	struct image *image = image_of(request);
	char target[TARGET_MAX + 1];
	struct inode inode;
	int error = read_node(image, node, &inode);

	if (error == 0)
		error = S_ISLNK(inode.mode) ? inode_target(image, &inode, target) : -EINVAL;
	if (error == 0)
		fuse_reply_readlink(request, target);
	else
		reply_error(request, error);
}

/* The kernel takes ENOSYS as "no need to ask": from then on it costs nothing, and what was read stays cached. */
static void open_node(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *info)
{
	const struct served *served = fuse_req_userdata(request);

	(void)node;
	info->keep_cache = 1;
	if (served->open_for_nothing)
		reply_error(request, -ENOSYS);
	else
		fuse_reply_open(request, info);
}

/* Before kernel 5.1 ENOSYS is an error. */
static void opendir_node(fuse_req_t request, fuse_ino_t node, struct fuse_file_info *info)
{
	const struct served *served = fuse_req_userdata(request);

	(void)node;
	info->keep_cache = 1;
	info->cache_readdir = 1;
	if (served->opendir_for_nothing)
		reply_error(request, -ENOSYS);
	else
		fuse_reply_open(request, info);
}

static void read_file(fuse_req_t request, fuse_ino_t node, size_t size, off_t offset, struct fuse_file_info *info)
{
	struct image *image = image_of(request);
	struct inode inode;
	struct span span;
	int error = read_node(image, node, &inode);

	(void)info;
	if (error == 0 && !S_ISREG(inode.mode))
		error = -EINVAL;
	if (error == 0)
		error = file_read(image, reference_of(image, node), &inode, (uint64_t)offset, size, &span);
	if (error != 0) {
		reply_error(request, error);
		return;
	}
	fuse_reply_buf(request, (const char *)span.bytes, span.size);
	file_release(image, &span);
}

/* An answer to readdir in the making. */
struct page {
	fuse_req_t request;
	bool plus;
	char *bytes;
	size_t size;
	size_t used;
};

/* Adds an entry. False when the page is full. */
static bool add(struct page *page, const char *name, const struct fuse_entry_param *param, uint64_t next)
{
	char *to = page->bytes + page->used;
	size_t room = page->size - page->used;
	size_t size = page->plus ? fuse_add_direntry_plus(page->request, to, room, name, param, (off_t)next) :
				   fuse_add_direntry(page->request, to, room, name, &param->attr, (off_t)next);

	if (size > room)
		return false;
	page->used += size;
	return true;
}

/* "." and "..": of these the kernel wants no nodes. */
static bool add_dots(struct page *page, const struct inode *inode, uint64_t offset)
{
	struct fuse_entry_param self = { .attr = { .st_ino = inode->number, .st_mode = S_IFDIR } };
	struct fuse_entry_param parent = { .attr = { .st_ino = inode->directory.parent, .st_mode = S_IFDIR } };

	return (offset >= BEHIND_SELF || add(page, ".", &self, BEHIND_SELF)) &&
	       (offset >= BEHIND_PARENT || add(page, "..", &parent, BEHIND_PARENT));
}

static bool add_entry(struct page *page, struct image *image, const struct entry *entry)
{
	bool device = S_ISCHR(entry->mode) || S_ISBLK(entry->mode);
	bool look = page->plus || (device && image->noted);
	struct fuse_entry_param param = { 0 };

	/* without its inode an entry is still listed; asking for it alone will tell what is wrong */
	if (!look || fill_entry(image, entry->reference, &param) != 0 || param.ino == FUSE_ROOT_ID)
		param = (struct fuse_entry_param){ .attr = { .st_ino = entry->number, .st_mode = entry->mode } };
	return add(page, entry->name, &param, entry->next + DOTS);
}

static int fill_page(struct page *page, struct image *image, const struct inode *inode, uint64_t offset)
{
	LISTING listing = { .inode = inode };
	struct entry entry;
	int found;
	int error;

	if (!add_dots(page, inode, offset))
		return 0;
	error = directory_seek(&listing, image, inode, offset > DOTS ? offset - DOTS : 0);
	if (error != 0)
		return error;
	while ((found = directory_next(&listing, &entry)) > 0)
		if (!add_entry(page, image, &entry))
			return 0;
	/* what came before the damage is shown; the next call finds nothing but the damage */
	return page->used > 0 ? 0 : found;
}

static void list(fuse_req_t request, fuse_ino_t node, size_t size, off_t offset, bool plus)
{
	struct image *image = image_of(request);
	struct page page = { .request = request, .plus = plus, .bytes = (char *)unpack_scratch() };
	struct inode inode;
	int error = read_node(image, node, &inode);

	page.size = size < ANSWER_SIZE ? size : ANSWER_SIZE;
	if (error == 0 && !S_ISDIR(inode.mode))
		error = -ENOTDIR;
	if (error == 0 && page.bytes == NULL)
		error = -ENOMEM;
	if (error == 0)
		error = fill_page(&page, image, &inode, (uint64_t)offset);
	if (error == 0)
		fuse_reply_buf(request, page.bytes, page.used);
	else
		reply_error(request, error);
}

static void readdir_node(fuse_req_t request, fuse_ino_t node, size_t size, off_t offset, struct fuse_file_info *info)
{
	(void)info;
	list(request, node, size, offset, false);
}

static void readdirplus(fuse_req_t request, fuse_ino_t node, size_t size, off_t offset, struct fuse_file_info *info)
{
	(void)info;
	list(request, node, size, offset, true);
}

static void statfs_node(fuse_req_t request, fuse_ino_t node)
{
	const struct image *image = image_of(request);
	uint32_t block_size = image->super.block_size;
	struct statvfs answer = {
		.f_bsize = block_size,
		.f_frsize = block_size,
		.f_blocks = (image->super.bytes_used + block_size - 1) / block_size,
		.f_files = image->super.inode_count,
		.f_namemax = NAME_SIZE,
	};

	(void)node;
	fuse_reply_statfs(request, &answer);
}

/* Answers with an attribute's value or a list of names: `got` bytes, or a negative errno; size 0 asks for their number. */
static void reply_xattr(fuse_req_t request, const char *bytes, int got, size_t size)
{
	if (got < 0)
		reply_error(request, got);
	else if (size == 0)
		fuse_reply_xattr(request, (size_t)got);
	else if ((size_t)got > size)
		reply_error(request, -ERANGE);
	else
		fuse_reply_buf(request, bytes, (size_t)got);
}

/*
 * An overlay looks for its marks under the prefix that it may use: root's under trusted., one in a user namespace under
 * user. (overlayfs.rst, "userxattr"). Layers are packed with either, and used by both.
 */
static const char *other_mark(const char *name)
{
	static const char *const marks[] = { "user.overlay.opaque", "trusted.overlay.opaque" };

	if (strcmp(name, marks[0]) == 0)
		return marks[1];
	return strcmp(name, marks[1]) == 0 ? marks[0] : NULL;
}

static void getxattr_node(fuse_req_t request, fuse_ino_t node, const char *name, size_t size)
{
	struct image *image = image_of(request);
	char *value = (char *)unpack_scratch();
	struct inode inode;
	int got;

	/* the kernel will not ask again */
	if (!layer_has_xattrs(image)) {
		reply_error(request, -ENOSYS);
		return;
	}
	got = value == NULL ? -ENOMEM : read_node(image, node, &inode);
	if (got == 0)
		got = layer_xattr_get(image, &inode, name, value);
	if (got == -ENODATA && other_mark(name) != NULL)
		got = layer_xattr_get(image, &inode, other_mark(name), value);
	reply_xattr(request, value, got, size);
}

static void listxattr_node(fuse_req_t request, fuse_ino_t node, size_t size)
{
	struct image *image = image_of(request);
	char *names = (char *)unpack_scratch();
	struct inode inode;
	int got;

	if (!layer_has_xattrs(image)) {
		reply_error(request, -ENOSYS);
		return;
	}
	got = names == NULL ? -ENOMEM : read_node(image, node, &inode);
	if (got == 0)
		got = layer_xattr_list(image, &inode, names);
	reply_xattr(request, names, got, size);
}

const struct fuse_lowlevel_ops image_operations = {
	.init = init,
	.lookup = lookup,
	.forget = forget,
	.forget_multi = forget_multi,
	.getattr = getattr,
	.readlink = readlink_node,
	.open = open_node,
	.read = read_file,
	.opendir = opendir_node,
	.readdir = readdir_node,
	.readdirplus = readdirplus,
	.statfs = statfs_node,
	.getxattr = getxattr_node,
	.listxattr = listxattr_node,
};
