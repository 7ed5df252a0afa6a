// Properties of MQTT 5: fields of JSON, and lists of libmosquitto.
#include "driver.h"

#include <stdlib.h>
#include <string.h>

struct property {
	const char *name;
	int identifier;
};

static const struct property connect[] = {
	{ "expiry", MQTT_PROP_SESSION_EXPIRY_INTERVAL },
	{ "receiveMaximum", MQTT_PROP_RECEIVE_MAXIMUM },
	{ "maximumPacketSize", MQTT_PROP_MAXIMUM_PACKET_SIZE },
	{ "topicAliasMaximum", MQTT_PROP_TOPIC_ALIAS_MAXIMUM },
	{ "userProperties", MQTT_PROP_USER_PROPERTY },
	{ 0 },
};

static const struct property message[] = {
	{ "payloadFormat", MQTT_PROP_PAYLOAD_FORMAT_INDICATOR },
	{ "messageExpiry", MQTT_PROP_MESSAGE_EXPIRY_INTERVAL },
	{ "contentType", MQTT_PROP_CONTENT_TYPE },
	{ "responseTopic", MQTT_PROP_RESPONSE_TOPIC },
	{ "correlation", MQTT_PROP_CORRELATION_DATA },
	{ "alias", MQTT_PROP_TOPIC_ALIAS },
	{ "userProperties", MQTT_PROP_USER_PROPERTY },
	{ 0 },
};

static const struct property will[] = { { "delay", MQTT_PROP_WILL_DELAY_INTERVAL }, { 0 } };

// What only the server sends.
static const struct property told[] = {
	{ "subscriptionIdentifiers", MQTT_PROP_SUBSCRIPTION_IDENTIFIER },
	{ "assignedID", MQTT_PROP_ASSIGNED_CLIENT_IDENTIFIER },
	{ "responseInformation", MQTT_PROP_RESPONSE_INFORMATION },
	{ "serverReference", MQTT_PROP_SERVER_REFERENCE },
	{ "reasonString", MQTT_PROP_REASON_STRING },
	{ 0 },
};

static int type_of(int identifier)
{
	const char *name = mosquitto_property_identifier_to_string(identifier);
	int type = 0;
	mosquitto_string_to_property_info(name, &identifier, &type);
	return type;
}

static void add(mosquitto_property **list, int identifier, const cJSON *value)
{
	size_t length;
	void *bytes;
	const cJSON *pair;
	switch (type_of(identifier)) {
	case MQTT_PROP_TYPE_BYTE:
		mosquitto_property_add_byte(list, identifier, (uint8_t)value->valuedouble);
		break;
	case MQTT_PROP_TYPE_INT16:
		mosquitto_property_add_int16(list, identifier, (uint16_t)value->valuedouble);
		break;
	case MQTT_PROP_TYPE_INT32:
		mosquitto_property_add_int32(list, identifier, (uint32_t)value->valuedouble);
		break;
	case MQTT_PROP_TYPE_BINARY:
		bytes = from_base64(cJSON_GetStringValue(value), &length);
		mosquitto_property_add_binary(list, identifier, bytes, (uint16_t)length);
		free(bytes);
		break;
	case MQTT_PROP_TYPE_STRING:
		mosquitto_property_add_string(list, identifier, cJSON_GetStringValue(value));
		break;
	case MQTT_PROP_TYPE_STRING_PAIR:
		cJSON_ArrayForEach(pair, value)
			mosquitto_property_add_string_pair(list, identifier,
				cJSON_GetStringValue(cJSON_GetArrayItem(pair, 0)),
				cJSON_GetStringValue(cJSON_GetArrayItem(pair, 1)));
		break;
	}
}

static void add_all(mosquitto_property **list, const struct property *known, const cJSON *object)
{
	for (; known->name; known++) {
		const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, known->name);
		if (value && !cJSON_IsNull(value))
			add(list, known->identifier, value);
	}
}

void add_connect_properties(mosquitto_property **list, const cJSON *object)
{
	add_all(list, connect, object);
	if (flag(object, "requestResponseInformation", false))
		mosquitto_property_add_byte(list, MQTT_PROP_REQUEST_RESPONSE_INFORMATION, 1);
	if (flag(object, "noProblemInformation", false))
		mosquitto_property_add_byte(list, MQTT_PROP_REQUEST_PROBLEM_INFORMATION, 0);
}

void add_will_properties(mosquitto_property **list, const cJSON *object) { add_all(list, will, object); }
void add_message_properties(mosquitto_property **list, const cJSON *object) { add_all(list, message, object); }

static const char *name_of(int identifier)
{
	const struct property *tables[] = { connect, message, will, told };
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
		for (const struct property *p = tables[i]; p->name; p++)
			if (p->identifier == identifier)
				return p->name;
	return mosquitto_property_identifier_to_string(identifier);
}

// read_number returns whether the property has a number.
static bool read_number(const mosquitto_property *p, int identifier, uint32_t *value)
{
	uint8_t byte;
	uint16_t word;
	switch (type_of(identifier)) {
	case MQTT_PROP_TYPE_BYTE:
		mosquitto_property_read_byte(p, identifier, &byte, false);
		*value = byte;
		return true;
	case MQTT_PROP_TYPE_INT16:
		mosquitto_property_read_int16(p, identifier, &word, false);
		*value = word;
		return true;
	case MQTT_PROP_TYPE_INT32:
		mosquitto_property_read_int32(p, identifier, value, false);
		return true;
	case MQTT_PROP_TYPE_VARINT:
		mosquitto_property_read_varint(p, identifier, value, false);
		return true;
	}
	return false;
}

static cJSON *array_in(cJSON *object, const char *name)
{
	cJSON *array = cJSON_GetObjectItemCaseSensitive(object, name);
	return array ? array : cJSON_AddArrayToObject(object, name);
}

static void tell_string(cJSON *told_object, const mosquitto_property *p, int identifier)
{
	const char *name = name_of(identifier);
	char *first = NULL, *second = NULL;
	void *bytes = NULL;
	uint16_t length = 0;
	switch (type_of(identifier)) {
	case MQTT_PROP_TYPE_STRING:
		mosquitto_property_read_string(p, identifier, &first, false);
		cJSON_AddStringToObject(told_object, name, first ? first : "");
		break;
	case MQTT_PROP_TYPE_BINARY:
		mosquitto_property_read_binary(p, identifier, &bytes, &length, false);
		first = to_base64(bytes, length);
		cJSON_AddStringToObject(told_object, name, first);
		break;
	case MQTT_PROP_TYPE_STRING_PAIR:
		mosquitto_property_read_string_pair(p, identifier, &first, &second, false);
		cJSON_AddItemToArray(array_in(told_object, name),
			cJSON_CreateStringArray((const char *[]){ first ? first : "", second ? second : "" }, 2));
		break;
	}
	free(first);
	free(second);
	free(bytes);
}

cJSON *tell_properties(const mosquitto_property *list)
{
	cJSON *object = cJSON_CreateObject();
	for (const mosquitto_property *p = list; p; p = mosquitto_property_next(p)) {
		int identifier = mosquitto_property_identifier(p);
		uint32_t value = 0;
		if (!read_number(p, identifier, &value))
			tell_string(object, p, identifier);
		else if (identifier == MQTT_PROP_SUBSCRIPTION_IDENTIFIER)
			cJSON_AddItemToArray(array_in(object, name_of(identifier)), cJSON_CreateNumber(value));
		else
			cJSON_AddNumberToObject(object, name_of(identifier), value);
	}
	return object;
}
