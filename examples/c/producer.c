/* Puts N tasks (10 if not said) through the memcached door, with nothing but sockets: the ids make it safe to run again. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv) {
	const char *door = getenv("GLASSQ_MEMCACHED");
	int port = door && strchr(door, ':') ? atoi(strchr(door, ':') + 1) : 22201, count = argc > 1 ? atoi(argv[1]) : 10;
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int s = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(s, (struct sockaddr *)&to, sizeof to)) return perror("connect"), 1;
	FILE *out = fdopen(dup(s), "w"), *in = fdopen(s, "r");
	for (int i = 1; i <= count; i++) {
		char body[64];
		int n = snprintf(body, sizeof body, "http://localhost:8888/?q=%d", i);
		fprintf(out, "set tasks/id=c-%d 0 0 %d\r\n%s\r\n", i, n, body);
	}
	fflush(out); /* all at once; the answers come in order */
	char line[256];
	for (int i = 1; i <= count; i++)
		if (!fgets(line, sizeof line, in) || strcmp(line, "STORED\r\n"))
			return fprintf(stderr, "put %d: %s\n", i, line), 1;
	return 0;
}
