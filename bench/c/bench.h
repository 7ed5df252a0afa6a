/* What the clients in C share: arguments, usage of the process, the sample. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static const char *kind, *host, *topic, *transport, *certificate, *dir;
static int port, qos, size, window, threads;
static double warmup, duration;
static char *payload;

static void arguments(char **argv) {
  kind = argv[1], host = argv[2], port = atoi(argv[3]), topic = argv[4];
  qos = atoi(argv[5]), size = atoi(argv[6]), window = atoi(argv[7]);
  warmup = atof(argv[8]), duration = atof(argv[9]);
  transport = argv[10], certificate = argv[11];
  threads = atoi(argv[12]), dir = argv[13];
  payload = calloc(1, size + 1);
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void pause_for(double seconds) { usleep((useconds_t)(seconds * 1e6)); }

static void fail(const char *what, int code) {
  fprintf(stderr, "%s: %d\n", what, code);
  exit(1);
}

struct usage {
  double at, cpu;
  unsigned long long reads, writes, written, cancelled;
};

static struct usage usage(void) {
  struct usage u = {0};
  struct rusage r;
  getrusage(RUSAGE_SELF, &r);
  u.at = now();
  u.cpu = r.ru_utime.tv_sec + r.ru_stime.tv_sec + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
  FILE *f = fopen("/proc/self/io", "r");
  char line[128];
  while (f && fgets(line, sizeof line, f)) {
    sscanf(line, "syscr: %llu", &u.reads);
    sscanf(line, "syscw: %llu", &u.writes);
    sscanf(line, "write_bytes: %llu", &u.written);
    sscanf(line, "cancelled_write_bytes: %llu", &u.cancelled);
  }
  if (f) fclose(f);
  return u;
}

/* Messages in flight: a publisher takes a place, an acknowledgement gives it back. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int inflight;

static void take_place(int limit) {
  pthread_mutex_lock(&mutex);
  while (inflight >= limit) pthread_cond_wait(&changed, &mutex);
  inflight++;
  pthread_mutex_unlock(&mutex);
}

static void give_place(void) {
  pthread_mutex_lock(&mutex);
  inflight--;
  pthread_cond_signal(&changed);
  pthread_mutex_unlock(&mutex);
}

static void await_empty(void) {
  pthread_mutex_lock(&mutex);
  while (inflight > 0) pthread_cond_wait(&changed, &mutex);
  pthread_mutex_unlock(&mutex);
}

/* Something the main thread waits for during setup. */
static atomic_int ready;

static void await_ready(int n) {
  for (double start = now(); atomic_load(&ready) < n; usleep(200))
    if (now() - start > 10) fail("no answer", n);
}

/* Received messages, and whether their numbers follow each other. */
static atomic_ullong received, gaps;
static uint32_t next;

static void message(const void *data, int length) {
  if (length >= 4) {
    const unsigned char *p = data;
    uint32_t n = (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
    if (n != next && n != 0) atomic_fetch_add(&gaps, 1); /* the cycle is not known here */
    next = n + 1;
  }
  atomic_fetch_add(&received, 1);
}

/* Given by each client: hand over one message. give_place follows with the
   acknowledgement, at QoS 0 when the message is written: the libraries would
   queue without a bound. */
static void publish(int q);

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double *times;
static size_t timed;
enum { MOST_TIMES = 1 << 20 };

static unsigned long long pump(double seconds) {
  double end = now() + seconds;
  unsigned long long n = 0;
  timed = 0;
  int one = strcmp(kind, "seq") == 0;
  for (; now() < end; n++) {
    double start = now();
    take_place(one ? 1 : window);
    publish(qos);
    if (one) {
      await_empty();
      if (timed < MOST_TIMES) times[timed++] = (now() - start) * 1e6;
    }
  }
  if (qos == 0) {
    take_place(1);
    publish(1);
  }
  await_empty();
  return n;
}

/* Several threads publish until a time, and wait for places together. */
static double until;
static atomic_ullong accepted;
enum { MOST_ACCEPTED = 1024, MOST_THREADS = 1024 };

static void *publisher(void *x) {
  while (now() < until) {
    take_place(MOST_ACCEPTED);
    publish(qos);
    atomic_fetch_add(&accepted, 1);
  }
  return x;
}

static unsigned long long pump_together(double seconds) {
  pthread_t all[MOST_THREADS];
  atomic_store(&accepted, 0);
  until = now() + seconds;
  for (int i = 0; i < threads; i++)
    if (pthread_create(&all[i], NULL, publisher, NULL) != 0) fail("thread", i);
  for (int i = 0; i < threads; i++) pthread_join(all[i], NULL);
  await_empty();
  return atomic_load(&accepted);
}

static double percentile(double p) {
  size_t i = (size_t)(p * timed);
  return times[i < timed ? i : timed - 1];
}

/* Runs the scenario on a connected (and, to receive, subscribed) client. */
static void run(const char *version) {
  struct usage a, b;
  unsigned long long n, total = 0;
  if (strcmp(kind, "return") == 0) /* ended from outside */
    for (;;) pause();
  if (strcmp(kind, "receive") == 0) {
    pause_for(warmup);
    n = atomic_load(&received);
    a = usage();
    pause_for(duration);
    b = usage();
    n = atomic_load(&received) - n;
  } else if (strcmp(kind, "durable") == 0) {
    total = pump_together(warmup);
    a = usage();
    n = pump_together(duration);
    b = usage();
    total += n;
  } else {
    times = calloc(MOST_TIMES, sizeof *times);
    total = pump(warmup);
    a = usage();
    n = pump(duration);
    b = usage();
    total += n + (qos == 0 ? 2 : 0);
  }
  printf("{\"messages\":%llu,\"seconds\":%f,\"cpu_seconds\":%f,\"reads\":%llu,\"writes\":%llu,\"written\":%llu,\"cancelled\":%llu,\"total\":%llu,\"lost\":%llu,\"version\":\"%s\"",
         n, b.at - a.at, b.cpu - a.cpu, b.reads - a.reads, b.writes - a.writes,
         b.written - a.written, b.cancelled - a.cancelled, total,
         (unsigned long long)atomic_load(&gaps), version);
  if (strcmp(kind, "seq") == 0 && timed > 0) {
    qsort(times, timed, sizeof *times, by_size);
    printf(",\"latency\":{\"p50\":%f,\"p99\":%f,\"p999\":%f}", percentile(.5), percentile(.99), percentile(.999));
  }
  printf("}\n");
  fflush(stdout);
  _exit(0);
}
