/* Copyright (c) 2026, gguf.fleet contributors
 * SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A link of two TUN devices where the kernel has no netem: what `tc qdisc add dev FAR root netem delay D loss P` does.
 *
 *     far_link NEAR FAR DELAY_MS LOSS_PERCENT SEED
 *
 * Packets from FAR to NEAR leave DELAY_MS later, and LOSS_PERCENT of them never; those from NEAR to FAR pass at once. So
 * the delay is one way and the round trip takes DELAY_MS. Prints "ready" when both devices are there, ends on a signal.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { LONGEST = 2048, WAITING_AT_MOST = 1 << 16, AT_ONCE = 64 };

struct packet {
    int64_t due_ns;
    int length;
    char bytes[LONGEST];
};

static struct packet waiting[WAITING_AT_MOST];
static unsigned head, tail;

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int open_device(const char *name)
{
    struct ifreq wanted = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    int device = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    strncpy(wanted.ifr_name, name, IFNAMSIZ - 1);
    if (device < 0 || ioctl(device, TUNSETIFF, &wanted) < 0) {
        fprintf(stderr, "%s: %s\n", name, strerror(errno));
        exit(1);
    }
    return device;
}

/* A full device loses the packet, as a full queue does. */
static void put(int device, const char *bytes, int length)
{
    if (write(device, bytes, length) < 0 && errno != EAGAIN && errno != EIO && errno != EINVAL) {
        perror("write");
        exit(1);
    }
}

static void collect(int far, int64_t delay_ns, double loss)
{
    for (int count = 0; count < AT_ONCE && tail - head < WAITING_AT_MOST; count++) {
        struct packet *packet = &waiting[tail % WAITING_AT_MOST];
        packet->length = read(far, packet->bytes, LONGEST);
        if (packet->length <= 0)
            return;
        packet->due_ns = now_ns() + delay_ns;
        if (drand48() >= loss)
            tail++;
    }
}

static void pass_on(int near, int far)
{
    char bytes[LONGEST];
    for (int count = 0; count < AT_ONCE; count++) {
        int length = read(near, bytes, LONGEST);
        if (length <= 0)
            return;
        put(far, bytes, length);
    }
}

int main(int count, char **arguments)
{
    if (count != 6) {
        fprintf(stderr, "far_link NEAR FAR DELAY_MS LOSS_PERCENT SEED\n");
        return 2;
    }
    int near = open_device(arguments[1]), far = open_device(arguments[2]);
    int64_t delay_ns = atof(arguments[3]) * 1e6;
    double loss = atof(arguments[4]) / 100;
    srand48(atol(arguments[5]));
    puts("ready");
    fflush(stdout);
    for (;;) {
        struct pollfd both[2] = {{.fd = near, .events = POLLIN}, {.fd = far, .events = POLLIN}};
        struct timespec left = {0, 0}, *until = NULL;
        if (head != tail) {
            int64_t left_ns = waiting[head % WAITING_AT_MOST].due_ns - now_ns();
            if (left_ns > 0)
                left = (struct timespec){left_ns / 1000000000LL, left_ns % 1000000000LL};
            until = &left;
        }
        if (ppoll(both, 2, until, NULL) < 0 && errno != EINTR) {
            perror("poll");
            return 1;
        }
        if (both[1].revents & POLLIN)
            collect(far, delay_ns, loss);
        if (both[0].revents & POLLIN)
            pass_on(near, far);
        for (int64_t now = now_ns(); head != tail && waiting[head % WAITING_AT_MOST].due_ns <= now; head++)
            put(near, waiting[head % WAITING_AT_MOST].bytes, waiting[head % WAITING_AT_MOST].length);
    }
}
