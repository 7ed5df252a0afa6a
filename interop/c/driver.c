// libmosquitto, driven by lines of JSON on standard input. It answers each with a
// line of JSON, and prints a line for each message that it receives.
#include "driver.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { patience = 60, identifiers = 1 << 16, most_filters = 64 };

static struct mosquitto *client;
static char made_for[512]; // what the client was made for
static bool v5;

// What the library's thread tells the one that reads commands.
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t told = PTHREAD_COND_INITIALIZER;
static cJSON *connack;             // the answer to CONNECT, until it is taken
static bool connected;             // the answer to CONNECT was taken: what follows are events
static bool over;                  // the connection is gone, and nothing makes another
static cJSON *answers[identifiers]; // by packet identifier, until they are taken
static bool unwanted[identifiers];  // nobody waits for this answer

// The thread of the network, where the library is not to connect again.
static pthread_t thread;
static bool running, reconnects;
static volatile bool stopping;
static char why[200];

static cJSON *ok(void)
{
	cJSON *line = cJSON_CreateObject();
	cJSON_AddTrueToObject(line, "ok");
	return line;
}

static cJSON *failed(const char *error)
{
	cJSON *line = cJSON_CreateObject();
	cJSON_AddFalseToObject(line, "ok");
	cJSON_AddStringToObject(line, "error", error);
	return line;
}

static cJSON *unsupported(const char *error)
{
	cJSON *line = failed(error);
	cJSON_AddTrueToObject(line, "unsupported");
	return line;
}

static cJSON *event(const char *name)
{
	cJSON *line = cJSON_CreateObject();
	cJSON_AddStringToObject(line, "event", name);
	return line;
}

// error_of tells what a call returned, with the reason of the system.
static const char *error_of(int rc)
{
	return rc == MOSQ_ERR_ERRNO ? strerror(errno) : mosquitto_strerror(rc);
}

static void on_connect(struct mosquitto *m, void *obj, int rc, int flags, const mosquitto_property *properties)
{
	cJSON *line = rc ? failed("refused") : ok();
	cJSON_AddNumberToObject(line, "code", rc);
	cJSON_AddBoolToObject(line, "present", flags & 1);
	cJSON_AddItemToObject(line, "properties", tell_properties(properties));
	pthread_mutex_lock(&lock);
	bool again = connected;
	if (!again) {
		connack = line;
		pthread_cond_broadcast(&told);
	}
	pthread_mutex_unlock(&lock);
	if (again) {
		cJSON *connected_event = event("connected");
		cJSON_AddBoolToObject(connected_event, "present", flags & 1);
		say(connected_event);
		cJSON_Delete(line);
	}
}

static void on_disconnect(struct mosquitto *m, void *obj, int rc, const mosquitto_property *properties)
{
	pthread_mutex_lock(&lock);
	bool tell = connected;
	snprintf(why, sizeof why, "%s", rc >= 0x80 ? mosquitto_reason_string(rc) : mosquitto_strerror(rc));
	if (!reconnects)
		over = true;
	pthread_cond_broadcast(&told);
	pthread_mutex_unlock(&lock);
	if (!tell)
		return;
	cJSON *line = event("disconnected");
	if (rc >= 0x80)
		cJSON_AddNumberToObject(line, "code", rc);
	cJSON_AddStringToObject(line, "error", why);
	say(line);
}

static void on_message(struct mosquitto *m, void *obj, const struct mosquitto_message *message, const mosquitto_property *properties)
{
	cJSON *line = event("message");
	char *payload = to_base64(message->payload, message->payloadlen);
	cJSON_AddStringToObject(line, "topic", message->topic);
	cJSON_AddStringToObject(line, "payloadBase64", payload);
	cJSON_AddNumberToObject(line, "qos", message->qos);
	cJSON_AddBoolToObject(line, "retain", message->retain);
	cJSON_AddItemToObject(line, "properties", tell_properties(properties));
	free(payload);
	say(line);
}

// answered keeps the answer to a request for the one that waits.
static void answered(int mid, cJSON *answer)
{
	pthread_mutex_lock(&lock);
	if (unwanted[mid] || answers[mid])
		cJSON_Delete(answer);
	else
		answers[mid] = answer;
	unwanted[mid] = false;
	pthread_cond_broadcast(&told);
	pthread_mutex_unlock(&lock);
}

static void on_publish(struct mosquitto *m, void *obj, int mid, int rc, const mosquitto_property *properties)
{
	cJSON *answer = ok();
	cJSON_AddNumberToObject(answer, "code", rc);
	answered(mid, answer);
}

