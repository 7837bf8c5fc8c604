/* Cameras for tests: preloaded (LD_PRELOAD), it answers what a program asks of /dev/videoN as a V4L2 driver would.
 *
 * Written from the V4L2 documentation ("Linux Media Infrastructure userspace API", part I: querying, formats, streaming
 * by memory mapping). Whoever reads through it (OpenCV, FFmpeg, our own ioctls) needs no change and no kernel module.
 *
 * $FAKE_CAMERA is a folder; a folder videoN in it is the camera /dev/videoN, with these files (see fake_camera.py):
 *   camera                 lines "name TEXT", "mode FOURCC WIDTH HEIGHT FPS", "numbered", "unlisted", "metadata",
 *                          "unstamped": see `read_camera`
 *   FOURCC-WxH.frames      pictures, shown in a loop: raw ones of one size, or for MJPG each after four bytes of length
 *   control                ok | unplug | stall | busy | forbidden | hang; may be rewritten at any time
 *   log                    where it exists, a line "NUMBER NANOSECONDS" is added for each picture captured
 *   lock                   held while somebody streams, so that one program at a time does
 *
 * Picture n is captured at n / fps seconds of CLOCK_MONOTONIC, whoever looks on, so its number is its time.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MOST_MODES 32
#define MOST_BUFFERS 8
#define MOST_HANDLES 16
#define BARCODE_BITS 24
#define BARCODE_ROWS 32
#define REAL(type, name, ...) ((type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name))

struct mode { unsigned fourcc; int width, height, fps; };
struct handle {
    int fd, node, flags, lock;
    char name[32];
    struct mode modes[MOST_MODES];
    int mode_count, current;
    int numbered, unlisted, metadata, unstamped;
    unsigned char *memory, *frames;
    size_t buffer_bytes, frames_bytes;
    int buffer_count, streaming;
    int waiting[MOST_BUFFERS], waiting_count; /* with the driver, to be filled */
    int filled[MOST_BUFFERS], filled_count;   /* to be fetched */
    unsigned long long number[MOST_BUFFERS], next_number;
    size_t used_bytes[MOST_BUFFERS];
};
static struct handle handles[MOST_HANDLES];

/* ---- files of the camera */

static int real_open(const char *path, int flags) { return REAL(int, "open", const char *, int, ...)(path, flags, 0600); }
static int real_close(int fd) { return REAL(int, "close", int)(fd); }

static int node_of(const char *path) {
    int node, end = 0;
    if (!path || sscanf(path, "/dev/video%d%n", &node, &end) != 1 || path[end]) return -1;
    return node;
}

static char *file_of(int node, const char *name) {
    static __thread char path[4096];
    const char *folder = getenv("FAKE_CAMERA");
    snprintf(path, sizeof path, "%s/video%d/%s", folder ? folder : "/nonexistent", node, name);
    return path;
}

static int is_told(int node, const char *word) {
    char text[32] = "";
    int file = real_open(file_of(node, "control"), O_RDONLY);
    if (file < 0) return 0;
    ssize_t length = read(file, text, sizeof text - 1);
    real_close(file);
    return length > 0 && !strncmp(text, word, strlen(word));
}

static int exists(int node) {
    return REAL(int, "access", const char *, int)(file_of(node, "camera"), F_OK) == 0 && !is_told(node, "unplug");
}

static void read_camera(struct handle *h) {
    char line[256], fourcc[5];
    FILE *file = fopen(file_of(h->node, "camera"), "r");
    while (file && fgets(line, sizeof line, file)) {
        struct mode m;
        line[strcspn(line, "\n")] = 0;
        if (!strncmp(line, "name ", 5)) snprintf(h->name, sizeof h->name, "%.31s", line + 5);
        if (sscanf(line, "mode %4s %d %d %d", fourcc, &m.width, &m.height, &m.fps) == 4 && h->mode_count < MOST_MODES) {
            m.fourcc = v4l2_fourcc(fourcc[0], fourcc[1], fourcc[2], fourcc[3]);
            h->modes[h->mode_count++] = m;
        }
        if (!strcmp(line, "numbered")) h->numbered = 1;   /* each picture shows its number as a barcode */
        if (!strcmp(line, "unlisted")) h->unlisted = 1;   /* sizes and rates cannot be asked for */
        if (!strcmp(line, "metadata")) h->metadata = 1;   /* a node beside a camera's that gives no pictures */
        if (!strcmp(line, "unstamped")) h->unstamped = 1; /* a driver without time stamps */
    }
    if (file) fclose(file);
}

