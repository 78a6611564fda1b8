/* The least a bridge can be: moves bytes between stdio and keep-alive HTTP/1.1 connections, and knows nothing of MCP.
 * Usage: least http://127.0.0.1:PORT/PATH [THREADS]
 * Each thread takes a line from stdin, POSTs it on its own connection, writes the body to stdout as a line. One thread
 * for figures of one call at a time; as many as calls in flight for the others. A yardstick for scripts/bench, not a bridge:
 * no TLS, no streams, no errors to the host, no limits, 202 swallowed, anything unexpected ends it.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static char host[64], path[256];
static int port;
static pthread_mutex_t in_lock = PTHREAD_MUTEX_INITIALIZER, out_lock = PTHREAD_MUTEX_INITIALIZER;
static char *in_buf;
static size_t in_from, in_to, in_cap;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void *grow(void *at, size_t size) {
    at = realloc(at, size);
    if (!at) die("realloc");
    return at;
}

/* The next line, without its newline, copied into *line; 0 at the end of stdin. */
static size_t take_line(char **line, size_t *cap) {
    size_t length = 0;
    pthread_mutex_lock(&in_lock);
    for (;;) {
        char *end = in_to > in_from ? memchr(in_buf + in_from, '\n', in_to - in_from) : NULL;
        if (end) {
            length = (size_t)(end - (in_buf + in_from));
            if (*cap < length) *line = grow(*line, *cap = length);
            memcpy(*line, in_buf + in_from, length);
            in_from += length + 1;
            break;
        }
        if (in_from) {
            memmove(in_buf, in_buf + in_from, in_to - in_from);
            in_to -= in_from;
            in_from = 0;
        }
        if (in_to == in_cap) in_buf = grow(in_buf, in_cap = in_cap ? 2 * in_cap : 65536);
        ssize_t got = read(0, in_buf + in_to, in_cap - in_to);
        if (got <= 0) break;
        in_to += (size_t)got;
    }
    pthread_mutex_unlock(&in_lock);
    return length;
}

static void write_all(int fd, struct iovec *parts, int count) {
    while (count) {
        ssize_t done = writev(fd, parts, count);
        if (done <= 0) die("write");
        while (count && (size_t)done >= parts->iov_len) {
            done -= (ssize_t)parts->iov_len;
            parts++;
            count--;
        }
        if (count) {
            parts->iov_base = (char *)parts->iov_base + done;
            parts->iov_len -= (size_t)done;
        }
    }
}

static int dial(void) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    if (inet_pton(AF_INET, host, &to.sin_addr) != 1 || fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to)) die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void *carry(void *unused) {
    int fd = -1;
    char *line = NULL, *reply = NULL, head[512];
    size_t line_cap = 0, reply_cap = 0, length;
    (void)unused;
    while ((length = take_line(&line, &line_cap))) {
        if (fd < 0) fd = dial();
        int head_len = snprintf(head, sizeof head,
                                "POST %s HTTP/1.1\r\nhost: %s:%d\r\ncontent-type: application/json\r\n"
                                "accept: application/json, text/event-stream\r\ncontent-length: %zu\r\n\r\n",
                                path, host, port, length);
        struct iovec request[2] = {{head, (size_t)head_len}, {line, length}};
        write_all(fd, request, 2);

        size_t got = 0, body_at = 0, body_len = 0;
        while (!body_at || got < body_at + body_len) {
            if (got + 1 >= reply_cap) reply = grow(reply, reply_cap = reply_cap ? 2 * reply_cap : 4096);
            ssize_t more = read(fd, reply + got, reply_cap - got - 1);
            if (more <= 0) die("reply");
            got += (size_t)more;
            if (!body_at) {
                reply[got] = 0;
                char *blank = strstr(reply, "\r\n\r\n");
                if (!blank) continue;
                *blank = 0;
                char *field = strcasestr(reply, "\r\ncontent-length:");
                body_at = (size_t)(blank - reply) + 4;
                body_len = field ? strtoul(field + 17, NULL, 10) : 0;
                if (reply_cap < body_at + body_len + 2) reply = grow(reply, reply_cap = body_at + body_len + 2);
            }
        }
        if (!body_len) continue;
        reply[body_at + body_len] = '\n';
        struct iovec answer = {reply + body_at, body_len + 1};
        pthread_mutex_lock(&out_lock);
        write_all(1, &answer, 1);
        pthread_mutex_unlock(&out_lock);
    }
    return NULL;
}

int main(int argc, char **argv) {
    int threads = argc > 2 ? atoi(argv[2]) : 1;
    if (argc < 2 || sscanf(argv[1], "http://%63[^:/]:%d%255s", host, &port, path) != 3) {
        fprintf(stderr, "usage: least http://127.0.0.1:PORT/PATH [THREADS]\n");
        return 2;
    }
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 64 * 1024);
    pthread_t *others = grow(NULL, sizeof *others * (size_t)(threads > 0 ? threads : 1));
    for (int n = 1; n < threads; n++)
        if (pthread_create(&others[n], &small, carry, NULL)) die("thread");
    carry(NULL);
    for (int n = 1; n < threads; n++) pthread_join(others[n], NULL);
    return 0;
}