static void on_subscribe(struct mosquitto *m, void *obj, int mid, int count, const int *granted, const mosquitto_property *properties)
{
	cJSON *answer = ok();
	cJSON_AddItemToObject(answer, "codes", cJSON_CreateIntArray(granted, count));
	answered(mid, answer);
}

static void on_unsubscribe(struct mosquitto *m, void *obj, int mid, const mosquitto_property *properties)
{
	answered(mid, ok()); // the library does not tell the codes
}

static struct timespec deadline(void)
{
	struct timespec at;
	clock_gettime(CLOCK_REALTIME, &at);
	at.tv_sec += patience;
	return at;
}

// wait_for takes the answer that appears there.
static cJSON *wait_for(cJSON **answer)
{
	struct timespec until = deadline();
	int rc = 0;
	pthread_mutex_lock(&lock);
	while (!*answer && !over && !rc)
		rc = pthread_cond_timedwait(&told, &lock, &until);
	cJSON *taken = *answer;
	*answer = NULL;
	if (!taken)
		taken = failed(over ? why : "no answer from the server");
	pthread_mutex_unlock(&lock);
	return taken;
}

static cJSON *result_of(int rc, int mid)
{
	return rc == MOSQ_ERR_SUCCESS ? wait_for(&answers[mid]) : failed(error_of(rc));
}

static void *run(void *m)
{
	int rc = MOSQ_ERR_SUCCESS;
	while (!stopping && rc == MOSQ_ERR_SUCCESS)
		rc = mosquitto_loop(m, 100, 1);
	pthread_mutex_lock(&lock);
	if (!over && !stopping)
		snprintf(why, sizeof why, "%s", mosquitto_strerror(rc));
	over = true;
	pthread_cond_broadcast(&told);
	pthread_mutex_unlock(&lock);
	return NULL;
}

static void stop(void)
{
	if (!running)
		return;
	running = false;
	if (reconnects) {
		mosquitto_loop_stop(client, true);
		return;
	}
	stopping = true;
	pthread_join(thread, NULL);
}

static void start(bool reconnect)
{
	reconnects = reconnect;
	stopping = false;
	running = true;
	if (reconnect)
		mosquitto_loop_start(client);
	else
		pthread_create(&thread, NULL, run, client);
}

static void forget(void)
{
	pthread_mutex_lock(&lock);
	cJSON_Delete(connack);
	connack = NULL;
	connected = over = false;
	for (int i = 0; i < identifiers; i++) {
		cJSON_Delete(answers[i]);
		answers[i] = NULL;
		unwanted[i] = false;
	}
	pthread_mutex_unlock(&lock);
}

// make makes a new client, unless this is the same session: the client has its state.
static bool make(const cJSON *c)
{
	char wanted[sizeof made_for];
	const char *id = text(c, "id");
	int version = (int)number(c, "version", 4);
	bool reconnect = flag(c, "reconnect", false);
	snprintf(wanted, sizeof wanted, "%d %d %d %s", version, flag(c, "clean", false), reconnect, id ? id : "");
	if (client && !strcmp(wanted, made_for) && !flag(c, "clean", false))
		return true;
	if (client)
		mosquitto_destroy(client);
	client = mosquitto_new(id && *id ? id : NULL, flag(c, "clean", false), NULL);
	*made_for = 0;
	if (!client)
		return false;
	strcpy(made_for, wanted);
	v5 = version == 5;
	if (!reconnect)
		mosquitto_threaded_set(client, true); // mosquitto_loop_start does it
	mosquitto_int_option(client, MOSQ_OPT_PROTOCOL_VERSION, version);
	mosquitto_reconnect_delay_set(client, 1, 1, false);
	mosquitto_connect_v5_callback_set(client, on_connect);
	mosquitto_disconnect_v5_callback_set(client, on_disconnect);
	mosquitto_message_v5_callback_set(client, on_message);
	mosquitto_publish_v5_callback_set(client, on_publish);
	mosquitto_subscribe_v5_callback_set(client, on_subscribe);
	mosquitto_unsubscribe_v5_callback_set(client, on_unsubscribe);
	return true;
}

static int set_will(const cJSON *will)
{
	if (!cJSON_IsObject(will))
		return mosquitto_will_clear(client);
	mosquitto_property *properties = NULL;
	size_t length;
	void *payload = payload_of(will, &length);
	char *topic = string_of(will, "topic");
	if (v5) {
		add_will_properties(&properties, will);
		add_message_properties(&properties, cJSON_GetObjectItem(will, "properties"));
	}
	int rc = mosquitto_will_set_v5(client, topic, (int)length, payload, (int)number(will, "qos", 0),
		flag(will, "retain", false), properties);
	free(topic);
	free(payload);
	return rc;
}