/* ---- time and pictures */

static unsigned long long now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void nap(void) {
    struct timespec millisecond = {0, 1000000};
    nanosleep(&millisecond, NULL);
}

static const struct mode *mode_of(const struct handle *h) { return &h->modes[h->current]; }
static int is_jpeg(const struct mode *m) { return m->fourcc == V4L2_PIX_FMT_MJPEG; }

static int pixel_bytes(const struct mode *m) {
    return m->fourcc == V4L2_PIX_FMT_BGR24 || m->fourcc == V4L2_PIX_FMT_RGB24 ? 3 : m->fourcc == V4L2_PIX_FMT_GREY ? 1 : 2;
}

static size_t picture_bytes(const struct mode *m) {
    return (size_t)m->width * m->height * (is_jpeg(m) ? 1 : pixel_bytes(m));
}

static unsigned long long time_of(const struct handle *h, unsigned long long number) {
    return number * 1000000000ull / mode_of(h)->fps;
}

static void load_frames(struct handle *h) {
    char name[64];
    struct stat described;
    const struct mode *m = mode_of(h);
    if (h->frames) REAL(int, "munmap", void *, size_t)(h->frames, h->frames_bytes);
    h->frames = NULL;
    snprintf(name, sizeof name, "%.4s-%dx%d.frames", (const char *)&m->fourcc, m->width, m->height);
    int file = real_open(file_of(h->node, name), O_RDONLY);
    if (file < 0) return;
    if (!fstat(file, &described) && described.st_size) {
        void *memory = mmap(NULL, described.st_size, PROT_READ, MAP_PRIVATE, file, 0);
        if (memory != MAP_FAILED) h->frames = memory, h->frames_bytes = described.st_size;
    }
    real_close(file);
}

static size_t draw_jpeg(const struct handle *h, unsigned char *picture, unsigned long long number) {
    size_t places[4096], count = 0;
    unsigned length;
    for (size_t at = 0; at + 4 <= h->frames_bytes && count < 4096; at += 4 + length) {
        memcpy(&length, h->frames + at, 4);
        places[count++] = at;
    }
    if (!count) return 0;
    memcpy(&length, h->frames + places[number % count], 4);
    memcpy(picture, h->frames + places[number % count] + 4, length);
    return length;
}

static void draw_number(const struct handle *h, unsigned char *picture, unsigned long long number) {
    const struct mode *m = mode_of(h);
    int bytes = pixel_bytes(m), side = m->width >= BARCODE_BITS * 16 ? 16 : m->width / BARCODE_BITS;
    for (int y = 0; y < BARCODE_ROWS && y < m->height; y++)
        for (int x = 0; x < BARCODE_BITS * side; x++) {
            unsigned char *pixel = picture + ((size_t)y * m->width + x) * bytes;
            memset(pixel, number >> (x / side) & 1 ? 235 : 16, bytes);
            if (bytes == 2) pixel[1] = 128;
        }
}

static size_t draw(const struct handle *h, unsigned char *picture, unsigned long long number) {
    const struct mode *m = mode_of(h);
    size_t bytes = picture_bytes(m);
    if (is_jpeg(m)) return draw_jpeg(h, picture, number);
    if (h->frames_bytes >= bytes && h->frames) {
        memcpy(picture, h->frames + number % (h->frames_bytes / bytes) * bytes, bytes);
    } else {
        int width = pixel_bytes(m);
        for (size_t i = 0; i < bytes; i++)
            picture[i] = width == 2 && i % 2 ? 128 : (i / width % m->width + number * 4) & 255;
    }
    if (h->numbered) draw_number(h, picture, number);
    return bytes;
}

static void write_log(const struct handle *h, unsigned long long number) {
    char line[64];
    int file = real_open(file_of(h->node, "log"), O_WRONLY | O_APPEND);
    if (file < 0) return;
    int length = snprintf(line, sizeof line, "%llu %llu\n", number, time_of(h, number));
    if (write(file, line, length) < 0) perror("fake camera");
    real_close(file);
}

