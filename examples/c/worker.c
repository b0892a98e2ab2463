/* A worker behind the pipe: glassq work pipe -- ./worker. A line is a lease, the answer is a result.
 * A task {"sleep":2} takes two seconds, {"fail":true} fails, any other succeeds. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *work(const char *lease) {
	const char *at = strstr(lease, "\"body\":{\"sleep\":");
	if (at) {
		char *end;
		double seconds = strtod(at + strlen("\"body\":{\"sleep\":"), &end);
		if (*end != '}' && *end != ',')
			return "{\"o\":{\"ok\":0,\"err\":\"bad_task\"}}";
		struct timespec nap = {(time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9)};
		nanosleep(&nap, NULL);
	}
	return strstr(lease, "\"body\":{\"fail\":true") ? "{\"o\":{\"ok\":0}}" : "{\"o\":{\"ok\":1}}";
}

int main(void) {
	char *lease = NULL;
	for (size_t room = 0; getline(&lease, &room, stdin) > 0; fflush(stdout))
		puts(work(lease));
	free(lease);
}
