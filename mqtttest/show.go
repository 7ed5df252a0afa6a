package mqtttest

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/seed65a45251/mqtt/wire"
)

// shown is how much of a payload is printed.
const shown = 60

// show returns a text for a packet: its name and the fields that are set, without
// passwords and authentication data.
func show(p wire.Packet) string {
	if p == nil {
		return "nothing"
	}
	v := reflect.ValueOf(p)
	if v.IsNil() {
		return p.Type().String()
	}
	var s strings.Builder
	s.WriteString(p.Type().String())
	showFields(&s, v.Elem())
	return s.String()
}

func showFields(s *strings.Builder, v reflect.Value) {
	for i := range v.NumField() {
		field, value := v.Type().Field(i), v.Field(i)
		if value.IsZero() || !field.IsExported() {
			continue
		}
		switch field.Name {
		case "Password", "AuthenticationData":
			fmt.Fprintf(s, " %s=[redacted]", field.Name)
		case "Properties":
			showFields(s, value.Elem())
		default:
			showField(s, field.Name, value)
		}
	}
}

func showField(s *strings.Builder, name string, v reflect.Value) {
	if v.Kind() == reflect.Bool {
		fmt.Fprintf(s, " %s", name) // it is not zero
		return
	}
	fmt.Fprintf(s, " %s=", name)
	showValue(s, v)
}

func showValue(s *strings.Builder, v reflect.Value) {
	if text, ok := v.Interface().(fmt.Stringer); ok && v.Kind() != reflect.Pointer {
		s.WriteString(text.String())
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		showValue(s, v.Elem())
	case reflect.String:
		fmt.Fprintf(s, "%q", v.String())
	case reflect.Struct:
		s.WriteString("{")
		showFields(s, v)
		s.WriteString(" }")
	case reflect.Slice:
		showSlice(s, v)
	default:
		fmt.Fprint(s, v.Interface())
	}
}

func showSlice(s *strings.Builder, v reflect.Value) {
	if v.Type().Elem().Kind() == reflect.Uint8 && v.Type().Elem().NumMethod() == 0 {
		b := v.Bytes()
		fmt.Fprintf(s, "%q", b[:min(len(b), shown)])
		if len(b) > shown {
			fmt.Fprintf(s, "… (%d bytes)", len(b))
		}
		return
	}
	s.WriteString("[")
	for i := range v.Len() {
		if i > 0 {
			s.WriteString(", ")
		}
		showValue(s, v.Index(i))
	}
	s.WriteString("]")
}