/* Let the pictures be captured that are due by now: each into the buffer that waits longest, or it is lost. */
static void capture_due(struct handle *h) {
    if (!h->streaming || is_told(h->node, "stall")) return;
    unsigned long long due = now_ns() * mode_of(h)->fps / 1000000000ull;
    if (h->next_number + MOST_BUFFERS < due) h->next_number = due - MOST_BUFFERS;
    for (; h->next_number <= due; h->next_number++) {
        if (!h->waiting_count) continue;
        int buffer = h->waiting[0];
        memmove(h->waiting, h->waiting + 1, --h->waiting_count * sizeof(int));
        h->used_bytes[buffer] = draw(h, h->memory + buffer * h->buffer_bytes, h->next_number);
        h->number[buffer] = h->next_number;
        h->filled[h->filled_count++] = buffer;
        write_log(h, h->next_number);
    }
}

static int is_ready(struct handle *h) {
    if (is_told(h->node, "unplug")) return 1; /* to be told of its end */
    capture_due(h);
    return h->filled_count > 0;
}

/* ---- one at a time */

static int take_lock(struct handle *h) {
    if (is_told(h->node, "busy")) return errno = EBUSY, -1;
    if (h->lock >= 0) return 0;
    int file = real_open(file_of(h->node, "lock"), O_RDWR | O_CREAT | O_CLOEXEC);
    if (file >= 0 && flock(file, LOCK_EX | LOCK_NB)) {
        real_close(file);
        return errno = EBUSY, -1;
    }
    h->lock = file;
    return 0;
}

static void let_go(struct handle *h) {
    if (h->lock >= 0) real_close(h->lock);
    h->lock = -1;
}

/* ---- opening and closing */

static struct handle *handle_of(int fd) {
    for (int i = 0; i < MOST_HANDLES; i++)
        if (fd > 0 && handles[i].fd == fd) return &handles[i];
    return NULL;
}

static int open_camera(int node, int flags) {
    struct handle *h = NULL;
    for (int i = 0; i < MOST_HANDLES && !h; i++)
        if (!handles[i].fd) h = &handles[i];
    if (!exists(node)) return errno = ENOENT, -1;
    if (is_told(node, "forbidden")) return errno = EACCES, -1;
    if (!h) return errno = EMFILE, -1;
    int fd = memfd_create("fake-camera", flags & O_CLOEXEC ? MFD_CLOEXEC : 0);
    if (fd < 0) return -1;
    *h = (struct handle){.fd = fd, .node = node, .flags = flags, .lock = -1};
    read_camera(h);
    return fd;
}

