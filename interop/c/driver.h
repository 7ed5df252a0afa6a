// What the parts of the driver share.
#ifndef DRIVER_H
#define DRIVER_H

#include <cjson/cJSON.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <stdbool.h>
#include <stddef.h>

// say prints an object as one line and frees it.
void say(cJSON *line);

// number returns a field, or otherwise if it is absent or no number.
double number(const cJSON *object, const char *name, double otherwise);
bool flag(const cJSON *object, const char *name, bool otherwise);
const char *text(const cJSON *object, const char *name); // NULL: absent

// to_base64 and from_base64 return memory to free.
char *to_base64(const void *bytes, size_t length);
void *from_base64(const char *string, size_t *length);

// string_of returns a field, or its twin in base64: memory to free.
char *string_of(const cJSON *object, const char *name);

// payload_of returns the payload of a publish or a will: memory to free.
void *payload_of(const cJSON *object, size_t *length);

// add_properties adds what the object has of the properties of that packet or block.
void add_connect_properties(mosquitto_property **list, const cJSON *object);
void add_will_properties(mosquitto_property **list, const cJSON *object);
void add_message_properties(mosquitto_property **list, const cJSON *object);

// tell_properties returns an object of all properties of a list.
cJSON *tell_properties(const mosquitto_property *list);

#endif
