// Fields of commands, lines of answers, and base64.
#include "driver.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t output = PTHREAD_MUTEX_INITIALIZER;

void say(cJSON *line)
{
	char *printed = cJSON_PrintUnformatted(line);
	pthread_mutex_lock(&output);
	printf("%s\n", printed);
	fflush(stdout);
	pthread_mutex_unlock(&output);
	free(printed);
	cJSON_Delete(line);
}

double number(const cJSON *object, const char *name, double otherwise)
{
	const cJSON *field = cJSON_GetObjectItemCaseSensitive(object, name);
	return cJSON_IsNumber(field) ? field->valuedouble : otherwise;
}

bool flag(const cJSON *object, const char *name, bool otherwise)
{
	const cJSON *field = cJSON_GetObjectItemCaseSensitive(object, name);
	return cJSON_IsBool(field) ? cJSON_IsTrue(field) : otherwise;
}

const char *text(const cJSON *object, const char *name)
{
	return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *to_base64(const void *bytes, size_t length)
{
	const unsigned char *in = bytes;
	char *string = malloc(length / 3 * 4 + 5), *out = string;
	for (size_t i = 0; i < length; i += 3) {
		size_t left = length - i;
		unsigned group = in[i] << 16 | (left > 1 ? in[i + 1] << 8 : 0) | (left > 2 ? in[i + 2] : 0);
		*out++ = alphabet[group >> 18];
		*out++ = alphabet[group >> 12 & 63];
		*out++ = left > 1 ? alphabet[group >> 6 & 63] : '=';
		*out++ = left > 2 ? alphabet[group & 63] : '=';
	}
	*out = 0;
	return string;
}

void *from_base64(const char *string, size_t *length)
{
	unsigned char *bytes = malloc(strlen(string) / 4 * 3 + 4), *out = bytes;
	unsigned group = 0, bits = 0;
	for (; *string && *string != '='; string++) {
		const char *at = strchr(alphabet, *string);
		group = group << 6 | (unsigned)(at ? at - alphabet : 0);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			*out++ = group >> bits & 255;
		}
	}
	*length = out - bytes;
	*out = 0;
	return bytes;
}

char *string_of(const cJSON *object, const char *name)
{
	char twin[64];
	size_t length;
	snprintf(twin, sizeof twin, "%sBase64", name);
	const char *encoded = text(object, twin), *plain = text(object, name);
	return encoded ? from_base64(encoded, &length) : strdup(plain ? plain : "");
}

void *payload_of(const cJSON *object, size_t *length)
{
	const char *encoded = text(object, "payloadBase64");
	if (encoded)
		return from_base64(encoded, length);
	const char *plain = text(object, "payload");
	*length = plain ? strlen(plain) : 0;
	return strdup(plain ? plain : "");
}
