/* The floor: what the kernel takes to send one frame to everybody, with nothing around it.
 *
 *     barec PORT BYTES
 *
 * The first connection is the control. Each byte that comes on it has the same frame sent once to every other
 * connection, with one send() each; when it ends, so does this. The frame is that of a chat message with BYTES of
 * payload, so that clients count it as they count a server's. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 4096, CONNECTIONS_MAX = 20000, PAYLOAD_MAX = 65535, HEAD = 4 };

static int connections[CONNECTIONS_MAX];
static int count;
static unsigned char frame[HEAD + PAYLOAD_MAX];

static int fail(const char *what) {
    perror(what);
    return 1;
}

static size_t make_frame(size_t bytes) {
    static const char said[] = "42/events,[\"chat.message.new\",{\"text\":\"";
    static const char end[] = "\"}]";
    frame[0] = 0x81;
    frame[1] = 126;
    frame[2] = (unsigned char)(bytes >> 8);
    frame[3] = (unsigned char)bytes;
    memset(frame + HEAD, 'x', bytes);
    memcpy(frame + HEAD, said, sizeof said - 1);
    memcpy(frame + HEAD + bytes - (sizeof end - 1), end, sizeof end - 1);
    return HEAD + bytes;
}

int main(int argc, char **argv) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct pollfd waiting[2];
    int listener, one = 1, control = -1;
    size_t size;

    if (argc != 3 || atoi(argv[2]) < 126 || atoi(argv[2]) > PAYLOAD_MAX) {
        fprintf(stderr, "usage: barec PORT BYTES (126 to 65535)\n");
        return 2;
    }
    size = make_frame((size_t)atoi(argv[2]));
    address.sin_port = htons((unsigned short)atoi(argv[1]));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, BACKLOG))
        return fail("listen");
    printf("listening on %s\n", argv[1]);
    fflush(stdout);
    for (;;) {
        waiting[0] = (struct pollfd){.fd = listener, .events = POLLIN};
        waiting[1] = (struct pollfd){.fd = control, .events = POLLIN};
        if (poll(waiting, 2, -1) < 0)
            return fail("poll");
        if (waiting[0].revents) {
            int accepted = accept(listener, NULL, NULL);
            if (accepted < 0)
                return fail("accept");
            setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            if (control < 0)
                control = accepted;
            else if (count < CONNECTIONS_MAX)
                connections[count++] = accepted;
        } else if (waiting[1].revents) { /* once everybody is in: who connected before it was asked is to get it */
            char asked[256];
            ssize_t rounds = read(control, asked, sizeof asked);
            if (rounds <= 0)
                break;
            while (rounds-- > 0)
                for (int i = 0; i < count; i++)
                    if (send(connections[i], frame, size, MSG_NOSIGNAL) != (ssize_t)size)
                        return fail("send");
        }
    }
    return 0;
}
