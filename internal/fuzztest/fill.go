package fuzztest

import (
	"reflect"
	"strings"
)

// texts are what a string may be: names, topics and filters, addresses, and what is not
// allowed anywhere. The first is the most frequent.
var texts = []string{
	"a", "", "a/b", "a/+", "#", "+/b", "$share/g/a", "$share/g/#", "$SYS/x", "secret/x", "é/世界", "/", "a//b",
	"b", "c1", "M", "10.0.0.2", "10.0.0.3:1883", "10.0.0.1 10.0.0.2", "other:99999", "[::1]:1", "\x00", "\xff", "a\x00b",
	"$queue/a", "responses/x", "application/json", "$share/g", "a/#/b", "$share//a", "mqtt://10.0.0.2",
	strings.Repeat("l/", 30), strings.Repeat("x", 300),
}

// numbers are what a number may be, as far as its type goes.
var numbers = []uint64{
	1, 0, 2, 3, 4, 5, 7, 10, 16, 60, 100, 127, 128, 255, 256, 1000, 1883, 4096, 65534, 65535, 65536, 1 << 20, 1 << 28,
	1<<31 - 1, 1 << 31, 1<<32 - 1, 1 << 32, 1e9, 60e9, 3600e9, 1<<62 - 1, 1<<64 - 1,
}

// Text returns a string: one of the usual ones, or any bytes.
func (c *Choices) Text() string {
	if n := c.N(len(texts) + 2); n < len(texts) {
		return texts[n]
	}
	return string(c.Bytes(64))
}

// module is the path of this module.
const module = "github.com/seed65a45251/mqtt"

// Fill sets some fields of the struct that p points to, and of those within. Fields that
// are not exported, functions, interfaces and structs of other modules stay as they are.
// Most structs get few fields: many together are seldom allowed.
func (c *Choices) Fill(p any) { c.fields(reflect.ValueOf(p).Elem(), 0) }

func (c *Choices) fields(v reflect.Value, depth int) {
	if v.NumField() == 0 {
		return
	}
	for range c.N(6) {
		field := v.Type().Field(c.N(v.NumField()))
		if field.IsExported() {
			c.set(v.FieldByIndex(field.Index), depth+1)
		}
	}
}

// set gives v a value.
func (c *Choices) set(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(c.Bool())
	case reflect.String:
		v.SetString(c.Text())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(c.number()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(c.number() & (1<<v.Type().Bits() - 1))
	case reflect.Float64:
		v.SetFloat(float64(int64(c.number())) / 4)
	case reflect.Struct:
		if depth < 4 {
			c.fields(v, depth)
		}
	case reflect.Pointer:
		if of := v.Type().Elem(); of.Kind() == reflect.Struct && !strings.HasPrefix(of.PkgPath(), module) {
			return
		}
		to := reflect.New(v.Type().Elem())
		c.set(to.Elem(), depth)
		v.Set(to)
	case reflect.Slice:
		c.slice(v, depth)
	}
}

func (c *Choices) slice(v reflect.Value, depth int) {
	if v.Type().Elem().Kind() == reflect.Interface {
		return
	}
	if v.Type().Elem() == reflect.TypeFor[byte]() {
		v.SetBytes(c.Bytes(64))
		return
	}
	n := 1 + c.N(3)
	list := reflect.MakeSlice(v.Type(), n, n)
	for i := range n {
		c.set(list.Index(i), depth)
	}
	v.Set(list)
}

// number returns one of the usual numbers, or a byte; an odd one in a while is negative.
func (c *Choices) number() uint64 {
	n := int(c.Byte())
	switch {
	case n < 2*len(numbers):
		return numbers[n%len(numbers)] * sign(n < len(numbers))
	case n&1 == 1:
		return uint64(c.Byte())
	}
	return uint64(n&3) + 1
}

// sign returns 1, or what makes an unsigned number stand for its negative.
func sign(positive bool) uint64 {
	if positive {
		return 1
	}
	return 1<<64 - 1
}