#define OPEN(name)                                                                                                     \
    int name(const char *path, int flags, ...) {                                                                       \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0;                                              \
        va_end(rest);                                                                                                  \
        int node = node_of(path);                                                                                      \
        return node >= 0 ? open_camera(node, flags) : REAL(int, #name, const char *, int, ...)(path, flags, mode);      \
    }
OPEN(open)
OPEN(open64)
#define OPEN_2(name)                                                                                                   \
    int name(const char *path, int flags) {                                                                            \
        int node = node_of(path);                                                                                      \
        return node >= 0 ? open_camera(node, flags) : REAL(int, #name, const char *, int)(path, flags);                 \
    }
OPEN_2(__open_2)
OPEN_2(__open64_2)

int close(int fd) {
    struct handle *h = handle_of(fd);
    if (h) {
        let_go(h);
        if (h->memory) REAL(int, "munmap", void *, size_t)(h->memory, h->buffer_bytes * MOST_BUFFERS);
        if (h->frames) REAL(int, "munmap", void *, size_t)(h->frames, h->frames_bytes);
        h->fd = 0;
    }
    return real_close(fd);
}

int access(const char *path, int mode) {
    int node = node_of(path);
    if (node < 0) return REAL(int, "access", const char *, int)(path, mode);
    return exists(node) ? 0 : (errno = ENOENT, -1);
}

#define STAT(name, type)                                                                                               \
    int name(const char *path, struct type *answer) {                                                                  \
        int node = node_of(path);                                                                                      \
        if (node < 0) return REAL(int, #name, const char *, struct type *)(path, answer);                               \
        if (!exists(node)) return errno = ENOENT, -1;                                                                  \
        memset(answer, 0, sizeof *answer);                                                                             \
        answer->st_mode = S_IFCHR | 0660;                                                                              \
        answer->st_rdev = 81 << 8 | node;                                                                              \
        return 0;                                                                                                      \
    }
STAT(stat, stat)
STAT(stat64, stat64)

/* ---- what is asked */

static int refuse(int reason) { return errno = reason, -1; }

static int describe(struct handle *h, struct v4l2_capability *answer) {
    memset(answer, 0, sizeof *answer);
    strcpy((char *)answer->driver, "fake");
    memcpy(answer->card, h->name, sizeof h->name);
    snprintf((char *)answer->bus_info, sizeof answer->bus_info, "platform:fake-%d", h->node);
    answer->device_caps = (h->metadata ? V4L2_CAP_META_CAPTURE : V4L2_CAP_VIDEO_CAPTURE) | V4L2_CAP_STREAMING;
    answer->capabilities = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING | V4L2_CAP_DEVICE_CAPS;
    return 0;
}

/* Say whether a mode is the first of its format (or format and size) in the list. */
static int is_first(const struct handle *h, int index, int by_size) {
    for (int i = 0; i < index; i++)
        if (h->modes[i].fourcc == h->modes[index].fourcc &&
            (!by_size || (h->modes[i].width == h->modes[index].width && h->modes[i].height == h->modes[index].height)))
            return 0;
    return 1;
}

static int list_format(struct handle *h, struct v4l2_fmtdesc *answer) {
    unsigned left = answer->index;
    if (answer->type != V4L2_BUF_TYPE_VIDEO_CAPTURE) return refuse(EINVAL);
    for (int i = 0; i < h->mode_count; i++)
        if (is_first(h, i, 0) && !left--) {
            answer->flags = is_jpeg(&h->modes[i]) ? V4L2_FMT_FLAG_COMPRESSED : 0;
            answer->pixelformat = h->modes[i].fourcc;
            snprintf((char *)answer->description, sizeof answer->description, "%.4s", (char *)&answer->pixelformat);
            return 0;
        }
    return refuse(EINVAL);
}

static int list_size(struct handle *h, struct v4l2_frmsizeenum *answer) {
    unsigned left = answer->index;
    if (h->unlisted) return refuse(ENOTTY);
    for (int i = 0; i < h->mode_count; i++)
        if (h->modes[i].fourcc == answer->pixel_format && is_first(h, i, 1) && !left--) {
            answer->type = V4L2_FRMSIZE_TYPE_DISCRETE;
            answer->discrete.width = h->modes[i].width;
            answer->discrete.height = h->modes[i].height;
            return 0;
        }
    return refuse(EINVAL);
}

static int list_rate(struct handle *h, struct v4l2_frmivalenum *answer) {
    unsigned left = answer->index;
    if (h->unlisted) return refuse(ENOTTY);
    for (int i = 0; i < h->mode_count; i++) {
        const struct mode *m = &h->modes[i];
        if (m->fourcc == answer->pixel_format && m->width == (int)answer->width && m->height == (int)answer->height &&
            !left--) {
            answer->type = V4L2_FRMIVAL_TYPE_DISCRETE;
            answer->discrete = (struct v4l2_fract){1, m->fps};
            return 0;
        }
    }
    return refuse(EINVAL);
}

static void tell_format(const struct mode *m, struct v4l2_pix_format *answer) {
    *answer = (struct v4l2_pix_format){.width = m->width, .height = m->height, .pixelformat = m->fourcc};
    answer->field = V4L2_FIELD_NONE;
    answer->bytesperline = is_jpeg(m) ? 0 : m->width * pixel_bytes(m);
    answer->sizeimage = picture_bytes(m);
    answer->colorspace = V4L2_COLORSPACE_SRGB;
}

/* Return the mode that a driver would grant: the format if there is such, then the nearest size, then the first rate. */
static int nearest(const struct handle *h, const struct v4l2_pix_format *asked) {
    int best = 0;
    long least = -1;
    for (int i = 0; i < h->mode_count; i++) {
        const struct mode *m = &h->modes[i];
        long off = labs((long)m->width - (long)asked->width) + labs((long)m->height - (long)asked->height);
        off += m->fourcc == asked->pixelformat ? 0 : 1000000;
        if (least < 0 || off < least) best = i, least = off;
    }
    return best;
}

static int format(struct handle *h, unsigned request, struct v4l2_format *f) {
    if (f->type != V4L2_BUF_TYPE_VIDEO_CAPTURE || h->metadata || !h->mode_count) return refuse(EINVAL);
    int chosen = request == (unsigned)VIDIOC_G_FMT ? h->current : nearest(h, &f->fmt.pix);
    if (request == (unsigned)VIDIOC_S_FMT) {
        int had_lock = h->lock >= 0;
        while (is_told(h->node, "hang")) nap();
        if (h->buffer_count || take_lock(h)) return refuse(EBUSY);
        if (!had_lock) let_go(h);
        h->current = chosen;
    }
    tell_format(&h->modes[chosen], &f->fmt.pix);
    return 0;
}

static int rate(struct handle *h, unsigned request, struct v4l2_streamparm *p) {
    if (p->type != V4L2_BUF_TYPE_VIDEO_CAPTURE) return refuse(EINVAL);
    struct v4l2_fract asked = p->parm.capture.timeperframe;
    const struct mode *now = mode_of(h);
    if (request == (unsigned)VIDIOC_S_PARM && asked.numerator)
        for (int i = 0; i < h->mode_count; i++) {
            const struct mode *m = &h->modes[i];
            int fps = asked.denominator / asked.numerator;
            if (m->fourcc == now->fourcc && m->width == now->width && m->height == now->height &&
                abs(m->fps - fps) < abs(mode_of(h)->fps - fps))
                h->current = i;
        }
    memset(&p->parm, 0, sizeof p->parm);
    p->parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
    p->parm.capture.timeperframe = (struct v4l2_fract){1, mode_of(h)->fps};
    return 0;
}

static int request_buffers(struct handle *h, struct v4l2_requestbuffers *asked) {
    if (asked->memory != V4L2_MEMORY_MMAP || asked->type != V4L2_BUF_TYPE_VIDEO_CAPTURE) return refuse(EINVAL);
    if (asked->count && take_lock(h)) return -1;
    if (!asked->count) let_go(h);
    if (asked->count > MOST_BUFFERS) asked->count = MOST_BUFFERS;
    h->buffer_count = asked->count;
    h->waiting_count = h->filled_count = 0;
    if (!asked->count) return 0;
    if (h->memory) REAL(int, "munmap", void *, size_t)(h->memory, h->buffer_bytes * MOST_BUFFERS);
    h->buffer_bytes = (picture_bytes(mode_of(h)) + 4095) / 4096 * 4096;
    if (ftruncate(h->fd, h->buffer_bytes * MOST_BUFFERS)) return -1;
    h->memory = mmap(NULL, h->buffer_bytes * MOST_BUFFERS, PROT_READ | PROT_WRITE, MAP_SHARED, h->fd, 0);
    load_frames(h);
    return h->memory == MAP_FAILED ? -1 : 0;
}

static int give_buffer(struct handle *h, struct v4l2_buffer *b) {
    if ((int)b->index >= h->buffer_count || h->waiting_count == MOST_BUFFERS) return refuse(EINVAL);
    capture_due(h);
    h->waiting[h->waiting_count++] = b->index;
    return 0;
}

static void tell_buffer(struct handle *h, struct v4l2_buffer *b) {
    b->length = picture_bytes(mode_of(h));
    b->m.offset = b->index * h->buffer_bytes;
    b->field = V4L2_FIELD_NONE;
    b->flags = V4L2_BUF_FLAG_MAPPED | V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
}

static int fetch_buffer(struct handle *h, struct v4l2_buffer *b) {
    while (!is_ready(h)) {
        if (h->flags & O_NONBLOCK) return refuse(EAGAIN);
        nap();
    }
    if (is_told(h->node, "unplug")) return refuse(ENODEV);
    b->index = h->filled[0];
    memmove(h->filled, h->filled + 1, --h->filled_count * sizeof(int));
    tell_buffer(h, b);
    b->bytesused = h->used_bytes[b->index];
    b->sequence = h->number[b->index];
    unsigned long long at = h->unstamped ? 0 : time_of(h, h->number[b->index]);
    b->timestamp.tv_sec = at / 1000000000ull;
    b->timestamp.tv_usec = at / 1000 % 1000000;
    return 0;
}

static int stream(struct handle *h, int on) {
    if (on && take_lock(h)) return -1;
    h->streaming = on;
    h->next_number = now_ns() * mode_of(h)->fps / 1000000000ull + 1;
    if (!on) h->waiting_count = h->filled_count = 0;
    return 0;
}

static int answer(struct handle *h, unsigned request, void *argument) {
    if (is_told(h->node, "unplug")) return refuse(ENODEV);
    switch (request) {
    case (unsigned)VIDIOC_QUERYCAP: return describe(h, argument);
    case (unsigned)VIDIOC_ENUM_FMT: return list_format(h, argument);
    case (unsigned)VIDIOC_ENUM_FRAMESIZES: return list_size(h, argument);
    case (unsigned)VIDIOC_ENUM_FRAMEINTERVALS: return list_rate(h, argument);
    case (unsigned)VIDIOC_G_FMT:
    case (unsigned)VIDIOC_S_FMT:
    case (unsigned)VIDIOC_TRY_FMT: return format(h, request, argument);
    case (unsigned)VIDIOC_G_PARM:
    case (unsigned)VIDIOC_S_PARM: return rate(h, request, argument);
    case (unsigned)VIDIOC_ENUMINPUT: {
        struct v4l2_input *input = argument;
        if (input->index) return refuse(EINVAL);
        strcpy((char *)input->name, "fake");
        input->type = V4L2_INPUT_TYPE_CAMERA;
        return 0;
    }
    case (unsigned)VIDIOC_G_INPUT: return *(int *)argument = 0;
    case (unsigned)VIDIOC_S_INPUT: return *(int *)argument ? refuse(EINVAL) : 0;
    case (unsigned)VIDIOC_REQBUFS: return request_buffers(h, argument);
    case (unsigned)VIDIOC_QUERYBUF: return tell_buffer(h, argument), 0;
    case (unsigned)VIDIOC_QBUF: return give_buffer(h, argument);
    case (unsigned)VIDIOC_DQBUF: return fetch_buffer(h, argument);
    case (unsigned)VIDIOC_STREAMON: return stream(h, 1);
    case (unsigned)VIDIOC_STREAMOFF: return stream(h, 0);
    default: return refuse(ENOTTY);
    }
}

int ioctl(int fd, unsigned long request, ...) {
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    struct handle *h = handle_of(fd);
    return h ? answer(h, (unsigned)request, argument)
             : REAL(int, "ioctl", int, unsigned long, ...)(fd, request, argument);
}

/* ---- waiting: for one camera by itself, as OpenCV and FFmpeg do */

static int wait_for(struct handle *h, long milliseconds) {
    unsigned long long end = now_ns() + milliseconds * 1000000ull;
    while (!is_ready(h)) {
        if (milliseconds >= 0 && now_ns() >= end) return 0;
        nap();
    }
    return 1;
}

int select(int count, fd_set *readable, fd_set *writable, fd_set *failed, struct timeval *timeout) {
    for (int fd = 0; readable && fd < count; fd++)
        if (FD_ISSET(fd, readable) && handle_of(fd)) {
            int ready = wait_for(handle_of(fd), timeout ? timeout->tv_sec * 1000 + timeout->tv_usec / 1000 : -1);
            FD_ZERO(readable);
            if (ready) FD_SET(fd, readable);
            return ready;
        }
    return REAL(int, "select", int, fd_set *, fd_set *, fd_set *, struct timeval *)(count, readable, writable, failed,
                                                                                   timeout);
}

int poll(struct pollfd *asked, nfds_t count, int milliseconds) {
    struct handle *h = count == 1 ? handle_of(asked[0].fd) : NULL;
    if (h) {
        int ready = wait_for(h, milliseconds);
        asked->revents = !ready ? 0 : is_told(h->node, "unplug") ? POLLERR : POLLIN;
        return ready;
    }
    return REAL(int, "poll", struct pollfd *, nfds_t, int)(asked, count, milliseconds);
}
