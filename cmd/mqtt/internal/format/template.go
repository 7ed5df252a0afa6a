package format

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"text/template"
)

// escapes are what a shell leaves of \n and \t in an argument.
var escapes = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\t`, "\t", `\r`, "\r", `\0`, "\x00", `\e`, "\x1b", `\a`, "\a", `\v`, "\v")

// Functions are those that templates have besides those of text/template.
var Functions = template.FuncMap{
	"json":   func(text string) (v any, err error) { err = json.Unmarshal([]byte(text), &v); return v, err },
	"tojson": func(v any) (string, error) { b, err := json.Marshal(v); return string(b), err },
	"hex":    func(text string) string { return hex.EncodeToString([]byte(text)) },
	"base64": func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) },
	"level": func(n int, topic string) (string, error) {
		levels := strings.Split(topic, "/")
		if n < 1 || n > len(levels) {
			return "", nil // topics of several depths go through one template
		}
		return levels[n-1], nil
	},
	"random": func(low, high int) (int, error) {
		if high < low {
			return 0, fmt.Errorf("random %d %d: the second is smaller", low, high)
		}
		return low + rand.IntN(high-low+1), nil
	},
	"upper": strings.ToUpper,
	"lower": strings.ToLower,
}

func parseTemplate(text string) (func([]byte, *View) ([]byte, error), error) {
	t, err := template.New("template").Funcs(Functions).Parse(escapes.Replace(text))
	if err != nil {
		return nil, err
	}
	return func(b []byte, v *View) ([]byte, error) {
		buffer := bytes.NewBuffer(b)
		if err := t.Execute(buffer, v); err != nil {
			return nil, fmt.Errorf("--template: %w", err)
		}
		return buffer.Bytes(), nil
	}, nil
}

func jsonIndent(to *bytes.Buffer, payload []byte) error { return json.Indent(to, payload, "", "  ") }
