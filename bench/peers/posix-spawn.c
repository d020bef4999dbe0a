/*
 * posix-spawn CALLERS COUNT WARM_UP: runs `true` by posix_spawn(3) and waitpid(2),
 * COUNT times in all, by so many threads. Prints what each took as JSON.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static atomic_int next_index;
static int count;
static double *latencies_ms;

static double now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void *run(void *unused) {
  char *argv[] = {"true", NULL};
  for (int index; (index = atomic_fetch_add(&next_index, 1)) < count;) {
    double start_ms = now_ms();
    pid_t pid;
    int status;
    if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) != 0) fail("posix_spawnp");
    if (waitpid(pid, &status, 0) != pid || status != 0) fail("waitpid");
    latencies_ms[index] = now_ms() - start_ms;
  }
  return unused;
}

static double run_all(int callers, int how_many) {
  pthread_t threads[callers];
  count = how_many;
  atomic_store(&next_index, 0);
  double start_ms = now_ms();
  for (int i = 0; i < callers; i++)
    if (pthread_create(&threads[i], NULL, run, NULL) != 0) fail("pthread_create");
  for (int i = 0; i < callers; i++) pthread_join(threads[i], NULL);
  return (now_ms() - start_ms) / 1e3;
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  int callers = atoi(argv[1]), measured = atoi(argv[2]), warm_up = atoi(argv[3]);
  int largest = measured > warm_up ? measured : warm_up;
  latencies_ms = calloc(largest, sizeof *latencies_ms);
  if (callers < 1 || measured < 1 || !latencies_ms) return 2;
  run_all(callers, warm_up);
  double seconds = run_all(callers, measured);
  printf("{\"seconds\":%f,\"latenciesMs\":[", seconds);
  for (int i = 0; i < measured; i++) printf("%s%f", i ? "," : "", latencies_ms[i]);
  printf("]}\n");
  return 0;
}