// address splits mqtt://host:port.
static bool address(const char *url, char *host, size_t size, int *port)
{
	if (!url || strncmp(url, "mqtt://", 7) || strlen(url) >= size)
		return false;
	strcpy(host, url + 7);
	char *colon = strrchr(host, ':');
	if (!colon)
		return false;
	*colon = 0;
	*port = atoi(colon + 1);
	return true;
}

static int begin(const cJSON *c, const char *host, int port)
{
	mosquitto_property *properties = NULL;
	const char *username = text(c, "username"), *password = text(c, "password");
	int rc = mosquitto_username_pw_set(client, username, password);
	if (!rc)
		rc = set_will(cJSON_GetObjectItem(c, "will"));
	if (rc)
		return rc;
	if (v5) {
		// The library sends its own Receive Maximum: it has an option for it.
		mosquitto_int_option(client, MOSQ_OPT_RECEIVE_MAXIMUM, (int)number(c, "receiveMaximum", 65535));
		add_connect_properties(&properties, c);
	}
	rc = mosquitto_connect_bind_v5(client, host, port, (int)number(c, "keepalive", 0), NULL, properties);
	mosquitto_property_free_all(&properties);
	return rc;
}

static cJSON *do_connect(const cJSON *c)
{
	char host[256];
	int port;
	if (flag(c, "autoAlias", false))
		return unsupported("libmosquitto assigns no topic aliases");
	if (cJSON_IsObject(cJSON_GetObjectItem(c, "auth")))
		return unsupported("libmosquitto does not answer AUTH");
	if (!flag(c, "clean", false) && !*(text(c, "id") ? text(c, "id") : "") && number(c, "version", 4) == 5)
		return unsupported("libmosquitto has no session without a client identifier");
	double keep_alive = number(c, "keepalive", 0);
	if (keep_alive > 0 && keep_alive < 5)
		return unsupported("libmosquitto has no keep alive below five seconds");
	if (!address(text(c, "url"), host, sizeof host, &port))
		return unsupported("libmosquitto has no such transport");
	stop();
	if (!make(c))
		return failed(error_of(MOSQ_ERR_ERRNO));
	forget();
	int rc = begin(c, host, port);
	if (rc)
		return failed(error_of(rc));
	start(flag(c, "reconnect", false));
	cJSON *answer = wait_for(&connack);
	pthread_mutex_lock(&lock);
	connected = cJSON_IsTrue(cJSON_GetObjectItem(answer, "ok"));
	pthread_mutex_unlock(&lock);
	return answer;
}

static cJSON *do_publish(const cJSON *c)
{
	mosquitto_property *properties = NULL;
	size_t length;
	int mid = 0;
	void *payload = payload_of(c, &length);
	char *topic = string_of(c, "topic");
	if (v5)
		add_message_properties(&properties, cJSON_GetObjectItem(c, "properties"));
	int rc = mosquitto_publish_v5(client, &mid, topic, (int)length, payload, (int)number(c, "qos", 0),
		flag(c, "retain", false), properties);
	free(topic);
	free(payload);
	mosquitto_property_free_all(&properties);
	if (rc || flag(c, "wait", false))
		return result_of(rc, mid);
	pthread_mutex_lock(&lock);
	unwanted[mid] = !answers[mid];
	cJSON_Delete(answers[mid]);
	answers[mid] = NULL;
	pthread_mutex_unlock(&lock);
	return ok();
}

static int options_of(const cJSON *filter)
{
	return (flag(filter, "noLocal", false) ? MQTT_SUB_OPT_NO_LOCAL : 0) |
	       (flag(filter, "retainAsPublished", false) ? MQTT_SUB_OPT_RETAIN_AS_PUBLISHED : 0) |
	       (int)number(filter, "retainHandling", 0) << 4;
}

// names_of returns how many filters there are, at most most_filters: memory to free.
static int names_of(const cJSON *c, char **names)
{
	const cJSON *filter;
	int count = 0;
	cJSON_ArrayForEach(filter, cJSON_GetObjectItem(c, "filters"))
		if (count < most_filters)
			names[count++] = string_of(filter, "filter");
	return count;
}

// same reports whether all filters have the same QoS and options.
static bool same(const cJSON *filters)
{
	const cJSON *filter, *first = cJSON_GetArrayItem(filters, 0);
	cJSON_ArrayForEach(filter, filters)
		if (number(filter, "qos", 0) != number(first, "qos", 0) || options_of(filter) != options_of(first))
			return false;
	return true;
}

