/* The asynchronous client of Eclipse Paho C, 3.1.1. */
#include "bench.h"
#include <MQTTAsync.h>

static MQTTAsync client;

static void acknowledged(void *x, MQTTAsync_successData *d) { give_place(); }
static void prepared(void *x, MQTTAsync_successData *d) { atomic_fetch_add(&ready, 1); }
static void failed(void *x, MQTTAsync_failureData *d) { fail("refused", d ? d->code : -1); }

static void publish(int q) {
  MQTTAsync_message m = MQTTAsync_message_initializer;
  MQTTAsync_responseOptions o = MQTTAsync_responseOptions_initializer;
  m.payload = payload, m.payloadlen = size, m.qos = q;
  o.onSuccess = acknowledged, o.onFailure = failed;
  int rc = MQTTAsync_sendMessage(client, topic, &m, &o);
  if (rc != MQTTASYNC_SUCCESS) fail("publish", rc);
}

static int arrived(void *x, char *name, int length, MQTTAsync_message *m) {
  message(m->payload, m->payloadlen);
  MQTTAsync_freeMessage(&m);
  MQTTAsync_free(name);
  return 1;
}

int main(int argc, char **argv) {
  char url[128];
  const char *version = "";
  arguments(argv);
  for (MQTTAsync_nameValue *v = MQTTAsync_getVersionInfo(); v->name; v++)
    if (strcmp(v->name, "Version") == 0) version = v->value;
  const char *scheme = strcmp(transport, "tls") == 0 ? "ssl" : strcmp(transport, "ws") == 0 ? "ws" : "tcp";
  snprintf(url, sizeof url, "%s://%s:%d%s", scheme, host, port, strcmp(transport, "ws") == 0 ? "/mqtt" : "");
  if (*dir) MQTTAsync_create(&client, url, "bench", MQTTCLIENT_PERSISTENCE_DEFAULT, (void *)dir);
  else MQTTAsync_create(&client, url, "bench", MQTTCLIENT_PERSISTENCE_NONE, NULL);
  MQTTAsync_setCallbacks(client, NULL, NULL, arrived, NULL);
  MQTTAsync_connectOptions c = MQTTAsync_connectOptions_initializer;
  c.MQTTVersion = MQTTVERSION_3_1_1;
  c.maxInflight = window;
  if (*dir) c.cleansession = 0;
  c.onSuccess = prepared, c.onFailure = failed;
  MQTTAsync_SSLOptions tls = MQTTAsync_SSLOptions_initializer;
  tls.trustStore = certificate, tls.verify = 1;
  if (strcmp(transport, "tls") == 0) c.ssl = &tls;
  int rc = MQTTAsync_connect(client, &c);
  if (rc != MQTTASYNC_SUCCESS) fail("connect", rc);
  await_ready(1);
  if (strcmp(kind, "receive") == 0) {
    MQTTAsync_responseOptions o = MQTTAsync_responseOptions_initializer;
    o.onSuccess = prepared, o.onFailure = failed;
    if ((rc = MQTTAsync_subscribe(client, topic, qos, &o)) != MQTTASYNC_SUCCESS) fail("subscribe", rc);
    await_ready(2);
  }
  run(version);
}
