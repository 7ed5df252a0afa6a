/* libmosquitto with its network thread, TCP_NODELAY, 3.1.1. It connects again by
   itself, and its user subscribes again. */
#include "bench.h"
#include <mosquitto.h>

static struct mosquitto *client;

static void publish(int q) {
  int rc = mosquitto_publish(client, NULL, topic, size, payload, q, false);
  if (rc != MOSQ_ERR_SUCCESS) fail("publish", rc);
}

/* Called at QoS 0 when a message is written, at QoS 1 and 2 when the exchange is over. */
static void on_publish(struct mosquitto *m, void *x, int mid) { give_place(); }

static void on_connect(struct mosquitto *m, void *x, int rc) {
  if (rc != 0) fail("connect", rc);
  atomic_fetch_add(&ready, 1);
  if (strcmp(kind, "return") == 0) mosquitto_subscribe(m, NULL, topic, qos);
}

static void on_subscribe(struct mosquitto *m, void *x, int mid, int n, const int *granted) {
  atomic_fetch_add(&ready, 1);
}

static void on_message(struct mosquitto *m, void *x, const struct mosquitto_message *msg) {
  message(msg->payload, msg->payloadlen);
}

int main(int argc, char **argv) {
  int major, minor, revision;
  char version[32];
  arguments(argv);
  mosquitto_lib_init();
  mosquitto_lib_version(&major, &minor, &revision);
  snprintf(version, sizeof version, "%d.%d.%d", major, minor, revision);
  client = mosquitto_new("bench", true, NULL);
  mosquitto_int_option(client, MOSQ_OPT_TCP_NODELAY, 1);
  mosquitto_int_option(client, MOSQ_OPT_SEND_MAXIMUM, window);
  mosquitto_connect_callback_set(client, on_connect);
  mosquitto_publish_callback_set(client, on_publish);
  mosquitto_subscribe_callback_set(client, on_subscribe);
  mosquitto_message_callback_set(client, on_message);
  int rc;
  if (strcmp(transport, "tls") == 0 &&
      (rc = mosquitto_tls_set(client, certificate, NULL, NULL, NULL, NULL)) != MOSQ_ERR_SUCCESS)
    fail("tls", rc);
  rc = mosquitto_connect(client, host, port, 60);
  if (rc != MOSQ_ERR_SUCCESS) fail("connect", rc);
  mosquitto_loop_start(client);
  await_ready(1);
  if (strcmp(kind, "receive") == 0) {
    if ((rc = mosquitto_subscribe(client, NULL, topic, qos)) != MOSQ_ERR_SUCCESS) fail("subscribe", rc);
    await_ready(2);
  }
  run(version);
}