static cJSON *do_subscribe(const cJSON *c)
{
	const cJSON *filters = cJSON_GetObjectItem(c, "filters"), *first = cJSON_GetArrayItem(filters, 0);
	char *names[most_filters];
	mosquitto_property *properties = NULL;
	int mid = 0, identifier = (int)number(c, "identifier", 0);
	if (!same(filters))
		return unsupported("libmosquitto has one QoS and one set of options for all filters of a packet");
	if (identifier && v5)
		mosquitto_property_add_varint(&properties, MQTT_PROP_SUBSCRIPTION_IDENTIFIER, (uint32_t)identifier);
	int count = names_of(c, names);
	int rc = mosquitto_subscribe_multiple(client, &mid, count, names, (int)number(first, "qos", 0),
		v5 ? options_of(first) : 0, properties);
	while (count > 0)
		free(names[--count]);
	mosquitto_property_free_all(&properties);
	return result_of(rc, mid);
}

static cJSON *do_unsubscribe(const cJSON *c)
{
	char *names[most_filters];
	int mid = 0, count = names_of(c, names);
	int rc = mosquitto_unsubscribe_multiple(client, &mid, count, names, NULL);
	while (count > 0)
		free(names[--count]);
	return result_of(rc, mid);
}

static cJSON *do_disconnect(const cJSON *c)
{
	mosquitto_property *properties = NULL;
	double expiry = number(c, "expiry", 0);
	if (v5 && expiry > 0)
		mosquitto_property_add_int32(&properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL, (uint32_t)expiry);
	pthread_mutex_lock(&lock);
	connected = false;
	pthread_mutex_unlock(&lock);
	int rc = mosquitto_disconnect_v5(client, v5 ? (int)number(c, "code", 0) : 0, properties);
	mosquitto_property_free_all(&properties);
	if (rc)
		return failed(error_of(rc));
	running = false;
	if (reconnects)
		mosquitto_loop_stop(client, false); // ends when DISCONNECT is sent
	else
		pthread_join(thread, NULL);
	return ok();
}

static cJSON *do_reset(void)
{
	pthread_mutex_lock(&lock);
	connected = false;
	pthread_mutex_unlock(&lock);
	if (!client)
		return ok();
	stop();
	mosquitto_destroy(client);
	client = NULL;
	return ok();
}

static cJSON *answer_to(const cJSON *c, const char *op)
{
	if (!strcmp(op, "connect"))
		return do_connect(c);
	if (!strcmp(op, "reset"))
		return do_reset();
	if (!strcmp(op, "ping") || !strcmp(op, "reauthenticate"))
		return unsupported("libmosquitto does it by itself, or not at all");
	if (!client)
		return failed("not connected");
	if (!strcmp(op, "publish"))
		return do_publish(c);
	if (!strcmp(op, "subscribe"))
		return do_subscribe(c);
	if (!strcmp(op, "unsubscribe"))
		return do_unsubscribe(c);
	if (!strcmp(op, "disconnect"))
		return do_disconnect(c);
	return unsupported("no such operation");
}

static void hello(void)
{
	int major, minor, revision;
	char library[64];
	mosquitto_lib_version(&major, &minor, &revision);
	snprintf(library, sizeof library, "libmosquitto %d.%d.%d", major, minor, revision);
	cJSON *line = event("hello");
	cJSON_AddStringToObject(line, "name", "libmosquitto");
	cJSON_AddStringToObject(line, "library", library);
	cJSON_AddItemToObject(line, "versions", cJSON_CreateIntArray((int[]){ 3, 4, 5 }, 3));
	cJSON_AddItemToObject(line, "transports", cJSON_CreateStringArray((const char *[]){ "mqtt" }, 1));
	cJSON_AddItemToObject(line, "features", cJSON_CreateStringArray((const char *[]){ "reconnect" }, 1));
	say(line);
}

int main(void)
{
	char *line = NULL;
	size_t size = 0;
	mosquitto_lib_init();
	hello();
	while (getline(&line, &size, stdin) > 0) {
		cJSON *c = cJSON_Parse(line);
		const char *op = text(c, "op");
		if (!op)
			return 1;
		if (!strcmp(op, "quit")) {
			say(ok());
			return 0;
		}
		say(strstr(line, "\\u0000") ? unsupported("a string of C does not hold U+0000") : answer_to(c, op));
		cJSON_Delete(c);
	}
	return 0;
}
