package payload

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"strings"
	"unicode/utf8"

	"github.com/seed65a45251/mqtt"
)

// JSON is a Codec for JSON by encoding/json. It sets ContentType to application/json and
// PayloadFormatUTF8. The zero JSON works.
//
// Decode looks at no property, since senders before 5.0 have none. It refuses an empty
// payload, and one with anything behind the value.
type JSON[T any] struct {
	// Strict makes Decode refuse members that T does not have, text that is not UTF-8,
	// and a ContentType that is given and is not JSON. Zero means that they are accepted:
	// unknown members are left out, and other bytes become U+FFFD.
	Strict bool
}

// Encode sets the payload of m to v in JSON.
func (c JSON[T]) Encode(m *mqtt.Message, v T) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	m.Payload, m.ContentType, m.PayloadFormatUTF8 = text, "application/json", true
	return nil
}

// Decode returns the value in the payload of m.
func (c JSON[T]) Decode(m *mqtt.Message) (v T, err error) {
	if !c.Strict {
		return v, json.Unmarshal(m.Payload, &v)
	}
	if m.ContentType != "" && !isJSON(m.ContentType) {
		return v, fmt.Errorf("content type %.80q is not JSON", m.ContentType)
	}
	if !utf8.Valid(m.Payload) {
		return v, errors.New("not valid UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(m.Payload))
	d.DisallowUnknownFields()
	if err = d.Decode(&v); errors.Is(err, io.EOF) {
		return v, errors.New("empty")
	}
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("more follows behind the value")
		}
	}
	return v, err
}

// isJSON reports whether a media type is that of JSON.
func isJSON(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json"))
}
